"""SNMP: a read proves that the agent lets us in, and tells what its vendor's MIB says about each lamp.

sysObjectID says which vendor's objects to read (docs/lamps/snmp.md); these are single objects and tables, read by GET
and GETBULK. Nothing is ever set.
"""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Sequence
from typing import Annotated, Literal

from gufo.snmp import KeyExpansion
from pydantic import BeforeValidator

from collectors.failures import CheckFailure, NoAddress, TimedOut, Unauthorized, UnexpectedReply
from collectors.hardware.snmp.detect import DESCRIPTION, detect
from collectors.hardware.snmp.judge import Answers, Judged, Part, judge
from collectors.hardware.snmp.keys import Account, Keys, account_of, community_of
from collectors.hardware.snmp.mib import Value, Vendor, text_of
from collectors.hardware.snmp.session import (
    HURRIED,
    LOGGING_IN,
    REPETITIONS,
    SYSTEM,
    WAITS,
    Exhausted,
    Session,
    Silent,
    Transcript,
)
from collectors.hardware.snmp.walk import Known, ask, expected
from collectors.reading import Hardware, HardwareReading, Verdict
from collectors.registry import LampTarget, Options, Port, source
from collectors.secret import Credential

WHO = (SYSTEM, DESCRIPTION)
"""What says whose agent it is."""

VENDOR_AGE = 3_600.0
"""Seconds for which the vendor of an agent is believed that only said which SNMP software it is."""

JUDGING, JUDGING_SHARE = 1.0, 0.05
"""Seconds, and the part of the time, that are kept to tell what was read until then."""


class SnmpOptions(Options):
    """Where the agent is, and which version of SNMP it is asked with."""

    address: str
    port: Port = 161
    version: Annotated[Literal["1", "2c", "3"], BeforeValidator(str)] = "2c"


@source("snmp", options=SnmpOptions)
class Snmp:
    """Reads one agent. Remembers its engine and keys, its vendor, how much it can answer at once, and its parts."""

    def __init__(self, options: SnmpOptions) -> None:
        self._options = options
        self._keys: Keys | None = None
        self._expansion = KeyExpansion.Blumenthal
        self._repetitions = REPETITIONS
        self._vendors: tuple[Vendor, ...] = ()
        self._vendors_until = 0.0
        self._said: tuple[str, str] = ("", "")
        self._parts: dict[str, dict[str, Part]] = {}
        """By vendor: what its last read showed, by key."""
        self._was_whole = False
        """Whether the last read was answered in everything, so that the next may expect the same."""
        self._is_modest = False
        """Whether it is to be asked who it is before anything else: it once gave no answer to more at once."""

    def endpoint(self) -> str:
        """Return ``host:port`` of the agent."""
        address = self._options.address
        return f"[{address}]:{self._options.port}" if ":" in address else f"{address}:{self._options.port}"

    async def read(self, target: LampTarget, deadline: float) -> HardwareReading:
        """Read everything once, before ``deadline`` (event-loop time, seconds).

        Raises CheckFailure; docs/lamps/snmp.md lists reasons and steps.
        """
        transcript = Transcript()
        try:
            host = await self._host(deadline)
            now = asyncio.get_running_loop().time()
            until = deadline - min(JUDGING, JUDGING_SHARE * (deadline - now))
            session = Session(host, self._options.port, until, transcript, self._repetitions)
            try:
                async with session, asyncio.timeout_at(deadline):
                    return await self._visit(session, target.credential, transcript)
            except TimeoutError as error:
                raise TimedOut(session.step, "the time for this read is over") from error
            except Silent as silence:
                raise _nothing(session.step, silence) from silence
            except Exhausted as excess:
                raise UnexpectedReply(session.step, f"the agent never comes to an end: {excess}") from excess
            finally:
                if self._options.version != "1":
                    self._repetitions = session.repetitions
        except CheckFailure as failure:
            failure.transcript = tuple(transcript.lines)
            # A kept failure must not keep the frames of the read, with their socket.
            failure.__cause__ = failure.__context__ = None
            raise failure.with_traceback(None)  # noqa: B904 - there is no other

    async def _host(self, deadline: float) -> str:
        """Return the agent's IP address."""
        address = self._options.address
        with contextlib.suppress(ValueError):
            return str(ipaddress.ip_address(address))
        try:
            async with asyncio.timeout_at(deadline):
                found = await asyncio.get_running_loop().getaddrinfo(
                    address, self._options.port, type=socket.SOCK_DGRAM
                )
        except (OSError, UnicodeError) as error:
            raise NoAddress("resolve", f"no address for {address}") from error
        return str(found[0][4][0])

    async def _visit(self, session: Session, credential: Credential | None, transcript: Transcript) -> HardwareReading:
        """Log in, find out whose agent it is, read its objects and tables."""
        expects = self._expected() if self._was_whole and not self._is_modest else ()
        self._was_whole = False
        known = await self._first_answer(session, credential, expects)
        await self._recognise(session, known.found)
        transcript.note(f"read as: {', '.join(vendor.name for vendor in self._vendors) or 'nothing that is known'}")
        readings: list[Judged] = []
        missed: list[str] = []
        for vendor in self._vendors:
            answers = Answers()
            before = self._parts.get(vendor.name, {})
            lost = await ask(session, vendor, answers, before, known)
            reading, parts = judge(vendor, answers, before)
            if lost and not any(lamp.verdict in (Verdict.WARNING, Verdict.CRITICAL) for lamp in reading.lamps):
                raise lost
            self._parts[vendor.name] = parts
            readings.append(reading)
            missed += answers.missed.values()
            if lost:
                break
        self._was_whole = not missed
        return _together(readings, complete=not missed, transcript=transcript)

    def _expected(self) -> tuple[str, ...]:
        """Return the OIDs of what the last read found."""
        return tuple(oid for vendor in self._vendors for oid in expected(vendor, self._parts.get(vendor.name, {})))

    async def _first_answer(self, session: Session, credential: Credential | None, expects: Sequence[str]) -> Known:
        """Log in, and ask who the agent is, and at once for what it ``expects`` to have.

        Where so much is not answered, the rest of the time that it may be silent is for the first question alone, and
        it is not asked for so much again.
        """
        oids = (*WHO, *expects)[: session.batch]
        if self._options.version == "3":
            known = await self._log_in(session, account_of(credential), oids)
        else:
            session.use_community(self._options.version, community_of(credential))
            known = await self._ask_first(session, oids)
        session.step = "vendor"
        if not known.asked.issuperset(oids):
            self._is_modest = True
            return known
        rest = expects[len(oids) - len(WHO) :]
        try:
            known.found |= await session.get(rest)
        except (Silent, TimedOut):
            self._is_modest = True
            session.waits = HURRIED
        else:
            known.asked |= set(rest)
        return known

    async def _ask_first(self, session: Session, oids: Sequence[str]) -> Known:
        """Ask for the first objects by v1 and v2c; who it is alone where there is no answer to all. Raises Silent."""
        patience = session.waits
        try:
            if len(oids) > len(WHO):
                session.waits = patience[:-1]
                with contextlib.suppress(Silent):
                    return Known(set(oids), await session.get(oids))
                session.waits = patience[-1:]
            return Known(set(WHO), await session.get(WHO))
        finally:
            session.waits = patience

    async def _log_in(self, session: Session, account: Account, oids: Sequence[str]) -> Known:
        """Log in as a v3 user, with the keys of the last read where it is still the same engine and account."""
        if self._keys is not None and self._keys.account == account:
            session.waits = LOGGING_IN
            try:
                return Known(set(oids), await session.log_in(self._keys, self._keys.user(self._expansion), oids))
            except (Silent, Unauthorized) as refusal:
                session.transcript.note(f"the engine we know does not let us in ({refusal}); asking who is there")
            finally:
                session.waits = WAITS
        self._keys = None
        keys = account.localised(await session.discover(account))
        session.waits = LOGGING_IN
        # Known ways to lengthen the key first; the one that worked last before the others.
        for expansion in sorted(account.expansions, key=lambda each: each is not self._expansion):
            try:
                said = await session.log_in(keys, keys.user(expansion), WHO)
            except (Silent, Unauthorized) as refusal:
                session.transcript.note(f"no log-in with the key made long by {expansion.name}'s way: {refusal}")
            else:
                self._keys, self._expansion = keys, expansion
                session.waits = WAITS
                return Known(set(WHO), said)
        raise Unauthorized(
            "log-in", "the agent names its engine, and does not let us in: user, passwords or protocols are not its own"
        )

    async def _recognise(self, session: Session, said: dict[str, Value]) -> None:
        """Find out whose objects the agent has, unless that is known."""
        identity = (text_of(said.get(SYSTEM)), text_of(said.get(DESCRIPTION)))
        now = asyncio.get_running_loop().time()
        if self._vendors and identity == self._said and now < self._vendors_until:
            return
        self._vendors = await detect(session, said)
        self._said, self._vendors_until = identity, now + VENDOR_AGE


def _together(readings: list[Judged], *, complete: bool, transcript: Transcript) -> HardwareReading:
    """Return one reading of what several vendors' MIBs told of the same machine."""
    hardware = [reading.hardware for reading in readings]
    locate = [reading.locate for reading in readings if reading.locate is not None]
    power = [reading.power for reading in readings if reading.power is not None]
    return HardwareReading(
        lamps=tuple(lamp for reading in readings for lamp in reading.lamps),
        sensors=tuple(sensor for reading in readings for sensor in reading.sensors),
        hardware=next((each for each in hardware if each != Hardware()), None),
        locate=any(locate) if locate else None,
        power=power[0] if power else None,
        complete=complete,
        transcript=tuple(transcript.lines),
    )


def _nothing(step: str, silence: Silent) -> CheckFailure:
    if silence.garbage:
        return UnexpectedReply(step, f"what answers is not SNMP of this version: {silence.garbage}")
    return TimedOut(step, "no answer: it is off, filtered, or does not know our community or user")
