"""What the mails say, in both their forms and languages, and the files that they become."""

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
from typing import Any

import pytest
from PIL import Image

from orchestration.deliver import DeliveryError, Links
from orchestration.deliver.alerts import Alert
from orchestration.deliver.figures import Figures
from orchestration.deliver.mail.message import Mails
from orchestration.deliver.mail.message import compose as compose_mails
from orchestration.deliver.mail.outbox import Outbox
from orchestration.deliver.record import Past
from orchestration.deliver.words import Words
from orchestration.summary import Delivery, LoadCounts, RunSummary, Stage, TestCounts, TestResult
from tests.orchestration.deliver.conftest import LAST_DAY, MOSCOW, make_days
from tests.orchestration.deliver.days import LMS, incident, moscow, revision, told

LINKS = Links(sheet="https://docs.google.com/spreadsheets/d/1AbC", report="out/report.html", docs="out/docs.html")
EVIL = "<script>alert(1)</script>"
ENGLISH, RUSSIAN = Words("en"), Words("ru")


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

    @property
    def links(self) -> list[str | None]:
        return [attrs.get("href") for tag, attrs in self.tags if tag == "a"]

    @property
    def banner(self) -> str:
        """The class of the first box, which sets its colour."""
        classes = (attrs.get("class") for tag, attrs in self.tags if tag == "div")
        return next(name for name in classes if name in ("good", "tile", "note", "bad"))


def html(message: EmailMessage) -> str:
    part = message.get_body(("html",))
    assert part is not None
    return str(part.get_content())


def text(message: EmailMessage) -> str:
    part = message.get_body(("plain",))
    assert part is not None
    return " ".join(str(part.get_content()).split())


def compose_all(figures: Figures, summary: RunSummary, words: Words = ENGLISH, **more: Any) -> Mails:
    return compose_mails(figures, summary, LINKS, more.pop("past", Past()), words, **more)


def compose(figures: Figures, summary: RunSummary, words: Words = ENGLISH, **more: Any) -> EmailMessage:
    return compose_all(figures, summary, words, **more).main


def both_forms(message: EmailMessage) -> tuple[str, str]:
    return text(message), Page(message).text


@pytest.fixture
def real(summary: RunSummary) -> RunSummary:
    """A run that went well, of a real API."""
    return replace(summary, demo=False)


@pytest.fixture
def failed(summary: RunSummary) -> RunSummary:
    """A run of the real API that a gate test stopped."""
    result = TestResult(
        "assert_rates_below_one", "fail", 2, "2 rows", ("user_id=(user_id 1), attempts=3",), "Look at `marts.attempts`."
    )
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


@pytest.mark.parametrize(
    ("changed", "subject", "banner"),
    [
        ({}, "21 Nov: 1,212 attempts, success 58.2%, as usual", "good"),
        (
            {"attempts": ("unusual_low", 800)},
            "21 Nov: attempts 800 (usually 950–1,400), not as usual",
            "note",
        ),
        ({"success_rate": ("suspect", 0.0)}, "21 Nov: success 0.0% (usually 52–62%): check", "bad"),
        ({"attempts": ("suspect", 0)}, "21 Nov: attempts 0 (usually 950–1,400): check", "bad"),
        (
            {"rejected_share": ("suspect", 0.993), "attempts": ("suspect", 37)},
            "21 Nov: rejected records 99.3% (usually 0–6%): check",
            "bad",
        ),
    ],
)
def test_the_subject_and_the_colour_are_the_verdict(
    figures: Figures, real: RunSummary, changed: dict[str, Any], subject: str, banner: str
) -> None:
    day = told(figures, **changed)
    message = compose(day, replace(real, verdict=day.verdict))
    assert message["Subject"] == subject
    assert Page(message).banner == banner


def test_subjects_are_short_and_begin_with_the_day(figures: Figures, summary: RunSummary) -> None:
    for changed in ({}, {"attempts": ("suspect", 0), "success_rate": ("suspect", 0.0), "unique_users": ("suspect", 0)}):
        for past in (Past(), Past(same_day={"attempts": 1})):
            for words, day in ((ENGLISH, "21 Nov"), (RUSSIAN, "21 нояб.")):
                lost = replace(summary, deliveries=[Delivery("Spreadsheet", False, "x", "y")])
                for run in (summary, lost):
                    subject = compose(told(figures, **changed), run, words, past=past)["Subject"]
                    assert subject.startswith(day)
                    assert len(subject) <= 70, subject


def test_made_up_data_is_said_everywhere(figures: Figures, summary: RunSummary, real: RunSummary) -> None:
    message = compose(told(figures), summary)
    assert message["Subject"].endswith("as usual [demo]")
    assert all("Made-up data" in form for form in both_forms(message))
    message = compose(told(figures), real)
    assert "ade-up" not in text(message) + html(message) + message["Subject"]


def test_a_usual_day_says_that_nothing_has_to_be_done(figures: Figures, real: RunSummary) -> None:
    quiet = replace(told(figures), incidents=())
    for form in both_forms(compose(quiet, real)):
        assert "Sat, 21 Nov 2026 was as usual" in form
        assert "Attempts 1,212 (usually 950–1,400); success 58.2% (usually 52–62%)." in form
        assert "Nothing has to be done." in form
        assert "FOR THE ENGINEER" not in form
        assert "is_correct_invalid" not in form
        assert "logs/" not in form
        assert "ingest" not in form


def test_key_figures_stand_beside_the_usual_and_the_week_before(figures: Figures, real: RunSummary) -> None:
    day = told(figures, success_rate=("unusual_low", 0.43))
    message = compose(day, real)
    assert "usually Sat 14 Nov change Attempts 1,212 950–1,400 445 +172%" in text(message)
    assert "Success rate 43.0%* 52–62% 56.8% −13.8 pp * not as usual" in text(message)
    page = Page(message)
    assert "Attempts 1,212 usually 950–1,400 445 · +172%" in page.text
    coloured = [attrs for _, attrs in page.tags if (attrs.get("class") or "").endswith(" out")]
    assert len(coloured) == 1


def test_what_moved_the_day_is_named(figures: Figures, real: RunSummary) -> None:
    day = told(figures, success_rate=("unusual_low", 0.43))
    for form in both_forms(compose(day, real)):
        assert "It was moved most by: PY-1 2026 (−3.1 pp); Loops (PY-1 2026) (−2.4 pp)." in form
        assert "What moved the day, against Sat 14 Nov" in form
        assert "Joins (SQL-2 2026) (fewer than 5 learners)" in form
    more = told(figures, attempts=("unusual_high", 1_900))
    for form in both_forms(compose(more, real)):
        assert (
            "It was moved most by: SQL-2 2026 (800 attempts after 300); Loops (PY-1 2026) (60 attempts after 20)."
            in form
        )


def test_mass_rejection_is_said_in_words(figures: Figures, real: RunSummary) -> None:
    counts = LoadCounts(5_900, 37, 45, 5_818, {"user_id_invalid": 5_818})
    newest = replace(figures.receipts[0], counts=counts)
    day = told(replace(figures, receipts=(newest,)), rejected_share=("suspect", 0.994))
    for form in both_forms(compose(day, real)):
        assert "5,818 of 5,855 new records were rejected: the vendor's records lack lti_user_id." in form
        assert "Ask the grader's vendor what changed in the records." in form


def test_a_day_without_anything_is_said(figures: Figures, real: RunSummary) -> None:
    for form in both_forms(compose(told(figures, attempts=("suspect", 0)), real)):
        assert "Nothing was received for the day." in form
        assert "whether the API gave the whole day" in form


def test_an_api_that_never_gave_an_attempt_is_no_good_day(figures: Figures, real: RunSummary) -> None:
    empty = Figures(MOSCOW, receipts=figures.receipts, as_of_day=LAST_DAY)
    message = compose(empty, real)
    assert message["Subject"] == "No attempts were received yet"
    assert Page(message).banner == "note"
    assert "The API answers, but no valid attempt came with it." in text(message)


def test_incidents_and_tasks_have_their_evidence_and_link(figures: Figures, real: RunSummary) -> None:
    message = compose(told(figures), real)
    for form in both_forms(message):
        assert "The check may be broken: Loops (PY-1 2026)" in form
        assert "24 graded submits by 12 learners on the day, 8% correct." in form
        assert "In the 28 days before, 58% of 359 graded submits." in form
        assert "7 learners who had solved it before only fail now. Look at the check first" in form
        assert "12.3 h lost in 28 days by 60 learners; solved by 20.0%" in form
        assert "t4" not in form
    assert Page(message).links.count(LMS) == 3


@pytest.mark.parametrize("kind", ["hard", "passes_everything", "mute"])
def test_every_kind_of_incident_has_words(figures: Figures, real: RunSummary, kind: str) -> None:
    rates = {"success_rate": None, "baseline_success_rate": None} if kind == "mute" else {}
    day = replace(told(figures), incidents=(incident("t1", kind, **rates),))
    for words in (ENGLISH, RUSSIAN):
        assert "Loops (PY-1 2026)" in text(compose(day, real, words))


def test_an_incident_told_before_is_only_counted(figures: Figures, real: RunSummary) -> None:
    yesterday = LAST_DAY - timedelta(days=1)
    known = Alert("incident", "t1 broken", "broken: Loops", yesterday, yesterday)
    gone = Alert("incident", "t9 hard", "hard: Trees", yesterday, yesterday)
    mails = compose_all(told(figures), real, past=Past(alerts=(known, gone)))
    for form in both_forms(mails.main):
        assert "The check may be broken" not in form
        assert "1 incident goes on that was told before." in form
        assert "Over: hard: Trees (since Fri 20 Nov)" in form
    assert mails.told.closed == (replace(gone, told_on=LAST_DAY, closed_on=LAST_DAY),)


def test_a_second_mail_about_a_day_says_so(figures: Figures, real: RunSummary) -> None:
    day = told(figures)
    same = dict(day.days[-1].values)
    again = compose(day, real, past=Past(same_day=same))
    assert again["Subject"] == "21 Nov (again): 1,212 attempts, success 58.2%, as usual"
    corrected = compose(day, real, past=Past(same_day={**same, "attempts": 1_200}))
    assert corrected["Subject"] == "21 Nov (corrected): 1,212 attempts, success 58.2%, as usual"
    assert "was as usual (corrected)" in text(corrected)


def test_closed_days_that_changed_since_the_last_mail_are_told(figures: Figures, real: RunSummary) -> None:
    revisions = (
        revision("attempts", 1_500, 1_564, moscow(22)),
        revision("runs", 1, 2, moscow(22)),
        revision("success_rate", 0.5, 0.545, moscow(22)),
        revision("attempts", 7, 8, moscow(20), back=2),
    )
    day = replace(told(figures), revisions=revisions)
    for form in both_forms(compose(day, real, past=Past(told_at=moscow(21)))):
        assert "Fri 20 Nov" in form
        assert "attempts 1,500 → 1,564, success 50.0% → 54.5%" in form
        assert "7 → 8" not in form
    assert "Closed days" not in text(compose(day, real))


def test_the_charts_are_attached_and_described(figures: Figures, real: RunSummary) -> None:
    message = compose(told(figures), real)
    pictures = [part for part in message.walk() if part.get_content_type() == "image/png"]
    assert len(pictures) == 2
    images = [attrs for tag, attrs in Page(message).tags if tag == "img"]
    for picture, image in zip(pictures, images, strict=True):
        content = picture.get_content()
        assert len(content) < 60_000
        assert Image.open(io.BytesIO(content)).width >= 1_000
        assert image["src"] == f"cid:{picture['Content-ID'].strip('<>')}"
        assert "Fri 23 Oct – Sat, 21 Nov 2026" in str(image["alt"])


@pytest.mark.parametrize("count", [1, 7, 30])
def test_charts_of_any_number_of_days_can_be_drawn(real: RunSummary, figures: Figures, count: int) -> None:
    message = compose(told(replace(figures, days=make_days(count))), real)
    assert any(part.get_content_type() == "image/png" for part in message.walk())


def test_the_report_can_be_attached(figures: Figures, real: RunSummary, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    report.write_text("<p>Hello</p>")
    [attached] = compose(told(figures), real, report=report).iter_attachments()
    assert attached.get_filename() == "report-2026-11-21.html"
    assert attached.get_content() == "<p>Hello</p>"
    assert not list(compose(told(figures), real, report=tmp_path / "none.html").iter_attachments())


def test_a_failed_run_tells_what_since_when_and_what_to_do(figures: Figures, failed: RunSummary) -> None:
    message = compose(told(figures), failed)
    assert message["Subject"] == "22 Nov: no new figures, the run failed (build)"
    assert Page(message).banner == "bad"
    for form in both_forms(message):
        assert "the run failed at the stage 'build'".upper() in form.upper()
        assert "The last good figures are of Sat, 21 Nov 2026." in form
        assert "The last good figures: Sat, 21 Nov 2026" in form
        assert "was as usual" not in form
        assert "assert_rates_below_one" in form
        assert "make deliver" in form
        assert "06:00:15 ERROR build: assert_rates_below_one: 2 rows" in form
        assert "user_id=(user_id 1), attempts=3" in form
        assert "PASS attempts_key_is_unique … [PASS" in form
        assert "an old line, 0" not in form
        assert form.index("Key figures" if "Key figures" in form else "The last good") < form.index("FOR THE ENGINEER")
    assert "Look at `marts.attempts`." in text(message)


def test_a_failure_before_the_first_build_is_told_without_figures(failed: RunSummary) -> None:
    early = replace(
        failed, stages=[Stage("ingest", "failed", 3.4, "")], failure="the API answered 403", tests=None, loads=None
    )
    message = compose(Figures(MOSCOW), early)
    assert message["Subject"] == "22 Nov: no new figures, the run failed (ingest)"
    assert "the API answered 403" in text(message)
    assert "There are no figures yet." in Page(message).text
    assert not any(part.get_content_type() == "image/png" for part in message.walk())


def test_an_undelivered_spreadsheet_is_told(figures: Figures, real: RunSummary) -> None:
    lost = Delivery("Google spreadsheet", False, str(LINKS.sheet), "Google answered 403")
    message = compose(told(figures), replace(real, deliveries=[lost]))
    assert message["Subject"] == "21 Nov: 1,212 attempts, success 58.2%, as usual; not all delivered"
    for form in both_forms(message):
        assert "Google answered 403" in form
        assert "make deliver" in form


def test_alerts_go_to_the_engineers_when_they_have_an_address(figures: Figures, failed: RunSummary) -> None:
    mails = compose_all(told(figures), failed, alert_apart=True)
    assert mails.alert is not None
    for form in both_forms(mails.main):
        assert "the run failed at the stage 'build'".upper() in form.upper()
        assert "assert_rates_below_one" not in form
        assert "FOR THE ENGINEER" not in form
    for form in both_forms(mails.alert):
        assert "assert_rates_below_one" in form
        assert "Key figures" not in form
    assert mails.alert["Subject"] == mails.main["Subject"]
    assert mails.alert["X-Run-Id"] != mails.main["X-Run-Id"]


def test_engineers_get_no_mail_about_a_good_day(figures: Figures, real: RunSummary) -> None:
    assert compose_all(told(figures), real, alert_apart=True).alert is None
    suspect = told(figures, attempts=("suspect", 0))
    mails = compose_all(suspect, replace(real, verdict=suspect.verdict), alert_apart=True)
    assert mails.alert is not None
    assert "fetched 2,430 accepted 2,207 repeated 211 rejected 12 is_correct_invalid 8" in text(mails.alert)


def test_a_warning_is_told_with_its_description_once(figures: Figures, real: RunSummary) -> None:
    result = TestResult("few_are_rejected", "warn", 1, "1 row", (), "Look at the `reasons`.")
    warned = replace(real, tests=TestCounts(40, 1, 0, 0, (result,)))
    mails = compose_all(told(figures), warned)
    for form in both_forms(mails.main):
        assert "few_are_rejected: 1 row" in form
        assert "Look at the" in form
        assert "40 passed, 1 warned" in form
    yesterday = LAST_DAY - timedelta(days=1)
    known = Alert("warning", "few_are_rejected", "1 row", yesterday, yesterday)
    assert "few_are_rejected" not in text(compose(told(figures), warned, past=Past(alerts=(known,))))
    over = compose(told(figures), real, past=Past(alerts=(known,)))
    assert "Over: few_are_rejected" in text(over)


def test_a_mail_in_russian_has_no_english_sentence(figures: Figures, real: RunSummary) -> None:
    day = told(figures, success_rate=("suspect", 0.0))
    message = compose(day, replace(real, verdict=day.verdict), RUSSIAN)
    subject = message["Subject"].replace("\u00a0", " ")
    assert subject == "21 нояб.: доля успешных 0,0 % (обычно 52–62 %): проверьте"
    assert '<html lang="ru">' in html(message)
    for form in both_forms(message):
        for english in ("usually", "What", "learners", "attempts", "Success", "Data as of", "The "):
            assert english not in form
        assert "7 студентов, решивших её раньше, теперь" in form


def test_names_and_values_are_escaped(figures: Figures, failed: RunSummary) -> None:
    evil = replace(
        failed,
        failure=EVIL,
        run_id=EVIL,
        log_tail=(EVIL,),
        loads=LoadCounts(1, 0, 0, 1, {EVIL: 1}),
        tests=TestCounts(0, 0, 1, 0, (TestResult(EVIL, "fail", 1, EVIL, (EVIL,), EVIL),)),
        deliveries=[Delivery(EVIL, False, EVIL, EVIL)],
    )
    bad = incident("t1", "broken", title=EVIL, course_title=EVIL, lms_url="javascript:alert(1)")
    links = Links(sheet=f'https://x/{EVIL}" onclick="x', report="javascript:alert(1)", docs="javascript:alert(1)")
    day = replace(told(figures), incidents=(bad,))
    for run in (evil, replace(evil, failure=None, stages=[])):
        page = Page(compose_mails(day, run, links, Past(), ENGLISH).main)
        assert "script" not in {tag for tag, _ in page.tags}
        assert not any("onclick" in attrs for _, attrs in page.tags)
        assert not any((link or "").startswith("javascript") for link in page.links)
        assert EVIL in page.text


def test_headers_take_no_injection(figures: Figures, failed: RunSummary, tmp_path: Path) -> None:
    evil = replace(
        failed, run_id="x\r\nBcc: thief@example.org", stages=[Stage("build\r\nBcc: thief@example.org", "failed", 1, "")]
    )
    path = Path(Outbox(tmp_path, "elt@localhost", ["boss@localhost"]).send(compose(told(figures), evil)).target)
    parsed = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert parsed["Bcc"] is None
    assert path.parent == tmp_path
    for bad in ("a@b\r\nBcc: c@d", "no address"):
        with pytest.raises(DeliveryError, match="not a mail address"):
            Outbox(tmp_path, bad, ["boss@localhost"]).send(compose(told(figures), failed))


def test_the_outbox_keeps_one_private_file_per_run(figures: Figures, summary: RunSummary, tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "mail", "Figures <elt@localhost>", ["boss@localhost", "dean@localhost"])
    message = compose(told(figures), summary)
    first, second = outbox.send(message), outbox.send(message)
    assert first == second
    (path,) = (tmp_path / "mail").iterdir()
    assert path.name == "20261122T030021Z-20261122T030000Z-7f3a.eml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    parsed = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert parsed["From"] == "Figures <elt@localhost>"
    assert parsed["To"] == "boss@localhost, dean@localhost"
    assert parsed["Message-ID"] == "<20261122T030000Z-7f3a@localhost>"
    assert parsed["Subject"] == message["Subject"]
    assert path.read_bytes().isascii()
    assert max(map(len, path.read_bytes().splitlines())) <= 998


def test_the_outbox_takes_an_alert_to_others(figures: Figures, failed: RunSummary, tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, "elt@localhost", ["boss@localhost"])
    mails = compose_all(told(figures), failed, alert_apart=True)
    assert mails.alert is not None
    outbox.send(mails.main)
    path = Path(outbox.send(mails.alert, ["engineer@localhost"]).target)
    assert len(list(tmp_path.iterdir())) == 2
    assert email.message_from_bytes(path.read_bytes(), policy=email.policy.default)["To"] == "engineer@localhost"


def test_the_outbox_check_makes_nothing(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "mail", "elt@localhost", ["boss@localhost"])
    assert "mail" in outbox.check()
    assert list(tmp_path.iterdir()) == []
