"""Nights: outages that are waited out, whoever watches being told, the history of runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg2
import pytest

from ingestion.errors import ApiError, WarehouseError
from ingestion.warehouse import Warehouse, is_outage
from orchestration import history
from orchestration.errors import StageError
from orchestration.patience import Patience
from orchestration.ping import ping
from orchestration.run import Run
from orchestration.settings import Settings
from orchestration.summary import DayVerdict, LoadCounts, RunSummary, Stage, TestCounts, TestResult
from tests.orchestration.conftest import Parties
from tests.orchestration.deliver.conftest import LAST_DAY
from tests.orchestration.test_run import WINDOW, delivered, make_run, outcomes

AWAY = ApiError("The grader's API did not answer.", None, WINDOW, outage=True)
REFUSED = ApiError("The grader's API answered with status 403.", 403, WINDOW)


class Clock:
    """Time that passes only by sleeping; `then` is done at each pause."""

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self.now, self.then = 0.0, then
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.pauses.append(seconds)
        self.then()

    def patience(self, **most: float) -> Patience:
        return Patience(timedelta(**most), self.sleep, lambda: self.now)


def patient_run(settings: Settings, clock: Clock, **most: float) -> Run:
    run = make_run(settings)
    run.patience = clock.patience(**most)
    return run


def test_an_outage_is_waited_out_and_the_run_goes_on(
    settings: Settings, parties: Parties, caplog: pytest.LogCaptureFixture
) -> None:
    def api_is_back() -> None:
        if len(clock.pauses) == 3:
            parties.ingest_error = None

    clock = Clock(api_is_back)
    parties.ingest_error = AWAY
    run = patient_run(settings, clock, hours=2)
    assert run.everything(WINDOW) == 0
    assert clock.pauses == [15, 30, 60]
    assert outcomes(run) == [("ingest", "done"), ("build", "done"), ("deliver", "done")]
    assert len(parties.mails) == 1
    waited = [record.getMessage() for record in caplog.records if "Trying again" in record.getMessage()]
    assert len(waited) == 3
    assert waited[0] == "ingest: The grader's API did not answer. Trying again in 15.0 s."


def test_patience_ends_with_one_mail(settings: Settings, parties: Parties) -> None:
    clock = Clock()
    parties.ingest_error = AWAY
    run = patient_run(settings, clock, minutes=10)
    assert run.everything(WINDOW) == 1
    assert sum(clock.pauses) == 600
    assert len(parties.mails) == 1
    assert run.summary.failed_stage == "ingest"


@pytest.mark.parametrize("error", [REFUSED, StageError("dbt could not build"), ZeroDivisionError()])
def test_what_waiting_does_not_help_is_not_waited_for(settings: Settings, parties: Parties, error: Exception) -> None:
    clock = Clock()
    parties.ingest_error = error
    assert patient_run(settings, clock, hours=2).everything(WINDOW) == 1
    assert clock.pauses == []


def test_a_lost_database_is_waited_for_and_the_lock_taken_again(settings: Settings, parties: Parties) -> None:
    def database_is_back() -> None:
        parties.build_error = None

    renewed: list[None] = []
    clock = Clock(database_is_back)
    parties.build_error = StageError("The connection was lost during the build.", outage=True)
    run = patient_run(settings, clock, hours=2)
    run.renew_lock = lambda: renewed.append(None)
    assert run.everything(WINDOW) == 0
    assert len(renewed) == 1
    assert len(parties.work_dirs) == 1, "nothing is fetched again"


def test_figures_that_cannot_be_read_for_a_moment_are_waited_for(settings: Settings, parties: Parties) -> None:
    def database_is_back() -> None:
        parties.figures_error = None

    parties.figures_error = WarehouseError("The warehouse is away.", outage=True)
    run = patient_run(settings, Clock(database_is_back), minutes=1)
    assert run.deliver() == 0
    assert all(delivered(run).values())


def test_an_outage_after_another_has_the_whole_time_again() -> None:
    clock = Clock()
    patience = clock.patience(seconds=20)
    assert patience.wait("ingest", AWAY)
    assert patience.wait("ingest", AWAY)
    assert not patience.wait("ingest", AWAY)
    patience.reset()
    assert patience.wait("build", AWAY)
    assert clock.pauses == [15, 5, 15]


def test_nothing_is_waited_for_without_patience() -> None:
    clock = Clock()
    assert not clock.patience(seconds=0).wait("ingest", AWAY)
    assert clock.pauses == []


def test_a_server_that_is_away_is_an_outage_and_a_refusal_is_none(warehouse: Warehouse) -> None:
    away = Warehouse("127.0.0.1", 1, warehouse.dbname, warehouse.user, "")
    nowhere = Warehouse("no-such-host.invalid", 1, warehouse.dbname, warehouse.user, "")
    wrong = Warehouse(warehouse.host, warehouse.port, "no_such_database", warehouse.user, warehouse.password)
    told = []
    for each in (away, nowhere, wrong):
        with pytest.raises(WarehouseError) as caught:
            each.query("select 1")
        told.append(caught.value.outage)
    assert told == [True, True, False]
    with pytest.raises(WarehouseError) as caught:
        warehouse.query("select 1 / 0")
    assert not caught.value.outage
    with closing(warehouse.connect()) as connection, pytest.raises(psycopg2.Error) as ended:
        connection.cursor().execute("select pg_terminate_backend(pg_backend_pid())")
    assert is_outage(ended.value)


@pytest.fixture
def watcher() -> Iterator[tuple[str, list[str]]]:
    """A watcher's address, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(500 if "broken" in self.path else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/ping/5f2e-secret", asked
    server.shutdown()
    server.server_close()


def test_the_watcher_is_told_by_the_usual_paths(watcher: tuple[str, list[str]]) -> None:
    url, asked = watcher
    for what in ("start", "success", "failure"):
        ping(url, what)
    ping(None, "start")
    assert asked == ["/ping/5f2e-secret/start", "/ping/5f2e-secret", "/ping/5f2e-secret/fail"]


def test_a_watcher_that_is_away_stops_nothing_and_stays_unnamed(
    watcher: tuple[str, list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    url, _ = watcher
    with caplog.at_level(logging.DEBUG):
        ping(url + "/broken", "start")
        ping("http://127.0.0.1:1/5f2e-secret", "failure")
    assert caplog.text.count("did not get through") == 2
    assert "secret" not in caplog.text


@pytest.fixture
def noted() -> RunSummary:
    """A run with a warning."""
    return RunSummary(
        run_id="7f3a",
        command="run",
        started_at=datetime.now(timezone.utc),
        demo=True,
        log_file="x.log",
        stages=[Stage("ingest", "done", 3.5, "2 records"), Stage("build", "done", 8.0, "30 models")],
        loads=LoadCounts(12, 5, 4, 3),
        tests=TestCounts(40, 1, 0, 0, (TestResult("few_are_rejected", "warn", 1, "1 row"),)),
        verdict=DayVerdict(LAST_DAY, "unusual"),
    )


def test_a_run_is_noted_with_its_stages_and_tests(warehouse: Warehouse, noted: RunSummary) -> None:
    with history.noted(warehouse, noted) as ended:
        assert warehouse.query("select outcome, finished_at from ops.runs") == [("running", None)]
        ended.exit_code = 0
    [row] = warehouse.query(
        "select command, outcome, exit_code, fetched, rejected, tests_passed, tests_warned, as_of_day, day_verdict,"
        " finished_at >= started_at, rules_version is not null, dbt_version like '1.%', dlt_version like '1.%'"
        " from ops.runs"
    )
    assert row == ("run", "done", 0, 12, 3, 40, 1, LAST_DAY, "unusual", True, True, True, True)
    assert warehouse.query("select stage, outcome, seconds, detail from ops.run_stages order by position") == [
        ("ingest", "done", 3.5, "2 records"),
        ("build", "done", 8.0, "30 models"),
    ]
    assert warehouse.query("select test, status, failures from ops.run_tests") == [("few_are_rejected", "warn", 1)]


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        (StageError("dbt could not build"), "failed", "dbt could not build"),
        (KeyboardInterrupt(), "interrupted", None),
        (ZeroDivisionError("a secret"), "failed", "ZeroDivisionError"),
    ],
)
def test_a_run_that_ends_badly_is_noted_with_the_reason(
    warehouse: Warehouse, noted: RunSummary, error: BaseException, outcome: str, reason: str | None
) -> None:
    with pytest.raises(type(error)), history.noted(warehouse, noted):
        raise error
    assert warehouse.query("select outcome, exit_code, reason from ops.runs") == [(outcome, 1, reason)]


def test_a_killed_run_is_found_by_the_next_one(warehouse: Warehouse, noted: RunSummary) -> None:
    history.begin(warehouse, noted)
    noted.run_id = "8b2c"
    with history.noted(warehouse, noted) as ended:
        ended.exit_code = 0
    assert warehouse.query("select run_id, outcome from ops.runs order by run_id") == [
        ("7f3a", "killed"),
        ("8b2c", "done"),
    ]


def test_runs_are_kept_for_a_year(warehouse: Warehouse, noted: RunSummary) -> None:
    with history.noted(warehouse, noted):
        pass
    with warehouse.session() as cursor:
        cursor.execute("update ops.runs set started_at = now() - interval '400 days'")
    noted.run_id = "8b2c"
    with history.noted(warehouse, noted):
        pass
    assert warehouse.query("select run_id from ops.runs") == [("8b2c",)]
    assert warehouse.query("select distinct run_id from ops.run_stages") == [("8b2c",)]


def test_a_warehouse_that_takes_no_notes_stops_no_run(
    warehouse: Warehouse, noted: RunSummary, caplog: pytest.LogCaptureFixture
) -> None:
    with warehouse.session() as cursor:
        cursor.execute(f'alter database "{warehouse.dbname}" set default_transaction_read_only = on')
    with history.noted(warehouse, noted) as ended:
        ended.exit_code = 0
    assert caplog.text.count("could not be noted") == 2
