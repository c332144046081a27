"""The log: one file a day, kept for a while, private, without secrets."""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import stat
import time
from datetime import date, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.redaction import Redactor
from orchestration.errors import SettingsError
from orchestration.logs import FILE_ONLY, DatedFileHandler, Tail, configure, remove_outdated

SECRET = "Pa$$ wörd/+=&'q\"\\x"
TODAY = date(2026, 3, 1)


def set_up(folder: Path, secrets: list[str], stages: bool = True, verbose: bool = False) -> tuple[Tail, Path]:
    return configure(folder, 3, secrets, "7f3a", stages, verbose)


def record(text: str, moment: datetime) -> logging.LogRecord:
    """A record written at a local moment."""
    made = logging.LogRecord("tests", logging.INFO, __file__, 1, text, None, None)
    made.created = moment.timestamp()
    return made


@pytest.mark.usefixtures("root_logger")
def test_the_file_is_named_by_the_local_date(tmp_path: Path) -> None:
    before = date.today()
    _, path = set_up(tmp_path / "logs", [])
    logging.getLogger("tests").info("a line")
    assert path.parent == tmp_path / "logs"
    assert before.isoformat() <= path.stem <= date.today().isoformat()
    assert path.read_text().endswith("INFO    a line\n")


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_local_is_what_the_machine_calls_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        handler = DatedFileHandler(tmp_path)
        handler.emit(logging.makeLogRecord({"msg": "a line"}))
        handler.close()
        assert [path.name for path in tmp_path.iterdir()] == [f"{datetime.now():%Y-%m-%d}.log"]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_new_day_begins_a_new_file(tmp_path: Path) -> None:
    handler = DatedFileHandler(tmp_path)
    for text, moment in (
        ("late", datetime(2026, 3, 1, 23, 59, 59, 999999)),
        ("early", datetime(2026, 3, 2)),
        ("the clock was set back", datetime(2026, 3, 1, 23, 59)),
    ):
        handler.emit(record(text, moment))
    handler.close()
    found = {path.name: path.read_text().splitlines() for path in tmp_path.iterdir()}
    assert found == {"2026-03-01.log": ["late", "the clock was set back"], "2026-03-02.log": ["early"]}


@pytest.mark.usefixtures("root_logger")
def test_a_second_run_of_the_day_appends(tmp_path: Path) -> None:
    path = tmp_path / f"{date.today():%Y-%m-%d}.log"
    path.write_text("the first run\n")
    set_up(tmp_path, [])
    logging.getLogger("tests").info("the second run")
    assert path.read_text().startswith("the first run\n")
    assert "the second run" in path.read_text()


@pytest.mark.parametrize("days", [0, 1, 3, 400])
def test_how_long_a_file_is_kept(tmp_path: Path, days: int) -> None:
    files = {age: tmp_path / f"{TODAY - timedelta(days=age):%Y-%m-%d}.log" for age in (-1, 0, days, days + 1, days + 9)}
    for path in files.values():
        path.write_text("")
        os.utime(path, (0, 0))
    removed = remove_outdated(tmp_path, days, TODAY)
    assert set(removed) == {files[days + 1], files[days + 9]}
    assert {path for path in files.values() if path.exists()} == {files[-1], files[0], files[days]}


def test_the_days_count_not_the_files(tmp_path: Path) -> None:
    for name in ("2026-02-20.log", "2026-02-26.log"):
        (tmp_path / name).write_text("")
    remove_outdated(tmp_path, 3, TODAY)
    assert [path.name for path in tmp_path.iterdir()] == ["2026-02-26.log"]


def test_nothing_else_is_touched(tmp_path: Path) -> None:
    outside = tmp_path / "outside.log"
    outside.write_text("keep")
    folder = tmp_path / "logs"
    folder.mkdir()
    for name in (
        "2020-01-01.log.gz",
        "2020-01-01.txt",
        "x2020-01-01.log",
        "2020-01-01.log~",
        "2020-1-1.log",
        "2020-02-30.log",
        "2020-13-01.log",
        "٢٠٢٠-01-01.log",
        "2020-01-01.LOG",
        "2020-01-01.log\n",
        "notes.md",
    ):
        (folder / name).write_text("keep")
    (folder / "2020-01-02.log").mkdir()
    (folder / "2020-01-03.log").symlink_to(outside)
    (folder / "2020-01-04.log").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / "2020-01-05.log")
    (folder / "sub").mkdir()
    (folder / "sub" / "2020-01-01.log").write_text("keep")
    before = sorted(tmp_path.rglob("*"))
    assert remove_outdated(folder, 3, TODAY) == []
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.usefixtures("root_logger")
def test_configuring_removes_what_is_outdated(tmp_path: Path) -> None:
    (tmp_path / "2020-01-01.log").write_text("")
    _, path = set_up(tmp_path, [])
    assert [found.name for found in tmp_path.iterdir()] == [path.name]
    assert "outdated log 2020-01-01.log removed" in path.read_text()


@pytest.mark.usefixtures("root_logger")
def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        _, path = set_up(tmp_path / "logs", [])
        logging.getLogger("tests").info("a line")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "secret", [SECRET, "k3y", "abcdefghijklmnopqrstuvwxyz", "????>>>>~~~~", "a%2Fb", "line\nbreak"]
)
def test_no_form_of_a_secret_is_written(secret: str) -> None:
    forms = {
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        repr(secret)[1:-1],
        json.dumps(secret)[1:-1],
        base64.b64encode(secret.encode()).decode(),
        base64.urlsafe_b64encode(secret.encode()).decode().rstrip("="),
    }
    redact = Redactor(["other secret", secret, ""])
    for form in forms:
        assert redact(f"GET /?key={form}&start=2023") == "GET /?key=***&start=2023"


@pytest.mark.parametrize("before", ["a", "ab", "abc", "\0user\0"])
def test_a_secret_inside_of_base64_is_not_written(before: str) -> None:
    secret = "the password of the mail server"
    encoded = base64.b64encode(f"{before}{secret}:and more".encode()).decode()
    written = Redactor([secret])(f"AUTH PLAIN {encoded}")
    assert "***" in written
    left = [part for part in written.removeprefix("AUTH PLAIN ").split("***") if part]
    assert sum(map(len, left)) <= len(encoded) - len(secret) * 8 // 6 + 2


@given(st.text(min_size=3))
def test_whatever_the_secret_is(secret: str) -> None:
    assert Redactor([secret, "another one"])(secret) == "***"


def test_ordinary_words_stay() -> None:
    assert Redactor(["", "a", "ab"])("a line about nothing") == "a line about nothing"
    assert Redactor([])("a line") == "a line"


@pytest.mark.usefixtures("root_logger")
def test_tracebacks_and_the_tail_hold_no_secret(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tail, path = set_up(tmp_path, [SECRET])

    def fail() -> None:
        try:
            raise ConnectionError(f"no answer from https://x.example/?client_key={quote_plus(SECRET)}")
        except ConnectionError as error:
            raise RuntimeError(f"with the key {SECRET}") from error

    try:
        fail()
    except RuntimeError:
        logging.getLogger("tests").exception("failed with %r", {"key": SECRET})
    for text in (path.read_text(), "\n".join(tail.lines), capfd.readouterr().err):
        assert "Traceback" in text
        assert text.count("***") >= 3
        for form in (SECRET, quote_plus(SECRET), repr(SECRET)[1:-1]):
            assert form not in text


@pytest.mark.usefixtures("root_logger")
@pytest.mark.parametrize(
    ("options", "seen", "logged"),
    [
        ({"stages": True}, ["stage", "trouble"], ["stage", "screen", "trouble"]),
        ({"stages": False}, ["trouble"], ["stage", "screen", "trouble"]),
        ({"stages": False, "verbose": True}, ["detail", "stage", "trouble"], ["detail", "stage", "screen", "trouble"]),
    ],
)
def test_what_standard_error_and_the_file_get_where_nobody_watches(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    options: dict[str, bool],
    seen: list[str],
    logged: list[str],
) -> None:
    tail, path = set_up(tmp_path, [], **options)
    ours = logging.getLogger("orchestration.tests")
    ours.debug("detail")
    logging.getLogger("another.library").debug("noise")
    ours.info("stage")
    ours.info("screen", extra=FILE_ONLY)
    ours.warning("trouble")
    shown = capfd.readouterr()
    assert shown.out == ""
    assert [line.split()[-1] for line in shown.err.splitlines()] == seen
    assert [line.split()[-1] for line in path.read_text().splitlines()] == logged
    assert [line.split()[-1] for line in tail.lines] == ["stage", "trouble"]


@pytest.mark.usefixtures("root_logger")
def test_every_line_names_its_run(tmp_path: Path) -> None:
    _, path = set_up(tmp_path, [])
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("tests").exception("failed")
    lines = path.read_text().splitlines()
    assert len(lines) > 4
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} 7f3a ERROR   ", line) for line in lines)


@pytest.mark.usefixtures("root_logger")
def test_the_tail_keeps_the_last_lines(tmp_path: Path) -> None:
    tail, _ = set_up(tmp_path, [])
    for number in range(100):
        logging.getLogger("tests").info("line %d", number)
    assert [line.split()[-1] for line in tail.lines] == [str(number) for number in range(70, 100)]


def test_text_that_is_no_unicode_is_written_all_the_same(tmp_path: Path) -> None:
    handler = DatedFileHandler(tmp_path)
    handler.emit(record("a file named b\udce9te", datetime(2026, 3, 1)))
    handler.close()
    assert (tmp_path / "2026-03-01.log").read_text() == "a file named b\\udce9te\n"


def test_a_secret_that_is_no_text() -> None:
    assert Redactor(["caf\udce9"])("?client_key=caf%E9") == "?client_key=***"


@pytest.mark.usefixtures("root_logger")
def test_a_log_that_cannot_be_written_says_so_once_and_without_the_records(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "logs"
    set_up(folder, [SECRET], stages=False)
    folder.rmdir()
    for _ in range(3):
        logging.getLogger("tests").info("with the key %s", SECRET)
    shown = capfd.readouterr().err
    assert shown.count("cannot be written: No such file or directory") == 1
    assert len(shown.splitlines()) == 1


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="LOG_DIR .*logs: Not a directory") as caught:
        set_up(tmp_path / "file" / "logs", [])
    assert caught.value.exit_code == 2
    assert caught.value.__context__ is None
