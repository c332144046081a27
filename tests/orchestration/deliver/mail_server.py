"""A real SMTP server on loopback: STARTTLS, TLS, AUTH, and refusals wherever a test wants them."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER, PASSWORD = "robot", "p@ss wörd/+=".encode("ascii", "replace").decode()


@dataclass
class Authority:
    """A certificate authority of our own, and a certificate for 127.0.0.1 that it signed."""

    folder: Path

    def __post_init__(self) -> None:
        key, ca_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        ca = self._certificate("Test authority", ca_key.public_key(), "Test authority", ca_key, ca=True)
        own = self._certificate("127.0.0.1", key.public_key(), "Test authority", ca_key, ca=False)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (self.folder / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
        (self.folder / "server.pem").write_bytes(private + own.public_bytes(serialization.Encoding.PEM))

    def _certificate(self, name: str, public: Any, issuer: str, signer: Any, *, ca: bool) -> x509.Certificate:
        now = datetime.now(timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
            )
        return builder.sign(signer, hashes.SHA256())

    def server_context(self) -> ssl.SSLContext:
        """For the server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "server.pem")
        return context

    def client_context(self) -> ssl.SSLContext:
        """For a client that trusts this authority."""
        return ssl.create_default_context(cafile=str(self.folder / "ca.pem"))


@dataclass
class Post:
    """What the server got, and what it is to refuse: answers by stage, each used once, in order."""

    refuse: dict[str, list[str]] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    got: list[tuple[list[str], bytes]] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)
    logged_in: list[str] = field(default_factory=list)
    port: int = 0

    def _next(self, stage: str) -> str | None:
        self.stages.append(stage)
        return self.refuse[stage].pop(0) if self.refuse.get(stage) else None

    async def handle_EHLO(self, server: SMTP, session: Session, envelope: Envelope, host: str, answers: Any) -> Any:
        """Offers what the server has."""
        session.host_name = host
        return answers

    async def handle_MAIL(self, server: SMTP, session: Session, envelope: Envelope, who: str, options: Any) -> str:
        """The sender."""
        if refusal := self._next("MAIL"):
            return refusal
        envelope.mail_from = who
        return "250 OK"

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, who: str, options: Any) -> str:
        """A recipient."""
        if refusal := self._next("RCPT"):
            return refusal
        if who in self.unknown:
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(who)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """The text; 'cut' closes the line instead of an answer."""
        refusal = self._next("DATA")
        if refusal == "cut":
            assert isinstance(server.transport, asyncio.WriteTransport)
            server.transport.abort()
            return "250 nobody hears this"
        if refusal:
            return refusal
        assert isinstance(envelope.content, bytes)
        self.got.append((list(envelope.rcpt_tos), envelope.content))
        return "250 OK"

    async def handle_NOOP(self, server: SMTP, session: Session, envelope: Envelope, text: str) -> str:
        """Nothing."""
        return self._next("NOOP") or "250 OK"


class _Strict(SMTP):
    """Refuses the command DATA itself when a test wants that."""

    async def smtp_DATA(self, arg: str) -> None:
        post: Post = self.event_handler
        if refusal := post._next("DATA command"):
            await self.push(refusal)
            return
        await super().smtp_DATA(arg)


@contextmanager
def mail_server(post: Post, security: str, context: ssl.SSLContext | None, *, auth: bool = True) -> Iterator[Post]:
    """Serve `post` on a free port; sets its `port`."""

    def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        login, password = data.login.decode(), data.password.decode()
        post.logged_in.append(login)
        if refusal := post._next("AUTH"):
            return AuthResult(success=False, handled=False, message=refusal)
        if (login, password) == (USER, PASSWORD):
            return AuthResult(success=True)
        echo = f"535 5.7.8 wrong password {password} for {login}"
        return AuthResult(success=False, handled=False, message=echo)

    loop = asyncio.new_event_loop()

    def session() -> SMTP:
        return _Strict(
            post,
            hostname="test",
            loop=loop,
            authenticator=authenticate if auth else None,
            auth_required=auth and security == "starttls",
            auth_require_tls=security == "starttls",
            tls_context=context if security == "starttls" else None,
            require_starttls=security == "starttls",
        )

    encrypted = context if security == "tls" else None
    server = loop.run_until_complete(loop.create_server(session, "127.0.0.1", 0, ssl=encrypted))
    post.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield post
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
