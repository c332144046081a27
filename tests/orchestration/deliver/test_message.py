"""What the mail says, in both its forms, and the file that it becomes."""

from __future__ import annotations

import email
import email.policy
import io
import stat
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from orchestration.deliver import DeliveryError
from orchestration.deliver.figures import Figures
from orchestration.deliver.mail.body import Links
from orchestration.deliver.mail.message import compose
from orchestration.deliver.mail.outbox import Outbox
from orchestration.summary import Delivery, LoadCounts, RunSummary, Stage, TestCounts, TestResult
from tests.orchestration.deliver.conftest import LAST_DAY, MOSCOW, make_days

LINKS = Links(sheet="https://docs.google.com/spreadsheets/d/1AbC", docs="out/dbt-docs.html")
EVIL = "<script>alert(1)</script>"


class Page(HTMLParser):
    """The words, tags and attributes of a page."""

    def __init__(self, message: EmailMessage) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html(message))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def html(message: EmailMessage) -> str:
    part = message.get_body(("html",))
    assert part is not None
    return str(part.get_content())


def text(message: EmailMessage) -> str:
    part = message.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


@pytest.fixture
def failed(summary: RunSummary) -> RunSummary:
    """A run of the real API that a gate test stopped."""
    result = TestResult("assert_rates_below_one", "fail", 2, "2 rows", ("user_id=(user_id 1), attempts=3",))
    return replace(
        summary,
        demo=False,
        stages=[*summary.stages[:-1], Stage("build", "failed", 8.1, "a data test failed")],
        failure="a data test failed: assert_rates_below_one",
        tests=TestCounts(30, 0, 1, 10, (result,)),
        log_tail=(
            *(f"an old line, {number}" for number in range(50)),
            "06:00:13 INFO dbt: PASS attempts_key_is_unique ......................... [PASS in 0.08s]",
            "06:00:14 INFO build: 30 tests passed",
            "06:00:15 ERROR build: assert_rates_below_one: 2 rows",
        ),
    )


def test_the_subject_is_the_answer(figures: Figures, summary: RunSummary) -> None:
    subject = compose(figures, replace(summary, demo=False), LINKS)["Subject"]
    assert subject == (
        "Done - Sat 21 Nov 2026: 1,212 attempts (+172%), 255 users (+174%), 58.2% success (+1.4 pp)"
        " against a week before"
    )


def test_made_up_data_is_said_everywhere(figures: Figures, summary: RunSummary) -> None:
    message = compose(figures, summary, LINKS)
    assert message["Subject"].startswith("[demo data] Done")
    assert "Made-up data" in text(message)
    assert "Made-up data" in Page(message).text
    real = compose(figures, replace(summary, demo=False), LINKS)
    assert "ade-up" not in text(real) + html(real) + real["Subject"]


@pytest.mark.parametrize("form", ["text", "html"])
def test_the_last_full_day_stands_beside_the_day_and_the_week_before(
    figures: Figures, summary: RunSummary, form: str
) -> None:
    message = compose(figures, summary, LINKS)
    told = " ".join(text(message).split()) if form == "text" else Page(message).text
    assert "Sat 21 Nov 2026" in told
    assert "Fri 20 Nov" in told
    assert "Sat 14 Nov" in told
    assert "Attempts 1,212 1,564 −23% 445 +172%" in told
    assert "Success rate 58.2% 54.5% +3.7 pp 56.8% +1.4 pp" in told
    assert "Data as of Sun 22 Nov 2026, 06:00 (Europe/Moscow)" in told


@pytest.mark.parametrize("form", ["text", "html"])
def test_the_receipt_the_tests_and_the_links_are_there(figures: Figures, summary: RunSummary, form: str) -> None:
    warned = TestCounts(40, 1, 0, 0, (TestResult("rejected_share", "warn", 1, "2 % of the records"),))
    message = compose(figures, replace(summary, tests=warned), LINKS)
    told = " ".join(text(message).split()) if form == "text" else Page(message).text
    assert "What this run loaded" in told
    assert "fetched 2,430 accepted 2,207 repeated 211 rejected 12 is_correct_invalid 8" in told
    assert "40 passed, 1 warned" in told
    assert "rejected_share" in told
    assert LINKS.sheet in (told if form == "text" else [attrs.get("href") for _, attrs in Page(message).tags])
    assert "out/dbt-docs.html" in told


def test_a_run_without_a_load_shows_the_last_one(figures: Figures, summary: RunSummary) -> None:
    told = text(compose(figures, replace(summary, loads=None), LINKS))
    assert "The last load, Sun 22 Nov 2026, 06:00 (Europe/Moscow)" in told


def test_the_picture_is_attached_and_described(figures: Figures, summary: RunSummary) -> None:
    message = compose(figures, summary, LINKS)
    (picture,) = [part for part in message.walk() if part.get_content_type() == "image/png"]
    content = picture.get_content()
    assert len(content) < 60_000
    assert Image.open(io.BytesIO(content)).width >= 1_000
    (image,) = [attrs for tag, attrs in Page(message).tags if tag == "img"]
    assert image["src"] == f"cid:{picture['Content-ID'].strip('<>')}"
    assert "Fri 23 Oct to" in str(image["alt"])
    assert "Sat 21 Nov 2026" in str(image["alt"])


@pytest.mark.parametrize("count", [1, 2, 7, 30])
def test_pictures_of_any_number_of_days_can_be_drawn(summary: RunSummary, figures: Figures, count: int) -> None:
    message = compose(replace(figures, days=make_days(count)), summary, LINKS)
    assert any(part.get_content_type() == "image/png" for part in message.walk())


def test_a_picture_shows_when_nothing_happened(figures: Figures, summary: RunSummary) -> None:
    quiet = [replace(day, values=dict.fromkeys(day.values, None)) for day in figures.days]
    message = compose(replace(figures, days=tuple(quiet)), summary, LINKS)
    assert "– attempts" not in message["Subject"]
    assert any(part.get_content_type() == "image/png" for part in message.walk())


def test_a_failed_run_tells_what_since_when_and_what_to_do(figures: Figures, failed: RunSummary) -> None:
    message = compose(figures, failed, LINKS)
    assert message["Subject"].startswith("FAILED at build, old figures - Sat 21 Nov 2026")
    for told in (" ".join(text(message).split()), Page(message).text):
        assert "assert_rates_below_one" in told
        assert "are the last good ones, loaded Sun 22 Nov 2026, 06:00 (Europe/Moscow)" in told
        assert "make deliver" in told
        assert "06:00:15 ERROR build: assert_rates_below_one: 2 rows" in told
        assert "user_id=(user_id 1), attempts=3" in told
        assert "Last good figures: Sat 21 Nov 2026" in told
        assert "All done" not in told
        assert "PASS attempts_key_is_unique … [PASS" in told
        assert "an old line, 0" not in told
        assert told.index("user_id=(user_id 1)") < told.index("Last good figures")


def test_a_failure_before_the_first_build_is_told_without_figures(failed: RunSummary) -> None:
    early = replace(
        failed, stages=[Stage("ingest", "failed", 3.4, "")], failure="the API answered 403", tests=None, loads=None
    )
    message = compose(Figures(MOSCOW), early, Links())
    assert message["Subject"] == "FAILED at ingest - no figures yet"
    assert "the API answered 403" in text(message)
    assert "There is no full day to show yet" in Page(message).text
    assert not any(part.get_content_type() == "image/png" for part in message.walk())


def test_an_undelivered_spreadsheet_is_told(figures: Figures, summary: RunSummary) -> None:
    lost = Delivery("Google spreadsheet", False, str(LINKS.sheet), "Google answered 403")
    message = compose(figures, replace(summary, demo=False, deliveries=[lost]), LINKS)
    assert message["Subject"].startswith("NOT DELIVERED: Google spreadsheet - Sat 21 Nov 2026")
    for told in (" ".join(text(message).split()), Page(message).text):
        assert "Google answered 403" in told
        assert "make deliver" in told


def test_a_silent_source_is_told(figures: Figures, summary: RunSummary) -> None:
    silent = replace(figures, days=make_days(30, LAST_DAY - timedelta(days=2)))
    message = compose(silent, summary, LINKS)
    told = " ".join(text(message).split())
    assert "There were no attempts on Sat 21 Nov 2026, the last full day." in told
    assert "No attempts are known after Thu 19 Nov 2026, though data was loaded on Sun 22 Nov 2026" in told
    assert "Attempts 0 0 ±0 445 −100%" in told
    assert "Unique users, 7 days – – 279" in told
    assert "Sat 21 Nov 2026: 0 attempts (-100%)" in message["Subject"]
    assert "No attempts are known" not in text(compose(figures, summary, LINKS))


def test_a_day_that_is_not_over_is_not_the_last_full_one(figures: Figures, summary: RunSummary) -> None:
    begun = replace(figures, days=make_days(30, LAST_DAY + timedelta(days=1)))
    assert "Sat 21 Nov 2026" in compose(begun, summary, LINKS)["Subject"]


def test_names_and_values_are_escaped(figures: Figures, failed: RunSummary) -> None:
    evil = replace(
        failed,
        failure=EVIL,
        run_id=EVIL,
        log_tail=(EVIL,),
        loads=LoadCounts(1, 0, 0, 1, {EVIL: 1}),
        tests=TestCounts(0, 0, 1, 0, (TestResult(EVIL, "fail", 1, EVIL, (EVIL,)),)),
        deliveries=[Delivery(EVIL, False, EVIL, EVIL)],
    )
    message = compose(figures, evil, Links(sheet=f'https://x/{EVIL}" onclick="x', docs="javascript:alert(1)"))
    page = Page(message)
    assert "script" not in {tag for tag, _ in page.tags}
    assert not any("onclick" in attrs for _, attrs in page.tags)
    assert not any((attrs.get("href") or "").startswith("javascript") for _, attrs in page.tags)
    assert EVIL in page.text


def test_headers_take_no_injection(figures: Figures, failed: RunSummary, tmp_path: Path) -> None:
    evil = replace(
        failed, run_id="x\r\nBcc: thief@example.org", stages=[Stage("build\r\nBcc: thief@example.org", "failed", 1, "")]
    )
    path = Path(Outbox(tmp_path, "elt@localhost", ["boss@localhost"]).send(compose(figures, evil, LINKS)).target)
    parsed = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert parsed["Bcc"] is None
    assert path.parent == tmp_path
    for bad in ("a@b\r\nBcc: c@d", "no address"):
        with pytest.raises(DeliveryError, match="not a mail address"):
            Outbox(tmp_path, bad, ["boss@localhost"]).send(compose(figures, failed, LINKS))


def test_the_outbox_keeps_one_private_file_per_run(figures: Figures, summary: RunSummary, tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "mail", "Figures <elt@localhost>", ["boss@localhost", "dean@localhost"])
    message = compose(figures, summary, LINKS)
    first, second = outbox.send(message), outbox.send(message)
    assert first == second
    (path,) = (tmp_path / "mail").iterdir()
    assert path.name == "20261122T030021Z-20261122T030000Z-7f3a.eml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    parsed = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert parsed["To"] == "boss@localhost, dean@localhost"
    assert parsed["Message-ID"] == "<20261122T030000Z-7f3a@localhost>"
    assert parsed["Subject"] == message["Subject"]
    assert path.read_bytes().isascii()
    assert max(map(len, path.read_bytes().splitlines())) <= 998


def test_the_outbox_check_makes_nothing(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "mail", "elt@localhost", ["boss@localhost"])
    assert "mail" in outbox.check()
    assert list(tmp_path.iterdir()) == []
