"""What a run's mail says, as plain values; text and HTML render them in their own ways."""

from dataclasses import dataclass
from datetime import date

from orchestration.deliver import Links
from orchestration.deliver.alerts import Told, found_now, incident_key
from orchestration.deliver.alerts import compare as compare_alerts
from orchestration.deliver.answer import MADE_UP, Answer, answer, main_movers, mover_effect, nothing_yet
from orchestration.deliver.columns import KEY_FIGURES, Row, label_of
from orchestration.deliver.figures import Day, Figures
from orchestration.deliver.incidents import KINDS, advice, evidence
from orchestration.deliver.record import Past
from orchestration.deliver.words import METRICS, Words, one_line
from orchestration.summary import DayVerdict, RunSummary

SUBJECT_LIMIT = 70
_MOVERS = 3
_REPAIR = 3
_REVISED_DAYS = 3


@dataclass(frozen=True)
class Line:
    """A key figure of the day: its value, what is usual, and the same weekday a week before."""

    label: str
    value: str
    usual: str
    week_before: str
    change: str
    out_of_band: bool


@dataclass(frozen=True)
class Item:
    """Something to look at: what it is, the evidence, and its address, if any."""

    title: str
    detail: str
    link: str | None = None


@dataclass(frozen=True)
class Body:
    """The mail for those who steer by the figures. Every text is in the reader's language."""

    answer: Answer
    made_up: str | None
    mark: str | None
    head: str | None
    week_before: str
    lines: tuple[Line, ...]
    moved_head: str
    moved_note: str
    moved: tuple[Item, ...]
    incidents: tuple[Item, ...]
    quiet_incidents: str | None
    closed: tuple[Item, ...]
    repair: tuple[Item, ...]
    revised: tuple[Item, ...]
    undelivered: tuple[Item, ...]
    completeness: str
    links: Links


def build_body(figures: Figures, summary: RunSummary, links: Links, past: Past, words: Words) -> tuple[Body, Told]:
    """What the mail says, and the alerts it tells: they are to be noted once it is sent."""
    day = figures.last_full_day
    told = Told()
    if day is not None and summary.failure is None:
        told = compare_alerts(found_now(figures, summary), past.alerts, day.date)
    week = figures.week_before
    body = Body(
        answer=answer(figures, summary, words),
        made_up=words.text(MADE_UP) if summary.demo else None,
        mark=None if summary.failure else _mark(figures, past, words),
        head=_head(figures, summary, words),
        week_before=words.short_day(week.date) if week else words.text("a week before"),
        lines=tuple(_line(figures, name, words) for name in KEY_FIGURES) if day else (),
        moved_head=words.text("What moved the day, against {day}", day=words.short_day(week.date)) if week else "",
        moved_note=_moved_note(figures, words),
        moved=_moved(figures, words),
        incidents=_incidents(figures, told, words),
        quiet_incidents=_left_out(told, words),
        closed=tuple(
            Item(alert.label, words.text("since {day}", day=words.short_day(alert.opened_on)))
            for alert in told.closed
            if alert.kind == "incident"
        ),
        repair=_repair(figures, words),
        revised=_revised(figures, past, words),
        undelivered=tuple(Item(lost.name, lost.detail) for lost in summary.undelivered),
        completeness=_completeness(figures, words),
        links=links,
    )
    return body, told


def subject(figures: Figures, summary: RunSummary, past: Past, words: Words) -> str:
    """The mail in a line of at most 70 characters: the day, the figures, the verdict."""
    day = figures.last_full_day
    tail = " " + words.text("[demo]") if summary.demo else ""
    if summary.outcome == "failed":
        started = words.day_of_month(summary.started_at.astimezone(figures.zone).date())
        text = words.text("{day}: no new figures, the run failed", day=started)
        if summary.failed_stage:
            text = words.text(
                "{day}: no new figures, the run failed ({stage})",
                day=started,
                stage=one_line(summary.failed_stage, 20),
            )
        return text + tail
    if day is None or not figures.days:
        return nothing_yet(figures, summary, words) + tail
    verdict = figures.verdict or DayVerdict(day.date, "no_history")
    marked = _mark(figures, past, words)
    begin = words.day_of_month(day.date) + (f" ({marked})" if marked else "")
    numbers = list(map(words.reason, verdict.out_of_band)) or _attempts_and_success(day, words)
    end = ", " + words.verdict(verdict)
    if verdict.verdict in ("suspect", "no_history"):
        end = words.text(": check") if verdict.is_suspect else ""
    if summary.undelivered:
        end += "; " + words.text("not all delivered")
    text = f"{begin}: {', '.join(numbers)}{end}{tail}"
    while len(text) > SUBJECT_LIMIT and len(numbers) > 1:
        numbers.pop()
        text = f"{begin}: {', '.join(numbers)}{end}{tail}"
    return one_line(text, SUBJECT_LIMIT)


def _attempts_and_success(day: Day, words: Words) -> list[str]:
    """`2,974 attempts` and `success 60.5%`, the latter only when there is a success rate."""
    attempts, success = (day.values[name] for name in ("attempts", "success_rate"))
    found = [words.plural("{count} attempt", "{count} attempts", int(attempts or 0))]
    if success is not None:
        found.append(f"{words.text(METRICS['success_rate'])} {words.share(success)}")
    return found


def _mark(figures: Figures, past: Past, words: Words) -> str | None:
    """`again` for a second mail about a day, `corrected` when its figures are others than those told."""
    day = figures.last_full_day
    if day is None or past.same_day is None:
        return None
    return words.text("again") if past.same_day == dict(day.values) else words.text("corrected")


def _head(figures: Figures, summary: RunSummary, words: Words) -> str | None:
    """The heading of the key figures; None before there are any."""
    day = figures.last_full_day
    if day is None:
        return None
    if summary.failure is not None:
        return words.text("The last good figures: {day}", day=words.day(day.date))
    return words.text("Key figures")


def _line(figures: Figures, name: str, words: Words) -> Line:
    day, week = figures.last_full_day, figures.week_before
    assert day is not None
    judged = {figure.metric: figure for figure in figures.verdict.metrics} if figures.verdict else {}
    figure = judged.get(name)
    value, before = day.values[name], week.values[name] if week else None
    return Line(
        words.text(label_of(name)),
        words.number(name, value),
        words.usual(name, figure.low, figure.high) if figure else "",
        words.number(name, before),
        words.change(name, value, before),
        figure is not None and not figure.is_usual,
    )


def _moved_note(figures: Figures, words: Words) -> str:
    if _by_attempts(figures):
        return words.text("Attempts on the day and a week before: courses, then tasks")
    return words.text("Points of the whole success rate: courses, then tasks")


def _by_attempts(figures: Figures) -> bool:
    """Whether what moved is told by attempts: they are out of their band, and success is not."""
    out = {figure.metric for figure in figures.verdict.out_of_band} if figures.verdict else set()
    return bool(out) and "success_rate" not in out


def _moved(figures: Figures, words: Words) -> tuple[Item, ...]:
    """The courses and tasks that moved the day most."""
    by_attempts = _by_attempts(figures)
    found = []
    for dimension in ("course", "task"):
        for row in main_movers(figures, dimension, by_attempts=by_attempts)[:_MOVERS]:
            name = words.task(row) if dimension == "task" else words.course(row["title"])
            effect = mover_effect(row, words, by_attempts=by_attempts)
            found.append(Item(_few(name, row, words), effect, row["lms_url"]))
    return tuple(found)


def _few(name: str, row: Row, words: Words) -> str:
    return words.text("{name} (fewer than 5 learners)", name=name) if row["is_small"] else name


def _incidents(figures: Figures, told: Told, words: Words) -> tuple[Item, ...]:
    since = {alert.key: alert.opened_on for alert in (*told.opened, *told.going_on) if alert.kind == "incident"}
    found = []
    for row in figures.incidents:
        key = incident_key(row["task_id"], row["kind"])
        if key in since:
            detail = f"{evidence(row, words)} {advice(row, words)}"
            if since[key] != figures.as_of_day:
                detail += " " + words.text("Since {day}.", day=words.short_day(since[key]))
            kind = KINDS[row["kind"]]
            title = f"{words.text(kind)}: {words.task(row)}"
            found.append(Item(_few(title, row, words), detail, row["lms_url"]))
    return tuple(found)


def _left_out(told: Told, words: Words) -> str | None:
    number = sum(alert.kind == "incident" for alert in told.left_out)
    if not number:
        return None
    return words.plural(
        "{count} incident goes on that was told before.", "{count} incidents go on that were told before.", number
    )


def _repair(figures: Figures, words: Words) -> tuple[Item, ...]:
    found = []
    for row in figures.tasks[:_REPAIR]:
        if row["repair_rank"] is None:
            break
        detail = words.text(
            "{hours} h lost in 28 days by {learners}; solved by {share}",
            hours=words.decimal(row["learner_hours_lost_28d"]),
            learners=words.plural("{count} learner", "{count} learners", row["learners"]),
            share=words.number("solve_rate", row["solve_rate"]),
        )
        found.append(Item(_few(words.task(row), row, words), detail, row["lms_url"]))
    return tuple(found)


def _revised(figures: Figures, past: Past, words: Words) -> tuple[Item, ...]:
    """The closed days whose key figures changed since the last mail about an earlier day."""
    if past.told_at is None:
        return ()
    by_day: dict[date, list[str]] = {}
    for row in figures.revisions:
        if row["revised_at"] > past.told_at and row["metric"] in KEY_FIGURES:
            old, new = (words.number(row["metric"], row[name]) for name in ("old_value", "new_value"))
            by_day.setdefault(row["activity_date"], []).append(f"{words.text(METRICS[row['metric']])} {old} → {new}")
    newest = sorted(by_day, reverse=True)[:_REVISED_DAYS]
    return tuple(Item(words.short_day(day), ", ".join(by_day[day])) for day in newest)


def _completeness(figures: Figures, words: Words) -> str:
    """Up to when the data goes, and what of the day's records was not usable."""
    if figures.loaded_at is None or figures.as_of_day is None:
        return words.text("Nothing was loaded so far.")
    counts = figures.loads_of_last_full_day
    text = words.text("Data as of {when}.", when=words.moment(figures.loaded_at))
    if new := sum(load.accepted + load.rejected for load in counts):
        rejected = sum(load.rejected for load in counts)
        text += " " + words.text(
            "Of {new} that came with it, {share} could not be used.",
            new=words.plural("{count} new record", "{count} new records", new),
            share=words.share(rejected / new),
        )
    return text
