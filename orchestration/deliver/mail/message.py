"""The mails of a run: subject, plain text, HTML, the charts, and the report if it is to be attached."""

import re
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timezone
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import getaddresses
from pathlib import Path

from orchestration.deliver import DeliveryError, Links, charts
from orchestration.deliver.alerts import Told
from orchestration.deliver.figures import Figures
from orchestration.deliver.mail.body import Body, build_body, subject
from orchestration.deliver.mail.details import Details, are_wanted, build_details
from orchestration.deliver.mail.rendering import Picture, render_html, render_text
from orchestration.deliver.record import Past
from orchestration.deliver.words import Words, one_line
from orchestration.summary import RunSummary

RUN_HEADER = "X-Run-Id"
CHART_DAYS = 30
CHARTED: dict[str, dict[str, object]] = {
    "attempts": {"axisFormat": ",.0f"},
    "success_rate": {"axisFormat": ".0%", "fromZero": False},
}
"""The figures with a chart, and its parameters."""


@dataclass(frozen=True)
class Mails:
    """The mail for those who steer by the figures; one for the engineers, when it goes to others.

    `told` are the alerts in them.
    """

    main: EmailMessage
    alert: EmailMessage | None
    told: Told


def compose(
    figures: Figures,
    summary: RunSummary,
    links: Links,
    past: Past,
    words: Words,
    *,
    alert_apart: bool = False,
    report: Path | None = None,
) -> Mails:
    """The mails about `summary`; From, To and Message-ID are the sender's to add (`addressed`).

    The engineer's part is a mail of its own if it goes to other people (`alert_apart`), else the
    end of the mail. `report` is attached.
    """
    body, told = build_body(figures, summary, links, past, words)
    details = build_details(figures, summary, told, words) if are_wanted(summary, told) else None
    title = subject(figures, summary, past, words)
    main = _message(title, summary, body, None if alert_apart else details, _pictures(figures, words), words)
    if report is not None and report.exists():
        name = f"report-{figures.as_of_day or 'empty'}.html"
        main.add_attachment(report.read_bytes(), maintype="text", subtype="html", filename=name)
    alert = None
    if alert_apart and details is not None:
        alert = _message(title, summary, None, details, (), words)
        alert.replace_header(RUN_HEADER, f"{main[RUN_HEADER]}-alert")
    return Mails(main, alert, told)


def begun(title: str, run_id: str, date: datetime) -> EmailMessage:
    """A message with the headers that all of ours have, and no body yet."""
    message = EmailMessage(policy=SMTP.clone(cte_type="7bit"))
    message["Subject"] = title
    message["Date"] = date
    message[RUN_HEADER] = one_line(run_id, 200)
    message["Auto-Submitted"] = "auto-generated"
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


def _message(
    title: str,
    summary: RunSummary,
    body: Body | None,
    details: Details | None,
    pictures: Sequence[Picture],
    words: Words,
) -> EmailMessage:
    message = begun(title, summary.run_id, summary.finished_at or datetime.now(timezone.utc))
    message.set_content(render_text(title, body, details, words), cte="quoted-printable")
    message.add_alternative(render_html(title, body, details, pictures, words), subtype="html", cte="quoted-printable")
    page = message.get_body(("html",))
    assert isinstance(page, EmailMessage)
    for picture in pictures:
        page.add_related(
            picture.content,
            maintype="image",
            subtype="png",
            cid=f"<{picture.id}>",
            filename=f"{picture.id}.png",
            disposition="inline",
        )
    return message


def _pictures(figures: Figures, words: Words) -> tuple[Picture, ...]:
    """The last 30 days of each charted figure; none before there is a full day."""
    days = figures.last_days(CHART_DAYS)
    if not days:
        return ()
    span = f"{words.short_day(days[0].date)} – {words.day(days[-1].date)}"
    titles = {
        "attempts": words.text("Attempts a day, beside what is usual, {days}", days=span),
        "success_rate": words.text("Success rate by day, beside what is usual, {days}", days=span),
    }
    found = []
    for metric, parameters in CHARTED.items():
        rows = charts.day_rows(figures, metric, CHART_DAYS)
        chart = charts.specification("days", rows, words, **parameters)
        # A phone shows the picture at half its size.
        chart["config"]["axis"]["labelFontSize"] = 14
        found.append(Picture(metric.replace("_", "-"), titles[metric], charts.picture(chart, words)))
    return tuple(found)


def _address(text: str) -> Address:
    found = getaddresses([text])
    name, spec = found[0] if len(found) == 1 else ("", "")
    if one_line(text) == text.strip() and spec.isascii() and re.fullmatch(r"[^\s@<>,;:\"]+@[A-Za-z0-9.-]+", spec):
        return Address(display_name=name, addr_spec=spec)
    raise DeliveryError(f"{one_line(text, 200)!r} is not a mail address (EMAIL_FROM, EMAIL_TO, ALERT_TO)")
