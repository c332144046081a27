"""Runs dbt inside this process: its events go to our log, its results come back as values."""

from __future__ import annotations

import csv
import getpass
import logging
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import psycopg2
import yaml
from psycopg2 import sql

from ingestion.errors import WarehouseError
from ingestion.warehouse import Warehouse, exists
from orchestration.build.one_transaction import Session, one_transaction
from orchestration.build.retention import Gone, gone_from_raw
from orchestration.build.samples import keep_failures, sample_rows, stored_failures
from orchestration.errors import StageError
from orchestration.interrupt import cancelled_by_interrupt, was_pressed
from orchestration.settings import ROOT
from orchestration.summary import Step, TestCounts, TestResult

if TYPE_CHECKING:
    from dbt.artifacts.schemas.run import RunExecutionResult
    from dbt.cli.main import dbtRunnerResult

logger = logging.getLogger(__name__)

PROJECT = ROOT / "dbt_project"
TEAM = "models/team"
"""Where analysts' own models are, which are built after the core and never stop it."""
NO_RECEIPTS = "there are no receipts yet"


@dataclass(frozen=True)
class Build:
    """What a build did, and what stopped it, if anything; `results` are dbt's own.

    `rebuilt`: everything was made from raw.
    """

    models: int
    tests: TestCounts
    failures: tuple[str, ...]
    results: tuple[Any, ...] = ()
    rebuilt: bool = False


def dbt_environment(warehouse: Warehouse, zone: ZoneInfo) -> dict[str, str]:
    """What `profiles.yml` and the models read; the password's name has dbt's prefix for secrets."""
    analyst = re.sub(r"\W+", "_", _user().lower())
    return {
        "GRADER_DBT_HOST": warehouse.host,
        "GRADER_DBT_PORT": str(warehouse.port),
        "GRADER_DBT_DBNAME": warehouse.dbname,
        "GRADER_DBT_USER": warehouse.user,
        "GRADER_DBT_SSLMODE": warehouse.sslmode,
        "GRADER_DBT_SCHEMA": os.environ.get("GRADER_DBT_SCHEMA") or f"dev_{analyst}",
        "DBT_ENV_SECRET_GRADER_PASSWORD": warehouse.password,
        "REPORT_TIMEZONE": zone.key,
        "WAREHOUSE_DISTRIBUTED": "1" if warehouse.distributed else "0",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DO_NOT_TRACK": "1",
    }


def rebuild_reason(warehouse: Warehouse, marts: str, zone: ZoneInfo) -> str | None:
    """Why the marts in the schema `marts` have to be rebuilt from raw, if they have to.

    Their receipts say with which rules and days of which zone they were built, the seed beside them
    whom they leave out, the staging schema whether it was on one machine or several; without receipts it
    is NO_RECEIPTS. Raises WarehouseError.
    """
    rules = rules_version()
    prefix = marts.removesuffix("marts")
    learners, staged = f"{prefix}learners", f"{prefix}staging.stg_grader__attempts"
    with warehouse.session() as cursor:
        if not exists(cursor, f"{marts}.load_receipts"):
            return NO_RECEIPTS
        # as JSON, because receipts of an earlier version may lack a column
        cursor.execute(
            sql.SQL(
                "select distinct to_jsonb(receipts) ->> 'rules_version', to_jsonb(receipts) ->> 'report_timezone'"
                " from {}.load_receipts as receipts"
            ).format(sql.Identifier(marts))
        )
        published = cursor.fetchall()
        cursor.execute(
            "select exists (select from pg_catalog.pg_attribute where attrelid = there and attname = 'shard_key')"
            " from to_regclass(%s) as there where there is not null",
            (staged,),
        )
        is_staged_in_shards = cursor.fetchall()
        excluded: set[str] = set()
        if exists(cursor, f"{learners}.excluded_learners"):
            cursor.execute(sql.SQL("select user_id from {}.excluded_learners").format(sql.Identifier(learners)))
            excluded = {user_id for (user_id,) in cursor.fetchall()}
    if any(version != rules for version, _ in published):
        return f"the rules are version {rules} now"
    if any(name != zone.key for _, name in published):
        return f"days are those of {zone.key} now"
    if is_staged_in_shards and is_staged_in_shards != [(warehouse.distributed,)]:
        return f"the warehouse is on {'several machines' if warehouse.distributed else 'one machine'} now"
    if excluded != excluded_learners():
        return "the seed excluded_learners is another now"
    return None


def rules_version() -> str:
    """The version of the rules that the next build judges by."""
    return str(yaml.safe_load((PROJECT / "dbt_project.yml").read_text("utf-8"))["vars"]["rules_version"])


def excluded_learners() -> set[str]:
    """The users of the seed `excluded_learners`, which the next build will leave out."""
    with (PROJECT / "seeds" / "excluded_learners.csv").open(encoding="utf-8", newline="") as seed:
        return {row["user_id"] for row in csv.DictReader(seed)}


class Dbt:
    """dbt on production's target, for one warehouse."""

    def __init__(self, warehouse: Warehouse, zone: ZoneInfo, state_dir: Path) -> None:
        self.warehouse = warehouse
        self.zone = zone
        self.environment = dbt_environment(warehouse, zone)
        self.target_path = state_dir / "dbt"
        self._project = PROJECT
        self._unreadable: TestResult | None = None

    def build(
        self,
        full_refresh: bool = False,
        before_publishing: Callable[[], None] = lambda: None,
        show_progress: Callable[[Step], None] = lambda _: None,
    ) -> Build:
        """Build and test every model of production, in one transaction; returns what failed.

        Others see what was built once every test has passed, everything at once; after a failure
        they keep what they had. Rebuilds from raw when asked to (`full_refresh`), or when the
        marts were built with other rules or another zone. `before_publishing` may raise to stop
        that; `show_progress` gets each node that begins. Raises StageError when dbt cannot even
        start, or the database is lost, or a rebuild would lose what raw no longer has.
        """
        try:
            reason = "asked to" if full_refresh else rebuild_reason(self.warehouse, "marts", self.zone)
            gone = gone_from_raw(self.warehouse) if reason else None
        except WarehouseError as error:
            raise StageError(f"The build could not start. {error}", outage=error.outage) from None
        if gone is not None:
            raise StageError(_cannot_rebuild(str(reason), gone))
        # Unit tests judge the code, not the data: they belong to `make test`. One thread, because
        # there is one session.
        arguments = ["build", "--exclude-resource-type", "unit_test", "--threads", "1"]
        if has_team_models():
            arguments += ["--exclude", f"path:{TEAM}+"]
        if reason:
            logger.info("build: rebuilding from raw: %s", reason)
            arguments.append("--full-refresh")
        show_progress(Step("build", "dbt reads the project"))
        manifest = self._parse_core()
        _refuse_hooks_outside(manifest)
        published = "Nothing was published"
        try:
            with one_transaction(self.warehouse) as session:
                with cancelled_by_interrupt(session.interrupt):
                    build = self._build(arguments, manifest, session, show_progress)
                failures = stored_failures(session, build.results) if build.failures else []
                if not build.failures:
                    before_publishing()
                    published = "Either everything was published or nothing"
                    session.publish()
            keep_failures(self.warehouse, failures)
            return replace(build, rebuilt=reason is not None)
        except psycopg2.Error as error:
            failure = self.warehouse.failure(error)
        raise StageError(f"The build failed. {failure} {published}.", outage=failure.outage)

    def build_team(self, full_refresh: bool = False) -> tuple[TestResult, ...]:
        """Build and test the analysts' own models, each in a transaction of its own; returns what failed.

        Never raises for them: the core is published by then, and stays.
        """
        if self._unreadable is not None:
            return (self._unreadable,)
        if not has_team_models():
            return ()
        arguments = ["build", "--select", f"path:{TEAM}+", "--exclude-resource-type", "unit_test"]
        result = self._invoke([*arguments, *(["--full-refresh"] if full_refresh else [])])
        if result.result is None:
            return (TestResult("models/team", "warn", 0, f"dbt could not build them: {_cause(result)}"),)
        return tuple(
            TestResult(each.node.name, "warn", each.failures or 0, _first_line(each.message), (), _described(each.node))
            for each in result.result.results
            if str(each.status) in ("fail", "error", "warn")
        )

    def _parse_core(self) -> Any:
        """The manifest; of a copy of the project without the team's models where they can't be read."""
        try:
            return self.parse("--no-write-json")
        except StageError as error:
            if not has_team_models():
                raise
            problem = str(error)
        self._project = self.target_path / "core_project"
        shutil.rmtree(self._project, ignore_errors=True)
        leave_out = shutil.ignore_patterns("target", "logs", ".*", "team")
        shutil.copytree(PROJECT, self._project, ignore=leave_out)
        manifest = self.parse("--no-write-json")
        logger.warning("build: without %s: %s", TEAM, problem)
        self._unreadable = TestResult(TEAM, "warn", 0, problem)
        return manifest

    def _build(
        self, arguments: list[str], manifest: Any, session: Session, show_progress: Callable[[Step], None]
    ) -> Build:
        """Build in the session. Raises StageError when it can't be published though no node failed."""
        result = self._invoke(arguments, manifest, partial(_show_node, show_progress))
        if session.closed:
            raise StageError(
                f"The connection to {self.warehouse.label} was lost during the build. Nothing was published: "
                "the marts keep the figures of the last good build. See the log and whether the server was "
                "restarted, then run again.",
                outage=True,
            )
        if session.lost is not None:
            raise StageError(str(session.lost))
        if result.result is None:
            raise StageError(f"dbt could not build: {_cause(result)}")
        build = _summarise(result.result, session)
        if not build.failures and not (result.success and session.can_publish):
            raise StageError(f"dbt did not build everything: {_cause(result)}. Nothing was published.")
        return build

    def parse(self, *options: str) -> Any:
        """dbt's manifest of the project; also written to `target_path`. Raises StageError."""
        result = self._invoke(["parse", *options])
        if not result.success:
            raise StageError(f"dbt could not read the project: {_cause(result)}")
        return result.result

    def compile_inline(self, sql: str) -> str:
        """Compile Jinja SQL against the project and return plain SQL. Raises StageError."""
        result = self._invoke(["compile", "--inline", sql, "--quiet"])
        if not result.success:
            raise StageError(f"dbt could not compile: {_cause(result)}")
        return str(result.result.results[0].node.compiled_code)

    def docs(self) -> Path:
        """Generate the docs site as one file; returns its path. Raises StageError."""
        result = self._invoke(["docs", "generate", "--static"])
        if not result.success:
            raise StageError(f"dbt could not generate the docs: {_cause(result)}")
        return self.target_path / "static_index.html"

    def _invoke(self, arguments: list[str], manifest: Any = None, *callbacks: Callable[[Any], None]) -> dbtRunnerResult:
        os.environ.update(self.environment)
        # Importing dbt takes as long as a small build; commands that don't need it shouldn't pay.
        from dbt.cli.main import dbtRunner

        self.target_path.mkdir(parents=True, exist_ok=True, mode=0o700)
        places = [
            *("--project-dir", str(self._project), "--profiles-dir", str(PROJECT), "--target", "prod"),
            *("--target-path", str(self.target_path), "--log-path", str(self.target_path)),
            *("--log-level", "none", "--log-level-file", "none", "--no-use-colors"),
        ]
        started = time.monotonic()
        result = dbtRunner(manifest=manifest, callbacks=[_log_event, *callbacks]).invoke([*arguments, *places])
        if was_pressed() or isinstance(result.exception, KeyboardInterrupt):
            # dbt returns it as its result, or what its own clearing up failed for.
            raise KeyboardInterrupt
        logger.debug("dbt %s took %.1f s", arguments[0], time.monotonic() - started)
        return result


def _cannot_rebuild(reason: str, gone: Gone) -> str:
    """Why there is no rebuild, and what can be done instead."""
    return (
        f"The marts would have to be rebuilt from raw ({reason}), but RETAIN_RAW_DAYS has removed the records of "
        f"{gone.loads:,} loads from there, up to that of {gone.last_loaded_at:%Y-%m-%d %H:%M} UTC: attempts, days and "
        "receipts that rest on them would be lost. Nothing was changed, the marts stay. What to do: take back the "
        "change (rules_version, REPORT_TIMEZONE, the seed excluded_learners), or restore raw.attempts and "
        "raw.removals from a backup. To begin again with what raw still has, `drop table marts.load_receipts`, "
        "then run again."
    )


def _refuse_hooks_outside(manifest: Any) -> None:
    """Raise StageError when a model has hooks that are to run outside of the build's transaction."""
    outside = [
        f"{node.unique_id}: {' '.join(hook.sql.split())}"
        for node in manifest.nodes.values()
        for hook in [*getattr(node.config, "pre_hook", []), *getattr(node.config, "post_hook", [])]
        if not hook.transaction
    ]
    if outside:
        raise StageError(
            f"A build is one transaction, so hooks can't run before or after it: {'; '.join(outside)}. "
            "Nothing was built. Let the hook run inside (`transaction: true`), or run its statement by a "
            "job of its own."
        )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "analyst"


def _cause(result: dbtRunnerResult) -> str:
    """dbt's own words on why it gave up, on one line."""
    text = str(result.exception) if result.exception else "see the log"
    return " ".join(text.split())


def _log_event(event: Any) -> None:
    """Pass on to the log every warning and error, and for who wants details a line for each model and test."""
    name, level, message = event.info.name, event.info.level, event.info.msg.strip()
    if name in ("LogModelResult", "LogTestResult", "LogHookEndLine") and level == "info":
        logger.debug("dbt: %s", message)
    elif level in ("warn", "error") and message and not was_pressed():
        logger.log(logging.WARNING if level == "warn" else logging.ERROR, "dbt: %s", message)


def _show_node(show_progress: Callable[[Step], None], event: Any) -> None:
    """Show the node that begins."""
    if event.info.name == "LogStartLine":
        data = event.data
        show_progress(Step("build", data.node_info.node_name, data.index - 1, data.total))


def _summarise(run: RunExecutionResult, session: Session) -> Build:
    counts: Counter[str] = Counter()
    models = 0
    notable: list[TestResult] = []
    failures: list[str] = []
    for result in run.results:
        kind, status = str(result.node.resource_type), str(result.status)
        name, message = result.node.name, _first_line(result.message)
        if kind == "test":
            counts[status] += 1
        elif kind == "model":
            models += status == "success"
        if kind == "test" and status in ("warn", "fail", "error"):
            query = None if status == "error" else result.node.compiled_code
            sample = sample_rows(session, query) if query else ()
            described = _described(result.node)
            notable.append(
                TestResult(
                    name,
                    status,  # type: ignore[arg-type]
                    result.failures or 0,
                    message,
                    sample,
                    described,
                )
            )
        if status in ("fail", "error"):
            failures.append(f"{kind} {name}: {message}")
    tests = TestCounts(
        passed=counts["pass"],
        warned=counts["warn"],
        failed=counts["fail"] + counts["error"],
        skipped=counts["skipped"],
        results=tuple(notable),
    )
    return Build(models, tests, tuple(failures), tuple(run.results))


def has_team_models() -> bool:
    """Whether analysts have put models into the folder for them."""
    return any((PROJECT / TEAM).rglob("*.sql"))


def _described(node: Any) -> str:
    return " ".join((node.description or "").split())


def _first_line(message: str | None) -> str:
    """dbt's messages go on with the compiled file's path; what failed is on the first lines."""
    lines = [line.strip() for line in (message or "").splitlines() if line.strip()]
    return " ".join(lines[:2]) if lines else "no message"
