"""Connections that are not to be trusted: nothing is sent on them, and the message says why."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import certifi
import pytest

from ingestion.warehouse import Warehouse
from tests.faults.conftest import Scene
from tests.faults.machine import IMPATIENT
from tests.faults.report import Tally
from tests.faults.school import WINDOW, query
from tests.faults.tls import tls_front
from tests.orchestration.deliver.mail_server import PASSWORD as MAIL_PASSWORD
from tests.orchestration.deliver.mail_server import USER as MAIL_USER
from tests.orchestration.deliver.mail_server import Authority, Post, mail_server

DATABASE = "s3cret/of+the database"
NOBODY_KNOWS = "certificate verify failed"
# POSTGRES_SSLMODE, the host, whose authority is known, and what the refusal says.
REFUSED = (
    ("verify-full", "127.0.0.1", "the public's", NOBODY_KNOWS),
    ("verify-ca", "127.0.0.1", "the public's", NOBODY_KNOWS),
    (
        "verify-full",
        "localhost",
        "the server's",
        'certificate for "127.0.0.1".* does not match host name "localhost"',
    ),
    ("verify-full", "127.0.0.1", "nobody's", "root certificate file .* does not exist"),
)
TAKEN = (
    ("verify-full", "127.0.0.1", "the server's"),
    ("verify-ca", "localhost", "the server's"),
    ("require", "localhost", "nobody's"),
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The one that signed every server's certificate, which is for 127.0.0.1 and no other host."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def account(scene: Scene) -> Iterator[Warehouse]:
    """The scene's database by an account with a password."""
    scene.put_back("loaded")
    name = f"{scene.warehouse.dbname}_owner"
    scene.administer(f"create role {name} login superuser password '{DATABASE}'")
    host = "127.0.0.1" if scene.server.host.startswith("/") else scene.server.host
    yield replace(scene.warehouse, host=host, user=name, password=DATABASE)
    scene.put_back("empty")
    scene.administer(f"drop role {name}")


def certificate(authority: Authority, whose: str) -> str:
    """The file with the certificates of who is trusted."""
    files = {"the server's": str(authority.folder / "ca.pem"), "the public's": certifi.where()}
    return files.get(whose, "/nowhere/root.crt")


def test_a_database_that_is_not_who_it_should_be(
    scene: Scene, tally: Tally, account: Warehouse, authority: Authority
) -> None:
    clone = scene.clone
    context = authority.server_context()
    with tls_front(context, (account.host, account.port), postgres=True) as front:
        clone.use(replace(account, port=front.port))
        for mode, host, whose, message in REFUSED:
            trust = {
                "POSTGRES_HOST": host,
                "POSTGRES_SSLMODE": mode,
                "PGSSLROOTCERT": certificate(authority, whose),
            }
            for command in (("run", *WINDOW), ("check",)):
                done = scene.prepared.run(*command, **trust)
                said = sum(map(len, front.heard))
                tally.count(
                    "a database's certificate that is not to be trusted",
                    leaked=said + (DATABASE in done.output),
                )
                assert done.code == 1, done.output
                assert re.search(message, done.output), done.output
                assert "POSTGRES_" in done.output
                assert "Traceback" not in done.output
                assert DATABASE not in done.output
                assert said == 0
        for mode, host, whose in TAKEN:
            trust = {"POSTGRES_SSLMODE": mode, "PGSSLROOTCERT": certificate(authority, whose)}
            done = scene.prepared.run("ingest", *WINDOW, POSTGRES_HOST=host, **trust)
            assert done.code == 0, done.output
    assert any(front.heard)


def test_a_database_without_tls(scene: Scene, tally: Tally, account: Warehouse) -> None:
    with tls_front(None, (account.host, account.port), postgres=True) as front:
        scene.clone.use(replace(account, port=front.port))
        done = scene.prepared.run("run", *WINDOW, POSTGRES_SSLMODE="require")
        said = sum(map(len, front.heard))
        tally.count("a database without TLS where it is required", leaked=said)
        assert done.code == 1, done.output
        assert "does not support SSL, but SSL was required" in done.output
        assert said == 0


@pytest.mark.parametrize(("host", "whose"), [("127.0.0.1", "the public's"), ("localhost", "the server's")])
def test_an_api_and_a_mail_server_that_are_not_who_they_should_be(
    scene: Scene, tally: Tally, authority: Authority, host: str, whose: str
) -> None:
    scene.put_back("loaded")
    before = query(scene.warehouse, "select count(*) from raw.fetches")
    grader = urlsplit(scene.grader.url)
    context = authority.server_context()
    with (
        tls_front(context, ("127.0.0.1", grader.port or 0)) as front,
        mail_server(Post(), "starttls", context) as post,
    ):
        settings = {
            "API_URL": f"https://{host}:{front.port}{grader.path}",
            "SMTP_HOST": host,
            "SMTP_PORT": str(post.port),
            "SMTP_USER": MAIL_USER,
            "SMTP_PASSWORD": MAIL_PASSWORD,
            "EMAIL_FROM": "elt@example.org",
            "EMAIL_TO": "boss@example.org",
            "REQUESTS_CA_BUNDLE": certificate(authority, whose),
            "SSL_CERT_FILE": certificate(authority, whose),
        }
        for command in (("run", *WINDOW), ("check",)):
            done = scene.prepared.run(*command, patience=IMPATIENT, **settings)
            said = len(scene.grader.queries) + sum(map(len, front.heard)) + len(post.logged_in) + len(post.got)
            tally.count("an API's and a mail server's certificate that is not to be trusted", leaked=said)
            assert done.code == 1, done.output
            assert re.search(r"its TLS certificate could not be verified.*check API_URL", done.output), done.output
            assert f"the certificate of {host}:{post.port} is not to be trusted" in done.output
            assert "Traceback" not in done.output
            assert said == 0
        assert query(scene.warehouse, "select count(*) from raw.fetches") == before
        known = certificate(authority, "the server's")
        settings |= {"REQUESTS_CA_BUNDLE": known, "SSL_CERT_FILE": known, "SMTP_HOST": "127.0.0.1"}
        settings["API_URL"] = settings["API_URL"].replace("localhost", "127.0.0.1")
        assert scene.prepared.run("check", **settings).code == 0
        assert len(scene.grader.queries) == 1
        assert post.logged_in == [MAIL_USER]
