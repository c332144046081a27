"""What the tests of the demo API share: a fixed clock, and an independent reading of the validity rules."""

from __future__ import annotations

import json
import re
from ast import literal_eval
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Any

from embedded.demo_api import records

UTC = timezone.utc
NOW = datetime(2026, 11, 18, 9, 30, tzinfo=UTC)
MOSCOW = timezone(timedelta(hours=3))
_CREATED = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(Z|[+-]\d\d:\d\d)?", re.ASCII)


def day(text: str) -> datetime:
    """Midnight in Moscow of a date."""
    return datetime.fromisoformat(text).replace(tzinfo=MOSCOW)


def answer(start: datetime, length: timedelta, now: datetime = NOW, scale: float = 1.0) -> list[str]:
    return list(records(start, start + length, now, scale))


def reasons(text: str, fetched_at: datetime = NOW) -> list[str]:
    """Why a record must be rejected, judged as PostgreSQL would store it."""
    record = stored(json.loads(text))
    if not isinstance(record, dict) or ": 1e999999" in text:
        return ["not_an_object"]
    found = []
    user = record.get("lti_user_id")
    if not isinstance(user, str) or not user.strip() or len(user) > 255:
        found.append("user_id_invalid")
    found += _reasons_of_params(record.get("passback_params"))
    kind, verdict = record.get("attempt_type"), record.get("is_correct")
    if kind not in ("run", "submit"):
        found.append("attempt_type_invalid")
    if isinstance(verdict, (list, dict, str)) or verdict not in (None, 0, 1):
        found.append("is_correct_invalid")
    if kind == "run" and verdict is not None:
        found.append("is_correct_on_run")
    created = created_at(record)
    if created is None or created.year < 2000:
        found.append("created_at_invalid")
    elif created > fetched_at + timedelta(days=1):
        found.append("created_at_in_future")
    return found


def params(record: dict[str, Any]) -> Any:
    """passback_params as an object, or None when they can't be read."""
    value = record.get("passback_params")
    return _read(value) if isinstance(value, str) else value


@cache
def _read(text: str) -> Any:
    for read in (json.loads, literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError):
            continue
    return None


def created_at(record: dict[str, Any]) -> datetime | None:
    match = _CREATED.fullmatch(str(record.get("created_at")))
    if match is None:
        return None
    date, time, fraction, zone = match.groups()
    offset = "+00:00" if zone in (None, "Z") else zone
    try:
        return datetime.fromisoformat(f"{date}T{time}.{(fraction or '0'):0<6}{offset}")
    except ValueError:
        return None


def _reasons_of_params(value: object) -> list[str]:
    held = params({"passback_params": value})
    if not isinstance(held, dict):
        return ["passback_params_invalid"]
    found = []
    sourcedid = held.get("lis_result_sourcedid")
    if not isinstance(sourcedid, str) or not sourcedid.strip() or len(sourcedid) > 1000:
        found.append("lis_result_sourcedid_invalid")
    url = held.get("lis_outcome_service_url")
    if url is not None and not (
        isinstance(url, str) and (not url.strip() or (re.match("https?://", url) and len(url) <= 2000))
    ):
        found.append("lis_outcome_service_url_invalid")
    consumer = held.get("oauth_consumer_key")
    if consumer is not None and not (isinstance(consumer, str) and len(consumer) <= 255):
        found.append("oauth_consumer_key_invalid")
    return found


def stored(value: Any) -> Any:
    """A JSON value as PostgreSQL can hold it: U+FFFD for NUL and lone surrogates."""
    if isinstance(value, str):
        return re.sub("[\0\ud800-\udfff]", "\ufffd", value)
    if isinstance(value, list):
        return [stored(item) for item in value]
    if isinstance(value, dict):
        return {stored(key): stored(item) for key, item in value.items()}
    return value
