"""A folder that stands in for a mail server: each mail is a file that any mail program opens."""

import re
from collections.abc import Sequence
from datetime import timezone
from email.message import EmailMessage
from pathlib import Path

from orchestration.deliver.catalogue import mark
from orchestration.deliver.files import check_writable, write_whole
from orchestration.deliver.mail.message import RUN_HEADER, addressed
from orchestration.summary import Delivery


class Outbox:
    """Writes `<UTC time>-<run id>.eml`; the same message again replaces its own file."""

    name = mark("Mail")

    def __init__(self, folder: Path, sender: str, recipients: Sequence[str]) -> None:
        self._folder = folder
        self._sender = sender
        self._recipients = tuple(recipients)

    @property
    def target(self) -> str:
        return str(self._folder)

    def send(self, message: EmailMessage, recipients: Sequence[str] = ()) -> Delivery:
        """Write the message's file, to `recipients` or else those it was made with. Raises DeliveryError."""
        run_id = re.sub(r"[^A-Za-z0-9._-]+", "_", message[RUN_HEADER])
        sent_at = message["Date"].datetime.astimezone(timezone.utc)
        path = self._folder / f"{sent_at:%Y%m%dT%H%M%SZ}-{run_id}.eml"
        content = bytes(addressed(message, self._sender, recipients or self._recipients))
        write_whole(path, lambda file: file.write(content))
        return Delivery(self.name, True, str(path), mark("written to a file (no mail server is configured)"))

    def check(self) -> str:
        check_writable(self._folder, "mails")
        return f"mails go to files in {self._folder}"
