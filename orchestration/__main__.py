"""The entry point: reads settings, sets up logging, runs a command, returns an exit code."""

import argparse
import ctypes
import logging
import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any

from ingestion.errors import IngestionError
from ingestion.windows import Window
from orchestration import lock, wiring
from orchestration.commands import arguments, local, screen
from orchestration.commands.check import check
from orchestration.commands.metrics import metrics
from orchestration.commands.query import query
from orchestration.commands.roles import roles
from orchestration.errors import EXIT_DONE, EXIT_STAGE_FAILED, GraderError
from orchestration.logs import Tail, configure
from orchestration.run import Run
from orchestration.settings import SECRETS, Settings, read_settings

logger = logging.getLogger(__name__)

PIPELINE = ("run", "ingest", "build", "deliver")
WITH_DBT = ("run", "build", "metrics", "query", "docs", "lineage")


def main(argv: list[str]) -> int:
    """Run one command; returns the exit code. A closed output ends it quietly."""
    try:
        code = _command(argv)
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still in the buffer has to go somewhere when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_STAGE_FAILED
    return code


def _command(argv: list[str]) -> int:
    # Every file this process creates may hold learners' data.
    os.umask(0o077)
    _use_one_heap()
    options = arguments.parse(argv)
    dry = "dry_run" in options and options.dry_run
    is_pipeline = options.command in PIPELINE and not dry
    try:
        settings = read_settings()
        _hide_secrets_from_children(with_dbt=options.command in WITH_DBT)
        window = arguments.window_of(options) if "start" in options else None
        log = configure(settings.log_dir, settings.log_retention_days, settings.secrets, is_pipeline)
    except GraderError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    try:
        if is_pipeline:
            return _pipeline(options, settings, window, *log)
        return _other(options, settings, window, *log)
    except (GraderError, IngestionError) as error:
        logger.error("%s", error)
        return error.exit_code if isinstance(error, GraderError) else EXIT_STAGE_FAILED
    except KeyboardInterrupt:
        logger.error("%s: interrupted; the next run does what is missing", options.command)
        return EXIT_STAGE_FAILED
    except Exception as error:
        if isinstance(error, BrokenPipeError) and not is_pipeline:
            raise
        logger.exception("%s: unexpected error", options.command)
        return EXIT_STAGE_FAILED


def _use_one_heap() -> None:
    """Have all threads share a heap: one for each, as in glibc, keeps memory that dbt needs later."""
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        arena_max = -8  # M_ARENA_MAX in glibc's malloc.h
        set_option(arena_max, 1)


def _hide_secrets_from_children(with_dbt: bool) -> None:
    """Remove the secrets, which are read by now, from the environment that child processes inherit.

    The helper process that Python starts for dbt's locks is started before dbt gets the password again.
    """
    for name in SECRETS:
        os.environ.pop(name, None)
    if with_dbt:
        multiprocessing.get_context("spawn").Lock()


def _pipeline(
    options: argparse.Namespace, settings: Settings, window: Window | None, tail: Tail, log_file: Path
) -> int:
    code = EXIT_DONE
    warehouse = wiring.open_warehouse(settings)
    locked = lock.pipeline_lock(warehouse, options.command, options.wait)
    with locked as check_lock, screen.ingest_progress() as show_progress:
        run = Run(settings, warehouse, options.command, tail, log_file, check_lock, show_progress)
        match options.command:
            case "run":
                code = run.everything(window)
            case "ingest":
                run.ingest(window)
            case "build":
                run.build(options.full_refresh)
                code = run.exit_code
            case "deliver":
                code = run.deliver()
    screen.show_summary(run.summary, run.words)
    return code


def _other(options: argparse.Namespace, settings: Settings, window: Window | None, tail: Tail, log_file: Path) -> int:
    match options.command:
        case "deliver":
            return _preview(settings, tail, log_file)
        case "check":
            return check(settings)
        case "db":
            return local.start_database(settings)
        case "db-stop":
            return local.stop_database(settings)
        case "psql":
            return local.psql(settings, options.arguments)
        case "query":
            return query(settings, [argument for argument in options.arguments if argument != "--"])
        case "docs":
            return local.docs(settings, not options.no_serve, options.port)
        case "lineage":
            return local.lineage(settings, not options.no_serve, options.port)
        case "roles":
            return roles(wiring.open_warehouse(settings), options.apply)
    assert window is not None, "only `metrics` is left, and it needs a window"
    found = metrics(settings, window, options.json)
    return _keep(settings, window, found, tail, log_file) if options.sheet else EXIT_DONE


def _preview(settings: Settings, tail: Tail, log_file: Path) -> int:
    """What `deliver` would change in the spreadsheet; nobody is kept away meanwhile, and nothing is sent."""
    warehouse = wiring.open_warehouse(settings)
    run = Run(settings, warehouse, "deliver", tail, log_file, lambda: None)
    target, changes = run.preview()
    screen.show_changes(target, changes, run.words)
    return EXIT_DONE


def _keep(settings: Settings, window: Window, found: dict[str, Any], tail: Tail, log_file: Path) -> int:
    """Put a window's metrics into the spreadsheet; says on standard error where they are."""
    warehouse = wiring.open_warehouse(settings)
    with lock.pipeline_lock(warehouse, "metrics") as check_lock:
        run = Run(settings, warehouse, "metrics", tail, log_file, check_lock)
        code = run.deliver_period(window, found)
    screen.show_deliveries(run.summary, run.words)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
