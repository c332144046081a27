"""The raw schema's upkeep: nothing of a load that never ended stays, nothing whole is touched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from psycopg2.extensions import cursor as Cursor

from ingestion import raw
from ingestion.errors import WarehouseError
from ingestion.warehouse import Warehouse
from ingestion.windows import Window
from tests.ingestion.fake_api import instant, window

FETCHED = instant("2023-06-01")


@pytest.fixture
def prepared(warehouse: Warehouse) -> Iterator[Cursor]:
    """A prepared schema with dlt's table of loads, as it is after the first load."""
    raw.prepare(warehouse)
    with warehouse.session(autocommit=True) as cursor:
        cursor.execute("create table raw._dlt_loads (load_id varchar, status bigint)")
        yield cursor


def add_load(cursor: Cursor, load_id: str, ended: bool = True, records: int = 1, status: int = 0) -> None:
    if ended:
        cursor.execute("insert into raw._dlt_loads values (%s, %s)", (load_id, status))
    cursor.execute(
        "insert into raw.attempts (record, _dlt_load_id) select to_jsonb(n), %s from generate_series(1, %s) n",
        (load_id, records),
    )


def add_fetch(
    cursor: Cursor,
    load_id: str,
    got: Window,
    fetched_at: datetime = FETCHED,
    asked: Window | None = None,
    round_id: str = "r",
) -> None:
    asked = asked or got
    cursor.execute(
        "insert into raw.fetches"
        " (window_start, window_end, fetched_at, asked_start, asked_end, round, _dlt_load_id)"
        " values (%s, %s, %s, %s, %s, %s, %s)",
        (got.start, got.end, fetched_at, asked.start, asked.end, round_id, load_id),
    )


def rows(cursor: Cursor, query: str) -> list[tuple[Any, ...]]:
    cursor.execute(query)
    return list(cursor.fetchall())


def test_preparing_twice_changes_nothing(warehouse: Warehouse) -> None:
    assert raw.prepare(warehouse) == 0
    with warehouse.session(autocommit=True) as cursor:
        before = rows(cursor, "select oid, relname from pg_class order by oid")
    assert raw.prepare(warehouse) == 0
    with warehouse.session(autocommit=True) as cursor:
        assert rows(cursor, "select oid, relname from pg_class order by oid") == before


def test_an_older_schema_gets_what_it_lacks(warehouse: Warehouse) -> None:
    raw.prepare(warehouse)
    with warehouse.session(autocommit=True) as cursor:
        cursor.execute("alter table raw.fetches drop column round, drop column kept_as_text")
        cursor.execute("alter table raw.attempts drop column record_no")
        cursor.execute("insert into raw.attempts (record, _dlt_load_id) values ('1', 'a')")
        cursor.execute("alter table raw.watermark rename to settled")
    raw.prepare(warehouse)
    with warehouse.session(autocommit=True) as cursor:
        names = rows(cursor, "select attname from pg_attribute where attrelid = 'raw.fetches'::regclass")
        assert {("round",), ("kept_as_text",)} <= set(names)
        assert rows(cursor, "select count(record_no) from raw.attempts") == [(0,)]
        assert rows(cursor, "select to_regclass('raw.settled'), record_no from raw.watermark") == [(None, 1)]


def test_records_are_numbered_as_they_come_in(prepared: Cursor) -> None:
    add_load(prepared, "a", records=3)
    assert rows(prepared, "select record::int from raw.attempts order by record_no") == [(1,), (2,), (3,)]


def test_rows_of_loads_that_never_ended_are_removed(warehouse: Warehouse, prepared: Cursor) -> None:
    add_load(prepared, "whole", records=2)
    add_fetch(prepared, "whole", window("2023-04-01", "2023-04-02"))
    add_load(prepared, "broken", ended=False, records=3)
    add_fetch(prepared, "broken", window("2023-04-02", "2023-04-03"))
    add_load(prepared, "failed", status=1)
    add_load(prepared, "later", records=1)
    assert raw.prepare(warehouse) == 4
    kept = "select _dlt_load_id, count(*) from raw.attempts group by 1 order by 1"
    assert rows(prepared, kept) == [("later", 1), ("whole", 2)]
    assert rows(prepared, "select _dlt_load_id from raw.fetches") == [("whole",)]
    add_load(prepared, "by hand", ended=False)
    assert raw.prepare(warehouse) == 1
    assert rows(prepared, kept) == [("later", 1), ("whole", 2)]


def test_records_of_completed_loads_are_not_read_again(warehouse: Warehouse, prepared: Cursor) -> None:
    add_load(prepared, "whole", records=1000)
    raw.prepare(warehouse)
    prepared.execute("select record_no from raw.watermark")
    assert prepared.fetchall()[0][0] >= 1000


def test_rows_are_removed_even_when_no_load_ever_ended(warehouse: Warehouse) -> None:
    raw.prepare(warehouse)
    with warehouse.session(autocommit=True) as cursor:
        add_load(cursor, "broken", ended=False)
    assert raw.prepare(warehouse) == 1


def test_nothing_is_covered_before_the_first_load(warehouse: Warehouse) -> None:
    assert raw.coverage(warehouse) == []
    raw.prepare(warehouse)
    assert raw.coverage(warehouse) == []


def test_coverage_is_the_union_of_completed_loads_up_to_when_they_were_asked_for(
    warehouse: Warehouse, prepared: Cursor
) -> None:
    add_load(prepared, "a")
    add_fetch(prepared, "a", window("2023-04-01", "2023-04-02"))
    add_fetch(prepared, "a", window("2023-04-01T23:59:59.999999", "2023-04-03"))
    add_fetch(prepared, "a", window("2023-05-31", "9999-12-31T23:59:59.999999"))
    add_fetch(prepared, "a", window("2024-01-01", "2024-01-02"))
    add_load(prepared, "broken", ended=False)
    add_fetch(prepared, "broken", window("2023-04-03", "2023-04-30"))
    assert raw.coverage(warehouse) == [window("2023-04-01", "2023-04-03"), window("2023-05-31", "2023-06-01")]


def test_an_unfinished_round_is_resumed_and_a_finished_one_starts_over(prepared: Cursor) -> None:
    asked = window("2023-04-01", "2023-04-04")
    first, rest = raw.open_round(prepared, asked)
    assert rest == [asked]
    add_load(prepared, "a")
    add_fetch(prepared, "a", window("2023-04-01", "2023-04-02"), asked=asked, round_id=first)
    assert raw.open_round(prepared, asked) == (first, [window("2023-04-01T23:59:59.999999", "2023-04-04")])
    add_fetch(prepared, "a", window("2023-04-01T23:59:59.999999", "2023-04-04"), asked=asked, round_id=first)
    second, rest = raw.open_round(prepared, asked)
    assert second != first
    assert rest == [asked]
    later = instant("2023-06-02")
    add_fetch(prepared, "a", window("2023-04-01", "2023-04-03"), later, asked, second)
    assert raw.open_round(prepared, asked) == (second, [window("2023-04-02T23:59:59.999999", "2023-04-04")])
    other, _ = raw.open_round(prepared, window("2023-04-01", "2023-04-05"))
    assert other not in (first, second)


def test_an_answer_about_the_future_finishes_its_round(prepared: Cursor) -> None:
    asked = window("2023-05-01", "9999-12-31")
    add_load(prepared, "a")
    add_fetch(prepared, "a", asked, round_id="first")
    assert raw.open_round(prepared, asked)[1] == [asked]


def test_a_database_out_of_reach_is_named_without_the_password(warehouse: Warehouse) -> None:
    wrong = replace(warehouse, dbname="nowhere", password="pa55word")
    with pytest.raises(WarehouseError, match="POSTGRES_") as caught:
        raw.prepare(wrong)
    assert "pa55word" not in str(caught.value)


def test_a_database_that_is_not_utf8_is_refused(server: Warehouse, warehouse: Warehouse) -> None:
    name = f"{warehouse.dbname}_latin"
    connection = server.connect()
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                f"create database {name} template template0 encoding 'LATIN1' locale_provider libc locale 'C'"
            )
            try:
                with pytest.raises(WarehouseError, match="LATIN1"):
                    raw.prepare(replace(warehouse, dbname=name))
            finally:
                cursor.execute(f"drop database {name} with (force)")
    finally:
        connection.close()
