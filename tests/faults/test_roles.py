"""The roles of `make roles`, by real accounts: each stage works with its own, and every act beyond it is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import openpyxl
import psycopg2
import pytest

from ingestion.warehouse import Warehouse
from tests.end_to_end.commands import PreparedProcess
from tests.faults.report import Tally
from tests.faults.school import END, START, WINDOW, query, records
from tests.ingestion.fake_api import FakeApi

PASSWORD = "of/an account"
ROLES = {"load": "grader_loader", "build": "grader_transformer", "report": "grader_reporter"}


class Office:
    """A database with accounts of its own."""

    def __init__(self, owner: Warehouse, prepared: PreparedProcess, grader: FakeApi) -> None:
        self.owner, self.prepared = owner, prepared
        prepared.clone.ask(grader)
        grader.records = records(3, 300)

    def administer(self, *statements: str) -> None:
        with closing(self.owner.connect()) as connection:
            connection.autocommit = True
            for statement in statements:
                connection.cursor().execute(statement)

    def account(self, name: str, *roles: str) -> Warehouse:
        """A new account, made as roles.sql says."""
        user = f"{self.owner.dbname}_{name}"
        self.administer(f"create role {user} login password '{PASSWORD}' in role {', '.join(roles)}")
        if len(roles) == 1:
            self.administer(f"alter role {user} in database {self.owner.dbname} set role = {roles[0]}")
        host = "127.0.0.1" if self.owner.host.startswith("/") else self.owner.host
        return replace(self.owner, host=host, user=user, password=PASSWORD)

    def run(self, account: Warehouse, *arguments: str) -> str:
        """A command that has to succeed."""
        self.prepared.clone.use(account)
        done = self.prepared.run(*arguments)
        assert done.code == 0, f"{arguments}: {done.output}"
        return done.output


@pytest.fixture
def office(warehouse: Warehouse, prepared: PreparedProcess) -> Iterator[Office]:
    with FakeApi().serving() as grader:
        yield Office(warehouse, prepared, grader)


def allowed(account: Warehouse, statement: str) -> bool:
    """Whether the account may do that; nothing is done in any case."""
    with closing(account.connect()) as connection, connection.cursor() as cursor:
        try:
            cursor.execute(statement)
        except psycopg2.errors.InsufficientPrivilege:
            return False
        finally:
            connection.rollback()
    return True


def test_each_stage_with_an_account_of_its_own(office: Office, tally: Tally) -> None:
    office.run(office.owner, "roles", "--apply")
    load, build, report = (office.account(name, role) for name, role in ROLES.items())
    for end in ("2023-04-02", END):
        office.run(load, "ingest", "--start", START, "--end", end)
        office.run(build, "build")
        office.run(report, "deliver")
    office.run(build, "build", "--full-refresh")
    office.run(report, "deliver")
    office.run(report, "metrics", *WINDOW)
    office.run(report, "metrics", *WINDOW, "--sheet")
    office.run(report, "metrics", *WINDOW, "--sheet")
    assert query(report, "select count(*), max(attempts) > 0 from ops.periods") == [(1, True)]
    commands = query(report, "select command, outcome from ops.runs group by command, outcome order by command")
    assert commands == [("build", "done"), ("deliver", "done"), ("ingest", "done")]
    forbidden = {
        load: (
            "select 1 from staging.stg_grader__attempts",
            "select 1 from marts.attempts",
            "create table marts.mine ()",
            "create table ops.mine ()",
            "create table public.mine ()",
            "create schema mine",
            "create role mine",
            "copy raw.attempts to program 'cat'",
            "set role grader_transformer",
        ),
        build: (
            "insert into raw.attempts (record, _dlt_load_id) values ('1', '1')",
            "update raw.attempts set record = '1'",
            "delete from raw.fetches",
            "truncate raw.attempts",
            "drop table raw.attempts",
            "create table raw.mine ()",
            "create table ops.mine ()",
            "create schema mine",
            "set role grader_loader",
        ),
        report: (
            "select 1 from raw.attempts",
            "select 1 from staging.stg_grader__attempts",
            "select 1 from learners.excluded_learners",
            "update marts.attempts set is_correct = true",
            "delete from marts.daily_metrics",
            "drop table marts.attempts",
            "create table marts.mine ()",
            "create table staging.mine ()",
            "create table ops.mine ()",
            "set role grader_transformer",
        ),
    }
    for account, statements in forbidden.items():
        done = [statement for statement in statements if allowed(account, statement)]
        tally.count("act beyond a role", len(statements), leaked=len(done))
        assert done == []
    assert allowed(report, "select 1 from marts.daily_metrics")
    helper = office.account("helper", "grader_learners")
    assert allowed(helper, "select 1 from learners.excluded_learners")
    assert not allowed(helper, "delete from learners.excluded_learners")


def test_one_account_for_all_stages_and_others_who_read(office: Office) -> None:
    office.run(office.owner, "roles", "--apply")
    everything = office.account("elt", *ROLES.values())
    report = office.account("people", "grader_reporter")
    office.run(office.owner, "roles", "--apply")
    office.run(everything, "run", *WINDOW)
    office.run(everything, "build", "--full-refresh")
    office.run(report, "metrics", *WINDOW, "--sheet")
    assert query(report, "select count(*) from ops.periods") == [(1,)]
    assert query(report, "select count(*) > 0 from marts.attempts") == [(True,)]
    assert not allowed(report, "select 1 from raw.attempts")


def test_what_an_administrator_has_made_is_handed_over(office: Office) -> None:
    office.run(office.owner, "run", "--start", START, "--end", "2023-04-03")
    kept = ("--start", START, "--end", "2023-04-03")
    before = query(office.owner, "select count(*) from marts.attempts")
    office.run(office.owner, "roles", "--apply")
    load, build, report = (office.account(name, role) for name, role in ROLES.items())
    office.run(load, "ingest", *WINDOW)
    office.run(build, "build")
    office.run(report, "deliver")
    office.run(build, "build", "--full-refresh")
    assert query(report, "select count(*) from marts.attempts") > before
    office.run(report, "metrics", *kept, "--sheet")
    assert query(report, "select count(*) from ops.periods") == [(1,)]


def test_single_learners_need_a_role_and_all_else_is_delivered_without(office: Office) -> None:
    office.run(office.owner, "roles", "--apply")
    office.run(office.owner, "run", *WINDOW)
    office.run(office.owner, "roles", "--apply")
    report = office.account("report", "grader_reporter")
    office.prepared.clone.use(report)
    done = office.prepared.run("deliver", SHARE_LEARNERS="1")
    assert done.code == 3, done.output
    assert "FAILED" in done.output
    assert "Learners to help: this account may not read the schema learners" in done.output
    assert "Traceback" not in done.output
    book = openpyxl.load_workbook(office.prepared.clone.path / "out" / "metrics.xlsx")
    assert "Learners to help" not in book.sheetnames
    assert book["Daily metrics"].max_row > 1
    office.administer(f"grant grader_learners to {report.user}")
    office.administer(f"alter role {report.user} in database {office.owner.dbname} reset role")
    done = office.prepared.run("deliver", SHARE_LEARNERS="1")
    assert done.code == 0, done.output


def test_the_printed_sql_is_what_is_applied(office: Office) -> None:
    text = office.run(office.owner, "roles")
    assert f'grant connect on database "{office.owner.dbname}"' in text
    assert "password '…'" in text
    office.administer(text[text.index("-- Three roles") :], text[text.index("-- Three roles") :])


def test_an_account_without_privileges_learns_what_to_do(office: Office, tally: Tally) -> None:
    office.run(office.owner, "roles", "--apply")
    report = office.account("nosy", "grader_reporter")
    office.prepared.clone.use(report)
    for command in (("ingest", *WINDOW), ("build",)):
        done = office.prepared.run(*command)
        tally.count("missing privilege", refused=int(done.code == 1))
        assert done.code == 1, done.output
        assert "ermission denied" in done.output
        assert "Traceback" not in done.output
    assert "make roles" in done.output
