"""The entry point: exit codes, and what is said and logged on the way to them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import orchestration.__main__ as entry
from ingestion.errors import WarehouseError
from ingestion.warehouse import Warehouse
from orchestration.deliver import DeliveryError
from orchestration.errors import LockedError, StageError
from orchestration.settings import ROOT, SECRETS, read_settings
from orchestration.summary import DayVerdict, MetricVerdict
from tests.orchestration.conftest import KEY, PASSWORD, Parties
from tests.orchestration.deliver.conftest import LAST_DAY

LOCK = "orchestration.lock.PipelineLock"


@pytest.fixture
def command(
    environment: dict[str, str],
    parties: Parties,
    monkeypatch: pytest.MonkeyPatch,
    root_logger: object,
) -> Iterator[Callable[..., int]]:
    """`main`, on parties of the test's own, in an environment that is put back."""

    class FreeLock(AbstractContextManager[None]):
        def __init__(self, *_: Any) -> None:
            pass

        def take(self) -> FreeLock:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def check(self) -> None:
            pass

        renew = check

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(LOCK, FreeLock)
    before = os.umask(0o077)

    def run(*arguments: str) -> int:
        for name in SECRETS:  # a command takes them out of the environment
            monkeypatch.setenv(name, environment.get(name, ""))
        return entry.main([*arguments])

    try:
        yield run
    finally:
        os.umask(before)


def log(environment: dict[str, str]) -> str:
    (path,) = Path(environment["LOG_DIR"]).iterdir()
    return path.read_text()


WINDOW = ("--start", "2026-11-20", "--end", "2026-11-21")


def test_0_when_all_is_done(command: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert command("run", *WINDOW) == 0
    assert "All done: run" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["ingest", "build", "deliver"])
def test_each_stage_alone(command: Callable[..., int], parties: Parties, name: str) -> None:
    assert command(name) == 0
    done = (len(parties.work_dirs), len(parties.full_refreshes), len(parties.mails))
    assert done == tuple(int(name == stage) for stage in ("ingest", "build", "deliver"))


@pytest.mark.parametrize("name", ["run", "build", "deliver"])
def test_5_when_the_last_full_day_is_suspect(
    command: Callable[..., int], parties: Parties, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    parties.verdict = DayVerdict(LAST_DAY, "suspect", (MetricVerdict("attempts", "suspect", 12, 3_000, 2_900, 3_150),))
    assert command(name) == 5
    screen = capsys.readouterr().out
    assert "SUSPECT" in screen
    assert "attempts 12 (usually 2,900–3,200)" in screen
    assert "All done: " not in screen
    # All is published and delivered nevertheless.
    assert len(parties.sheets) == len(parties.reports) == len(parties.mails) == int(name != "build")
    for mail in parties.mails:
        assert mail["Subject"] == "21 Nov: attempts 12 (usually 2,900–3,200): check"
        body = mail.get_body(("plain",))
        assert body is not None
        assert "Attempts 12 (usually 2,900–3,200)" in body.get_content()


def test_an_unusual_day_ends_with_0_and_says_so(
    command: Callable[..., int], parties: Parties, capsys: pytest.CaptureFixture[str]
) -> None:
    parties.verdict = DayVerdict(
        LAST_DAY, "unusual", (MetricVerdict("success_rate", "unusual_low", 0.41, 0.6, 0.55, 0.65),)
    )
    assert command("run") == 0
    assert "not as usual" in capsys.readouterr().out
    assert "not as usual" in parties.mails[0]["Subject"]


def test_a_dry_run_shows_what_would_change_and_sends_nothing(
    command: Callable[..., int],
    parties: Parties,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command("deliver", "--dry-run") == 0
    shown = capsys.readouterr().out
    (daily,) = (line for line in shown.splitlines() if "Daily metrics" in line)
    assert [cell.strip() for cell in daily.split("│")[2:5]] == ["13", "2", ""]
    assert "would change. Nothing was sent or written" in shown
    assert (parties.sheets, parties.mails, parties.periods) == ([], [], [])
    assert not Path(environment["OUT_DIR"]).exists()
    monkeypatch.setenv("REPORT_LANGUAGE", "ru")
    assert command("deliver", "--dry-run") == 0
    assert "новых ячеек" in capsys.readouterr().out
    parties.sheet_error = DeliveryError("Google answered 403")
    assert command("deliver", "--dry-run") == 3


def test_metrics_for_the_sheet_are_printed_kept_and_delivered(
    command: Callable[..., int],
    parties: Parties,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def metrics(*_: Any) -> dict[str, Any]:
        print('{"attempts": 3}')
        return {"attempts": 3}

    monkeypatch.setattr("orchestration.commands.metrics.metrics", metrics)
    assert command("metrics", *WINDOW, "--json") == 0
    assert (parties.periods, parties.sheets) == ([], [])
    capsys.readouterr()
    assert command("metrics", *WINDOW, "--json", "--sheet") == 0
    ((window, kept),) = parties.periods
    assert (window.start.day, window.end.day, kept) == (20, 21, {"attempts": 3})
    assert (len(parties.sheets), parties.mails) == (1, [])
    shown = capsys.readouterr()
    assert shown.out == '{"attempts": 3}\n', "what reads JSON gets nothing else"
    assert "Spreadsheet: somewhere: 60 days written" in shown.err
    parties.period_error = DeliveryError("The metrics could not be kept")
    assert command("metrics", *WINDOW, "--sheet") == 3


def test_a_failed_delivery_comes_before_a_suspect_day(command: Callable[..., int], parties: Parties) -> None:
    parties.verdict = DayVerdict(LAST_DAY, "suspect")
    parties.mail_error = DeliveryError("refused")
    assert command("run") == 3


def test_1_when_a_stage_fails(
    command: Callable[..., int],
    parties: Parties,
    environment: dict[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    parties.ingest_error = WarehouseError("The warehouse failed: refused. What to do: check POSTGRES_*.")
    assert command("ingest") == 1
    shown = capsys.readouterr()
    assert "check POSTGRES_*" in shown.err
    assert "Traceback" not in shown.err + log(environment)


def test_1_when_a_run_fails_and_the_last_screen_says_so(
    command: Callable[..., int], parties: Parties, capsys: pytest.CaptureFixture[str]
) -> None:
    parties.ingest_error = WarehouseError("The warehouse failed: refused")
    assert command("run") == 1
    shown = capsys.readouterr().out
    assert "FAILED: run" in shown
    assert "  failed     The warehouse failed: refused" in shown


@pytest.mark.parametrize(
    ("arguments", "changes", "named"),
    [
        (["run", "--start", "2026-11-20"], {}, "both START and END"),
        (["run"], {"REPORT_TIMEZONE": "Mars/Olympus"}, "REPORT_TIMEZONE"),
        (["run"], {"API_CLIENT": ""}, "API_CLIENT"),
        (["run"], {"LOG_DIR": "/proc/logs"}, "LOG_DIR"),
    ],
)
def test_2_for_bad_usage_and_settings_and_nothing_starts(
    command: Callable[..., int],
    parties: Parties,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: list[str],
    changes: dict[str, str],
    named: str,
) -> None:
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    assert command(*arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert named in shown.err
    assert KEY not in shown.err
    assert "Traceback" not in shown.err
    assert list(tmp_path.iterdir()) == []
    assert parties.work_dirs == []


def test_2_for_a_command_that_is_none(command: Callable[..., int]) -> None:
    with pytest.raises(SystemExit) as caught:
        command("explode")
    assert caught.value.code == 2


@pytest.mark.parametrize("name", ["run", "deliver"])
def test_3_when_a_delivery_fails(
    command: Callable[..., int], parties: Parties, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    parties.sheet_error = DeliveryError("Google answered 403")
    assert command(name) == 3
    shown = capsys.readouterr().out
    assert f"DELIVERY FAILED: {name}" in shown
    assert "Google answered 403" in shown
    assert len(parties.mails) == 1


def test_4_when_another_run_has_the_lock(
    command: Callable[..., int],
    parties: Parties,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def taken(*_: Any) -> Any:
        raise LockedError("Another run is at work")

    monkeypatch.setattr(LOCK, taken)
    assert command("run") == 4
    assert "Another run is at work" in capsys.readouterr().err
    assert parties.work_dirs == []
    (mail,) = parties.mails
    assert mail["Subject"].endswith("no new figures, the run failed")


@pytest.mark.parametrize(("option", "expected"), [([], False), (["--wait"], True)])
def test_a_run_waits_for_the_lock_only_with_the_option(
    command: Callable[..., int], monkeypatch: pytest.MonkeyPatch, option: list[str], expected: bool
) -> None:
    waits: list[bool] = []

    def taken(_warehouse: Warehouse, _command: str, wait: bool) -> Any:
        waits.append(wait)
        raise LockedError("Another run is at work")

    monkeypatch.setattr(LOCK, taken)
    assert command("deliver", *option) == 4
    assert waits == [expected]


def test_an_interrupted_run(
    command: Callable[..., int], parties: Parties, environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    parties.ingest_error = KeyboardInterrupt()
    assert command("run") == 1
    said = log(environment) + capsys.readouterr().err
    assert "run interrupted. Nothing new was loaded yet" in said
    assert "raceback" not in said


@pytest.mark.parametrize(
    ("command_name", "kept"),
    [
        ("build", "the marts are whole: they show the last good build"),
        ("deliver", "delivered before: Spreadsheet, Report. `make deliver` delivers again"),
    ],
)
def test_an_interrupted_stage_says_what_was_kept(
    command: Callable[..., int],
    parties: Parties,
    environment: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    command_name: str,
    kept: str,
) -> None:
    parties.build_error = parties.mail_error = KeyboardInterrupt()
    assert command(command_name) == 1
    shown = capsys.readouterr()
    assert kept in shown.err
    assert "raceback" not in shown.err + log(environment)
    assert " ERROR " not in shown.err
    assert shown.out == ""


def test_the_log_names_the_run_and_ends_with_the_last_screen(
    command: Callable[..., int], environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("run", *WINDOW) == 0
    shown = capsys.readouterr()
    screen = shown.out.splitlines()[1:]
    found = re.fullmatch(r"All done: run ([0-9a-f]{12})", screen[0])
    assert found is not None
    lines = log(environment).splitlines()
    assert all(f" {found[1]} INFO    " in line for line in lines)
    assert [line.partition(" INFO    ")[2] for line in lines[-len(screen) :]] == screen
    # Whoever reads standard error and the screen sees the latter once.
    assert screen[0] not in shown.err


def test_a_command_without_a_run_has_its_name_in_the_log(
    command: Callable[..., int], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> int:
        raise StageError("The roles are not set up")

    monkeypatch.setattr("orchestration.commands.roles.roles", fail)
    assert command("roles") == 1
    assert log(environment).endswith(" roles ERROR   The roles are not set up\n")


def test_what_is_odd_about_the_settings_is_said_once(
    command: Callable[..., int],
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("SMPT_HOST=mail.example\n")
    monkeypatch.setattr(entry, "read_settings", lambda: read_settings(env_file=env_file))
    assert command("deliver") == 0
    said = "SMPT_HOST is no setting and has no effect; is SMTP_HOST meant?"
    assert capsys.readouterr().err.count(said) == log(environment).count(said) == 1


def test_nothing_slow_is_imported_before_the_first_line() -> None:
    slow = ("rich", "requests", "babel", "jinja2", "dbt", "dlt", "orchestration.run", "orchestration.wiring")
    code = f"import sys, orchestration.__main__; print([name for name in {slow} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", ["ingest", "check"])
def test_an_unexpected_error_is_logged_with_its_traceback_and_no_secret(
    command: Callable[..., int],
    parties: Parties,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    error = RuntimeError(f"GET /?client_key={KEY} by {PASSWORD}")
    parties.ingest_error = error

    def broken(*_: object) -> int:
        raise error

    monkeypatch.setattr("orchestration.commands.check.check", broken)
    assert command(name) == 1
    shown = capsys.readouterr()
    for written in (log(environment), shown.err):
        assert "unexpected error" in written
        assert "Traceback" in written
        assert "client_key=*** by ***" in written
        assert KEY not in written
        assert PASSWORD not in written


def test_a_reader_that_closes_the_output_early_ends_a_command_quietly(
    command: Callable[..., int],
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    def cut_off(*_: object) -> int:
        raise BrokenPipeError

    monkeypatch.setattr("orchestration.commands.check.check", cut_off)
    with open(tmp_path / "out.txt", "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        assert command("check") == 1
    assert capsys.readouterr().err == ""
    assert not list(Path(environment["LOG_DIR"]).iterdir())


def test_a_broken_pipe_inside_a_stage_is_no_closed_output(
    command: Callable[..., int], parties: Parties, environment: dict[str, str]
) -> None:
    parties.ingest_error = BrokenPipeError("a socket of the API's")
    assert command("ingest") == 1
    assert "BrokenPipeError: a socket of the API's" in log(environment)


@pytest.mark.parametrize(("failing", "code"), [(False, 0), (True, 1)])
def test_check_has_an_exit_code(
    command: Callable[..., int], monkeypatch: pytest.MonkeyPatch, failing: bool, code: int
) -> None:
    monkeypatch.setattr("orchestration.commands.check.check", lambda *_: int(failing))
    assert command("check") == code


def test_an_error_of_another_command_has_its_exit_code(
    command: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> int:
        raise StageError("The roles are not set up")

    monkeypatch.setattr("orchestration.commands.roles.roles", fail)
    assert command("roles", "--apply") == 1
    assert "The roles are not set up" in capsys.readouterr().err


def test_child_processes_inherit_no_secret(command: Callable[..., int]) -> None:
    assert set(SECRETS) & set(os.environ)
    assert command("deliver") == 0
    assert not set(SECRETS) & set(os.environ)


def test_what_is_written_is_for_the_owner_alone(command: Callable[..., int], environment: dict[str, str]) -> None:
    os.umask(0)
    assert command("ingest") == 0
    for name in ("LOG_DIR", "STATE_DIR"):
        for path in [folder := Path(environment[name]), *folder.rglob("*")]:
            assert path.stat().st_mode & 0o077 == 0, path
