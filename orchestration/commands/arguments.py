"""The command line: `python -m orchestration COMMAND [options]`, which make's targets call."""

import argparse
import re
from datetime import MAXYEAR, date, datetime, time, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

from ingestion.windows import Window, local_midnight
from orchestration.errors import SettingsError
from orchestration.settings import LAST_PORT

COMMANDS = {
    "run": "the whole pipeline: ingest, build, deliver",
    "ingest": "load the API's records into the raw schema",
    "build": "build and test the models with dbt",
    "deliver": "write the spreadsheet and the report, send the mail",
    "metrics": "the metrics of a window",
    "report": "write the report page",
    "query": "metrics by the semantic layer",
    "status": "the last run, how fresh the data is, what is due, room",
    "history": "the runs of the last year",
    "check": "verify the settings and reach every outside party, changing nothing",
    "docs": "build the dbt docs site and serve it",
    "lineage": "build the site with the ERD and the lineage of columns and serve it",
    "forget": "remove a learner from the warehouse",
    "roles": "SQL for least-privilege roles",
    "schedule": "the service and timer, or the line for cron, of the nightly run",
    "unschedule": "remove what `schedule` installed",
    "backup": "write the embedded warehouse to a file",
    "restore": "put a backup in the place of the embedded warehouse",
    "db": "start the embedded PostgreSQL and say how to connect",
    "db-stop": "stop the embedded PostgreSQL",
    "db-upgrade": "bring the embedded database to the newest PostgreSQL here",
    "psql": "open psql on the warehouse",
}
WINDOW_HELP = "UTC, YYYY-MM-DD or 'YYYY-MM-DD HH:MM:SS.ffffff'"
# Stricter than datetime.fromisoformat, whose idea of ISO 8601 differs between versions of Python.
INSTANT = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2})(?:[ T](?P<time>\d{2}:\d{2}(?::\d{2})?)(?:\.(?P<fraction>\d{1,6}))?"
    r"(?:(?P<utc>Z)|(?P<offset>[+-]\d{2}:\d{2}))?)?",
    re.ASCII,
)


def parse(arguments: list[str]) -> argparse.Namespace:
    """The parsed command line; argparse ends the process with exit code 2 on bad usage."""
    parser = argparse.ArgumentParser(prog="python -m orchestration", description="The grader ELT.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    added = {name: commands.add_parser(name, help=text, description=text) for name, text in COMMANDS.items()}
    for name in ("run", "ingest", "metrics"):
        for option, what in (("--start", "first instant of the window"), ("--end", "its end, excluded")):
            added[name].add_argument(option, help=f"{what} ({WINDOW_HELP})")
    for name in ("run", "ingest", "build", "deliver", "forget"):
        waiting = "wait for another run instead of giving up"
        added[name].add_argument("--wait", action="store_true", help=waiting)
    added["build"].add_argument("--full-refresh", action="store_true", help="rebuild every model from raw")
    for name in ("metrics", "status", "history"):
        added[name].add_argument("--json", action="store_true", help="print JSON")
    added["report"].add_argument("--open", action="store_true", help="open it in the browser")
    added["forget"].add_argument("--user-id", required=True, help="the learner, as `lti_user_id` has it")
    added["forget"].add_argument("--yes", action="store_true", help="don't ask")
    added["metrics"].add_argument("--day", help="a calendar day of REPORT_TIMEZONE")
    added["metrics"].add_argument("--from", dest="first_day", help="the first of some days")
    added["metrics"].add_argument("--to", dest="last_day", help="the day after the last of them")
    added["metrics"].add_argument("--by", choices=("course_key", "task_id"), help="a row for each")
    sheet = "keep the window in the spreadsheet's worksheet Periods"
    added["metrics"].add_argument("--sheet", action="store_true", help=sheet)
    preview = "show what would change in the spreadsheet, and send nothing"
    added["deliver"].add_argument("--dry-run", action="store_true", help=preview)
    send = "send a test mail, and count the records that the API has of yesterday"
    added["check"].add_argument("--send", action="store_true", help=send)
    at = "when, by the clock of REPORT_TIMEZONE (HH:MM)"
    added["schedule"].add_argument("--at", type=_clock, default=time(1, 30), metavar="01:30", help=at)
    added["schedule"].add_argument("--apply", action="store_true", help="install it instead of printing it")
    added["unschedule"].add_argument("--apply", action="store_true", help="remove it instead of printing what it is")
    added["restore"].add_argument("file", type=Path, help="what `backup` wrote")
    added["restore"].add_argument("--yes", action="store_true", help="replace the data that is there")
    added["roles"].add_argument("--apply", action="store_true", help="run the SQL instead of printing it")
    for name in ("docs", "lineage"):
        added[name].add_argument("--no-serve", action="store_true", help="only write the files")
        added[name].add_argument("--port", type=_port, default=8080, help="where to serve on loopback")
    for name, program in (("psql", "psql"), ("query", "mf query")):
        added[name].add_argument("arguments", nargs=argparse.REMAINDER, help=f"passed on to {program}")
        if arguments[:1] == [name] and arguments[1:2] not in (["--"], ["--help"]):
            # argparse would take the program's own options for bad ones of ours.
            arguments = [name, "--", *arguments[1:]]
    return parser.parse_args(arguments)


def window_of(options: argparse.Namespace, zone: ZoneInfo) -> Window | None:
    """The window asked for, None when none was. Raises SettingsError for one that can't be used.

    Days are calendar days of `zone`.
    """
    if "day" in options:
        ways = ((options.day,), (options.first_day, options.last_day), (options.start, options.end))
        if sum(any(each) for each in ways) != 1:
            raise SettingsError("Ask for one of DAY, FROM and TO, or START and END.")
        if options.by and options.sheet:
            raise SettingsError("SHEET keeps a window as a whole: leave out BY.")
        if options.day:
            day = _day("DAY", options.day)
            return Window(local_midnight(day, zone), local_midnight(day + timedelta(days=1), zone))
        if options.first_day or options.last_day:
            if not (options.first_day and options.last_day):
                raise SettingsError("Days need both FROM and TO (which is excluded).")
            first, last = _day("FROM", options.first_day), _day("TO", options.last_day)
            if last <= first:
                raise SettingsError(f"TO ({options.last_day}) should be after FROM ({options.first_day}).")
            return Window(local_midnight(first, zone), local_midnight(last, zone))
    if options.start is None and options.end is None:
        return None
    if options.start is None or options.end is None:
        raise SettingsError("A window needs both START and END (or neither, for what is due).")
    start, end = _instant("START", options.start), _instant("END", options.end)
    if end <= start:
        raise SettingsError(f"END ({options.end}) should be after START ({options.start}).")
    return Window(start, end)


def _instant(name: str, text: str) -> datetime:
    parts = INSTANT.fullmatch(text.strip())
    try:
        if parts is None or (parts["fraction"] and len(parts["time"]) != len("HH:MM:SS")):
            raise ValueError
        instant = datetime.fromisoformat(f"{parts['day']} {parts['time'] or '00:00'}{parts['offset'] or '+00:00'}")
        fraction = int((parts["fraction"] or "").ljust(6, "0"))
        return instant.replace(microsecond=fraction).astimezone(timezone.utc)
    except ValueError:
        raise SettingsError(f"{name} should be {WINDOW_HELP}, not {text!r}.") from None
    except OverflowError:
        raise SettingsError(f"{name} ({text}) is out of range.") from None


def _day(name: str, text: str) -> date:
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII) or not 1 < int(text[:4]) < MAXYEAR:
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"{name} should be a date like 2026-11-14, not {text!r}.") from None


def _port(text: str) -> int:
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII) or int(text) > LAST_PORT:
        raise argparse.ArgumentTypeError(f"should be a port from 0 (any free one) to {LAST_PORT}, not {text!r}")
    return int(text)


def _clock(text: str) -> time:
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"should be a time of day from 00:00 to 23:59, not {text!r}")
    return time.fromisoformat(text)
