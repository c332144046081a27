"""Chooses, by the settings, between the outside parties and the embedded stand-ins.

The only module that knows both. It imports what it chose, so that production never loads stand-ins.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingestion.endpoint import Api
from ingestion.warehouse import Warehouse
from orchestration.deliver import Links
from orchestration.errors import StageError
from orchestration.settings import Settings

if TYPE_CHECKING:
    from orchestration.deliver.mail.outbox import Outbox
    from orchestration.deliver.mail.smtp import SmtpServer
    from orchestration.deliver.report.file import ReportFile
    from orchestration.deliver.sheet.google import GoogleSheet
    from orchestration.deliver.sheet.workbook import Workbook

DEMO_DAYS = 60
DEMO_DATABASE = "demo"
# The stand-in mail is never sent, so its addresses are of the domain reserved for that (RFC 2606).
OUTBOX_SENDER, OUTBOX_RECIPIENT = "grader-elt@example.invalid", "boss@example.invalid"


@contextmanager
def embedded_postgres() -> Iterator[Any]:
    """The module `embedded.postgres`, whose own error leaves as StageError."""
    from embedded import postgres

    try:
        yield postgres
    except postgres.EmbeddedPostgresError as error:
        raise StageError(str(error)) from None


def open_warehouse(settings: Settings) -> Warehouse:
    """The warehouse of the settings; without one, the embedded PostgreSQL, started if need be.

    Made-up data has an embedded database of its own, so none of it meets real data. Raises StageError.
    """
    if settings.warehouse is not None:
        return settings.warehouse
    with embedded_postgres() as postgres:
        started: Warehouse = postgres.start(settings.state_dir, database=_embedded_database(settings))
    return started


def embedded_state(settings: Settings) -> str:
    """Whether the embedded database is running, in words; starts nothing. Raises StageError."""
    with embedded_postgres() as postgres:
        running = postgres.find(settings.state_dir, database=_embedded_database(settings))
    return f"ready, {running.label}" if running else "not started, `make db` does it"


def _embedded_database(settings: Settings) -> str:
    return DEMO_DATABASE if settings.api is None else "grader"


@contextmanager
def open_api(settings: Settings) -> Iterator[Api]:
    """The grader's API, or the demo API, which runs as long as the block. Raises StageError."""
    if settings.api is not None:
        yield settings.api
        return
    from embedded import demo_api

    try:
        with demo_api.running() as demo:
            yield Api(demo.url, demo.client, demo.client_key)
    except demo_api.DemoApiError as error:
        raise StageError(str(error)) from None


def table_sender(settings: Settings) -> GoogleSheet | Workbook:
    """What takes the worksheets."""
    if settings.google is not None:
        from orchestration.deliver.sheet.google import GoogleSheet

        return GoogleSheet(settings.google, patience=settings.retry_for.total_seconds())
    from orchestration.deliver.sheet.workbook import Workbook

    return Workbook(settings.out_dir / "metrics.xlsx")


def report_file(settings: Settings) -> ReportFile:
    """What takes the report page."""
    from orchestration.deliver.report.file import ReportFile

    return ReportFile(report_path(settings), settings.state_dir)


def message_sender(settings: Settings) -> SmtpServer | Outbox:
    """What takes the mail."""
    if settings.mail is not None:
        from orchestration.deliver.mail.smtp import SmtpServer

        return SmtpServer(settings.mail, patience=settings.retry_for.total_seconds())
    from orchestration.deliver.mail.outbox import Outbox

    return Outbox(settings.out_dir / "mail", OUTBOX_SENDER, [OUTBOX_RECIPIENT])


def links(settings: Settings) -> Links:
    """Where readers of the deliveries find the sheet and the docs, as far as they are there."""
    sheet = table_sender(settings).target
    there = settings.google is not None or Path(sheet).exists()
    report, docs = (str(path) if path.exists() else None for path in (report_path(settings), docs_path(settings)))
    return Links(sheet=sheet if there else None, report=report, docs=docs)


def report_path(settings: Settings) -> Path:
    """Where the report page is written."""
    return settings.out_dir / "report.html"


def docs_path(settings: Settings) -> Path:
    """Where `make docs` writes the documentation."""
    return settings.out_dir / "docs.html"
