"""What the log-ins of line protocols share: no password in the clear unasked, one line each, and SASL PLAIN."""

import base64
import re

from collectors.dialogue import Dialogue
from collectors.failures import CheckFailure, Misconfigured, Unauthorized, WrongContent
from collectors.secret import Credential, Secret
from collectors.tls import StartTlsOptions, TlsOptions

STEP = "log-in"

_WANTS_TLS = re.compile(r"\b(?:(?:START)?TLS|SSL|encrypt|PRIVACYREQUIRED)", re.IGNORECASE)
"""SMTP has 538 (RFC 4954 §6) and IMAP ``[PRIVACYREQUIRED]`` (RFC 5530 §3) for it; others have words: ``TLS required to
log in`` (Courier), ``SSL/TLS required`` (ProFTPD), ``Non-anonymous sessions must use encryption`` (vsftpd), ``cleartext
sessions ... Please reconnect using TLS`` (Pure-FTPd)."""


def presentable(talk: Dialogue, opts: TlsOptions) -> Credential | None:
    """Return the target's credential, None where there is none.

    Raises Misconfigured where it would be sent in the clear and the options do not say that it may be, and for a name
    or password that cannot be one line.
    """
    credential = talk.target.credential
    if credential is None:
        return None
    if not talk.encrypted and not (isinstance(opts, StartTlsOptions) and opts.starttls == "off"):
        detail = "without STARTTLS the password would be sent in the clear: if it may be, say starttls: off"
        raise Misconfigured(STEP, detail)
    if any(c in text for c in "\r\n\0" for text in (credential.username, credential.password.reveal())):
        raise Misconfigured(STEP, "the user name or password has a line end or a NUL in it")
    return credential


def asks_for_tls(talk: Dialogue, said: str) -> bool:
    """Tell whether a log-in in the clear is refused because it is one."""
    return not talk.encrypted and _WANTS_TLS.search(said) is not None


def rejected(talk: Dialogue, said: str) -> CheckFailure:
    """Return the failure for a log-in that was refused with these words, and not just for now."""
    if asks_for_tls(talk, said):
        return Misconfigured(STEP, f"{said} (remove starttls: off)")
    return Unauthorized(STEP, said)


def no_way_in(talk: Dialogue, detail: str) -> CheckFailure:
    """Return the failure for a server that offers no log-in we speak: in the clear most servers offer none."""
    if talk.encrypted:
        return WrongContent(STEP, detail)
    return Misconfigured(STEP, f"{detail} without TLS: remove starttls: off")


def encoded(text: str) -> str:
    """Return a text as SASL exchanges have it: in base64 (RFC 4648 §4)."""
    return base64.b64encode(text.encode()).decode()


def plain(credential: Credential) -> Secret:
    """Return the one message of SASL PLAIN (RFC 4616 §2), in base64."""
    return Secret(encoded(f"\0{credential.username}\0{credential.password.reveal()}"))
