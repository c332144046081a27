"""`make check`: one line for each outside party, reachable or what to do, changing nothing."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from email.message import EmailMessage

from ingestion.api import GraderApi, Patience
from ingestion.citus import cluster
from ingestion.endpoint import Api
from ingestion.errors import IngestionError
from ingestion.warehouse import OLDEST_POSTGRES, Warehouse
from ingestion.windows import DAY, Window, local_midnight, slices
from orchestration import wiring
from orchestration.deliver import DeliveryError
from orchestration.deliver.words import ENGLISH, Words, counted
from orchestration.errors import EXIT_DONE, EXIT_STAGE_FAILED, GraderError, StageError
from orchestration.settings import Settings

# A person waits for a check: one try, of a tiny window unless a day is asked for.
IMPATIENT = Patience(connect=5, read=20, request=30, stalled=40, tries=1, tries_on_timeout=1, tries_when_halved=1)
PATIENT_FOR_A_DAY = replace(IMPATIENT, read=90, request=120, stalled=240)


def check(settings: Settings, send: bool = False) -> int:
    """Print a line for each party to standard output; returns the exit code.

    `send` also asks the API for yesterday's records and sends a test mail.
    """
    parties: dict[str, Callable[[Settings], str]] = {
        "API": _yesterday if send else _api,
        "Database": _database,
        "Sheets": lambda settings: wiring.table_sender(settings).check(),
        "Report": lambda settings: wiring.report_file(settings).check(),
        "Mail": _test_mail if send else lambda settings: wiring.message_sender(settings).check(),
    }
    code = EXIT_DONE
    for name, probe in parties.items():
        try:
            print(f"ok      {name:<9} {probe(settings)}", flush=True)
        except (GraderError, IngestionError) as error:
            code = EXIT_STAGE_FAILED
            print(f"FAILED  {name:<9} {error}", flush=True)
    return code


DEMO = "not configured: the built-in demo API stands in, with made-up data (set API_URL, API_CLIENT, API_CLIENT_KEY)"


def _api(settings: Settings) -> str:
    if settings.api is None:
        return DEMO
    api = replace(settings.api, patience=IMPATIENT)
    end = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(days=1)
    answers = GraderApi(api).fetch(Window(end - timedelta(seconds=1), end))
    return f"{api.label} answers a list in {sum(answer.seconds for answer in answers):.2f} s"


def _yesterday(settings: Settings) -> str:
    """How many records the API has of the report zone's yesterday, asked for as an ingest would."""
    if settings.api is None:
        with wiring.open_api(settings) as demo:
            return f"{DEMO}; {_records_of_yesterday(demo, settings)}"
    return f"{settings.api.label}: {_records_of_yesterday(settings.api, settings)}"


def _records_of_yesterday(api: Api, settings: Settings) -> str:
    now, zone = datetime.now(timezone.utc), settings.report_timezone
    today = now.astimezone(zone).date()
    yesterday = today - DAY
    whole = Window(local_midnight(yesterday, zone), local_midnight(today, zone))
    client = GraderApi(replace(api, patience=PATIENT_FOR_A_DAY))
    answers = [answer for part in slices(whole, now) for answer in client.fetch(part)]
    records, day = sum(len(answer.records.texts) for answer in answers), f"{ENGLISH.day(yesterday)} ({zone.key})"
    if not records:
        return (
            f"it answers, but has no records of yesterday, {day}: a day off, or something between "
            "the learners and the API; its operator knows"
        )
    return f"{counted(records, 'record')} of yesterday, {day}, in {sum(answer.seconds for answer in answers):.2f} s"


def _test_mail(settings: Settings) -> str:
    """Send a test mail to the readers and, apart from it, to the engineers; returns where they went."""
    sender, words = wiring.message_sender(settings), Words(settings.report_language)
    # One try: sending itself is more patient than a person.
    sender.check()
    sent = sender.send(_message(words, "test"))
    said = f"test mail {sent.detail}" + ("" if settings.mail else f": {sent.target}")
    if not settings.alert_to:
        return said
    try:
        return f"{said}; to ALERT_TO: {sender.send(_message(words, 'test-alert'), settings.alert_to).detail}"
    except DeliveryError as error:
        problem = str(error)
    raise StageError(f"{said}; but to ALERT_TO: {problem}")


def _message(words: Words, name: str) -> EmailMessage:
    from orchestration.deliver.mail.message import begun

    now = datetime.now(timezone.utc)
    title = words.text("Test: mail of the grader's figures reaches you")
    message = begun(title, f"{name}-{now:%Y%m%dT%H%M%S}", now)
    text = words.text(
        "This is a test of the mail settings, sent by hand. Nothing needs to be done: "
        "the daily mail will come the same way."
    )
    message.set_content(text + "\n", cte="quoted-printable")
    return message


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
    said = f"{warehouse.label}: PostgreSQL {major}, {'TLS' if tls else 'no TLS'}"
    if warehouse.distributed:
        with warehouse.session() as cursor:
            citus, workers = cluster(cursor)
        said += f", {citus} with {counted(workers, 'worker')}"
    return said
