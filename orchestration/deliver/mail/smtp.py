"""A mail server, by smtplib: verified TLS, AUTH, retries only while nothing was sent."""

import logging
import smtplib
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage

from ingestion.redaction import Redactor
from orchestration.deliver import DeliveryError, words
from orchestration.deliver.catalogue import mark
from orchestration.deliver.mail.message import addressed, bare_address
from orchestration.deliver.retry import TryFailed, with_retries
from orchestration.settings import MailSettings
from orchestration.summary import Delivery

log = logging.getLogger(__name__)


@dataclass
class _Sending:
    """What has happened to the recipients so far."""

    waiting: list[str]
    sent: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


class SmtpServer:
    """A server to hand mails to, whose certificate is verified against `context`.

    `timeout` bounds each answer and `deadline` all retries, in seconds; `patience`: how long an
    outage is waited out beyond that.
    """

    name = mark("Mail")

    def __init__(
        self,
        mail: MailSettings,
        *,
        context: ssl.SSLContext | None = None,
        timeout: float = 30,
        deadline: float = 180,
        patience: float = 0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._mail, self._context = mail, context or ssl.create_default_context()
        self._timeout, self._deadline, self._sleep = timeout, deadline, sleep
        self._patience = patience
        self._where = f"{mail.host}:{mail.port}"
        self._redact = Redactor([mail.password])

    @property
    def target(self) -> str:
        return ", ".join(self._mail.recipients)

    def send(self, message: EmailMessage, recipients: Sequence[str] = ()) -> Delivery:
        """Hand the message over, to `recipients` or else those of the settings.

        A server that asks for patience before the mail's text went out is tried again. Raises
        DeliveryError if nobody will get it.
        """
        recipients = recipients or self._mail.recipients
        mail = addressed(message, self._mail.sender, recipients)
        sending = _Sending([bare_address(recipient) for recipient in recipients])
        problem = ""
        try:
            with_retries("mail", lambda: self._send(mail, sending), self._deadline, self._sleep, self._patience)
        except TryFailed as failure:
            problem = str(failure)
        missed = sending.refused | dict.fromkeys(sending.waiting, problem)
        for recipient, reason in missed.items():
            log.error("mail: %s does not get it: %s", recipient, reason)
        if not sending.sent:
            refused = "; ".join(f"{recipient}: {reason}" for recipient, reason in sending.refused.items())
            raise DeliveryError(f"the mail was not sent: {problem or f'every recipient was refused: {refused}'}")
        refused = f"; refused: {', '.join(missed)}" if missed else ""
        detail = f"sent to {', '.join(sending.sent)}{refused} by {self._where}"
        return Delivery(self.name, True, ", ".join(recipients), detail)

    def check(self) -> str:
        try:
            self._talk(lambda server: self._expect("NOOP", server.noop()))
            return f"{self._where} takes mail for {self.target}"
        except TryFailed as failure:
            problem = str(failure)
        raise DeliveryError(problem)

    def _expect(self, stage: str, answer: tuple[int, bytes]) -> None:
        if answer[0] != 250:
            raise self._refusal(stage, *answer)

    def _send(self, mail: EmailMessage, sending: _Sending) -> None:
        later: dict[str, str] = {}

        def hand_over(server: smtplib.SMTP) -> None:
            self._expect("MAIL FROM", server.mail(bare_address(self._mail.sender)))
            accepted: list[str] = []
            for recipient in sending.waiting:
                code, answer = server.rcpt(recipient)
                if code in {250, 251}:
                    accepted.append(recipient)
                elif code == 421:
                    raise self._refusal("RCPT TO", code, answer)
                else:
                    (later if code < 500 else sending.refused)[recipient] = self._quoted(code, answer)
            sending.waiting = [*accepted, *later]
            if accepted:
                self._send_text(server, mail, accepted)
                sending.sent += accepted
                sending.waiting = [*later]

        self._talk(hand_over)
        if later:
            reason = next(iter(later.values()))
            raise TryFailed(f"{self._where} put off {', '.join(later)}: {reason}", again=True)

    def _send_text(self, server: smtplib.SMTP, mail: EmailMessage, recipients: list[str]) -> None:
        """The text itself. Not repeated once it may have gone out: its arrival can't be known."""
        try:
            code, answer = server.data(bytes(mail))
        except smtplib.SMTPDataError as error:  # the server refused the command, before the text
            raise self._refusal("DATA", error.smtp_code, error.smtp_error) from None
        except (OSError, smtplib.SMTPException) as error:
            raise TryFailed(
                f"{self._where} fell silent ({type(error).__name__}) while it took the text: "
                f"{', '.join(recipients)} may have got it or not "
                f"(a repeat carries the same Message-ID, {mail['Message-ID']})"
            ) from None
        if code != 250:
            raise TryFailed(f"{self._where} refused the text: {self._quoted(code, answer)}")

    def _talk(self, act: Callable[[smtplib.SMTP], None]) -> None:
        """Let `act` use a secured, logged-in connection; every failure leaves as TryFailed."""
        stage = "connect"
        server: smtplib.SMTP | None = None
        try:
            server = self._connect()
            if self._mail.security == "starttls":
                server.starttls(context=self._context)
            server.ehlo_or_helo_if_needed()
            stage = "log in"
            if self._mail.user:
                server.login(self._mail.user, self._mail.password)
            stage = "talk"
            act(server)
            with suppress(OSError, smtplib.SMTPException):
                server.quit()
            return
        except TryFailed as caught:
            failure = caught
        except (OSError, smtplib.SMTPException, UnicodeError) as error:
            failure = self._failure(error, stage)
        finally:
            if server is not None:
                server.close()
        raise failure

    def _connect(self) -> smtplib.SMTP:
        if self._mail.security == "tls":
            return smtplib.SMTP_SSL(self._mail.host, self._mail.port, timeout=self._timeout, context=self._context)
        return smtplib.SMTP(self._mail.host, self._mail.port, timeout=self._timeout)

    def _failure(self, error: Exception, stage: str) -> TryFailed:
        """What a library's exception means, without the password."""
        text = self._redact(words.one_line(str(error), 300))
        match error:
            case ssl.SSLCertVerificationError():
                reason = error.verify_message
                return TryFailed(f"the certificate of {self._where} is not to be trusted: {reason}")
            case ssl.SSLError():
                return TryFailed(f"no TLS with {self._where} ({error.reason}): is SMTP_SECURITY right for the port?")
            case smtplib.SMTPResponseException():
                return self._refusal(stage, error.smtp_code, error.smtp_error)
            case smtplib.SMTPServerDisconnected():
                return TryFailed(f"no answer from {self._where} (stage: {stage}): {text}", again=True)
            case smtplib.SMTPException():
                return TryFailed(f"{self._where}: {text} (stage: {stage})")
            case UnicodeError():
                return TryFailed("SMTP_USER and SMTP_PASSWORD can only hold ASCII characters")
            case socket.gaierror():
                return TryFailed(f"the mail server {self._mail.host} is not known ({error.strerror})", again=True)
        reason = getattr(error, "strerror", None) or text or type(error).__name__
        return TryFailed(f"no answer from {self._where}: {reason}", again=True)

    def _refusal(self, stage: str, code: int, answer: bytes | str) -> TryFailed:
        text = f"{self._where} refused ({stage}): {self._quoted(code, answer)}"
        return TryFailed(text, again=400 <= code < 500)

    def _quoted(self, code: int, answer: bytes | str) -> str:
        text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
        return f"{code} {words.one_line(self._redact(text), 300)}"
