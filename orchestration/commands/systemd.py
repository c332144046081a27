"""The nightly run as a service and a timer of systemd: the machine's own for root, else the user's."""

import hashlib
import os
import pwd
import shlex
import subprocess
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import time
from pathlib import Path
from zoneinfo import ZoneInfo

from orchestration.errors import StageError

RUNNING = Path("/run/systemd/system")
"""There where systemd runs the machine."""
LINGER = Path("/var/lib/systemd/linger")
"""Holds a file for each account whose services run without a login."""
READ_ONLY = tuple(map(Path, ("/usr", "/boot", "/efi", "/etc")))
"""What `ProtectSystem=full` keeps a service from writing."""

SERVICE = """\
# Written by `make schedule`, removed by `make unschedule`.
[Unit]
Description=grader-elt: the nightly run
{network}OnFailure={name}-status.service

[Service]
{common}
ExecStart=/bin/sh -c "exec .venv/bin/python -m orchestration run"
# 5: all is done, and the mail says that the day is suspect.
SuccessExitStatus=5
"""
STATUS = """\
# Written by `make schedule`, removed by `make unschedule`.
[Unit]
Description=grader-elt: how the pipeline is, after a failed run

[Service]
{common}
ExecStart=/bin/sh -c "exec .venv/bin/python -m orchestration status"
# 1: somebody should look, which the failed run says already.
SuccessExitStatus=1
"""
TIMER = """\
# Written by `make schedule`, removed by `make unschedule`.
[Unit]
Description=grader-elt: starts the nightly run

[Timer]
# By the clock of REPORT_TIMEZONE: a time that daylight saving skips is left out, one that comes twice counts once.
OnCalendar=*-*-* {at:%H:%M}:00 {zone}
AccuracySec=1min
# A night that was missed is caught up as soon as the machine is on.
Persistent=true

[Install]
WantedBy=timers.target
"""
# `KillMode`: a run may have started the embedded database, which goes on after it. systemd refuses quotes in the path
# of a program, so that a shell finds it in the folder.
COMMON = """\
Type=oneshot
WorkingDirectory={folder}
UMask=0077
KillMode=process
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native"""
# A user's own manager may not do these, and doesn't know the machine's network.
COMMON_OF_SYSTEM = """
RestrictNamespaces=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectClock=yes"""
NETWORK = "Wants=network-online.target\nAfter=network-online.target\n"


@dataclass(frozen=True)
class Manager:
    """Where units go, and who is asked to use them."""

    folder: Path
    is_user: bool

    def install(self, files: dict[str, str], timer: str) -> list[Path]:
        """Write the units that differ from `files` (name to text) and start the timer; returns what was written.

        Raises StageError.
        """
        wanted = {self.folder / name: text for name, text in files.items()}
        changed = [path for path, text in wanted.items() if not path.exists() or path.read_text("utf-8") != text]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for path in changed:
                path.write_text(wanted[path], "utf-8")
                # Nothing in it is secret, and systemd warns of units that others can't read.
                path.chmod(0o644)
        except OSError as error:
            raise StageError(f"{self.folder} cannot be written: {error.strerror}.") from None
        if changed:
            self.call("daemon-reload")
            self.call("enable", timer)
            self.call("restart", timer)
        else:
            self.call("enable", "--now", timer)
        return changed

    def installed(self, folder: Path) -> list[Path]:
        """The unit files there are of the clone in `folder`, its timer first."""
        names = (f"{unit_name(folder)}{ending}" for ending in (".timer", ".service", "-status.service"))
        return [self.folder / name for name in names if (self.folder / name).exists()]

    def remove(self, paths: Collection[Path]) -> None:
        """Stop the timers among these units and remove all of them. Raises StageError."""
        timers = [path.name for path in paths if path.suffix == ".timer"]
        if timers and RUNNING.is_dir():
            self.call("disable", "--now", *timers)
        try:
            for path in paths:
                path.unlink()
        except OSError as error:
            raise StageError(f"{self.folder} cannot be written: {error.strerror}.") from None
        if paths and RUNNING.is_dir():
            self.call("daemon-reload")

    def call(self, *arguments: str) -> None:
        """Run systemctl. Raises StageError with what it said."""
        command = [*self.systemctl, *arguments]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
            )
        except OSError as error:
            raise StageError(f"{command[0]} could not be started: {error.strerror}.") from None
        if done.returncode != 0:
            said = done.stdout.decode("utf-8", errors="replace").strip()
            hint = " Log in as this account itself, not by su or sudo." if "connect to bus" in said else ""
            raise StageError(f"`{shlex.join(command)}` ended with {done.returncode}: {said}{hint}")

    @property
    def systemctl(self) -> list[str]:
        return ["systemctl", "--user"] if self.is_user else ["systemctl"]

    def hints(self, timer: str) -> list[str]:
        """What to type to see what the timer does, line by line."""
        service = timer.removesuffix(".timer")
        systemctl, user = " ".join(self.systemctl), " --user" if self.is_user else ""
        lines = [
            f"  next run      {systemctl} list-timers {timer}",
            f"  run now       {systemctl} start {service}.service",
            f"  what it said  journalctl{user} -u {service}.service -u {service}-status.service",
        ]
        name = pwd.getpwuid(os.geteuid()).pw_name
        if self.is_user and not (LINGER / name).exists():
            lines.append(f"It runs only while you are logged in, until: sudo loginctl enable-linger {name}")
        return lines


def manager() -> Manager:
    """The machine's manager for root, the user's own for everybody else."""
    if os.geteuid() == 0:
        return Manager(Path("/etc/systemd/system"), is_user=False)
    return Manager(Path.home() / ".config" / "systemd" / "user", is_user=True)


def unit_name(folder: Path) -> str:
    """The name of a clone's units: another one for each path."""
    return f"grader-elt-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]}"


def units(
    folder: Path, at: time, zone: ZoneInfo, is_user: bool, account: str | None = None, written: Iterable[Path] = ()
) -> dict[str, str]:
    """The files of the nightly run of the clone in `folder`, name to text.

    Root's run as `account`; `written` are the folders that a run writes to.
    """
    name = unit_name(folder)
    # The rest of the line as it is, but for `%`.
    common = COMMON.format(folder=str(folder).replace("%", "%%"))
    if not is_user:
        common += COMMON_OF_SYSTEM
        if not any(place.is_relative_to(kept) for place in (folder, *written) for kept in READ_ONLY):
            common += "\nProtectSystem=full"
        if account is not None:
            common += f"\nUser={account}"
    values = {"name": name, "common": common, "network": "" if is_user else NETWORK}
    return {
        f"{name}.service": SERVICE.format(**values),
        f"{name}.timer": TIMER.format(at=at, zone=zone.key),
        f"{name}-status.service": STATUS.format(**values),
    }
