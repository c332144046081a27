"""The stages of the pipeline and how they depend on each other.

    ingest  →  build  →  deliver: spreadsheet, report, mail

A failing stage stops what depends on it; a failing delivery stops nothing; the mail is always sent.
"""

import hashlib
import logging
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ingestion import raw
from ingestion.api import GraderApi
from ingestion.errors import IngestionError
from ingestion.pipeline import IngestReport, Progress, ingest
from ingestion.warehouse import Warehouse
from ingestion.windows import Window, plan
from orchestration import wiring
from orchestration.build import receipts, retention
from orchestration.build.dbt import TEAM, Build, Dbt
from orchestration.commands.metrics import period_metrics
from orchestration.deliver import periods, record, verdict
from orchestration.deliver.columns import LEARNERS, PERIODS
from orchestration.deliver.figures import Figures, read_figures
from orchestration.deliver.mail.message import compose
from orchestration.deliver.sheet.contents import Change
from orchestration.deliver.sheet.tables import Tables, build_tables
from orchestration.deliver.words import Words, counted
from orchestration.errors import (
    EXIT_DELIVERY_FAILED,
    EXIT_DONE,
    EXIT_STAGE_FAILED,
    EXIT_SUSPECT_DAY,
    GraderError,
    StageError,
)
from orchestration.logs import Tail
from orchestration.patience import Patience
from orchestration.settings import Settings
from orchestration.summary import Delivery, RunSummary, Stage, Step

logger = logging.getLogger(__name__)

T = TypeVar("T")

EXIT_CODES = {
    "done": EXIT_DONE,
    "failed": EXIT_STAGE_FAILED,
    "delivery failed": EXIT_DELIVERY_FAILED,
    "suspect day": EXIT_SUSPECT_DAY,
}


def is_expected(error: BaseException) -> bool:
    """Whether an error is our own, whose message is clean and says what to do."""
    return isinstance(error, (GraderError, IngestionError))


def describe(error: BaseException) -> str:
    """An error for people: our own message, or only the kind (the log has the rest)."""
    if is_expected(error):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return f"unexpected {type(error).__name__}; the log has its traceback"


def work_folder(state_dir: Path, warehouse: Warehouse) -> Path:
    """Where an ingest into this database keeps its files: a hash keeps apart names that read alike."""
    database = f"{warehouse.dbname}@{warehouse.host}:{warehouse.port}"
    readable = re.sub(r"[^A-Za-z0-9.@-]+", "_", database)[:60]
    return state_dir / "ingest" / f"{readable}-{hashlib.sha256(database.encode()).hexdigest()[:12]}"


@dataclass
class Run:
    """One command at work on the warehouse: its settings, its stages and the summary they add to.

    `check_lock` raises StageError when other runs are no longer kept away; it is called before each
    stage and each load. `renew_lock` keeps them away again after an outage, which `patience` waits
    out. `show_progress` gets each step of a stage and None at its end; `tail` holds the log's last
    lines for the mail about a failure.
    """

    settings: Settings
    warehouse: Warehouse
    command: str
    tail: Tail
    log_file: Path
    check_lock: Callable[[], None]
    show_progress: Callable[[Step | None], None] = lambda _: None
    renew_lock: Callable[[], None] = lambda: None
    patience: Patience = field(default_factory=lambda: Patience(timedelta(0)))
    now: Callable[[], datetime] = partial(datetime.now, timezone.utc)
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    summary: RunSummary = field(init=False)

    def __post_init__(self) -> None:
        self.summary = RunSummary(
            run_id=self.run_id,
            command=self.command,
            started_at=self.now(),
            demo=self.settings.api is None,
            log_file=str(self.log_file),
        )
        self.words = Words(self.settings.report_language)
        self.dbt = Dbt(self.warehouse, self.settings.report_timezone, self.settings.state_dir)

    def everything(self, window: Window | None) -> int:
        """Ingest, build, deliver; returns the exit code. The mail goes out in any case."""
        try:
            load_ids = self._patiently("ingest", lambda: self.ingest(window)).load_ids
            self._patiently("build", lambda: self.build())
            self.summary.loads = self._patiently("build", lambda: receipts.of_loads(self.warehouse, load_ids))
        except Exception as error:
            if not is_expected(error):
                logger.exception("unexpected error")
            self._report_failure(error)
            return EXIT_STAGE_FAILED
        return self.deliver(window)

    def _patiently(self, name: str, act: Callable[[], T]) -> T:
        """What a stage returns, once the parties it needs are there; raises its error when patience ends."""
        done = len(self.summary.stages)
        again = False
        while True:
            try:
                if again:
                    self.renew_lock()
                result = act()
            except (GraderError, IngestionError) as error:
                again = self.patience.wait(name, error)
                if not again:
                    raise
                # What failed for an outage is no part of the story once it is over.
                del self.summary.stages[done:]
            else:
                self.patience.reset()
                return result

    def ingest(self, window: Window | None) -> IngestReport:
        """Bring `window`, or what is due without one, into the raw schema. Raises StageError, IngestionError."""
        with self._stage("ingest") as words:
            work_dir = work_folder(self.settings.state_dir, self.warehouse)
            work_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            windows = [window] if window else self._due()
            for due in windows:
                logger.info("ingest: asking for %s", due)
            with wiring.open_api(self.settings) as api:
                report = ingest(
                    GraderApi(api, self.now),
                    self.warehouse,
                    windows,
                    work_dir,
                    self.now,
                    self._show_ingest,
                    check=self.check_lock,
                )
            records, slices = counted(report.fetched, "record"), counted(report.slices_loaded, "slice")
            loads = counted(len(report.load_ids), "load")
            words.append(f"{records} in {slices} and {loads}" if windows else "nothing is due")
            if report.repaired or report.kept_as_text:
                words.append(f"{report.repaired:,} repaired, {report.kept_as_text:,} kept as text")
        return report

    def _show_ingest(self, progress: Progress) -> None:
        self.summary.records_loaded = progress.records_loaded
        text = f"{counted(progress.records_fetched, 'record')} fetched, {progress.records_loaded:,} loaded"
        self.show_progress(Step("ingest", text, progress.slices_fetched, progress.slices))

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
        """Build and test the models. Raises StageError when one of them failed; WarehouseError."""
        with self._stage("build") as words:
            if not raw.is_there(self.warehouse):
                raise StageError(
                    f"Nothing was ever loaded into {self.warehouse.label}: there is nothing to build. "
                    "Run `make ingest` (or `make run`) first."
                )
            build = self.dbt.build(full_refresh, self.check_lock, self.show_progress)
            tests = self.summary.tests = build.tests
            words.append(
                f"{build.models} models, {tests.passed} tests passed, {tests.warned} warned, "
                f"{tests.failed} failed, {tests.skipped} skipped"
            )
            if build.failures:
                raise StageError(
                    f"dbt build stopped: {'; '.join(build.failures)}. "
                    "Nothing was published: the marts keep the figures of the last good build. "
                    "See the log, fix the cause, then run again."
                )
            self.summary.verdict = verdict.of_last_full_day(self.warehouse)
            self._build_team(build)
            self._remove_outdated()
        return build

    def _remove_outdated(self) -> None:
        """What raw need no longer keep; the figures are right with it, too, so a failure is a warning."""
        if self.settings.retain_raw_days is None:
            return
        try:
            retention.remove_outdated(self.warehouse, self.settings.retain_raw_days)
        except IngestionError as error:
            logger.warning("retention: outdated records stay in raw for now: %s", error)

    def _build_team(self, build: Build) -> None:
        """The analysts' own models: what fails in them is a warning, by name."""
        failed = self.dbt.build_team(build.rebuilt)
        for result in failed:
            logger.warning("build: %s: %s: %s", TEAM, result.name, result.message)
        tests = build.tests
        self.summary.tests = replace(tests, warned=tests.warned + len(failed), results=(*tests.results, *failed))

    def deliver(self, window: Window | None = None) -> int:
        """Spreadsheet, report and mail from the marts; returns the exit code. Raises StageError.

        The metrics of `window` are kept for the spreadsheet first.
        """
        with self._stage("deliver") as words:
            if window is not None:
                self._keep_period(window)
            figures = self._figures()
            if figures is not None:
                self.summary.verdict = figures.verdict
                self._deliver_sheet(figures)
                self._deliver_report(figures)
            self._deliver_mail(figures)
            words.append("; ".join(f"{d.name}: {d.detail if d.ok else 'FAILED'}" for d in self.summary.deliveries))
        return self.exit_code

    def deliver_period(self, window: Window, metrics: Mapping[str, Any]) -> int:
        """Keep the metrics of a window and deliver the spreadsheet alone; returns the exit code."""
        self.check_lock()
        self._keep_period(window, metrics)
        figures = self._figures()
        if figures is not None:
            self.summary.verdict = figures.verdict
            self._deliver_sheet(figures)
        return EXIT_DELIVERY_FAILED if self.summary.undelivered else EXIT_DONE

    def preview(self) -> tuple[str, list[Change]]:
        """Where the spreadsheet is, and what `deliver` would change in it. Raises WarehouseError, DeliveryError."""
        figures = self._read_figures()
        self.summary.verdict = figures.verdict
        sender = wiring.table_sender(self.settings)
        return sender.target, sender.preview(self._tables(figures))

    @property
    def exit_code(self) -> int:
        """What a command that came to its end ends with."""
        return EXIT_CODES[self.summary.outcome]

    def _report_failure(self, error: Exception) -> None:
        """The mail about a failed run; after a failed build sheet and report, too, say that they are outdated."""
        self.summary.failure = describe(error)
        figures = self._figures()
        if self.summary.failed_stage == "build" and figures is not None and figures.days:
            self._deliver_sheet(figures)
            self._deliver_report(figures)
        self._deliver_mail(figures)

    def _figures(self) -> Figures | None:
        try:
            return self._patiently("deliver", self._read_figures)
        except IngestionError as error:
            if self.summary.outcome == "failed":
                logger.warning("the mail has no figures: %s", error)
            else:
                self._note(Delivery("Figures", False, self.warehouse.label, str(error)))
            return None

    def _read_figures(self) -> Figures:
        return read_figures(self.warehouse, self.settings.report_timezone, self.settings.share_learners)

    def _keep_period(self, window: Window, metrics: Mapping[str, Any] | None = None) -> None:
        """Store a window's metrics; a failure is that of a delivery."""
        if metrics is None and not periods.can_be_shown(window):
            logger.info("deliver: no spreadsheet can show the window, it is not kept for the worksheet Periods")
            return
        problem = ""
        try:
            periods.keep_period(self.warehouse, window, metrics or period_metrics(self.dbt, self.warehouse, window))
        except Exception as error:
            if not is_expected(error):
                logger.exception("unexpected error")
            problem = describe(error)
        if problem:
            self._note(Delivery(PERIODS.title, False, self.warehouse.label, problem))

    def _tables(self, figures: Figures) -> Tables:
        docs = wiring.links(self.settings).docs or "make docs"
        share = self.settings.share_learners and not figures.learners_problem
        return build_tables(figures, self.summary, docs, self.words, share)

    def _deliver_sheet(self, figures: Figures) -> None:
        sender = wiring.table_sender(self.settings)

        def deliver() -> Delivery:
            done = sender.deliver(self._tables(figures))
            if not figures.learners_problem:
                return done
            problem = self.words.text(figures.learners_problem)
            return replace(done, ok=False, detail=f"{done.detail}; {self.words.text(LEARNERS.title)}: {problem}")

        self._attempt(sender.name, sender.target, deliver)

    def _deliver_report(self, figures: Figures) -> None:
        file, links = wiring.report_file(self.settings), wiring.links(self.settings)
        self._attempt(file.name, file.target, lambda: file.deliver(figures, self.summary, links, self.words))

    def _deliver_mail(self, figures: Figures | None) -> None:
        """The mail, and the engineer's if that goes to others; what was told is noted when it is sent."""
        self.summary.finished_at = self.now()
        self.summary.log_tail = tuple(self.tail.lines)
        known = figures or Figures(self.settings.report_timezone)
        if not self.settings.send_mail:
            logger.info("deliver: no mail (MAIL=0)")
            return
        day, alert_to = known.last_full_day, self.settings.alert_to
        past = record.read_past(self.warehouse, day.date) if day else record.Past()
        sender = wiring.message_sender(self.settings)

        def send() -> Delivery:
            mails = compose(
                known,
                self.summary,
                wiring.links(self.settings),
                past,
                self.words,
                alert_apart=bool(alert_to),
                report=wiring.report_path(self.settings) if self.settings.attach_report else None,
            )
            if mails.alert is not None:
                alert = mails.alert
                self._attempt("Alert", ", ".join(alert_to), lambda: replace(sender.send(alert, alert_to), name="Alert"))
            sent = sender.send(mails.main)
            record.keep_alerts(self.warehouse, mails.told.to_keep)
            return sent

        self._attempt(sender.name, sender.target, send)
        if figures is not None:
            about = None if self.summary.failure else day
            record.keep_deliveries(self.warehouse, self.summary, self.summary.deliveries, about)

    def _attempt(self, name: str, target: str, act: Callable[[], Delivery]) -> None:
        """Note what came of a delivery; whatever it fails for does not stop the next one."""
        self.show_progress(Step("deliver", name, len(self.summary.deliveries)))
        try:
            delivery = act()
        except Exception as error:
            if not is_expected(error):
                logger.exception("unexpected error")
            delivery = Delivery(name, False, target, describe(error))
        self._note(delivery)

    def _note(self, delivery: Delivery) -> None:
        self.summary.deliveries.append(delivery)
        level = logging.INFO if delivery.ok else logging.ERROR
        logger.log(level, "deliver: %s to %s: %s", delivery.name, delivery.target, delivery.detail)

    @contextmanager
    def _stage(self, name: str) -> Iterator[list[str]]:
        """Log and time a stage; the block appends what it did in words."""
        words: list[str] = []
        logger.info("%s: started", name)
        self.show_progress(Step(name))
        started = time.monotonic()
        try:
            self.check_lock()
            yield words
        except BaseException as error:
            seconds = time.monotonic() - started
            reason = describe(error)
            self.summary.stages.append(Stage(name, "failed", seconds, reason))
            # What an interruption leaves is said by the command.
            level = logging.INFO if isinstance(error, KeyboardInterrupt) else logging.ERROR
            logger.log(level, "%s: failed after %.2f s: %s", name, seconds, reason)
            raise
        finally:
            self.show_progress(None)
        seconds = time.monotonic() - started
        detail = ", ".join(words)
        self.summary.stages.append(Stage(name, "done", seconds, detail))
        logger.info("%s: ended after %.2f s: %s", name, seconds, detail)


def mail_without_run(
    settings: Settings, command: str, run_id: str, error: Exception, tail: Tail, log_file: Path
) -> None:
    """Mail about a run that could not even start."""
    now = datetime.now(timezone.utc)
    summary = RunSummary(run_id, command, now, settings.api is None, str(log_file), now)
    summary.failure, summary.log_tail = describe(error), tuple(tail.lines)
    words, sender = Words(settings.report_language), wiring.message_sender(settings)
    try:
        mails = compose(
            Figures(settings.report_timezone),
            summary,
            wiring.links(settings),
            record.Past(),
            words,
            alert_apart=bool(settings.alert_to),
        )
        if mails.alert is not None:
            sender.send(mails.alert, settings.alert_to)
        sender.send(mails.main)
    except Exception as problem:
        if not is_expected(problem):
            logger.exception("unexpected error")
        logger.error("the mail about it was not sent: %s", describe(problem))
