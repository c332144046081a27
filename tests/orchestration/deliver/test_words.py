"""Texts, numbers, days and changes in both languages, and the completeness of the catalogues."""

from __future__ import annotations

import ast
import string
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.pofile import read_po

from orchestration.deliver.catalogue import FOLDER
from orchestration.deliver.words import Words
from orchestration.settings import LANGUAGES, ROOT
from orchestration.summary import MetricVerdict

ENGLISH, RUSSIAN = Words("en"), Words("ru")
KEYWORDS = {"text": None, "mark": None, "plural": (1, 2)}
NBSP, NARROW = "\u00a0", "\u202f"


@pytest.mark.parametrize(
    ("column", "now", "before", "english", "russian"),
    [
        ("attempts", 110, 100, "+10%", f"+10{NBSP}%"),
        ("attempts", 90, 100, "−10%", f"−10{NBSP}%"),
        ("attempts", 1_000, 999, "±0%", f"±0{NBSP}%"),
        ("attempts", 1_500, 0, "+1,500", f"+1{NBSP}500"),
        ("attempts", 0, 0, "±0", "±0"),
        ("attempts", 0, 7, "−100%", f"−100{NBSP}%"),
        ("attempts", None, 7, "", ""),
        ("attempts", 7, None, "", ""),
        ("success_rate", 0.582, 0.545, "+3.7 pp", "+3,7 п. п."),
        ("success_rate", 0.5, 0.5, "±0 pp", "±0 п. п."),
        ("attempts_per_user", 2.84, 3.06, "−0.3", "−0,3"),
    ],
)
def test_changes_beside_the_figures(
    column: str, now: float | None, before: float | None, english: str, russian: str
) -> None:
    assert ENGLISH.change(column, now, before) == english
    assert RUSSIAN.change(column, now, before) == russian


def test_numbers_and_days_follow_the_language() -> None:
    day, moment = date(2026, 11, 21), datetime(2026, 11, 21, 6, 5, tzinfo=ZoneInfo("Europe/Moscow"))
    told = [
        (
            words.number("attempts", 1_234),
            words.number("success_rate", 0.6123),
            words.number("attempts_per_user", 2.25),
            words.number("attempts", None),
            words.day(day),
            words.day_of_month(day),
            words.moment(moment),
            words.seconds(3.44),
            words.seconds(725),
        )
        for words in (ENGLISH, RUSSIAN)
    ]
    assert told == [
        (
            *("1,234", "61.2%", "2.2", "–", "Sat, 21 Nov 2026", "21 Nov"),
            *("Sat, 21 Nov 2026, 06:05 (Europe/Moscow)", "3.4 s", "12 min 5 s"),
        ),
        (
            *(f"1{NBSP}234", f"61,2{NBSP}%", "2,2", "–", f"сб, 21 нояб. 2026{NARROW}г.", "21 нояб."),
            *(f"сб, 21 нояб. 2026{NARROW}г., 06:05 (Europe/Moscow)", "3,4 с", "12 мин 5 с"),
        ),
    ]


def test_plurals_follow_the_language() -> None:
    one, many = "{count} learner", "{count} learners"
    assert [ENGLISH.plural(one, many, count) for count in (1, 2, 11)] == ["1 learner", "2 learners", "11 learners"]
    assert [RUSSIAN.plural(one, many, count) for count in (1, 22, 11)] == ["1 студент", "22 студента", "11 студентов"]


@pytest.mark.parametrize(
    ("metric", "low", "high", "band"),
    [
        ("attempts", 2_437.4, 3_142.0, "2,400–3,100"),
        ("attempts", 0.0, 99.0, "0–99"),
        ("success_rate", 0.5612, 0.6409, "56–64%"),
        ("attempts", None, 3.0, ""),
    ],
)
def test_what_is_usual_is_rounded(metric: str, low: float | None, high: float | None, band: str) -> None:
    assert ENGLISH.usual(metric, low, high) == band


def test_a_figure_without_a_band_is_told_alone() -> None:
    assert ENGLISH.reason(MetricVerdict("rejected_share", "suspect", 0.994, None, None, None)) == (
        "rejected records 99.4%"
    )


def extracted() -> Catalog:
    """The texts that code, templates and charts hold, as `make messages` gathers them."""
    with (FOLDER / "babel.cfg").open() as file:
        methods, options = parse_mapping_cfg(file)  # type: ignore[no-untyped-call]
    found = Catalog()
    for _, _, message, _, _ in extract_from_dir(ROOT, methods, options, KEYWORDS, directory_filter=not_hidden):
        found.add(message)
    return found


def not_hidden(folder: str | Path) -> bool:
    return not Path(folder).name.startswith(".")


def catalogue(language: str) -> Catalog:
    path = FOLDER / f"{language}.po"
    with path.open("rb") as file:
        return read_po(file, locale=language)


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_every_text_is_translated_and_nothing_else(language: str) -> None:
    wanted = {message.id for message in extracted() if message.id}
    assert len(wanted) > 100
    translated = {message.id: message.string for message in catalogue(language) if message.id and not message.fuzzy}
    assert wanted - translated.keys() == set(), "run `make messages` and translate these"
    assert translated.keys() - wanted == set(), "nobody shows these any more: run `make messages`"
    for message, string_ in translated.items():
        strings = [string_] if isinstance(string_, str) else list(string_ or ())
        assert all(strings), message
        assert len(strings) == (1 if isinstance(message, str) else catalogue(language).num_plurals)
        for translation in strings:
            assert names(translation) == names(message if isinstance(message, str) else message[1]), message


def names(message: str) -> set[str | None]:
    """What stands in braces."""
    return {name for _, name, _, _ in string.Formatter().parse(message) if name is not None}


def test_no_text_hides_from_the_gathering() -> None:
    """Babel doesn't look into f-strings, nor at texts that are put together."""
    hidden = [
        f"{path}:{call.lineno}"
        for path in (ROOT / "orchestration").rglob("*.py")
        for inside, call in calls(ast.parse(path.read_text("utf-8")))
        if inside or not (call.args and is_told(call.args[0]))
    ]
    assert hidden == []


def calls(tree: ast.AST, inside: bool = False) -> Iterator[tuple[bool, ast.Call]]:
    """The calls of `….text(…)` with a literal and of `mark(…)`, and whether they stand in an f-string."""
    for node in ast.iter_child_nodes(tree):
        here = inside or isinstance(node, ast.JoinedStr)
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            literal = bool(node.args) and isinstance(node.args[0], ast.Constant | ast.JoinedStr | ast.BinOp)
            if name in ("text", "plural", "mark") and literal:
                yield here, node
        yield from calls(node, here)


def is_told(argument: ast.expr) -> bool:
    return isinstance(argument, ast.Constant)
