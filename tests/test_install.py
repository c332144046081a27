"""How packages are installed: by uv with what is set for pip, and by pip where there is no uv or it fails."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import install

REFUSES = "exit 1"


@dataclass
class Machine:
    """A clone with a virtual environment whose Python, like everything on PATH, only notes how it is called."""

    root: Path
    path: Path

    def program(self, file: Path, script: str = "") -> None:
        """Make a program that notes its arguments, then does as the script says."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'#!/bin/sh\necho "{file.name} $*" >> "{self.root}/calls"\n{script}\n')
        file.chmod(0o755)

    def python(self, script: str = "") -> None:
        """Make the environment's Python."""
        self.program(self.root / ".venv" / "bin" / "python", script)

    def uv(self, script: str = "") -> None:
        """Put a uv on PATH."""
        self.program(self.path / "uv", script)

    def install(self) -> subprocess.CompletedProcess[str]:
        """Install the packages of requirements.txt."""
        return subprocess.run(
            [sys.executable, "install.py", "requirements.txt"],
            cwd=self.root,
            env={"PATH": f"{self.path}:/usr/bin:/bin", "PIP_INDEX_URL": "https://index.example.org/simple"},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def installs(self) -> list[str]:
        """The calls that install something, in order."""
        return [call for call in (self.root / "calls").read_text().splitlines() if " install " in call]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path / "a clone", tmp_path / "programs")
    machine.root.mkdir()
    shutil.copy(install.ROOT / "install.py", machine.root)
    machine.python()
    return machine


def test_uv_on_path_installs_from_pips_index_with_hashes(machine: Machine) -> None:
    machine.uv(f'echo "$UV_DEFAULT_INDEX" > "{machine.root}/index"')
    done = machine.install()

    assert done.returncode == 0, done.stderr
    assert machine.installs == [
        f"uv pip install --quiet --require-hashes --python {machine.root}/.venv/bin/python -r requirements.txt"
    ]
    assert (machine.root / "index").read_text() == "https://index.example.org/simple\n"
    assert done.stdout == ""


def test_without_uv_the_pinned_one_is_fetched(machine: Machine) -> None:
    machine.python('case "$*" in *requirements-uv.txt) mkdir -p .venv/uv/bin; cp "$0" .venv/uv/bin/uv;; esac')
    done = machine.install()

    assert done.returncode == 0, done.stderr
    fetched, installed = machine.installs
    assert fetched.startswith("python -m pip")
    assert "--require-hashes" in fetched
    assert fetched.endswith("-r requirements-uv.txt")
    assert installed.endswith("-r requirements.txt")
    assert f"--python {machine.root}/.venv/bin/python" in installed


@pytest.mark.parametrize("reason", ["fails", "can't be had"])
def test_pip_installs_where_uv_fails_or_cannot_be_had(machine: Machine, reason: str) -> None:
    if reason == "fails":
        machine.uv(REFUSES)
    else:
        machine.python(f'case "$*" in *requirements-uv.txt) {REFUSES};; esac')
    done = machine.install()

    assert done.returncode == 0, done.stderr
    last = machine.installs[-1]
    assert last == "python -m pip --disable-pip-version-check install --quiet --require-hashes -r requirements.txt"
    assert "pip" in done.stderr


def test_an_install_that_fails_fails(machine: Machine) -> None:
    machine.uv(REFUSES)
    machine.python(f'case "$*" in *install*) {REFUSES};; esac')

    assert machine.install().returncode == 1


def test_without_uv_and_pip_it_is_said_what_to_install(machine: Machine) -> None:
    machine.uv(REFUSES)
    machine.python(REFUSES)
    done = machine.install()

    assert done.returncode == 1
    assert "python3-venv" in done.stderr


def test_what_is_set_for_pip_holds_for_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "pip.conf"
    file.write_text(
        "[global]\nindex-url = https://one.example.org/simple\ntimeout = 7\n"
        "find-links =\n  /wheels/a\n  /wheels/b\n[install]\ntimeout = 8\n[list]\ntimeout = 9\n"
    )
    for name in ("PIP_FIND_LINKS", "PIP_DEFAULT_TIMEOUT", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://two.example.org/simple https://three.example.org/simple")
    monkeypatch.setenv("PIP_CERT", "/certificates.pem")

    variables = install.uv_variables(install.pip_settings())

    assert variables["UV_DEFAULT_INDEX"] == "https://one.example.org/simple"
    assert variables["UV_INDEX"] == "https://two.example.org/simple https://three.example.org/simple"
    assert variables["UV_FIND_LINKS"] == "/wheels/a,/wheels/b"
    assert variables["UV_HTTP_TIMEOUT"] == "8"
    assert variables["SSL_CERT_FILE"] == "/certificates.pem"


def test_pips_variables_go_before_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex-url = https://file.example.org/simple\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
    monkeypatch.setenv("PIP_INDEX_URL", "https://variable.example.org/simple")

    assert install.pip_settings()["index-url"] == "https://variable.example.org/simple"
