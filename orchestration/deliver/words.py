"""Numbers, days and changes as people read them."""

import re
from datetime import date, datetime

from orchestration.deliver.columns import kind_of
from orchestration.deliver.figures import Number

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def one_line(text: str, limit: int = 1_000) -> str:
    """`text` on one line without control characters, at most `limit` characters long."""
    flat = " ".join(_UNPRINTABLE.sub(" ", text).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def counted(number: int, noun: str) -> str:
    """A number with its noun: `1 load`, `1,234 loads`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def number(column: str, value: Number) -> str:
    """A metric: `1,234`, `61.2%`, `3.4`; an en dash for none."""
    if value is None:
        return "–"
    kind = kind_of(column, value)
    if kind == "share":
        return f"{value:.1%}"
    return f"{value:,.1f}" if kind == "decimal" else f"{value:,.0f}"


def change(column: str, now: Number, before: Number) -> str:
    """How far `now` is from `before`: `+10%`, points for a share, the difference for a mean.

    '' when unknown. Points and differences are those of the rounded figures beside them.
    """
    if now is None or before is None:
        return ""
    kind = kind_of(column, now)
    if kind == "share":
        return _signed((round(now, 3) - round(before, 3)) * 100, 1, " pp")
    if kind == "decimal":
        return _signed(round(now, 1) - round(before, 1), 1, "")
    if before == 0:
        return "±0" if now == 0 else f"+{now:,.0f}"
    return _signed((now - before) / before * 100, 0, "%")


def _signed(value: float, decimals: int, unit: str) -> str:
    rounded = f"{abs(value):,.{decimals}f}"
    if not rounded.strip("0.,"):
        return f"±0{unit}"
    return f"{'+' if value > 0 else '−'}{rounded}{unit}"  # noqa: RUF001 - a true minus sign


def day(value: date) -> str:
    """`Sat 21 Nov 2026`, in English whatever the machine's locale is."""
    return f"{short_day(value)} {value.year}"


def short_day(value: date) -> str:
    """`Sat 21 Nov`."""
    return f"{_WEEKDAYS[value.weekday()]} {value.day} {_MONTHS[value.month - 1]}"


def moment(value: datetime) -> str:
    """`Sun 22 Nov 2026, 06:00 (Europe/Moscow)`: an aware time in its own zone."""
    return f"{day(value.date())}, {value:%H:%M} ({value.tzinfo})"


def seconds(value: float) -> str:
    """`3.4 s`, or `12 min 5 s` from a minute on."""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s"
