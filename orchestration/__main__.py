"""The entry point: reads settings, sets up logging, runs a command, returns an exit code."""

import argparse
import ctypes
import logging
import multiprocessing
import os
import sys
from pathlib import Path

from ingestion.errors import IngestionError
from ingestion.warehouse import Warehouse
from ingestion.windows import Window
from orchestration import history, lock, wiring
from orchestration.commands import arguments, local, screen
from orchestration.commands import history as history_command
from orchestration.commands.check import check
from orchestration.commands.forget import forget
from orchestration.commands.metrics import metrics
from orchestration.commands.query import query
from orchestration.commands.report import report
from orchestration.commands.roles import roles
from orchestration.errors import EXIT_DONE, EXIT_STAGE_FAILED, EXIT_SUSPECT_DAY, GraderError, LockedError
from orchestration.logs import Tail, configure
from orchestration.patience import Patience
from orchestration.ping import ping
from orchestration.run import Run, mail_without_run
from orchestration.settings import SECRETS, Settings, ping_url_alone, read_settings

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
    is_pipeline = options.command in PIPELINE
    try:
        settings = read_settings()
        _hide_secrets_from_children(with_dbt=options.command in WITH_DBT)
        window = arguments.window_of(options) if "start" in options else None
        log = configure(settings.log_dir, settings.log_retention_days, settings.secrets, is_pipeline)
    except GraderError as error:
        if options.command == "run":
            ping(ping_url_alone(), "failure")
        print(error, file=sys.stderr)
        return error.exit_code
    try:
        if is_pipeline:
            return _pipeline(options, settings, window, *log)
        return _other(options, settings, window)
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
    """Run a command that changes the warehouse or delivers; whoever watches runs is told of `run`."""
    watched = settings.ping_url if options.command == "run" else None
    code = EXIT_STAGE_FAILED
    ping(watched, "start")
    try:
        code = _locked(options, settings, window, tail, log_file)
    except LockedError as error:
        code = error.exit_code
        raise
    finally:
        ping(watched, "success" if code in (EXIT_DONE, EXIT_SUSPECT_DAY) else "failure")
    return code


def _locked(options: argparse.Namespace, settings: Settings, window: Window | None, tail: Tail, log_file: Path) -> int:
    patience = Patience(settings.retry_for)
    try:
        warehouse, locked = _begin(options, settings, patience)
    except (GraderError, IngestionError) as error:
        # A nightly run that nobody watches would just be missing.
        if options.command == "run" and settings.send_mail and not sys.stderr.isatty():
            mail_without_run(settings, options.command, error, tail, log_file)
        raise
    with locked, screen.ingest_progress() as show_progress:
        run = Run(
            settings,
            warehouse,
            options.command,
            tail,
            log_file,
            locked.check,
            show_progress,
            locked.renew,
            patience,
        )
        with history.noted(warehouse, run.summary) as ended:
            code = ended.exit_code = _act(run, options, window)
    screen.show_summary(run.summary, run.words)
    return code


def _begin(options: argparse.Namespace, settings: Settings, patience: Patience) -> tuple[Warehouse, lock.PipelineLock]:
    """The warehouse and its lock, taken; an outage is waited out."""
    while True:
        try:
            warehouse = wiring.open_warehouse(settings)
            locked = lock.PipelineLock(warehouse, options.command, options.wait).take()
        except (GraderError, IngestionError) as error:
            if not patience.wait(options.command, error):
                raise
        else:
            patience.reset()
            return warehouse, locked


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


def _other(options: argparse.Namespace, settings: Settings, window: Window | None) -> int:
    match options.command:
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
        case "history":
            return history_command.history(settings, options.json)
        case "status":
            return history_command.status(settings, options.json)
        case "forget":
            return forget(settings, options.user_id, options.yes, options.wait)
        case "report":
            return report(settings, options.open)
        case "docs":
            return local.docs(settings, not options.no_serve, options.port)
        case "lineage":
            return local.lineage(settings, not options.no_serve, options.port)
        case "roles":
            return roles(wiring.open_warehouse(settings), options.apply)
    assert window is not None, "only `metrics` is left, and it needs a window"
    return metrics(settings, window, options.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
