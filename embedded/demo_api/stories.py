"""What is planted in the demo school: a course of drills whose learners and tasks each have a known story.

On every day somebody joins. A learner of the drills comes ten times, every third day, and hands in all drills each
time. On every day one drill, another than the day before, is broken from 12:00 to 18:00: nothing is right then.
The fourth visit is for the riddle, whose statement is bad: nine wrong answers, then the right one. The seventh is
for the wall, which is too hard: eleven wrong answers, and most stay stuck. Half of those stuck never come back.
No holiday and no chance keeps them away, so that all this is found on any date. `docs/demo.md` says where.
"""

from __future__ import annotations

from hashlib import md5
from random import Random

from embedded.demo_api.courses import lti_task
from embedded.demo_api.rhythm import HOUR, SECOND, midnight
from embedded.demo_api.students import RIGHT, RUN, WRONG, Attempt

COURSE_KEY = "course-v1:DemoAcademy+DRILLS-1.0+SELF_PACED"
DRILLS = tuple(f"{number:032x}" for number in range(1, 6))
RIDDLE = f"{6:032x}"
WALL = f"{7:032x}"

DAYS_BETWEEN_VISITS = 3
# The hour at which each of a learner's visits begins.
HOURS = (19, 12, 13, 14, 15, 16, 17, 13, 15, 10)
BROKEN_HOURS = range(12, 18)
RIDDLE_VISIT = 3
WALL_VISIT = 6
# The share of drills whose first answer is wrong when nothing is broken, and how many wrong answers come elsewhere.
WRONG_FIRST = 0.15
WRONG_ON_BROKEN = 3
WRONG_ON_RIDDLE = 9
WRONG_ON_WALL = 11

_TASKS = {block: lti_task(COURSE_KEY, block) for block in (*DRILLS, RIDDLE, WALL)}
_ORDINARY = 1.0


def broken_drill(day: int) -> str:
    """The block id of the drill that is broken on a day (a date's ordinal)."""
    return DRILLS[day % len(DRILLS)]


def passes_the_wall(joined: int) -> bool:
    """Whether the learners who joined on a day solve the wall in the end."""
    return joined % 5 == 0


def vanishes(joined: int) -> bool:
    """Whether the learners who joined on a day never come back from the wall."""
    return joined % 2 == 0 and not passes_the_wall(joined)


def learner_id(joined: int, number: int) -> str:
    """The id of one of those who joined on a day."""
    return md5(f"{COURSE_KEY}#{joined}#{number}".encode(), usedforsecurity=False).hexdigest()


def attempts(day: int, scale: float) -> list[Attempt]:
    """The planted attempts of one of the school's days, in no order, all between 10:00 and 20:00."""
    made: list[Attempt] = []
    for visit in range(len(HOURS)):
        joined = day - visit * DAYS_BETWEEN_VISITS
        if visit <= WALL_VISIT or not vanishes(joined):
            for number in range(max(1, round(scale))):
                made += _visit(day, visit, joined, learner_id(joined, number))
    return made


def _visit(day: int, visit: int, joined: int, learner: str) -> list[Attempt]:
    draw = Random(f"{learner}/{day}").random  # noqa: S311 - made-up data
    now = midnight(day) + HOURS[visit] * HOUR
    made: list[Attempt] = []

    def hand_in(block: str, tails: list[str], seconds: int) -> None:
        nonlocal now
        text = _TASKS[block]
        head = f'{{"lti_user_id": "{learner}{text.before_id}{learner}{text.after_id}'
        for tail in tails:
            now += int((0.7 + 0.6 * draw()) * seconds * SECOND)
            made.append((now, head, tail, _ORDINARY))

    for drill in DRILLS:
        if drill == broken_drill(day) and HOURS[visit] in BROKEN_HOURS:
            hand_in(drill, [WRONG] * WRONG_ON_BROKEN, 60)
        else:
            hand_in(drill, [WRONG, RIGHT] if draw() < WRONG_FIRST else [RIGHT], 60)
    if visit == RIDDLE_VISIT:
        hand_in(RIDDLE, [RUN, *[WRONG] * WRONG_ON_RIDDLE, RIGHT], 100)
    if visit == WALL_VISIT:
        hand_in(WALL, [RUN, *[WRONG] * WRONG_ON_WALL, *[RIGHT] * passes_the_wall(joined)], 200)
    return made
