"""`make history` and `make status`: the runs that were noted, and how the pipeline is."""

import json
import shutil
import sys
from collections.abc import Mapping
from datetime import date, datetime, timedelta, timezone
from typing import Any

from rich.console import Console
from rich.table import Table

from ingestion.warehouse import Warehouse, exists, fetch_rows
from ingestion.windows import local_midnight
from orchestration import ops, wiring
from orchestration.commands.screen import WIDE
from orchestration.deliver.words import Words
from orchestration.errors import EXIT_DONE, EXIT_STAGE_FAILED
from orchestration.settings import Settings

SHOWN = 30
STALE = timedelta(hours=36)
"""Data that goes no further than this many hours back is late: a nightly run was missed."""

RUNS = """
    select run_id, command, started_at, finished_at, extract(epoch from finished_at - started_at)::float8 as seconds,
        outcome, exit_code, reason, host, account, fetched, accepted, repeated, rejected, tests_warned, tests_failed,
        as_of_day, day_verdict, code_version, rules_version, dbt_version, dlt_version
    from ops.runs order by started_at desc limit %s
"""
STAGES = "select run_id, stage, outcome, seconds, detail from ops.run_stages where run_id = any(%s) order by position"
DELIVERIES = "select run_id, name, target, ok, detail, delivered_at from ops.deliveries where run_id = any(%s)"
Row = dict[str, Any]


def history(settings: Settings, as_json: bool) -> int:
    """Print the newest runs, as a table or one JSON list with stages and deliveries. Raises WarehouseError."""
    runs = read_runs(wiring.open_warehouse(settings))
    if as_json:
        print(json.dumps(runs, default=_as_text, ensure_ascii=False))
        return EXIT_DONE
    words = Words(settings.report_language)
    table = Table(box=None, pad_edge=False)
    heads = {"started": "left", "command": "left", "outcome": "left", "took": "right", "fetched": "right"}
    for name, side in (*heads.items(), ("day", "left"), ("verdict", "left"), ("stages", "left")):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for run in runs:
        stages = ", ".join(f"{stage['stage']} {words.seconds(stage['seconds'])}" for stage in run["stages"])
        table.add_row(
            f"{run['started_at'].astimezone(settings.report_timezone):%Y-%m-%d %H:%M}",
            run["command"],
            run["outcome"],
            words.seconds(run["seconds"]) if run["seconds"] is not None else "",
            words.count(run["fetched"]) if run["fetched"] is not None else "",
            str(run["as_of_day"] or ""),
            run["day_verdict"] or "",
            run["reason"] or stages,
        )
    width = None if sys.stdout.isatty() else WIDE
    console = Console(highlight=False, soft_wrap=True, width=width)
    console.print(table if runs else "No run was noted yet: `make run` is the first.")
    return EXIT_DONE


def read_runs(warehouse: Warehouse, most: int = SHOWN) -> list[Row]:
    """The newest runs with their stages and deliveries, newest first. Raises WarehouseError."""
    with warehouse.session("grader-elt history") as cursor:
        if not ops.is_there(cursor):
            return []
        cursor.execute(RUNS, (most,))
        runs = fetch_rows(cursor)
        ids = [run["run_id"] for run in runs]
        for name, query in (("stages", STAGES), ("deliveries", DELIVERIES)):
            cursor.execute(query, (ids,))
            found = fetch_rows(cursor)
            for run in runs:
                run[name] = [
                    {key: value for key, value in row.items() if key != "run_id"}
                    for row in found
                    if row["run_id"] == run["run_id"]
                ]
    return runs


def status(settings: Settings, as_json: bool) -> int:
    """Print how the pipeline is; exits with 1 when somebody should look. Raises WarehouseError."""
    found = read_status(settings, datetime.now(timezone.utc))
    if as_json:
        print(json.dumps(found, default=_as_text, ensure_ascii=False))
    else:
        for line in _lines(found, settings, Words(settings.report_language)):
            print(line)
    return EXIT_STAGE_FAILED if found["problems"] else EXIT_DONE


def read_status(settings: Settings, now: datetime) -> Row:
    """The last run, how fresh the data is, when more is due, and room; `problems` in words."""
    warehouse = wiring.open_warehouse(settings)
    runs = [run for run in read_runs(warehouse) if run["outcome"] != "running"]
    as_of_day, covered_until = _as_of(warehouse)
    today = now.astimezone(settings.report_timezone).date()
    due_now = as_of_day is None or as_of_day < today - timedelta(days=1)
    next_due = now if due_now else local_midnight(today + timedelta(days=1), settings.report_timezone)
    [(size,)] = warehouse.query("select pg_database_size(current_database())")
    free = {
        name: shutil.disk_usage(folder).free
        for name, folder in (("STATE_DIR", settings.state_dir), ("LOG_DIR", settings.log_dir))
        if folder.exists()
    }
    found: Row = {
        "last_run": runs[0] if runs else None,
        "last_good_run": next((run for run in runs if run["outcome"] in ("done", "suspect day")), None),
        "as_of_day": as_of_day,
        "covered_until": covered_until,
        "next_due": next_due,
        "database_bytes": size,
        "free_bytes": free,
        "warehouse": warehouse.label,
    }
    return found | {"problems": _problems(found, now)}


def _as_of(warehouse: Warehouse) -> tuple[date | None, datetime | None]:
    with warehouse.session() as cursor:
        if not exists(cursor, "marts.as_of"):
            return None, None
        cursor.execute("select as_of_day, covered_until from marts.as_of")
        rows = cursor.fetchall()
    return rows[0] if rows else (None, None)


def _problems(found: Mapping[str, Any], now: datetime) -> list[str]:
    problems = []
    run = found["last_run"]
    if run is None:
        problems.append("no run was noted yet")
    elif run["outcome"] not in ("done", "suspect day"):
        reason = f": {run['reason']}" if run["reason"] else ""
        problems.append(f"the last run ended as '{run['outcome']}'{reason}")
    elif run["day_verdict"] == "suspect":
        problems.append(f"the last full day, {run['as_of_day']}, is suspect")
    if found["covered_until"] is not None and now - found["covered_until"] > STALE:
        problems.append(f"the data ends {found['covered_until']:%Y-%m-%d %H:%M} UTC: a run was missed")
    problems += [f"{name} has less than 1 GiB left" for name, free in found["free_bytes"].items() if free < 1 << 30]
    return problems


def _lines(found: Mapping[str, Any], settings: Settings, words: Words) -> list[str]:
    def moment(value: datetime | None) -> str:
        return words.moment(value.astimezone(settings.report_timezone)) if value else "–"

    run, good = found["last_run"], found["last_good_run"]
    free = ", ".join(f"{name} {free / 2**30:,.1f} GiB" for name, free in found["free_bytes"].items())
    lines = [
        f"last run   {run['command']}, {run['outcome']}, {moment(run['started_at'])}" if run else "last run   none",
        f"last good  {moment(good['started_at']) if good else 'none'}",
        f"data       up to {moment(found['covered_until'])}; last full day {found['as_of_day'] or '–'}",
        f"next due   {moment(found['next_due'])}",
        f"warehouse  {found['warehouse']}, {found['database_bytes'] / 2**20:,.0f} MiB",
        f"disk free  {free or '–'}",
    ]
    return [*lines, *(f"PROBLEM    {problem}" for problem in found["problems"])]


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)
