"""What people find in the spreadsheet, and what stays theirs: the same in Google's and in the workbook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import openpyxl
import pytest

from orchestration.deliver.columns import COURSES, DAILY, LEARNERS, PERIODS
from orchestration.deliver.figures import Figures
from orchestration.deliver.sheet.contents import LOOKS, Change
from orchestration.deliver.sheet.google import GoogleSheet
from orchestration.deliver.sheet.tables import Tables, build_tables
from orchestration.deliver.sheet.workbook import Workbook
from orchestration.deliver.words import ENGLISH, Words
from orchestration.summary import DayVerdict, Delivery, MetricVerdict, RunSummary
from tests.orchestration.deliver.conftest import LAST_DAY, LEARNER, TITLES, make_days, make_weeks
from tests.orchestration.deliver.google_emulator import Google, Worksheet

RUSSIAN = Words("ru")
RUSSIAN_TITLES = (
    *("Сводка", "Показатели по дням", "По неделям", "По месяцам", "Курсы", "Задачи на доработку", "Изменения"),
    *("Периоды", "Качество данных", "О таблице"),
)


class Spreadsheet(Protocol):
    """A spreadsheet as people see it; rows and columns count from 0."""

    def deliver(self, tables: Tables) -> Delivery: ...

    def preview(self, tables: Tables) -> list[Change]: ...

    def titles(self) -> list[str]: ...

    def rows(self, title: str) -> list[list[Any]]: ...

    def put(self, title: str, row: int, column: int, value: Any) -> None: ...

    def make(self, title: str, rows: Sequence[Sequence[Any]], index: int) -> None: ...

    def rename(self, title: str, new: str) -> None: ...

    def move(self, title: str, index: int) -> None: ...

    def fill(self, title: str, row: int, column: int) -> str | None: ...

    def number_format(self, title: str, row: int, column: int) -> str: ...

    def charts(self, title: str) -> list[str]: ...

    def content(self) -> Any: ...


def trimmed(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Blank cells are None; trailing ones, and rows of them, are left off."""
    found = []
    for row in rows:
        cells = [None if cell == "" else cell for cell in row]
        while cells and cells[-1] is None:
            cells.pop()
        found.append(cells)
    while found and not found[-1]:
        found.pop()
    return found


class OnGoogle:
    """The emulated one."""

    def __init__(self, google: Google, sheet: GoogleSheet) -> None:
        self.google = google
        self.deliver, self.preview = sheet.deliver, sheet.preview
        google.sheets[0].title = "Mine"

    def titles(self) -> list[str]:
        return [sheet.title for sheet in self.google.sheets if sheet.title != "Mine"]

    def rows(self, title: str) -> list[list[Any]]:
        return trimmed(self.google.sheet(title).values())

    def put(self, title: str, row: int, column: int, value: Any) -> None:
        self.google.sheet(title).cells[row, column] = value

    def make(self, title: str, rows: Sequence[Sequence[Any]], index: int) -> None:
        sheet = Worksheet(500 + len(self.google.sheets), title)
        sheet.cells = {(at, column): cell for at, row in enumerate(rows) for column, cell in enumerate(row)}
        self.google.sheets.insert(index, sheet)

    def rename(self, title: str, new: str) -> None:
        self.google.sheet(title).title = new

    def move(self, title: str, index: int) -> None:
        sheet = self.google.sheet(title)
        self.google.sheets.remove(sheet)
        self.google.sheets.insert(index, sheet)

    def fill(self, title: str, row: int, column: int) -> str | None:
        colour = self.google.sheet(title).format_at(row, column).get("backgroundColor")
        if colour is None:
            return None
        return "".join(f"{round(255 * colour[name]):02X}" for name in ("red", "green", "blue"))

    def number_format(self, title: str, row: int, column: int) -> str:
        return str(self.google.sheet(title).format_at(row, column)["numberFormat"]["pattern"])

    def charts(self, title: str) -> list[str]:
        return [chart["spec"]["title"] for chart in self.google.sheet(title).charts.values()]

    def content(self) -> Any:
        return [
            (sheet.title, dict(sheet.cells), len(sheet.painted), dict(sheet.charts)) for sheet in self.google.sheets
        ]


class InFile:
    """The workbook file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: tuple[int, Any] = (0, None)
        workbook = Workbook(path)
        self.deliver, self.preview = workbook.deliver, workbook.preview

    def _read(self) -> Any:
        stamp = self.path.stat().st_mtime_ns
        if self._known[0] != stamp:
            self._known = (stamp, openpyxl.load_workbook(self.path))
        return self._known[1]

    def titles(self) -> list[str]:
        return list(self._read().sheetnames)

    def rows(self, title: str) -> list[list[Any]]:
        return trimmed(list(self._read()[title].iter_rows(values_only=True)))

    def _change(self, change: Any) -> None:
        book = openpyxl.load_workbook(self.path) if self.path.exists() else openpyxl.Workbook()
        change(book)
        self.path.parent.mkdir(exist_ok=True)
        book.save(self.path)

    def put(self, title: str, row: int, column: int, value: Any) -> None:
        self._change(lambda book: setattr(book[title].cell(row + 1, column + 1), "value", value))

    def make(self, title: str, rows: Sequence[Sequence[Any]], index: int) -> None:
        def change(book: Any) -> None:
            if book.sheetnames == ["Sheet"]:
                del book["Sheet"]
            sheet = book.create_sheet(title, index)
            for row in rows:
                sheet.append(list(row))

        self._change(change)

    def rename(self, title: str, new: str) -> None:
        self._change(lambda book: setattr(book[title], "title", new))

    def move(self, title: str, index: int) -> None:
        self._change(lambda book: book.move_sheet(title, index - book.sheetnames.index(title)))

    def fill(self, title: str, row: int, column: int) -> str | None:
        fill = self._read()[title].cell(row + 1, column + 1).fill
        return str(fill.fgColor.rgb)[2:] if fill.fill_type else None

    def number_format(self, title: str, row: int, column: int) -> str:
        return str(self._read()[title].cell(row + 1, column + 1).number_format)

    def charts(self, title: str) -> list[str]:
        charts: list[Any] = self._read()[title]._charts
        return ["".join(run.t for run in chart.title.tx.rich.p[0].r) for chart in charts]

    def content(self) -> Any:
        return self.path.read_bytes() if self.path.exists() else None


@pytest.fixture(params=["google", "file"])
def book(request: pytest.FixtureRequest, tmp_path: Path) -> Spreadsheet:
    if request.param == "file":
        return InFile(tmp_path / "out" / "metrics.xlsx")
    return OnGoogle(request.getfixturevalue("google"), request.getfixturevalue("sheet"))


def build(figures: Figures, summary: RunSummary, words: Words = ENGLISH, learners: bool = False) -> Tables:
    return build_tables(figures, summary, "docs", words, learners)


def as_date(value: Any) -> date:
    """A day as it reads in either: a serial number, or a midnight."""
    return value.date() if isinstance(value, datetime) else date(1899, 12, 30) + timedelta(days=int(value))


def block(rows: list[list[Any]], heading: str) -> list[list[Any]]:
    """The rows of the page below a heading, up to the next blank one."""
    start = next(at for at, row in enumerate(rows) if row and str(row[0]).startswith(heading))
    end = next((at for at, row in enumerate(rows) if at > start and not row), len(rows))
    return rows[start + 1 : end]


def test_the_worksheets_in_their_order(book: Spreadsheet, tables: Tables) -> None:
    assert book.deliver(tables).ok
    assert book.titles() == list(TITLES)


def test_a_second_delivery_writes_nothing(
    book: Spreadsheet, full_figures: Figures, summary: RunSummary, tables: Tables
) -> None:
    book.deliver(tables)
    before = book.content()
    again = replace(summary, run_id="another", started_at=summary.started_at + timedelta(hours=1))
    assert (
        "already up to date" in book.deliver(build_tables(full_figures, again, "https://docs.example/", ENGLISH)).detail
    )
    assert book.content() == before


# The page


@pytest.mark.parametrize("verdict", ["normal", "unusual", "suspect", "no_history"])
def test_the_verdict_on_the_day_in_words_and_colour(
    book: Spreadsheet, full_figures: Figures, summary: RunSummary, verdict: Any
) -> None:
    metrics: tuple[MetricVerdict, ...] = ()
    if verdict in ("unusual", "suspect"):
        judged = "unusual_low" if verdict == "unusual" else "suspect"
        metrics = (MetricVerdict("attempts", judged, 12, 3_000, 2_900, 3_150),)
    day = DayVerdict(LAST_DAY, verdict, metrics)
    judged_summary = replace(summary, verdict=day)
    book.deliver(build(replace(full_figures, verdict=day), judged_summary))
    rows = book.rows("Summary")
    told = " ".join(str(row[0]) for row in rows[1:4] if row)
    expected = {
        "normal": "Sat, 21 Nov 2026 was as usual Nothing has to be done, but for the incidents below.",
        "unusual": "Sat, 21 Nov 2026 was not as usual Attempts 12 (usually 2,900–3,200).",
        "suspect": "Sat, 21 Nov 2026: the figures look wrong, check them first Attempts 12 (usually 2,900–3,200).",
        "no_history": "Sat, 21 Nov 2026: there are no earlier days to compare it with yet",
    }
    assert told.startswith(expected[verdict])
    assert {book.fill("Summary", 1, column) for column in range(7)} == {LOOKS[verdict].fill}
    assert any("Made-up data" in str(row[0]) for row in rows[:6] if row)


def test_the_last_full_day_beside_what_is_usual_and_the_week_before(
    book: Spreadsheet, full_figures: Figures, summary: RunSummary
) -> None:
    book.deliver(build(full_figures, summary))
    rows = book.rows("Summary")
    heads, *figures = block(rows, "Sat, 21 Nov 2026, the last full day")
    assert heads == ["Figure", "The day", "Usual from", "to", "A week ago", "Change"]
    last, before = full_figures.last_full_day, full_figures.week_before
    assert last is not None
    assert before is not None
    now, then = last.values["attempts"], before.values["attempts"]
    assert now is not None
    assert then is not None
    assert figures[0] == ["Attempts", now, 900, 1_500, then, pytest.approx((now - then) / then)]
    assert [row[0] for row in figures] == [
        *("Attempts", "Unique users", "Success rate", "Submits", "Correct submits", "New users", "Rejected records"),
    ]
    at = next(number for number, row in enumerate(rows) if row[:1] == ["Attempts"])
    assert [book.number_format("Summary", at, column) for column in (1, 2)] == ["#,##0", "#,##0"]
    assert book.number_format("Summary", at, 5).startswith("+0%")
    assert [book.number_format("Summary", at + 2, column) for column in (1, 2, 4)] == ["0.0%"] * 3
    assert "pp" in book.number_format("Summary", at + 2, 5)


def test_newest_days_first_and_only_figures_outside_their_band_coloured(
    book: Spreadsheet, full_figures: Figures, summary: RunSummary
) -> None:
    book.deliver(build(full_figures, summary))
    rows = book.rows("Summary")
    heads, *days = block(rows, "The last 30 days")
    assert heads[:4] == ["Day", "Attempts", "Users", "Success"]
    assert [as_date(row[0]) for row in days] == [LAST_DAY - timedelta(days=back) for back in range(30)]
    assert days[0][1] == full_figures.days[-1].values["attempts"]
    first = rows.index(days[0])
    coloured = {
        (row, column): fill
        for row in range(30)
        for column in range(7)
        if (fill := book.fill("Summary", first + row, column)) not in (None, "FFFFFF")
    }
    assert coloured == {(3, 1): LOOKS["odd"].fill, (5, 3): LOOKS["bad"].fill}


def test_incidents_tasks_and_courses_on_the_page(book: Spreadsheet, full_figures: Figures, summary: RunSummary) -> None:
    book.deliver(build(full_figures, summary))
    rows = book.rows("Summary")
    incident, *evidence = block(rows, "Incidents of the last full day")
    assert incident == ["The check may be broken: task 1 (C1 2026)"]
    assert " ".join(line for (line,) in evidence) == (
        "23 graded submits by 9 learners on the day, 9% correct. In the 28 days before, 62% of 342 graded submits. "
        "7 learners who had solved it before only fail now. Look at the check first: those who can do it fail as well."
    )
    tasks = block(rows, "Tasks to repair")
    assert [row[0] for row in tasks] == ["Task", *(f"task {number} (C1 2026)" for number in range(1, 6)), tasks[-1][0]]
    assert tasks[1][1:4] == [20, 60, 0]
    assert tasks[-1][0].startswith("Grey: fewer than 5 learners")
    courses = block(rows, "By course")
    assert [row[0] for row in courses] == ["Course", *(f"C{number} 2026" for number in range(1, 16))]
    assert courses[1] == ["C1 2026", 99, 299, 5_000, 0.6, 3, 40]


def test_nothing_to_tell_is_told(book: Spreadsheet, figures: Figures, summary: RunSummary) -> None:
    book.deliver(build(figures, summary))
    rows = book.rows("Summary")
    assert block(rows, "Incidents") == [["None: no task failed otherwise than before."]]
    assert block(rows, "Tasks to repair")[1:] == [["None: no task cost anybody time."]]


def test_no_label_of_the_page_is_a_column_name(book: Spreadsheet, full_figures: Figures, summary: RunSummary) -> None:
    for words in (ENGLISH, RUSSIAN):
        book.deliver(build(full_figures, summary, words))
        assert not [cell for row in book.rows(words.text("Summary")) for cell in row if "_" in str(cell)]


def test_the_page_is_written_anew_whatever_people_did_to_it(
    book: Spreadsheet, full_figures: Figures, summary: RunSummary, tables: Tables
) -> None:
    book.deliver(tables)
    wanted = book.rows("Summary")
    book.put("Summary", 0, 0, "My title")
    book.put("Summary", 1, 0, "All is well")
    book.put("Summary", 400, 3, "far below")
    book.put("Summary", 3, 8, "beside it")
    book.deliver(tables)
    rows = book.rows("Summary")
    assert rows[3][8] == "beside it"
    rows[3] = rows[3][:1]
    assert rows == wanted


def test_formats_go_with_the_lines_they_belong_to(
    book: Spreadsheet, full_figures: Figures, summary: RunSummary, tables: Tables
) -> None:
    book.deliver(tables)
    at = next(number for number, row in enumerate(book.rows("Summary")) if row[:1] == ["Figure"])
    assert book.fill("Summary", at, 0) == LOOKS["head"].fill
    book.deliver(build(full_figures, replace(summary, demo=False)))
    assert book.rows("Summary")[at - 1][0] == "Figure"
    assert book.fill("Summary", at - 1, 0) == LOOKS["head"].fill
    assert book.fill("Summary", at, 0) in (None, "FFFFFF")


# The tables


def test_weeks_newest_first_say_whether_they_are_complete(book: Spreadsheet, tables: Tables) -> None:
    book.deliver(tables)
    header, *weeks = book.rows("Weekly")
    assert header[0] == "week_start"
    assert header[-1] == "is_complete"
    assert [as_date(row[0]) for row in weeks] == [date(2026, 11, 16) - timedelta(days=7 * back) for back in range(6)]
    assert [row[len(header) - 1 :] for row in weeks] == [[], *[["yes"]] * 5]
    assert book.rows("Monthly")[0][0] == "month_start"


def test_courses_and_tasks_say_which_rest_on_few_learners(book: Spreadsheet, tables: Tables) -> None:
    book.deliver(tables)
    header, *courses = book.rows("Courses")
    small = header.index("is_small")
    assert header == list(COURSES.names)
    assert [row[small] for row in courses] == [*[None] * 19, "yes"]
    header, *tasks = book.rows("Tasks to repair")
    assert [row[0] for row in tasks] == list(range(1, 8)), "the one without a rank is left out"
    assert tasks[0][header.index("lms_url")] == "https://lms.example/courses/C1/jump_to/1"


def test_changes_and_periods(book: Spreadsheet, tables: Tables) -> None:
    book.deliver(tables)
    (_, change) = book.rows("Changes")
    assert as_date(change[0]) == date(2026, 11, 19)
    assert change[1:4] == ["success_rate", pytest.approx(0.61234567), 0.625]
    header, period = book.rows("Periods")
    assert header == list(PERIODS.names)
    assert [as_date(period[at]) for at in (0, 1, -1)] == [date(2026, 11, 1), date(2026, 11, 8), date(2026, 11, 22)]
    assert period[2] == make_days(1)[0].values["attempts"]


def test_about_tells_of_every_worksheet(book: Spreadsheet, tables: Tables) -> None:
    book.deliver(tables)
    first = [str(row[0]) for row in book.rows("About")]
    for title in TITLES[1:-1]:
        assert any(text.startswith(f"{title}: one row per") for text in first)
    assert "repair_rank" in first


# Two languages


def test_another_language_renames_what_is_there(book: Spreadsheet, full_figures: Figures, summary: RunSummary) -> None:
    book.deliver(build(full_figures, summary))
    book.put("Daily metrics", 5, len(DAILY.columns), "my note")
    book.put("Summary", 2, 9, "mine too")
    book.deliver(build(full_figures, summary, RUSSIAN))
    assert book.titles() == list(RUSSIAN_TITLES)
    daily = book.rows("Показатели по дням")
    assert daily[0][:3] == ["День", "Попытки", "Запуски"]
    assert daily[5][-1] == "my note"
    assert book.rows("Сводка")[2][9] == "mine too"
    assert book.charts("Сводка") == ["Попытки по дням (данные выдуманы)", "Доля успешных по дням (данные выдуманы)"]
    assert book.rows("Изменения")[1][1] == "Доля успешных"
    assert book.rows("Курсы")[-1][17] == "да"
    before = book.content()
    assert "уже актуально" in book.deliver(build(full_figures, summary, RUSSIAN)).detail
    assert book.content() == before
    book.deliver(build(full_figures, summary))
    assert book.titles() == list(TITLES)
    assert book.rows("Daily metrics")[0][:3] == ["activity_date", "attempts", "runs"]


def test_formulas_follow_a_renamed_worksheet_in_the_file(
    tmp_path: Path, full_figures: Figures, summary: RunSummary
) -> None:
    book = InFile(tmp_path / "metrics.xlsx")
    book.deliver(build(full_figures, summary))
    book.make("Own", [["='Daily metrics'!B2+Weekly!B2", "Weekly!B2 is a text"]], 3)
    book.deliver(build(full_figures, summary, RUSSIAN))
    assert book.rows("Own") == [["='Показатели по дням'!B2+'По неделям'!B2", "Weekly!B2 is a text"]]


# What belongs to people


def test_their_order_and_their_worksheets_stay(book: Spreadsheet, full_figures: Figures, summary: RunSummary) -> None:
    book.deliver(build(full_figures, summary))
    book.make("Notes", [["mine"]], 2)
    book.move("About", 1)
    order = book.titles()
    book.deliver(build(replace(full_figures, days=make_days(61, LAST_DAY + timedelta(days=1))), summary))
    assert book.titles() == order
    assert book.rows("Notes") == [["mine"]]


def test_a_spreadsheet_of_an_earlier_version_gets_the_new_worksheets_in_their_place(
    book: Spreadsheet, full_figures: Figures, summary: RunSummary
) -> None:
    book.make("Daily metrics", [["activity_date", "attempts"], [46_000, 7]], 0)
    book.make("Notes", [["mine"]], 1)
    book.make("Data quality", [["loaded_at"]], 2)
    book.make("About", [["Item", "Meaning"]], 3)
    book.deliver(build(full_figures, summary))
    assert book.titles() == ["Summary", "Daily metrics", *TITLES[2:8], "Notes", "Data quality", "About"]
    assert len(book.rows("Daily metrics")) == 61
    assert len(book.charts("Summary")) == 2


@pytest.mark.parametrize("title", ["Summary", "weekly", "Courses"])
def test_a_worksheet_that_they_had_under_our_title_is_kept_aside(
    book: Spreadsheet, full_figures: Figures, summary: RunSummary, title: str
) -> None:
    theirs = [["title", "Who"], ["exams", "Ann"]]
    book.make(title, theirs, 0)
    for _ in range(2):
        book.deliver(build(full_figures, summary))
        assert book.rows(f"{title} (2)") == theirs
        assert [found for found in book.titles() if found != f"{title} (2)"] == list(TITLES)


def test_a_worksheet_that_they_had_under_a_title_of_the_other_language_is_theirs(
    book: Spreadsheet, full_figures: Figures, summary: RunSummary
) -> None:
    theirs = [["Курс", "Кто"], ["экзамен", "Анна"]]
    book.make("Курсы", theirs, 0)
    for _ in range(2):
        book.deliver(build(full_figures, summary))
        assert book.rows("Курсы") == theirs
        assert sorted(book.titles()) == sorted([*TITLES, "Курсы"])


# Before it is delivered


def test_a_preview_counts_cells_and_changes_nothing(
    book: Spreadsheet, full_figures: Figures, summary: RunSummary, tables: Tables
) -> None:
    empty = book.content()
    first = {change.title: change for change in book.preview(tables)}
    assert list(first) == list(TITLES)
    assert all(change.worksheet == "new" and change.added and not change.removed for change in first.values())
    assert first["Weekly"].added == 6 * 12 - 1 + 12
    assert book.content() == empty
    book.deliver(tables)
    book.put("Weekly", 2, 1, 1)
    book.put("Weekly", 9, 1, 5)
    book.put("Courses", 3, 0, None if isinstance(book, InFile) else "")
    before = book.content()
    changes = {change.title: change for change in book.preview(tables) if not change.is_none}
    assert changes == {"Weekly": Change("Weekly", 0, 1, 1), "Courses": Change("Courses", 1, 0, 0)}
    assert book.content() == before
    book.deliver(tables)
    assert all(change.is_none for change in book.preview(tables))
    russian = book.preview(build(full_figures, summary, RUSSIAN))
    assert {change.worksheet for change in russian} == {"renamed"}


# Single learners


def test_single_learners_only_where_it_is_wanted(book: Spreadsheet, full_figures: Figures, summary: RunSummary) -> None:
    def everything() -> str:
        return str([book.rows(title) for title in book.titles()])

    book.deliver(build(full_figures, summary))
    assert LEARNER not in everything()
    assert book.deliver(build(full_figures, summary, learners=True)).ok
    assert book.titles() == [*TITLES[:-1], "Learners to help", "About"]
    header, learner = book.rows("Learners to help")
    assert header == list(LEARNERS.names)
    assert learner[:4] == [LEARNER, "C1 2026", "stuck, at risk", 9]
    assert "already up to date" in book.deliver(build(full_figures, summary, learners=True)).detail
    book.deliver(build(full_figures, summary, RUSSIAN, learners=True))
    assert book.rows("Кому помочь")[1][2] == "застрял, под угрозой"
    book.deliver(build(full_figures, summary))
    assert book.titles() == list(TITLES)
    assert LEARNER not in everything()
    assert "already up to date" in book.deliver(build(full_figures, summary)).detail


def test_notes_beside_single_learners_outlive_them(
    book: Spreadsheet, full_figures: Figures, summary: RunSummary
) -> None:
    book.deliver(build(full_figures, summary, learners=True))
    book.put("Learners to help", 1, len(LEARNERS.columns), "called on Monday")
    (change,) = (found for found in book.preview(build(full_figures, summary)) if found.title == "Learners to help")
    assert (change.worksheet, change.added, change.changed, change.removed) == ("kept", 0, 0, 20)
    book.deliver(build(full_figures, summary))
    assert book.rows("Learners to help") == [[], [*[None] * len(LEARNERS.columns), "called on Monday"]]
    assert "already up to date" in book.deliver(build(full_figures, summary)).detail
    book.deliver(build(full_figures, summary, learners=True))
    assert book.rows("Learners to help")[1][0] == LEARNER


def test_their_own_list_of_learners_is_left_alone(
    book: Spreadsheet, full_figures: Figures, summary: RunSummary
) -> None:
    theirs = [["Name", "Since"], ["Ann", "May"]]
    book.make("Learners to help", theirs, 0)
    book.deliver(build(full_figures, summary))
    assert book.rows("Learners to help") == theirs


def test_many_tasks_are_cut_at_two_hundred(full_figures: Figures, summary: RunSummary) -> None:
    many = tuple({**full_figures.tasks[0], "repair_rank": number} for number in range(1, 300))
    tables = build(replace(full_figures, tasks=many, weekly=make_weeks(1)), summary)
    repair = next(table for table in tables.others if table.title == "Tasks to repair")
    assert len(repair.rows) == 200
