"""The one error the embedded PostgreSQL raises."""


class EmbeddedPostgresError(RuntimeError):
    """The embedded PostgreSQL can't be started, reached or stopped; the message says why and what to do."""


def with_log(message: str, log: str) -> EmbeddedPostgresError:
    """An error whose message ends with the last lines of a program's output, if there are any."""
    tail = "\n".join(f"    {line}" for line in log.strip().splitlines()[-15:])
    return EmbeddedPostgresError(f"{message}\n  Last lines of its output:\n{tail}" if tail else message)
