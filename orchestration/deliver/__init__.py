"""Deliveries: what a run shows to people, and the ways it gets there.

What is shown (`figures`, `columns`, `words`, `notices`) is apart from its forms (`sheet`, `mail`)
and from who carries it: Google Sheets or a workbook file, an SMTP server or a folder. A sender gets
all it needs as arguments; none reads the environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from orchestration.errors import EXIT_DELIVERY_FAILED, GraderError

if TYPE_CHECKING:
    from email.message import EmailMessage

    from orchestration.deliver.sheet.tables import Tables
    from orchestration.summary import Delivery


class DeliveryError(GraderError):
    """A delivery failed. Raised outside of `except` blocks: no other exception hangs on it."""

    exit_code = EXIT_DELIVERY_FAILED


class Sender(Protocol):
    """What takes a delivery."""

    @property
    def name(self) -> str:
        """What the delivery is called on the screen and in the mail."""

    @property
    def target(self) -> str:
        """Where it goes: addresses or a path."""

    def check(self) -> str:
        """Prove, changing nothing, that a delivery can work; returns how. Raises DeliveryError."""


class TableSender(Sender, Protocol):
    """Something that can take the worksheets: a Google spreadsheet, a workbook file."""

    def deliver(self, tables: Tables) -> Delivery:
        """Bring the target to hold `tables`; after a DeliveryError it has the old or the new."""


class MessageSender(Sender, Protocol):
    """Something that can take the mail: an SMTP server, a folder."""

    def send(self, message: EmailMessage) -> Delivery:
        """Send `message` (without From and To). Raises DeliveryError if nobody will get it."""
