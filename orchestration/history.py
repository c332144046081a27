"""The history of runs: one row a run in `ops.runs`, with its stages and tests.

A run is noted when it begins and again when it ends, so one that was killed is there as well. A
warehouse that takes no notes stops no run.
"""

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from psycopg2.extras import execute_values

from ingestion.errors import IngestionError, WarehouseError
from ingestion.warehouse import Warehouse
from orchestration import ops
from orchestration.build.dbt import rules_version
from orchestration.errors import EXIT_STAGE_FAILED, GraderError
from orchestration.settings import ROOT
from orchestration.summary import RunSummary

logger = logging.getLogger(__name__)

KEPT = timedelta(days=366)


@dataclass
class Ended:
    """What a noted run ended with, for its block to fill in."""

    exit_code: int = EXIT_STAGE_FAILED


@contextmanager
def noted(warehouse: Warehouse, summary: RunSummary) -> Iterator[Ended]:
    """Note a run from its begin to its end, whatever ends it. The caller holds the lock."""
    begin(warehouse, summary)
    ended, outcome, reason = Ended(), "failed", None
    try:
        yield ended
        outcome, reason = summary.outcome, summary.failure
    except KeyboardInterrupt:
        outcome = "interrupted"
        raise
    except Exception as error:
        reason = str(error) if isinstance(error, (GraderError, IngestionError)) else type(error).__name__
        raise
    finally:
        end(warehouse, summary, outcome, ended.exit_code, reason)


def begin(warehouse: Warehouse, summary: RunSummary) -> None:
    """Note that a run began. The caller holds the lock, so whatever still seems to be running was killed."""
    row = {
        "run_id": summary.run_id,
        "command": summary.command,
        "started_at": summary.started_at,
        "outcome": "running",
        "host": socket.gethostname(),
        "account": ops.account(),
        "is_demo": summary.demo,
        **_versions(),
    }
    try:
        with ops.noting(warehouse) as cursor:
            cursor.execute("update ops.runs set outcome = 'killed' where outcome = 'running'")
            columns = ", ".join(row)
            values = ", ".join(f"%({name})s" for name in row)
            cursor.execute(f"insert into ops.runs ({columns}) values ({values})", row)  # noqa: S608 our own names
    except WarehouseError as error:
        logger.warning("the run could not be noted in ops.runs: %s", error)


def end(warehouse: Warehouse, summary: RunSummary, outcome: str, exit_code: int, reason: str | None) -> None:
    """Note how a run ended, with its stages and tests; remove what is older than a year."""
    row = _ended(summary) | {"outcome": outcome, "exit_code": exit_code, "reason": reason}
    stages = [
        (summary.run_id, number, stage.name, stage.outcome, stage.seconds, stage.detail)
        for number, stage in enumerate(summary.stages, start=1)
    ]
    results = summary.tests.results if summary.tests else ()
    tests = {
        result.name: (summary.run_id, result.name, result.status, result.failures, result.message) for result in results
    }
    try:
        with ops.noting(warehouse) as cursor:
            updates = ", ".join(f"{name} = %({name})s" for name in row)
            update = f"update ops.runs set finished_at = now(), {updates} where run_id = %(run_id)s"  # noqa: S608
            cursor.execute(update, row | {"run_id": summary.run_id})
            if cursor.rowcount:
                execute_values(cursor, "insert into ops.run_stages values %s", stages) if stages else None
                execute_values(cursor, "insert into ops.run_tests values %s", [*tests.values()]) if tests else None
            cursor.execute("delete from ops.runs where started_at < now() - %s", (KEPT,))
            cursor.execute("delete from ops.deliveries where delivered_at < now() - %s", (KEPT,))
    except WarehouseError as error:
        logger.warning("the run's end could not be noted in ops.runs: %s", error)


def _ended(summary: RunSummary) -> dict[str, Any]:
    loads, tests, verdict = summary.loads, summary.tests, summary.verdict
    return {
        "fetched": loads.fetched if loads else None,
        "accepted": loads.accepted if loads else None,
        "repeated": loads.repeated if loads else None,
        "rejected": loads.rejected if loads else None,
        "tests_passed": tests.passed if tests else None,
        "tests_warned": tests.warned if tests else None,
        "tests_failed": tests.failed if tests else None,
        "tests_skipped": tests.skipped if tests else None,
        "as_of_day": verdict.day if verdict else None,
        "day_verdict": verdict.verdict if verdict else None,
    }


def _versions() -> dict[str, str | None]:
    return {
        "code_version": _commit(),
        "rules_version": rules_version(),
        "dbt_version": _package("dbt-core"),
        "dlt_version": _package("dlt"),
    }


def _package(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the code, from the files of a git clone; None elsewhere."""
    git = ROOT / ".git"
    try:
        head = (git / "HEAD").read_text("ascii").strip()
        if head.startswith("ref: "):
            ref = head.removeprefix("ref: ")
            file, packed = git / ref, git / "packed-refs"
            lines = [file.read_text("ascii")] if file.exists() else packed.read_text("ascii").splitlines()
            head = next((line.split()[0] for line in lines if file.exists() or line.endswith(f" {ref}")), "")
    except (OSError, UnicodeDecodeError):
        return None
    return head[:12] or None
