"""Hands mails over to the mail server (RFC 5321), over one connection for all that wait. It blocks: for a thread.

A certificate is always verified; where TLS is configured, nothing is said without it.
"""

import contextlib
import smtplib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Literal

from collectors.secret import Credential
from exporter.mail.message import Outgoing

TIMEOUT = 20.0
"""Seconds that the server may be silent."""
SERVICE_CLOSING = 421
"""RFC 5321 §4.2.1: the connection ends, whatever was asked."""


@dataclass(frozen=True, slots=True)
class Smarthost:
    """Where mail goes, and how."""

    host: str
    port: int
    tls: Literal["starttls", "implicit", "none"]
    ca_file: Path | None = None
    credential: Credential | None = None


class Result(StrEnum):
    """What became of an attempt to hand a mail over: the ``result`` of ``dserver_notices_total``."""

    SENT = "sent"
    DEFERRED = "deferred"
    """Not now: the server said so, or could not be spoken to."""
    REFUSED = "refused"
    """The server will not have it, for good."""
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class UnreachableError(Exception):
    """The mail server could not be brought to take mail; the message says why."""


class _Plain(smtplib.SMTP):
    """Not connected yet, so that what it waits for can be aborted; ``host`` is what the certificate has to name."""

    def __init__(self, host: str) -> None:
        super().__init__(local_hostname=_own_name(), timeout=TIMEOUT)
        self._host = host


class _ImplicitTls(smtplib.SMTP_SSL):
    def __init__(self, host: str, context: ssl.SSLContext) -> None:
        super().__init__(local_hostname=_own_name(), timeout=TIMEOUT, context=context)
        self._host = host


class Courier:
    """One connection to the mail server."""

    def __init__(self, smarthost: Smarthost) -> None:
        self._smarthost = smarthost
        self._smtp: smtplib.SMTP | None = None
        self._aborted = False

    @contextlib.contextmanager
    def connected(self) -> Iterator[None]:
        """Connect for the duration of the block. Raises UnreachableError."""
        try:
            self._connect()
        except (OSError, smtplib.SMTPException, ValueError) as error:
            self.abort()
            raise UnreachableError(_said(error)) from None
        try:
            yield
        finally:
            if self._smtp is not None:
                with contextlib.suppress(OSError, smtplib.SMTPException):
                    self._smtp.quit()
            self.abort()

    def hand_over(self, mail: Outgoing) -> tuple[Result, str]:
        """Hand one mail over; return what became of it and why. Raises UnreachableError: the connection is gone."""
        if self._smtp is None:
            raise UnreachableError("the connection was closed")
        options = [] if (mail.sender + mail.recipient).isascii() else ["SMTPUTF8", "BODY=8BITMIME"]
        try:
            self._smtp.sendmail(mail.sender, [mail.recipient], mail.message, options)
        except smtplib.SMTPRecipientsRefused as error:
            code, said = error.recipients[mail.recipient]
            return _judged(code, said)
        except smtplib.SMTPResponseException as error:  # the sender or the data
            return _judged(error.smtp_code, error.smtp_error)
        except smtplib.SMTPNotSupportedError as error:
            return Result.REFUSED, str(error)
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise UnreachableError(_said(error)) from None
        return Result.SENT, ""

    def abort(self) -> None:
        """Close the connection, also while another thread waits for an answer on it."""
        self._aborted = True
        smtp, self._smtp = self._smtp, None
        if smtp is not None and smtp.sock is not None:
            with contextlib.suppress(OSError):
                smtp.sock.shutdown(socket.SHUT_RDWR)
            smtp.close()

    def _connect(self) -> None:
        to = self._smarthost
        context = ssl.create_default_context(cafile=to.ca_file) if to.tls != "none" else None
        smtp = _ImplicitTls(to.host, context) if context and to.tls == "implicit" else _Plain(to.host)
        self._smtp = smtp
        smtp.connect(to.host, to.port)
        if self._aborted:  # before there was a socket to close
            smtp.close()
            raise ConnectionAbortedError("it was given up")
        if to.tls == "starttls":
            smtp.starttls(context=context)
        if to.credential is not None:
            smtp.login(to.credential.username, to.credential.password.reveal())


@cache
def _own_name() -> str:
    """Return what we call ourselves: asked for once, since the answer may take a name server that is down."""
    return socket.getfqdn()


def _judged(code: int, said: bytes | str) -> tuple[Result, str]:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    why = f"{code} {' '.join(text.split())[:300]}"
    if code == SERVICE_CLOSING or code < 0:
        raise UnreachableError(why)
    return (Result.REFUSED if code >= 500 else Result.DEFERRED), why


def _said(error: Exception) -> str:
    """Return what went wrong, without a secret: a log-in that fails repeats what the server said and no more."""
    if isinstance(error, UnicodeError):
        return "user name or password have other than ASCII characters: this log-in cannot send them"
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
        return f"{error.smtp_code} {' '.join(text.split())[:300]}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    return str(error) or type(error).__name__
