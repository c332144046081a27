"""Mail over real SMTP."""

from __future__ import annotations

import base64
import email
import email.policy
import logging
import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from orchestration.deliver import DeliveryError, Links
from orchestration.deliver.figures import Figures
from orchestration.deliver.mail.message import compose
from orchestration.deliver.mail.smtp import SmtpServer
from orchestration.deliver.record import Past
from orchestration.deliver.words import ENGLISH
from orchestration.settings import MailSettings
from orchestration.summary import RunSummary
from tests.orchestration.deliver.mail_server import PASSWORD, USER, Authority, Post, mail_server

BOSS, DEAN = "boss@example.org", "dean@example.org"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(params=["starttls", "tls", "none"])
def security(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def post(authority: Authority) -> Iterator[Post]:
    with mail_server(Post(), "starttls", authority.server_context()) as running:
        yield running


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def message(figures: Figures, summary: RunSummary) -> Any:
    return compose(figures, summary, Links(), Past(), ENGLISH).main


def server(
    post: Post,
    authority: Authority,
    waits: list[float] | None = None,
    *,
    timeout: float = 5,
    context: Any = "that of the authority",
    **other: Any,
) -> SmtpServer:
    settings = MailSettings(
        host="127.0.0.1",
        port=post.port,
        security="starttls",
        user=USER,
        password=PASSWORD,
        sender="Grader figures <elt@example.org>",
        recipients=(BOSS, f"The Dean <{DEAN}>"),
    )
    return SmtpServer(
        replace(settings, **other),
        context=authority.client_context() if isinstance(context, str) else context,
        timeout=timeout,
        sleep=(waits if waits is not None else []).append,
    )


def test_a_mail_arrives_whole(authority: Authority, security: str, message: Any) -> None:
    with mail_server(Post(), security, authority.server_context()) as post:
        delivery = server(post, authority, security=security).send(message)
    assert delivery.ok
    assert BOSS in delivery.detail
    ((recipients, content),) = post.got
    assert recipients == [BOSS, DEAN]
    assert post.logged_in == [USER]
    got = email.message_from_bytes(content, policy=email.policy.default)
    assert got["From"] == "Grader figures <elt@example.org>"
    assert got["To"] == f"{BOSS}, The Dean <{DEAN}>"
    assert got["Subject"] == message["Subject"]
    assert [part.get_content_type() for part in got.walk()] == [
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "image/png",
    ]


def test_the_same_run_has_the_same_message_id(post: Post, authority: Authority, message: Any) -> None:
    sender = server(post, authority)
    sender.send(message)
    sender.send(message)
    ids = {email.message_from_bytes(content)["Message-ID"] for _, content in post.got}
    assert ids == {"<20261122T030000Z-7f3a@example.org>"}


def test_no_user_no_auth(authority: Authority, message: Any) -> None:
    with mail_server(Post(), "none", None, auth=False) as post:
        server(post, authority, security="none", user="", password="").send(message)
    assert post.logged_in == []
    assert len(post.got) == 1


@pytest.mark.parametrize("security", ["starttls", "tls"], indirect=True)
def test_a_certificate_nobody_vouches_for_is_refused(authority: Authority, security: str, message: Any) -> None:
    with (
        mail_server(Post(), security, authority.server_context()) as post,
        pytest.raises(DeliveryError, match="certificate of 127.0.0.1.*not to be trusted"),
    ):
        server(post, authority, security=security, context=ssl.create_default_context()).send(message)
    assert post.logged_in == []
    assert post.got == []


def test_the_systems_authorities_are_used_without_a_context(
    post: Post, authority: Authority, message: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.folder / "ca.pem"))
    assert server(post, authority, context=None).send(message).ok


def test_starttls_is_not_done_without(authority: Authority, message: Any) -> None:
    with (
        mail_server(Post(), "none", None) as post,
        pytest.raises(DeliveryError, match="STARTTLS"),
    ):
        server(post, authority).send(message)
    assert post.logged_in == []


def test_a_wrong_password_is_not_repeated_nor_shown(
    post: Post, authority: Authority, message: Any, waits: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    wrong = "wrong pass/+="
    caplog.set_level(logging.DEBUG)
    with pytest.raises(DeliveryError, match="535") as caught:
        server(post, authority, waits, password=wrong).send(message)
    assert waits == []
    logged = [record.getMessage() for record in caplog.records if record.name.startswith("orchestration")]
    told = " ".join([str(caught.value), *logged])
    assert wrong not in told
    assert base64.b64encode(f"\0{USER}\0{wrong}".encode()).decode() not in told
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


def test_a_password_beyond_ascii_is_not_shown(post: Post, authority: Authority, message: Any) -> None:
    with pytest.raises(DeliveryError, match="ASCII") as caught:
        server(post, authority, password="пароль").send(message)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA command"])
def test_a_server_that_asks_for_patience_is_asked_again(
    post: Post, authority: Authority, message: Any, waits: list[float], stage: str
) -> None:
    post.refuse[stage] = ["451 4.7.1 come back later"]
    assert server(post, authority, waits).send(message).ok
    assert sorted(who for recipients, _ in post.got for who in recipients) == [BOSS, DEAN]
    assert len(waits) == 1


def test_a_recipient_put_off_gets_the_mail_later_and_the_other_once(
    post: Post, authority: Authority, message: Any, waits: list[float]
) -> None:
    post.refuse["RCPT"] = ["450 4.2.0 greylisted"]
    delivery = server(post, authority, waits).send(message)
    assert [recipients for recipients, _ in post.got] == [[DEAN], [BOSS]]
    assert "refused" not in delivery.detail


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA command"])
def test_patience_ends(post: Post, authority: Authority, message: Any, waits: list[float], stage: str) -> None:
    post.refuse[stage] = ["451 4.7.1 come back later"] * 100
    with pytest.raises(DeliveryError, match="451 4.7.1 come back later"):
        server(post, authority, waits).send(message)
    assert 1 <= len(waits) < 10
    assert post.got == []


@pytest.mark.parametrize("stage", ["MAIL", "DATA command", "DATA"])
def test_a_refusal_for_good_is_not_repeated(
    post: Post, authority: Authority, message: Any, waits: list[float], stage: str
) -> None:
    post.refuse[stage] = ["554 5.7.1 we do not want this"]
    with pytest.raises(DeliveryError, match="554 5.7.1 we do not want this"):
        server(post, authority, waits).send(message)
    assert waits == []


def test_a_refused_recipient_is_logged_by_name_and_the_others_get_it(
    post: Post, authority: Authority, message: Any, caplog: pytest.LogCaptureFixture
) -> None:
    post.unknown.add(BOSS)
    delivery = server(post, authority).send(message)
    assert delivery.ok
    assert f"refused: {BOSS}" in delivery.detail
    assert [recipients for recipients, _ in post.got] == [[DEAN]]
    assert any(BOSS in record.message and "550 5.1.1" in record.message for record in caplog.records)


def test_nobody_left_is_an_error(post: Post, authority: Authority, message: Any) -> None:
    post.unknown |= {BOSS, DEAN}
    with pytest.raises(DeliveryError, match=f"{BOSS}: 550.*{DEAN}: 550"):
        server(post, authority).send(message)


@pytest.mark.parametrize("refusal", ["cut", "451 4.3.0 try again"])
def test_nothing_is_repeated_once_the_text_went_out(
    post: Post, authority: Authority, message: Any, waits: list[float], refusal: str
) -> None:
    post.refuse["DATA"] = [refusal]
    expected = "may have got it or not.*7f3a@example.org" if refusal == "cut" else "451 4.3.0"
    with pytest.raises(DeliveryError, match=expected):
        server(post, authority, waits).send(message)
    assert post.stages.count("DATA") == 1
    assert waits == []


def test_nobody_listening_is_tried_again_and_told(authority: Authority, message: Any, waits: list[float]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        closed = Post(port=taken.getsockname()[1])
        with pytest.raises(DeliveryError, match=f"no answer from 127.0.0.1:{closed.port}"):
            server(closed, authority, waits).send(message)
    assert len(waits) > 0


def test_a_silent_server_times_out(authority: Authority, message: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        post = Post(port=silent.getsockname()[1])
        with pytest.raises(DeliveryError, match="no answer"):
            server(post, authority, timeout=0.2).send(message)


def test_check_logs_in_and_sends_nothing(authority: Authority, security: str) -> None:
    with mail_server(Post(), security, authority.server_context()) as post:
        told = server(post, authority, security=security).check()
    assert BOSS in told
    assert post.stages == ["AUTH", "NOOP"]


@pytest.mark.parametrize("wrong", [{"password": "wrong"}, {"context": ssl.create_default_context()}])
def test_check_fails_where_a_mail_would(post: Post, authority: Authority, wrong: dict[str, Any]) -> None:
    with pytest.raises(DeliveryError):
        server(post, authority, **wrong).check()


@pytest.mark.parametrize("bad", ["boss", "boss@example.org\r\nBcc: x@example.org", "a@b, c@d", "", "бос@example.org"])
def test_an_address_that_is_none_is_named(post: Post, authority: Authority, message: Any, bad: str) -> None:
    with pytest.raises(DeliveryError, match="not a mail address"):
        server(post, authority, recipients=(bad,)).send(message)
    assert post.got == []
