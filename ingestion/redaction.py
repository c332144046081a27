"""Secrets out of every text that leaves the process: messages, logs, traces."""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

# Shorter values would blot out ordinary words, and so would short pieces of base64.
SHORTEST_SECRET = 3
SHORTEST_PIECE = 8


class Redactor:
    """Replaces secrets, as they are, URL-encoded and in base64, by `***`."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms: set[str] = set()
        for secret in secrets:
            if len(secret) >= SHORTEST_SECRET:
                # A variable may hold bytes that are no text.
                raw = secret.encode("utf-8", "surrogateescape")
                forms |= {secret, quote(raw, safe=""), quote_plus(raw), quote(raw)}
                forms |= {repr(secret)[1:-1], json.dumps(secret)[1:-1], *_in_base64(raw)}
        longest_first = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def __call__(self, text: str) -> str:
        return self._pattern.sub("***", text) if self._pattern else text


def _in_base64(secret: bytes) -> Iterator[str]:
    """The secret in base64, by itself and as it shows in that of a longer text (`user:password`)."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        whole = encode(secret).decode()
        yield from (whole, whole.rstrip("="))
        for before in range(3):
            # Six bits a character: only those that hold nothing but the secret's bits.
            first, end = -(-before * 8 // 6), (before + len(secret)) * 8 // 6
            piece = encode(bytes(before) + secret).decode()[first:end]
            if len(piece) >= SHORTEST_PIECE:
                yield piece
