"""Where the grader's API is, who asks it, and how patiently; light, so that settings are read at once."""

from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlsplit

from ingestion.redaction import Redactor


@dataclass(frozen=True)
class Patience:
    """How long and how often to try; seconds, unless named otherwise.

    `request` bounds one request up to its last byte, however slowly that drips; `stalled` bounds the
    tries of a window, halved or not, without any part of it being answered.
    """

    connect: float = 10
    read: float = 90
    request: float = 600
    stalled: float = 900
    tries: int = 5
    tries_on_timeout: int = 2
    tries_when_halved: int = 2
    backoff: float = 1
    backoff_most: float = 30
    retry_after_most: float = 60
    # In the CSV a record can take six times its bytes, and COPY reads lines of up to 1 GiB.
    body_most: int = 128 * 1024 * 1024
    shortest: timedelta = timedelta(hours=1)


@dataclass(frozen=True)
class Api:
    """Where the API is, and who asks. `client_key` is a secret."""

    url: str
    client: str
    client_key: str = field(repr=False)
    patience: Patience = Patience()

    @property
    def label(self) -> str:
        """The address as people name it: no account, no query."""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
        return Redactor([self.client_key])(f"{parts.scheme}://{host}{port}{parts.path}")
