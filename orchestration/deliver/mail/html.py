"""The mail as HTML: one template, every value escaped."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from orchestration.deliver import words
from orchestration.deliver.mail.body import Body

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render_html(body: Body, picture_id: str | None) -> str:
    """The text/html part. `picture_id` is the content id of the attached picture, without angle brackets."""
    template = _TEMPLATES.get_template("mail.html.j2")
    return template.render(body=body, picture_id=picture_id, words=words, is_address=_is_address)


def _is_address(link: str) -> bool:
    return urlsplit(link).scheme in {"http", "https"}
