"""SSH: a pass proves that an SSH server greets us and offers to exchange keys; with a credential, that one can log in.

Both sides begin with an identification line, ``SSH-2.0-software``, the server perhaps with other lines before it (RFC
4253 §4.2); ``SSH-1.99`` is a server that also speaks the old version (§5.1). Then both send SSH_MSG_KEXINIT (§7.1), the
algorithms they know. The greeting may come from a process that can do nothing else any more; the offer shows that there
is one that serves. Host keys and log-ins are `collectors.sshlogin`'s business, on the same connection.
"""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

from collectors.dialogue import Dialogue
from collectors.failures import Unavailable, Unreachable
from collectors.patterns import Pattern
from collectors.registry import Options, Port, check

IDENTIFICATION = "SSH-2.0-dserver_exporter"
GREETINGS = ("SSH-2.0-", "SSH-1.99-")
NOT_NOW = ("Exceeded MaxStartups", "Not allowed at this time")
"""What OpenSSH says instead of greeting when it has too many log-ins under way, or has had enough of us."""
LINES = 50
"""Looked at for the identification, at most."""
LINE = 1024
"""Bytes: §4.2 allows the identification 255 and says nothing of the lines before it."""
LARGEST_PACKET = 35_000
"""Bytes that every implementation must be able to take (§6.1)."""
SSH_MSG_DISCONNECT = 1
SSH_MSG_KEXINIT = 20
TOO_MANY_CONNECTIONS = 12
"""Reason of a disconnection (§11.1)."""
COOKIE = 16
LISTS = 10
"""Of names in a KEXINIT: for key exchange and host keys, and both ways for encryption, MAC, compression, language."""

_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


def _fingerprints(value: object) -> object:
    """Take one fingerprint as a list of one."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(t, str) and _FINGERPRINT.fullmatch(t) for t in texts):
        raise ValueError("must be SHA256: and 43 characters, as ssh-keygen -lf shows it, or a list of such")
    return texts


class SshOptions(Options):
    """What can be said about an ssh check."""

    port: Port = 22
    fingerprint_sha256: Annotated[tuple[str, ...], BeforeValidator(_fingerprints)] = ()
    """The host keys that the server may show, one of them; empty for any."""
    command: Annotated[str, Field(max_length=1024)] = "true"
    """Run after a log-in, and has to end with 0; empty for none."""
    expect_output: Pattern | None = None
    """Has to be in what the command writes."""


@check("ssh", options=SshOptions)
async def ssh(talk: Dialogue, opts: SshOptions) -> None:
    """Return when an SSH server has greeted, offered to exchange keys, and let us in where there is a credential."""
    await talk.connect(opts.port)
    # said first, as §4.2 allows: another protocol's server answers it, so that it is seen for what it is
    talk.send(IDENTIFICATION)
    identification = await _greeting(talk)
    talk.step = "key-exchange"
    packet = await _offer(talk)
    if opts.fingerprint_sha256 or talk.target.credential is not None:
        from collectors import sshlogin

        await sshlogin.log_in(talk, opts, identification.encode() + b"\r\n" + packet)


async def _greeting(talk: Dialogue) -> str:
    talk.step = "greeting"
    first = ""
    for _ in range(LINES):
        try:
            line = await talk.line(LINE)
        except Unreachable:
            if first:
                break
            raise
        if line.startswith(GREETINGS):
            return line
        if line.startswith(NOT_NOW):
            raise Unavailable(talk.step, talk.show(line))
        first = first or line
    raise talk.unexpected("an SSH identification", first)


async def _offer(talk: Dialogue) -> bytes:
    """Return the server's first packet (§6), a KEXINIT, as it came."""
    head = await talk.exactly(5)
    length, padding = int.from_bytes(head[:4], "big"), head[4]
    if not padding + 2 <= length <= LARGEST_PACKET:
        raise talk.unexpected("an SSH packet", head + talk.waiting())
    rest = await talk.exactly(length - 1)
    payload = rest[: len(rest) - padding]
    if payload[0] == SSH_MSG_DISCONNECT:
        said = talk.show(payload[9:])
        if payload[1:5] == TOO_MANY_CONNECTIONS.to_bytes(4, "big"):
            raise Unavailable(talk.step, said)
        raise talk.unexpected("a key exchange", f"a disconnection: {said}")
    try:
        lists = parse_kexinit(payload)
    except ValueError as error:
        raise talk.unexpected(f"a KEXINIT ({error})", payload) from None
    talk.transcript.note("<", f"KEXINIT: {lists[0]}; host keys {lists[1]}")
    return head + rest


def parse_kexinit(payload: bytes) -> list[str]:
    """Return the name-lists of a KEXINIT (§7.1). Raises ValueError for what is none."""
    if not payload or payload[0] != SSH_MSG_KEXINIT:
        raise ValueError("another message")
    place = 1 + COOKIE
    lists: list[str] = []
    for _ in range(LISTS):
        length = int.from_bytes(payload[place : place + 4], "big")
        place += 4 + length
        if place > len(payload):
            raise ValueError("it ends within a list")
        lists.append(payload[place - length : place].decode("ascii"))
    if not all(lists[:6]):
        raise ValueError("an algorithm is missing")
    return lists
