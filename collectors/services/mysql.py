"""MySQL and MariaDB: a pass proves that the server greets us, encrypts where it can, lets us in, answers a query.

MySQL Internals, "Client/Server Protocol": "Initial Handshake", "SSL Handshake", "Authentication Method Switch", "Text
Protocol". Without a credential we log in as nobody and are denied, which proves that the server serves: one who goes
after the greeting counts towards ``max_connect_errors`` and is blocked in the end. A server's wish for a file of ours
(``LOAD DATA LOCAL``) is never granted.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from collectors import mysqlwire as wire
from collectors.dialogue import Dialogue
from collectors.failures import Misconfigured, Unauthorized, UnexpectedReply
from collectors.mysqlwire import Can
from collectors.registry import Port, check
from collectors.secret import Credential, Secret
from collectors.sql import ANY, Plain, SqlOptions, account, judge
from collectors.tls import needs_name

NOBODY = Credential("dserver_exporter", Secret(""))
"""Who we are without a credential: the server's log may show it."""
ROUNDS = 10
"""Requests of the server during a log-in, at most."""
COLUMNS = 1000
REQUESTS = {wire.OK: "OK", wire.SWITCH: "AuthSwitchRequest", wire.MORE: "AuthMoreData"}
IN_TIME = 0.9
"""Of the time left: the server gives up a query before we do, so that it can say so."""

T = TypeVar("T")


class MysqlOptions(SqlOptions):
    """What can be said about a mysql check."""

    port: Port = 3306
    database: Plain = ""


@check("mysql", options=MysqlOptions, verifies=needs_name)
async def mysql(talk: Dialogue, opts: MysqlOptions) -> None:
    """Return when the server has greeted, and denied nobody, or let us in and answered the query."""
    await talk.connect(opts.port)
    credential = account(talk, opts)
    session = _Session(talk)
    try:
        await _greet(session, opts, opts.database if credential else "")
        await _log_in(session, opts, credential or NOBODY)
    except Unauthorized:
        if credential is not None:
            raise
        return
    try:
        if credential is not None:
            await _query(session, opts)
    finally:
        session.command(b"\x01", "COM_QUIT")


@check("mariadb", options=MysqlOptions, verifies=needs_name)
async def mariadb(talk: Dialogue, opts: MysqlOptions) -> None:
    """Return as `mysql` does: the protocol is the same."""
    await mysql(talk, opts)


class _Session:
    """What both sides agree on, and their packets, which are numbered within each exchange."""

    def __init__(self, talk: Dialogue) -> None:
        self.talk = talk
        self.greeting: wire.Greeting
        self.can = Can(0)
        self.database = ""
        self._number = -1

    async def packet(self, *, tolerated: frozenset[int] = frozenset()) -> bytes:
        """Return the next packet. An error is raised as what it means, unless its code is tolerated."""
        head = await self.talk.exactly(4)
        length = int.from_bytes(head[:3], "little")
        if not 0 < length <= wire.LONGEST:
            raise self.talk.unexpected(f"a MySQL packet of at most {wire.LONGEST} bytes", head + self.talk.waiting())
        body = await self.talk.exactly(length)
        self._number = head[3]
        if body[0] == wire.ERROR:
            error = self.parsed(wire.failed, body)
            self.talk.transcript.note("<", f"ERR {error}")
            if error.code not in tolerated:
                raise wire.meaning(error, self.talk.step, self.talk.show(str(error)))
        return body

    def parsed(self, parse: Callable[[bytes], T], body: bytes) -> T:
        """Return what a packet says. Raises UnexpectedReply where it is malformed."""
        try:
            return parse(body)
        except ValueError as error:
            raise UnexpectedReply(self.talk.step, f"{error}: {self.talk.show(body)}") from error

    def reply(self, body: bytes, shown_as: str) -> None:
        """Send the next packet of the exchange."""
        self._number += 1
        self.talk.write(wire.packet(self._number, body), shown_as=shown_as)

    def command(self, body: bytes, shown_as: str) -> None:
        """Send the first packet of an exchange."""
        self._number = -1
        self.reply(body, shown_as)

    def query(self, statement: str) -> None:
        """Send a statement."""
        self.command(b"\x03" + statement.encode(), statement)


async def _greet(session: _Session, opts: MysqlOptions, database: str) -> None:
    """Read the greeting, and begin TLS where the server has it."""
    talk = session.talk
    talk.step = "greeting"
    session.greeting = greeting = session.parsed(wire.greeting, await session.packet())
    talk.transcript.note("<", f"greeting of {greeting.version}, {greeting.method}")
    if Can.PROTOCOL_41 | Can.SECURE_CONNECTION not in greeting.capabilities:
        raise UnexpectedReply(talk.step, f"a server older than 4.1: {talk.show(greeting.version)}")
    session.database = database
    # all of it in the request for TLS, too: MariaDB goes by the first that it is told
    session.can = wire.OURS & greeting.capabilities | (Can.CONNECT_WITH_DB if database else Can(0))
    talk.step = "starttls"
    if opts.begin(offered=Can.SSL in greeting.capabilities):
        session.can |= Can.SSL
        session.reply(wire.ssl_request(session.can), "SSLRequest")
        await talk.start_tls(opts)


async def _log_in(session: _Session, opts: MysqlOptions, credential: Credential) -> None:
    """Return when the server has let us in."""
    talk = session.talk
    talk.step = "log-in"
    password = credential.password.reveal()
    method, salt = session.greeting.method, session.greeting.salt
    proof = wire.proof(method, password, salt)
    if proof is None:  # the server says what it wants of our account when it knows who we are
        method, proof = wire.NATIVE, wire.proof(wire.NATIVE, password, salt) or b""
    response = wire.response(session.can, credential.username, proof, session.database, method)
    session.reply(response, f"HandshakeResponse user={credential.username} database={session.database} {method} ***")
    for _ in range(ROUNDS):
        body = await session.packet()
        talk.transcript.note("<", REQUESTS.get(body[0], "?") + f" {talk.show(body[1:])}")
        match body[0]:
            case wire.OK:
                return
            case wire.SWITCH:
                method, salt = wire.switch(body)
                proof = wire.proof(method, password, salt)
                if proof is None:
                    raise Misconfigured(talk.step, f"the server wants our account to log in by {method}: we cannot")
                session.reply(proof, f"{method} ***")
            case wire.MORE if method == wire.CACHING_SHA2:
                if body[1:] == wire.FULL:
                    await _show_password(session, opts, password, salt)
            case _:
                raise talk.unexpected("the next step of the log-in", body)
    raise UnexpectedReply(talk.step, f"more than {ROUNDS} requests before an answer")


async def _show_password(session: _Session, opts: MysqlOptions, password: str, salt: bytes) -> None:
    """Send the password itself: the server has our account's hash not at hand (caching_sha2_password)."""
    talk = session.talk
    if talk.encrypted or not password:
        session.reply(password.encode() + b"\0", "***")
    elif opts.starttls == "off":
        session.reply(wire.WANT_KEY, "request for the server's key")
        key = (await session.packet())[1:]
        session.reply(session.parsed(partial(wire.sealed, password, salt), key), "***, sealed with the server's key")
    else:
        detail = "without TLS anybody could have the password sealed for them: if that may be, say starttls: off"
        raise Misconfigured(talk.step, detail)


async def _query(session: _Session, opts: MysqlOptions) -> None:
    session.talk.step = "query"
    for limit in wire.limits(session.greeting, session.talk.time_left() * IN_TIME):
        session.query(limit)
        await session.packet(tolerated=wire.UNKNOWN)
    session.query(opts.query or ANY)
    judge(session.talk, opts.expect, await _first_row(session))


async def _first_row(session: _Session) -> list[bytes | None] | None:
    """Return the first column of the first row, and read the result to its end."""
    talk = session.talk
    body = await session.packet()
    if body[0] == wire.OK:
        return None
    if body[0] == wire.LOCAL_FILE:
        raise UnexpectedReply(talk.step, f"the server asks us for the file {talk.show(body[1:])}: it gets none")
    columns = session.parsed(wire.column_count, body)
    if columns > COLUMNS:
        raise UnexpectedReply(talk.step, f"a result of {columns} columns")
    for _ in range(columns):
        await session.packet()
    if not wire.is_end(await session.packet()):
        raise UnexpectedReply(talk.step, f"more than the {columns} columns announced")
    row: list[bytes | None] | None = None
    while not wire.is_end(body := await session.packet()):
        if row is None:
            row = [session.parsed(wire.first_column, body)]
            talk.transcript.note("<", b"row " + (b"NULL" if row[0] is None else row[0]))
    return row
