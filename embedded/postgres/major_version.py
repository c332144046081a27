"""Bringing the data of an older major version to the newest programs here, by pg_upgrade."""

import logging
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from embedded.postgres.account import Account, server_account
from embedded.postgres.binaries import Installation, choose, usable_by
from embedded.postgres.data_folder import ROLE, make_data_folder, write_configuration
from embedded.postgres.errors import with_log
from embedded.postgres.folders import Home, file_lock, write_private
from embedded.postgres.server import clean_errors, start, stop_locked

# It copies the data file by file, at some 100 MB a second or more.
_LONGEST_SECONDS = 6 * 3600.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Upgraded:
    """What an upgrade did: the major versions, and where the old data still is."""

    old: int
    new: int
    old_data: Path


def upgrade(state_dir: Path) -> Upgraded | None:
    """Upgrade the data to the newest version here; None when it is of that version already, or there is none.

    The server is stopped for it, whoever is connected; the next command starts the new one. Until the copy is
    whole the old data stays in its place, and afterwards beside the new. Raises EmbeddedPostgresError.
    """
    with clean_errors(f"The embedded PostgreSQL in {state_dir} could not be upgraded"):
        home = Home(state_dir)
        if not home.majors():
            return None
        old, new = choose(home.majors(), home.programs), choose([], home.programs)
        if new.major <= old.major:
            return None
        # After a crash it has to recover first: pg_upgrade wants a server that was shut down in order.
        start(state_dir, database="postgres")
        account = server_account(home.state_dir, home.path)
        with file_lock(home.path / "lock"):
            stop_locked(home)
            copy = home.path / f"upgraded-{new.major}"
            shutil.rmtree(copy, ignore_errors=True)
            old, new = usable_by(old, account), usable_by(new, account)
            make_data_folder(new, account, copy, {})
            _copy_data(home, account, old, new, copy)
            old_data = home.path / f"old-{old.major}"
            home.data(old.major).rename(old_data)
            copy.rename(home.data(new.major))
            (home.path / "delete_old_cluster.sh").unlink(missing_ok=True)
        start(state_dir, database="postgres")
        return Upgraded(old.major, new.major, old_data)


def _copy_data(home: Home, account: Account, old: Installation, new: Installation, copy: Path) -> None:
    data = home.data(old.major)
    for folder in (data, copy):
        write_configuration(home, folder, account, {})
        # The account itself connects here, whatever name it has.
        write_private(folder / "pg_ident.conf", f'{ROLE} "{account.name}" {ROLE}\n', account)
    # On Linux by names that work where the account can't reach the path: see account.name_inside. They are
    # those of the shell, which stays, for the servers go into folders of their own.
    place = "/proc/$$/cwd" if sys.platform == "linux" else "."
    script = f'"$0" --old-datadir "{place}/$1" --new-datadir "{place}/$2" "$3" "$4" "$5" "$6" "$7" "$8"; exit $?'
    with tempfile.TemporaryDirectory(prefix="grader-elt-", dir="/tmp") as sockets:
        os.chown(sockets, account.uid, account.gid)
        options = ["--old-bindir", old.programs, "--username", ROLE, "--socketdir", sockets]
        command = ["/bin/sh", "-c", script, new.programs / "pg_upgrade", data.name, copy.name, *options]
        answer = account.run(command, timeout=_LONGEST_SECONDS, folder=home.path)
    if answer.returncode != 0:
        raise with_log(
            f"pg_upgrade ended with {answer.returncode}. The data of PostgreSQL {old.major} stays as it is. What to "
            "do: see its output; a backup (`make backup`) can be put into an empty database instead "
            "(docs/upgrading.md).",
            answer.stdout + _errors(copy),
        )
    _log.info("Upgraded the embedded database from PostgreSQL %s to %s", old.major, new.major)


def _errors(copy: Path) -> str:
    """What pg_upgrade's own logs say of its failure; its output only names them, by paths that are gone."""
    logs = sorted(copy.glob("pg_upgrade_output.d/*/log/*.log"))
    lines = [line for log in logs for line in log.read_text("utf-8", errors="replace").splitlines()]
    return "".join(f"\n{line}" for line in lines if "error:" in line.lower() or "fatal:" in line.lower())
