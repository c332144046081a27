"""Whether an analyst would believe the demo school, and whether its oddities are those they claim to be."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from embedded.demo_api import stories
from embedded.demo_api.dirt import ODD, SPOILED, Kind
from tests.embedded.demo_api.school import MOSCOW, answer, created_at, day, params, reasons, stored

SIXTY_DAYS = timedelta(days=60)
EVERY_REASON = {
    "not_an_object",
    "user_id_invalid",
    "passback_params_invalid",
    "lis_result_sourcedid_invalid",
    "lis_outcome_service_url_invalid",
    "oauth_consumer_key_invalid",
    "attempt_type_invalid",
    "is_correct_invalid",
    "is_correct_on_run",
    "created_at_invalid",
    "created_at_in_future",
}


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return answer(day("2026-09-14"), SIXTY_DAYS, scale=0.2)


@pytest.fixture(scope="module")
def judged(texts: list[str]) -> list[tuple[str, list[str]]]:
    return [(text, reasons(text)) for text in texts]


@pytest.fixture(scope="module")
def valid(judged: list[tuple[str, list[str]]]) -> list[dict[str, Any]]:
    return [stored(json.loads(text)) for text, why in judged if not why]


def test_every_reason_to_reject_occurs_in_sixty_days(judged: list[tuple[str, list[str]]]) -> None:
    found = Counter(reason for _, why in judged for reason in why)
    assert set(found) == EVERY_REASON
    assert min(found.values()) >= 3


def test_about_one_record_in_a_hundred_is_rejected(judged: list[tuple[str, list[str]]]) -> None:
    rejected = sum(bool(why) for _, why in judged)
    assert 0.006 < rejected / len(judged) < 0.013


@pytest.mark.parametrize("escape", ["\\u0000", "\\ud800", "\\udcff", "1e999999"])
def test_what_postgresql_cannot_hold_occurs(texts: list[str], escape: str) -> None:
    assert any(escape in text for text in texts)


def test_texts_are_ascii_json_without_line_breaks(texts: list[str]) -> None:
    assert all(text.isascii() and "\n" not in text for text in texts)
    assert len(json.loads(f"[{','.join(texts)}]")) == len(texts)


@cache
def ordinary(attempt_type: str) -> str:
    return next(
        text
        for text in answer(day("2026-10-05"), timedelta(hours=20))
        if f'"{attempt_type}"' in text and len(text) < 700 and not reasons(text)
    )


@pytest.mark.parametrize("kind", [*SPOILED, *ODD], ids=lambda kind: kind.name)
@pytest.mark.parametrize("attempt_type", ["run", "submit"])
def test_kinds_are_rejected_for_the_reasons_they_name(kind: Kind, attempt_type: str) -> None:
    changed = kind.change(json.loads(ordinary(attempt_type)))
    assert tuple(reasons(changed)) == kind.reasons
    assert changed != ordinary(attempt_type) or "verdict" in kind.name


def test_params_are_reprs_whose_sourcedid_splits(valid: list[dict[str, Any]]) -> None:
    exact = split = 0
    for record in valid:
        held = params(record)
        exact += repr(held) == record["passback_params"]
        course, _, rest = held["lis_result_sourcedid"].partition(":lms.demo-academy.example-")
        block, _, learner = rest.partition(":")
        split += (
            course.startswith("course-v1")
            and len(block) == 32
            and learner == record["lti_user_id"]
            and block in (held.get("lis_outcome_service_url") or block)
        )
    assert exact > 0.995 * len(valid)
    assert split > 0.99 * len(valid)


def test_evenings_beat_nights_and_sundays_beat_fridays(valid: list[dict[str, Any]]) -> None:
    moments = [moment.astimezone(MOSCOW) for record in valid if (moment := created_at(record))]
    hours = Counter(moment.hour for moment in moments if moment.weekday() < 5)
    weekdays = Counter(moment.weekday() for moment in moments)
    assert sum(hours[hour] for hour in (19, 20, 21, 22)) > 10 * sum(hours[hour] for hour in (2, 3, 4, 5))
    assert max(hours, key=lambda hour: hours[hour]) in (20, 21, 22)
    assert weekdays[6] > 1.3 * weekdays[4]


def test_holidays_are_quiet() -> None:
    new_year = len(answer(day("2026-01-01"), timedelta(days=7)))
    later = len(answer(day("2026-01-22"), timedelta(days=7)))
    assert new_year < 0.5 * later


def test_learners_try_fail_and_mostly_solve(valid: list[dict[str, Any]]) -> None:
    verdicts = Counter(bool(record["is_correct"]) for record in valid if record.get("is_correct") is not None)
    assert 0.55 < verdicts[True] / verdicts.total() < 0.65
    history: dict[tuple[str, str], list[tuple[str, bool]]] = defaultdict(list)
    for record in valid:
        learner_task = record["lti_user_id"], params(record)["lis_result_sourcedid"]
        history[learner_task].append((record["attempt_type"], bool(record.get("is_correct"))))
    started = Counter(tries[0][0] for tries in history.values())
    solved = [tries for tries in history.values() if ("submit", True) in tries]
    until_solved = sum(tries.index(("submit", True)) + 1 for tries in solved) / len(solved)
    assert started["run"] > 2 * started["submit"] / 3
    assert 0.7 < len(solved) / len(history) < 0.95
    assert 2 < until_solved < 4
    # In the drills everything is solved again, as test_stories.py shows.
    solved_again = sum(
        tries.count(("submit", True)) > 1
        for (_, sourcedid), tries in history.items()
        if not sourcedid.startswith(stories.COURSE_KEY)
    )
    assert solved_again < 0.02 * len(solved)


def test_learners_differ(valid: list[dict[str, Any]]) -> None:
    verdicts: dict[str, list[bool]] = defaultdict(list)
    for record in valid:
        if record.get("is_correct") is not None:
            verdicts[record["lti_user_id"]].append(bool(record["is_correct"]))
    shares = sorted(sum(given) / len(given) for given in verdicts.values() if len(given) >= 20)
    assert shares[len(shares) // 10] < 0.5
    assert shares[-len(shares) // 10] > 0.7


def test_a_block_belongs_to_several_runs_of_a_course(valid: list[dict[str, Any]]) -> None:
    runs: dict[str, set[str]] = defaultdict(set)
    for record in valid:
        pieces = params(record)["lis_result_sourcedid"].rsplit(":", 2)
        if len(pieces) == 3 and pieces[0].startswith("course-v1:"):
            runs[pieces[1]].add(pieces[0])
    assert max(len(keys) for keys in runs.values()) >= 2
