"""The demo school's learners: who studies when, and what they hand in.

Nothing is simulated from the beginning of time. A learner's module is a function of the week of the run,
the tasks of a study session one of the learner and the week, the attempts one of the learner and the day.
Every draw is made by a hash or by `random.Random(seed).random()`, which Python promises to keep for a seed,
so the same school comes out on every machine.
"""

from hashlib import sha512
from random import Random
from struct import Struct
from typing import NamedTuple

from embedded.demo_api.courses import Run, Task, runs_on
from embedded.demo_api.rhythm import FINENESS, HOUR, SECOND, WEEK_MASKS, midnight, presence, start_of_session

LONGEST_SESSION = 2 * HOUR
RUN = 'null, "attempt_type": "run", "created_at": "'
WRONG = '0, "attempt_type": "submit", "created_at": "'
RIGHT = '1, "attempt_type": "submit", "created_at": "'

_DILIGENCE = tuple(0.25 + 1.0 * ((number * 0.6180339887498949) % 1.0) for number in range(1024))
_THIRTY_TWO = Struct(">32H").unpack
_LAGS = (0, 0, 1, 0, 0, 2, 0, 1, 0, 0)


Attempt = tuple[int, str, str, float]
"""One attempt: its instant, its JSON text up to the verdict, from there to `created_at`'s value, and a draw
in [0, 1) that decides whether the record is an unusual one. A plain tuple, as millions of them are made."""


class Session(NamedTuple):
    """A learner's study session: its start and the weekday (0 is Monday) and week of the run it lies in."""

    start: int
    run: Run
    week: int
    weekday: int
    mask: int
    learner: int


def sessions(day: int, scale: float, earliest: int, latest: int) -> list[Session]:
    """The sessions of one of the school's days (a date's ordinal) that start in [earliest, latest), in order.

    Costs a draw for each learner enrolled, and little more for those who study on that day.
    """
    found: list[Session] = []
    here = presence(day)
    day_start = midnight(day)
    for run in runs_on(day):
        week, weekday = divmod(day - run.start, 7)
        draw = Random(f"{run.key}/{week}").random  # noqa: S311 - made-up data
        attendance = run.attendance(week)
        shift = day * 0.5698402909980532
        for learner in range(round(run.learners * scale)):
            u = draw() / (attendance * _DILIGENCE[learner & 1023])
            if u >= 1.0:
                continue
            mask = WEEK_MASKS[int(u * FINENESS)]
            if not mask >> weekday & 1 or (u * 7919.0 + shift) % 1.0 >= here:
                continue
            early_bird = learner % 6 == 5
            start = day_start + start_of_session(weekday, early_bird, (u * 104729.0 + shift) % 1.0)
            if earliest <= start < latest:
                found.append(Session(start, run, week, weekday, mask, learner))
    found.sort(key=lambda session: session.start)
    return found


def attempts(session: Session) -> list[Attempt]:
    """The attempts of a session, in order of time, none of them LONGEST_SESSION after its start or later."""
    run = session.run
    module = session.week - _LAGS[session.learner % len(_LAGS)]
    if not 0 <= module < len(run.modules):
        return []
    learner = run.learner_id(session.learner)
    seed = int(learner, 16)
    draw = Random(seed ^ (session.week * 8 + session.weekday + 1 << 130)).random  # noqa: S311
    todo = _todo(learner, session, run.modules[module])
    if draw() < 0.09:
        # Just a look at the first task: tried out, not handed in.
        todo = [(task, 1, False) for task, _, _ in todo[:1]]
        verdicts = (RUN, RUN)
    else:
        verdicts = (WRONG, RIGHT)
    skill = (seed & 0xFFFF) / 0xFFFF
    begin = '{"lti_user_id": "' + learner
    now = session.start
    last = session.start + LONGEST_SESSION
    made: list[Attempt] = []
    for task, submits, solved in todo:
        head = begin + task.before_id + learner + task.after_id
        now += int((30 + 600 * draw() ** 2) * SECOND)
        for submit in range(1, submits + 1):
            tries = draw() * (3.5 - 1.4 * skill) if submit == 1 else draw() * 1.6
            tails = [RUN] * int(tries + 0.2)
            tails.append(verdicts[solved and submit == submits])
            for tail in tails:
                mark = draw()
                spent = draw()
                now += int((9 + 280 * spent * spent * spent) * SECOND)
                if now >= last:
                    return made
                made.append((now, head, tail, mark))
    return made


def _todo(learner: str, session: Session, tasks: tuple[Task, ...]) -> list[tuple[Task, int, bool]]:
    """What the learner works on in this session: task, number of submits, whether the last of them is right.

    The module's tasks are spread over the learner's days of the week; one given up may be tried once more
    on the next of these days, so the earlier days are gone through as well.
    """
    # Up to 7 tasks with 4 draws each, and up to 4 days: 32 numbers of 16 bits, cheaper than seeding a Random.
    numbers = _THIRTY_TWO(sha512(f"{learner}/{session.week}".encode()).digest())
    skill = int(learner[-4:], 16) / 0xFFFF
    days = [day for day in range(7) if session.mask >> day & 1]
    again: list[int] = []
    outcome: list[tuple[int, int, bool]] = []
    for place, day in enumerate(days):
        first, past = len(tasks) * place // len(days), len(tasks) * (place + 1) // len(days)
        fresh = range(first, min(past, first + 2 + numbers[28 + place] * 3 // 65536))
        outcome = [
            (number, *_submits(tasks[number].difficulty, skill, numbers[number * 4 + retry] / 65536))
            for retry, chosen in ((1, again), (0, fresh))
            for number in chosen
        ]
        if day == session.weekday:
            break
        again = [number for number, _, solved in outcome if number in fresh and not solved]
        again = [number for number in again if numbers[number * 4 + 2] < 40000]
    return [(tasks[number], submits, solved) for number, submits, solved in outcome]


def _submits(difficulty: float, skill: float, u: float) -> tuple[int, bool]:
    """How often a task is handed in, and whether it is solved in the end; drawn by u in [0, 1)."""
    chance = min(0.96, max(0.12, 1.0 - 0.75 * difficulty + 0.5 * (skill - 0.5)))
    gives_up = 0.26 - 0.16 * skill
    for submits in range(1, 13):
        if u < chance:
            return submits, True
        u = (u - chance) / (1 - chance)
        if u < gives_up:
            return submits, False
        u = (u - gives_up) / (1 - gives_up)
        chance = min(0.96, chance + 0.03)
    return 12, False
