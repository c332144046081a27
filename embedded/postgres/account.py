"""Who runs the server: the person at the keyboard, or, since PostgreSQL refuses root, a stand-in for root."""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from embedded.postgres.errors import EmbeddedPostgresError

# The product's settings hold secrets, PG* variables steer PostgreSQL's programs: only these are handed on.
_INHERITED = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")


@dataclass(frozen=True)
class OpenFolder:
    """A folder that is handed to a program open, and the name it has there.

    On Linux the program need not be able to reach the folder by its path (a clone below /root, run by another
    account), and no character of the path can trouble it. Elsewhere the name is the path.
    """

    name: str
    handle: int


@dataclass(frozen=True)
class Account:
    """An operating-system account with an entry in the user database."""

    name: str
    uid: int
    gid: int

    @property
    def is_stand_in(self) -> bool:
        """Whether this is another account than the process's own."""
        return self.uid != os.geteuid()

    def run(
        self, command: Sequence[str | Path], timeout: float, folder: OpenFolder | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program as this account, in a session of its own and with a bare environment.

        It and what it starts can use `folder` by its name. Output and errors come back together as `stdout`.
        Raises OSError when the account can't execute the program, subprocess.TimeoutExpired (in seconds).
        """
        return subprocess.run(  # noqa: S603 - fixed programs, no shell
            [str(part) for part in command],
            cwd="/",
            env=_bare_environment(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            umask=0o077,
            start_new_session=True,
            check=False,
            pass_fds=[folder.handle] if folder else [],
            user=self.uid if self.is_stand_in else None,
            group=self.gid if self.is_stand_in else None,
            extra_groups=[] if self.is_stand_in else None,
        )


@contextlib.contextmanager
def open_folder(path: Path) -> Iterator[OpenFolder]:
    """Open a folder for programs that are run inside the block, and for what they leave running."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield OpenFolder(f"/proc/self/fd/{handle}" if sys.platform == "linux" else str(path), handle)
    finally:
        os.close(handle)


def server_account(state_dir: Path, home: Path) -> Account:
    """The account to run the server with.

    An ordinary user runs it as themselves. For root it is the owner of what is there already, else the person
    behind `sudo`, else `postgres`, else `nobody`. Raises EmbeddedPostgresError when there is none.
    """
    uid = os.geteuid()
    if uid != 0:
        account = _by_uid(uid)
        if account is None:
            raise EmbeddedPostgresError(
                f"The embedded PostgreSQL can't run: the current user (uid {uid}) has no entry in the user "
                "database. Add one to /etc/passwd, or set POSTGRES_HOST and its companions."
            )
        return account
    if home.exists() and (owner := home.stat().st_uid) != 0:
        account = _by_uid(owner)
        if account is None:
            raise EmbeddedPostgresError(
                f"{home} belongs to uid {owner}, which has no entry in the user database. Give the folder to "
                "an account that exists (chown -R), or move it away to begin with an empty database."
            )
        return account
    candidates = [
        _by_uid(state_dir.stat().st_uid) if state_dir.exists() else None,
        _by_uid(int(os.environ["SUDO_UID"])) if os.environ.get("SUDO_UID", "").isdecimal() else None,
        _by_name("postgres"),
        _by_name("nobody"),
    ]
    for account in candidates:
        if account is not None and account.uid != 0:
            return account
    raise EmbeddedPostgresError(
        "PostgreSQL refuses to run as root, and there is no account `postgres` or `nobody` to run it with. "
        "Start as an ordinary user, or set POSTGRES_HOST and its companions to use another server."
    )


def allowed_names(state_dir: Path) -> list[str]:
    """Names of the accounts that may connect without a password: whoever starts the server, and root.

    When root starts it in somebody's state folder, that person as well.
    """
    uids = {0, os.geteuid()}
    if os.geteuid() == 0:
        uids.add(state_dir.stat().st_uid)
    return sorted(account.name for uid in uids if (account := _by_uid(uid)) is not None)


def _by_uid(uid: int) -> Account | None:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _by_name(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _bare_environment(environment: Mapping[str, str]) -> dict[str, str]:
    kept = {name: environment[name] for name in _INHERITED if name in environment}
    return {"PATH": os.defpath, **kept, "LC_ALL": "C", "TZ": "UTC"}
