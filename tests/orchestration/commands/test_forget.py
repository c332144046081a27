"""`make forget` as people meet it: what is asked, said, logged and left."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from psycopg2.extensions import cursor as Cursor

from ingestion import raw
from ingestion.warehouse import Warehouse
from orchestration import erasure
from orchestration.build import dbt
from orchestration.commands.forget import forget
from orchestration.errors import LockedError, SettingsError
from orchestration.lock import PipelineLock
from orchestration.settings import Settings

LEARNER, OTHER = "3583bf109f8b458e13ae1ac9d85c396a", "another"


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def school(settings: Settings, warehouse: Warehouse) -> Settings:
    """Two learners' records in raw, nothing built, and an analyst's table."""
    raw.prepare(warehouse)
    with warehouse.session() as cursor:
        cursor.execute(
            "create table raw._dlt_loads (load_id varchar, schema_name varchar, status bigint, inserted_at timestamptz,"
            " schema_version_hash varchar)"
        )
        cursor.execute("insert into raw._dlt_loads values ('load', 'grader', 0, now(), '')")
        for user in (LEARNER, LEARNER, OTHER):
            record = json.dumps({"lti_user_id": user, "passback_params": "{}"})
            cursor.execute("insert into raw.attempts (record, _dlt_load_id) values (%s, 'load')", (record,))
        cursor.execute("create schema dev_ann_marts; create table dev_ann_marts.attempts (user_id text)")
        cursor.execute("insert into dev_ann_marts.attempts values (%s), (%s)", (LEARNER, OTHER))
    return replace(settings, warehouse=warehouse)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO):
        yield caplog


def users(settings: Settings) -> list[str]:
    assert settings.warehouse is not None
    return [user for (user,) in settings.warehouse.query("select record ->> 'lti_user_id' from raw.attempts")]


def test_what_was_removed_is_said_and_noted_without_the_id(
    school: Settings, logged: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    assert school.warehouse is not None
    assert forget(school, LEARNER, is_confirmed=True) == 0
    assert users(school) == [OTHER]
    shown = capsys.readouterr()
    assert "2 raw records of this learner" in shown.out
    assert "2 removed from raw.attempts" in shown.out
    assert "1 dev_ann_marts.attempts" in shown.out
    for kept_elsewhere in ("Backups", "LOOKBACK_HOURS", "FULL_REFRESH=1"):
        assert kept_elsewhere in shown.out
    assert "raw.attempts 2" in logged.text
    assert LEARNER not in shown.out + shown.err + logged.text
    noted = "select records, attempts, account <> '', erased_at <= now() from ops.erasures"
    assert school.warehouse.query(noted) == [(2, 0, True, True)]
    assert school.warehouse.query("select _dlt_load_id, records from raw.removals") == [("load", 2)]
    # Again finds nothing, and says so.
    assert forget(school, LEARNER, is_confirmed=True) == 0
    assert "nothing was removed" in capsys.readouterr().out
    assert len(school.warehouse.query(noted)) == 1


@pytest.mark.parametrize(("answer", "code", "left"), [("yes", 0, 1), ("no", 1, 3), ("", 1, 3)])
def test_somebody_at_a_terminal_is_asked(
    school: Settings, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, left: int
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(f"{answer}\n"))
    assert forget(school, LEARNER, is_confirmed=False) == code
    assert len(users(school)) == left


def test_without_a_terminal_it_has_to_be_confirmed_before(school: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))
    with pytest.raises(SettingsError, match="YES=1") as caught:
        forget(school, LEARNER, is_confirmed=False)
    assert caught.value.exit_code == 2
    assert len(users(school)) == 3


@pytest.mark.parametrize("learner", ["", " \t", "a\0b", "\udcff"])
def test_an_id_that_nobody_has_is_refused(school: Settings, learner: str) -> None:
    with pytest.raises(SettingsError, match="USER_ID should be"):
        forget(school, learner, is_confirmed=True)


def test_nobody_is_forgotten_while_a_run_is_at_work(school: Settings) -> None:
    assert school.warehouse is not None
    with PipelineLock(school.warehouse, "run").take(), pytest.raises(LockedError):
        forget(school, LEARNER, is_confirmed=True)
    assert len(users(school)) == 3


def test_a_warehouse_without_loads_has_nobody(
    settings: Settings, warehouse: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    assert forget(replace(settings, warehouse=warehouse), LEARNER, is_confirmed=True) == 0
    assert "nobody to forget" in capsys.readouterr().out


def test_the_seed_that_names_the_learner_is_told(
    school: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("orchestration.commands.forget.excluded_learners", lambda: {LEARNER})
    assert dbt.excluded_learners() == set()
    forget(school, LEARNER, is_confirmed=True)
    assert "excluded_learners.csv" in capsys.readouterr().out


def test_no_statement_holds_the_id(school: Settings) -> None:
    """Neither the server's log nor its statistics can show it."""
    assert school.warehouse is not None
    seen: list[str] = []

    class Watching(Cursor):
        def execute(self, query: Any, values: Any = None) -> None:
            seen.append(self.mogrify(query, values).decode())
            super().execute(query, values)

    with school.warehouse.session(cursor_factory=Watching) as cursor:
        erasure.Erasure(cursor, LEARNER).remove()
    assert len(seen) > 5
    assert [statement for statement in seen if LEARNER in statement] == []
