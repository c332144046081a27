"""What dbt says of the columns that people see is there in every language."""

from __future__ import annotations

from typing import Any

import pytest
from babel.messages.pofile import read_po

from orchestration.deliver import columns
from orchestration.deliver.catalogue import FOLDER
from orchestration.deliver.columns import Worksheet
from orchestration.deliver.figures import plain_description
from orchestration.settings import LANGUAGES

WORKSHEETS = [value for value in vars(columns).values() if isinstance(value, Worksheet)]
TRANSLATED = [language for language in LANGUAGES if language != "en"]


def described(parsed: dict[str, Any]) -> dict[tuple[str, str], str]:
    """(mart, column) -> description, as dbt writes it into the warehouse and the deliveries show it."""
    return {
        (node["name"], column["name"]): plain_description(column["description"])
        for node in parsed["nodes"].values()
        if node["resource_type"] == "model"
        for column in node["columns"].values()
    }


@pytest.mark.parametrize("language", TRANSLATED)
def test_descriptions_are_translated_and_no_others(parsed: dict[str, Any], language: str) -> None:
    texts = described(parsed)
    shown = {
        texts[worksheet.mart, name]
        for worksheet in WORKSHEETS
        for name in worksheet.names
        if (worksheet.mart, name) in texts
    }
    assert len(shown) > 50
    path = FOLDER / f"{language}.descriptions.po"
    with path.open("rb") as file:
        translated = {message.id: message.string for message in read_po(file, locale=language) if message.id}
    assert shown - translated.keys() == set(), f"translate these in {path.name}"
    assert translated.keys() - set(texts.values()) == set(), (
        f"no description reads like this: take it out of {path.name}"
    )
    assert all(translated.values())
