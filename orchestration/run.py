"""The stages of the pipeline and how they hang together.

    ingest  →  build  →  deliver: spreadsheet, mail

A failing stage stops what depends on it; a failing delivery does not stop the other; the mail is sent in any case.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

from ingestion import raw
from ingestion.api import GraderApi
from ingestion.errors import IngestionError
from ingestion.pipeline import IngestReport, Progress, ingest
from ingestion.warehouse import Warehouse
from ingestion.windows import Window, plan
from orchestration import wiring
from orchestration.build import receipts
from orchestration.build.dbt import Build, Dbt
from orchestration.deliver import DeliveryError
from orchestration.deliver.descriptions import read_descriptions
from orchestration.deliver.figures import Figures, read_figures
from orchestration.deliver.mail.message import compose
from orchestration.deliver.sheet.tables import build_tables
from orchestration.errors import (
    EXIT_DELIVERY_FAILED,
    EXIT_DONE,
    EXIT_STAGE_FAILED,
    GraderError,
    StageError,
)
from orchestration.logs import Tail
from orchestration.settings import Settings
from orchestration.summary import Delivery, RunSummary, Stage

logger = logging.getLogger(__name__)


def utc_now() -> datetime:
    """This moment, aware and in UTC."""
    return datetime.now(timezone.utc)


def count(number: int, noun: str) -> str:
    """A number with its noun, as people write it: `1 load`, `1,234 loads`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def describe(error: BaseException) -> str:
    """An error for people: our own messages as they are, of others only the kind (the log has the rest)."""
    if isinstance(error, (GraderError, IngestionError)):
        return str(error)
    return f"unexpected {type(error).__name__}; the log has its traceback"


@dataclass
class Run:
    """One command at work on the warehouse: its settings, its stages and the summary they add to.

    `check_lock` raises StageError when others are no longer kept away; it is asked before each stage and before each load.
    `show_progress` is told how far the ingest is; `tail` holds the log's last lines for the mail about a failure.
    """

    settings: Settings
    warehouse: Warehouse
    command: str
    tail: Tail
    log_file: Path
    check_lock: Callable[[], None]
    show_progress: Callable[[Progress], None] = lambda _: None
    now: Callable[[], datetime] = utc_now
    summary: RunSummary = field(init=False)

    def __post_init__(self) -> None:
        self.summary = RunSummary(
            run_id=uuid.uuid4().hex[:12],
            command=self.command,
            started_at=self.now(),
            demo=self.settings.api is None,
            log_file=str(self.log_file),
        )
        self.dbt = Dbt(self.warehouse, self.settings.report_timezone, self.settings.state_dir)

    def everything(self, window: Window | None) -> int:
        """Ingest, build, deliver; returns the exit code. The mail goes out whatever happened before."""
        try:
            load_ids = self.ingest(window).load_ids
            self.build()
            self.summary.loads = receipts.of_loads(self.warehouse, load_ids)
        except Exception as error:
            if not isinstance(error, GraderError):
                logger.exception("unexpected error")
            self._fail(error)
            self._report_failure()
            return EXIT_STAGE_FAILED
        return self.deliver()

    def ingest(self, window: Window | None) -> IngestReport:
        """Bring `window`, or what is due without one, into the raw schema. Raises StageError."""
        with self._stage("ingest") as words:
            report = self._ingest(window)
            words.append(
                f"{count(report.fetched, 'record')} in {count(report.slices_loaded, 'slice')} "
                f"and {count(len(report.load_ids), 'load')}"
                if report.windows
                else "nothing is due"
            )
            if report.repaired or report.kept_as_text:
                words.append(f"{report.repaired:,} repaired, {report.kept_as_text:,} kept as text")
        return report

    def _ingest(self, window: Window | None) -> IngestReport:
        scratch = self.settings.state_dir / "ingest"
        scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left_behind in scratch.iterdir():
            shutil.rmtree(left_behind, ignore_errors=True)
        windows = [window] if window else self._due()
        for due in windows:
            logger.info("ingest: asking for %s", due)
        with (
            wiring.open_api(self.settings) as api,
            tempfile.TemporaryDirectory(dir=scratch, ignore_cleanup_errors=True) as work_dir,
        ):
            grader = GraderApi(api, self.now)
            return ingest(
                grader,
                self.warehouse,
                windows,
                Path(work_dir),
                self.now,
                self.show_progress,
                check=self.check_lock,
            )

    def _due(self) -> list[Window]:
        settings, now = self.settings, self.now()
        today = now.astimezone(settings.report_timezone).date()
        return plan(
            raw.coverage(self.warehouse),
            now,
            settings.report_timezone,
            start_date=settings.start_date,
            lookback=settings.lookback,
            first_start=today - timedelta(days=wiring.DEMO_DAYS) if settings.api is None else None,
        )

    def build(self, full_refresh: bool = False) -> Build:
        """Build and test the models. Raises StageError when a model or a data test failed."""
        with self._stage("build") as words:
            if not raw.is_there(self.warehouse):
                raise StageError(
                    f"Nothing was ever loaded into {self.warehouse.label}: there is nothing to build. "
                    "Run `make ingest` (or `make run`) first."
                )
            build = self.dbt.build(full_refresh, before_publishing=self.check_lock)
            tests = self.summary.tests = build.tests
            words.append(
                f"{build.models} models, {tests.passed} tests passed, {tests.warned} warned, "
                f"{tests.failed} failed, {tests.skipped} skipped"
            )
            if build.failures:
                raise StageError(
                    "dbt build stopped: "
                    + "; ".join(build.failures)
                    + ". Nothing was published: the marts keep the figures of the last good build. "
                    "See the log, mend the cause, then run again."
                )
        return build

    def deliver(self) -> int:
        """Spreadsheet and mail from the marts; returns the exit code."""
        with self._stage("deliver") as words:
            figures = self._figures()
            if figures is not None:
                self._deliver_sheet(figures)
            failed = [delivery for delivery in self.summary.deliveries if not delivery.ok]
            if failed:
                self.summary.outcome = "delivery failed"
                self.summary.failed_stage = "deliver"
                self.summary.failure = "; ".join(delivery.detail for delivery in failed)
            self._deliver_mail(figures)
            words.append(
                "; ".join(f"{d.name}: {d.detail if d.ok else 'FAILED'}" for d in self.summary.deliveries)
            )
        all_sent = all(delivery.ok for delivery in self.summary.deliveries)
        if not all_sent:
            self.summary.outcome = "delivery failed"
        return EXIT_DONE if all_sent else EXIT_DELIVERY_FAILED

    def _report_failure(self) -> None:
        """The mail about a failed run; after a failed build the sheet keeps its figures and says so as well."""
        figures = None
        if self.summary.failed_stage == "build":
            figures = self._figures()
            if figures is not None and figures.days:
                self._deliver_sheet(figures)
        self._deliver_mail(figures)

    def _figures(self) -> Figures | None:
        try:
            return read_figures(self.warehouse, self.settings.report_timezone)
        except DeliveryError as error:
            message = str(error)
        self._note(Delivery("Figures", False, self.warehouse.label, message))
        return None

    def _deliver_sheet(self, figures: Figures) -> None:
        sender = wiring.table_sender(self.settings)
        docs = wiring.links(self.settings).docs or "make docs"
        tables = build_tables(
            figures, self.summary, read_descriptions(self.dbt.target_path / "manifest.json"), docs
        )
        try:
            self._note(sender.deliver(tables))
        except DeliveryError as error:
            self._note(Delivery(sender.name, False, sender.target, str(error)))

    def _deliver_mail(self, figures: Figures | None = None) -> None:
        self.summary.finished_at = self.now()
        self.summary.log_tail = tuple(self.tail.lines)
        if figures is None:
            try:
                figures = read_figures(self.warehouse, self.settings.report_timezone)
            except DeliveryError as error:
                logger.warning("mail: %s", error)
                figures = Figures(self.settings.report_timezone)
        sender = wiring.message_sender(self.settings)
        try:
            self._note(sender.send(compose(figures, self.summary, wiring.links(self.settings))))
        except DeliveryError as error:
            self._note(Delivery(sender.name, False, sender.target, str(error)))

    def _note(self, delivery: Delivery) -> None:
        self.summary.deliveries.append(delivery)
        level = logging.INFO if delivery.ok else logging.ERROR
        logger.log(level, "deliver: %s to %s: %s", delivery.name, delivery.target, delivery.detail)

    def _fail(self, error: Exception) -> None:
        self.summary.outcome = "failed"
        self.summary.failure = describe(error)
        self.summary.failed_stage = next((s.name for s in self.summary.stages if s.outcome == "failed"), None)

    @contextmanager
    def _stage(self, name: str) -> Iterator[list[str]]:
        """Log and time a stage; the block appends what it did in words."""
        words: list[str] = []
        logger.info("%s: started", name)
        started = time.monotonic()
        try:
            self.check_lock()
            yield words
        except BaseException as error:
            seconds = time.monotonic() - started
            what = describe(error)
            self.summary.stages.append(Stage(name, "failed", seconds, what))
            logger.error("%s: failed after %.2f s: %s", name, seconds, what)
            if isinstance(error, IngestionError):
                raise StageError(what) from None
            raise
        seconds = time.monotonic() - started
        detail = ", ".join(words)
        self.summary.stages.append(Stage(name, "done", seconds, detail))
        logger.info("%s: ended after %.2f s: %s", name, seconds, detail)
