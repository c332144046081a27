"""The entry point: reads settings, sets up logging, runs a command, returns an exit code.

What the commands need is imported when one begins: it takes half a second, and whoever typed the
command should see at once that it was heard.
"""

import argparse
import ctypes
import logging
import multiprocessing
import os
import sys
import uuid
from pathlib import Path

from ingestion.errors import IngestionError
from ingestion.windows import Window
from orchestration.commands import arguments
from orchestration.errors import EXIT_DONE, EXIT_STAGE_FAILED, GraderError
from orchestration.interrupt import NOT_BEGUN, in_order
from orchestration.logs import Tail, configure
from orchestration.settings import SECRETS, Settings, ping_url_alone, read_settings, shown_path

logger = logging.getLogger(__name__)

PIPELINE = ("run", "ingest", "build", "deliver")
WITH_DBT = ("run", "build", "metrics", "query", "docs", "lineage")


def main(argv: list[str]) -> int:
    """Run one command; returns the exit code. A closed output ends it quietly."""
    try:
        with in_order():
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
    is_preview = "dry_run" in options and options.dry_run
    is_pipeline = options.command in PIPELINE and not is_preview
    run_id = uuid.uuid4().hex[:12] if is_pipeline else ""
    try:
        settings = read_settings()
        window = arguments.window_of(options, settings.report_timezone) if "start" in options else None
        tail, log_file = configure(
            settings.log_dir,
            settings.log_retention_days,
            settings.secrets,
            run_id or options.command,
            stages=is_pipeline,
            verbose=settings.verbose,
        )
    except GraderError as error:
        if options.command == "run":
            from orchestration.ping import ping

            ping(ping_url_alone(), "failure")
        print(error, file=sys.stderr)
        return error.exit_code
    if is_pipeline and sys.stderr.isatty():
        print(f"{options.command} {run_id} begins; its log is {shown_path(log_file)}", file=sys.stderr)
    for warning in settings.warnings:
        logger.warning("%s", warning)
    try:
        _hide_secrets_from_children(with_dbt=options.command in WITH_DBT)
        if is_pipeline:
            from orchestration.commands.pipeline import pipeline

            return pipeline(options, settings, window, tail, log_file, run_id)
        return _other(options, settings, window, tail, log_file)
    except (GraderError, IngestionError) as error:
        logger.error("%s", error)
        return error.exit_code if isinstance(error, GraderError) else EXIT_STAGE_FAILED
    except KeyboardInterrupt:
        logger.warning("%s interrupted.%s", options.command, f" {NOT_BEGUN}" if is_pipeline else "")
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


def _other(options: argparse.Namespace, settings: Settings, window: Window | None, tail: Tail, log_file: Path) -> int:
    match options.command:
        case "deliver":
            from orchestration.commands.pipeline import preview

            return preview(settings, tail, log_file)
        case "check":
            from orchestration.commands.check import check

            return check(settings, options.send)
        case "query":
            from orchestration.commands.query import query

            return query(settings, [argument for argument in options.arguments if argument != "--"])
        case "roles":
            from orchestration import wiring
            from orchestration.commands.roles import roles

            return roles(wiring.open_warehouse(settings), options.apply)
        case "metrics":
            from orchestration.commands.metrics import metrics, metrics_by

            assert window is not None, "`metrics` needs a window"
            if options.by:
                return metrics_by(settings, window, options.by, options.json)
            found = metrics(settings, window, options.json)
            if not options.sheet:
                return EXIT_DONE
            from orchestration.commands.pipeline import keep_period

            return keep_period(settings, window, found, tail, log_file)
        case "forget":
            from orchestration.commands.forget import forget

            return forget(settings, options.user_id, options.yes, options.wait)
        case "report":
            from orchestration.commands.report import report

            return report(settings, options.open)
        case "history":
            from orchestration.commands.history import history

            return history(settings, options.json)
        case "status":
            from orchestration.commands.history import status

            return status(settings, options.json)
    from orchestration.commands import local

    match options.command:
        case "db":
            return local.start_database(settings)
        case "db-stop":
            return local.stop_database(settings)
        case "psql":
            return local.psql(settings, options.arguments)
        case "schedule":
            from orchestration.commands.schedule import schedule

            return schedule(settings, options.at, options.apply)
        case "unschedule":
            from orchestration.commands.schedule import unschedule

            return unschedule(settings, options.apply)
        case "backup":
            from orchestration.commands.backup import backup

            return backup(settings)
        case "restore":
            from orchestration.commands.backup import restore

            return restore(settings, options.file, options.yes)
        case "db-upgrade":
            from orchestration.commands.backup import upgrade

            return upgrade(settings)
        case "docs":
            return local.docs(settings, not options.no_serve, options.port)
    assert options.command == "lineage"
    return local.lineage(settings, not options.no_serve, options.port)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
