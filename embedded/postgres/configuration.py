"""The server's configuration files, written anew at each start so that an upgrade of the product applies."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path

from embedded.postgres.account import Account
from embedded.postgres.errors import EmbeddedPostgresError
from embedded.postgres.folders import Home, write_private

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


def write_configuration(
    data: Path, account: Account, port: int, allowed: list[str], extra: Mapping[str, str]
) -> None:
    """Write the settings, who may connect, and which accounts (`allowed`) are the database's owner."""
    settings = {**_settings(port), **extra}
    lines = [f"{name} = '{value.replace(chr(39), chr(39) * 2)}'\n" for name, value in settings.items()]
    write_private(
        data / "postgresql.conf",
        "# Written at each start; use ALTER SYSTEM for settings of your own.\n" + "".join(lines),
        account,
    )
    write_private(data / "pg_hba.conf", _HBA, account)
    write_private(data / "pg_ident.conf", "".join(f'{ROLE} "{name}" {ROLE}\n' for name in allowed), account)


def free_port(home: Home) -> int:
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
        # No server follows this one: a table made and filled in one transaction goes to disk once, and not into the log as
        # well. What does is mostly pages of indexes over hashes, which compressing does not make smaller.
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "wal_compression": "off",
        "random_page_cost": "1.1",
        "jit": "off",
        "max_worker_processes": str(max(8, cores)),
        "max_parallel_workers": str(cores),
        "max_parallel_workers_per_gather": str(min(max(cores // 2, 1), 4)),
        # Seven files, one for each day of the week.
        "logging_collector": "on",
        "log_directory": "log",
        "log_filename": "postgresql-%a.log",
        "log_rotation_age": "1d",
        "log_rotation_size": "0",
        "log_truncate_on_rotation": "on",
        "log_file_mode": "0600",
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
        found = os.statvfs("/dev/shm")  # noqa: S108 - only its size is read
    except OSError:
        return 0
    return found.f_frsize * found.f_blocks // _MEGABYTE
