"""Deliveries: what a run shows to people, and the ways it gets there.

What is shown (`figures`, `sheet.tables`, `body`), how it looks (`text`, `html`, `picture`, `message`) and who
carries it (`sheets`, `smtp`, and the file writers that stand in for them) know nothing of each other but
these types. A sender gets all it needs as arguments; none reads the environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from orchestration.errors import EXIT_DELIVERY_FAILED, GraderError

if TYPE_CHECKING:
    from email.message import EmailMessage

    from orchestration.deliver.sheet.tables import Tables
    from orchestration.summary import Delivery


class DeliveryError(GraderError):
    """A delivery failed. Senders leave their `except` blocks first: no other exception hangs on it."""

    exit_code = EXIT_DELIVERY_FAILED


class TableSender(Protocol):
    """Something that can take the worksheets: a Google spreadsheet, a workbook file."""

    @property
    def name(self) -> str:
        """What the delivery is called on the screen and in the mail."""

    @property
    def target(self) -> str:
        """Where it goes: an address or a path."""

    def deliver(self, tables: Tables) -> Delivery:
        """Bring the target to hold `tables`; after a DeliveryError it holds the old or the new ones."""

    def check(self) -> str:
        """Prove, changing nothing, that `deliver` can work; returns how in words, or raises DeliveryError."""


class MessageSender(Protocol):
    """Something that can take the mail: an SMTP server, a folder."""

    @property
    def name(self) -> str:
        """What the delivery is called on the screen and in the mail."""

    @property
    def target(self) -> str:
        """Where it goes: addresses or a path."""

    def send(self, message: EmailMessage) -> Delivery:
        """Send `message` (which has no From and To yet); raises DeliveryError when nobody will get it."""

    def check(self) -> str:
        """Prove, sending nothing, that `send` can work; returns how in words, or raises DeliveryError."""
