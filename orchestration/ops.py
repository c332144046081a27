"""The schema `ops`: what the product notes of its own work. Any machine can be lost between two runs."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg2.extensions import cursor as Cursor

from ingestion.warehouse import Warehouse

DEFINITION = (Path(__file__).parent / "ops.sql").read_text("utf-8")
TABLES = ("runs", "run_stages", "run_tests", "deliveries", "alerts", "periods", "erasures")


@contextmanager
def noting(warehouse: Warehouse) -> Iterator[Cursor]:
    """A session whose notes are committed when the block ends well. Raises WarehouseError.

    What is missing of the schema is made; where nothing is, the right to make it isn't needed.
    """
    with warehouse.session("grader-elt ops") as cursor:
        prepare(cursor)
        yield cursor


def prepare(cursor: Cursor) -> None:
    """Make the schema's tables, unless all of them are there."""
    if not is_there(cursor):
        cursor.execute(DEFINITION)


def is_there(cursor: Cursor) -> bool:
    """Whether all of the schema's tables are there."""
    cursor.execute(
        "select count(*) from pg_catalog.pg_class where relnamespace = to_regnamespace('ops') and relname = any(%s)",
        (list(TABLES),),
    )
    return bool(cursor.fetchall() == [(len(TABLES),)])


def account() -> str:
    """The operating system's account at work."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
