"""Citus: PostgreSQL whose coordinator keeps large tables in shards on several workers."""

from psycopg2.extensions import cursor as Cursor

from ingestion.errors import WarehouseError


def cluster(cursor: Cursor) -> tuple[str, int]:
    """The version of Citus here (`Citus 13.2.2`), and how many workers are active.

    Raises WarehouseError without either.
    """
    cursor.execute("select to_regprocedure('citus_version()') is not null")
    if cursor.fetchall() != [(True,)]:
        raise WarehouseError(
            "WAREHOUSE_DISTRIBUTED=1, but the database has no extension citus. What to do: set POSTGRES_* to the "
            "coordinator's database and create the extension there and on its workers, or set it to 0."
        )
    cursor.execute("select citus_version(), count(*) from citus_get_active_worker_nodes()")
    [(version, workers)] = cursor.fetchall()
    if not workers:
        raise WarehouseError(
            "WAREHOUSE_DISTRIBUTED=1, but the coordinator knows no active worker. What to do: "
            "`select citus_add_node('host', 5432)` for each, as an administrator, then run again."
        )
    return " ".join(version.split()[:2]), workers


def is_distributed(cursor: Cursor, table: str) -> bool:
    """Whether a table (`schema.name`) of a database with Citus is kept in shards."""
    cursor.execute("select exists (select from pg_dist_partition where logicalrelid = %s::regclass)", (table,))
    return cursor.fetchall() == [(True,)]


def refuse_shards(cursor: Cursor, table: str) -> None:
    """Raise WarehouseError when a table is in shards though the warehouse is said to be on one machine."""
    cursor.execute("select to_regclass('pg_dist_partition') is not null")
    if cursor.fetchall() == [(True,)] and is_distributed(cursor, table):
        raise WarehouseError(
            f"{table} is kept on several machines by Citus. What to do: set WAREHOUSE_DISTRIBUTED=1. (To bring all of "
            "it back to one machine, `select undistribute_table(…)` each table of citus_tables, as an administrator.)"
        )


def distribute(cursor: Cursor, table: str, column: str) -> None:
    """Keep a table in shards by a column, with the rows that it has. Raises WarehouseError without a cluster."""
    cluster(cursor)
    if not is_distributed(cursor, table):
        cursor.execute("select create_distributed_table(%s, %s)", (table, column))
