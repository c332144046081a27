"""The account that runs the server: the current user or, since PostgreSQL refuses root, a substitute for root."""

import os
import pwd
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from embedded.postgres.errors import EmbeddedPostgresError

# The product's settings hold secrets and PG* variables steer PostgreSQL's programs: only these are passed on.
_INHERITED = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")


@dataclass(frozen=True)
class Account:
    """An operating-system account with an entry in the user database."""

    name: str
    uid: int
    gid: int

    @property
    def is_stand_in(self) -> bool:
        return self.uid != os.geteuid()

    def run(
        self, command: Sequence[object], timeout: float, folder: Path = Path("/")
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in `folder` as this account, in a session of its own and with a minimal environment.

        Output and errors come back together as `stdout`. Raises OSError when the account can't execute the
        program, subprocess.TimeoutExpired (in seconds).
        """
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        return subprocess.run(  # noqa: S603 - fixed programs, no shell
            [str(part) for part in command],
            cwd=folder,
            env={"PATH": os.defpath, **inherited, "LC_ALL": "C", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            umask=0o077,
            start_new_session=True,
            check=False,
            user=self.uid if self.is_stand_in else None,
            group=self.gid if self.is_stand_in else None,
            extra_groups=[] if self.is_stand_in else None,
        )


def name_inside(folder: Path) -> str:
    """What a program that is run in a folder, and what it leaves running there, should call it.

    On Linux that doesn't depend on the path: the account need not be able to reach it (a clone below /root),
    and the path may hold any character.
    """
    return "/proc/self/cwd" if sys.platform == "linux" else str(folder)


def server_account(state_dir: Path, home: Path) -> Account:
    """The account to run the server with.

    An ordinary user runs it as themselves. For root it is the owner of the existing data, else the person
    behind `sudo`, else `postgres`, else `nobody`. Raises EmbeddedPostgresError when there is none.
    """
    uid = os.geteuid()
    if uid == 0 and home.exists():
        uid = home.stat().st_uid
    if uid != 0:
        if (account := _account(uid)) is None:
            raise EmbeddedPostgresError(
                f"The embedded PostgreSQL can't run: uid {uid}, who is the current user or owns {home}, has no "
                "entry in the user database. Add one to /etc/passwd, give the folder to an account that exists "
                "(chown -R), or set POSTGRES_HOST and its companions to use another server."
            )
        return account
    candidates: list[int | str] = ["postgres", "nobody"]
    if (sudo_uid := os.environ.get("SUDO_UID", "")).isdecimal():
        candidates.insert(0, int(sudo_uid))
    if state_dir.exists():
        candidates.insert(0, state_dir.stat().st_uid)
    for candidate in candidates:
        account = _account(candidate)
        if account is not None and account.uid != 0:
            return account
    raise EmbeddedPostgresError(
        "PostgreSQL refuses to run as root, and there is no account `postgres` or `nobody` to run it with. "
        "Start as an ordinary user, or set POSTGRES_HOST and its companions to use another server."
    )


def allowed_names(state_dir: Path) -> list[str]:
    """Who may connect without a password: the current user, root, and the owner of a state folder that root uses."""
    uids = {0, os.geteuid()}
    if os.geteuid() == 0:
        uids.add(state_dir.stat().st_uid)
    return sorted(account.name for uid in uids if (account := _account(uid)) is not None)


def _account(user: int | str) -> Account | None:
    """The account of a uid or a name; None when the user database has no such entry."""
    try:
        found = pwd.getpwuid(user) if isinstance(user, int) else pwd.getpwnam(user)
    except KeyError:
        return None
    return Account(found.pw_name, found.pw_uid, found.pw_gid)
