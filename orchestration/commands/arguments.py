"""The command line: `python -m orchestration COMMAND [options]`, which make's targets call."""

import argparse
import re
from datetime import datetime, timezone

from ingestion.windows import Window
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
    "db": "start the embedded PostgreSQL and say how to connect",
    "db-stop": "stop the embedded PostgreSQL",
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
            added[name].add_argument(option, required=name == "metrics", help=f"{what} ({WINDOW_HELP})")
    for name in ("run", "ingest", "build", "deliver", "forget"):
        waiting = "wait for another run instead of giving up"
        added[name].add_argument("--wait", action="store_true", help=waiting)
    added["build"].add_argument("--full-refresh", action="store_true", help="rebuild every model from raw")
    for name in ("metrics", "status", "history"):
        added[name].add_argument("--json", action="store_true", help="print JSON")
    added["report"].add_argument("--open", action="store_true", help="open it in the browser")
    added["forget"].add_argument("--user-id", required=True, help="the learner, as `lti_user_id` has it")
    added["forget"].add_argument("--yes", action="store_true", help="don't ask")
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


def window_of(options: argparse.Namespace) -> Window | None:
    """The window asked for, None when none was. Raises SettingsError for one that can't be used."""
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


def _port(text: str) -> int:
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII) or int(text) > LAST_PORT:
        raise argparse.ArgumentTypeError(f"should be a port from 0 (any free one) to {LAST_PORT}, not {text!r}")
    return int(text)
