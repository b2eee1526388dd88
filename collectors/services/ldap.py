"""LDAP: a pass proves that the server encrypts where it can, lets us in with a credential, and finds an entry.

RFC 4511: StartTLS is §4.14, the simple ``Bind`` §4.2, ``Search`` §4.5, the notice of disconnection §4.4.1. Without a
credential we bind as nobody and read the root DSE (RFC 4512 §5.1); a server that does not let nobody do that has
answered, too.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from collectors import ber
from collectors import ldapwire as wire
from collectors.dialogue import Dialogue
from collectors.failures import Misconfigured, Unauthorized, UnexpectedReply, WrongContent
from collectors.login import STEP as LOG_IN
from collectors.login import presentable
from collectors.registry import Options, Port, check
from collectors.secret import Credential
from collectors.tls import StartTlsOptions, TlsOptions, needs_name

NOBODY = Credential()
MESSAGES = 100
"""Entries, references and notices before the end of an answer, at most."""


def _filter(said: str) -> str:
    wire.filter_of(said)
    return said


class SearchOptions(Options):
    """What is looked for."""

    base: Annotated[str, Field(max_length=1000)] = ""
    """The name of the entry where the search begins; else the root DSE."""
    scope: Literal["base", "one", "sub"] = "base"
    filter: Annotated[str, Field(max_length=1000), AfterValidator(_filter)] = "(objectClass=*)"


class LdapOptions(StartTlsOptions, SearchOptions):
    """What can be said about an ldap check."""

    port: Port = 389


class LdapsOptions(TlsOptions, SearchOptions):
    """What can be said about an ldaps check."""

    port: Port = 636


@check("ldap", options=LdapOptions, verifies=needs_name)
async def ldap(talk: Dialogue, opts: LdapOptions) -> None:
    """Return when the server has encrypted where it can, let us in, and found an entry."""
    await talk.connect(opts.port)
    session = _Session(talk)
    if opts.starttls != "off":
        talk.step = "starttls"
        session.request(wire.extended(wire.START_TLS), shown_as="StartTLS")
        code = (await session.result(wire.EXTENDED_DONE, tolerated=frozenset(range(100)) - {wire.BUSY})).code
        if opts.begin(offered=code == wire.SUCCESS):
            await talk.start_tls(opts)
    await _bind_and_search(session, opts)


@check("ldaps", options=LdapsOptions, verifies=needs_name)
async def ldaps(talk: Dialogue, opts: LdapsOptions) -> None:
    """Return when the server has encrypted, let us in, and found an entry."""
    await talk.connect(opts.port, tls=opts)
    await _bind_and_search(_Session(talk), opts)


class _Session:
    """Requests have numbers, and answers those of their requests."""

    def __init__(self, talk: Dialogue) -> None:
        self.talk = talk
        self._number = 0

    def request(self, operation: bytes, *, shown_as: str) -> None:
        """Send a request."""
        self._number += 1
        self.talk.write(wire.message(self._number, operation), shown_as=shown_as)

    def bind(self, credential: Credential) -> None:
        """Send a BindRequest: the password is its end."""
        self._number += 1
        length = len(credential.password.reveal().encode())
        whole = wire.message(self._number, wire.bind(credential.username, length))
        begin = whole[: len(whole) - length]
        self.talk.write(begin, credential.password, shown_as=f"BindRequest {credential.username or 'anonymous'} ***")

    async def result(self, kind: int, *, tolerated: frozenset[int] = frozenset(), entries: int = 0) -> wire.Result:
        """Return the result of the request, which ends its answer.

        A code that is neither success nor tolerated is raised as what it means, and so is an answer without entries
        where some were to come.
        """
        talk = self.talk
        expected = (kind, wire.ENTRY, wire.REFERENCE) if kind == wire.DONE else (kind,)
        found = 0
        for _ in range(MESSAGES):
            message = await self._message()
            try:
                if message.number == 0:
                    raise wire.meaning(
                        result := wire.result(message.content), talk.step, talk.show(f"notice: {result}")
                    )
                if message.number != self._number or message.kind not in expected:
                    raise UnexpectedReply(talk.step, f"an answer to something else: {talk.show(message.content)}")
                found += message.kind == wire.ENTRY
                if message.kind != kind:
                    continue
                result = wire.result(message.content)
            except ValueError as error:
                raise UnexpectedReply(talk.step, f"{error}: {talk.show(message.content)}") from error
            talk.transcript.note("<", str(result))
            if result.code != wire.SUCCESS and result.code not in tolerated:
                raise wire.meaning(result, talk.step, talk.show(str(result)))
            if found < entries:
                raise WrongContent(talk.step, "no entry was found")
            return result
        raise UnexpectedReply(talk.step, f"more than {MESSAGES} messages before the end of the answer")

    async def _message(self) -> wire.Message:
        head = await self.talk.exactly(2)
        try:
            if head[0] != ber.SEQUENCE:
                raise ValueError("not an LDAP message")
            more = await self.talk.exactly(ber.more_length(head[1]))
            if (length := ber.length(head[1], more)) > wire.LONGEST:
                raise ValueError(f"a message of {length} bytes, more than {wire.LONGEST}")
            head += more
            return wire.parsed(await self.talk.exactly(length))
        except ValueError as error:
            raise self.talk.unexpected(f"an LDAP message ({error})", head + self.talk.waiting()) from error


async def _bind_and_search(session: _Session, opts: LdapOptions | LdapsOptions) -> None:
    talk = session.talk
    credential = presentable(talk, opts)
    if credential is not None and not (credential.username and credential.password.reveal()):
        # a Bind with a name and no password succeeds as nobody (RFC 4513 §5.1.2)
        raise Misconfigured(LOG_IN, "the credential has no username or no password")
    # without a credential and with nothing to look for, a server that hides even the root DSE has answered
    asked = credential is not None or bool(opts.model_fields_set & SearchOptions.model_fields.keys())
    try:
        talk.step = LOG_IN
        session.bind(credential or NOBODY)
        await session.result(wire.BOUND)
        talk.step = "search"
        seconds = max(int(talk.time_left()), 1)
        wanted = wire.search(opts.base, opts.scope, wire.filter_of(opts.filter), seconds)
        session.request(wanted, shown_as=f"SearchRequest {opts.base!r} {opts.scope} {opts.filter}")
        if asked:
            await session.result(wire.DONE, tolerated=frozenset({wire.SIZE_LIMIT}), entries=1)
        else:
            await session.result(wire.DONE, tolerated=frozenset({wire.SIZE_LIMIT, wire.NO_OBJECT}))
    except (Unauthorized, Misconfigured):  # it does not want nobody, or not in the clear
        if asked:
            raise
    session.request(ber.element(wire.UNBIND), shown_as="UnbindRequest")
