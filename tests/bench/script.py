"""The whole job as people write it in an afternoon: fetch, read the reprs, insert by pandas, group by day.

`python -m tests.bench.script API_URL CLIENT START END DATABASE_URL`, START and END being dates of the report zone, END
excluded. It stores `script.attempts` and `script.daily_metrics`. What the product does beyond that it leaves out: no
correction or repetition is recognised, no record is kept as it came, what can't be read is skipped, nothing is tested,
and a second run for the same days doubles them.
"""

from __future__ import annotations

import ast
import sys
from datetime import date, datetime, time, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd  # type: ignore[import-untyped, import-not-found, unused-ignore]
import requests
import sqlalchemy as sa  # type: ignore[import-not-found, unused-ignore]

ZONE = ZoneInfo("Europe/Moscow")


def fetch(session: requests.Session, url: str, client: str, day: date) -> list[dict[str, Any]]:
    """The records of one day."""
    bounds = [datetime.combine(at, time(), ZONE) for at in (day, day + timedelta(days=1))]
    start, end = (f"{at.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S.%f}" for at in bounds)
    parameters = {"client": client, "client_key": "made-up", "start": start, "end": end}
    response = session.get(url, params=parameters, timeout=60)
    response.raise_for_status()
    return list(response.json())


def read(records: list[dict[str, Any]]) -> pd.DataFrame:
    """The records as a table."""
    rows = []
    for record in records:
        try:
            params = ast.literal_eval(record["passback_params"])
        except (ValueError, SyntaxError):
            continue
        rows.append(
            {
                "user_id": record["lti_user_id"],
                "oauth_consumer_key": params.get("oauth_consumer_key"),
                "lis_result_sourcedid": params.get("lis_result_sourcedid"),
                "lis_outcome_service_url": params.get("lis_outcome_service_url"),
                "is_correct": record["is_correct"],
                "attempt_type": record["attempt_type"],
                "created_at": record["created_at"],
            }
        )
    frame = pd.DataFrame(rows)
    frame["created_at"] = pd.to_datetime(frame["created_at"], errors="coerce", utc=True)
    return frame.dropna(subset=["created_at"])


def daily_metrics(attempts: pd.DataFrame) -> pd.DataFrame:
    """Attempts, submits, success rate and users of each day."""
    attempts = attempts.assign(
        activity_date=attempts["created_at"].dt.tz_convert(str(ZONE)).dt.date,
        submit=attempts["attempt_type"] == "submit",
        correct=attempts["is_correct"] == 1,
        graded=(attempts["attempt_type"] == "submit") & attempts["is_correct"].notna(),
    )
    days = attempts.groupby("activity_date").agg(
        attempts=("user_id", "size"),
        submits=("submit", "sum"),
        correct_submits=("correct", "sum"),
        graded=("graded", "sum"),
        unique_users=("user_id", "nunique"),
    )
    days["success_rate"] = days["correct_submits"] / days["graded"]
    return days.drop(columns="graded").reset_index()


def main(url: str, client: str, start: str, end: str, database: str) -> None:
    """Do the whole job."""
    engine = sa.create_engine(database)
    with engine.begin() as connection:
        connection.execute(sa.text("create schema if not exists script"))
    day, frames = date.fromisoformat(start), []
    with requests.Session() as session:
        while day < date.fromisoformat(end):
            if records := fetch(session, url, client, day):
                frame = read(records)
                frame.to_sql("attempts", engine, schema="script", if_exists="append", index=False)
                frames.append(frame)
            day += timedelta(days=1)
    if frames:
        days = daily_metrics(pd.concat(frames, ignore_index=True))
        days.to_sql("daily_metrics", engine, schema="script", if_exists="replace", index=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
