"""What an attempt takes on disk, and what for."""

from __future__ import annotations

import re

from ingestion.warehouse import Warehouse
from tests.bench.place import Place
from tests.bench.report import Section, table

TABLES = {
    "raw.attempts": "each record as it came; everything else can be made anew from it",
    "raw.fetches": "one row for each answered call: what time is covered",
    "raw.watermark": "one number: up to it, every record belongs to a completed load",
    "staging.stg_grader__attempts": "each record typed, parsed and judged: what the tests gate, what receipts count",
    "staging.stg_grader__loads": "the completed loads, one list for a whole build",
    "staging.stg_grader__fetches": "one row for each answered call of a completed load",
    "staging.int_learner_days": "one row for each learner and day: what days are summed from",
    "marts.attempts": "each valid attempt once, with its latest values",
    "marts.learner_tasks": "each learner's way to the first correct submit of a task",
    "marts.rejected_attempts": "each rejected record once",
    "marts.daily_metrics": "one row for each day",
    "marts.load_receipts": "one row for each load",
}
INDEXES = {
    "raw.attempts brin (record_no)": "finds what came in since the last build without reading history",
    "staging.stg_grader__attempts btree (record_no) unique": "what later models have not seen yet; holds one row a record",
    "staging.stg_grader__attempts btree (_dlt_load_id)": "the records of a load, to count them against what was fetched",
    "staging.int_learner_days btree (user_id, activity_date) unique": "a learner's day to merge into, and those next to it",
    "staging.int_learner_days btree (activity_date)": "the learner-days of a day that is counted again",
    "staging.int_learner_days btree (record_no)": "what changed since the last build",
    "marts.attempts btree (attempt_id) unique": "whether a record repeats an attempt; the row to merge into",
    "marts.attempts btree (learner_task_id, created_at, attempt_type, is_correct, record_no)": "all attempts of the "
    "tasks that changed, with what is counted of them: a task's attempts lie all over the table",
    "marts.attempts btree (activity_date, user_id)": "the attempts of a period's days, or of a learner's day",
    "marts.attempts btree (record_no)": "what changed since the last build",
    "marts.learner_tasks btree (learner_task_id) unique": "the learner's task to merge into",
    "marts.learner_tasks btree (user_id)": "whether a period's learner was there before",
    "marts.learner_tasks btree (first_correct_date, attempts_to_first_correct)": "what a day's first solved tasks took",
    "marts.learner_tasks btree (record_no)": "what changed since the last build",
    "marts.rejected_attempts btree (rejected_record_id) unique": "whether the same record was rejected before",
    "marts.rejected_attempts btree (record_no)": "what was rejected since the last build",
    "marts.daily_metrics btree (activity_date) unique": "the day to merge into",
    "marts.load_receipts btree (_dlt_load_id) unique": "holds one receipt a load",
}
# dlt's own tables, by their prefix; a few rows.
_DLT = "_dlt_"
_RELATIONS = """
    select
        n.nspname || '.' || coalesce(t.relname, c.relname),
        case when i.indexrelid is not null then pg_get_indexdef(c.oid) end,
        coalesce(i.indisunique, false),
        case when i.indexrelid is null then pg_table_size(c.oid) else pg_relation_size(c.oid) end
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    left join pg_catalog.pg_index i on i.indexrelid = c.oid
    left join pg_catalog.pg_class t on t.oid = i.indrelid
    where n.nspname in ('raw', 'staging', 'marts') and c.relkind in ('r', 'i', 'm')
    order by 1, 2 nulls first
"""


class UnknownRelationError(Exception):
    """The warehouse holds something of which nobody has said what it is for."""


def bytes_of(place: Place, warehouse: Warehouse) -> list[tuple[str, str, int]]:
    """Each table and index, what it is for, its bytes. Raises UnknownRelationError."""
    found, unknown = [], []
    for name, definition, unique, size in place.execute(warehouse, _RELATIONS):
        if name.partition(".")[2].startswith(_DLT):
            continue
        key, words = name, TABLES
        if definition:
            key, words = f"{name} {_columns(definition)}{' unique' if unique else ''}", INDEXES
        if key not in words:
            unknown.append(key)
        else:
            found.append((key, words[key], size))
    if unknown:
        raise UnknownRelationError(
            f"tests/bench/disk.py does not say what these are for: {'; '.join(unknown)}. Add a few words there."
        )
    return found


def disk(place: Place, warehouse: Warehouse) -> Section:
    """Bytes for each attempt of a warehouse."""
    attempts = place.execute(warehouse, "select count(*) from marts.attempts")[0][0]
    found = bytes_of(place, warehouse)
    total = sum(size for *_, size in found)
    rows = [
        [name, words, f"{size / attempts:.1f}", f"{100 * size / total:.0f} %"] for name, words, size in found
    ]
    return Section(
        "Disk: bytes for each attempt",
        [
            f"{attempts:,} attempts, each loaded once, after a full refresh; TOAST and free space maps counted.",
            table(
                ["table or index", "what it is for", "bytes", "share"],
                [*rows, ["all", "", f"{total / attempts:.1f}", "100 %"]],
            ),
        ],
    )


def _columns(definition: str) -> str:
    """`btree (a, b)` from an index's definition, without options."""
    match = re.search(r" USING (\w+ \([^)]*\))", definition)
    return match[1] if match else definition
