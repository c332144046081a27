"""Charts: Vega-Lite specifications in files beside this one, the same for mail and report.

A file holds a chart without its data, its texts in English. In the mail it becomes a picture; in
the report's page Vega draws it.
"""

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal

import vl_convert
from PIL import Image

from orchestration.deliver.columns import Row
from orchestration.deliver.figures import Figures
from orchestration.deliver.words import Words

FOLDER = Path(__file__).parent
VEGA_LITE = "6.4"
SATURDAY = 5
LOCALES: dict[str, Literal["en-GB", "ru-RU"]] = {"en": "en-GB", "ru": "ru-RU"}
"""The names by which d3 knows the formats of numbers and times."""

Specification = dict[str, Any]


def specification(name: str, rows: Sequence[Row], words: Words, **parameters: Any) -> Specification:
    """The chart `name` with its data and its texts in the reader's language.

    `rows` are plain values, dates as ISO texts; `parameters` set those of the chart by name.
    """
    chart: Specification = translated(json.loads((FOLDER / f"{name}.json").read_text("utf-8")), words)
    chart["data"] = {"values": list(rows)}
    for parameter in chart.get("params", ()):
        if parameter["name"] in parameters:
            parameter["value"] = parameters[parameter["name"]]
    return chart


def day_rows(figures: Figures, metric: str, count: int) -> list[Row]:
    """The data of the chart `days`: a figure on the last `count` days, with what was usual for it."""
    bands = {row["activity_date"]: row for row in figures.bands if row["metric"] == metric}
    return [
        {
            "day": day.date.isoformat(),
            "value": day.values[metric],
            "low": bands.get(day.date, {}).get("band_low"),
            "high": bands.get(day.date, {}).get("band_high"),
            "weekend": day.date.weekday() >= SATURDAY,
            "last": day.date == figures.as_of_day,
        }
        for day in figures.last_days(count)
    ]


def picture(chart: Specification, words: Words, scale: float = 2) -> bytes:
    """A chart as a PNG of few colours."""
    locale = LOCALES[words.language]
    drawn = vl_convert.vegalite_to_png(
        chart, vl_version=VEGA_LITE, scale=scale, format_locale=locale, time_format_locale=locale
    )
    file = io.BytesIO()
    image = Image.open(io.BytesIO(drawn)).convert("RGB")
    image.quantize(96, Image.Quantize.MEDIANCUT).save(file, "PNG", optimize=True)
    return file.getvalue()


def translated(part: Any, words: Words) -> Any:
    """A specification with the texts of `texts` in the reader's language."""
    part = deepcopy(part)
    for holder, key in _places(part):
        holder[key] = words.text(holder[key])
    return part


def texts(part: Any) -> Iterable[str]:
    """The texts of a specification that people read: titles, and names given by the data's labels."""
    return (holder[key] for holder, key in _places(part))


def _places(part: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(part, list):
        for inner in part:
            yield from _places(inner)
    if isinstance(part, dict):
        for key, inner in part.items():
            if key in ("title", "text", "description") and isinstance(inner, str):
                yield part, key
            else:
                yield from _places(inner)


def extract(fileobj: Any, keywords: Any, comment_tags: Any, options: Any) -> Iterator[tuple[int, str, str, list[str]]]:
    """The texts of a chart's file, as Babel asks for them:
    https://babel.pocoo.org/en/latest/messages.html#writing-extraction-methods
    """
    for text in texts(json.loads(fileobj.read())):
        yield 1, "text", text, []
