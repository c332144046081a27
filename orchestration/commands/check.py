"""`make check`: one line for each outside party, reachable or what to do, changing nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import psycopg2

from ingestion.api import Api, GraderApi, Patience
from ingestion.errors import IngestionError
from ingestion.warehouse import Warehouse, sentence
from ingestion.windows import Window
from orchestration import wiring
from orchestration.deliver import DeliveryError
from orchestration.errors import GraderError, StageError
from orchestration.settings import Settings

OLDEST_POSTGRES = 15
# A check is for a person who waits: one try of a tiny window.
IMPATIENT = Patience(
    connect=5, read=20, request=30, stalled=40, tries=1, tries_on_timeout=1, tries_when_halved=1
)


def check(settings: Settings) -> bool:
    """Print a line for each party to standard output; returns whether every one is fine."""
    parties: list[tuple[str, Callable[[Settings], str]]] = [
        ("API", _api),
        ("Database", _database),
        ("Sheets", lambda settings: wiring.table_sender(settings).check()),
        ("Mail", lambda settings: wiring.message_sender(settings).check()),
    ]
    fine = True
    for name, probe in parties:
        try:
            words = probe(settings)
        except (GraderError, DeliveryError, IngestionError) as error:
            fine = False
            print(f"FAILED  {name:<9} {error}")
        else:
            print(f"ok      {name:<9} {words}")
    return fine


def _api(settings: Settings) -> str:
    if settings.api is None:
        return "not configured: the built-in demo API stands in, with made-up data (set API_URL, API_CLIENT, API_CLIENT_KEY)"
    api = Api(settings.api.url, settings.api.client, settings.api.client_key, patience=IMPATIENT)
    end = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(days=1)
    answers = GraderApi(api).fetch(Window(end - timedelta(seconds=1), end))
    return f"{api.label} answers a list in {sum(answer.seconds for answer in answers):.2f} s"


def _database(settings: Settings) -> str:
    if settings.warehouse is None:
        state = wiring.embedded_state(settings)
        return f"not configured: the embedded PostgreSQL stands in ({state})"
    return probe_warehouse(settings.warehouse)


def probe_warehouse(warehouse: Warehouse) -> str:
    """What the server says of itself. Raises StageError when it cannot be reached or cannot serve as the warehouse."""
    try:
        connection = warehouse.connect("grader-elt check")
        try:
            with connection.cursor() as cursor:
                cursor.execute(
                    "select current_setting('server_version_num')::int / 10000, current_setting('server_encoding'),"
                    " coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false)"
                )
                major, encoding, tls = cursor.fetchone() or (0, "", False)
        finally:
            connection.close()
    except psycopg2.Error as error:
        problem = f"{warehouse.label} cannot be reached: {sentence(error)} Check POSTGRES_* and the server."
    else:
        if major < OLDEST_POSTGRES:
            problem = f"{warehouse.label} is PostgreSQL {major}; {OLDEST_POSTGRES} or newer is needed."
        elif encoding != "UTF8":
            problem = f"{warehouse.label} has the encoding {encoding}; create the database with UTF8."
        else:
            return f"{warehouse.label}: PostgreSQL {major}, {'TLS' if tls else 'no TLS'}"
    raise StageError(problem)
