"""What every test can use: a PostgreSQL server for each worker, an empty database for each test, a
prepared clone.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import Browser, sync_playwright

from embedded import postgres
from ingestion.warehouse import Warehouse
from tests.core_project import leave_out_analytics
from tests.end_to_end.clone import make_clone
from tests.end_to_end.commands import PreparedProcess

_SETTINGS = {
    "API_URL",
    "API_CLIENT",
    "API_CLIENT_KEY",
    "START_DATE",
    "LOOKBACK_HOURS",
    "REPORT_TIMEZONE",
    "REPORT_LANGUAGE",
    "ALERT_TO",
    "ATTACH_REPORT",
    "SHARE_LEARNERS",
    "MAIL",
    "RETRY_FOR",
    "PING_URL",
    "RETAIN_RAW_DAYS",
    "WAREHOUSE_DISTRIBUTED",
    "VERBOSE",
    "LOG_DIR",
    "LOG_RETENTION_DAYS",
    "OUT_DIR",
    "STATE_DIR",
}
_SETTING_GROUPS = ("POSTGRES_", "GOOGLE_", "SMTP_", "EMAIL_")

# A shell that runs the tests in the background has Ctrl-C ignored, and what they start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A test's database needn't survive a power cut.
_NOT_DURABLE = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "128MB",
}

# What makes a test slow: a PostgreSQL server, a clone to run commands in, or a browser. Every test of these
# folders counts as slow, too.
_SLOW_FIXTURES = {"server", "clone", "demo", "browser"}
_SLOW_FOLDERS = {"embedded", "end_to_end", "faults"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark slow tests, which `make test-fast` leaves out."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & _SLOW_FIXTURES or set(item.path.relative_to(Path(__file__).parent).parts) & _SLOW_FOLDERS:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def _nothing_configured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No setting of the developer's reaches a test, and nothing a test does reaches the developer's
    home.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in [*os.environ]:
            if name in _SETTINGS or name.startswith(_SETTING_GROUPS):
                patch.delenv(name)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, _nothing_configured: None) -> Iterator[Warehouse]:
    """A server to make databases in, as its superuser: the worker's own, or that of
    TEST_POSTGRES_URL.
    """
    if url := os.environ.get("TEST_POSTGRES_URL"):
        yield from_url(url)
        return
    state_dir: Path = tmp_path_factory.mktemp("server")
    try:
        yield postgres.start(state_dir, _NOT_DURABLE)
    finally:
        postgres.stop(state_dir)


@pytest.fixture
def warehouse(server: Warehouse) -> Iterator[Warehouse]:
    """An empty database of the test's own."""
    with temporary_database(server) as warehouse:
        yield warehouse


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The machine's Chromium, without a window."""
    programs = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
    program = next(filter(None, programs), None)
    if program is None:
        pytest.skip("there is no Chromium: install the package `chromium`")
    # Chromium's sandbox refuses to work for root.
    options = ["--no-sandbox"] if os.getuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=options)
        yield browser
        browser.close()


@contextmanager
def temporary_database(server: Warehouse) -> Iterator[Warehouse]:
    """An empty database that is dropped at the end."""
    name = f"test_{secrets.token_hex(6)}"
    _administer(server, f"create database {name} template template0")
    try:
        yield replace(server, dbname=name)
    finally:
        _administer(server, f"drop database {name} with (force)")


@pytest.fixture(scope="session")
def prepared(server: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PreparedProcess]:
    """A clone in which commands start at once, with its database; a worker's tests share it and
    reset it. It has the core of the dbt project only.
    """
    warehouse = replace(server, dbname=f"commands_{secrets.token_hex(6)}")
    clone = make_clone(tmp_path_factory.mktemp("prepared") / "a clone")
    leave_out_analytics(clone.path / "dbt_project")
    prepared = PreparedProcess(clone, server, warehouse)
    try:
        yield prepared
    finally:
        prepared.close()


def _administer(server: Warehouse, statement: str) -> None:
    with server.session("tests", autocommit=True) as cursor:
        cursor.execute(statement)


def from_url(url: str) -> Warehouse:
    """The server of a URL `postgresql://user:password@host:port/database`."""
    parts = urlsplit(url)
    return Warehouse(
        host=parts.hostname or "localhost",
        port=parts.port or 5432,
        dbname=parts.path.lstrip("/") or "postgres",
        user=unquote(parts.username or "postgres"),
        password=unquote(parts.password or ""),
    )
