"""`make schedule` and `make unschedule`: units that systemd takes, lines for cron, nothing else touched."""

from __future__ import annotations

import os
import shutil
import subprocess
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, time, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from orchestration.commands import cron, systemd
from orchestration.commands import schedule as command
from orchestration.commands.arguments import parse
from orchestration.commands.schedule import schedule, unschedule
from orchestration.errors import SettingsError, StageError
from orchestration.settings import ROOT, Settings

MOSCOW, BERLIN, NEW_YORK = map(ZoneInfo, ("Europe/Moscow", "Europe/Berlin", "America/New_York"))
UTC = timezone.utc
HALF_PAST_ONE = time(1, 30)
NOW = datetime(2026, 11, 22, tzinfo=UTC)
# What `crontab -l` prints for somebody who has other jobs, with a last line that lacks its end.
OTHERS = "MAILTO=ops@school.example\n# backups\n0 3 * * *  /usr/local/bin/backup 100\\%\n@reboot /bin/true"


@dataclass
class Machine:
    """A machine with a service manager and a crontab of the test's own: what they were told, and what they hold."""

    units: Path
    table: Path
    calls: Path

    @property
    def told(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []

    @property
    def files(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.units.iterdir()} if self.units.exists() else {}

    def stamps(self) -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in (*self.units.glob("*"), self.table) if path.exists()}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, demo: Settings) -> Machine:
    """A machine with both; tests take systemd away."""
    programs, running = tmp_path / "programs", tmp_path / "running"
    programs.mkdir()
    running.mkdir()
    machine = Machine(tmp_path / "units", tmp_path / "crontab.txt", tmp_path / "calls.txt")
    scripts = {
        "systemctl": f'echo "$@" >>{machine.calls}',
        "crontab": f'if [ "$1" = -l ]; then cat {machine.table}; else cat >{machine.table}.new && '
        f"mv {machine.table}.new {machine.table}; fi",
    }
    for name, text in scripts.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(systemd, "RUNNING", running)
    monkeypatch.setattr(systemd, "manager", lambda: systemd.Manager(machine.units, is_user=False))
    monkeypatch.setattr(command, "read_settings", lambda _: demo)
    return machine


@pytest.fixture
def without_systemd(machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    monkeypatch.setattr(systemd, "RUNNING", tmp_path / "nowhere")
    return machine


@pytest.fixture
def clone_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Path]:
    """Has the commands believe that their clone is at a place of the test's own, which is made."""

    def place(name: str) -> Path:
        folder = tmp_path / name
        (folder / "orchestration").mkdir(parents=True, exist_ok=True)
        monkeypatch.setattr(command, "ROOT", folder)
        return folder

    return place


# systemd ---------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze (Debian: systemd)")
@pytest.mark.parametrize("is_user", [False, True], ids=["system", "user"])
@pytest.mark.parametrize("name", ["grader-elt", "my clone", 'Школа 50% "$HOME" it\'s \\x20'])
def test_systemd_finds_no_fault_in_the_units(tmp_path: Path, name: str, is_user: bool) -> None:
    folder = tmp_path / name
    folder.mkdir()
    units = tmp_path / "units"
    units.mkdir()
    files = systemd.units(folder, HALF_PAST_ONE, MOSCOW, is_user, None if is_user else "daemon")
    for unit, text in files.items():
        (units / unit).write_text(text)
    (tmp_path / "runtime").mkdir(mode=0o700)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(["--user"] if is_user else []), *map(str, units.iterdir())],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:", "XDG_RUNTIME_DIR": str(tmp_path / "runtime")},
        capture_output=True,
        text=True,
        check=False,
    )
    faults = [line for line in done.stderr.splitlines() if "grader-elt" in line]
    assert (faults, done.returncode) == ([], 0), done.stderr


def test_a_wrong_unit_would_be_found(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze (Debian: systemd)")
    unit = tmp_path / "grader-elt.service"
    unit.write_text("[Service]\nType=oneshot\nExecStart=/nowhere/python\n")
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "/nowhere/python is not executable" in done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze (Debian: systemd)")
def test_systemd_takes_the_time_by_the_zones_clock(tmp_path: Path) -> None:
    timer = systemd.units(tmp_path, time(0, 5), NEW_YORK, is_user=True)[f"{systemd.unit_name(tmp_path)}.timer"]
    (calendar,) = (line.partition("=")[2] for line in timer.splitlines() if line.startswith("OnCalendar="))
    done = subprocess.run(
        ["systemd-analyze", "calendar", "--base-time=2026-11-22 00:00 UTC", calendar],
        env={**os.environ, "TZ": "UTC"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Sun 2026-11-22 05:05:00 UTC" in done.stdout


def test_a_service_of_root_runs_as_whom_the_clone_belongs_to_and_may_write_where_it_has_to(tmp_path: Path) -> None:
    def service(*written: str, account: str | None = None) -> str:
        files = systemd.units(tmp_path, HALF_PAST_ONE, MOSCOW, False, account, map(Path, written))
        return files[f"{systemd.unit_name(tmp_path)}.service"]

    assert "User=" not in service()
    assert "\nUser=elt\n" in service(account="elt")
    assert "\nProtectSystem=full\n" in service("/srv/out", "/var/log/grader")
    assert "ProtectSystem" not in service("/srv/out", "/usr/local/state")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another account")
def test_a_clone_that_root_only_looks_after_is_run_by_its_owner(
    machine: Machine, demo: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    demo.state_dir.mkdir()
    schedule(demo, HALF_PAST_ONE, apply=False)
    assert "User=" not in capsys.readouterr().out
    os.chown(demo.state_dir, 1, 1)
    schedule(demo, HALF_PAST_ONE, apply=False)
    assert capsys.readouterr().out.count("User=daemon\n") == 2
    # Of an account that is gone.
    os.chown(demo.state_dir, 54_321, 54_321)
    schedule(demo, HALF_PAST_ONE, apply=False)
    assert "User=" not in capsys.readouterr().out


def test_what_would_be_installed_is_printed_and_nothing_is_done(
    machine: Machine, demo: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert schedule(demo, HALF_PAST_ONE, apply=False) == 0
    shown = capsys.readouterr().out
    for line in (
        f"# {machine.units}/{systemd.unit_name(ROOT)}.timer",
        "OnCalendar=*-*-* 01:30:00 Europe/Moscow",
        "Persistent=true",
        'ExecStart=/bin/sh -c "exec .venv/bin/python -m orchestration run"',
        f"WorkingDirectory={ROOT}",
        "SuccessExitStatus=5",
        f"OnFailure={systemd.unit_name(ROOT)}-status.service",
    ):
        assert f"{line}\n" in shown
    assert "Nothing was installed" in shown
    assert (machine.files, machine.told) == ({}, [])


def test_units_are_installed_once_and_changed_with_the_time(
    machine: Machine, demo: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    name = systemd.unit_name(ROOT)
    assert schedule(demo, HALF_PAST_ONE, apply=True) == 0
    assert set(machine.files) == {f"{name}.service", f"{name}.timer", f"{name}-status.service"}
    assert machine.told == ["daemon-reload", f"enable {name}.timer", f"restart {name}.timer"]
    assert {path.stat().st_mode & 0o777 for path in machine.units.iterdir()} == {0o644}
    assert f"systemctl list-timers {name}.timer" in capsys.readouterr().out

    before = machine.stamps()
    assert schedule(demo, HALF_PAST_ONE, apply=True) == 0
    assert machine.stamps() == before
    assert machine.told[3:] == [f"enable --now {name}.timer"]
    assert capsys.readouterr().out.count("unchanged: ") == 3

    assert schedule(demo, time(2, 45), apply=True) == 0
    assert "OnCalendar=*-*-* 02:45:00 Europe/Moscow\n" in machine.files[f"{name}.timer"]
    assert machine.told[4:] == ["daemon-reload", f"enable {name}.timer", f"restart {name}.timer"]
    assert "written: " in capsys.readouterr().out


def test_a_users_own_units_need_a_login_unless_they_linger(
    machine: Machine,
    demo: Settings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(systemd, "manager", lambda: systemd.Manager(machine.units, is_user=True))
    monkeypatch.setattr(systemd, "LINGER", tmp_path / "linger")
    schedule(demo, HALF_PAST_ONE, apply=True)
    assert all(told.startswith("--user ") for told in machine.told)
    shown = capsys.readouterr().out
    assert "systemctl --user list-timers" in shown
    hint = next(line for line in shown.splitlines() if "enable-linger" in line)

    (tmp_path / "linger").mkdir()
    (tmp_path / "linger" / hint.split()[-1]).touch()
    schedule(demo, HALF_PAST_ONE, apply=True)
    assert "enable-linger" not in capsys.readouterr().out


def test_what_systemctl_says_is_told(machine: Machine, demo: Settings, tmp_path: Path) -> None:
    (tmp_path / "programs" / "systemctl").write_text(
        "#!/bin/sh\necho Failed to connect to bus: No medium found; exit 1\n"
    )
    with pytest.raises(
        StageError, match=r"daemon-reload` ended with 1: Failed to connect to bus.*Log in as this account"
    ):
        schedule(demo, HALF_PAST_ONE, apply=True)


def test_unschedule_removes_what_was_installed_and_nothing_else(
    machine: Machine, demo: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    schedule(demo, HALF_PAST_ONE, apply=True)
    (machine.units / "grader-elt-of-somebody.timer").write_text("[Timer]\n")
    name = systemd.unit_name(ROOT)
    capsys.readouterr()

    assert unschedule(demo, apply=False) == 0
    shown = capsys.readouterr().out
    assert shown.count("would be removed: ") == 3
    assert "Nothing was removed" in shown
    assert len(machine.files) == 4

    assert unschedule(demo, apply=True) == 0
    assert set(machine.files) == {"grader-elt-of-somebody.timer"}
    assert machine.told[-2:] == [f"disable --now {name}.timer", "daemon-reload"]
    assert capsys.readouterr().out.count("removed: ") == 3

    assert unschedule(demo, apply=True) == 0
    assert capsys.readouterr().out == "Nothing is installed for this clone.\n"


@pytest.mark.parametrize("by_systemd", [True, False], ids=["systemd", "cron"])
def test_a_moved_clone_takes_its_schedule_along_and_a_copy_leaves_the_originals(
    machine: Machine,
    demo: Settings,
    monkeypatch: pytest.MonkeyPatch,
    clone_at: Callable[[str], Path],
    tmp_path: Path,
    by_systemd: bool,
) -> None:
    if not by_systemd:
        monkeypatch.setattr(systemd, "RUNNING", tmp_path / "nowhere")
    machine.table.write_text(OTHERS + "\n")

    def installed() -> str:
        return "".join(machine.files.values()) + machine.table.read_text()

    old = clone_at("old")
    schedule(demo, HALF_PAST_ONE, apply=True)
    copy = clone_at("copy")
    # Copied with its state.
    of_copy = replace(demo, state_dir=tmp_path / "state of the copy")
    shutil.copytree(demo.state_dir, of_copy.state_dir)
    schedule(of_copy, HALF_PAST_ONE, apply=True)
    assert f"{old}" in installed()
    assert f"{copy}" in installed()

    new = clone_at("new")
    shutil.rmtree(old)
    schedule(demo, HALF_PAST_ONE, apply=True)
    assert f"{old}" not in installed()
    assert f"{new}" in installed()
    assert f"{copy}" in installed()
    assert len(machine.files) == (6 if by_systemd else 0)

    unschedule(demo, apply=True)
    clone_at("copy")
    unschedule(of_copy, apply=True)
    assert installed() == OTHERS + "\n"


def test_a_machine_that_got_systemd_no_longer_uses_cron(
    machine: Machine, demo: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine.table.write_text(OTHERS + "\n")
    with monkeypatch.context() as patch:
        patch.setattr(systemd, "RUNNING", tmp_path / "nowhere")
        schedule(demo, HALF_PAST_ONE, apply=True)
    assert "orchestration run" in machine.table.read_text()
    schedule(demo, HALF_PAST_ONE, apply=True)
    assert machine.table.read_text() == OTHERS + "\n"
    assert len(machine.files) == 3


# cron ------------------------------------------------------------------------------------------------------------


def test_cron_gets_the_time_of_the_machines_clock() -> None:
    lines = cron.lines_for(Path("/srv/grader elt"), HALF_PAST_ONE, MOSCOW, UTC, NOW).splitlines()
    assert lines[1] == "# 01:30 in Europe/Moscow is 22:30 by this machine's clock."
    assert lines[2] == "30 22 * * * cd '/srv/grader elt' && .venv/bin/python -m orchestration run >/dev/null 2>&1"


@pytest.mark.parametrize(
    ("zone", "machine", "times"),
    [
        (MOSCOW, UTC, ["22:30"]),
        (BERLIN, BERLIN, ["01:30"]),
        (BERLIN, UTC, ["00:30", "23:30"]),
        (ZoneInfo("UTC"), NEW_YORK, ["20:30", "21:30"]),
        # Both change, on other dates.
        (BERLIN, NEW_YORK, ["19:30", "20:30"]),
        # By half an hour, which New Delhi's clock has, too.
        (ZoneInfo("Australia/Lord_Howe"), ZoneInfo("Asia/Kolkata"), ["20:00", "20:30"]),
    ],
)
def test_the_machines_clock_is_looked_ahead_over_daylight_saving(
    zone: ZoneInfo, machine: ZoneInfo, times: list[str]
) -> None:
    found = cron.local_times(HALF_PAST_ONE, zone, machine, NOW)
    assert sorted(f"{when:%H:%M}" for when in found) == times


def test_the_machines_clock_is_the_one_it_is_set_up_with_not_the_shells(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setattr(cron, "LOCALTIME", tmp_path / "localtime")
    assert "\n30 22 * * * " in cron.lines_for(Path("/srv/clone"), HALF_PAST_ONE, MOSCOW)
    place = next(Path(folder, "Asia/Yekaterinburg") for folder in zoneinfo.TZPATH if Path(folder, "Asia").exists())
    (tmp_path / "localtime").symlink_to(place)
    assert "\n30 3 * * * " in cron.lines_for(Path("/srv/clone"), HALF_PAST_ONE, MOSCOW)


@pytest.mark.parametrize(
    ("minute", "starts"), [("2026-07-14 23:30", 1), ("2026-07-15 00:30", 0), ("2026-01-15 00:30", 1)]
)
def test_where_daylight_saving_moves_the_time_the_line_looks_at_the_zones_clock(
    tmp_path: Path, minute: str, starts: int
) -> None:
    folder = tmp_path / "50% of it's clones"
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\necho "$@" >>"{tmp_path}/started"\n')
    python.chmod(0o755)
    # `date` as it will be at that minute.
    (tmp_path / "date").write_text(f'#!/bin/sh\nexec /bin/date -d "TZ=\\"UTC\\" {minute}" "$@"\n')
    (tmp_path / "date").chmod(0o755)

    lines = cron.lines_for(folder, HALF_PAST_ONE, BERLIN, UTC, NOW).splitlines()
    assert "01:30 in Europe/Berlin is 00:30 or 23:30 by this machine's clock, as daylight saving" in lines[1]
    assert lines[3].startswith("30 0,23 * * * ")
    # As cron does: what is after five fields, with `\%` for a `%`; a bare one would end it.
    text = lines[3].split(" ", 5)[5]
    assert "%" not in text.replace("\\%", "")
    for given in (text, text.replace("\\%", "%")):
        (tmp_path / "started").unlink(missing_ok=True)
        subprocess.run(["/bin/sh", "-c", given], env={"PATH": f"{tmp_path}:/bin:/usr/bin"}, check=False)
        started = (tmp_path / "started").read_text().splitlines() if (tmp_path / "started").exists() else []
        assert started == ["-m orchestration run"] * starts


def test_a_machine_that_cannot_follow_daylight_saving_is_not_given_a_line_that_never_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("zoneinfo.TZPATH", ("/nowhere",))
    with pytest.raises(StageError, match="install tzdata"):
        cron.lines_for(Path("/srv/clone"), HALF_PAST_ONE, BERLIN, UTC, NOW)
    assert "30 22 * * *" in cron.lines_for(Path("/srv/clone"), HALF_PAST_ONE, MOSCOW, UTC, NOW)


@pytest.mark.parametrize("others", ["", OTHERS, OTHERS + "\n"], ids=["none", "open end", "some"])
def test_nothing_else_in_the_crontab_is_touched(
    without_systemd: Machine, demo: Settings, others: str, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = without_systemd
    if others:
        machine.table.write_text(others)
    assert schedule(demo, HALF_PAST_ONE, apply=False) == 0
    assert "orchestration run" in capsys.readouterr().out
    assert machine.table.exists() == bool(others)

    assert schedule(demo, HALF_PAST_ONE, apply=True) == 0
    installed = machine.table.read_text()
    closed = others if others.endswith("\n") or not others else others + "\n"
    assert installed.startswith(closed)
    assert installed.count("orchestration run") == 1

    before = machine.stamps()
    assert schedule(demo, HALF_PAST_ONE, apply=True) == 0
    assert machine.stamps() == before

    # Lines that were added below, and another time.
    machine.table.write_text(installed + "5 5 * * * /bin/later\n")
    assert schedule(demo, time(2, 45), apply=True) == 0
    assert machine.table.read_text().count("orchestration run") == 1
    assert unschedule(demo, apply=False) == 0
    assert machine.table.read_text().count("orchestration run") == 1
    assert unschedule(demo, apply=True) == 0
    assert machine.table.read_text() == closed + "5 5 * * * /bin/later\n"
    assert machine.told == []


def test_without_systemd_and_cron_the_line_is_printed_but_cannot_be_installed(
    without_systemd: Machine, demo: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert schedule(demo, HALF_PAST_ONE, apply=False) == 0
    assert "orchestration run" in capsys.readouterr().out
    with pytest.raises(StageError, match="install one of them"):
        schedule(demo, HALF_PAST_ONE, apply=True)


# Both ------------------------------------------------------------------------------------------------------------


def test_settings_that_a_night_would_not_see_are_told(
    machine: Machine, demo: Settings, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    schedule(demo, HALF_PAST_ONE, apply=False)
    assert "ATTENTION" not in capsys.readouterr().out
    schedule(settings, HALF_PAST_ONE, apply=False)
    assert "ATTENTION: settings come from the environment of this shell" in capsys.readouterr().out


def test_a_path_that_no_schedule_can_hold_is_refused(
    machine: Machine, demo: Settings, clone_at: Callable[[str], Path]
) -> None:
    clone_at("two\nlines")
    with pytest.raises(SettingsError, match="characters that no schedule can"):
        schedule(demo, HALF_PAST_ONE, apply=True)
    assert machine.files == {}


def test_the_time_is_one_of_the_clock() -> None:
    assert parse(["schedule"]).at == HALF_PAST_ONE
    assert parse(["schedule", "--at", "23:05"]).at == time(23, 5)
    for text in ("24:00", "1:30", "01:60", "half past one"):
        with pytest.raises(SystemExit):
            parse(["schedule", "--at", text])
