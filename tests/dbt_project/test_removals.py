"""Records that leave raw on purpose: the marts, the receipts and the tests go on without them; others are noticed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from orchestration import erasure
from orchestration.build import retention
from orchestration.errors import StageError
from tests.dbt_project.compare import assert_as_contracted
from tests.dbt_project.grader import Grader
from tests.dbt_project.oracle import Answer, Oracle
from tests.dbt_project.oracle_rules import SOURCEDID
from tests.dbt_project.strategies import EFFORT
from tests.dbt_project.warehouse import Models

NOW = datetime(2024, 5, 20, 9, tzinfo=timezone.utc)
RECEIPTS = "select _dlt_load_id, fetched, accepted, repeated, rejected, rejected_by_reason from marts.load_receipts"
COUNTED_ANEW = """
    select user_id, course_key, activity_date, count(*) as attempts from marts.attempts
    group by user_id, course_key, activity_date
"""


def attempt(user: str, minute: int, sourcedid: str = "course:host-task:learner", **changes: Any) -> dict[str, Any]:
    return {
        "lti_user_id": user,
        "passback_params": repr({SOURCEDID: sourcedid}),
        "attempt_type": "submit",
        "is_correct": 1,
        "created_at": f"{NOW - timedelta(days=1, minutes=minute):%Y-%m-%d %H:%M:%S}",
        **changes,
    }


def forget(models: Models, learner: str) -> dict[str, int]:
    with erasure.erasing(models.warehouse, learner) as found:
        return found.remove()


def without(loads: list[tuple[str, list[Answer]]], is_theirs: Callable[[Any], bool]) -> Oracle:
    """What the warehouse would hold if the records had never come."""
    oracle = Oracle()
    for load_id, answers in loads:
        kept = [
            Answer(answer.fetched_at, [record for record in answer.records if not is_theirs(record)])
            for answer in answers
        ]
        oracle.load(load_id, kept)
    return oracle


def receipts(models: Models) -> dict[str, dict[str, Any]]:
    return {row["_dlt_load_id"]: row for row in models.rows(RECEIPTS)}


@pytest.mark.parametrize("seed", range(2 * EFFORT))
def test_without_a_forgotten_learner_all_goes_on(models: Models, seed: int) -> None:
    # Of these seeds each load brings some.
    grader, loads = Grader(seed + 3, NOW), []
    learner = grader.users[seed % 3]

    def is_theirs(record: Any) -> bool:
        return isinstance(record, dict) and record.get("lti_user_id") == learner

    def load() -> None:
        answers = [*grader.load(), *grader.load()]
        loads.append((models.load(answers), answers))

    for _ in range(3):
        load()
        models.build()
    # One load is not built yet.
    load()
    before = receipts(models)
    removed = forget(models, learner)
    assert removed["marts.attempts"] > 0
    assert receipts(models) == before
    forgotten = [*loads]

    load()
    models.build()
    after = receipts(models)
    assert {name: after[name] for name in before} == before

    models.build(full_refresh=True)
    assert receipts(models) == after
    oracle = without(forgotten, is_theirs)
    oracle.load(*loads[-1])
    published = {
        name: {key: row[key] for key in ("fetched", "accepted", "repeated", "rejected")} for name, row in after.items()
    }
    fresh = [name for name in published if name not in before]
    assert {name: published[name] for name in fresh} == {name: oracle.receipts[name] for name in fresh}
    oracle.receipts = published
    assert_as_contracted(models, oracle)


def test_who_only_looks_alike_stays(models: Models) -> None:
    others = ["anna ", "annabel", "anna@school", "Anna", "7"]
    stays = [attempt(user, number, f"course:host-{user}:{user}") for number, user in enumerate(others)]
    stays += [attempt("7", 50, "anna-1:host-task:7")]
    goes = [
        attempt("anna", 60),
        attempt("", 61, "course:host-task:anna"),
        attempt("anna", 62, created_at="yesterday"),
        attempt("anna", 63, passback_params="{'lis_result_sourcedid': 'it's'}"),
        {"passback_params": "{'lis_result_sourcedid': 'course:host-task:anna"},
        "anna",
    ]
    models.load([Answer(NOW, [*stays, *goes])])
    models.build()
    forget(models, "anna")
    assert [row["record"] for row in models.rows("select record from raw.attempts order by record_no")] == stays
    assert models.rows("select user_id from marts.attempts where user_id = 'anna'") == []
    assert models.rows("select 1 from marts.rejected_attempts") == []
    models.build()


@pytest.mark.parametrize("learner", ['o\'neil "x"', "Борис", "tab\there", "back\\slash", "a%b", "🙂" * 3])
def test_an_id_is_found_in_every_spelling(models: Models, learner: str) -> None:
    sourcedid = f"course:host-task:{learner}"
    models.load([Answer(NOW, [attempt(learner, 1, sourcedid), attempt("another", 2, sourcedid), attempt("third", 3)])])
    models.build()
    forget(models, learner)
    assert models.rows("select user_id from marts.attempts") == [{"user_id": "third"}]
    assert len(models.rows("select 1 from raw.attempts")) == 1


def test_what_another_learner_has_left_is_counted_anew(all_models: Models) -> None:
    models = all_models
    # The id of anna stands in one of bob's attempts on a task.
    both = [attempt("bob", 1, "course:host-task:anna"), attempt("bob", 2, "course:host-task:bob")]
    models.load([Answer(NOW, [*both, attempt("anna", 3, "course:host-task:anna")])])
    models.build()
    assert forget(models, "anna")["learners.learner_courses"] == 1
    models.build()
    tables = ("marts.learner_tasks", "staging.int_learner_course_totals", "learners.learner_courses")
    for table in tables:
        assert models.rows(f"select user_id, attempts from {table}") == [{"user_id": "bob", "attempts": 1}]
    days = models.rows("select user_id, course_key, activity_date, attempts from staging.int_learner_course_days")
    assert days == models.rows(COUNTED_ANEW)
    # As published, until it is counted anew.
    assert models.rows("select attempts from marts.daily_metrics") == [{"attempts": 3}]
    models.build(full_refresh=True)
    assert models.rows("select attempts from marts.daily_metrics") == [{"attempts": 1}]


def test_an_id_inside_everybodys_records_is_refused(models: Models) -> None:
    models.load([Answer(NOW, [attempt(f"learner {number}", number, "a:b-c:everybody") for number in range(30)])])
    models.build()
    with pytest.raises(StageError, match="30 other learners"):
        forget(models, "everybody")
    assert len(models.rows("select 1 from raw.attempts")) == 30


def test_a_learner_who_goes_on_working_comes_back(models: Models) -> None:
    models.load([Answer(NOW, [attempt("anna", 1), attempt("bob", 2)])])
    models.build()
    forget(models, "anna")
    models.load([Answer(NOW + timedelta(hours=1), [attempt("anna", 1), attempt("anna", 0), attempt("bob", 2)])])
    models.build()
    assert len(models.rows("select 1 from marts.attempts where user_id = 'anna'")) == 2
    models.build(full_refresh=True)
    # And can be forgotten again.
    forget(models, "anna")
    models.build()
    models.build(full_refresh=True)
    assert models.rows("select user_id from marts.attempts") == [{"user_id": "bob"}]


def age(models: Models, load_id: str) -> None:
    """Let a load have been loaded and built long ago."""
    statement = "update marts.load_receipts set loaded_at = loaded_at - interval '90 days' where _dlt_load_id = %s"
    models.execute(statement, [load_id])


@pytest.mark.parametrize("seed", range(2 * EFFORT))
def test_outdated_records_leave_and_the_marts_go_on(models: Models, seed: int) -> None:
    grader, oracle, gone = Grader(seed + 50, NOW), Oracle(), set()
    for number in range(4):
        answers = [*grader.load(), *grader.load()]
        load_id = models.load(answers)
        oracle.load(load_id, answers)
        models.build()
        oracle_staged = oracle.staged
        oracle.staged = [staged for staged in oracle_staged if staged[0] not in gone]
        assert_as_contracted(models, oracle)
        oracle.staged = oracle_staged
        if number < 2:
            age(models, load_id)
            retention.remove_outdated(models.warehouse, 30)
            gone.add(load_id)
    left = {row["_dlt_load_id"] for row in models.rows("select distinct _dlt_load_id from raw.attempts")}
    assert left
    assert not left & gone
    # Forgetting somebody works without them, too.
    before = receipts(models)
    forget(models, grader.users[0])
    models.build()
    assert receipts(models) == before


def test_loads_that_are_not_built_stay(models: Models) -> None:
    first = models.load([Answer(NOW, [attempt("anna", 1)])])
    models.build()
    age(models, first)
    models.load([Answer(NOW, [attempt("anna", 2)])])
    models.execute("update raw._dlt_loads set inserted_at = inserted_at - interval '90 days'")
    assert retention.remove_outdated(models.warehouse, 30) == 1
    assert retention.remove_outdated(models.warehouse, 30) == 0
    assert len(models.rows("select 1 from raw.attempts")) == 1


def test_there_is_no_rebuild_of_what_raw_no_longer_has(models: Models) -> None:
    first = models.load([Answer(NOW, [attempt("anna", 1), {}])])
    models.load([Answer(NOW, [attempt("bob", 2)])])
    models.build()
    age(models, first)
    retention.remove_outdated(models.warehouse, 30)
    kept = models.everything()
    with pytest.raises(StageError, match="asked to.*1 loads.*the marts stay.*drop table marts.load_receipts"):
        models.dbt.build(full_refresh=True)
    assert models.everything() == kept
    models.build()
    models.execute("drop table marts.load_receipts")
    models.build()
    assert models.rows("select user_id from marts.attempts") == [{"user_id": "bob"}]
    # What is gone can't be lost twice.
    models.build(full_refresh=True)


TAMPERED = {
    "emptied": "truncate raw.attempts",
    "the oldest record": "delete from raw.attempts where record_no = (select min(record_no) from raw.attempts)",
    "the newest record": "delete from raw.attempts where record_no = (select max(record_no) from raw.attempts)",
    "a verdict": """
        update raw.attempts set record = jsonb_set(record, '{is_correct}', '0')
        where record_no = (select min(record_no) from raw.attempts)
    """,
    "whose": """
        update raw.attempts set record = jsonb_set(record, '{lti_user_id}', '"somebody"')
        where record_no = (select min(record_no) from raw.attempts)
    """,
    "a rejected record": "update raw.attempts set record = '[]' where record = '{}'",
}


@pytest.mark.parametrize("what", TAMPERED)
def test_raw_that_was_tampered_with_is_noticed_by_the_next_build(models: Models, what: str) -> None:
    for number in range(3):
        models.load([Answer(NOW, [attempt("anna", 2 * number), attempt("bob", 2 * number + 1), {}])])
        models.build()
    models.execute(TAMPERED[what])
    models.load([Answer(NOW, [attempt("anna", 9)])])
    kept = models.everything()
    build = models.dbt.build()
    assert [failure for failure in build.failures if "assert_raw_keeps_what_was_staged" in failure], build.failures
    assert models.everything() == kept


def test_a_load_that_was_damaged_is_fetched_again(models: Models) -> None:
    """The remedy that the data test names."""
    records = [attempt("anna", 1), attempt("bob", 2)]
    damaged = models.load([Answer(NOW, records)])
    models.build()
    models.execute("delete from raw.attempts")
    assert models.dbt.build().failures
    models.execute("delete from raw._dlt_loads where load_id = %s", [damaged])
    models.load([Answer(NOW, records)])
    models.build(full_refresh=True)
    models.build()
    assert len(models.rows("select 1 from marts.attempts")) == 2
