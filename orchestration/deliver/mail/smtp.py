"""A mail server, spoken to with smtplib: verified TLS, AUTH, and repeats only while nothing was sent."""

from __future__ import annotations

import base64
import logging
import smtplib
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Literal
from urllib.parse import quote

import tenacity

from orchestration.deliver import DeliveryError, words
from orchestration.deliver.mail.message import addressed, bare_address
from orchestration.summary import Delivery

log = logging.getLogger(__name__)

Security = Literal["starttls", "tls", "none"]
_ATTEMPTS = 4
_HIDDEN = "(hidden)"


class _Failed(Exception):
    """A dialogue that came to nothing; `again` when the mail was not sent and may pass later."""

    def __init__(self, text: str, again: bool) -> None:
        super().__init__(text)
        self.again = again


@dataclass
class _Sending:
    """What became of the recipients so far."""

    waiting: list[str]
    sent: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


class SmtpServer:
    """A server to hand mails to.

    `security` is `starttls`, `tls` (from the first byte) or `none`; the certificate is verified against
    `context`, the system's authorities by default. Without `user` there is no AUTH. `timeout` bounds each
    answer and `deadline` all repeats, in seconds; `sleep` is what waits between repeats.
    """

    name = "Mail"

    def __init__(
        self,
        host: str,
        port: int,
        security: Security,
        user: str | None,
        password: str | None,
        sender: str,
        recipients: Sequence[str],
        *,
        context: ssl.SSLContext | None = None,
        timeout: float = 30,
        deadline: float = 180,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._host, self._port, self._security = host, port, security
        self._user, self._password = user, password or ""
        self._sender = sender
        self._recipients = tuple(recipients)
        self._context = context
        self._timeout, self._deadline, self._sleep = timeout, deadline, sleep

    @property
    def target(self) -> str:
        """The recipients."""
        return ", ".join(self._recipients)

    def send(self, message: EmailMessage) -> Delivery:
        """Hand the message over. Recipients that the server refuses are logged; raises DeliveryError if no
        one is left.

        A server that asks for patience before the mail's text went out is asked again, also for single
        recipients.
        """
        mail = addressed(message, self._sender, self._recipients)
        sending = _Sending([bare_address(recipient) for recipient in self._recipients])
        problem = self._persist(lambda: self._send(mail, sending))
        missed = sending.refused | dict.fromkeys(sending.waiting, problem)
        for recipient, why in missed.items():
            log.error("mail: %s does not get it: %s", recipient, why)
        if not sending.sent:
            refused = "; ".join(f"{who}: {why}" for who, why in sending.refused.items())
            raise DeliveryError(
                f"the mail was not sent: {problem or f'every recipient was refused: {refused}'}"
            )
        detail = f"sent to {', '.join(sending.sent)}"
        if missed:
            detail += f"; refused: {', '.join(missed)}"
        return Delivery(self.name, True, self.target, f"{detail} by {self._where}")

    def check(self) -> str:
        """Connect, secure the line, log in, and say goodbye, once. Raises DeliveryError; sends no mail."""
        try:
            self._greet()
        except _Failed as failure:
            problem = str(failure)
        else:
            return f"{self._where} takes mail for {self.target}"
        raise DeliveryError(problem)

    @property
    def _where(self) -> str:
        return f"{self._host}:{self._port}"

    def _greet(self) -> None:
        with self._dialogue() as server:
            code, answer = server.noop()
            if code != 250:
                raise self._refusal("NOOP", code, answer)

    def _send(self, mail: EmailMessage, sending: _Sending) -> None:
        with self._dialogue() as server:
            code, answer = server.mail(bare_address(self._sender))
            if code != 250:
                raise self._refusal("MAIL FROM", code, answer)
            taken: list[str] = []
            later: dict[str, str] = {}
            for recipient in sending.waiting:
                code, answer = server.rcpt(recipient)
                if code in {250, 251}:
                    taken.append(recipient)
                elif code == 421:
                    raise self._refusal("RCPT TO", code, answer)
                else:
                    (later if code < 500 else sending.refused)[recipient] = self._said(code, answer)
            sending.waiting = taken + list(later)
            if taken:
                self._data(server, mail, taken)
                sending.sent += taken
                sending.waiting = list(later)
        if later:
            raise _Failed(
                f"{self._where} put off {', '.join(later)}: {next(iter(later.values()))}", again=True
            )

    def _data(self, server: smtplib.SMTP, mail: EmailMessage, taken: list[str]) -> None:
        """The text itself. Once it may have gone out it is not repeated: its arrival can't be known."""
        lost = ""
        try:
            code, answer = server.data(bytes(mail))
        except smtplib.SMTPDataError as error:  # the server did not want to see the text
            raise self._refusal("DATA", error.smtp_code, error.smtp_error) from None
        except (OSError, smtplib.SMTPException) as error:
            lost = type(error).__name__
        if lost:
            who = ", ".join(taken)
            raise _Failed(
                f"{self._where} fell silent ({lost}) while it took the text: {who} may have got it or not "
                f"(a repeat carries the same Message-ID, {mail['Message-ID']})",
                again=False,
            )
        if code != 250:
            raise _Failed(f"{self._where} refused the text: {self._said(code, answer)}", again=False)

    @contextmanager
    def _dialogue(self) -> Iterator[smtplib.SMTP]:
        """An open, secured, logged-in line; every failure leaves as _Failed, without the password."""
        failure: _Failed
        stage = "connect"
        server: smtplib.SMTP | None = None
        try:
            server = self._connect()
            server.ehlo_or_helo_if_needed()
            stage = "log in"
            if self._user:
                server.login(self._user, self._password)
            stage = "talk"
            yield server
            with suppress(OSError, smtplib.SMTPException):
                server.quit()
            return
        except _Failed as caught:
            failure = caught
        except ssl.SSLCertVerificationError as error:
            failure = _Failed(
                f"the certificate of {self._where} is not to be trusted: {error.verify_message}", again=False
            )
        except ssl.SSLError as error:
            failure = _Failed(
                f"no TLS with {self._where} ({error.reason}): is SMTP_SECURITY right for the port?",
                again=False,
            )
        except smtplib.SMTPNotSupportedError as error:
            failure = _Failed(f"{self._where}: {self._hidden(str(error))}", again=False)
        except smtplib.SMTPResponseException as error:
            failure = self._refusal(stage, error.smtp_code, error.smtp_error)
        except smtplib.SMTPServerDisconnected as error:
            failure = _Failed(
                f"no answer from {self._where} (stage: {stage}): {self._hidden(str(error))}", again=True
            )
        except smtplib.SMTPException as error:
            failure = _Failed(f"{self._where}: {self._hidden(str(error))} (stage: {stage})", again=False)
        except UnicodeError:
            failure = _Failed("SMTP_USER and SMTP_PASSWORD can only hold ASCII characters", again=False)
        except socket.gaierror as error:
            failure = _Failed(f"the mail server {self._host} is not known ({error.strerror})", again=True)
        except OSError as error:
            failure = _Failed(
                f"no answer from {self._where}: {error.strerror or error or type(error).__name__}", again=True
            )
        finally:
            if server is not None:
                server.close()
        raise failure

    def _connect(self) -> smtplib.SMTP:
        context = self._context or ssl.create_default_context()
        if self._security == "tls":
            return smtplib.SMTP_SSL(self._host, self._port, timeout=self._timeout, context=context)
        server = smtplib.SMTP(self._host, self._port, timeout=self._timeout)
        if self._security == "starttls":
            try:
                server.starttls(context=context)
            except BaseException:
                server.close()
                raise
        return server

    def _persist(self, act: Callable[[], None]) -> str:
        """Do `act`, again while the server asks for patience; returns what went wrong at last, or ''."""
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: isinstance(error, _Failed) and error.again),
            stop=tenacity.stop_after_attempt(_ATTEMPTS) | tenacity.stop_before_delay(self._deadline),
            wait=tenacity.wait_exponential_jitter(multiplier=2, max=60, jitter=2),
            sleep=self._sleep,
            before_sleep=_tell,
            reraise=True,
        )
        try:
            retrying(act)
        except _Failed as failure:
            return str(failure)
        return ""

    def _refusal(self, stage: str, code: int, answer: bytes | str) -> _Failed:
        return _Failed(
            f"{self._where} refused ({stage}): {self._said(code, answer)}", again=400 <= code < 500
        )

    def _said(self, code: int, answer: bytes | str) -> str:
        text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
        return f"{code} {words.one_line(self._hidden(text), 300)}"

    def _hidden(self, text: str) -> str:
        """`text` without the password in any form in which it travels, should the server repeat it."""
        if not self._password:
            return text
        user = self._user or ""
        plain = (self._password, f"\0{user}\0{self._password}", f"{user}\0{user}\0{self._password}")
        forms = {quote(self._password, safe=""), quote(self._password), self._password}
        forms |= {base64.b64encode(form.encode()).decode() for form in plain}
        for form in sorted(forms, key=len, reverse=True):
            text = text.replace(form, _HIDDEN)
        return text


def _tell(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("mail: %s; again in %.0f s", error, state.upcoming_sleep)
