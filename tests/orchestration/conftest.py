"""Settings, a root logger that is put back, and outside parties that fail as a test wants."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta, timezone
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from ingestion.pipeline import IngestReport
from ingestion.warehouse import Warehouse
from ingestion.windows import Window
from orchestration.build.dbt import Build
from orchestration.deliver.alerts import Alert
from orchestration.deliver.figures import Day, Figures
from orchestration.deliver.record import Past
from orchestration.deliver.sheet.contents import Change
from orchestration.deliver.sheet.tables import Tables
from orchestration.settings import Settings, read_settings
from orchestration.summary import DayVerdict, Delivery, LoadCounts, RunSummary, TestCounts, TestResult
from tests.orchestration.deliver.conftest import LAST_DAY, MOSCOW, make_days, make_receipts

KEY = "k3y-of-the-client"
PASSWORD = "p4ss-of-the-database"
ENVIRONMENT = {
    "API_URL": "https://grader.example/api",
    "API_CLIENT": "school",
    "API_CLIENT_KEY": KEY,
    "POSTGRES_HOST": "db.example",
    "POSTGRES_DB": "grader",
    "POSTGRES_USER": "elt",
    "POSTGRES_PASSWORD": PASSWORD,
    "RETRY_FOR": "0",
}
NOW = datetime(2026, 11, 22, 3, tzinfo=timezone.utc)


@pytest.fixture
def root_logger(monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    """The root logger, as it was again afterwards."""
    root = logging.getLogger()
    monkeypatch.setattr(logging, "raiseExceptions", logging.raiseExceptions)
    before, level = [*root.handlers], root.level
    yield root
    for handler in {*root.handlers} - {*before}:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Variables for an API and a database that nobody answers at, and folders of the test's own."""
    return {**ENVIRONMENT, **{name: str(tmp_path / name) for name in ("STATE_DIR", "LOG_DIR", "OUT_DIR")}}


@pytest.fixture
def settings(environment: dict[str, str], tmp_path: Path) -> Settings:
    return read_settings(environment, tmp_path / ".env")


@pytest.fixture
def demo(environment: dict[str, str], tmp_path: Path) -> Settings:
    """Settings without any outside party."""
    return read_settings({**environment, **dict.fromkeys(ENVIRONMENT, "")}, tmp_path / ".env")


@dataclass
class Parties:
    """Everything a run works with, replaced: what is to fail, and what was done."""

    ingest_error: BaseException | None = None
    build_failures: tuple[str, ...] = ()
    team_failures: tuple[TestResult, ...] = ()
    build_error: BaseException | None = None
    receipts_error: Exception | None = None
    figures_error: Exception | None = None
    sheet_error: BaseException | None = None
    report_error: Exception | None = None
    mail_error: BaseException | None = None
    period_error: Exception | None = None
    loaded: bool = True
    verdict: DayVerdict | None = DayVerdict(LAST_DAY, "normal")
    figures: Figures = field(
        default_factory=lambda: Figures(MOSCOW, make_days(60), make_receipts(5), as_of_day=LAST_DAY)
    )
    windows: list[Window] = field(default_factory=list)
    work_dirs: list[Path] = field(default_factory=list)
    checks: list[Callable[[], None]] = field(default_factory=list)
    full_refreshes: list[bool] = field(default_factory=list)
    sheets: list[Tables] = field(default_factory=list)
    reports: list[Figures] = field(default_factory=list)
    mails: list[EmailMessage] = field(default_factory=list)
    alerts: list[tuple[EmailMessage, tuple[str, ...]]] = field(default_factory=list)
    told: list[Alert] = field(default_factory=list)
    noted: list[tuple[str, bool, date | None]] = field(default_factory=list)
    periods: list[tuple[Window, Any]] = field(default_factory=list)

    def ingest(self, *arguments: Any, check: Callable[[], None]) -> IngestReport:
        """Stands in for ingestion's own."""
        _api, _warehouse, windows, work_dir, *_ = arguments
        self.windows += windows
        self.work_dirs.append(work_dir)
        self.checks.append(check)
        _fail(self.ingest_error)
        return IngestReport(slices_loaded=2, load_ids=["1.0"], fetched=1_234)

    def build(self, full_refresh: bool, before_publishing: Callable[[], None], _show_progress: object) -> Build:
        """Stands in for dbt's."""
        self.full_refreshes.append(full_refresh)
        self.checks.append(before_publishing)
        _fail(self.build_error)
        return Build(6, TestCounts(41, 0, len(self.build_failures), 0), self.build_failures)

    def build_team(self, full_refresh: bool) -> tuple[TestResult, ...]:
        """Stands in for dbt's second build."""
        return self.team_failures

    def of_loads(self, warehouse: Warehouse, load_ids: list[str]) -> LoadCounts:
        """Stands in for the receipts."""
        _fail(self.receipts_error)
        assert load_ids == ["1.0"]
        return LoadCounts(1_234, 1_200, 30, 4, {"created_at_invalid": 4})

    def keep_period(self, _: Warehouse, window: Window, metrics: Any) -> None:
        """Stands in for the table of periods."""
        _fail(self.period_error)
        self.periods.append((window, metrics))

    def read_figures(self, *_: Any) -> Figures:
        """Stands in for the marts."""
        _fail(self.figures_error)
        return replace(self.figures, verdict=self.verdict if self.figures.days else None)

    def keep_alerts(self, _: Warehouse, alerts: Sequence[Alert]) -> None:
        """Stands in for the record of what was told."""
        self.told += alerts

    def keep_deliveries(
        self, _: Warehouse, _summary: RunSummary, deliveries: Sequence[Delivery], day: Day | None
    ) -> None:
        """Stands in for that of deliveries."""
        self.noted += [(done.name, done.ok, day.date if day else None) for done in deliveries]


@dataclass
class FakeReport:
    """Takes the figures for the report page, or doesn't."""

    parties: Parties
    path: Path
    name: str = "Report"
    target: str = "report.html"

    def deliver(self, figures: Figures, *_: Any) -> Delivery:
        _fail(self.parties.report_error)
        self.parties.reports.append(figures)
        return Delivery(self.name, True, self.target, "one page written")

    def check(self) -> str:
        _fail(self.parties.report_error)
        return "Report would work"


@dataclass
class FakeSender:
    """Takes worksheets and mails, or doesn't."""

    name: str
    parties: Parties
    target: str = "somewhere"

    def deliver(self, tables: Tables) -> Delivery:
        _fail(self.parties.sheet_error)
        self.parties.sheets.append(tables)
        return Delivery(self.name, True, self.target, "60 days written")

    def preview(self, tables: Tables) -> list[Change]:
        _fail(self.parties.sheet_error)
        return [Change(tables.daily.title, 13, 2, 0), Change(tables.about.title)]

    def send(self, message: EmailMessage, recipients: Sequence[str] = ()) -> Delivery:
        if recipients:
            self.parties.alerts.append((message, tuple(recipients)))
            return Delivery(self.name, True, ", ".join(recipients), "sent")
        _fail(self.parties.mail_error)
        self.parties.mails.append(message)
        return Delivery(self.name, True, self.target, "sent")

    def check(self) -> str:
        _fail(self.parties.sheet_error if self.name == "Spreadsheet" else self.parties.mail_error)
        return f"{self.name} would work"


def _fail(error: BaseException | None) -> None:
    if error is not None:
        raise error


@pytest.fixture
def parties(monkeypatch: pytest.MonkeyPatch) -> Parties:
    """A run's outside parties: all is well until a test says otherwise."""
    fake = Parties()

    @contextmanager
    def open_api(_: Settings) -> Iterator[None]:
        yield None

    for name, value in {
        "ingest": fake.ingest,
        "GraderApi": lambda api, now: api,
        "read_figures": fake.read_figures,
        "periods.keep_period": fake.keep_period,
        "period_metrics": lambda *_: {"attempts": 7},
        "Dbt": lambda *_: fake,
        "receipts.of_loads": fake.of_loads,
        "verdict.of_last_full_day": lambda _: fake.verdict,
        "raw.is_there": lambda _: fake.loaded,
        "raw.coverage": lambda _: [Window(NOW - timedelta(days=3), NOW - timedelta(days=2))],
        "record.read_past": lambda *_: Past(),
        "record.keep_alerts": fake.keep_alerts,
        "record.keep_deliveries": fake.keep_deliveries,
        "wiring.open_api": open_api,
        "wiring.table_sender": lambda _: FakeSender("Spreadsheet", fake),
        "wiring.report_file": lambda settings: FakeReport(fake, settings.out_dir / "report.html"),
        "wiring.message_sender": lambda _: FakeSender("Mail", fake),
    }.items():
        monkeypatch.setattr(f"orchestration.run.{name}", value)
    monkeypatch.setattr("orchestration.history.begin", lambda *_: None)
    monkeypatch.setattr("orchestration.history.end", lambda *_: None)
    # Drawing takes longer than all the rest.
    monkeypatch.setattr("orchestration.deliver.charts.picture", lambda *_: b"a picture")
    return fake
