"""An attempt whose server is a string of bytes: for hundreds of generated answers there is no network.

::

    reading = judged("imap", answer)        # every connection is given the answer, byte by byte, and closed
"""

import asyncio
from collections.abc import Callable
from typing import Any

from collectors.attempt import attempt
from collectors.reading import ServiceReading
from collectors.registry import CHECKS, ServiceTarget
from collectors.secret import Credential


class _Transport(asyncio.Transport):
    """Gives an answer to whatever is written first, or to the connection itself, and closes."""

    def __init__(self, answer: bytes, protocol: asyncio.Protocol) -> None:
        super().__init__({"sockname": ("127.0.0.1", 1)})
        self._answer = answer
        self._protocol = protocol
        self._closed = False

    def say(self) -> None:
        answer, self._answer = self._answer, b""
        for number in range(len(answer)):
            self._protocol.data_received(answer[number : number + 1])
        if not self._closed:
            self._closed = True
            self._protocol.connection_lost(None)

    def write(self, data: object) -> None:
        self.say()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def is_closing(self) -> bool:
        return self._closed

    def abort(self) -> None:
        self._closed = True


def judged(
    protocol: str, answer: bytes, *, credential: Credential | None = None, greets: bool = False, **options: Any
) -> ServiceReading:
    """Run a check whose server gives this answer, at once if it ``greets``, else to what is said first."""
    chosen = CHECKS[protocol].options.model_validate(options)

    async def judge() -> ServiceReading:
        loop = asyncio.get_running_loop()

        async def connect(
            make: Callable[[], asyncio.Protocol], *_: object, **__: object
        ) -> tuple[asyncio.Transport, asyncio.Protocol]:
            protocol = make()
            transport = _Transport(answer, protocol)
            protocol.connection_made(transport)
            if greets:
                loop.call_soon(transport.say)
            return transport, protocol

        loop.create_connection = connect  # type: ignore[method-assign, assignment]  # that is what it is for
        return await attempt(CHECKS[protocol], ServiceTarget("127.0.0.1", "", credential), chosen, loop.time() + 5)

    return asyncio.run(judge())
