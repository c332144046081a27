"""The demo API over HTTP: what it answers, refuses and says, and that it goes when nobody needs it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from embedded.demo_api import DemoApi, DemoApiError, records, running
from tests.embedded.demo_api.school import NOW, day

START, END = "2026-11-16 21:00:00.000000", "2026-11-17 21:00:00.000000"
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def api() -> Iterator[DemoApi]:
    with running(scale=0.5, now=NOW) as started:
        yield started


def ask(api: DemoApi, **changes: str | None) -> requests.Response:
    query = {"client": api.client, "client_key": api.client_key, "start": START, "end": END} | changes
    return requests.get(api.url, params=query, timeout=60)


def test_answers_a_json_list_of_the_windows_records(api: DemoApi) -> None:
    response = ask(api)
    expected = list(records(day("2026-11-17"), day("2026-11-18"), NOW, 0.5))
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.content == f"[{', '.join(expected)}]".encode()
    assert isinstance(response.json(), list)
    assert len(response.json()) == len(expected) > 500


def test_the_same_window_gives_the_same_bytes_on_a_kept_connection(api: DemoApi) -> None:
    with requests.Session() as session:
        query = {"client": api.client, "client_key": api.client_key, "start": START, "end": END}
        first, second = (session.get(api.url, params=query, timeout=60).content for _ in range(2))
    assert first == second


@pytest.mark.parametrize("end", [START, "2026-11-16 21:00:00.000001"])
def test_an_empty_answer_is_an_empty_list(api: DemoApi, end: str) -> None:
    response = ask(api, end=end)
    assert (response.status_code, response.text) == (200, "[]")


def test_a_window_in_the_future_is_empty(api: DemoApi) -> None:
    assert ask(api, start="2030-01-01 00:00:00.000000", end="2031-01-01 00:00:00.000000").json() == []


@pytest.mark.parametrize(
    "changes", [{"client": "somebody"}, {"client_key": "wrong"}, {"client_key": ""}, {"client_key": "ключ"}]
)
def test_wrong_credentials_are_forbidden(api: DemoApi, changes: dict[str, str | None]) -> None:
    response = ask(api, **changes)
    assert response.status_code == 403
    assert "error" in response.json()
    assert api.client_key not in response.text


@pytest.mark.parametrize("missing", ["client", "client_key", "start", "end"])
def test_a_missing_parameter_is_a_bad_request(api: DemoApi, missing: str) -> None:
    response = ask(api, **{missing: None})
    assert response.status_code == 400
    assert missing in response.json()["error"]


@pytest.mark.parametrize(
    "start",
    [
        "",
        "yesterday",
        "2026-11-17",
        "2026-11-17T00:00:00.000000",
        "2026-02-30 00:00:00.000000",
        "2026-11-17 00:00:00",
        "2026-11-17 00:00:00.000000Z",
        "2027-01-01 00:00:00.000000",
    ],
)
def test_an_unreadable_or_reversed_window_is_a_bad_request(api: DemoApi, start: str) -> None:
    response = ask(api, start=start)
    assert response.status_code == 400
    assert "start" in response.json()["error"]


@pytest.mark.parametrize("path", ["/", "/api/statistics/", "/api", "//[", "/api/statistics%20"])
def test_other_paths_are_not_found(api: DemoApi, path: str) -> None:
    connection = HTTPConnection(urlsplit(api.url).netloc, timeout=60)
    connection.request("GET", path)
    response = connection.getresponse()
    assert response.status == 404
    assert "error" in json.loads(response.read())
    connection.close()


def test_other_methods_are_refused_in_json(api: DemoApi) -> None:
    response = requests.post(api.url, timeout=60)
    assert response.status_code == 501
    assert "error" in response.json()


def test_a_client_of_http_1_0_gets_the_same_body(api: DemoApi) -> None:
    parts = urlsplit(ask(api).request.url or "")
    connection = HTTPConnection(str(parts.netloc), timeout=60)
    connection._http_vsn, connection._http_vsn_str = 10, "HTTP/1.0"  # type: ignore[attr-defined]
    connection.request("GET", f"{parts.path}?{parts.query}".replace("+", "%20"))
    response = connection.getresponse()
    assert response.getheader("Transfer-Encoding") is None
    assert response.read() == ask(api).content


def test_a_client_that_hangs_up_does_no_harm(api: DemoApi) -> None:
    query = {
        "client": api.client,
        "client_key": api.client_key,
        "start": "2020-01-01 00:00:00.000000",
        "end": END,
    }
    with requests.get(api.url, params=query, stream=True, timeout=60) as response:
        assert next(response.iter_content(10)) == b'[{"lti_use'
    assert ask(api).status_code == 200


def test_the_key_is_random_and_kept_to_itself(api: DemoApi) -> None:
    with running(now=NOW) as other:
        assert other.client_key != api.client_key
        assert other.url != api.url
    assert api.client_key not in repr(api)


def test_it_is_gone_after_the_context() -> None:
    with running() as started:
        pass
    with pytest.raises(requests.ConnectionError):
        requests.get(started.url, timeout=60)


def test_a_bad_scale_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_SCALE", "plenty")
    with pytest.raises(DemoApiError, match="'plenty' is not a number above 0"), running():
        pass


def test_demo_scale_is_the_default_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_SCALE", "0.1")
    with running(now=NOW) as small:
        expected = len(list(records(day("2026-11-17"), day("2026-11-18"), NOW, 0.1)))
        assert len(ask(small).json()) == expected


def test_it_dies_with_its_parent_even_when_that_is_killed() -> None:
    code = (
        "import time\nfrom embedded.demo_api import running\n"
        "with running() as api:\n    print(api.url, flush=True)\n    time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        assert requests.get(url, timeout=60).status_code == 400
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while _answers(url) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _answers(url)


def test_it_says_one_line_and_ends_with_its_input() -> None:
    environment = {**os.environ, "DEMO_API_KEY": "k"}
    command = [sys.executable, "-m", "embedded.demo_api", "--port", "0", "--now", NOW.isoformat()]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert ready["client"] == "demo"
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/api/statistics", ready["url"])
        assert ask(DemoApi(ready["url"], "demo", "k")).status_code == 200
        assert ask(DemoApi(ready["url"], "demo", "wrong")).status_code == 403
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, b"", b"")


@pytest.mark.parametrize(
    ("arguments", "key", "complaint"),
    [([], "", "DEMO_API_KEY"), (["--scale", "0"], "k", "above 0"), (["--now", "noon"], "k", "ISO date")],
)
def test_bad_usage_is_explained(arguments: list[str], key: str, complaint: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "embedded.demo_api", *arguments],
        cwd=ROOT,
        env={**os.environ, "DEMO_API_KEY": key},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert complaint in done.stderr


def _answers(url: str) -> bool:
    try:
        requests.get(url, timeout=60)
    except requests.RequestException:
        return False
    return True
