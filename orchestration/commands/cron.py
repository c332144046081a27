"""The nightly run as lines of the user's crontab, between markers; all other lines are left as they are."""

import re
import shlex
import shutil
import subprocess
import zoneinfo
from collections.abc import Iterable
from datetime import datetime, time, timedelta, timezone, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from orchestration.errors import StageError

LOCALTIME = Path("/etc/localtime")
"""The machine's own zone, which cron keeps to whatever TZ says."""
DAYS_AHEAD = 400
"""How far daylight saving is looked ahead: more than a year."""


def lines_for(
    folder: Path, at: time, zone: ZoneInfo, machine: tzinfo | None = None, now: datetime | None = None
) -> str:
    """The lines for the nightly run of the clone in `folder`.

    cron's clock is the machine's (`machine`; None: as it is set up). Where daylight saving moves it against the
    zone's, the line starts at every time that may be meant, and a test in it lets the right one pass. CRON_TZ would
    be shorter, but few crons know it, and it would hold for all lines below. Raises StageError where the machine
    can't tell the zone's time.
    """
    times = sorted(local_times(at, zone, machine or machine_zone(), now or datetime.now(timezone.utc)))
    minutes, hours = {found.minute for found in times}, {found.hour for found in times}
    said = f"# {at:%H:%M} in {zone.key} is {' or '.join(f'{found:%H:%M}' for found in times)} by this machine's clock"
    test = ""
    if len(times) > 1:
        if not any(Path(place, zone.key).exists() for place in zoneinfo.TZPATH):
            raise StageError(
                f"Daylight saving moves {zone.key} and this machine's clock against each other, and the machine's own "
                "programs have no data to follow that: install tzdata."
            )
        test = f'[ "$(TZ={zone.key} date +\\%H:\\%M)" = {at:%H:%M} ] && '
        said += (
            ", as daylight saving\n"
            "# has it. A time that it skips is left out; one that comes twice may start twice, which does no harm"
        )
    # In a crontab `%` ends a command; after a backslash, outside of quotes, every cron and shell take it for itself.
    place = shlex.quote(str(folder)).replace("%", "'\\%'")
    command = f"{test}cd {place} && .venv/bin/python -m orchestration run >/dev/null 2>&1"
    fields = " ".join(",".join(map(str, sorted(values))) for values in (minutes, hours))
    begin, end = _markers(folder)
    return f"{begin}\n{said}.\n{fields} * * * {command}\n{end}\n"


def machine_zone() -> tzinfo:
    """The zone that the machine is set up for: UTC where that isn't said."""
    try:
        with LOCALTIME.open("rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return timezone.utc


def local_times(at: time, zone: ZoneInfo, machine: tzinfo, now: datetime) -> set[time]:
    """The times of the machine's clock at which it will be `at` in a zone, over more than a year."""
    first = now.astimezone(zone).date()
    moments = (datetime.combine(first + timedelta(days), at, zone) for days in range(DAYS_AHEAD))
    # A time that daylight saving skips comes back as another.
    real = (moment for moment in moments if moment.astimezone(timezone.utc).astimezone(zone).time() == at)
    return {moment.astimezone(machine).time() for moment in real}


def read_crontab() -> str:
    """The user's crontab; empty where there is none."""
    program = shutil.which("crontab")
    if program is None:
        return ""
    done = subprocess.run([program, "-l"], capture_output=True, check=False)
    return done.stdout.decode("utf-8", errors="surrogateescape") if done.returncode == 0 else ""


def write_crontab(table: str) -> None:
    """Replace the user's crontab. Raises StageError, with what crontab said."""
    program = shutil.which("crontab")
    if program is None:
        raise StageError(
            "Neither systemd nor cron is here: install one of them (Debian: cron), or have whatever starts jobs here "
            "start the line that `make schedule` prints."
        )
    data = table.encode("utf-8", errors="surrogateescape")
    done = subprocess.run([program, "-"], input=data, capture_output=True, check=False)
    if done.returncode != 0:
        raise StageError(f"`crontab -` ended with {done.returncode}: {done.stderr.decode(errors='replace').strip()}")


def block_of(table: str, folder: Path) -> str:
    """A clone's lines in a crontab, markers included; empty without any."""
    begin, end = map(re.escape, _markers(folder))
    found = re.search(rf"^{begin}\n(?:.*\n)*?{end}(?:\n|\Z)", table, re.MULTILINE)
    return found[0] if found else ""


def without(table: str, folders: Iterable[Path]) -> str:
    """A crontab without the lines of the clones in `folders`."""
    for folder in folders:
        while lines := block_of(table, folder):
            table = table.replace(lines, "", 1)
    return table


def _markers(folder: Path) -> tuple[str, str]:
    return f"# grader-elt {folder}: begin (make schedule)", f"# grader-elt {folder}: end"
