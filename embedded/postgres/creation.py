"""Making the data folder of a new embedded database."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path

from embedded.postgres.account import Account, open_folder
from embedded.postgres.binaries import Installation
from embedded.postgres.configuration import ROLE
from embedded.postgres.errors import with_log
from embedded.postgres.folders import make_private_folder

_log = logging.getLogger(__name__)


def make_data_folder(
    installation: Installation, account: Account, data: Path, settings: Mapping[str, str]
) -> None:
    """Make the data folder of a server that has never run, whole or not at all.

    With `fsync` off in `settings` it isn't waited for the disk. Raises EmbeddedPostgresError, OSError.
    """
    for leftover in data.parent.glob("new-*"):
        shutil.rmtree(leftover)
    fresh = data.with_name(f"new-{data.name}")
    make_private_folder(fresh, account)
    # The builtin provider came with 17: the same collation on every machine.
    locale = (
        ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if installation.major >= 17
        else ["--locale=C.UTF-8"]
    )
    hurry = ["--no-sync"] if settings.get("fsync") == "off" else []
    with open_folder(fresh) as folder:
        command = [
            str(installation.initdb),
            f"--pgdata={folder.name}",
            f"--username={ROLE}",
            "--auth-local=peer",
            "--auth-host=reject",
            "--encoding=UTF8",
            *locale,
            "--data-checksums",
            "--no-instructions",
            *hurry,
        ]
        answer = account.run(command, timeout=300, folder=folder)
    if answer.returncode != 0:
        raise with_log(
            f"The embedded PostgreSQL could not make its data folder in {data.parent} (initdb ended with "
            f"{answer.returncode}). Make room, or choose a STATE_DIR on a local disk, then try again.",
            answer.stdout,
        )
    fresh.rename(data)
    _log.info("Made a new embedded PostgreSQL %s database in %s", installation.major, data)
