"""The last 30 days as a PNG that reads on white and on black: without a background."""

import io
import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from orchestration.deliver.figures import Day
from orchestration.deliver.words import ENGLISH as words

WIDTH, HEIGHT = 1200, 600
"""Pixels; shown at half that size, so that it stays sharp on phones."""

_OVERSAMPLING = 2
_INK = (125, 133, 144, 255)
_GRID = (128, 136, 148, 70)
_ATTEMPTS = (112, 160, 214, 255)
_CORRECT = (52, 158, 98, 255)
_USERS = (232, 138, 40, 255)
_LEGEND = (("attempts", _ATTEMPTS), ("correct submits", _CORRECT), ("unique users", _USERS))
_LEFT, _RIGHT, _TOP, _BOTTOM = 112, 12, 76, 62


def draw_days(days: Sequence[Day]) -> bytes:
    """Bars of attempts, the correct submits inside, and a line of unique users, on one axis."""
    scale = _OVERSAMPLING
    image = Image.new("RGBA", (WIDTH * scale, HEIGHT * scale), (128, 128, 128, 0))
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(34 * scale)
    top = _nice_top(max((value for day in days for value in _values(day)), default=0))
    plot_width, plot_height = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
    slot = plot_width / max(len(days), 1)

    def y(value: float) -> float:
        return (_TOP + plot_height * (1 - value / top)) * scale

    def x(index: int) -> float:
        return (_LEFT + slot * (index + 0.5)) * scale

    for step in range(5):
        value = top * step / 4
        draw.line((_LEFT * scale, y(value), (WIDTH - _RIGHT) * scale, y(value)), fill=_GRID, width=scale)
        draw.text(((_LEFT - 12) * scale, y(value)), f"{value:,.0f}", fill=_INK, font=font, anchor="rm")
    half = min(slot * 0.36, 40) * scale
    for index, day in enumerate(days):
        attempts, correct, _ = _values(day)
        for value, colour in ((attempts, _ATTEMPTS), (correct, _CORRECT)):
            if value:
                draw.rectangle((x(index) - half, y(value), x(index) + half, y(0)), fill=colour)
    points = [(x(index), y(_values(day)[2])) for index, day in enumerate(days)]
    draw.line(points, fill=_USERS, width=5 * scale, joint="curve")
    for px, py in points:
        draw.ellipse((px - 5 * scale, py - 5 * scale, px + 5 * scale, py + 5 * scale), fill=_USERS)
    for index in range(len(days) - 1, -1, -7):
        label = words.short_day(days[index].date).split(" ", 1)[1]
        anchor = "rt" if index == len(days) - 1 and len(days) > 7 else "mt"
        edge = x(index) + (half if anchor == "rt" else 0)
        draw.text((edge, (HEIGHT - _BOTTOM + 14) * scale), label, fill=_INK, font=font, anchor=anchor)
    left = _LEFT * scale
    for name, colour in _LEGEND:
        draw.rounded_rectangle((left, 14 * scale, left + 30 * scale, 44 * scale), radius=6 * scale, fill=colour)
        draw.text((left + 42 * scale, 29 * scale), name, fill=_INK, font=font, anchor="lm")
        left += 84 * scale + round(draw.textlength(name, font=font))
    small = image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.quantize(128, Image.Quantize.FASTOCTREE).save(file, "PNG", optimize=True)
    return file.getvalue()


def _values(day: Day) -> tuple[float, float, float]:
    attempts, correct, users = (day.values[name] or 0 for name in ("attempts", "correct_submits", "unique_users"))
    return attempts, correct, users


def _nice_top(highest: float) -> int:
    """A round number that is not below `highest` and whose quarter is whole."""
    power: int = 10 ** math.floor(math.log10(max(highest, 1)))
    steps = [round(power * step) for step in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10, 12)]
    return next(step for step in steps if step >= highest and step % 4 == 0)
