"""`make clean`: what it removes, what it keeps, whom it asks; in a folder that holds nothing but the Makefile."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MADE = [
    *("out/metrics.xlsx", "out/.hidden", "out/mail/1.eml", "out/backup/demo.dump", "logs/2026-11-22.log"),
    *(".state/postgres/18/PG_VERSION", ".state/dbt/target/manifest.json", ".state/ingest/demo/state.json"),
    *("dbt_project/target/manifest.json", "dbt_project/logs/dbt.log", "dbt_project/dbt_packages/a/dbt_project.yml"),
]
KEPT = {"out/backup/demo.dump", ".state/postgres/18/PG_VERSION", ".state/schedule"}
OWN = {"Makefile", "dbt_project/dbt_project.yml", ".env"}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    clone = tmp_path / "a clone"
    for name in (*MADE, *KEPT, *OWN):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).touch()
    (clone / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
    return clone


def files(clone: Path) -> set[str]:
    return {path.relative_to(clone).as_posix() for path in clone.rglob("*") if path.is_file()}


def clean(clone: Path, *variables: str, typed: str | None = None) -> subprocess.CompletedProcess[str]:
    """`make clean …`; `typed` on a terminal, else there is none."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    keyboard, terminal = os.openpty()
    try:
        os.write(keyboard, f"{typed}\n".encode())
        return subprocess.run(
            ["make", "clean", *variables],
            cwd=clone,
            env=environment,
            stdin=subprocess.DEVNULL if typed is None else terminal,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    finally:
        os.close(keyboard)
        os.close(terminal)


def with_environment(clone: Path, code: int = 0) -> None:
    """A virtual environment whose `python` notes what it is asked to do, and what is there at that moment."""
    programs = clone / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("dbt", "python"):
        (programs / name).write_text(f'#!/bin/sh\necho "$@ $(ls .state)" >noted; exit {code}\n')
        (programs / name).chmod(0o755)


def test_the_warehouse_and_its_backups_are_kept(clone: Path) -> None:
    done = clean(clone)
    assert done.returncode == 0, done.stderr
    assert files(clone) == KEPT | OWN
    assert "kept: .state/postgres" in done.stdout
    assert "kept: out/backup" in done.stdout
    assert clean(clone).returncode == 0


def test_in_a_fresh_clone_nothing_is_installed(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
    for variables in ([], ["ALL=1", "YES=1"]):
        done = clean(tmp_path, *variables)
        assert done.returncode == 0, done.stderr
        assert "kept" not in done.stdout
        assert files(tmp_path) == {"Makefile"}


def test_the_server_is_stopped_first(clone: Path) -> None:
    with_environment(clone)
    assert clean(clone).returncode == 0
    assert (clone / "noted").read_text().split()[:3] == ["-m", "orchestration", "db-stop"]
    assert "postgres" in (clone / "noted").read_text()
    assert not (clone / ".venv").exists()


@pytest.mark.parametrize("variables", [[], ["ALL=1", "YES=1"]])
def test_nothing_is_removed_from_under_a_server_that_cannot_be_stopped(clone: Path, variables: list[str]) -> None:
    with_environment(clone, code=2)
    before = files(clone)
    assert clean(clone, *variables).returncode != 0
    assert files(clone) - {"noted"} == before


@pytest.mark.parametrize("typed", [None, "no", "y", "Yes please", ""])
def test_everything_goes_only_after_a_yes(clone: Path, typed: str | None) -> None:
    before = files(clone)
    done = clean(clone, "ALL=1", typed=typed)
    assert done.returncode != 0
    assert files(clone) == before
    assert ("YES=1" in done.stderr) if typed is None else ("Nothing was removed" in done.stdout)


@pytest.mark.parametrize(("variables", "typed"), [(["ALL=1"], "yes"), (["ALL=1", "YES=1"], None)])
def test_everything_goes(clone: Path, variables: list[str], typed: str | None) -> None:
    done = clean(clone, *variables, typed=typed)
    assert done.returncode == 0, done.stderr
    assert files(clone) == OWN
    assert ("out/backup" in done.stdout) == (typed == "yes")


@pytest.mark.parametrize("value", ["0", "no", ""])
def test_only_1_means_all(clone: Path, value: str) -> None:
    assert clean(clone, f"ALL={value}").returncode == 0
    assert files(clone) == KEPT | OWN
