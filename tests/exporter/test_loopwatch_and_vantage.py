"""What voids a failure: our loop was late, or our own uplink is gone."""

import asyncio
import logging
import time
from itertools import groupby

import pytest

from exporter.inventory import VantageAddress
from exporter.loopwatch import PERIOD, LoopWatch
from exporter.vantage import Vantage


class TestLoopWatch:
    async def test_a_loop_that_was_blocked_for_more_than_a_second_is_known_as_late_at_once_and_afterwards(self) -> None:
        observed: list[float] = []
        watch = LoopWatch(asyncio.get_running_loop(), observed.append)
        watch.start()
        begun = time.monotonic()
        assert not watch.late_since(begun)
        time.sleep(1.4)  # noqa: ASYNC251 - a blocked loop is what is tested
        await asyncio.sleep(0)
        assert watch.late_since(begun)
        while not observed or max(observed) < 1:  # noqa: ASYNC110 - the tick is what is waited for
            await asyncio.sleep(PERIOD)
        assert watch.late_since(begun)
        assert not watch.late_since(time.monotonic())
        watch.stop()


async def listen() -> tuple[asyncio.Server, VantageAddress]:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    return server, VantageAddress("127.0.0.1", server.sockets[0].getsockname()[1])


async def closed() -> VantageAddress:
    server, address = await listen()
    server.close()
    await server.wait_closed()
    return address


class TestVantage:
    async def test_the_uplink_is_lost_only_when_every_address_fails(self) -> None:
        server, answering = await listen()
        silent = await closed()
        assert not await Vantage([silent, answering], lambda _up: None).lost()
        assert await Vantage([silent, await closed()], lambda _up: None).lost()
        server.close()

    async def test_without_vantage_addresses_nothing_is_ever_lost(self) -> None:
        assert not await Vantage([], lambda _up: None).lost()

    async def test_many_who_ask_at_once_share_one_round(self) -> None:
        connections = 0

        def count(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            writer.close()

        server = await asyncio.start_server(count, "127.0.0.1", 0)
        vantage = Vantage([VantageAddress("127.0.0.1", server.sockets[0].getsockname()[1])], lambda _up: None)
        assert await asyncio.gather(*(vantage.lost() for _ in range(100))) == [False] * 100
        assert connections <= 1
        server.close()

    async def test_loss_and_return_are_reported_and_logged_with_the_addresses(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("exporter.vantage.FRESH", -0.01)  # each question wants a round of its own
        reported: list[bool] = []
        server, address = await listen()
        vantage = Vantage([await closed()], reported.append)
        with caplog.at_level(logging.WARNING, "vantage"):
            assert await vantage.lost()
            vantage.addresses = (address,)
            assert not await vantage.lost()
        assert [up for up, _ in groupby(reported)] == [False, True]
        assert "our own uplink is gone" in caplog.messages[0]
        assert "answers again" in caplog.messages[1]
        server.close()
