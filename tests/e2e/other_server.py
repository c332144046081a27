"""A PostgreSQL of the machine's own, as a user would bring one: over TCP, with TLS and a password."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ingestion.warehouse import Warehouse
from tests.deliver.mail_server import Authority

PASSWORD = "s3cret/of+the database"


def installations() -> list[Path]:
    """The folders with the programs of each PostgreSQL, 15 or newer, that Debian's packages put here."""
    found = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    return sorted(path.parent for path in found if int(path.parts[-3]) >= 15)


@contextmanager
def running(programs: Path, authority: Authority) -> Iterator[Warehouse]:
    """A server in a folder of its own, with an ordinary account `elt` that owns the database `warehouse`."""
    # PostgreSQL refuses to run as root, and other accounts can't reach pytest's folders.
    account = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
    folder = Path(tempfile.mkdtemp(prefix="grader-elt-test-"))
    try:
        data = folder / "data"
        (folder / "password").write_text("of the superuser")
        shutil.copy(authority.folder / "server.pem", folder / "server.pem")
        (folder / "server.pem").chmod(0o600)
        for path in (folder, *folder.iterdir()):
            os.chown(path, account.pw_uid, account.pw_gid)

        def call(program: str, *arguments: str) -> None:
            subprocess.run(
                [str(programs / program), *arguments],
                user=account.pw_uid,
                group=account.pw_gid,
                extra_groups=[] if os.getuid() == 0 else None,
                cwd="/",
                check=True,
                stdout=subprocess.DEVNULL,
            )

        pwfile = f"--pwfile={folder / 'password'}"
        call(
            "initdb",
            "-D",
            str(data),
            "-U",
            "postgres",
            "-A",
            "scram-sha-256",
            pwfile,
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
        )
        port = _free_port()
        with (data / "postgresql.conf").open("a") as settings:
            settings.write(
                f"port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\nfsync = off\n"
                f"ssl = on\nssl_cert_file = '{folder / 'server.pem'}'\nssl_key_file = '{folder / 'server.pem'}'\n"
            )
        call("pg_ctl", "-D", str(data), "-l", str(folder / "log"), "-w", "start")
        try:
            owner = Warehouse("127.0.0.1", port, "postgres", "postgres", "of the superuser", "require")
            connection = owner.connect()
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("create role elt login password %s", (PASSWORD,))
                cursor.execute("create database warehouse owner elt")
            connection.close()
            yield Warehouse("127.0.0.1", port, "warehouse", "elt", PASSWORD, "verify-full")
        finally:
            call("pg_ctl", "-D", str(data), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
