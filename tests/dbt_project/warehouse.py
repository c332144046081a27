"""A warehouse for the models: loads written straight into raw, dbt run on them, what came of it
read back.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg2.extensions
from psycopg2.extras import RealDictCursor, execute_values

from ingestion import raw
from ingestion.warehouse import Warehouse
from orchestration.build.dbt import Build, Dbt
from tests.dbt_project.oracle import Answer
from tests.dbt_project.oracle_rules import micros, stored

MOSCOW = ZoneInfo("Europe/Moscow")
_TIMESTAMPTZ = 1184
_FOUR_CENTURIES = 146_097 * 86_400_000_000
# What dlt keeps of its loads, as it makes the table.
_DLT_LOADS = """
    create table if not exists raw._dlt_loads (
        load_id varchar not null, schema_name varchar, status bigint not null,
        inserted_at timestamptz not null, schema_version_hash varchar
    )
"""
_DROP_EVERY_SCHEMA = """
    do $$ declare name text; begin
        for name in select nspname from pg_namespace
            where nspname not in ('public', 'information_schema') and nspname not like 'pg\\_%'
                -- nor those of extensions
                and not exists (select from pg_depend where objid = pg_namespace.oid and deptype = 'e')
        loop execute format('drop schema %I cascade', name); end loop;
    end $$
"""
_EVERY_COLUMN = {
    "staging.stg_grader__attempts": "record_no",
    "staging.int_learner_course_days": "user_id, course_key, activity_date",
    "marts.attempts": "attempt_id",
    "marts.rejected_attempts": "rejected_record_id",
    "marts.learner_tasks": "user_id, task_id",
    "marts.as_of": "as_of_day",
    "marts.daily_metrics": "activity_date",
    "marts.load_receipts": "_dlt_load_id",
}


class Models:
    """One database with the project's models; `zone` is the report zone of the next build."""

    def __init__(self, warehouse: Warehouse, state_dir: Path) -> None:
        self.warehouse = warehouse
        self.state_dir = state_dir
        self.zone = MOSCOW

    @property
    def dbt(self) -> Dbt:
        return Dbt(self.warehouse, self.zone, self.state_dir)

    def reset(self, zone: ZoneInfo = MOSCOW) -> None:
        """Leave an empty raw schema and nothing else."""
        self.zone = zone
        self.execute(_DROP_EVERY_SCHEMA)
        raw.prepare(self.warehouse)
        self.execute(_DLT_LOADS)

    def load(self, answers: Iterable[Answer], finished: bool = True) -> str:
        """Write a load as the ingestion does, without its mark unless `finished`; returns its id."""
        calls = [
            (*answer.window(number), answer.fetched_at, [json.dumps(stored(record)) for record in answer.records])
            for number, answer in enumerate(answers)
        ]
        return self._write(calls, finished)

    def load_texts(self, answers: Sequence[tuple[datetime, Sequence[str]]], finished: bool = True) -> str:
        """The same from the JSON texts of records that jsonb can hold."""
        calls = [
            (fetched_at - timedelta(days=1 + number), fetched_at, fetched_at, texts)
            for number, (fetched_at, texts) in enumerate(answers)
        ]
        return self._write(calls, finished)

    def _write(self, calls: Iterable[tuple[datetime, datetime, datetime, Sequence[str]]], finished: bool) -> str:
        load_id = f"1700000000.{secrets.token_hex(4)}"
        with closing(self.warehouse.connect()) as connection, connection, connection.cursor() as cursor:
            for window_start, window_end, fetched_at, texts in calls:
                execute_values(
                    cursor,
                    "insert into raw.attempts (record, fetched_at, _dlt_load_id) values %s",
                    [(text, fetched_at, load_id) for text in texts],
                    "(%s::jsonb, %s, %s)",
                    page_size=1000,
                )
                cursor.execute(
                    """
                    insert into raw.fetches (window_start, window_end, records, fetched_at, _dlt_load_id)
                    values (%s, %s, %s, %s, %s)
                    """,
                    (window_start, window_end, len(texts), fetched_at, load_id),
                )
            if finished:
                cursor.execute("insert into raw._dlt_loads values (%s, 'grader', 0, now(), 'hash')", (load_id,))
        return load_id

    def build(self, full_refresh: bool = False) -> Build:
        """Build all models; the test fails when anything does."""
        build = self.dbt.build(full_refresh)
        assert not build.failures, build.failures
        return build

    def execute(self, statement: str, values: Sequence[Any] = ()) -> None:
        with closing(self.warehouse.connect()) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement, values or None)

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Rows by column name; instants as microseconds since 1970, because PostgreSQL knows later
        ones than Python.
        """
        with closing(self.warehouse.connect(options="-c timezone=UTC")) as connection:
            psycopg2.extensions.register_type(_INSTANT, connection)
            with connection.cursor(cursor_factory=RealDictCursor) as cursor:
                cursor.execute(query, values or None)
                return [dict(row) for row in cursor.fetchall()]

    def everything(self) -> dict[str, list[dict[str, Any]]]:
        """Every row and every column, bookkeeping included, of all that is kept from build to
        build.
        """
        return {table: self.rows(f"select * from {table} order by {order}") for table, order in _EVERY_COLUMN.items()}


def _instant(text: str | bytes | None, _cursor: object) -> int | None:
    if not isinstance(text, str):
        return None
    year, rest = text.split("-", 1)
    if int(year) <= 9999:
        return micros(datetime.fromisoformat(text))
    return micros(datetime.fromisoformat(f"{int(year) - 400}-{rest}")) + _FOUR_CENTURIES


_INSTANT = psycopg2.extensions.new_type((_TIMESTAMPTZ,), "INSTANT", _instant)
