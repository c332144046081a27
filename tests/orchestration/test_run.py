"""The stages: what each does when another fails, and what people are told about it."""

from __future__ import annotations

import logging
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from email.message import EmailMessage
from pathlib import Path

import pytest

from ingestion.errors import ApiError, LoadError, WarehouseError
from ingestion.warehouse import Warehouse
from ingestion.windows import Window
from orchestration.deliver import DeliveryError
from orchestration.deliver.figures import Figures
from orchestration.errors import StageError
from orchestration.logs import Tail
from orchestration.run import Run, work_folder
from orchestration.settings import Settings
from orchestration.summary import TestResult
from tests.orchestration.conftest import KEY, NOW, Parties
from tests.orchestration.deliver.conftest import LAST_DAY, MOSCOW
from tests.orchestration.deliver.days import told

WINDOW = Window(datetime(2026, 11, 20, tzinfo=timezone.utc), datetime(2026, 11, 21, tzinfo=timezone.utc))


def make_run(settings: Settings, check_lock: Callable[[], None] = lambda: None) -> Run:
    assert settings.warehouse is not None
    log_file = settings.log_dir / "today.log"
    return Run(settings, settings.warehouse, "run", Tail(), log_file, check_lock, now=lambda: NOW)


def text(message: EmailMessage) -> str:
    part = message.get_body(("plain",))
    assert part is not None
    return " ".join(str(part.get_content()).split())


def outcomes(run: Run) -> list[tuple[str, str]]:
    return [(stage.name, stage.outcome) for stage in run.summary.stages]


def delivered(run: Run) -> dict[str, bool]:
    return {delivery.name: delivery.ok for delivery in run.summary.deliveries}


def test_all_stages_in_their_order(settings: Settings, parties: Parties) -> None:
    run = make_run(settings)
    assert run.everything(WINDOW) == 0
    assert parties.windows == [WINDOW]
    assert outcomes(run) == [("ingest", "done"), ("build", "done"), ("deliver", "done")]
    assert run.summary.stages[0].detail == "1,234 records in 2 slices and 1 load"
    assert run.summary.loads is not None
    assert delivered(run) == {"Spreadsheet": True, "Report": True, "Mail": True}
    (mail,) = parties.mails
    assert mail["Subject"].startswith("21 Nov: 1,212 attempts, success 58.2%")


def test_a_window_that_was_asked_for_is_kept_for_the_spreadsheet(settings: Settings, parties: Parties) -> None:
    make_run(settings).everything(WINDOW)
    assert parties.periods == [(WINDOW, {"attempts": 7})]
    make_run(settings).everything(None)
    assert len(parties.periods) == 1


@pytest.mark.parametrize("error", [DeliveryError("The metrics could not be kept"), ZeroDivisionError()])
def test_a_window_that_cannot_be_kept_fails_that_part_alone(
    settings: Settings, parties: Parties, error: Exception
) -> None:
    parties.period_error = error
    run = make_run(settings)
    assert run.everything(WINDOW) == 3
    assert delivered(run) == {"Periods": False, "Spreadsheet": True, "Report": True, "Mail": True}
    assert outcomes(run)[-1] == ("deliver", "done")


def test_a_period_alone_is_delivered_to_the_spreadsheet_alone(settings: Settings, parties: Parties) -> None:
    run = make_run(settings)
    assert run.deliver_period(WINDOW, {"attempts": 3}) == 0
    assert parties.periods == [(WINDOW, {"attempts": 3})]
    assert (len(parties.sheets), parties.mails) == (1, [])
    parties.sheet_error = DeliveryError("Google answered 403")
    assert make_run(settings).deliver_period(WINDOW, {}) == 3


def test_learners_that_may_not_be_read_are_told_and_all_else_is_delivered(settings: Settings, parties: Parties) -> None:
    sharing = replace(settings, share_learners=True)
    parties.figures = replace(parties.figures, learners_problem="this account may not read them")
    run = make_run(sharing)
    assert run.deliver() == 3
    (tables,) = parties.sheets
    assert tables.learners is None
    sheet, _, mail = run.summary.deliveries
    assert (sheet.ok, mail.ok) == (False, True)
    assert sheet.detail == "60 days written; Learners to help: this account may not read them"
    parties.figures = replace(parties.figures, learners_problem="")
    assert make_run(sharing).deliver() == 0
    assert parties.sheets[-1].learners is not None


def test_without_a_window_what_is_due_is_ingested(settings: Settings, parties: Parties) -> None:
    make_run(settings).ingest(None)
    (window,) = parties.windows
    assert window.start == datetime(2026, 11, 19, 3, tzinfo=timezone.utc)
    assert window.end == datetime(2026, 11, 21, 21, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "error",
    [
        ApiError("The grader's API answered with status 403", 403, WINDOW),
        LoadError("A load did not reach the warehouse"),
        WarehouseError("The warehouse failed"),
        StageError("the demo API did not start"),
    ],
)
def test_a_failing_ingest_stops_the_rest_and_is_mailed(settings: Settings, parties: Parties, error: Exception) -> None:
    parties.ingest_error = error
    run = make_run(settings)
    assert run.everything(WINDOW) == 1
    assert outcomes(run) == [("ingest", "failed")]
    assert parties.full_refreshes == []
    assert parties.sheets == []
    (mail,) = parties.mails
    assert mail["Subject"] == "22 Nov: no new figures, the run failed (ingest)"
    assert str(error) in text(mail)


def test_an_unexpected_error_is_logged_in_full_and_mailed_by_its_kind(
    settings: Settings, parties: Parties, caplog: pytest.LogCaptureFixture
) -> None:
    parties.ingest_error = ZeroDivisionError(f"with the key {KEY}")
    run = make_run(settings)
    assert run.everything(WINDOW) == 1
    assert "Traceback" in caplog.text
    (mail,) = parties.mails
    assert "unexpected ZeroDivisionError; the log has its traceback" in text(mail)
    assert KEY not in mail.as_string()


def test_a_failing_data_test_marks_the_sheet_and_is_mailed(settings: Settings, parties: Parties) -> None:
    parties.build_failures = ("test assert_rates_below_one: 2 rows",)
    run = make_run(settings)
    assert run.everything(WINDOW) == 1
    assert outcomes(run) == [("ingest", "done"), ("build", "failed")]
    (tables,) = parties.sheets
    assert "the run failed at the stage 'build'" in str(tables.about.rows[0])
    (mail,) = parties.mails
    assert mail["Subject"] == "22 Nov: no new figures, the run failed (build)"
    assert "assert_rates_below_one: 2 rows" in text(mail)
    assert "Nothing was published" in text(mail)


def test_a_failing_first_build_leaves_the_sheet_alone(settings: Settings, parties: Parties) -> None:
    parties.build_error = StageError("dbt could not build")
    parties.figures = Figures(MOSCOW)
    assert make_run(settings).everything(WINDOW) == 1
    assert parties.sheets == []
    (mail,) = parties.mails
    assert mail["Subject"] == "22 Nov: no new figures, the run failed (build)"


def test_unreadable_receipts_fail_the_run(settings: Settings, parties: Parties) -> None:
    parties.receipts_error = StageError("The receipts could not be read")
    run = make_run(settings)
    assert run.everything(WINDOW) == 1
    (mail,) = parties.mails
    assert mail["Subject"] == "22 Nov: no new figures, the run failed"
    assert "The receipts could not be read" in text(mail)


def test_a_failing_sheet_does_not_stop_the_mail(settings: Settings, parties: Parties) -> None:
    parties.sheet_error = DeliveryError("Google answered 403")
    run = make_run(settings)
    assert run.everything(WINDOW) == 3
    assert delivered(run) == {"Spreadsheet": False, "Report": True, "Mail": True}
    assert run.summary.outcome == "delivery failed"
    assert outcomes(run)[-1] == ("deliver", "done")
    (mail,) = parties.mails
    assert mail["Subject"].endswith("as usual; not all delivered")
    assert "Google answered 403" in text(mail)


def test_a_failing_report_does_not_stop_the_mail(settings: Settings, parties: Parties) -> None:
    parties.report_error = DeliveryError("cannot write out/report.html: Permission denied")
    run = make_run(settings)
    assert run.everything(WINDOW) == 3
    assert delivered(run) == {"Spreadsheet": True, "Report": False, "Mail": True}
    (mail,) = parties.mails
    assert "cannot write out/report.html" in text(mail)


def test_a_failed_build_marks_the_report_as_outdated(settings: Settings, parties: Parties) -> None:
    parties.build_error = StageError("dbt could not build")
    run = make_run(settings)
    assert run.everything(WINDOW) == 1
    assert len(parties.reports) == 1
    assert run.summary.failure == "dbt could not build"


def test_a_failing_mail_does_not_undo_the_sheet(settings: Settings, parties: Parties) -> None:
    parties.mail_error = DeliveryError("no answer from mail.example:587")
    run = make_run(settings)
    assert run.deliver() == 3
    assert len(parties.sheets) == 1
    assert delivered(run) == {"Spreadsheet": True, "Report": True, "Mail": False}
    assert run.summary.outcome == "delivery failed"


def test_a_mail_that_fails_after_a_failed_run_changes_nothing(settings: Settings, parties: Parties) -> None:
    parties.ingest_error, parties.mail_error = LoadError("no load"), DeliveryError("no mail")
    run = make_run(settings)
    assert run.everything(WINDOW) == 1
    assert (run.summary.outcome, run.summary.failure) == ("failed", "no load")


def test_a_bug_in_one_delivery_does_not_stop_the_other(
    settings: Settings, parties: Parties, caplog: pytest.LogCaptureFixture
) -> None:
    parties.sheet_error = AttributeError(f"with the key {KEY}")
    run = make_run(settings)
    assert run.deliver() == 3
    assert "Traceback" in caplog.text
    (mail,) = parties.mails
    assert "unexpected AttributeError; the log has its traceback" in text(mail)
    assert KEY not in mail.as_string()


def test_marts_that_cannot_be_read_are_a_failed_delivery(settings: Settings, parties: Parties) -> None:
    parties.figures_error = WarehouseError("The warehouse failed: permission denied")
    run = make_run(settings)
    assert run.deliver() == 3
    assert parties.sheets == []
    assert delivered(run) == {"Figures": False, "Mail": True}
    (mail,) = parties.mails
    assert mail["Subject"] == "The figures could not be read"
    assert "permission denied" in text(mail)


def test_a_failure_is_mailed_though_the_marts_cannot_be_read(
    settings: Settings, parties: Parties, caplog: pytest.LogCaptureFixture
) -> None:
    parties.ingest_error = parties.figures_error = WarehouseError("The warehouse failed: refused")
    run = make_run(settings)
    assert run.everything(WINDOW) == 1
    assert "the mail has no figures: The warehouse failed: refused" in caplog.text
    assert delivered(run) == {"Mail": True}
    (mail,) = parties.mails
    assert mail["Subject"] == "22 Nov: no new figures, the run failed (ingest)"


def test_nothing_to_build_says_what_to_do(settings: Settings, parties: Parties) -> None:
    parties.loaded = False
    with pytest.raises(StageError, match=r"there is nothing to build\. Run `make ingest`"):
        make_run(settings).build()
    assert parties.full_refreshes == []


def test_a_full_refresh_is_passed_on(settings: Settings, parties: Parties) -> None:
    run = make_run(settings)
    run.build()
    run.build(full_refresh=True)
    assert parties.full_refreshes == [False, True]


@pytest.mark.parametrize("stage", ["ingest", "build", "deliver"])
def test_a_lost_lock_stops_before_a_stage(settings: Settings, parties: Parties, stage: str) -> None:
    order = ("ingest", "build", "deliver")
    kept = iter([True] * order.index(stage))

    def check_lock() -> None:
        if not next(kept, False):
            raise StageError("This run no longer has the warehouse to itself")

    run = make_run(settings, check_lock)
    if stage == "deliver":
        with pytest.raises(StageError, match="no longer has"):
            run.everything(WINDOW)
        assert (parties.mails, parties.sheets) == ([], [])
    else:
        assert run.everything(WINDOW) == 1
        assert "no longer has" in text(parties.mails[0])
    assert outcomes(run)[-1] == (stage, "failed")
    assert parties.checks == [check_lock] * order.index(stage), "for each load, and before publishing"


def test_an_interrupted_stage_is_noted_and_not_mailed(settings: Settings, parties: Parties) -> None:
    parties.ingest_error = KeyboardInterrupt()
    run = make_run(settings)
    with pytest.raises(KeyboardInterrupt):
        run.everything(WINDOW)
    assert outcomes(run) == [("ingest", "failed")]
    assert parties.mails == []


def test_a_stage_is_logged_with_seconds_and_counts(
    settings: Settings, parties: Parties, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    run = make_run(settings)
    run.build()
    parties.build_failures = ("model attempts: division by zero",)
    with pytest.raises(StageError):
        run.build()
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "build: started"
    assert lines[1].startswith("build: ended after 0.0")
    assert lines[1].endswith(" s: 6 models, 41 tests passed, 0 warned, 0 failed, 0 skipped")
    assert lines[3].startswith("build: failed after 0.0")
    assert "model attempts: division by zero" in lines[3]


def test_two_databases_of_one_state_folder_share_no_working_files(settings: Settings, parties: Parties) -> None:
    assert settings.warehouse is not None
    first = make_run(settings)
    second = make_run(replace(settings, warehouse=replace(settings.warehouse, dbname="grader_two")))
    first.ingest(WINDOW)
    (parties.work_dirs[0] / "waiting").write_text("of the first database")
    second.ingest(WINDOW)
    first.ingest(WINDOW)
    one, two, again = parties.work_dirs
    assert one == again
    assert one.parent == two.parent == settings.state_dir / "ingest"
    assert one not in (two, *two.parents)
    assert two not in one.parents
    assert [path.name for path in one.iterdir()] == ["waiting"]
    assert list(two.iterdir()) == []
    assert {stat.S_IMODE(path.stat().st_mode) for path in (one, two)} == {0o700}


def test_working_folders_are_named_by_their_database_and_by_no_other(tmp_path: Path) -> None:
    places = [
        ("db.example", 5432, "grader"),
        ("db.example", 5433, "grader"),
        ("db.example", 5432, "GRADER"),
        ("db", 5432, "grader.example"),
        ("/tmp/a folder/run", 5432, "../../etc"),
        ("/tmp/a_folder/run", 5432, "../../etc"),
        ("::1", 5432, "grader:5432"),
        ("x" * 300, 5432, "д" * 63),
        ("x" * 301, 5432, "д" * 63),
    ]
    folders = [work_folder(tmp_path, Warehouse(host, port, name, "elt")) for host, port, name in places]
    assert len({str(folder).lower() for folder in folders}) == len(places)
    assert {folder.parent for folder in folders} == {tmp_path / "ingest"}
    assert folders[0].name.startswith("grader@db.example_5432-")
    assert max(len(folder.name) for folder in folders) < 80
    same = Warehouse("db.example", 5432, "grader", "another account", "with a password")
    assert work_folder(tmp_path, same) == folders[0]


def test_what_was_told_is_noted_once_the_mail_is_sent(settings: Settings, parties: Parties) -> None:
    parties.figures = told(parties.figures)
    parties.verdict = parties.figures.verdict
    assert make_run(settings).deliver() == 0
    assert [alert.key for alert in parties.told] == ["t1 broken"]
    assert ("Mail", True, LAST_DAY) in parties.noted

    parties.told.clear()
    parties.mail_error = DeliveryError("refused")
    assert make_run(settings).deliver() == 3
    assert parties.told == []
    assert parties.noted[-1] == ("Mail", False, LAST_DAY)


def test_no_mail_is_sent_when_none_is_wanted(settings: Settings, parties: Parties) -> None:
    assert make_run(replace(settings, send_mail=False)).deliver() == 0
    assert not parties.mails
    assert not parties.told
    assert len(parties.sheets) == 1


def test_the_engineers_get_the_alert_and_the_others_the_answer(settings: Settings, parties: Parties) -> None:
    parties.ingest_error = ApiError("The grader's API answered with status 403", 403, WINDOW)
    run = make_run(replace(settings, alert_to=("engineer@school.example",)))
    assert run.everything(WINDOW) == 1
    (mail,) = parties.mails
    assert "status 403" not in text(mail)
    [(alert, recipients)] = parties.alerts
    assert recipients == ("engineer@school.example",)
    assert "status 403" in text(alert)
    assert delivered(run) == {"Alert": True, "Mail": True}


def test_a_run_in_russian_tells_it_in_russian(settings: Settings, parties: Parties) -> None:
    assert make_run(replace(settings, report_language="ru")).deliver() == 0
    subject = parties.mails[0]["Subject"].replace("\u00a0", " ")
    assert subject == "21 нояб.: 1 212 попыток, доля успешных 58,2 %, как обычно"


def test_an_analysts_model_that_fails_is_a_warning_by_name(settings: Settings, parties: Parties) -> None:
    parties.team_failures = (TestResult("hours_by_course", "warn", 0, 'column "hour" does not exist'),)
    run = make_run(settings)
    assert run.everything(WINDOW) == 0
    assert run.summary.tests is not None
    assert run.summary.tests.warned == 1
    (mail,) = parties.mails
    assert 'warn: hours_by_course: column "hour" does not exist' in text(mail)


def test_outdated_records_leave_raw_after_a_good_build_only(
    settings: Settings, parties: Parties, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[int] = []

    def remove_outdated(_: Warehouse, days: int) -> None:
        asked.append(days)

    def fail(*_: object) -> None:
        raise WarehouseError("permission denied")

    monkeypatch.setattr("orchestration.run.retention.remove_outdated", remove_outdated)
    make_run(settings).build()
    assert asked == []
    settings = replace(settings, retain_raw_days=90)
    make_run(settings).build()
    assert asked == [90]
    parties.build_failures = ("test assert_something",)
    assert make_run(settings).everything(WINDOW) == 1
    assert asked == [90]
    parties.build_failures = ()
    monkeypatch.setattr("orchestration.run.retention.remove_outdated", fail)
    assert make_run(settings).everything(WINDOW) == 0
    assert "outdated records stay in raw for now: permission denied" in caplog.text
