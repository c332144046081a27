"""The entry point: reads the settings, configures logging, runs one command, turns errors into exit codes."""

from __future__ import annotations

import argparse
import ctypes
import json
import logging
import multiprocessing
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from ingestion.windows import Window
from orchestration import lock, wiring
from orchestration.build.dbt import Dbt
from orchestration.commands import arguments, local, screen
from orchestration.commands.check import check
from orchestration.commands.metrics import period_metrics
from orchestration.commands.roles import roles
from orchestration.errors import EXIT_DONE, EXIT_STAGE_FAILED, GraderError, SettingsError
from orchestration.logs import Tail, configure
from orchestration.run import Run
from orchestration.settings import SECRETS, Settings, read_settings

logger = logging.getLogger(__name__)

# glibc's malloc.h
_M_ARENA_MAX = -8

PIPELINE = ("run", "ingest", "build", "deliver")
WITH_DBT = ("run", "build", "metrics", "docs")


def main(argv: list[str]) -> int:
    """Run one command; returns the process's exit code. A reader of the output that has seen enough ends it quietly."""
    try:
        code = _command(argv)
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still in the buffer has to go somewhere when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_STAGE_FAILED
    return code


def _use_one_heap() -> None:
    """Have all threads take memory from one heap.

    glibc gives each thread its own, which keeps what the API's answers took when dbt needs memory. Other C libraries have no
    such function, and no need of it.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_M_ARENA_MAX, 1)


def _command(argv: list[str]) -> int:
    # Everything this process makes may hold learners' data.
    os.umask(0o077)
    _use_one_heap()
    options = arguments.parse(argv)
    try:
        settings = read_settings()
        _keep_from_children(SECRETS, options.command in WITH_DBT)
        window = arguments.window_of(options) if "start" in options else None
        tail, log_file = _configure(settings, verbose=options.command in PIPELINE)
    except GraderError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    try:
        if options.command not in PIPELINE:
            return _other(options, settings, window)
        with ExitStack() as stack:
            warehouse = wiring.open_warehouse(settings)
            held = stack.enter_context(lock.pipeline_lock(warehouse, options.command, options.wait))
            show_progress = stack.enter_context(screen.ingest_progress())
            run = Run(settings, warehouse, options.command, tail, log_file, held.check, show_progress)
            code = _stages(run, options, window)
        screen.show_summary(run.summary)
        return code
    except GraderError as error:
        logger.error("%s", error)
        return error.exit_code
    except KeyboardInterrupt:
        logger.error("%s: interrupted; the next run takes up what is missing", options.command)
        return EXIT_STAGE_FAILED
    except Exception as error:
        if isinstance(error, BrokenPipeError) and options.command not in PIPELINE:
            raise
        logger.exception("%s: unexpected error", options.command)
        return EXIT_STAGE_FAILED


def _keep_from_children(secrets: Sequence[str], with_dbt: bool) -> None:
    """What this process starts gets its own environment less the secrets, which are read.

    dbt puts the database's password in again, for itself; the helper that Python starts for dbt's locks is started before.
    """
    for name in secrets:
        os.environ.pop(name, None)
    if with_dbt:
        multiprocessing.get_context("spawn").Lock()


def _configure(settings: Settings, verbose: bool) -> tuple[Tail, Path]:
    try:
        return configure(settings.log_dir, settings.log_retention_days, settings.secrets, verbose)
    except OSError as error:
        reason = error.strerror
    raise SettingsError(f"LOG_DIR should be a folder that can be written: {settings.log_dir}: {reason}")


def _stages(run: Run, options: argparse.Namespace, window: Window | None) -> int:
    if options.command == "run":
        return run.everything(window)
    if options.command == "deliver":
        return run.deliver()
    if options.command == "ingest":
        run.ingest(window)
    else:
        run.build(options.full_refresh)
    return EXIT_DONE


def _other(options: argparse.Namespace, settings: Settings, window: Window | None) -> int:
    match options.command:
        case "check":
            return EXIT_DONE if check(settings) else EXIT_STAGE_FAILED
        case "db":
            return local.start_database(settings)
        case "db-stop":
            return local.stop_database(settings)
        case "psql":
            return local.psql(settings, options.arguments)
        case "docs":
            return local.docs(settings, not options.no_serve, options.port)
        case "roles":
            return roles(wiring.open_warehouse(settings), options.apply)
        case "metrics" if window is not None:
            warehouse = wiring.open_warehouse(settings)
            dbt = Dbt(warehouse, settings.report_timezone, settings.state_dir)
            found = period_metrics(dbt, warehouse, window)
            bounds = {"start": window.start.isoformat(), "end": window.end.isoformat()}
            if options.json:
                print(json.dumps({**bounds, **found}))
            else:
                screen.show_metrics(
                    f"{window.start:%Y-%m-%d %H:%M:%S} to {window.end:%Y-%m-%d %H:%M:%S} UTC", found
                )
            return EXIT_DONE
    raise SettingsError(f"{options.command} is not a command.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
