"""`run`, `ingest`, `build`, `deliver`: the stages on the warehouse, alone there, before the terminal's eyes."""

import argparse
import logging
from pathlib import Path

from ingestion.windows import Window
from orchestration import lock, wiring
from orchestration.commands.progress import live_line
from orchestration.commands.screen import log_summary, show_summary
from orchestration.errors import EXIT_DONE, EXIT_STAGE_FAILED
from orchestration.interrupt import NOT_BEGUN
from orchestration.logs import Tail
from orchestration.run import Run
from orchestration.settings import Settings
from orchestration.summary import RunSummary, Step

logger = logging.getLogger(__name__)


def pipeline(
    options: argparse.Namespace, settings: Settings, window: Window | None, tail: Tail, log_file: Path, run_id: str
) -> int:
    """Run the command and show how it ended; returns the exit code. Raises GraderError, IngestionError."""
    summary: RunSummary | None = None
    try:
        with live_line() as show:
            show(Step("start", "the database"))
            warehouse = wiring.open_warehouse(settings)
            show(Step("start", "its turn on the database"))
            with lock.pipeline_lock(warehouse, options.command, options.wait) as check_lock:
                run = Run(
                    settings, warehouse, options.command, tail, log_file, check_lock, show_progress=show, run_id=run_id
                )
                summary = run.summary
                code = _act(run, options, window)
    except KeyboardInterrupt:
        logger.warning("%s interrupted. %s", options.command, kept(summary))
        return EXIT_STAGE_FAILED
    show_summary(run.summary, run.words, settings.verbose)
    log_summary(run.summary)
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
