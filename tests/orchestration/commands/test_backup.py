"""`make backup` and `make restore` where they refuse; with a server: tests/embedded/postgres/test_backup.py."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from embedded import postgres
from orchestration.commands.backup import backup, restore
from orchestration.errors import SettingsError
from orchestration.settings import Settings
from tests.orchestration.conftest import PASSWORD


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("no server should be started")

    monkeypatch.setattr(postgres, "start", refuse)


def test_a_server_of_the_users_own_is_theirs_to_back_up(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as dump:
        backup(settings)
    with pytest.raises(SettingsError) as back:
        restore(settings, tmp_path / "my file.dump", replace=True)
    address = ["--host=db.example", "--port=5432", "--username=elt", "--dbname=grader"]
    for caught, program in ((dump, "pg_dump"), (back, "pg_restore")):
        text = str(caught.value)
        line = shlex.split(text.splitlines()[-1])
        assert line[0] == program
        assert [word for word in line if word in address] == address
        assert PASSWORD not in text
        assert caught.value.exit_code == 2
    assert line[-1] == str(tmp_path / "my file.dump")
    assert not settings.out_dir.exists()


def test_a_file_that_is_not_there_is_named_before_anything_starts(demo: Settings, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"FILE should be a backup that can be read: .*gone.dump: No such file"):
        restore(demo, tmp_path / "gone.dump", replace=True)
