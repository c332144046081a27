"""The report page in Chromium: its filters, its charts, on phones and on paper, by day and by night."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from orchestration.deliver import Links
from orchestration.deliver.report.file import ReportFile
from orchestration.deliver.words import Words
from orchestration.summary import RunSummary
from tests.orchestration.deliver.school import course_key, make_school
from tests.reading import Reading

DAYS, WEEKS = 63, 9
SCHOOL = make_school(courses=3, tasks=60, weeks=WEEKS)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the library is kept."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture
def file(summary: RunSummary, state: Path, tmp_path: Path) -> Path:
    ReportFile(tmp_path / "report.html", state).deliver(SCHOOL, summary, Links(), Words())
    return tmp_path / "report.html"


def attempts_of(course: int) -> list[int]:
    return [row["attempts"] for row in SCHOOL.course_days if row["course_key"] == course_key(course)]


def test_a_course_filters_tables_and_charts(browser: Browser, file: Path) -> None:
    with Reading(browser, file) as reading:
        reading.page.locator("summary").click()
        reading.choose("#course", "1")
        days = reading.cells("#days tbody tr")
        assert [row[1] for row in days] == [f"{count:,}" for count in reversed(attempts_of(1))]
        assert [row[0] for row in reading.cells("#course-table tbody tr")] == ["COURSE-1.0 2026_AUTUMN"]
        tasks = reading.cells("#tasks tbody tr")
        assert len(tasks) == 20
        assert all("COURSE-1.0" in row[1] for row in tasks)
        assert reading.page.locator("#incidents article:visible").count() == 1
        assert reading.page.locator("#cohorts .scope").is_visible()
        drawn = reading.page.locator('[data-chart="tasks"] .mark-symbol.role-mark path').count()
        assert reading.page.locator("#tasks-drawn").inner_text().startswith(f"{drawn} of 20 tasks")
        reading.choose("#course", "")
        assert reading.page.locator("#incidents article:visible").count() == 4
        assert not reading.page.locator("#cohorts .scope").is_visible()


def test_a_course_of_few_learners_is_marked(browser: Browser, file: Path) -> None:
    with Reading(browser, file) as reading:
        assert not reading.page.locator("#few-days").is_visible()
        reading.choose("#course", "2")
        assert reading.page.locator("#few-days").is_visible()
        assert reading.page.locator('[data-chart="attempts"] .layer_4_marks path').count() == DAYS
        reading.choose("#course", "0")
        assert not reading.page.locator("#few-days").is_visible()


def test_the_time_filters_tables_and_charts(browser: Browser, file: Path) -> None:
    with Reading(browser, file) as reading:
        reading.page.locator("summary").click()
        assert (len(reading.cells("#days tbody tr")), reading.line("attempts")) == (DAYS, DAYS)
        reading.choose('label:has(input[value="30"])')
        assert (len(reading.cells("#days tbody tr")), reading.line("attempts")) == (30, 30)
        totals = [row[3] for row in reading.cells("#course-table tbody tr")]
        assert totals == [f"{sum(attempts_of(course)[-30:]):,}" for course in range(3)]
        reading.choose('label:has(input[value="weeks"])')
        complete = [row for row in SCHOOL.weekly if row["is_complete"]]
        assert [row[1] for row in reading.cells("#days tbody tr")] == [f"{row['attempts']:,}" for row in complete]
        assert reading.line("attempts") == len(complete)
        assert reading.page.locator("#rhythm").is_disabled()


def test_the_weeks_rhythm_can_be_taken_out(browser: Browser, file: Path) -> None:
    with Reading(browser, file) as reading:
        bands = reading.page.locator('[data-chart="attempts"] .mark-area path')
        assert bands.count() == 1
        reading.choose("#rhythm")
        assert [reading.line(chart) for chart in ("attempts", "success_rate", "unique_users")] == [DAYS - 6] * 3
        assert (bands.first.get_attribute("d") or "") == ""
        week = SCHOOL.days[-7:]
        reading.page.locator('[data-chart="attempts"] .layer_5_marks path').last.hover()
        mean = round(sum(day.values["attempts"] or 0 for day in week) / 7)
        tip = reading.page.locator("#vg-tooltip-element").inner_text()
        assert tip == f"mean of the 7 days up to Sat, 21 Nov 2026\nAttempts: {mean:,}"
        reading.page.locator('[data-chart="success_rate"] .layer_5_marks path').last.hover()
        newest = {day.date for day in week}
        graded, correct = (
            sum(row[name] for row in SCHOOL.course_days if row["activity_date"] in newest)
            for name in ("graded_submits", "correct_submits")
        )
        # All courses together: what daily_metrics says was correct, of what the courses say was graded.
        correct = sum(int(day.values["correct_submits"] or 0) for day in week)
        assert reading.page.locator("#vg-tooltip-element").inner_text().endswith(f"{100 * correct / graded:.1f}%")


def test_further_tasks_are_shown_when_asked_for(browser: Browser, file: Path) -> None:
    with Reading(browser, file) as reading:
        assert len(reading.cells("#tasks tbody tr")) == 25
        reading.page.locator("#all-tasks").click()
        assert len(reading.cells("#tasks tbody tr")) == 60


def test_without_a_script_every_table_can_be_read(browser: Browser, file: Path) -> None:
    with Reading(browser, file, scripts=False) as reading:
        assert "need JavaScript" in reading.page.locator("noscript").inner_text()
        assert not reading.page.locator(".filters").is_visible()
        assert reading.page.locator("#tasks tbody tr:visible").count() == 60
        assert reading.page.locator("#course-table tbody tr:visible").count() == 3


@pytest.mark.parametrize("width", [390, 800, 1_440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_any_screen_by_day_and_by_night(browser: Browser, file: Path, width: int, scheme: str) -> None:
    with Reading(browser, file, width, scheme) as reading:
        assert reading.page.evaluate("document.documentElement.scrollWidth") == width
        ink, ground = reading.page.evaluate(
            "(style => [style.color, style.backgroundColor])(getComputedStyle(document.body))"
        )
        light, dark = (ground, ink) if scheme == "light" else (ink, ground)
        brightness = [sum(map(int, colour[4:-1].split(","))) for colour in (light, dark)]
        assert brightness[0] > 600
        assert brightness[1] < 150
        line = reading.page.locator('[data-chart="attempts"] .mark-line path').first
        # The charts' colours follow, too: they are the style sheet's.
        colour = line.evaluate("line => getComputedStyle(line).stroke")
        assert colour == {"light": "rgb(47, 98, 153)", "dark": "rgb(127, 178, 234)"}[scheme]
        for chart in reading.page.locator(".chart").all():
            box = chart.bounding_box()
            drawn = chart.locator("svg").bounding_box()
            assert box is not None
            assert drawn is not None
            assert drawn["width"] <= box["width"] + 1


def test_it_prints(browser: Browser, file: Path, tmp_path: Path) -> None:
    with Reading(browser, file, scheme="dark") as reading:
        paper = reading.page.pdf(path=str(tmp_path / "report.pdf"), prefer_css_page_size=True)
        assert paper.startswith(b"%PDF-")
        assert 3 < paper.count(b"/Type /Page\n") < 20
        reading.page.emulate_media(media="print")
        ground = reading.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == "rgb(255, 255, 255)"
        assert not reading.page.locator(".filters").is_visible()
        assert len(reading.cells("#tasks tbody tr")) == 60


def test_the_script_writes_figures_as_the_page_does(
    browser: Browser, summary: RunSummary, state: Path, tmp_path: Path
) -> None:
    for language in ("en", "ru"):
        path = tmp_path / f"{language}.html"
        ReportFile(path, state).deliver(SCHOOL, summary, Links(), Words(language))
        with Reading(browser, path, scripts=False) as reading:
            written = reading.page.locator("#days tbody tr").all_text_contents()
            courses = reading.page.locator("#course-table [data-total]").all_text_contents()
        with Reading(browser, path) as reading:
            assert reading.page.locator("#days tbody tr").all_text_contents() == written
            assert reading.page.locator("#course-table [data-total]").all_text_contents() == courses


def test_a_large_school_is_drawn_soon(browser: Browser, summary: RunSummary, state: Path, tmp_path: Path) -> None:
    path = tmp_path / "large.html"
    ReportFile(path, state).deliver(make_school(40, 2_000, 104), summary, Links(), Words())
    with Reading(browser, path) as reading:
        taken = int(reading.page.evaluate("document.documentElement.dataset.drawn"))
        # Measured, not judged: machines differ. Without other work it takes about a second.
        print(f"{path.stat().st_size:,} bytes drawn after {taken} ms")
        assert reading.line("attempts") == 90
