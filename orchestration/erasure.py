"""Removes a learner from the warehouse: raw, staging, facts and the learners' marts, in one transaction.

What is left of a learner is counts without a name: receipts stay as they are, `raw.removals` says how many of each
load's records are gone, so that tests go on adding up, and `ops.erasures` that an erasure took place.
"""

# ruff: noqa: S608 - statements are put together of constants alone

import io
import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import quote

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from ingestion.warehouse import Warehouse, exists
from orchestration import ops
from orchestration.errors import StageError

RELATIONS = (
    *("raw.attempts", "staging.stg_grader__attempts", "marts.attempts", "marts.rejected_attempts"),
    *("marts.learner_tasks", "staging.int_learner_course_days", "staging.int_learner_course_totals"),
    "learners.learner_courses",
)
"""What rows of learners are removed from."""
MOST_OTHERS = 20
"""An id inside the records of more learners than this is no learner's: a course, a client, a constant."""

# An id ends where none of these goes on: letters of a name, a mail address, a course key; all that is not ASCII; and
# spaces, for `ann` and `ann ` are two learners.
_PART_OF_A_NAME = r"[:alnum:] _.@+\u0080-\U0010FFFF-"

# What statements need to know of the learner is in a temporary table, so that none of them holds the id: looked up by
# subqueries, which PostgreSQL evaluates once and Citus sends to its workers as data.
_LEARNER = "(select learner from the_learner)"


def _names(text: str) -> str:
    """The condition that the id stands in a text; the plain search decides nearly always."""
    return f"(strpos({text}, (select core from the_learner)) > 0 and {text} ~ (select pattern from the_learner))"


def _record_names(record: str) -> str:
    """The condition that a record of the API is the learner's, or the id stands in one of its fields."""
    text = f"""
        case
            when jsonb_typeof({record}) = 'object'
                then coalesce({record} ->> 'passback_params', '') || e'\\n'
                || ({record} - array['lti_user_id', 'is_correct', 'attempt_type', 'created_at'])::text
            else {record} #>> '{{}}'
        end
    """
    return f"({record} ->> 'lti_user_id' = {_LEARNER} or {_names(text)})"


# The same of the texts of an attempt.
_ATTEMPT_NAMES = " or ".join(
    [
        f"user_id = {_LEARNER}",
        *map(_names, ("lis_result_sourcedid", "lis_outcome_service_url", "oauth_consumer_key")),
    ]
)
_FIND_RECORDS = f"""
    create temporary table gone_records on commit drop as
    select record_no, _dlt_load_id, record ->> 'lti_user_id' is not distinct from {_LEARNER} as is_own
    from raw.attempts where {_record_names("record")};
    create unique index on gone_records (record_no);
    analyze gone_records
"""
# An attempt goes as a whole, with every record of it, or what is left would count otherwise in a rebuild.
_FIND_REST = f"""
    insert into gone_records
    select record_no, _dlt_load_id, coalesce(user_id = {_LEARNER}, false) from staging.stg_grader__attempts
    where {_ATTEMPT_NAMES}
    on conflict do nothing;

    create temporary table receipts on commit drop as
    select _dlt_load_id, record_no from marts.load_receipts;

    create temporary table gone_attempts on commit drop as
    select user_id, attempt_id, task_id, coalesce(course_key, '(no course)') as course_key, activity_date,
        first_record_no
    from marts.attempts
    where {_ATTEMPT_NAMES} or (user_id, attempt_id) in (
        select staged.user_id, staged.attempt_id
        from staging.stg_grader__attempts as staged inner join gone_records using (record_no)
    );

    create temporary table gone_rejected on commit drop as
    select rejected_record_id, record_no, rejection_reasons
    from marts.rejected_attempts
    where {_record_names("record")} or rejected_record_id in (
        select staged.rejected_record_id
        from staging.stg_grader__attempts as staged inner join gone_records using (record_no)
    );

    insert into gone_records
    select record_no, _dlt_load_id, user_id is not distinct from {_LEARNER}
    from staging.stg_grader__attempts
    where (user_id, attempt_id) in (select user_id, attempt_id from gone_attempts)
        or rejected_record_id in (select rejected_record_id from gone_rejected)
    on conflict do nothing;
    analyze gone_records, gone_attempts, gone_rejected
"""
_NO_MARTS = """
    create temporary table gone_attempts (user_id text, first_record_no bigint) on commit drop;
    create temporary table gone_rejected (record_no bigint, rejection_reasons text[]) on commit drop;
    create temporary table receipts (_dlt_load_id varchar, record_no bigint) on commit drop
"""
# A record was first seen in the load whose receipt has the next number.
_NOTE = """
    create temporary table gone_counts on commit drop as
    with removed as (
        select gone_records._dlt_load_id, count(*) as records, count(receipts._dlt_load_id) as judged,
            max(gone_records.record_no) filter (where receipts._dlt_load_id is not null) as record_no
        from gone_records
        inner join raw._dlt_loads on load_id = _dlt_load_id and status = 0
        left join receipts using (_dlt_load_id)
        group by gone_records._dlt_load_id
    ),
    firsts as (
        select first_record_no as record_no, 1 as accepted, 0 as rejected, null::text[] as reasons
        from gone_attempts
        union all
        select record_no, 0, 1, rejection_reasons from gone_rejected
    ),
    first_seen as (
        select load._dlt_load_id, firsts.*
        from firsts
        cross join lateral (
            select _dlt_load_id from receipts where record_no >= firsts.record_no order by record_no limit 1
        ) as load
    ),
    counted as (
        select _dlt_load_id, sum(accepted) as accepted, sum(rejected) as rejected, max(record_no) as record_no
        from first_seen group by _dlt_load_id
    ),
    reasons as (
        select _dlt_load_id, jsonb_object_agg(reason, records) as rejected_by_reason
        from (
            select _dlt_load_id, reason, count(*) as records
            from first_seen cross join unnest(reasons) as reason
            group by _dlt_load_id, reason
        ) as counts
        group by _dlt_load_id
    )
    select _dlt_load_id, coalesce(removed.records, 0) as records, coalesce(accepted, 0) as accepted,
        greatest(coalesce(judged, 0) - coalesce(accepted, 0) - coalesce(rejected, 0), 0) as repeated,
        coalesce(rejected, 0) as rejected, coalesce(rejected_by_reason, '{}') as rejected_by_reason,
        greatest(removed.record_no, counted.record_no) as record_no
    from removed full join counted using (_dlt_load_id) left join reasons using (_dlt_load_id);

    insert into raw.removals (_dlt_load_id)
    select _dlt_load_id from gone_counts
    where _dlt_load_id not in (select _dlt_load_id from raw.removals);

    update raw.removals as known set
        records = known.records + gone.records,
        accepted = known.accepted + gone.accepted,
        repeated = known.repeated + gone.repeated,
        rejected = known.rejected + gone.rejected,
        record_no = greatest(known.record_no, gone.record_no),
        rejected_by_reason = (
            select coalesce(jsonb_object_agg(reason, records), '{}')
            from (
                select key as reason, sum(value::bigint) as records
                from (
                    select * from jsonb_each_text(known.rejected_by_reason)
                    union all
                    select * from jsonb_each_text(gone.rejected_by_reason)
                ) as both_counts
                group by key
            ) as sums
        )
    from gone_counts as gone
    where known._dlt_load_id = gone._dlt_load_id
"""
_REMOVE = {
    "raw.attempts": "delete from raw.attempts where record_no in (select record_no from gone_records)",
    "staging.stg_grader__attempts": """
        delete from staging.stg_grader__attempts where record_no in (select record_no from gone_records)
    """,
    "marts.attempts": """
        delete from marts.attempts using gone_attempts as gone
        where attempts.user_id = gone.user_id and attempts.attempt_id = gone.attempt_id
    """,
    "marts.rejected_attempts": """
        delete from marts.rejected_attempts
        where rejected_record_id in (select rejected_record_id from gone_rejected)
    """,
    "marts.learner_tasks": f"""
        delete from marts.learner_tasks as pairs
        where user_id = {_LEARNER} or (
            (user_id, task_id) in (select user_id, task_id from gone_attempts)
            and not exists (
                select from marts.attempts
                where attempts.user_id = pairs.user_id and attempts.task_id = pairs.task_id
            )
        )
    """,
    "staging.int_learner_course_days": f"""
        delete from staging.int_learner_course_days as days
        where user_id = {_LEARNER} or (
            (user_id, course_key, activity_date) in (select user_id, course_key, activity_date from gone_attempts)
            and not exists (
                select from marts.attempts
                where attempts.user_id = days.user_id and attempts.activity_date = days.activity_date
                    and coalesce(attempts.course_key, '(no course)') = days.course_key
            )
        )
    """,
    "staging.int_learner_course_totals": f"""
        delete from staging.int_learner_course_totals as totals
        where user_id = {_LEARNER} or (
            (user_id, course_key) in (select user_id, course_key from gone_attempts)
            and not exists (
                select from staging.int_learner_course_days as days
                where days.user_id = totals.user_id and days.course_key = totals.course_key
            )
        )
    """,
    "learners.learner_courses": f"delete from learners.learner_courses where user_id = {_LEARNER}",
}
# What other learners have left there is counted anew by the next build, which takes NULL for that.
_COUNT_ANEW = {
    "marts.learner_tasks": """
        update marts.learner_tasks set record_no = null
        where (user_id, task_id) in (select user_id, task_id from gone_attempts)
    """,
    "staging.int_learner_course_days": """
        update staging.int_learner_course_days set record_no = null
        where (user_id, course_key, activity_date) in (select user_id, course_key, activity_date from gone_attempts)
    """,
    "staging.int_learner_course_totals": """
        update staging.int_learner_course_totals set record_no = null
        where (user_id, course_key) in (select user_id, course_key from gone_attempts)
    """,
}
_OTHER_TABLES = """
    select relation.relnamespace::regnamespace::text, relation.relname, has_table_privilege(relation.oid, 'select')
    from pg_catalog.pg_class as relation
    where relation.relkind in ('r', 'm') and relation.relpersistence <> 't'
        and relation.relnamespace::regnamespace::text not in ('pg_catalog', 'information_schema', 'pg_toast')
        and relation.relnamespace::regnamespace || '.' || relation.relname <> all(%s)
    order by 1, 2
"""


@dataclass
class Found:
    """What there is of a learner: records of their own, records of how many other ids that hold theirs inside."""

    records: int
    own_records: int
    attempts: int
    rejected: int
    other_learners: int
    elsewhere: dict[str, int] = field(default_factory=dict)
    """Rows of further tables, such as analysts', that hold the id."""
    unreadable: list[str] = field(default_factory=list)
    """Schemas with tables that this account may not read."""

    @property
    def is_nothing(self) -> bool:
        return not (self.records or self.attempts or self.rejected)


class Erasure:
    """One learner's erasure, found and not yet removed; it ends with the session of `erasing`."""

    def __init__(self, cursor: Cursor, learner: str) -> None:
        self._cursor = cursor
        # First, because Citus makes no schema once it has worked in shards.
        ops.prepare(cursor)
        # Something earlier versions have not made, or nothing was built yet.
        self._there = [relation for relation in RELATIONS if exists(cursor, relation)]
        self._is_built = "marts.learner_tasks" in self._there and exists(cursor, "marts.load_receipts")
        self._tell_the_server(learner)
        cursor.execute(_FIND_RECORDS)
        cursor.execute(_FIND_REST if self._is_built else _NO_MARTS)
        cursor.execute("select count(*), count(*) filter (where is_own) from gone_records")
        [(records, own)] = cursor.fetchall()
        cursor.execute(
            f"select count(*), count(distinct user_id) filter (where user_id <> {_LEARNER}) from gone_attempts"
        )
        [(attempts, others)] = cursor.fetchall()
        cursor.execute("select count(*) from gone_rejected")
        [(rejected,)] = cursor.fetchall()
        self.found = Found(records, own, attempts, rejected, others)
        if others > MOST_OTHERS:
            raise StageError(
                f"That id stands in records of {others:,} other learners, so it is no learner's. Nothing was "
                "removed. What to do: give the id as `lti_user_id` has it."
            )
        self._look_elsewhere()

    def _tell_the_server(self, learner: str) -> None:
        """Hand the id over as data: no statement holds it, so no server's log or statistics can."""
        cursor = self._cursor
        rows = "\t".join(map(_copied, (learner, max(re.findall("[A-Za-z0-9]+", learner) or [""], key=len))))
        cursor.execute("create temporary table the_learner (learner text, core text, pattern text) on commit drop")
        cursor.copy_expert("copy the_learner from stdin", io.StringIO(f"{rows}\t{_copied(pattern_of(learner))}\n"))

    def _look_elsewhere(self) -> None:
        self._cursor.execute(_OTHER_TABLES, (list(RELATIONS),))
        for schema, table, is_readable in self._cursor.fetchall():
            if not is_readable:
                self.found.unreadable.append(schema)
                continue
            query = sql.SQL("select count(*) from {} as one where {}")
            self._cursor.execute(query.format(sql.Identifier(schema, table), sql.SQL(_names("one::text"))))
            if rows := self._cursor.fetchall()[0][0]:
                self.found.elsewhere[f"{schema}.{table}"] = rows
        self.found.unreadable = sorted({*self.found.unreadable})

    def remove(self) -> dict[str, int]:
        """Remove what was found, note it; returns the rows removed from each relation."""
        cursor = self._cursor
        cursor.execute(_NOTE)
        removed = {}
        for relation, statement in _REMOVE.items():
            if relation in self._there and (self._is_built or relation == "raw.attempts"):
                cursor.execute(statement)
                removed[relation] = cursor.rowcount
        for relation, statement in _COUNT_ANEW.items():
            if relation in self._there and self._is_built:
                cursor.execute(statement)
        cursor.execute(
            "insert into ops.erasures (account, host, records, attempts, rejected) values (%s, %s, %s, %s, %s)",
            (ops.account(), socket.gethostname(), self.found.records, self.found.attempts, self.found.rejected),
        )
        return removed


@contextmanager
def erasing(warehouse: Warehouse, learner: str) -> Iterator[Erasure]:
    """What there is of a learner, for the block to remove; all of that is kept when it ends well.

    The caller holds the lock and has prepared the raw schema. Raises StageError, WarehouseError.
    """
    with warehouse.session("grader-elt forget") as cursor:
        # Somebody may take their time to confirm it.
        cursor.execute("set idle_in_transaction_session_timeout = 0")
        yield Erasure(cursor, learner)


def vacuum(warehouse: Warehouse) -> None:
    """Let new rows take the place of the removed ones in the tables' files. Raises WarehouseError."""
    with warehouse.session("grader-elt forget", autocommit=True) as cursor:
        for relation in RELATIONS:
            if exists(cursor, relation):
                cursor.execute(f"vacuum {relation}")


def pattern_of(learner: str) -> str:
    """A regular expression of PostgreSQL's that finds an id as a whole, in any spelling that a record has of it."""
    spelled = {learner, repr(learner)[1:-1], repr(learner + "'\"")[1:-4], quote(learner, safe="")}
    spelled |= {json.dumps(text, ensure_ascii=ascii)[1:-1] for text in [*spelled] for ascii in (True, False)}
    either = "|".join(re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", text) for text in sorted(spelled))
    return f"(^|[^{_PART_OF_A_NAME}]|[:,] |%3[Aa]|%2[Ff])({either})($|[^{_PART_OF_A_NAME}])"


def _copied(text: str) -> str:
    """A text as COPY reads it."""
    for character, escaped in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(character, escaped)
    return text
