"""`run`, `ingest`, `build`, `deliver`: the stages on the warehouse, alone there, before the terminal's eyes."""

import argparse
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ingestion.errors import IngestionError
from ingestion.warehouse import Warehouse
from ingestion.windows import Window
from orchestration import history, lock, wiring
from orchestration.commands.progress import live_line
from orchestration.commands.screen import log_summary, show_changes, show_deliveries, show_summary
from orchestration.errors import EXIT_DONE, EXIT_STAGE_FAILED, EXIT_SUSPECT_DAY, GraderError
from orchestration.interrupt import NOT_BEGUN
from orchestration.logs import Tail
from orchestration.patience import Patience
from orchestration.ping import ping
from orchestration.run import Run, mail_without_run
from orchestration.settings import Settings
from orchestration.summary import RunSummary, Step

logger = logging.getLogger(__name__)


def pipeline(
    options: argparse.Namespace, settings: Settings, window: Window | None, tail: Tail, log_file: Path, run_id: str
) -> int:
    """Run the command and show how it ended; returns the exit code. Raises GraderError, IngestionError.

    Whoever watches is told of the begin and the end of each `run`.
    """
    watched = settings.ping_url if options.command == "run" else None
    code = EXIT_STAGE_FAILED
    ping(watched, "start")
    try:
        code = _watched(options, settings, window, tail, log_file, run_id)
    finally:
        ping(watched, "success" if code in (EXIT_DONE, EXIT_SUSPECT_DAY) else "failure")
    return code


def _watched(
    options: argparse.Namespace, settings: Settings, window: Window | None, tail: Tail, log_file: Path, run_id: str
) -> int:
    summary: RunSummary | None = None
    patience = Patience(settings.retry_for)
    try:
        with live_line() as show:
            try:
                warehouse, locked = _begin(options, settings, patience, show)
            except (GraderError, IngestionError) as error:
                # A nightly run that nobody watches would just be missing.
                if options.command == "run" and settings.send_mail and not sys.stderr.isatty():
                    mail_without_run(settings, options.command, run_id, error, tail, log_file)
                raise
            with locked:
                run = Run(
                    settings,
                    warehouse,
                    options.command,
                    tail,
                    log_file,
                    locked.check,
                    show_progress=show,
                    renew_lock=locked.renew,
                    patience=patience,
                    run_id=run_id,
                )
                summary = run.summary
                with history.noted(warehouse, summary) as ended:
                    code = ended.exit_code = _act(run, options, window)
    except KeyboardInterrupt:
        logger.warning("%s interrupted. %s", options.command, kept(summary))
        return EXIT_STAGE_FAILED
    show_summary(run.summary, run.words, settings.verbose)
    log_summary(run.summary)
    return code


def _begin(
    options: argparse.Namespace, settings: Settings, patience: Patience, show: Callable[[Step | None], None]
) -> tuple[Warehouse, lock.PipelineLock]:
    """The warehouse and its lock, taken; an outage is waited out."""
    while True:
        try:
            show(Step("start", "the database"))
            warehouse = wiring.open_warehouse(settings)
            show(Step("start", "its turn on the database"))
            locked = lock.PipelineLock(warehouse, options.command, options.wait).take()
        except (GraderError, IngestionError) as error:
            if not patience.wait(options.command, error):
                raise
        else:
            patience.reset()
            return warehouse, locked


def preview(settings: Settings, tail: Tail, log_file: Path) -> int:
    """Show what `deliver` would change in the spreadsheet; nobody is kept away meanwhile, and nothing is sent."""
    warehouse = wiring.open_warehouse(settings)
    run = Run(settings, warehouse, "deliver", tail, log_file, lambda: None)
    target, changes = run.preview()
    show_changes(target, changes, run.words)
    return EXIT_DONE


def keep_period(settings: Settings, window: Window, found: dict[str, Any], tail: Tail, log_file: Path) -> int:
    """Put a window's metrics into the spreadsheet; says on standard error where they are."""
    warehouse = wiring.open_warehouse(settings)
    with lock.PipelineLock(warehouse, "metrics") as locked:
        run = Run(settings, warehouse, "metrics", tail, log_file, locked.check)
        code = run.deliver_period(window, found)
    show_deliveries(run.summary, run.words)
    return code


def _act(run: Run, options: argparse.Namespace, window: Window | None) -> int:
    match options.command:
        case "run":
            return run.everything(window)
        case "ingest":
            run.ingest(window)
            return EXIT_DONE
        case "build":
            run.build(options.full_refresh)
            return run.exit_code
    return run.deliver()


def kept(summary: RunSummary | None) -> str:
    """What an interrupted command leaves, and how to go on."""
    at = summary.stages[-1] if summary and summary.stages else None
    if summary is None or at is None:
        return NOT_BEGUN
    match at.name, at.outcome:
        case "ingest", "failed":
            kept = (
                f"{summary.records_loaded:,} records of complete loads are kept."
                if summary.records_loaded
                else "Nothing new was loaded yet; what was there before is kept."
            )
            return f"{kept} The same command goes on from there."
        case "build", "failed":
            return (
                "All loaded records are kept, and the marts are whole: they show the last good build. "
                "`make build` builds again; so does the next `make run`."
            )
        case "deliver", "failed":
            delivered = ", ".join(delivery.name for delivery in summary.deliveries if delivery.ok)
            return (
                f"Loads and marts are complete and kept; delivered before: {delivered or 'nothing'}. "
                "`make deliver` delivers again."
            )
    return "What was done until then is kept. The same command does what is missing."
