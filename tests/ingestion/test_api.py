"""What the API may do wrong, and what is done about it."""

from __future__ import annotations

import base64
import gzip
import logging
import socket
import threading
import time
import traceback
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from ingestion.api import Api, GraderApi
from ingestion.errors import ApiError, CancelledError
from ingestion.windows import OVERLAP, Window
from tests.ingestion.fake_api import HASTY, KEY, FakeApi, Reply, attempts, instant, statuses, window

DAY = window("2023-04-01", "2023-04-02")
HOUR = window("2023-04-01T00:00:00", "2023-04-01T01:00:00")
SECRETS = {KEY, quote(KEY, safe=""), quote_plus(KEY), quote(KEY), base64.b64encode(KEY.encode()).decode()}


def failure(client: GraderApi, asked: Window = HOUR) -> ApiError:
    with pytest.raises(ApiError) as caught:
        client.fetch(asked)
    return caught.value


def always(reply: Reply) -> FakeApi:
    return FakeApi(rule=lambda _window, _number: reply)


def test_a_window_is_asked_for_in_utc_and_answered_in_order(grader: FakeApi) -> None:
    grader.records = attempts("2023-04-01T10:00:00", 5, timedelta(minutes=1))
    asked = window("2023-04-01T10:01:00.000001", "2023-04-01T10:04:00")
    now = instant("2023-04-05")
    (answer,) = grader.client(now=lambda: now).fetch(asked)
    assert [bytes(text).decode() for text in answer.records.texts] == [text for _, text in grader.records[2:4]]
    assert (answer.window, answer.fetched_at, answer.size) == (asked, now, len(grader.body(asked)))
    assert grader.queries == [
        {
            "client": "Skillfactory",
            "client_key": KEY,
            "start": "2023-04-01 10:01:00.000001",
            "end": "2023-04-01 10:04:00.000000",
        }
    ]


def test_a_compressed_answer_is_read(grader: FakeApi) -> None:
    packed = Reply(gzip.compress(b"[1, 2, 3]"), headers={"Content-Encoding": "gzip"})
    grader.rule = lambda _window, _number: packed
    assert len(grader.client().fetch(HOUR)[0].records) == 3


def test_an_answer_without_a_length_is_read(grader: FakeApi) -> None:
    grader.rule = lambda _window, _number: Reply(b"[1, 2]", length=False)
    assert len(grader.client().fetch(HOUR)[0].records) == 2


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504, 599])
def test_a_passing_failure_is_tried_again(grader: FakeApi, code: int) -> None:
    grader.rule = statuses([code, code])
    assert len(grader.client().fetch(HOUR)) == 1
    assert len(grader.windows) == 3


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b"[1, 2, 3]", cut=4),
        Reply(b"[1, 2, 3]", cut=4, length=False),
        Reply(b"[1, 2", cut=None),
        Reply(b""),
        Reply(reset=True),
        Reply(wait=0.6),
        Reply(b"[" + b" " * 40 + b"]", drip=0.05),
    ],
    ids=[
        "short of its length",
        "cut without a length",
        "cut short as JSON",
        "empty",
        "reset",
        "late",
        "dripping",
    ],
)
def test_an_answer_that_is_not_whole_is_tried_again(grader: FakeApi, reply: Reply) -> None:
    grader.rule = lambda _window, number: reply if number == 1 else None
    assert len(grader.client().fetch(HOUR)) == 1
    assert len(grader.windows) == 2


@pytest.mark.parametrize(
    ("reply", "code", "tries"),
    [
        (Reply(b"no", 500), 500, 3),
        (Reply(b"no", 503), 503, 3),
        (Reply(b"no", 429), 429, 3),
        (Reply(b"no", 401), 401, 1),
        (Reply(b"no", 403), 403, 1),
        (Reply(b"no", 404), 404, 1),
        (Reply(b"no", 400), 400, 1),
        (Reply(b"no", 418), 418, 1),
        (Reply(b"", 204), 204, 1),
        (Reply(b"<html>busy</html>", headers={"Content-Type": "text/html"}), 200, 1),
        (Reply(b'{"error": "busy"}'), 200, 1),
        (Reply(b'["\xff"]'), 200, 1),
        (Reply(b'[{"a": 1'), 200, 3),
        (Reply(b"[1, 2, 3]", cut=4), None, 3),
        (Reply(reset=True), None, 3),
        (Reply(wait=0.6), None, 2),
    ],
)
def test_a_failure_that_stays_is_an_error(reply: Reply, code: int | None, tries: int) -> None:
    with always(reply).serving() as api:
        error = failure(api.client())
        assert error.status_code == code
        assert error.window == HOUR
        assert len(api.windows) == tries
        assert f"status_code={code or 'none'}" in str(error)
        assert str(HOUR) in str(error)
        assert "What to do:" in str(error)


def test_a_redirect_is_not_followed(grader: FakeApi) -> None:
    with FakeApi().serving() as elsewhere:
        location = {"Location": f"{elsewhere.url}?client_key={quote(KEY)}"}
        grader.rule = lambda _window, _number: Reply(b"", 302, location)
        error = failure(grader.client(), DAY)
        assert (error.status_code, len(grader.windows)) == (302, 1)
        assert "redirect" in str(error)
        assert elsewhere.windows == []


def test_a_refused_connection_is_no_reason_to_ask_for_less() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        error = failure(GraderApi(Api(url, "c", KEY, HASTY)), DAY)
    assert (error.status_code, error.window) == (None, DAY)
    assert "refused" in str(error)


def test_an_unknown_host_is_named_as_such() -> None:
    error = failure(GraderApi(Api("http://grader.invalid/", "c", KEY, HASTY)), DAY)
    assert (error.status_code, error.window) == (None, DAY)
    assert "could not be resolved" in str(error)


def test_an_address_that_is_none_is_an_error() -> None:
    assert "check API_URL" in str(failure(GraderApi(Api("grader.example/path", "c", KEY, HASTY))))


def test_retry_after_is_honoured_within_bounds(grader: FakeApi, caplog: pytest.LogCaptureFixture) -> None:
    codes = iter([Reply(b"", 429, {"Retry-After": "3600"}), Reply(b"", 503, {"Retry-After": "0"})])
    grader.rule = lambda _window, _number: next(codes, None)
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        grader.client(replace(HASTY, retry_after_most=0.2, backoff=9, backoff_most=9)).fetch(HOUR)
    assert time.monotonic() - began >= 0.2
    assert [record.getMessage().rsplit("again", 1)[1] for record in caplog.records] == [
        " in 0.2 s.",
        " in 0.0 s.",
    ]


@pytest.mark.parametrize("code", [400, 413, 414, 422])
def test_a_refused_window_is_asked_for_in_halves_at_once(grader: FakeApi, code: int) -> None:
    grader.records = attempts("2023-04-01", 24, timedelta(hours=1))
    grader.rule = lambda asked, _: Reply(b"", code) if asked.length > timedelta(hours=7) else None
    answers = grader.client().fetch(DAY)
    assert [answer.window for answer in answers] == [
        window("2023-04-01", "2023-04-01T06:00:00"),
        Window(instant("2023-04-01T06:00:00") - OVERLAP, answers[1].window.end),
        Window(answers[1].window.end - OVERLAP, answers[2].window.end),
        Window(answers[2].window.end - OVERLAP, DAY.end),
    ]
    assert [bytes(text).decode() for answer in answers for text in answer.records.texts] == [
        text for _, text in grader.records
    ]
    assert len(grader.windows) == 7


@pytest.mark.parametrize(
    "reply",
    [Reply(b"", 504), Reply(wait=0.6), Reply(b"[1, 2", cut=3), Reply(b"[" + b"1," * 400 + b"1]")],
    ids=["504", "timeout", "cut", "oversized"],
)
def test_a_window_the_api_fails_on_is_asked_for_in_halves_after_the_retries(grader: FakeApi, reply: Reply) -> None:
    grader.rule = lambda asked, _: reply if asked.length > timedelta(hours=13) else None
    answers = grader.client(replace(HASTY, body_most=500)).fetch(DAY)
    assert [answer.window.end for answer in answers] == [instant("2023-04-01T12:00:00"), DAY.end]


def test_halving_ends_at_the_shortest_window(grader: FakeApi) -> None:
    grader.rule = lambda _window, _number: Reply(b"", 400)
    error = failure(grader.client(), DAY)
    assert error.status_code == 400
    assert error.window == window("2023-04-01", "2023-04-01T01:30:00")
    assert len(grader.windows) == 5


def test_a_dead_api_is_given_up_soon(grader: FakeApi) -> None:
    grader.rule = lambda _window, _number: Reply(b"", 503)
    failure(grader.client(replace(HASTY, tries=5)), DAY)
    assert len(grader.windows) == 5 + 4 * HASTY.tries_when_halved


def test_a_window_without_any_answer_is_given_up_when_stalled(grader: FakeApi) -> None:
    grader.rule = lambda _window, _number: Reply(b"", 503)
    failure(grader.client(replace(HASTY, stalled=0)), DAY)
    assert len(grader.windows) == 1


def test_nobody_waits_for_a_fetch_that_was_called_off(grader: FakeApi) -> None:
    grader.rule = lambda _window, _number: Reply(b"", 503)
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(CancelledError):
        grader.client(replace(HASTY, backoff=600, backoff_most=600)).fetch(DAY, stopped)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b"", 403),
        Reply(b"", 500),
        Reply(reset=True),
        Reply(wait=0.6),
        Reply(b"[1", cut=1),
        Reply(b"<p>"),
    ],
    ids=["403", "500", "reset", "late", "cut", "html"],
)
def test_the_key_is_nowhere_in_errors_and_logs(reply: Reply, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), always(reply).serving() as api:
        client = api.client()
        error = failure(client)
        seen = [repr(client.api), caplog.text, *_texts(error)]
    assert not [text for text in seen for secret in SECRETS if secret in text]


def test_the_key_is_not_shown_when_no_connection_comes_about(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        error = failure(GraderApi(Api("http://u:pw@127.0.0.1:1/path?x=1", "c", KEY, HASTY)))
    seen = [caplog.text, *_texts(error)]
    assert not [text for text in seen for secret in {*SECRETS, "u:pw", "x=1"} if secret in text]


def test_no_password_of_the_users_netrc_is_sent(
    grader: FakeApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password hidden\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    sent: list[str | None] = []
    client = grader.client()
    session = client._session()  # noqa: SLF001 the only place where a request's headers can be seen
    session.hooks["response"].append(lambda response, **_: sent.append(response.request.headers.get("Authorization")))
    client.fetch(HOUR)
    assert sent == [None]


def _texts(error: BaseException | None) -> list[str]:
    texts: list[str] = []
    while error is not None:
        texts += [str(error), repr(error), repr(error.args), "".join(traceback.format_exception(error))]
        error = error.__cause__ or error.__context__
    return texts
