"""Alerts that don't nag: an incident or a warning is told when it opens, when it closes, and weekly in between.

Days are last full days, so that a second mail about the same day tells the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Literal

from orchestration.deliver.figures import Figures
from orchestration.summary import RunSummary

AGAIN_AFTER = timedelta(days=7)
Kind = Literal["incident", "warning"]


@dataclass(frozen=True)
class Alert:
    """An incident (its `key` has the task and what happened to it) or a warning (the test's name).

    `told_on` is the day of the mail that told it last; `closed_on` is None while it goes on.
    """

    kind: Kind
    key: str
    label: str
    opened_on: date
    told_on: date
    closed_on: date | None = None


@dataclass(frozen=True)
class Told:
    """What a mail tells: alerts that opened, go on for another week, or closed; those it leaves out."""

    opened: tuple[Alert, ...] = ()
    going_on: tuple[Alert, ...] = ()
    closed: tuple[Alert, ...] = ()
    left_out: tuple[Alert, ...] = ()

    @property
    def to_keep(self) -> tuple[Alert, ...]:
        """What has to be noted once the mail is sent."""
        return (*self.opened, *self.going_on, *self.closed)


def incident_key(task_id: str, kind: str) -> str:
    """What tells one incident from another."""
    return f"{task_id} {kind}"


def found_now(figures: Figures, summary: RunSummary) -> dict[Kind, dict[str, str] | None]:
    """The labels of what there is on the last full day, by kind and key; None where a run can't know."""
    incidents = {
        incident_key(row["task_id"], row["kind"]): f"{row['kind']}: {row['title']}, {row['course_title']}"
        for row in figures.incidents
    }
    if summary.tests is None:
        return {"incident": incidents, "warning": None}
    warned = (result for result in summary.tests.results if result.status == "warn")
    return {"incident": incidents, "warning": {result.name: result.message for result in warned}}


def compare(found: Mapping[Kind, Mapping[str, str] | None], known: Sequence[Alert], day: date) -> Told:
    """What a mail about `day` tells, given what there is and the alerts that were open before it.

    Those that an earlier mail about the same day opened or closed are judged anew.
    """
    opened, going_on, closed, left_out = [], [], [], []
    for alert in known:
        labels = found[alert.kind]
        if labels is None:
            left_out.append(alert)
        elif alert.key not in labels:
            closed.append(replace(alert, told_on=day, closed_on=day))
        elif alert.opened_on == day:
            opened.append(replace(alert, closed_on=None))
        elif alert.told_on == day or day - alert.told_on >= AGAIN_AFTER:
            going_on.append(replace(alert, told_on=day, closed_on=None))
        else:
            left_out.append(alert)
    before = {(alert.kind, alert.key) for alert in known}
    opened += [
        Alert(kind, key, label, day, day)
        for kind, labels in found.items()
        for key, label in (labels or {}).items()
        if (kind, key) not in before
    ]
    return Told(tuple(opened), tuple(going_on), tuple(closed), tuple(left_out))
