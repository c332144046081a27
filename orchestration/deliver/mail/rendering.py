"""The mail as plain text, at most about 78 characters wide, and as HTML, every value escaped."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from orchestration.deliver.mail.body import Body
from orchestration.deliver.mail.details import Details
from orchestration.deliver.words import Words, one_line

LOAD_LABELS = ("fetched", "accepted", "repeated", "rejected")


@dataclass(frozen=True)
class Picture:
    """A chart: its content id without angle brackets, what it shows in words, the PNG."""

    id: str
    alt: str
    content: bytes


def render_text(title: str, body: Body | None, details: Details | None, words: Words) -> str:
    """The text/plain part."""
    text = _templates(words).get_template("mail.txt.j2").render(title=title, body=body, details=details)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def render_html(
    title: str, body: Body | None, details: Details | None, pictures: Sequence[Picture], words: Words
) -> str:
    """The text/html part; the pictures are referred to by their content ids."""
    template = _templates(words).get_template("mail.html.j2")
    return template.render(title=title, body=body, details=details, pictures=pictures)


def _templates(words: Words) -> Environment:
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=select_autoescape(enabled_extensions=("html.j2",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals.update(
        words=words, text=words.text, plural=words.plural, one_line=one_line, load_labels=LOAD_LABELS
    )
    return templates
