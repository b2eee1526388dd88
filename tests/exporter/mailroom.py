"""A mail server that does as it is told, and an outbox on a ledger, with a clock that a test moves on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP

from exporter.clock import Moment, SystemClock
from exporter.inventory import Mail
from exporter.ledger import Ledger, outgoing_record
from exporter.mail.message import Outgoing
from exporter.outbox import Outbox
from exporter.secrets import Secrets
from exporter.telemetry import Telemetry


class MovedClock:
    """The machine's clock, which a test moves on."""

    def __init__(self) -> None:
        self.moved = 0
        self.set_ahead = 0
        """By how much the wall clock was set ahead, ms."""

    def now(self) -> Moment:
        now = SystemClock().now()
        return Moment(now.monotonic + self.moved, now.wall + self.moved + self.set_ahead)


class Connection(SMTP):
    """One connection to the mail server, in a set as long as it is open."""

    def __init__(self, handler: Any, among: "set[Connection]", **options: Any) -> None:
        super().__init__(handler, **options)
        self._among = among

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._among.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._among.discard(self)

    def hang_up(self) -> None:
        if self.transport:
            self.transport.close()


class MailServer:
    """A scripted mail server: `answer` says what it does with a mail."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []
        self.sessions: set[Any] = set()
        self.answer: Callable[[bytes], Awaitable[str]] = self._take
        self.rcpt = "250 OK"
        self.port = 0

    async def _take(self, content: bytes) -> str:
        self.mails.append(content)
        return "250 taken"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.sessions.add(session)
        if self.rcpt.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.rcpt

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        return await self.answer(envelope.content)

    @asynccontextmanager
    async def listening(self, **options: Any) -> AsyncIterator[Mail]:
        context = options.pop("implicit", None)
        loop = asyncio.get_running_loop()
        connections: set[Connection] = set()
        server = await loop.create_server(lambda: Connection(self, connections, **options), "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        settings = Mail("127.0.0.1", port, "noc@provider.example", "none")
        try:
            yield replace(settings, tls="implicit" if context else "starttls" if "tls_context" in options else "none")
        finally:
            server.close()
            for connection in tuple(connections):
                connection.hang_up()
            async with asyncio.timeout(20):
                while connections:  # noqa: ASYNC110 - the loop may not be closed before the last of them is
                    await asyncio.sleep(0)


class Mailroom:
    """An outbox on a ledger."""

    def __init__(self, storage: Path) -> None:
        self.clock = MovedClock()
        self.ledger = Ledger.open(storage, self.clock)
        self.telemetry = Telemetry(self.clock)
        self.secrets = Secrets({})
        self.outbox = Outbox(clock=self.clock, ledger=self.ledger, secrets=self.secrets, telemetry=self.telemetry)
        self._work: asyncio.Task[None] | None = None

    def begin(self, settings: Mail) -> None:
        self.outbox.settings = settings
        self._work = self._work or asyncio.create_task(self.outbox.work())

    async def end(self) -> None:
        if self._work:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
            self._work = None
        self.ledger.close()

    async def post(self, *mails: Outgoing) -> None:
        await self.ledger.save([outgoing_record(mail) for mail in mails])
        for mail in mails:
            self.outbox.post(mail)

    def count(self, result: str, kind: str = "notice") -> float:
        labels = {"kind": kind, "result": result}
        return self.telemetry.registry.get_sample_value("dserver_notices_total", labels) or 0

    def value(self, name: str) -> float:
        return self.telemetry.registry.get_sample_value(name) or 0

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - the conditions are about what other threads do
                await asyncio.sleep(0.005)

    async def waiting(self, *mails: Outgoing) -> None:
        """Wait until these mails, and no others, are in the ledger and not handed over."""
        names = [mail.message_id for mail in mails]
        await self.until(lambda: [mail.message_id for _, mail in self.ledger.outgoing()] == names)

    async def settled(self) -> None:
        await self.until(lambda: self.ledger.outgoing() == [])
