"""`make roles`: SQL for least-privilege roles, for a DBA to read and run."""

from pathlib import Path

from psycopg2 import sql

from ingestion.errors import WarehouseError
from ingestion.warehouse import Warehouse
from orchestration import ops
from orchestration.errors import EXIT_DONE, StageError

ROLES = ("grader_loader", "grader_transformer", "grader_reporter", "grader_learners")
TEMPLATE = Path(__file__).with_name("roles.sql")
ON_A_CLUSTER = """
-- Citus's coordinator connects to its workers as the role in use, so these may log in. They have no password: only
-- where pg_hba.conf of the workers lets the coordinator in does that suffice.
alter role grader_loader login;
alter role grader_transformer login;
alter role grader_reporter login;
alter role grader_learners login;
"""


def roles(warehouse: Warehouse, apply: bool) -> int:
    """Print the SQL for this warehouse's database, or run it with `apply`. Raises StageError."""
    template = sql.SQL(TEMPLATE.read_text("utf-8") + (ON_A_CLUSTER if warehouse.distributed else ""))
    statement = template.format(database=sql.Identifier(warehouse.dbname), ops=sql.SQL(ops.DEFINITION))
    try:
        with warehouse.session("grader-elt roles") as cursor:
            text = statement.as_string(cursor)
            if apply:
                cursor.execute(text)
                text = f"The roles {', '.join(ROLES)} are set up in {warehouse.label}."
        print(text)
        return EXIT_DONE
    except WarehouseError as error:
        problem = str(error)
    raise StageError(f"The roles are not set up: {problem} Use an account that may create roles.")
