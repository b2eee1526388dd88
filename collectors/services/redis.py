"""Redis: a pass proves that the server lets us in with a credential, answers PING, and has the role that is expected.

Redis documentation, "Redis serialization protocol specification" (RESP2), commands ``AUTH``, ``PING`` and ``ROLE``.
We ask before we log in: a server that cannot answer is that, whatever is wrong with our credential. Without one
``NOAUTH`` is an answer as good as ``PONG``. Valkey, KeyDB and Sentinel speak the same.
"""

from typing import Literal

from collectors.dialogue import Dialogue
from collectors.failures import CheckFailure, Misconfigured, Unauthorized, Unavailable, UnexpectedReply, WrongContent
from collectors.registry import Port, check
from collectors.secret import Credential, Secret
from collectors.tls import TlsOptions, needs_name

VALUES = 1000
"""Of one answer, at most."""
DEPTH = 4
"""Arrays in arrays, at most."""
LONGEST = 8 * 1024
"""Bytes of one text, at most."""
NOT_NOW = (
    "-LOADING",
    "-MASTERDOWN",
    "-BUSY",
    "-CLUSTERDOWN",
    "-MISCONF",
    "-OOM",
    "-TRYAGAIN",
    "-ERR max number of clients",
)
"""Reading its data, without its master, in a script, without its disk or memory, full."""
REFUSED = (
    *("-NOAUTH", "-WRONGPASS", "-NOPERM", "-DENIED", "-ERR invalid password"),
    "-ERR operation not permitted",  # NOAUTH of Redis 2
)
UNWANTED = ("-ERR AUTH", "-ERR Client sent AUTH", "-ERR wrong number of arguments for 'auth'")
"""No password is set, or only passwords without a user name are known (before Redis 6)."""
ROLES = {"master": "master", "slave": "replica", "sentinel": "sentinel"}

Value = str | int | None | list["Value"]


class RedisOptions(TlsOptions):
    """What can be said about a redis check."""

    port: Port = 6379
    tls: bool | None = None
    """Encrypted from the first byte. ``false`` says besides that the password may be sent in the clear."""
    role: Literal["master", "replica", "sentinel"] | None = None


def _verifies(opts: RedisOptions) -> bool:
    return bool(opts.tls) and needs_name(opts)


@check("redis", options=RedisOptions, verifies=_verifies)
async def redis(talk: Dialogue, opts: RedisOptions) -> None:
    """Return when the server has let us in, answered PING, and said the role that is expected."""
    credential = talk.target.credential
    await talk.connect(opts.port, tls=opts if opts.tls else None)
    try:
        await _ping(talk)
    except Unauthorized:
        if credential is None and opts.role is not None:
            raise
        if credential is None:
            return
    if credential is not None:
        await _log_in(talk, opts, credential)
        await _ping(talk)
    if opts.role is not None:
        await _expect_role(talk, opts.role)


async def _ping(talk: Dialogue) -> None:
    pong = await _ask(talk, "ping", "PING")
    if pong != "PONG":
        raise UnexpectedReply(talk.step, f"expected PONG, got: {talk.show(str(pong))}")


async def _log_in(talk: Dialogue, opts: RedisOptions, credential: Credential) -> None:
    if not talk.encrypted and opts.tls is None:
        raise Misconfigured(
            "log-in", "without TLS the password would be sent in the clear: if it may be, say tls: false"
        )
    name = (credential.username,) if credential.username else ()
    await _ask(talk, "log-in", "AUTH", *name, credential.password)


async def _expect_role(talk: Dialogue, role: str) -> None:
    match await _ask(talk, "role", "ROLE"):
        case [str(given), *rest] if given in ROLES:
            if ROLES[given] != role:
                raise WrongContent(talk.step, f"expected {role}, it is {ROLES[given]}")
            if role == "replica" and rest[2:3] != ["connected"]:
                raise WrongContent(talk.step, f"a replica whose link to its master is {talk.show(str(rest[2:3]))}")
        case other:
            raise UnexpectedReply(talk.step, f"expected a role, got: {talk.show(str(other))}")


async def _ask(talk: Dialogue, step: str, *words: str | Secret) -> Value:
    """Send a command and return its answer. An error is raised as what it means."""
    talk.step = step
    parts: list[str | bytes | Secret] = [f"*{len(words)}\r\n"]
    for word in words:
        text = word.reveal() if isinstance(word, Secret) else word
        parts += [f"${len(text.encode())}\r\n", word, "\r\n"]
    shown = " ".join("***" if isinstance(word, Secret) else word for word in words)
    talk.write(*parts, shown_as=shown)
    return await answer(talk)


async def answer(talk: Dialogue) -> Value:
    """Return one value of RESP2. Raises what an error means, and UnexpectedReply for what is none or is too much."""
    left = VALUES

    async def value(depth: int) -> Value:
        nonlocal left
        left -= 1
        if left < 0:
            raise UnexpectedReply(talk.step, f"an answer of more than {VALUES} values")
        line = await talk.line()
        kind, said = line[:1], line[1:]
        match kind:
            case "+":
                return said
            case "-":
                raise meaning(line, talk.step, talk.show(line))
            case ":":
                return _number(talk, line, -(2**63), 2**63 - 1)
            case "$":
                return None if (length := _number(talk, line, -1, LONGEST)) < 0 else await _text(talk, length)
            case "*" if depth:
                return [await value(depth - 1) for _ in range(_number(talk, line, -1, VALUES))]
        raise talk.unexpected("an answer of Redis", line)

    return await value(DEPTH)


def meaning(line: str, step: str, shown: str) -> CheckFailure:
    """Return the failure that an error is."""
    if line.startswith(NOT_NOW):
        return Unavailable(step, shown)
    if line.startswith(REFUSED):
        return Unauthorized(step, shown)
    if step == "log-in" and line.startswith(UNWANTED):
        return Misconfigured(step, f"{shown} (leave out the credential, or its username)")
    return WrongContent(step, shown)


async def _text(talk: Dialogue, length: int) -> str:
    said = await talk.exactly(length + 2)
    if not said.endswith(b"\r\n"):
        raise talk.unexpected(f"the end of a text of {length} bytes", said)
    text = said[:-2].decode("utf-8", "backslashreplace")
    talk.transcript.note("<", text)
    return text


def _number(talk: Dialogue, line: str, least: int, most: int) -> int:
    digits = line[1:].removeprefix("-")
    if not digits.isascii() or not digits.isdecimal() or len(digits) > 20 or not least <= int(line[1:]) <= most:
        raise talk.unexpected(f"a number from {least} to {most}", line)
    return int(line[1:])
