"""Disks that are really full: a small file system of a server's own, or a bound on the size of its files."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from tests.end_to_end.other_server import Server, server

KIB, MIB = 1 << 10, 1 << 20
# Enough for a server and two runs; only what is filled takes memory.
SIZE = 256 * MIB


class Disk(Protocol):
    """Where a server keeps its tables."""

    server: Server
    message: str
    """What a run that fails for it says, as a regular expression."""

    def fill(self, left: int) -> None:
        """Leave room for no more than about `left` bytes."""

    def enlarge(self) -> None:
        """Make room again."""


class Tmpfs:
    """A file system in memory, full up to what is left by a file of no use."""

    message = "No space left on device"

    def __init__(self, server: Server, mount: Path) -> None:
        self.server, self.mount = server, mount
        self.size = SIZE

    def fill(self, left: int) -> None:
        with (self.mount / "ballast").open("ab") as file:
            while (free := shutil.disk_usage(self.mount).free) > left:
                # The server may take some in between.
                with contextlib.suppress(OSError):
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), max(free - left, 1))

    def enlarge(self) -> None:
        self.size += SIZE
        _mount("-o", f"remount,size={self.size}", str(self.mount))


class FileLimit:
    """A bound on the size of each file, which needs no privileges."""

    message = "File too large"

    def __init__(self, server: Server) -> None:
        self.server = server

    def fill(self, left: int) -> None:
        # The WAL's files have 1 MiB and must be free to be written.
        self.server.limit_files(MIB + left)

    def enlarge(self) -> None:
        self.server.limit_files(-1)


@contextmanager
def mounted() -> Iterator[Path | None]:
    """A file system of its own in a folder that every account reaches; None where mounting isn't permitted."""
    folder = Path(tempfile.mkdtemp(prefix="grader-elt-disk-"))
    try:
        folder.chmod(0o755)
        if not _mount("-t", "tmpfs", "-o", f"size={SIZE},mode=0755", "tmpfs", str(folder)):
            yield None
            return
        try:
            yield folder
        finally:
            # Lazily: a server that was killed a moment ago may still have files open.
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
    finally:
        folder.rmdir()


@contextmanager
def tablespace() -> Iterator[Disk | None]:
    """A server with the tables of `warehouse` on a disk of their own; None where mounting isn't permitted."""
    with mounted() as mount:
        if mount is None:
            yield None
            return
        with server() as made:
            place = mount / "tables"
            place.mkdir(mode=0o700)
            os.chown(place, made.account.uid, made.account.gid)
            made.administer(
                f"create tablespace small location '{place}'", "alter database warehouse set tablespace small"
            )
            yield Tmpfs(made, mount)


@contextmanager
def whole_server() -> Iterator[Disk | None]:
    """A server with everything, its WAL as well, on a disk of its own; None where mounting isn't permitted."""
    with ExitStack() as stack:
        mount = stack.enter_context(mounted())
        if mount is None:
            yield None
            return
        place = mount / "server"
        place.mkdir(mode=0o700)
        disk = Tmpfs(stack.enter_context(server(place=place)), mount)
        # It may be the WAL that has no room: then the server gives up and comes back.
        disk.message += "|closed the connection|connection already closed|terminating connection"
        disk.message += "|starting up|recovery|refused"
        yield disk


@contextmanager
def file_limit() -> Iterator[Disk]:
    """A server whose files can be kept from growing."""
    with server() as made:
        yield FileLimit(made)


def _mount(*arguments: str) -> bool:
    if os.geteuid() != 0:
        return False
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0
