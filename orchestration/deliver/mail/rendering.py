"""The mail as plain text, at most about 78 characters wide, and as HTML, every value escaped."""

import re
import textwrap
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from orchestration.deliver import words

_WIDTH = 76


def render_text(body: dict[str, Any]) -> str:
    """The text/plain part."""
    text = _TEMPLATES.get_template("mail.txt.j2").render(body=body)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def render_html(body: dict[str, Any], picture_id: str | None) -> str:
    """The text/html part. `picture_id` is the picture's content id, without angle brackets."""
    return _TEMPLATES.get_template("mail.html.j2").render(body=body, picture_id=picture_id)


def _is_address(link: str) -> bool:
    return urlsplit(link).scheme in {"http", "https"}


def _underlined(text: str) -> str:
    return f"{text}\n{'-' * min(len(text), _WIDTH)}"


def _wrapped(text: str, mark: str = "") -> str:
    lines = textwrap.wrap(
        words.one_line(text, 10_000),
        _WIDTH,
        initial_indent=mark,
        subsequent_indent=" " * len(mark),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines)


_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(enabled_extensions=("html.j2",)),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.globals.update(words=words, is_address=_is_address)
_TEMPLATES.filters.update(underlined=_underlined, wrapped=_wrapped)
