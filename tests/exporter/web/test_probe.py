"""/probe runs one check or lamp read of an inventory member, and it is never evidence."""

import asyncio
import re
from dataclasses import replace
from typing import Any

import pytest

from collectors.failures import Refused, TimedOut
from collectors.reading import HardwareReading, Lamp, LampReading, ServiceReading, Verdict
from collectors.transcript import Recording, Transcript
from exporter.families import Selection
from exporter.inventory import Check
from exporter.lastruns import pack
from exporter.monitor import Monitor
from exporter.secrets import Secrets
from exporter.web import probe

URL = "/probe?server=web01&check=https"
LAMPS = "/probe?server=web01&check=lamps"


def recording(heard: str, said: str) -> Recording:
    transcript = Transcript(lambda: 0.0)
    transcript.note("<", heard)
    transcript.note(">", said)
    return transcript.recording()


class Runs:
    """Stands for the runner's `run_once`."""

    def __init__(self) -> None:
        self.reading = ServiceReading(None, 0.25, recording=recording("hello", "bye"))
        self.ran: list[tuple[Check, float]] = []
        self.started = asyncio.Event()
        self.release = asyncio.Event()
        self.release.set()

    async def __call__(self, check: Check, secrets: Secrets, seconds: float) -> ServiceReading:
        self.ran.append((check, seconds))
        self.started.set()
        await self.release.wait()
        return self.reading


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    runs = Runs()
    monkeypatch.setattr(probe, "run_once", runs)
    return runs


async def test_a_success_is_told_in_metrics(start: Any, runs: Runs, monitor: Monitor) -> None:
    runs.reading = replace(runs.reading, certificate_expiry=1_900_000_000.0)
    client = await start()
    async with client.session.get(client.url(URL)) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        text = await response.text()
    assert [line for line in text.splitlines() if not line.startswith("#")] == [
        "probe_success 1.0",
        "probe_duration_seconds 0.25",
        "probe_certificate_expiry_timestamp_seconds 1.9e+09",
    ]
    ((check, seconds),) = runs.ran
    assert check is monitor.config.servers["web01"].checks[0]
    assert seconds == 2.0


async def test_a_failure_says_why_and_at_which_step(start: Any, runs: Runs) -> None:
    runs.reading = ServiceReading(Refused("connect", "connection refused"), 0.5)
    client = await start()
    status, text = await client.get(URL)
    assert status == 200
    assert "\nprobe_success 0.0\n" in text
    assert '\nprobe_failure_info{reason="refused",step="connect"} 1.0\n' in text


async def test_debug_also_tells_what_was_said_in_the_last_failing_and_the_last_good_run(
    start: Any, runs: Runs, monitor: Monitor
) -> None:
    entry = monitor.schedule.get(("web01", "https"))
    assert entry
    entry.keep(pack(1_800_000_000_000, None, recording("well", "thanks")), good=True)
    failure = TimedOut("status", "no answer")
    entry.keep(pack(1_800_000_600_000, failure, recording("\x1b[2J", "hello?")), good=False)
    text = (await (await start()).get(f"{URL}&debug=true"))[1]
    assert (
        "Last failing run: 2027-01-15T08:10:00Z timeout at status: no answer\n"
        "   0.000 < \\x1b[2J\n   0.000 > hello?\n\n"
        "Last good run: 2027-01-15T08:00:00Z success\n   0.000 < well\n   0.000 > thanks\n"
    ) in text
    assert "Last good run" not in (await (await start()).get(URL))[1]


async def test_debug_tells_the_dialogue_before_the_metrics(start: Any, runs: Runs) -> None:
    client = await start()
    async with client.session.get(client.url(f"{URL}&debug=true")) as response:
        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
        text = await response.text()
    assert text.startswith(
        "web01/https: https at 127.0.0.1, for at most 2 s\n   0.000 < hello\n   0.000 > bye\nsuccess (250.0 ms)\n\n"
        "Last failing run: none since the exporter started\n\nLast good run: none since the exporter started\n\n"
        "Metrics that are returned without debug=true:\n# HELP probe_success"
    )
    assert (await client.get(f"{URL}&debug=false"))[1] == (await client.get(URL))[1]


async def test_what_a_server_sent_does_not_steer_the_terminal_that_shows_it(start: Any, runs: Runs) -> None:
    runs.reading = replace(runs.reading, recording=recording("\x1b[2J\x07\r\n\x9b31m \udcff 日本\t!", ""))
    client = await start()
    _, text = await client.get(f"{URL}&debug=true")
    told = "".join(text.splitlines()[1:3])
    assert "日本\\t!" in told
    assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]", told)


@pytest.mark.parametrize(
    ("query", "status", "sentence"),
    [
        ("server=web02&check=https", 404, "The inventory has no server 'web02', and nothing else is contacted."),
        ("server=192.0.2.1&check=https", 404, "nothing else is contacted"),
        ("server=web01&check=imap", 404, "web01 has no check 'imap'; it has: lamps, https, ssh."),
        ("server=web01%0A%3Cb%3E&check=https", 404, r"'web01\n<b>'"),
        ("server=web01", 400, "Name both: /probe?server=NAME&check=NAME"),
        ("check=https", 400, "Name both"),
        ("", 400, "Name both"),
    ],
)
async def test_only_members_of_the_inventory_are_contacted(
    start: Any, runs: Runs, query: str, status: int, sentence: str
) -> None:
    client = await start()
    async with client.session.get(client.url(f"/probe?{query}")) as response:
        assert response.status == status
        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert sentence in await response.text()
    assert not runs.ran


async def test_the_same_probe_does_not_run_twice_at_once(start: Any, runs: Runs) -> None:
    runs.release.clear()
    client = await start()
    first = asyncio.create_task(client.get(URL))
    await runs.started.wait()
    async with client.session.get(client.url(URL)) as response:
        assert response.status == 503
        assert response.headers["Retry-After"] == "5"
        assert await response.text() == "This probe is under way already. Try again later.\n"
    runs.release.set()
    assert (await first)[0] == 200
    assert (await client.get(URL))[0] == 200
    assert len(runs.ran) == 2


async def test_no_more_than_the_limit_run_at_once(start: Any, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "LIMIT", 1)
    runs.release.clear()
    client = await start()
    first = asyncio.create_task(client.get(URL))
    await runs.started.wait()
    status, text = await client.get("/probe?server=web01&check=ssh")
    assert (status, text) == (503, "1 probes are under way already. Try again later.\n")
    runs.release.set()
    assert (await first)[0] == 200


async def test_a_probe_is_no_evidence(start: Any, runs: Runs, controller: Any, monitor: Monitor) -> None:
    runs.reading = ServiceReading(TimedOut("connect"), 2.0)
    controller.answer = HardwareReading((LampReading(Lamp.DRIVE, "Drive 3", Verdict.CRITICAL, "fault"),))
    before = b"".join(monitor.exposition.chunks(list(Selection)))
    states = [entry.state for entry in monitor.schedule], [entry.state for entry in monitor.lamps]
    client = await start()
    for path in (URL, LAMPS):
        assert (await client.get(path))[0] == 200
    assert b"".join(monitor.exposition.chunks(list(Selection))) == before
    assert ([entry.state for entry in monitor.schedule], [entry.state for entry in monitor.lamps]) == states
    assert monitor.telemetry.registry.get_sample_value("dserver_exporter_checks_in_flight") == 0


async def test_lamps_are_told_as_a_second_read_would_confirm_them(start: Any, controller: Any) -> None:
    controller.answer = HardwareReading(
        (
            LampReading(Lamp.DRIVE, "Drive 3", Verdict.CRITICAL, "fault asserted"),
            LampReading(Lamp.FAN, "Fan 1", Verdict.NORMAL, "ok"),
            LampReading(Lamp.FAN, "Fan 2", None, "not present"),
        ),
        locate=True,
        transcript=("< chassis status 0x40",),
    )
    client = await start()
    _, text = await client.get(LAMPS)
    assert text.startswith("# HELP probe_success")
    assert "\nprobe_success 1.0\n" in text
    assert '\ndserver_lamp_verdict{component="Drive 3",lamp="drive",server="web01",source="test"} 2.0\n' in text
    assert '\ndserver_server_lamp_verdict{server="web01"} 2.0\n' in text
    assert '\ndserver_locate_lamp_on{server="web01"} 1.0\n' in text
    _, told = await client.get(f"{LAMPS}&debug=true")
    assert told.startswith(
        "web01/test: lamps by test at 192.0.2.110:623\n  < chassis status 0x40\n"
        "  critical drive        Drive 3: fault asserted\n  normal   fan          Fan 1: ok\n"
        "  absent   fan          Fan 2: not present\n  the locate lamp is on\nsuccess ("
    )


async def test_lamps_that_cannot_be_read_say_why(start: Any, controller: Any) -> None:
    controller.answer = TimedOut("session", "no answer before the deadline")
    client = await start()
    _, text = await client.get(f"{LAMPS}&debug=true")
    assert "failed: timeout at session: no answer before the deadline (" in text
    assert "\nprobe_success 0.0\n" in text
    assert '\ndserver_lamp_check_failure_info{reason="timeout",server="web01",source="test"} 1.0\n' in text
    assert '\ndserver_server_lamp_verdict{server="web01"} -1.0\n' in text


async def test_a_controller_never_has_a_second_session_for_a_probe(
    start: Any, controller: Any, monitor: Monitor
) -> None:
    inside, release = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        inside.set()
        await release.wait()

    controller.before = wait
    entry = monitor.lamps.get(("web01", "test"))
    assert entry
    regular = asyncio.create_task(monitor.lamps.read(entry))
    await inside.wait()
    client = await start()
    probes = [asyncio.create_task(client.get(LAMPS)) for _ in range(2)]
    refused, waiting = await asyncio.wait(probes, return_when=asyncio.FIRST_COMPLETED)
    assert [task.result()[0] for task in refused] == [503]  # the other one waits for the controller
    assert controller.sessions == 1
    release.set()
    await regular
    assert [(await task)[0] for task in waiting] == [200]
    assert controller.most_sessions == 1


async def test_a_controller_that_stays_busy_does_not_hold_a_probe_for_ever(
    start: Any, controller: Any, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "LAMPS_DEADLINE", 0.02)
    controller.before = asyncio.Event().wait
    client = await start()
    status, text = await client.get(LAMPS)
    assert (status, text) == (503, "The management controller is busy with other reads. Try again later.\n")
    assert controller.sessions == 0
