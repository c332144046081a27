"""Answers of the API, made beforehand: one JSON body for each day, the same ones at every run."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone
from pathlib import Path

FIRST_DAY = datetime(2023, 1, 1, tzinfo=timezone.utc)
_LEARNERS, _TASKS_EACH = 20_000, 40
_HOST = "lms.example.org"


def write(folder: Path, days: range, per_day: int) -> list[Path]:
    """One file for each day number of `days` with `per_day` records in order of time; returns them."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_write(folder / f"{FIRST_DAY + timedelta(days=day):%Y-%m-%d}.json", day, per_day) for day in days]


def _write(path: Path, day: int, per_day: int) -> Path:
    chance = random.Random(day)  # noqa: S311 reproducible data, no secret
    midnight = FIRST_DAY + timedelta(days=day)
    step = timedelta(days=1) / per_day
    texts = (_record(chance, midnight + step * number) for number in range(per_day))
    path.write_text(f"[{', '.join(texts)}]", encoding="utf-8")
    return path


def _record(chance: random.Random, moment: datetime) -> str:
    """One record as the grader's vendor writes it, some 600 bytes."""
    learner = chance.randrange(_LEARNERS)
    task = learner % 7 * _TASKS_EACH + chance.randrange(_TASKS_EACH)
    user, block = f"{learner * 2654435761 % 2**64:032x}", f"{task * 40503 % 2**64:032x}"
    course = f"course-v1:School+C{task % 12}+2023"
    kind, verdict = chance.choice((("run", "null"), ("submit", "0"), ("submit", "1")))
    params = (
        f"{{'oauth_consumer_key': '', 'lis_result_sourcedid': '{course}:{_HOST}-{block}:{user}', "
        f"'lis_outcome_service_url': 'https://{_HOST}/courses/{course}/xblock/block-v1:School+C{task % 12}"
        f"+2023+type@lti+block@{block}/handler_noauth/grade_handler'}}"
    )
    return (
        f'{{"lti_user_id": "{user}", "passback_params": "{params}", "is_correct": {verdict}, '
        f'"attempt_type": "{kind}", "created_at": "{moment:%Y-%m-%d %H:%M:%S.%f}"}}'
    )
