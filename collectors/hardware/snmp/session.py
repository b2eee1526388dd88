"""Asks one agent: single objects by GET, columns by GETBULK or GETNEXT (RFC 3416), over UDP, by gufo-snmp.

gufo-snmp's client sockets are used rather than its ``SnmpSession``: that one shows an agent's error ("too big") as the
end of a table, waits the same time for each answer, and sends nothing a second time. What a hostile agent can cost is
bounded here: requests, rows, values, answers that are none, and time.
"""

import asyncio
import contextlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Literal, Self, TypeVar

from gufo.snmp import SnmpAuthError, User
from gufo.snmp._fast import GetIter, SnmpV1ClientSocket, SnmpV2cClientSocket, SnmpV3ClientSocket
from gufo.snmp.utils import format_sock_addr

from collectors.failures import CheckFailure, Refused, TimedOut, Unauthorized, UnexpectedReply, translate
from collectors.hardware.alarm import Alarm
from collectors.hardware.snmp.keys import Account, Keys
from collectors.hardware.snmp.mib import Value
from collectors.hardware.snmp.signature import Signature, Watch
from collectors.secret import Secret

Version = Literal["1", "2c", "3"]
Socket = SnmpV1ClientSocket | SnmpV2cClientSocket | SnmpV3ClientSocket
Page = list[tuple[str, Value] | None]
T = TypeVar("T")
Exchange = tuple[Callable[[Socket], None], Callable[[Socket], T]]
"""What sends a request, and what takes its answer."""

WAITS: Final = (1.5, 3.0, 5.5)
"""Seconds until a request is sent again; their sum is how long an agent may be silent."""
HURRIED: Final = (2.0,)
"""The same, once the agent did not answer for a table."""
LOGGING_IN: Final = (1.0, 2.5)
"""The same, once an agent that must like our keys has told its name."""

BATCH = 36
"""Objects asked in one GET. The answer mostly fits into one frame; too big for an agent, it is asked in halves."""
REPETITIONS, GENTLE, NO_BULK = 25, 6, 0
"""Rows asked by one GETBULK, after it failed once, and after it failed twice: GETNEXT then."""
MOST_REQUESTS = 1_500
MOST_ROWS = 1_000
"""Of one column."""
MOST_VALUES = 60_000
"""Of one read."""
LONGEST_INDEX = 400
MOST_GARBAGE = 50
"""Datagrams that are no answer, for one request."""

INTERNET = "1.3.6.1"
"""All that agents have is below it."""
SYSTEM = "1.3.6.1.2.1.1.2.0"
"""sysObjectID.0: every agent has it, so an answer without it is an error."""
OS_ERROR = re.compile(r"\(os error (\d+)\)")
TRANSCRIPT_LINES = 600
LONGEST_ENGINE = 32


@dataclass(slots=True)
class Transcript:
    """What was asked and answered, one short line each, without secrets."""

    lines: list[str] = field(default_factory=list)

    def note(self, line: str) -> None:
        """Keep one line, as long as there is room."""
        if len(self.lines) < TRANSCRIPT_LINES:
            self.lines.append(line)


class Exhausted(Exception):  # noqa: N818 - the read ends here and keeps what it has
    """The agent made us ask for more than any server has."""


class Silent(Exception):  # noqa: N818 - what it means depends on what was asked
    """No answer to one request, however often it was sent. ``garbage``: something came that was none."""

    def __init__(self, garbage: str) -> None:
        super().__init__(garbage)
        self.garbage = garbage


@dataclass(slots=True)
class Column:
    """What one column held, by index. ``broken`` says why it may have more."""

    cells: dict[str, Value] = field(default_factory=dict)
    broken: str = ""

    def take(self, page: Page, where: int) -> bool:
        """Take what one answer has, indexes from place ``where`` of its OIDs on; tell whether the column ends there."""
        for entry in page:
            if entry is None:
                return True
            index, value = entry[0][where:], entry[1]
            if index in self.cells or not index or len(index) > LONGEST_INDEX:
                self.broken = f"the agent repeats itself at {entry[0][:LONGEST_INDEX]}"
                return True
            self.cells[index] = value
        if len(self.cells) > MOST_ROWS:
            self.broken = f"more than {MOST_ROWS} rows"
        return not page or bool(self.broken)


class Session:
    """A socket to one agent; an asynchronous context manager that always closes it.

    ``step`` names what is being done and goes into every failure. ``batch`` are the objects asked in one GET;
    ``repetitions`` are the rows asked by one GETBULK, and are taken back where the agent cannot do it.
    """

    def __init__(
        self, host: str, port: int, deadline: float, transcript: Transcript, repetitions: int = REPETITIONS
    ) -> None:
        self.step = "first answer"
        self.transcript = transcript
        self.repetitions = repetitions
        self.requests = 0
        self.values = 0
        self.waits: Sequence[float] = WAITS
        self._place = format_sock_addr(host, port)
        self._deadline = deadline
        self._loop = asyncio.get_running_loop()
        self._socket: Socket | None = None
        self._descriptor = -1
        self._waiting: asyncio.Future[bool] | None = None
        self._take: Callable[[], None] | None = None
        """What takes the answers of a series."""
        self._alarm = Alarm(self._loop, self._give_up_waiting)
        self._watch: Watch | None = None
        self._may_renew = False
        """Whether a v3 agent that let us in may reject us once: its clock began anew (RFC 3414 section 2.2.3)."""
        self.batch = BATCH
        self._canary: tuple[str, ...] = (SYSTEM,)
        self._bulk_is_mute: bool | None = None
        """Whether the last GETBULK got no answer at all (True), or only an unreadable one (False)."""

    async def __aenter__(self) -> Self:
        """Do nothing: a datagram socket is opened with its version."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the socket: gufo-snmp does so when nobody has it any more."""
        self._alarm.end()
        self._close()

    def use_community(self, version: Literal["1", "2c"], community: Secret) -> None:
        """Speak v1 or v2c."""
        build = SnmpV1ClientSocket if version == "1" else SnmpV2cClientSocket
        self._open(lambda: build(self._place, community.reveal(), 0, 0, 0, 0))
        if version == "1":
            # One unknown object spoils the whole answer, and GETBULK does not exist (RFC 1157 section 4.1.2).
            self.repetitions, self.batch, self._canary = NO_BULK, 1, ()

    async def discover(self, account: Account) -> bytes:
        """Return the agent's engine id (RFC 3414 section 4)."""
        self.step = "first answer"
        self._open_v3(b"", User.default())
        await self._refresh()
        engine = self._v3.get_engine_id()
        if not 1 <= len(engine) <= LONGEST_ENGINE:
            raise UnexpectedReply(self.step, f"an engine id of {len(engine)} bytes")
        self.transcript.note(f"engine {engine.hex()}, user {account.name}")
        return engine

    async def log_in(self, keys: Keys, user: User, oids: Sequence[str]) -> dict[str, Value]:
        """Speak v3 as ``user``: learn the engine's boots and time, and see that it lets us in by asking for objects.

        Returns those that it has, as `get` does. Raises Silent.
        """
        self.step = "log-in"
        self._open_v3(keys.engine, user)
        if keys.account.auth:
            self._watch = Watch(self._descriptor, Signature(keys.account.auth, keys.auth))
        await self._refresh()
        said = await self.get(oids)
        self._may_renew = True
        return said

    def _open_v3(self, engine: bytes, user: User) -> None:
        key = (user.get_auth_alg(), user.get_auth_key(), user.get_priv_alg(), user.get_priv_key())
        self._open(lambda: SnmpV3ClientSocket(self._place, engine, user.name, *key, 0, 0, 0, 0))

    async def _refresh(self) -> None:
        await self._ask(lambda _: self._v3.send_refresh(), lambda _: self._v3.recv_refresh())

    @property
    def _v3(self) -> SnmpV3ClientSocket:
        assert isinstance(self._socket, SnmpV3ClientSocket)
        return self._socket

    @property
    def _any(self) -> Socket:
        assert self._socket is not None
        return self._socket

    def _open(self, build: Callable[[], Socket]) -> None:
        self._close()
        try:
            self._socket = build()
        except (OSError, ValueError) as error:
            raise self._meaning(error) from error
        self._descriptor = self._socket.get_fd()
        # For all requests: to come and go with each cost eight system calls.
        self._loop.add_reader(self._descriptor, self._arrived)

    def _close(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        if self._socket is not None:
            self._loop.remove_reader(self._descriptor)
            self._socket = None

    async def get(self, oids: Iterable[str]) -> dict[str, Value]:
        """Return the single objects that the agent has. What was not asked for is not believed. Raises Silent."""
        wanted = list(oids)
        pending = [wanted[at : at + self.batch] for at in range(0, len(wanted), self.batch)][::-1]
        found: dict[str, Value] = {}
        while pending:
            several = pending[::-1] if len(pending) > 1 else ()
            answers = await self._series([_get_of([*batch, *self._canary]) for batch in several])
            for answer in answers or [await self._get([*pending[-1], *self._canary])]:
                batch = pending.pop()
                asked = set(batch)
                said = {oid: value for oid, value in answer.items() if oid in asked}
                self.transcript.note(f"get {batch[0]} and {len(batch) - 1} more: {len(said)} answered")
                if not answer and len(batch) > 1:
                    # An error, such as "too big", spoils the whole answer, and gufo-snmp does not show it.
                    middle = len(batch) // 2
                    pending += [batch[middle:], batch[:middle]]
                elif not answer and self._canary:
                    self._canary = ()
                    pending.append(batch)
                found |= said
        return found

    async def alive(self) -> bool:
        """Tell whether the agent still answers."""
        try:
            await self._get([SYSTEM])
        except Silent:
            return False
        return True

    async def _get(self, oids: list[str]) -> dict[str, Value]:
        return await self._ask(*_get_of(oids))

    async def following(self, oid: str) -> str:
        """Return the OID of the first object after ``oid``, empty where the agent tells none. Raises Silent."""
        # gufo-snmp keeps what it asks and what it believes in a place: this one believes everything.
        everywhere, nothing = GetIter(INTERNET, 1), ""
        return await self._ask(
            lambda any_: any_.send_get_next(GetIter(oid, 1)), lambda any_: any_.recv_get_next(everywhere)[0], nothing
        )

    async def has_any(self, subtree: str) -> bool:
        """Tell whether the agent has an object below ``subtree``. Raises Silent."""
        return bool(await self._next(GetIter(subtree, 1)))

    async def column(self, oid: str) -> Column:
        """Return all that is below ``oid``. A row that comes again ends it: some agents never stop. Raises Silent."""
        column, where = Column(), len(oid) + 1
        cells, place = column.cells, GetIter(oid, self.repetitions)
        bulk, ended = self.repetitions > NO_BULK, False
        while not ended:
            page = await self._bulk(place) if bulk else await self._next(place)
            if page is None:
                bulk, page = False, await self._gentler(place, oid, first=not cells)
            ended = column.take(page, where)
        self._note(oid, column)
        return column

    async def columns(self, expected: Mapping[str, int]) -> dict[str, Column]:
        """Return the columns, by their OIDs, that have no more rows than ``expected``. `column` is for all others.

        An agent need not look for more than one object behind them.
        """
        asked = {oid: GetIter(oid, rows + 1) for oid, rows in expected.items() if rows < self.repetitions}
        found: dict[str, Column] = {}
        pages = await self._series([_bulk_of(place) for place in asked.values()])
        for oid, page in zip(asked, pages, strict=False):
            column = Column()
            if None in page and column.take(page, len(oid) + 1) and not column.broken:
                self._note(oid, column)
                found[oid] = column
        return found

    def _note(self, oid: str, column: Column) -> None:
        self.values += len(column.cells)
        seen = f"walk {oid}: {len(column.cells)} rows"
        self.transcript.note(f"{seen}; {column.broken}" if column.broken else seen)
        if self.values > MOST_VALUES:
            raise Exhausted(f"more than {MOST_VALUES} values")

    async def _bulk(self, place: GetIter) -> Page | None:
        """Return the next rows of a column, its end as None among them; None where GETBULK tells nothing."""
        nothing: Page = []
        try:
            return await self._ask(*_bulk_of(place), nothing) or None
        except Silent as silence:
            self._bulk_is_mute = not silence.garbage
            return None

    async def _gentler(self, place: GetIter, oid: str, *, first: bool) -> Page:
        """Return the next row after GETBULK told nothing: the MIB's end, "too big", or an agent that drops it."""
        mute, self._bulk_is_mute = self._bulk_is_mute, None
        page = await self._next(place)
        if mute is None and not page:
            return page
        if not page and first and not await self.alive():
            raise Silent("")
        self.repetitions = GENTLE if self.repetitions > GENTLE and not mute else NO_BULK
        how = {None: "fails", True: "is not answered", False: "is answered unreadably"}[mute]
        self.transcript.note(f"GETBULK of {oid} {how}: {self.repetitions or 'no'} rows at a time from now on")
        return page

    async def _next(self, place: GetIter) -> Page:
        nothing: Page = []
        return await self._ask(
            lambda any_: any_.send_get_next(place), lambda any_: [any_.recv_get_next(place)], nothing
        )

    async def _ask(self, ask: Callable[[Socket], None], hear: Callable[[Socket], T], nothing: T | None = None) -> T:
        """Send a request until it is answered. ``nothing`` stands for an answer without a value.

        Nothing here keeps the socket: an exception may keep this frame for long.
        """
        garbage = ""
        for wait in self.waits:
            self.requests += 1
            if self.requests > MOST_REQUESTS:
                raise Exhausted(f"more than {MOST_REQUESTS} requests")
            try:
                ask(self._any)
            except (OSError, ValueError) as error:
                raise self._meaning(error) from error
            until = min(self._loop.time() + wait, self._deadline)
            for _ in range(MOST_GARBAGE):
                if not await self._readable(until):
                    break
                try:
                    if self._watch is not None and not self._watch.next_is_signed():
                        garbage = "an answer that is not signed with our key"
                        continue
                    return hear(self._any)
                except BlockingIOError:
                    continue
                except StopAsyncIteration:
                    if nothing is None:
                        raise UnexpectedReply(self.step, "an answer without a value") from None
                    return nothing
                except SnmpAuthError as error:
                    if not self._may_renew:
                        raise self._rejected() from error
                    self._may_renew = False
                    self.transcript.note("the agent lets us in no more, perhaps after a restart; asking for its time")
                    await self._refresh()
                    return await self._ask(ask, hear, nothing)
                except OSError as error:
                    raise self._meaning(error) from error
                except (KeyboardInterrupt, SystemExit):
                    raise
                except BaseException as error:  # noqa: BLE001 - gufo-snmp's decoder panics on some hostile bytes
                    garbage = str(error)[:80] or type(error).__name__
            if self._loop.time() >= self._deadline:
                raise TimedOut(self.step, "the time for this read is over")
            if garbage:
                break
        raise Silent(garbage)

    async def _series(self, exchanges: Sequence[Exchange[T]]) -> list[T]:
        """Send requests one after the other, each when the one before is answered, and return the answers.

        Only the last answer wakes the task. They end after an answer without a value, and before a request that is not
        answered at once, or by anything else: `_ask` has the patience for it, and says what it means.
        """
        answers: list[T] = []
        garbage = 0

        def send() -> bool:
            if len(answers) == len(exchanges) or self.requests >= MOST_REQUESTS:
                return False
            self.requests += 1
            with contextlib.suppress(OSError, ValueError):
                exchanges[len(answers)][0](self._any)
                self._alarm.set(min(self._loop.time() + self.waits[0], self._deadline))
                return True
            return False

        def take() -> None:
            nonlocal garbage
            goes_on = False
            try:
                if self._watch is None or self._watch.next_is_signed():
                    answers.append(exchanges[len(answers)][1](self._any))
                    goes_on = bool(answers[-1]) and send()
            except BlockingIOError:
                garbage += 1
                goes_on = garbage < MOST_GARBAGE
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:  # noqa: BLE001 - gufo-snmp's decoder panics on some hostile bytes
                self.transcript.note(f"one at a time from here on: {str(error)[:80] or type(error).__name__}")
            if not goes_on:
                self._end_wait(arrived=True)

        if send():
            self._take = take
            try:
                await self._wait()
            finally:
                self._take = None
        return answers

    async def _readable(self, until: float) -> bool:
        """Wait until there is a datagram; False when there is none in time."""
        self._alarm.set(until)
        return await self._wait()

    async def _wait(self) -> bool:
        self._waiting = waiting = self._loop.create_future()
        try:
            arrived: bool = await waiting
        finally:
            self._waiting = None
        return arrived

    def _arrived(self) -> None:
        if self._take is not None and self._waiting is not None and not self._waiting.done():
            self._take()
        else:
            self._end_wait(arrived=True)

    def _give_up_waiting(self) -> None:
        self._end_wait(arrived=False)

    def _end_wait(self, *, arrived: bool) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(arrived)

    def _rejected(self) -> CheckFailure:
        if isinstance(self._socket, SnmpV3ClientSocket):
            return Unauthorized(self.step, "the agent rejects the user, a password or a protocol")
        return Unauthorized(self.step, "the agent says authorizationError: the community may not read this")

    def _meaning(self, error: Exception) -> CheckFailure:
        """Return the failure that an error of gufo-snmp's sockets means: it has the number only as text."""
        if isinstance(error, TimeoutError):  # so it says that a port is closed
            return Refused(self.step, "the SNMP port is closed")
        if found := OS_ERROR.search(str(error)):
            number = int(found[1])
            return translate(OSError(number, str(error).partition(" (os error")[0]), self.step)
        return translate(error, self.step)


def _get_of(oids: list[str]) -> Exchange[dict[str, Value]]:
    return (lambda any_: any_.send_get_many(oids), lambda any_: any_.recv_get_many())


def _bulk_of(place: GetIter) -> Exchange[Page]:
    return (lambda any_: any_.send_get_bulk(place), lambda any_: any_.recv_get_bulk(place))
