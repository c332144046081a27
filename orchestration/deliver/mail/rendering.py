"""The mail as plain text, at most about 78 characters wide, and as HTML, every value escaped."""

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from orchestration.deliver.words import ENGLISH as words
from orchestration.deliver.words import one_line


def render_text(body: dict[str, Any]) -> str:
    """The text/plain part."""
    text = _TEMPLATES.get_template("mail.txt.j2").render(body=body)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def render_html(body: dict[str, Any], picture_id: str | None) -> str:
    """The text/html part. `picture_id` is the picture's content id, without angle brackets."""
    return _TEMPLATES.get_template("mail.html.j2").render(body=body, picture_id=picture_id)


_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(enabled_extensions=("html.j2",)),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.globals.update(words=words, one_line=one_line)
