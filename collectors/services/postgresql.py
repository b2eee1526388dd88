"""PostgreSQL: a pass proves that the server encrypts where it can, answers a start-up, lets us in, answers a query.

PostgreSQL documentation, "Frontend/Backend Protocol", "Message Flow": "Start-up", "SSL Session Encryption", "SASL
Authentication", "Extended Query". Without a credential any well-formed answer to the start-up proves that the server
serves, except those that say "not now" (57P03 is starting up, 53300 has too many connections). With one we log in, and
a query gives its value, in a transaction that cannot write and that the server gives up before our deadline.
"""

import asyncio
import secrets

from collectors import pgwire, scram
from collectors.dialogue import Dialogue
from collectors.failures import Misconfigured, Unauthorized, Unavailable, UnexpectedReply
from collectors.registry import Port, check
from collectors.secret import Credential, Secret
from collectors.sql import ANY, Plain, SqlOptions, account, judge
from collectors.tls import needs_name

NOBODY = "dserver_exporter"
"""Who we are, and without a credential also our user name: the server's log may show it."""
MESSAGES = 100
"""Notices and settings before an answer, at most."""
NO_FORK = b"could not fork"
"""How a server without memory or processes answers, in the old protocol (2.0)."""
SLOW = 20_000
"""Iterations of SCRAM from which on the event loop does not wait for them."""
IN_TIME = 0.9
"""Of the time left: the server gives up a query before we do, so that it can say so."""


class PostgresqlOptions(SqlOptions):
    """What can be said about a postgresql check."""

    port: Port = 5432
    database: Plain = "postgres"


@check("postgresql", options=PostgresqlOptions, verifies=needs_name)
async def postgresql(talk: Dialogue, opts: PostgresqlOptions) -> None:
    """Return when the server has answered the start-up, and with a credential let us in and answered the query."""
    await talk.connect(opts.port)
    credential = account(talk, opts)
    if opts.starttls != "off":
        await _encrypt(talk, opts)
    talk.step = "start-up"
    user = credential.username if credential else NOBODY
    start = pgwire.startup(user=user, database=opts.database, application_name=NOBODY, client_encoding="UTF8")
    talk.write(start, shown_as=f"StartupMessage user={user} database={opts.database}")
    if credential is None:
        await _answers(talk)
        return
    await _log_in(talk, credential, clear=talk.encrypted or opts.starttls == "off")
    try:
        await _query(talk, opts)
    finally:
        talk.write(pgwire.message("X"), shown_as="Terminate")


async def _encrypt(talk: Dialogue, opts: PostgresqlOptions) -> None:
    """Begin TLS where the server has it."""
    talk.step = "starttls"
    talk.write(pgwire.SSL_REQUEST, shown_as="SSLRequest")
    answer = await talk.exactly(1)
    if answer in (b"S", b"N"):
        talk.transcript.note("<", answer)
        if opts.begin(offered=answer == b"S"):
            await talk.start_tls(opts)
    elif answer == b"E" and await talk.begins(NO_FORK):
        raise Unavailable(talk.step, talk.show(talk.waiting().partition(b"\0")[0]))
    else:
        raise talk.unexpected("S or N", answer + talk.waiting())


async def _answers(talk: Dialogue) -> None:
    """Return when the server has answered as one that serves: it asks who we are, or does not want us."""
    kind, body = await _message(talk)
    if kind == "R":
        _note_authentication(talk, body)
    elif kind != "E":
        raise talk.unexpected("an authentication request", body)
    else:
        error = _error(talk, body)
        failure = pgwire.meaning(error, talk.step, talk.show(str(error)))
        if not isinstance(failure, Unauthorized) and not pgwire.unknown_database(error):
            raise failure


async def _log_in(talk: Dialogue, credential: Credential, *, clear: bool) -> None:
    """Return when the server is ready for a query. ``clear`` says whether it may see the password."""
    request = await _authentication(talk)
    talk.step = "log-in"
    match int.from_bytes(request[:4], "big"):
        case 0:
            pass
        case 3 if clear:
            _password(talk, credential.password)
            await _accepted(talk)
        case 5 if clear and len(request) == 8:
            _password(talk, Secret(pgwire.md5_answer(credential.username, credential.password.reveal(), request[4:])))
            await _accepted(talk)
        case 3 | 5:
            detail = "without TLS the password would be sent in the clear: if it may be, say starttls: off"
            raise Misconfigured(talk.step, detail)
        case 10:
            await _scram(talk, credential.password, request[4:])
        case other:
            raise Misconfigured(talk.step, f"the server wants our account to log in by method {other}: we cannot")
    await _expect(talk, "Z")


def _password(talk: Dialogue, password: Secret) -> None:
    length = len(password.reveal().encode()) + 5
    talk.write(b"p", length.to_bytes(4, "big"), password, b"\0", shown_as="PasswordMessage ***")


async def _scram(talk: Dialogue, password: Secret, offered: bytes) -> None:
    """Log in with SCRAM-SHA-256, bound to the server's certificate where the server can and the certificate allows."""
    mechanisms = offered.split(b"\0")
    data = scram.end_point(talk.certificate) if talk.certificate else None
    if data is not None and b"SCRAM-SHA-256-PLUS" in mechanisms:
        mechanism, header = "SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,"
    elif b"SCRAM-SHA-256" in mechanisms:
        mechanism, header, data = "SCRAM-SHA-256", "n,," if data is None else "y,,", b""
    else:
        raise Misconfigured(talk.step, f"the server wants our account to log in by {talk.show(offered)}: we cannot")
    nonce = secrets.token_urlsafe(18)
    first = scram.client_first(nonce)
    said = (header + first).encode()
    body = mechanism.encode() + b"\0" + len(said).to_bytes(4, "big") + said
    talk.write(pgwire.message("p", body), shown_as=f"SASLInitialResponse {mechanism} {header}{first}")
    try:
        asked = scram.challenge((await _authentication(talk, 11))[4:].decode(), nonce)
    except ValueError as error:
        raise UnexpectedReply(talk.step, talk.show(str(error))) from error
    binding = header.encode() + (data or b"")
    if asked.iterations < SLOW:
        answer = scram.answer(password, asked, first, binding)
    else:
        answer = await asyncio.to_thread(scram.answer, password, asked, first, binding)
    final = answer.begin + answer.proof.reveal()
    talk.write(pgwire.message("p", final.encode()), shown_as=f"SASLResponse {answer.begin}***")
    last = (await _authentication(talk, 12))[4:]
    if not scram.proves(last.decode("utf-8", "replace"), answer):
        raise UnexpectedReply(talk.step, "the server does not prove that it knows our password: it is another one")
    await _accepted(talk)


async def _accepted(talk: Dialogue) -> None:
    await _authentication(talk, 0)


async def _authentication(talk: Dialogue, wanted: int | None = None) -> bytes:
    """Return the body of the next message, which is about authentication, and of the type that is wanted, if any."""
    body = await _expect(talk, "R")
    kind = int.from_bytes(body[:4], "big")
    if len(body) < 4 or wanted not in (None, kind):
        raise UnexpectedReply(talk.step, f"expected authentication message {wanted}, got {kind}")
    _note_authentication(talk, body)
    return body


def _note_authentication(talk: Dialogue, body: bytes) -> None:
    talk.transcript.note("<", f"Authentication {int.from_bytes(body[:4], 'big')} {talk.show(body[4:])}".rstrip())


async def _query(talk: Dialogue, opts: PostgresqlOptions) -> None:
    talk.step = "query"
    limit = max(int(talk.time_left() * 1000 * IN_TIME), 1)
    begin = f"BEGIN READ ONLY; SET LOCAL statement_timeout = {limit}"
    talk.write(pgwire.query(begin), shown_as=begin)
    for wanted in "CCZ":
        await _expect(talk, wanted)
    statement = opts.query or ANY
    talk.write(pgwire.one_row(statement), shown_as=statement)
    await _expect(talk, "1")
    await _expect(talk, "2")
    row: list[bytes | None] | None = None
    kind, body = await _expected(talk, "DCIGHW")
    if kind in "GHW":
        raise Misconfigured(talk.step, "COPY gives no value: ask with SELECT")
    if kind == "D":
        try:
            row = pgwire.row(body)
        except ValueError as error:
            raise UnexpectedReply(talk.step, str(error)) from error
        talk.transcript.note(
            "<", "DataRow " + talk.show(b" | ".join(b"NULL" if value is None else value for value in row))
        )
        await _expected(talk, "Cs")
    await _expect(talk, "Z")
    talk.write(pgwire.query("ROLLBACK"), shown_as="ROLLBACK")
    await _expect(talk, "C")
    await _expect(talk, "Z")
    judge(talk, opts.expect, row)


async def _expect(talk: Dialogue, kind: str) -> bytes:
    return (await _expected(talk, kind))[1]


async def _expected(talk: Dialogue, kinds: str) -> tuple[str, bytes]:
    """Return the next message, which is of one of these types. An error is raised as what it means."""
    kind, body = await _message(talk)
    if kind == "E":
        error = _error(talk, body)
        raise pgwire.meaning(error, talk.step, talk.show(str(error)))
    if kind not in kinds:
        raise UnexpectedReply(talk.step, f"expected a message {' or '.join(kinds)}, got {kind}: {talk.show(body)}")
    return kind, body


async def _message(talk: Dialogue) -> tuple[str, bytes]:
    """Return type and body of the next message that is no notice, setting or notification."""
    for _ in range(MESSAGES):
        head = await talk.exactly(5)
        length = pgwire.body_length(head)
        if length is None:
            raise talk.unexpected(f"a PostgreSQL message of at most {pgwire.LONGEST} bytes", head + talk.waiting())
        body = await talk.exactly(length)
        if head[0] not in b"NSKA":
            return chr(head[0]), body
    raise UnexpectedReply(talk.step, f"more than {MESSAGES} notices and settings")


def _error(talk: Dialogue, body: bytes) -> pgwire.Failed:
    try:
        error = pgwire.failed(body)
    except ValueError as wrong:
        raise UnexpectedReply(talk.step, f"{wrong}: {talk.show(body)}") from wrong
    talk.transcript.note("<", f"ErrorResponse {error}")
    return error
