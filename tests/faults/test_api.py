"""An API that fails: exit code 1, an ERROR with the status code, a mail about it; never a quiet day."""

from __future__ import annotations

import email
import email.policy
import socket
from datetime import timedelta

import pytest

from tests.faults.conftest import Scene
from tests.faults.machine import IMPATIENT, LONG
from tests.faults.report import Tally
from tests.faults.school import START, WINDOW, assert_sums_add_up, difference, marts, query
from tests.ingestion.fake_api import KEY, Reply, instant

BROKEN = instant(START) + timedelta(days=3)
WHOLE = b'[{"lti_user_id": "a"}, {"lti_user_id": "b"}]'
LOCATION = {"Location": "http://127.0.0.2:9/elsewhere"}
# What is answered for each slice from BROKEN on, and what the log says of it.
REPLIES: dict[str, tuple[Reply, str]] = {
    "reset": (Reply(reset=True), "none"),
    "silence": (Reply(wait=3), "none"),
    "slow drip": (Reply(WHOLE, drip=0.2), "none"),
    "cut short of its Content-Length": (Reply(WHOLE, cut=20), "none"),
    "cut short without Content-Length": (Reply(WHOLE, length=False, cut=20), "200"),
    "empty body": (Reply(b""), "200"),
    "408": (Reply(b"", 408), "408"),
    "429 with Retry-After": (Reply(b"", 429, {"Retry-After": "3600"}), "429"),
    "500": (Reply(b"[]", 500), "500"),
    "503": (Reply(b"[]", 503, {"Retry-After": "Wed, 21 Oct 2065 07:28:00 GMT"}), "503"),
    "400": (Reply(b"[]", 400), "400"),
    "401": (Reply(b"[]", 401), "401"),
    "403": (Reply(b"[]", 403), "403"),
    "404": (Reply(b"[]", 404), "404"),
    "a page with 200": (Reply(b"<html>Sign in</html>", headers={"Content-Type": "text/html"}), "200"),
    "an object": (Reply(b'{"error": "no such client"}'), "200"),
    "invalid UTF-8": (Reply(b'[{"lti_user_id": "\xff\xfe"}]'), "200"),
    "a redirect to another host": (Reply(b"", 302, LOCATION), "302"),
    "an oversized body": (Reply(b"[" + b" " * (5 << 20) + b"]"), "200"),
    "204": (Reply(b"", 204), "204"),
}
# How each is distinguished is tested with the ingestion; here a few stand for all.
FEW = ("reset", "cut short without Content-Length", "429 with Retry-After", "403", "an object")
# After which of them another run shows, in the short form, that nothing is left of the failure.
REPEATED = tuple(REPLIES) if LONG else ("reset", "an object")


@pytest.mark.parametrize("name", REPLIES if LONG else FEW)
def test_an_answer_that_is_none(scene: Scene, tally: Tally, name: str) -> None:
    reply, code = REPLIES[name]
    scene.put_back("loaded")
    quiet = query(scene.warehouse, "select count(*), max(window_end) from raw.fetches")
    mails = len(scene.clone.mails)
    scene.grader.rule = lambda window, _number: reply if window.end > BROKEN else None
    done = scene.prepared.run("run", *WINDOW, patience=IMPATIENT)
    assert done.code == 1, done.output
    assert f"status_code={code} " in next(line for line in done.output.splitlines() if " ERROR " in line)
    assert f" ERROR   The grader's API at {scene.grader.url}" in scene.clone.log
    assert "Traceback" not in done.output
    kept = query(scene.warehouse, "select count(*), max(window_end) from raw.fetches where asked_start is not null")
    assert kept[0][0] == quiet[0][0] + 3, "the slices before are kept, no other"
    later = query(scene.warehouse, "select count(*) from raw.fetches where window_end > %s", BROKEN)
    assert later == [(2,)], "of the run before"
    assert len(scene.clone.mails) == mails + 1
    mail = email.message_from_bytes(scene.clone.mails[-1].read_bytes(), policy=email.policy.default)
    assert "fail" in str(mail["Subject"]).lower()
    leaked = sum(text.count(KEY) for text in (done.output, scene.clone.log, mail.as_string()))
    assert leaked == 0
    if name not in REPEATED:
        return
    scene.grader.rule = lambda _window, _number: None
    assert scene.prepared.run("run", *WINDOW).code == 0
    lost, doubled = difference(scene.expected["loaded"], marts(scene.warehouse))
    tally.count(f"API: {name}", lost=len(lost), doubled=len(doubled), leaked=leaked)
    assert (lost, doubled) == ([], [])
    assert_sums_add_up(scene.warehouse)


def test_an_api_that_cannot_be_reached(scene: Scene, tally: Tally) -> None:
    scene.put_back("loaded")
    before = marts(scene.warehouse)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        for name, host in (("refused", f"127.0.0.1:{taken.getsockname()[1]}"), ("DNS", "grader.invalid")):
            done = scene.prepared.run("run", *WINDOW, patience=IMPATIENT, API_URL=f"http://{host}/api")
            tally.count(f"API: {name}", leaked=done.output.count(KEY))
            assert done.code == 1
            assert "status_code=none" in done.output
            assert "Traceback" not in done.output
            assert KEY not in done.output
    assert query(scene.warehouse, "select count(distinct asked_end) from raw.fetches") == [(1,)]
    assert marts(scene.warehouse) == before


def test_an_api_that_recovers_in_time(scene: Scene, tally: Tally) -> None:
    scene.put_back("loaded")
    failing = iter([Reply(b"", 500), Reply(reset=True), Reply(b"", 429, {"Retry-After": "0"}), Reply(WHOLE, cut=9)])
    scene.grader.rule = lambda _window, _number: next(failing, None)
    done = scene.prepared.run("run", *WINDOW, patience=IMPATIENT | {"tries": 6})
    assert done.code == 0, done.output
    lost, doubled = difference(scene.expected["loaded"], marts(scene.warehouse))
    tally.count("API: fails and recovers", 4, lost=len(lost), doubled=len(doubled))
    assert (lost, doubled) == ([], [])
