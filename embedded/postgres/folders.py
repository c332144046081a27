"""Where the embedded PostgreSQL keeps its files below the state folder, readable by their owner alone."""

import contextlib
import fcntl
import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from embedded.postgres.account import Account
from embedded.postgres.errors import EmbeddedPostgresError

# A socket's address holds 104 to 108 bytes, file name included; libpq takes a comma for the next host.
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9/._+-]{0,79}")


class Home:
    """The folder `postgres` of a state folder: the data, by major version, and what goes with it."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = Path(os.path.abspath(state_dir))
        self.path = self.state_dir / "postgres"
        self.sockets = self.path / "run"
        self.password_file = self.path / "password"
        self.port_file = self.path / "port"
        # Beside it, for root runs some of them: the server's account must not be able to write there.
        self.programs = self.state_dir / "postgres-programs"

    def data(self, major: int) -> Path:
        return self.path / str(major)

    def majors(self) -> list[int]:
        """The major versions there is data of, oldest first."""
        names = os.listdir(self.path) if self.path.exists() else []
        return sorted(int(name) for name in names if name.isdecimal())

    def create(self, account: Account) -> None:
        """Make the folders that are missing; those that exist keep their permissions."""
        self.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.path, self.sockets):
            make_private_folder(folder, account)

    def reachable_sockets(self) -> str:
        """The socket folder by a name that every client can use.

        Where its path is long or unusual, that is a link to it in a folder of the current user's.
        """
        if _PLAIN_PATH.fullmatch(str(self.sockets)):
            return str(self.sockets)
        folder = _links_folder()
        link = folder / hashlib.sha256(os.fsencode(self.sockets)).hexdigest()[:16]
        if not link.is_symlink() or os.readlink(link) != str(self.sockets):
            for other in folder.iterdir():
                if not other.exists():
                    other.unlink(missing_ok=True)
            new = folder / f"{link.name}.{os.getpid()}"
            new.unlink(missing_ok=True)
            new.symlink_to(self.sockets)
            new.replace(link)
        return str(link)


@contextlib.contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file, which is made for its folder's owner; waits for whoever has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if os.geteuid() == 0:
            owner = path.parent.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def make_private_folder(folder: Path, account: Account) -> None:
    """Make a folder that `account` alone can enter, unless it exists."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return
    if account.is_stand_in:
        os.chown(folder, account.uid, account.gid, follow_symlinks=False)


def write_private(path: Path, text: str, account: Account) -> None:
    """Write a file that `account` alone can read, whole or not at all."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        if account.is_stand_in:
            os.fchown(descriptor, account.uid, account.gid)
        file.write(text)
    new.replace(path)


def _links_folder() -> Path:
    """A folder with a short path that the current user alone can write; nobody else's is trusted."""
    for parent in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 - ownership is verified below
        folder = Path(parent) / f"grader-elt-{os.geteuid()}"
        if not _PLAIN_PATH.fullmatch(f"{folder}/{'0' * 16}"):
            continue
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077:
            return folder
        raise EmbeddedPostgresError(
            f"{folder} should be a folder that only you can enter, but somebody else made it or opened it. "
            "Remove it, or set TMPDIR to a folder of your own."
        )
    raise EmbeddedPostgresError("No temporary folder with a plain, short path: set TMPDIR to one.")
