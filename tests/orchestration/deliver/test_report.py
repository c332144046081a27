"""The report page: what it says, whom it names, and how large it is."""

from __future__ import annotations

import json
import re
import stat
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import vl_convert

from orchestration.deliver import DeliveryError, Links
from orchestration.deliver.figures import Figures
from orchestration.deliver.report.file import ReportFile
from orchestration.deliver.report.library import library
from orchestration.deliver.report.page import build_page
from orchestration.deliver.words import Words
from orchestration.summary import RunSummary
from tests.orchestration.deliver.conftest import LAST_DAY
from tests.orchestration.deliver.school import STATES, course_key, make_school, make_verdict

LEARNER = "9f3ae0c1b7d84f0f9f3ae0c1b7d84f0f"
PARTS = (
    *("answer", "moved", "incidents", "trend", "courses", "repair", "states", "hours", "cohorts"),
    *("quality", "meaning"),
)
LARGEST = 2_000_000


@pytest.fixture
def school() -> Figures:
    return make_school()


def page(figures: Figures, summary: RunSummary, language: str = "en", links: Links | None = None) -> str:
    """The page without the library."""
    return build_page(figures, summary, links or Links(), Words(language), "")


def part(html: str, name: str) -> str:
    """One part of the page, as HTML."""
    found = re.search(rf'<section id="{name}".*?</section>', html, re.S)
    assert found is not None
    return found[0]


def text(html: str) -> str:
    """What a reader sees of it."""

    class Reader(HTMLParser):
        seen = ""

        def handle_data(self, data: str) -> None:
            self.seen += data

        def handle_starttag(self, tag: str, attrs: Any) -> None:
            self.seen += " " if tag in ("td", "th", "dt", "dd", "p", "h2", "h3", "li", "option", "small") else ""

    reader = Reader()
    reader.feed(re.sub(r"<(script|style)\b.*?</\1>", "", html, flags=re.S))
    return " ".join(reader.seen.split())


def data(html: str) -> dict[str, Any]:
    """What is embedded for the script."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)
    assert found is not None
    read: dict[str, Any] = json.loads(found[1])
    return read


def test_every_part_is_there_in_its_order(school: Figures, summary: RunSummary) -> None:
    html = page(school, summary)
    assert tuple(re.findall(r'<section id="(\w+)"', html)) == PARTS
    for name in PARTS[1:]:
        assert '<p class="how">' in part(html, name)
    assert re.findall(r'href="#(\w+)"', html) == list(PARTS)


@pytest.mark.parametrize(
    ("verdict", "tone", "said"),
    [
        ("normal", "good", "Sat, 21 Nov 2026 was as usual. Attempts 1,212 (usually 1,100–1,400)"),
        ("unusual", "warn", "Sat, 21 Nov 2026 was not as usual. Attempts 1,212 (usually 1,100–1,400)."),
        (
            "suspect",
            "bad",
            "Sat, 21 Nov 2026: the figures look wrong, check them first. Attempts 1,212 (us",
        ),
        ("no_history", "plain", "there are no earlier days to compare it with yet"),
    ],
)
def test_the_verdict_has_words_and_a_colour(
    school: Figures, summary: RunSummary, verdict: str, tone: str, said: str
) -> None:
    html = page(replace(school, verdict=make_verdict(verdict)), summary)
    assert f'class="answer {tone}"' in html
    answer = part(html, "answer")
    assert said in text(answer)
    assert ('class="tile out"' in answer) == (tone in ("warn", "bad"))


def test_key_figures_stand_beside_the_usual_and_a_week_before(school: Figures, summary: RunSummary) -> None:
    answer = text(part(page(school, summary), "answer"))
    assert "Saturday, 21 November 2026" in answer
    assert "Attempts 1,212 usually 1,100–1,400 a week before" in answer
    assert "Rejected records 0.5%" in answer
    assert "A week before is Sat, 14 Nov 2026." in answer


def test_notices_stand_first(school: Figures, summary: RunSummary) -> None:
    assert "Made-up data" in page(school, summary)
    assert "Made-up data" not in page(school, replace(summary, demo=False))
    summary.failure = "dbt build stopped"
    shown = text(page(school, summary).split("<main>")[1])
    assert "No new figures: the run failed. The last good figures are of Sat, 21 Nov 2026." in shown


def test_what_moved_the_day_is_told_in_points(school: Figures, summary: RunSummary) -> None:
    moved = part(page(school, summary), "moved")
    first = school.movers[0]
    assert f"{first['title']} +2.0 pp" in text(moved)
    assert f"{first['correct_submits_before']} / {first['graded_submits_before']}" in moved
    assert moved.count("<tr data-course=") == len(school.courses) + len(school.tasks)


@pytest.mark.parametrize(
    ("kind", "label", "evidence"),
    [
        ("broken", "The check may be broken", "7 learners who had solved it before only fail now."),
        ("hard", "Learners struggle", "In the 28 days before, 62% of 342 graded submits."),
        (
            "passes_everything",
            "The check passes everything",
            "23 graded submits by 9 learners on the day, 100%",
        ),
        ("mute", "The grader gives no verdicts", "At least a fifth of the day's submits got no verdict"),
    ],
)
def test_incidents_have_their_evidence_in_words(
    school: Figures, summary: RunSummary, kind: str, label: str, evidence: str
) -> None:
    only = tuple(row for row in school.incidents if row["kind"] == kind)
    shown = text(part(page(replace(school, incidents=only), summary), "incidents"))
    assert label in shown
    assert evidence in shown
    assert ("solved it before" in shown) == (kind == "broken")


def test_a_day_without_incidents_says_so(school: Figures, summary: RunSummary) -> None:
    assert "None on this day" in text(part(page(replace(school, incidents=()), summary), "incidents"))


def test_tables_can_be_read_without_a_script(school: Figures, summary: RunSummary) -> None:
    html = page(school, summary)
    days = part(html, "trend")
    assert days.count("<tr><th scope=") == 63 + 1
    assert "Sat, 21 Nov 2026 1,212 255" in text(days)
    assert "need JavaScript" in html.split("<noscript>")[1].split("</noscript>")[0]
    attempts = sum(row["attempts"] for row in school.course_days if row["course_key"] == course_key(0))
    assert f'data-total="attempts">{attempts:,}<' in part(html, "courses")


def test_costly_tasks_are_listed_with_their_links(summary: RunSummary) -> None:
    many = make_school(courses=5, tasks=600)
    repair = part(page(many, summary), "repair")
    assert "The 100 most costly of 600 are listed, or the 10 most costly of a course." in text(repair)
    assert repair.count("<tr data-course=") == 100
    assert f'href="{many.tasks[0]["lms_url"].replace("+", "+")}"' in repair
    cheap = replace(
        many, tasks=tuple({**task, "course_key": course_key(number // 120)} for number, task in enumerate(many.tasks))
    )
    rows = part(page(cheap, summary), "repair")
    assert rows.count("<tr data-course=") == 100 + 4 * 10
    assert rows.count(" data-more hidden") == 40


def test_states_are_counts_by_course(school: Figures, summary: RunSummary) -> None:
    states = text(part(page(school, summary), "states"))
    assert "COURSE-0.0 2026_AUTUMN 200 0 2 4 6 8 10" in states
    assert all(name.replace("_", " ") in states.lower() for name in STATES)


def test_data_quality_tells_of_loads_reasons_revisions_and_the_warning(school: Figures, summary: RunSummary) -> None:
    quality = text(part(page(school, summary), "quality"))
    assert "Sun, 22 Nov 2026, 06:00 2,430 2,207 211 12" in quality
    assert f"a verdict that is none is_correct_invalid {7 * 14}" in quality
    assert "The newest 20 of 25 changes:" in quality
    assert "Success rate 50.0% 51.0%" in quality
    assert "right about 58% of the flagged, where 41% of all vanished: 1.4 times" in quality


def test_figures_are_described_as_in_dbt(school: Figures, summary: RunSummary) -> None:
    meaning = text(part(page(school, summary), "meaning"))
    assert "Attempts Number of attempts, runs and submits." in meaning


def test_figures_over_few_learners_are_marked(school: Figures, summary: RunSummary) -> None:
    html = page(school, summary)
    for name in ("moved", "courses", "repair", "states"):
        assert "COURSE-2.0 2026_AUTUMN" in text(part(html, name))
        assert "† fewer than 5 learners" in text(part(html, name))
    assert "COURSE-2.0 2026_AUTUMN†" in text(part(html, "courses"))
    assert "COURSE-1.0 2026_AUTUMN†" not in html
    assert "8 figures over fewer than 5 learners are left out." in text(part(html, "cohorts"))
    assert 3 not in data(html)["cohorts"]["learners"]
    assert data(html)["days"]["courses"]["is_small"] == [[], [], [*range(63)]]


def test_no_learner_is_named(school: Figures, summary: RunSummary) -> None:
    learner = {"user_id": LEARNER, "course_title": "COURSE", "reasons": ["stuck"]}
    html = page(replace(school, learners=(learner,)), summary)
    assert LEARNER not in html
    assert "user_id" not in html


def test_everything_is_escaped(school: Figures, summary: RunSummary) -> None:
    evil = "</script><script>alert(1)</script>\u2028<!--"
    url = '"><img src=x onerror=alert(1)>'
    figures = replace(
        school,
        courses=({**school.courses[0], "title": evil}, *school.courses[1:]),
        tasks=({**school.tasks[0], "title": evil, "lms_url": "javascript:alert(1)"}, *school.tasks[1:]),
        movers=({**school.movers[0], "title": evil, "lms_url": url}, *school.movers[1:]),
        incidents=({**school.incidents[0], "title": evil, "lms_url": f"https://x/{url}"},),
        descriptions={"daily_metrics": {"attempts": evil}},
    )
    html = page(figures, summary)
    assert "alert(1)</script>" not in html
    assert "<img" not in html
    assert "javascript:" not in html
    assert data(html)["courses"][0] == evil
    assert 'href="https://x/&#34;&gt;&lt;img' in html


def test_nothing_is_fetched_from_anywhere(school: Figures, summary: RunSummary) -> None:
    html = page(
        school, summary, links=Links(sheet="https://docs.google.com/x", report="/a/b", docs="/home/me/docs.html")
    )
    assert "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline';" in html
    assert "unsafe-eval" not in html
    assert not re.search(r"\ssrc=|@import|url\(", html)
    assert re.findall(r'<link [^>]*href="([^"]*)"', html) == ["data:,"]
    assert 'href="https://docs.google.com/x"' in html
    assert "/home/me" not in html


def test_charts_take_their_colours_from_the_style_sheet(school: Figures, summary: RunSummary) -> None:
    charts = json.dumps(data(page(school, summary))["charts"])
    assert "var(--accent)" in charts
    assert not re.search(r'"#[0-9a-f]{3,8}"|"white"', charts)


def test_what_json_cannot_hold_is_left_out(school: Figures, summary: RunSummary) -> None:
    tasks = ({**school.tasks[1], "discrimination": float("nan")}, *school.tasks[2:])
    assert data(page(replace(school, tasks=tasks), summary))["tasks"]["discrimination"][0] is None


def test_in_russian(school: Figures, summary: RunSummary) -> None:
    html = page(school, summary, "ru")
    assert '<html lang="ru">' in html
    assert "Суббота, 21 ноября 2026" in text(part(html, "answer"))
    assert "Сб, 21 нояб. 2026 г.: всё как обычно." in text(part(html, "answer")).replace("\xa0", " ")
    for heading in ("Что изменило день", "Инциденты", "Последние месяцы", "Кто возвращается"):
        assert f"<h2>{heading}" in html
    assert "23 оценённых сабмита" in text(part(html, "incidents"))
    read = data(html)
    assert (read["language"], read["locale"]["number"]["decimal"]) == ("ru", ",")
    assert read["days"]["labels"][-1] == "сб, 21 нояб."


def test_without_figures_it_says_so(summary: RunSummary, figures: Figures) -> None:
    empty = page(Figures(figures.zone), summary)
    assert "There are no figures yet" in text(empty)
    assert "<section" not in empty


def test_marts_of_an_earlier_version_make_a_page(summary: RunSummary, figures: Figures) -> None:
    html = page(figures, summary)
    assert tuple(re.findall(r'<section id="(\w+)"', html)) == PARTS
    assert "Nothing is known of courses yet." in html
    assert 'value="weeks"' not in html


def test_a_silent_last_day_is_a_day_of_the_page(school: Figures, summary: RunSummary) -> None:
    silent = replace(school, as_of_day=LAST_DAY + timedelta(days=1), verdict=None)
    html = page(silent, summary)
    assert "Attempts 0 a week before" in text(part(html, "answer"))
    assert data(html)["days"]["whole"]["attempts"][-2:] == [1_212, 0]


@pytest.mark.parametrize("language", ["en", "ru"])
def test_two_years_of_a_large_school_stay_below_two_megabytes(
    summary: RunSummary, tmp_path: Path, language: str
) -> None:
    large = make_school(courses=40, tasks=2_000, weeks=104)
    path = tmp_path / "out" / "report.html"
    file = ReportFile(path, tmp_path / "state")
    delivery = file.deliver(large, summary, Links(), Words(language))
    assert delivery.ok
    size = path.stat().st_size
    assert 1_000_000 < size < LARGEST
    assert Words(language).decimal(size / 1_000_000) in delivery.detail
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_library_is_bundled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outdated = tmp_path / "report" / "vega-0.1-5.0.js"
    outdated.parent.mkdir()
    outdated.write_text("old")
    first = library(tmp_path)
    monkeypatch.setattr(vl_convert, "javascript_bundle", None)
    assert library(tmp_path) == first
    assert "</script" not in first
    assert "<!--" not in first
    assert not outdated.exists()


def test_a_folder_that_cannot_be_written_is_a_failed_delivery(
    school: Figures, summary: RunSummary, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("a file")
    file = ReportFile(tmp_path / "out" / "report.html", tmp_path / "state")
    with pytest.raises(DeliveryError, match="cannot write"):
        file.deliver(school, summary, Links(), Words())
    with pytest.raises(DeliveryError, match="the report cannot be written"):
        file.check()
