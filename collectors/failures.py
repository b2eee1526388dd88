"""Why an attempt did not succeed: a small closed tree, translated from library errors in one place.

The class gives the ``reason`` (a metric label and a word of the ledger), the ``step`` says how far the dialogue came.

::

    CheckFailure(step, detail)
    ├── NoAddress            dns            our resolver has no address for the name
    ├── Refused              refused        TCP reset, ICMP port unreachable
    ├── Unreachable          unreachable    no route, connection lost
    ├── TimedOut             timeout        the answer did not come in time
    ├── TlsFailure           tls            the handshake failed
    │   └── CertificateFailure   certificate    expired, for another name, untrusted
    ├── Unavailable          unavailable    it answered "not now": 503, SMTP 421, IMAP BYE
    ├── UnexpectedReply      protocol       not this protocol
    ├── WrongContent         content        right protocol, wrong answer
    └── Void                 our side's fault: no evidence against the server
        ├── Unauthorized     auth           our credentials were rejected
        ├── Misconfigured    misconfigured  our file or our secret
        └── Internal         internal       our defect, or our resources are exhausted
"""

import asyncio
import errno
import socket
import ssl
from typing import ClassVar


class CheckFailure(Exception):  # noqa: N818 - a failed check is a result, not an error of ours
    """An attempt that did not succeed.

    ``step`` names how far the dialogue came (``connect``, ``greeting``, ``log-in`` ...), ``detail`` is one line of
    plain words with the evidence. Neither ever carries a secret.
    """

    reason: ClassVar[str]

    def __init__(self, step: str, detail: str = "") -> None:
        super().__init__(step, detail)
        self.step = step
        self.detail = detail
        self.transcript: tuple[str, ...] = ()
        """The dialogue up to here, without secrets, where the collector kept one."""

    def __str__(self) -> str:
        return f"{self.reason} at {self.step}: {self.detail}" if self.detail else f"{self.reason} at {self.step}"


class NoAddress(CheckFailure):
    """Our resolver has no address for the name."""

    reason = "dns"


class Refused(CheckFailure):
    """TCP reset in answer to our SYN, or ICMP port unreachable."""

    reason = "refused"


class Unreachable(CheckFailure):
    """No route, or the connection was lost."""

    reason = "unreachable"


class TimedOut(CheckFailure):
    """The answer did not come before the deadline."""

    reason = "timeout"


class TlsFailure(CheckFailure):
    """The TLS handshake failed."""

    reason = "tls"


class CertificateFailure(TlsFailure):
    """The certificate is expired, for another name, or not trusted."""

    reason = "certificate"


class Unavailable(CheckFailure):
    """The service answered, and said "not now"."""

    reason = "unavailable"


class UnexpectedReply(CheckFailure):
    """What answered does not speak this protocol."""

    reason = "protocol"


class WrongContent(CheckFailure):
    """The right protocol, the wrong answer."""

    reason = "content"


class Void(CheckFailure):
    """Our side's fault: no evidence for or against the server."""


class Unauthorized(Void):
    """Our credentials were rejected."""

    reason = "auth"


class Misconfigured(Void):
    """Our configuration or one of our files is at fault."""

    reason = "misconfigured"


class Internal(Void):
    """A defect of ours, or our own resources are exhausted."""

    reason = "internal"


NETWORK_REASONS = frozenset({"dns", "refused", "unreachable", "timeout"})
"""What a host that is gone looks like: these failures say nothing about one service in particular."""

VOID_REASONS = frozenset({"auth", "misconfigured", "internal"})

# errno values that mean this machine ran out of something, not that the server is gone
OUR_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})

# What our own host's firewall or privileges refuse us, before a packet leaves
OUR_PERMISSIONS = frozenset({errno.EPERM, errno.EACCES})


def translate(error: BaseException, step: str) -> CheckFailure:
    """Return the failure that a library's error means."""
    # Most specific first: TimeoutError and SSLError are OSErrors too.
    match error:
        case CheckFailure():
            return error
        case ssl.SSLCertVerificationError():
            return CertificateFailure(step, error.verify_message or str(error))
        case ssl.SSLError():
            return TlsFailure(step, error.reason or str(error))
        case TimeoutError():
            return TimedOut(step, "no answer before the deadline")
        case socket.gaierror():
            return NoAddress(step, error.strerror or str(error))
        case ConnectionRefusedError():
            return Refused(step, "connection refused")
        case asyncio.IncompleteReadError() | EOFError():
            return Unreachable(step, "the server closed the connection")
        case OSError() if error.errno in OUR_RESOURCES:
            return Internal(step, f"our resources are exhausted: {error.strerror}")
        case OSError() if error.errno in OUR_PERMISSIONS:
            return Misconfigured(step, f"this host does not let us connect: {error.strerror}")
        case OSError():
            return Unreachable(step, error.strerror or str(error) or type(error).__name__)
        case MemoryError():
            return Internal(step, "out of memory")
        case _:
            return Internal(step, f"{type(error).__name__}: {error}")
