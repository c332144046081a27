"""The mail as plain text, at most about 78 characters wide."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from orchestration.deliver import words
from orchestration.deliver.mail.body import Body

_WIDTH = 76


def render_text(body: Body) -> str:
    """The text/plain part."""
    data = (_figures, _load)
    after = (_tests, *data) if body.failure else (*data, _tests)
    sections = (section(body) for section in (_top, _failure, _undelivered, *after, _end))
    return "\n\n".join(text for text in ("\n".join(section) for section in sections) if text) + "\n"


def _top(body: Body) -> Iterator[str]:
    yield body.headline.upper() if body.outcome != "done" else body.headline
    for notice in body.notices:
        yield from _wrapped("! ", notice)


def _failure(body: Body) -> Iterator[str]:
    if body.failure is None:
        return
    yield from _title("What failed")
    yield from _wrapped("", body.failure.text)
    yield ""
    yield "What to do:"
    for advice in body.failure.advice:
        yield from _wrapped("- ", advice)
    if body.failure.log_tail:
        yield ""
        yield f"Last lines of the log ({body.failure.log_file}):"
        yield from (f"  {line}" for line in body.failure.log_tail)


def _undelivered(body: Body) -> Iterator[str]:
    if not body.undelivered:
        return
    yield from _title("Not delivered")
    for delivery in body.undelivered:
        yield from _wrapped("- ", f"{delivery.name} ({delivery.target}): {delivery.detail}")
    yield from _wrapped("", "The next run, or `make deliver`, repeats it.")


def _figures(body: Body) -> Iterator[str]:
    if body.day is None:
        yield from _wrapped("", "There is no full day to show yet.")
        return
    yield from _title(body.day)
    yield f"{'':41}{f'vs {body.day_before}':>17}{f'vs {body.week_before}':>17}"
    for line in body.lines:
        before = f"{line.day_before}  {line.day_change}" if line.day_change else line.day_before
        week = f"{line.week_before}  {line.week_change}" if line.week_change else line.week_before
        yield f"{line.label:31}{line.value:>10}{before:>17}{week:>17}"
    yield ""
    yield f"Data as of {body.as_of}."


def _load(body: Body) -> Iterator[str]:
    load = body.load
    if load is None:
        return
    yield from _title(body.load_title)
    yield f"{'fetched':31}{load.fetched:>10,}"
    yield f"{'accepted':31}{load.accepted:>10,}"
    yield f"{'repeated':31}{load.repeated:>10,}"
    yield f"{'rejected':31}{load.rejected:>10,}"
    for reason, count in load.rejected_by_reason.items():
        yield f"  {words.one_line(reason, 60):29}{count:>10,}"


def _tests(body: Body) -> Iterator[str]:
    if body.tests is None:
        return
    yield from _title("Data tests")
    yield body.tests
    for result in body.test_results:
        text = f"{result.status}: {result.name}: {result.message or f'{result.failures:,} rows'}"
        yield from _wrapped("- ", words.one_line(text))
        for sample in result.sample:
            yield from _wrapped("    ", words.one_line(sample))


def _end(body: Body) -> Iterator[str]:
    yield from _title("More")
    if body.links.sheet:
        yield f"Spreadsheet: {body.links.sheet}"
    if body.links.docs:
        yield f"Documentation: {body.links.docs}"
    for stage in body.stages:
        took = words.seconds(stage.seconds)
        yield from _wrapped("", f"{stage.name}: {stage.outcome} in {took}. {stage.detail}")
    yield from _wrapped("", f"Run {body.run}.")


def _title(text: str) -> tuple[str, str]:
    return text, "-" * min(len(text), _WIDTH)


def _wrapped(mark: str, text: str) -> Iterable[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=mark,
        subsequent_indent=" " * len(mark),
        break_long_words=False,
        break_on_hyphens=False,
    )
