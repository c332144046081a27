"""`make check`: one line for each outside party, reachable or what to do, changing nothing."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from ingestion.api import GraderApi, Patience
from ingestion.errors import IngestionError
from ingestion.warehouse import OLDEST_POSTGRES, Warehouse
from ingestion.windows import Window
from orchestration import wiring
from orchestration.errors import EXIT_DONE, EXIT_STAGE_FAILED, GraderError, StageError
from orchestration.settings import Settings

# A person waits for a check: one try of a tiny window.
IMPATIENT = Patience(connect=5, read=20, request=30, stalled=40, tries=1, tries_on_timeout=1, tries_when_halved=1)


def check(settings: Settings) -> int:
    """Print a line for each party to standard output; returns the exit code."""
    parties: dict[str, Callable[[Settings], str]] = {
        "API": _api,
        "Database": _database,
        "Sheets": lambda settings: wiring.table_sender(settings).check(),
        "Report": lambda settings: wiring.report_file(settings).check(),
        "Mail": lambda settings: wiring.message_sender(settings).check(),
    }
    code = EXIT_DONE
    for name, probe in parties.items():
        try:
            print(f"ok      {name:<9} {probe(settings)}")
        except (GraderError, IngestionError) as error:
            code = EXIT_STAGE_FAILED
            print(f"FAILED  {name:<9} {error}")
    return code


def _api(settings: Settings) -> str:
    if settings.api is None:
        return (
            "not configured: the built-in demo API stands in, with made-up data "
            "(set API_URL, API_CLIENT, API_CLIENT_KEY)"
        )
    api = replace(settings.api, patience=IMPATIENT)
    end = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(days=1)
    answers = GraderApi(api).fetch(Window(end - timedelta(seconds=1), end))
    return f"{api.label} answers a list in {sum(answer.seconds for answer in answers):.2f} s"


def _database(settings: Settings) -> str:
    if settings.warehouse is None:
        state = wiring.embedded_state(settings)
        return f"not configured: the embedded PostgreSQL stands in ({state})"
    return probe_warehouse(settings.warehouse)


def probe_warehouse(warehouse: Warehouse) -> str:
    """What the server says of itself. Raises StageError when it is unsuitable; WarehouseError."""
    [(version, encoding, tls)] = warehouse.query(
        "select current_setting('server_version_num')::int, current_setting('server_encoding'),"
        " coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false)"
    )
    major = version // 10_000
    if major < OLDEST_POSTGRES:
        raise StageError(f"{warehouse.label} is PostgreSQL {major}; {OLDEST_POSTGRES} or newer is needed.")
    if encoding != "UTF8":
        raise StageError(f"{warehouse.label} has the encoding {encoding}; create the database with UTF8.")
    return f"{warehouse.label}: PostgreSQL {major}, {'TLS' if tls else 'no TLS'}"
