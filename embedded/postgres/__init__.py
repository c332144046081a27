"""The PostgreSQL that stands in when no server is configured: private to its user, durable, kept running.

Everything is kept in `STATE_DIR/postgres`: `18/` (the data, by major version), `run/` (the socket),
`password` (for tools that connect to 127.0.0.1), `port`, `start.log`. The account that starts it connects
through the socket as the role `grader` without a password. For root the server runs as another account.
The programs that serve the data are also kept in `STATE_DIR/postgres-programs`, for the day when newer
ones take their place: they serve it until `upgrade` brings it to those.
"""

from embedded.postgres.binaries import psql_binary
from embedded.postgres.dumps import Contents, Restored, contents, restore_dump, write_dump
from embedded.postgres.errors import EmbeddedPostgresError
from embedded.postgres.major_version import Upgraded, upgrade
from embedded.postgres.server import find, password_file, start, stop

__all__ = [
    "Contents",
    "EmbeddedPostgresError",
    "Restored",
    "Upgraded",
    "contents",
    "find",
    "password_file",
    "psql_binary",
    "restore_dump",
    "start",
    "stop",
    "upgrade",
    "write_dump",
]
