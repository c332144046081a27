"""`make roles`: SQL for three least-privilege roles, for a DBA to read and run."""

from __future__ import annotations

from pathlib import Path

import psycopg2
from psycopg2 import sql

from ingestion.warehouse import Warehouse
from orchestration.errors import EXIT_DONE, StageError

TEMPLATE = Path(__file__).with_name("roles.sql")


def roles(warehouse: Warehouse, apply: bool) -> int:
    """Print the SQL for this warehouse's database, or run it with `apply`. Raises StageError."""
    try:
        connection = warehouse.connect("grader-elt roles")
        try:
            statement = sql.SQL(TEMPLATE.read_text("utf-8")).format(database=sql.Identifier(warehouse.dbname))
            text = statement.as_string(connection)
            if not apply:
                print(text)
                return EXIT_DONE
            with connection, connection.cursor() as cursor:
                cursor.execute(text)
        finally:
            connection.close()
    except psycopg2.Error as error:
        reason = " ".join(str(error).split())
    else:
        print(
            f"The roles grader_loader, grader_transformer and grader_reporter are set up in {warehouse.label}."
        )
        return EXIT_DONE
    raise StageError(
        f"The roles could not be set up in {warehouse.label}: {reason}. Use an account that may create roles."
    )
