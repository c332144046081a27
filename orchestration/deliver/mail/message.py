"""The mail of a run: subject, plain text, HTML, and the picture of the last 30 days."""

import re
from collections.abc import Sequence
from copy import deepcopy
from datetime import datetime, timezone
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import getaddresses

from orchestration.deliver import DeliveryError, Links, words
from orchestration.deliver.figures import Figures
from orchestration.deliver.mail.body import build_body, subject
from orchestration.deliver.mail.picture import draw_days
from orchestration.deliver.mail.rendering import render_html, render_text
from orchestration.summary import RunSummary

RUN_HEADER = "X-Run-Id"
_PICTURE_ID = "last-30-days"


def compose(figures: Figures, summary: RunSummary, links: Links) -> EmailMessage:
    """The mail about `summary`; From, To and Message-ID are the sender's to add (`addressed`)."""
    body = build_body(figures, summary, links)
    picture = draw_days(figures.last_30_days) if body["picture_alt"] else None
    message = EmailMessage(policy=SMTP.clone(cte_type="7bit"))
    message["Subject"] = subject(figures, summary)
    message["Date"] = summary.finished_at or datetime.now(timezone.utc)
    message[RUN_HEADER] = words.one_line(summary.run_id, 200)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(render_text(body), cte="quoted-printable")
    message.add_alternative(render_html(body, _PICTURE_ID if picture else None), subtype="html", cte="quoted-printable")
    if picture:
        page = message.get_body(("html",))
        assert isinstance(page, EmailMessage)
        page.add_related(
            picture,
            maintype="image",
            subtype="png",
            cid=f"<{_PICTURE_ID}>",
            filename="last-30-days.png",
            disposition="inline",
        )
    return message


def addressed(message: EmailMessage, sender: str, recipients: Sequence[str]) -> EmailMessage:
    """A copy with From, To and a Message-ID that depends only on run and sender. Raises DeliveryError."""
    copy = deepcopy(message)
    copy["From"] = _address(sender)
    copy["To"] = tuple(_address(recipient) for recipient in recipients)
    run_id = re.sub(r"[^A-Za-z0-9.-]+", "-", copy[RUN_HEADER]).strip(".-") or "run"
    copy["Message-ID"] = f"<{re.sub(r'[.]{2,}', '.', run_id)}@{_address(sender).domain}>"
    return copy


def bare_address(text: str) -> str:
    """`user@host` of an address that may carry a name. Raises DeliveryError when there is none."""
    return _address(text).addr_spec


def _address(text: str) -> Address:
    found = getaddresses([text])
    name, spec = found[0] if len(found) == 1 else ("", "")
    if words.one_line(text) == text.strip() and spec.isascii() and re.fullmatch(r"[^\s@<>,;:\"]+@[A-Za-z0-9.-]+", spec):
        return Address(display_name=name, addr_spec=spec)
    raise DeliveryError(f"{words.one_line(text, 200)!r} is not a mail address (EMAIL_FROM, EMAIL_TO)")
