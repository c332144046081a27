"""Texts, numbers, days and changes as a reader's language writes them.

Texts are written in English where they are used and translated by the catalogues in `locale/`
(gettext); numbers, dates and plurals follow the language's own rules (Babel, Unicode CLDR).
"""

from __future__ import annotations

import math
import re
from datetime import date, datetime

from babel import Locale, dates, numbers

from orchestration.deliver.catalogue import catalogue, mark
from orchestration.deliver.columns import Column, Number, Row, kind_of
from orchestration.summary import DayVerdict, MetricVerdict

# The day before the month, in English as in Russian.
LANGUAGES = {"en": "en_GB", "ru": "ru"}
MINUS = "−"  # noqa: RUF001 - a true minus sign
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def one_line(text: str, limit: int = 1_000) -> str:
    """`text` on one line without control characters, at most `limit` characters long.

    Spaces that don't break a line stay: they hold numbers together.
    """
    flat = " ".join(part for part in _UNPRINTABLE.sub(" ", text).split(" ") if part)
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def capitalised(text: str) -> str:
    """`text` with a capital letter, which days lack in some languages."""
    return text[:1].upper() + text[1:]


def counted(number: int, noun: str) -> str:
    """A number with its noun, for the log: `1 load`, `1,234 loads`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def in_every_language(message: str) -> tuple[str, ...]:
    """A text as each language puts it, English first."""
    return tuple(catalogue(language).gettext(message) for language in LANGUAGES)


class Words:
    """How one language (`en` or `ru`) puts things."""

    def __init__(self, language: str = "en") -> None:
        self.language = language
        self.locale = Locale.parse(LANGUAGES[language])
        self._catalogue = catalogue(language)
        self._percent = self.locale.percent_formats[None].pattern

    def text(self, message: str, **values: object) -> str:
        """An English text in this language; what stands in braces is filled in from `values`."""
        translated = self._catalogue.gettext(message) if message else ""
        return translated.format(**values) if values else translated

    def names(self, message: str) -> tuple[str, ...]:
        """An English text in this language, then in the others."""
        own = self.text(message)
        return (own, *(name for name in in_every_language(message) if name != own))

    def plural(self, one: str, many: str, count: int, **values: object) -> str:
        """The form of a text that fits `count`, which `{count}` in it stands for."""
        return self._catalogue.ngettext(one, many, count).format(count=self.count(count), **values)

    def heading(self, column: Column) -> str:
        """What stands over a column of a mart: its name in English, which analysts know, else its label."""
        return column.name if self.language == "en" else self.text(column.label)

    def count(self, value: float) -> str:
        """`1,234`."""
        return numbers.format_decimal(round(value), locale=self.locale)

    def decimal(self, value: float, digits: int = 1) -> str:
        """`3.4`."""
        return numbers.format_decimal(value, "#,##0" + _digits(digits), self.locale)

    def share(self, value: float, digits: int = 1) -> str:
        """`61.2%`."""
        pattern = self._percent.replace("#,##0", "#,##0" + _digits(digits))
        return numbers.format_percent(value, pattern, self.locale)

    def number(self, column: str, value: Number) -> str:
        """A metric: `1,234`, `61.2%`, `3.4`; an en dash for none."""
        if value is None:
            return "–"
        kind = kind_of(column, value)
        if kind == "share":
            return self.share(value)
        return self.decimal(value) if kind == "decimal" else self.count(value)

    def change(self, column: str, now: Number, before: Number) -> str:
        """How far `now` is from `before`: `+10%`, points for a share, the difference for a mean.

        '' when unknown. Points and differences are those of the rounded figures beside them.
        """
        if now is None or before is None:
            return ""
        kind = kind_of(column, now)
        if kind == "share":
            points = (round(now, 3) - round(before, 3)) * 100
            return self.text("{points} pp", points=_signed(points, self.decimal(abs(points))))
        if kind == "decimal":
            difference = round(now, 1) - round(before, 1)
            return _signed(difference, self.decimal(abs(difference)))
        if before == 0:
            return _signed(now, self.count(now))
        part = (now - before) / before
        return _signed(part, self.share(abs(part), 0))

    def points(self, effect: float) -> str:
        """A share of a change of the success rate, in points: `−1.3 pp`."""
        return self.text("{points} pp", points=_signed(effect, self.decimal(abs(effect) * 100)))

    def usual(self, metric: str, low: Number, high: Number) -> str:
        """A band, rounded: `2,900–3,200`, `56–64%`; '' without one."""
        if low is None or high is None:
            return ""
        if kind_of(metric, low) != "share":
            return f"{self.count(_rounded(low))}–{self.count(_rounded(high))}"
        return f"{self.decimal(low * 100, 0)}–{self.share(high, 0)}"

    def reason(self, figure: MetricVerdict) -> str:
        """What is unusual: `attempts 12 (usually 2,900–3,150)`."""
        name = self.text(METRICS[figure.metric])
        value = self.number(figure.metric, figure.value)
        if band := self.usual(figure.metric, figure.low, figure.high):
            return self.text("{metric} {value} (usually {band})", metric=name, value=value, band=band)
        return f"{name} {value}"

    def verdict(self, day: DayVerdict) -> str:
        """What the day is: `as usual`, `SUSPECT`."""
        return self.text(VERDICTS[day.verdict])

    def day(self, value: date) -> str:
        """`Sat, 21 Nov 2026`."""
        return dates.format_skeleton("yMMMEd", value, locale=self.locale)

    def short_day(self, value: date) -> str:
        """`Sat, 21 Nov`."""
        return dates.format_skeleton("MMMEd", value, locale=self.locale)

    def day_of_month(self, value: date) -> str:
        """`21 Nov`."""
        return dates.format_skeleton("MMMd", value, locale=self.locale)

    def month(self, value: date) -> str:
        """`November 2026`."""
        return dates.format_skeleton("yMMMM", value, locale=self.locale)

    def moment(self, value: datetime) -> str:
        """`Sun, 22 Nov 2026, 06:00 (Europe/Moscow)`: an aware time in its own zone."""
        return f"{self.day(value.date())}, {value:%H:%M} ({value.tzinfo})"

    def seconds(self, value: float) -> str:
        """`3.4 s`, or `12 min 5 s` from a minute on."""
        if value < 60:
            return self.text("{seconds} s", seconds=self.decimal(value))
        minutes, rest = divmod(round(value), 60)
        return self.text("{minutes} min {seconds} s", minutes=minutes, seconds=rest)

    def task(self, row: Row) -> str:
        """A task with its course: `0000…0007 (DRILLS-1.0 SELF_PACED)`."""
        return f"{row['title']} ({self.course(row['course_title'])})"

    def course(self, title: str) -> str:
        """A course's title, or its key."""
        return self.text(NO_COURSE) if title == NO_COURSE else title


NO_COURSE = mark("(no course)")
METRICS = {
    "attempts": mark("attempts"),
    "unique_users": mark("unique users"),
    "success_rate": mark("success"),
    "rejected_share": mark("rejected records"),
}
"""What is judged of each day (`marts.daily_verdicts`), as it stands within a sentence."""
VERDICTS = {
    "suspect": mark("SUSPECT"),
    "unusual": mark("not as usual"),
    "normal": mark("as usual"),
    "no_history": mark("without days to compare it with"),
}


def _rounded(value: float) -> float:
    """To two digits, from a hundred on."""
    return round(value, 1 - int(math.log10(value))) if value >= 100 else value


def _digits(digits: int) -> str:
    return "." + "0" * digits if digits else ""


def _signed(value: float, shown: str) -> str:
    """`shown`, the size of `value`, with its sign; `±0` for what is rounded to nothing."""
    if not re.search("[1-9]", shown):
        return "±" + re.sub(r"0[.,]0+", "0", shown)
    return ("+" if value > 0 else MINUS) + shown


ENGLISH = Words("en")
"""For the log and for errors, which are English whatever the reader's language is."""
