"""`make run` on a machine where nothing is configured, and what its users do next."""

from __future__ import annotations

import csv
import email
import email.policy
import json
import os
import pickle
import re
import stat
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest
from playwright.sync_api import Browser

from embedded import postgres
from ingestion.warehouse import Warehouse
from tests.end_to_end.clone import Clone, exists, make_clone, rows
from tests.reading import Reading
from tests.terminal import start

MOSCOW = ZoneInfo("Europe/Moscow")
COLUMNS = [
    *("activity_date", "attempts", "runs", "submits", "correct_submits", "success_rate", "unique_users"),
    *("attempts_per_user", "users_without_correct", "avg_attempts_to_first_correct", "new_users"),
    *("unique_users_7d", "unique_users_30d"),
]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """A clone in which `make run` was typed once, with nothing configured but how much is made up."""
    clone = make_clone(tmp_path_factory.mktemp("demo") / "my clone")
    clone.settings["DEMO_SCALE"] = "0.3"
    try:
        done = clone.make("run")
        assert done.returncode == 0, done.stderr + done.stdout
        (clone.path / "first-screen.txt").write_text(done.stdout)
        yield clone
    finally:
        postgres.stop(clone.path / ".state")


@pytest.fixture(scope="module")
def demo_warehouse(demo: Clone) -> Warehouse:
    found = postgres.find(demo.path / ".state", database="demo")
    assert found is not None, "the embedded PostgreSQL should keep running"
    return found


def yesterday() -> str:
    return f"{datetime.now(MOSCOW) - timedelta(days=1):%Y-%m-%d}"


def test_sixty_days_are_there_up_to_yesterday(demo_warehouse: Warehouse) -> None:
    first, last, days = rows(
        demo_warehouse, "select min(activity_date), max(activity_date), count(*) from marts.daily_metrics"
    )[0]
    assert days == 60
    assert str(last) == yesterday()
    assert (last - first).days == 59


def test_every_record_is_accounted_for(demo_warehouse: Warehouse) -> None:
    raw, staged = (
        rows(demo_warehouse, f"select count(*) from {table}")[0][0]
        for table in ("raw.attempts", "staging.stg_grader__attempts")
    )
    sums = rows(demo_warehouse, "select sum(fetched), sum(accepted + repeated + rejected) from marts.load_receipts")[0]
    assert raw == staged == sums[0] == sums[1]
    accepted, rejected = rows(demo_warehouse, "select sum(accepted), sum(rejected) from marts.load_receipts")[0]
    assert rows(demo_warehouse, "select count(*) from marts.attempts") == [(accepted,)]
    assert rows(demo_warehouse, "select count(*) from marts.rejected_attempts") == [(rejected,)]


def test_the_screen_says_what_happened(demo: Clone, demo_warehouse: Warehouse) -> None:
    screen = (demo.path / "first-screen.txt").read_text()
    fetched, accepted, repeated, rejected = rows(
        demo_warehouse,
        "select sum(fetched), sum(accepted), sum(repeated), sum(rejected) from marts.load_receipts",
    )[0]
    assert "MADE-UP DATA" in screen
    assert f"{fetched:,} loaded = {accepted:,} accepted + {repeated:,} repeated + {rejected:,} rejected" in screen
    assert "invalid" not in screen, "so many rejections are usual"
    assert re.search(r"stages +ingest \d+\.\d s, build \d+\.\d s, deliver \d+\.\d s", screen)
    assert len(screen.splitlines()) <= 11


def test_the_workbook_holds_the_mart(demo: Clone, demo_warehouse: Warehouse) -> None:
    book = openpyxl.load_workbook(demo.path / "out" / "metrics.xlsx")
    cells = list(book["Daily metrics"].iter_rows(values_only=True))
    assert [name for name in cells[0] if name] == COLUMNS
    mart = rows(demo_warehouse, f"select {', '.join(COLUMNS)} from marts.daily_metrics order by 1")
    assert len(cells) - 1 == len(mart)
    for cell, row in zip(cells[1:], mart, strict=True):
        assert isinstance(cell[0], datetime)
        assert cell[0].date() == row[0]
        wanted = [None if value is None else float(value) for value in row[1:]]
        assert list(cell[1 : len(COLUMNS)]) == pytest.approx(wanted)
    assert "made-up" in " ".join(str(cell) for row in book["About"].iter_rows(values_only=True) for cell in row).lower()


def test_the_report_holds_the_marts(demo: Clone, demo_warehouse: Warehouse, browser: Browser) -> None:
    title = "title || case when is_small then '†' else '' end"
    courses = rows(
        demo_warehouse,
        f"select course_key, {title}, learners, learners_stuck, learners_at_risk, learners_dormant from marts.courses"
        " order by learners_active_7d desc, learners desc, course_key",
    )
    tasks = rows(
        demo_warehouse,
        f"select repair_rank, {title}, learner_hours_lost_28d, learners from marts.tasks"
        " where repair_rank <= 100 order by repair_rank",
    )
    day = "select attempts, unique_users, correct_submits from"
    newest = "order by activity_date desc"
    days = shown(rows(demo_warehouse, f"{day} marts.daily_metrics {newest}"))
    with Reading(browser, demo.path / "out" / "report.html") as reading:
        reading.page.locator("#trend summary").click()
        assert "made-up" in reading.page.locator(".notice").first.inner_text().lower()
        assert [row[1:4] for row in reading.cells("#days tbody tr")] == days
        assert reading.page.locator(".tile .value").first.inner_text() == days[0][0]
        assert [row[0] for row in reading.cells("#course-table tbody tr")] == [name for _, name, *_ in courses]
        states = [[row[0], row[1], row[3], row[6], row[7]] for row in reading.cells("#states tbody tr")]
        assert states == [[name, *(f"{n:,}" for n in counts)] for _, name, *counts in courses]
        reading.page.locator("#all-tasks").click()
        costly = [[row[0], row[1].split("\n")[0], row[2], row[4]] for row in reading.cells("#tasks tbody tr")]
        assert costly == [[f"{rank}", name, f"{hours:.1f}", f"{n:,}"] for rank, name, hours, n in tasks]
        reading.choose("#course", "0")
        of_course = f"{day} marts.course_daily_metrics where course_key = %s {newest}"
        active = [row[1:4] for row in reading.cells("#days tbody tr") if row[1] != "0"]
        assert active == shown(rows(demo_warehouse, of_course, courses[0][0]))
        html = re.sub(r"<script>.*?</script>", "", reading.page.content(), flags=re.S)
    learners = rows(demo_warehouse, "select distinct user_id from marts.attempts")
    assert not [user_id for (user_id,) in learners if len(user_id) > 5 and user_id in html]


def test_the_report_is_written_again_by_a_command(demo: Clone) -> None:
    page = demo.path / "out" / "report.html"
    page.unlink()
    done = demo.make("report")
    assert done.returncode == 0, done.stderr
    assert f"{page}: one page of" in done.stdout
    assert "made-up" in page.read_text("utf-8").lower()


def shown(counts: list[tuple[Any, ...]]) -> list[list[str]]:
    """Counts as people read them."""
    return [[f"{count:,}" for count in row] for row in counts]


def test_the_workbook_opens_on_the_last_full_day(demo: Clone, demo_warehouse: Warehouse) -> None:
    book = openpyxl.load_workbook(demo.path / "out" / "metrics.xlsx")
    page = book.worksheets[0]
    assert book.active is page
    assert page.title == "Summary"
    cells = [row for row in page.iter_rows(max_col=7, values_only=True) if row[0]]
    shown = next(row for row in cells if row[0] == "Attempts")
    newest = "select attempts, submits from marts.daily_metrics order by activity_date desc limit 1"
    attempts, submits = rows(demo_warehouse, newest)[0]
    assert shown[1] == attempts
    assert next(row for row in cells if row[0] == "Submits")[1] == submits
    newest_first = [row[0] for row in cells if isinstance(row[0], datetime)]
    assert f"{newest_first[0]:%Y-%m-%d}" == yesterday()
    assert newest_first == sorted(newest_first, reverse=True)
    assert len(newest_first) == 30
    ranks = rows(demo_warehouse, "select count(*) from marts.tasks where repair_rank <= 200")
    assert book["Tasks to repair"].max_row - 1 == ranks[0][0]
    assert not any("user" in str(cell) for cell in book["Tasks to repair"][1])


def test_a_dry_run_shows_that_nothing_is_new(demo: Clone) -> None:
    book, mails = demo.path / "out" / "metrics.xlsx", len(demo.mails)
    before = book.read_bytes()
    done = demo.make("deliver", "DRY_RUN=1")
    assert done.returncode == 0, done.stderr
    assert "Everything is up to date. Nothing was sent or written." in done.stdout
    assert (book.read_bytes(), len(demo.mails)) == (before, mails)


def test_a_window_asked_for_is_kept_in_the_workbook_once(demo: Clone, demo_warehouse: Warehouse) -> None:
    mails = len(demo.mails)
    for _ in range(2):
        done = demo.make("metrics", f"START={yesterday()}", f"END={yesterday()} 12:00", "JSON=1", "SHEET=1")
        assert done.returncode == 0, done.stderr
        printed = json.loads(done.stdout)
    assert len(demo.mails) == mails
    assert rows(demo_warehouse, "select attempts from ops.periods") == [(printed["attempts"],)]
    sheet = openpyxl.load_workbook(demo.path / "out" / "metrics.xlsx")["Periods"]
    header, period = sheet.iter_rows(values_only=True)
    shown = dict(zip(header, period, strict=True))
    assert shown["attempts"] == printed["attempts"]
    assert f"{shown['window_start']:%Y-%m-%d %H:%M}" == f"{yesterday()} 03:00", "times are Moscow's"


def test_the_mail_holds_the_last_full_day(demo: Clone, demo_warehouse: Warehouse) -> None:
    message = email.message_from_bytes(demo.mails[0].read_bytes(), policy=email.policy.default)
    attempts = rows(demo_warehouse, "select attempts from marts.daily_metrics order by activity_date desc limit 1")[0][
        0
    ]
    plain, html = (message.get_body((kind,)) for kind in ("plain", "html"))
    assert plain is not None
    assert html is not None
    assert f"{attempts:,}" in plain.get_content()
    assert f"{attempts:,}" in html.get_content()
    assert "made-up" in plain.get_content().lower()
    assert f"{attempts:,}" in str(message["Subject"])


def test_the_log_times_each_stage(demo: Clone) -> None:
    assert (demo.path / "logs" / f"{datetime.now():%Y-%m-%d}.log").exists()
    for stage in ("ingest", "build", "deliver"):
        assert f"{stage}: started" in demo.log
        assert re.search(rf"{stage}: ended after \d+\.\d\d s: \S+", demo.log)
    assert " ERROR " not in demo.log


def test_files_are_for_their_owner_alone(demo: Clone) -> None:
    for folder in ("logs", "out"):
        for path in (demo.path / folder).rglob("*"):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def on_a_terminal(demo: Clone) -> list[str]:
    """What `make run` leaves on a terminal."""
    terminal = start(["make", "run"], 100, demo.environment(), demo.path)
    assert terminal.wait() == 0, terminal.written
    return terminal.screen


def assert_quiet(screen: list[str], log: str) -> None:
    """A good night leaves a short screen, and a log that ends with it and is read in a minute."""
    begun = re.fullmatch(r"run ([0-9a-f]{12}) begins; its log is logs/[\d-]+\.log", screen[0])
    assert begun is not None
    assert screen[1] == ""
    assert screen[4].startswith(f"All done: run {begun[1]}")
    assert len(screen) <= 14
    assert not [line for line in screen if re.search("WARNING|ERROR|INFO|dbt|Fetched|━", line)]
    lines = [line for line in log.splitlines() if begun[1] in line]
    assert log.endswith("\n".join(lines) + "\n"), "every line names its run"
    assert len(lines) < 60
    logged = [line.partition(" INFO    ")[2] for line in lines[-len(screen[4:-1]) :]]
    assert logged == screen[4:-1]


def test_running_again_changes_nothing(demo: Clone, demo_warehouse: Warehouse) -> None:
    marts = {
        name: f"select md5(coalesce(string_agg(t::text, '|' order by t::text), '')) from marts.{name} as t"
        for name in ("attempts", "rejected_attempts", "learner_tasks", "daily_metrics")
    }
    before = {name: rows(demo_warehouse, query) for name, query in marts.items()}
    night = on_a_terminal(demo)
    assert {name: rows(demo_warehouse, query) for name, query in marts.items()} == before
    assert_quiet(night, demo.log)
    newest = rows(demo_warehouse, "select accepted, rejected from marts.load_receipts order by loaded_at desc limit 1")
    assert newest == [(0, 0)]


def test_metrics_of_a_local_day_are_the_marts(demo: Clone, demo_warehouse: Warehouse) -> None:
    day = datetime.fromisoformat(yesterday()).replace(tzinfo=MOSCOW)
    start, end = (f"{moment.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S}" for moment in (day, day + timedelta(days=1)))
    done = demo.make("metrics", f"START={start}", f"END={end}", "JSON=1")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    shared = [name for name in COLUMNS if name not in ("activity_date", "unique_users_7d", "unique_users_30d")]
    row = rows(
        demo_warehouse,
        f"select {', '.join(shared)} from marts.daily_metrics where activity_date = '{yesterday()}'",
    )[0]
    assert {name: found[name] for name in shared} == pytest.approx(
        {name: float(value) for name, value in zip(shared, row, strict=True)}
    )
    table = demo.make("metrics", f"START={start}", f"END={end}")
    assert f"{found['attempts']:,}" in table.stdout


class Planted:
    """What makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


def test_a_query_groups_metrics_by_any_key(demo: Clone, demo_warehouse: Warehouse, tmp_path: Path) -> None:
    # A file that MetricFlow would load from the folder for temporary files, where anybody may have put it.
    (tmp_path / "update_checker_cache.pkl").write_bytes(pickle.dumps(Planted(tmp_path / "loaded")))
    words = ("METRICS=attempts,success_rate", "BY=attempt_type")
    done = demo.make("-s", "query", *words, "CSV=1", TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / "loaded").exists()
    answers = csv.DictReader(done.stdout.splitlines())
    expected = "select attempt_type, avg(is_correct::int)::float8, count(*) from marts.attempts group by 1 order by 1"
    for answer, (kind, rate, count) in zip(answers, rows(demo_warehouse, expected), strict=True):
        assert (answer["attempt_type"], int(answer["attempts"])) == (kind, count)
        assert answer["success_rate"] == "" if rate is None else float(answer["success_rate"]) == pytest.approx(rate)
    assert "success_rate" in demo.make("query").stdout
    failed = demo.elt("query", "--metrics", "sucess_rate")
    assert (failed.returncode, "success_rate" in failed.stdout) == (1, True)


def test_an_analyst_types_dbt(demo: Clone, demo_warehouse: Warehouse) -> None:
    show = demo.dbt("show", "--select", "daily_metrics", "--limit", "1")
    assert show.returncode == 0, show.stdout
    tests = demo.dbt("test", "--select", "daily_metrics", "--exclude-resource-type", "unit_test")
    assert tests.returncode == 0, tests.stdout
    files = "select relname, relfilenode from pg_class where relnamespace = 'marts'::regnamespace order by 1"
    before = rows(demo_warehouse, files)
    for words in (("build", "--exclude-resource-type", "unit_test"), ("docs", "generate")):
        done = demo.dbt(*words)
        assert done.returncode == 0, done.stdout
    schemas = "select nspname from pg_namespace where nspname like 'dev%' order by 1"
    own = [name for (name,) in rows(demo_warehouse, schemas)]
    assert [name.rsplit("_", 1)[1] for name in own] == ["learners", "marts", "staging"]
    counts = [rows(demo_warehouse, f"select count(*) from {schema}.attempts") for schema in ("marts", own[1])]
    assert counts[0] == counts[1]
    assert rows(demo_warehouse, files) == before


def test_the_docs_site_is_one_file(demo: Clone) -> None:
    done = demo.make("docs", "SERVE=0")
    assert done.returncode == 0, done.stderr
    page = (demo.path / "out" / "docs.html").read_text("utf-8")
    for name in ("daily_metrics", "learner_tasks", "exposure", "__overview__"):
        assert name in page


def test_the_lineage_has_columns_and_an_erd(demo: Clone) -> None:
    done = demo.make("lineage", "SERVE=0")
    assert done.returncode == 0, done.stdout + done.stderr
    site = json.loads((demo.path / "out" / "lineage" / "dbdocs-data.json").read_text("utf-8"))
    (demo.path / "out" / "lineage" / "index.html").stat()
    model = "model.grader.{}".format
    assert site["columnLineage"]["model.grader.learner_tasks.lost_seconds"]
    edges = {(edge["from_id"], edge["to_id"]) for edge in site["erd"]["edges"]}
    assert {(model("attempts"), model("courses")), (model("learner_tasks"), model("tasks"))} <= edges


def test_a_backup_is_restored_into_another_clone_row_by_row(
    demo: Clone, demo_warehouse: Warehouse, clone: Clone
) -> None:
    done = demo.make("backup")
    assert done.returncode == 0, done.stderr
    (backup,) = (demo.path / "out" / "backup").iterdir()
    done = clone.make("restore", f"FILE={backup}")
    assert done.returncode == 0, done.stderr
    restored = postgres.find(clone.path / ".state", database="demo")
    assert restored is not None
    tables = rows(
        demo_warehouse,
        "select format('%I.%I', schemaname, tablename) from pg_tables "
        "where schemaname not in ('pg_catalog', 'information_schema') order by 1",
    )
    assert {"raw.attempts", "marts.attempts", "marts.daily_metrics", "learners.learner_courses", "ops.runs"} <= {
        name for (name,) in tables
    }
    for (name,) in tables:
        content = f"select count(*), md5(string_agg(md5(t::text), '' order by t::text collate \"C\")) from {name} as t"
        assert rows(restored, content) == rows(demo_warehouse, content), name

    # The pipeline goes on with it: nothing is new, nothing is rebuilt, no test fails.
    done = clone.make("run", DEMO_SCALE="0.3")
    assert done.returncode == 0, done.stderr + done.stdout
    assert " 0 accepted" in done.stdout
    figures = "select * from marts.daily_metrics order by 1"
    assert rows(restored, figures) == rows(demo_warehouse, figures)
    again = clone.make("restore", f"FILE={backup}")
    assert again.returncode != 0
    assert "YES=1" in again.stderr


def test_psql_and_db_stop(demo: Clone) -> None:
    done = demo.command("sh", "-c", "echo 'select count(*) from marts.daily_metrics' | make -s psql")
    assert "60" in done.stdout, done.stderr
    assert "is running" in demo.make("db").stdout


def test_check_names_every_stand_in(demo: Clone) -> None:
    done = demo.make("check")
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    for party, words in (
        ("API", "demo API"),
        ("Database", "embedded"),
        ("Sheets", "workbook"),
        ("Mail", "mail"),
    ):
        assert any(party in line and words in line for line in lines), done.stdout


@pytest.mark.skipif(os.getuid() != 0, reason="another account can only be taken on by root")
def test_nobody_else_can_read_the_state(demo: Clone) -> None:
    state: Path = demo.path / ".state"
    done = demo.command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "ls", str(state))
    assert done.returncode != 0


def test_made_up_data_never_mixes_with_the_real(demo: Clone) -> None:
    real = postgres.start(demo.path / ".state", database="grader")
    assert not exists(real, "marts.attempts")
