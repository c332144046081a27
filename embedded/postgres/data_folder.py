"""The data folder of the embedded server: made once by initdb, its configuration written at each start."""

import contextlib
import logging
import os
import shutil
import socket
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path

from embedded.postgres.account import Account, allowed_names, name_inside
from embedded.postgres.binaries import Installation
from embedded.postgres.errors import EmbeddedPostgresError, with_log
from embedded.postgres.folders import Home, make_private_folder, write_private

ROLE = "grader"

_MEGABYTE = 1024 * 1024

# Containers often have 64 MB, which parallel queries outgrow.
_PARALLEL_QUERY_MEGABYTES = 512

# Below the ports that systems give to outgoing connections.
_LOWEST_PORT, _PORTS = 15432, 10000

_HBA = f"""\
# Written at each start. On the socket, whose folder is private, the owner needs no password.
local  all  {ROLE}  peer map={ROLE}
local  all  all     scram-sha-256
host   all  all     127.0.0.1/32  scram-sha-256
"""

_log = logging.getLogger(__name__)


def make_data_folder(installation: Installation, account: Account, data: Path, settings: Mapping[str, str]) -> None:
    """Make the data folder, whole or not at all; with `fsync` off it doesn't wait for the disk."""
    for leftover in data.parent.glob("new-*"):
        shutil.rmtree(leftover)
    new = data.with_name(f"new-{data.name}")
    make_private_folder(new, account)
    # The builtin provider came with 17: the same collation on every machine.
    locale = ["--locale=C.UTF-8"]
    if installation.major >= 17:
        locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    command = [
        installation.programs / "initdb",
        f"--pgdata={name_inside(new)}",
        f"--username={ROLE}",
        "--auth-local=peer",
        "--auth-host=reject",
        "--encoding=UTF8",
        *locale,
        "--data-checksums",
        "--no-instructions",
        *(["--no-sync"] if settings.get("fsync") == "off" else []),
    ]
    answer = account.run(command, timeout=300, folder=new)
    if answer.returncode != 0:
        raise with_log(
            f"The embedded PostgreSQL could not make its data folder in {data.parent} (initdb ended with "
            f"{answer.returncode}). Make room, or choose a STATE_DIR on a local disk, then try again.",
            answer.stdout,
        )
    new.rename(data)
    _log.info("Made a new embedded PostgreSQL %s database in %s", installation.major, data)


def write_configuration(home: Home, data: Path, account: Account, extra: Mapping[str, str]) -> int:
    """Write the settings, with `extra` ones, and who may connect; returns the port, which is free right now."""
    port = _free_port(home)
    settings = {**_settings(port), **extra}
    lines = [f"{name} = '{value.replace(chr(39), chr(39) * 2)}'\n" for name, value in settings.items()]
    names = "".join(f'{ROLE} "{name}" {ROLE}\n' for name in allowed_names(home.state_dir))
    heading = "# Written at each start; use ALTER SYSTEM for settings of your own.\n"
    write_private(data / "postgresql.conf", heading + "".join(lines), account)
    write_private(data / "pg_hba.conf", _HBA, account)
    write_private(data / "pg_ident.conf", names, account)
    return port


def _free_port(home: Home) -> int:
    """The port of the last start, else one derived from the path; the next free one where that is taken."""
    try:
        first = int(home.port_file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        first = _LOWEST_PORT + zlib.crc32(os.fsencode(home.path)) % _PORTS
    for step in range(_PORTS):
        port = _LOWEST_PORT + (first - _LOWEST_PORT + step) % _PORTS
        with socket.socket() as probe:
            # As PostgreSQL does: connections of the last run that linger don't count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise EmbeddedPostgresError(f"No free port on 127.0.0.1 from {_LOWEST_PORT} to {_LOWEST_PORT + _PORTS}.")


def _settings(port: int) -> dict[str, str]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MEGABYTE
    cores = os.cpu_count() or 1
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        # Relative to the data folder: short enough wherever that is.
        "unix_socket_directories": "../run",
        "unix_socket_permissions": "0700",
        "max_connections": "60",
        "timezone": "UTC",
        # Analytics on a laptop: few connections, large scans, bulk loads.
        "shared_buffers": f"{min(max(memory // 8, 128), 1024)}MB",
        "effective_cache_size": f"{max(memory // 2, 256)}MB",
        "work_mem": f"{min(max(memory // 128, 16), 64)}MB",
        "maintenance_work_mem": f"{min(max(memory // 32, 64), 256)}MB",
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        # There are no replicas: a table created and filled in one transaction is written once, not to the WAL as well.
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "random_page_cost": "1.1",
        "jit": "off",
        "max_worker_processes": str(max(8, cores)),
        "max_parallel_workers": str(cores),
        "max_parallel_workers_per_gather": str(min(max(cores // 2, 1), 4)),
        # Seven files, one for each day of the week.
        "logging_collector": "on",
        "log_filename": "postgresql-%a.log",
        "log_rotation_size": "0",
        "log_truncate_on_rotation": "on",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] %q%u@%d %a ",
        "log_lock_waits": "on",
    }
    if sys.platform == "linux":
        # Ends the statements of clients that were killed; other systems can't tell.
        settings["client_connection_check_interval"] = "5s"
        if _shared_memory_megabytes() < _PARALLEL_QUERY_MEGABYTES:
            settings["dynamic_shared_memory_type"] = "sysv"
    return settings


def _shared_memory_megabytes() -> int:
    try:
        return shutil.disk_usage("/dev/shm").total // _MEGABYTE  # noqa: S108 - only its size is read
    except OSError:
        return 0
