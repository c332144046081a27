"""The page as HTML: the figures in its template, with style, data and scripts inside."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from babel.dates import format_date
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from orchestration.deliver import Links, incidents
from orchestration.deliver.answer import MADE_UP, answer
from orchestration.deliver.columns import Number
from orchestration.deliver.figures import Figures
from orchestration.deliver.report import shown
from orchestration.deliver.report.embedded import course_days, days_shown, embedded, weeks_shown
from orchestration.deliver.words import Words, capitalised
from orchestration.summary import RunSummary

FOLDER = Path(__file__).parent
TONES = {"good": "good", "neutral": "plain", "unusual": "warn", "bad": "bad"}
"""The page's classes for the answer's tones."""


def build_page(figures: Figures, summary: RunSummary, links: Links, words: Words, library: str) -> str:
    """The whole page. `library` is the JavaScript that draws the charts; nothing else is fetched."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(text=words.text, plural=words.plural, words=words, web_address=web_address)
    found, by_course = answer(figures, summary, words), course_days(figures)
    return environment.get_template("report.html.j2").render(
        figures=figures,
        shown=shown,
        day=_long(figures.as_of_day, words) if figures.as_of_day else "",
        answer=found,
        tone=TONES[found.tone],
        made_up=words.text(MADE_UP) if summary.demo else None,
        incidents=incidents,
        by_course=by_course,
        days=days_shown(figures),
        weeks=weeks_shown(figures),
        lines=[spark(attempts) for attempts in by_course["attempts"]],
        sheet=web_address(links.sheet),
        docs=web_address(links.docs),
        weekday=lambda number: words.locale.days["format"]["wide"][number - 1],
        style=_inside("style.css"),
        script=_inside("script.js"),
        library=library,
        data=embedded(figures, words),
    )


def web_address(address: str | None) -> str | None:
    """`address` if a browser may follow it from the page: http or https, and nothing else."""
    return address if address and address.lower().startswith(("https://", "http://")) else None


def _long(day: date, words: Words) -> str:
    """`Friday, 27 November 2026`."""
    return capitalised(format_date(day, "full", locale=words.locale))


def spark(values: Sequence[Number]) -> str:
    """The points of a line through `values` within 100 x 20, for an SVG's polyline."""
    top, last = max([value or 0 for value in values], default=0) or 1, max(len(values) - 1, 1)
    return " ".join(f"{100 * x / last:.4g},{19 - 18 * (value or 0) / top:.3g}" for x, value in enumerate(values))


def _inside(name: str) -> str:
    return (FOLDER / name).read_text("utf-8")
