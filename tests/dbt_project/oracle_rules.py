"""The rules for one record in plain Python, written from the contract alone: nothing here is shared
with the product.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import unquote

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MICROSECOND = timedelta(microseconds=1)
DAY_LENGTH = 86_400_000_000
CONSUMER, SOURCEDID, URL = "oauth_consumer_key", "lis_result_sourcedid", "lis_outcome_service_url"
# Unicode's White_Space property; str.isspace knows the ASCII separators 1C-1F besides.
WHITE_SPACE = (
    "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_CREATED_AT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[ T]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,6}))?"
    r"(?:Z|([+-])([0-9]{2}):([0-9]{2}))?"
)


@dataclass(frozen=True)
class Judged:
    """What becomes of one record; instants are microseconds since 1970, UTC. A field that is
    invalid is None.
    """

    reasons: tuple[str, ...]
    user_id: str | None = None
    oauth_consumer_key: str | None = None
    lis_result_sourcedid: str | None = None
    lis_outcome_service_url: str | None = None
    is_correct: bool | None = None
    attempt_type: str | None = None
    created_at: int | None = None


def micros(moment: datetime) -> int:
    """An aware instant as microseconds since 1970."""
    return (moment - EPOCH) // MICROSECOND


def clean(text: str) -> str:
    """U+FFFD in place of NUL and of lone surrogates."""
    return "".join("\ufffd" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in text)


def stored(value: Any) -> Any:
    """A JSON value as the warehouse holds it."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [stored(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): stored(item) for key, item in value.items()}
    return value


def is_blank(text: str) -> bool:
    return all(c.isspace() or c in WHITE_SPACE for c in text)


def read_repr(text: str) -> dict[Any, Any] | None:
    """The dict whose Python literal `text` is."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def read_json(text: str) -> dict[str, Any] | None:
    """The object whose JSON text (RFC 8259) `text` is."""
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def read_params(value: Any) -> dict[Any, Any] | None:
    if isinstance(value, dict):
        return value
    if not isinstance(value, str):
        return None
    as_json = read_json(value)
    return read_repr(value) if as_json is None else as_json


def read_created_at(text: str) -> int | None:
    """The instant of a `created_at`, before the year 2000 as well; None when it is no real date and
    time.
    """
    found = _CREATED_AT.fullmatch(text)
    if not found:
        return None
    *moment, fraction, sign, hours, minutes = found.groups()
    year, month, day, hour, minute, second = map(int, moment)
    microsecond = int((fraction or "0").ljust(6, "0"))
    try:
        local = datetime(year, month, day, hour, minute, second, microsecond, timezone.utc)
    except ValueError:
        return None
    instant = micros(local)
    if sign:
        if int(hours) > 23 or int(minutes) > 59:
            return None
        offset = (int(hours) * 60 + int(minutes)) * 60_000_000
        instant -= offset if sign == "+" else -offset
    return instant


def judge(record: Any, fetched_at: int) -> Judged:
    """Judge a record as the API sent it, answered at `fetched_at`."""
    record = stored(record)
    if not isinstance(record, dict):
        return Judged(("not_an_object",))
    reasons = []

    user_id = record.get("lti_user_id")
    if not isinstance(user_id, str) or is_blank(user_id) or len(user_id) > 255:
        reasons.append("user_id_invalid")
        user_id = None

    consumer, sourcedid, url, params_reasons = _judge_params(record.get("passback_params"))
    reasons += params_reasons

    attempt_type = record.get("attempt_type")
    if not isinstance(attempt_type, str) or attempt_type not in ("run", "submit"):
        reasons.append("attempt_type_invalid")
        attempt_type = None

    verdict = record.get("is_correct")
    is_correct = None
    if isinstance(verdict, (bool, int, float)) and verdict in (0, 1):
        is_correct = bool(verdict)
    elif verdict is not None:
        reasons.append("is_correct_invalid")
    if attempt_type == "run" and verdict is not None:
        reasons.append("is_correct_on_run")

    text = record.get("created_at")
    created_at = read_created_at(text) if isinstance(text, str) else None
    if created_at is None or created_at < micros(datetime(2000, 1, 1, tzinfo=timezone.utc)):
        reasons.append("created_at_invalid")
        created_at = None
    elif created_at > fetched_at + DAY_LENGTH:
        reasons.append("created_at_in_future")

    return Judged(tuple(reasons), user_id, consumer, sourcedid, url, is_correct, attempt_type, created_at)


def _judge_params(value: Any) -> tuple[str | None, str | None, str | None, list[str]]:
    """Consumer key, sourcedid and URL of `passback_params`, and the reasons to reject them."""
    params = read_params(value)
    if params is None:
        return None, None, None, ["passback_params_invalid"]
    consumer, sourcedid, url = (stored(params.get(name)) for name in (CONSUMER, SOURCEDID, URL))
    reasons = []
    if not isinstance(sourcedid, str) or is_blank(sourcedid) or len(sourcedid) > 1000:
        reasons.append("lis_result_sourcedid_invalid")
        sourcedid = None
    if isinstance(url, str) and is_blank(url):
        url = ""
    elif url is not None and not (
        isinstance(url, str) and url.startswith(("http://", "https://")) and len(url) <= 2000
    ):
        reasons.append("lis_outcome_service_url_invalid")
        url = None
    if isinstance(consumer, str) and is_blank(consumer):
        consumer = ""
    elif consumer is not None and not (isinstance(consumer, str) and len(consumer) <= 255):
        reasons.append("oauth_consumer_key_invalid")
        consumer = None
    return consumer, sourcedid, url, reasons


def split_sourcedid(sourcedid: str) -> tuple[str | None, str | None]:
    """Course key and block id of `<course key>:<host>-<block id>:<learner id>`, or two None."""
    parts = sourcedid.rsplit(":", 2)
    if len(parts) == 3:
        host, _, block = parts[1].rpartition("-")
        if parts[0] and host and block and parts[2]:
            return clean(unquote(parts[0])), block
    return None, None
