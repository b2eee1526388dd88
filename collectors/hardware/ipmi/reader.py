"""IPMI: a read proves that the BMC lets us in, and tells what it says about each of its lamps.

Chassis status (IPMI v2.0 section 28.2), device id (20.1), sensors by their data records (33, 35.14), event log fill
(31.2) and FRU inventory (34.2); only commands that read are sent (docs/lamps/ipmi.md).
"""

import asyncio
import contextlib
import ipaddress
import socket
from dataclasses import replace

from collectors.failures import CheckFailure, Misconfigured, NoAddress, TimedOut, Unauthorized, Unavailable
from collectors.hardware.ipmi import identity, inventory, oem, repository, verdicts
from collectors.hardware.ipmi.sdr import Sensor, components
from collectors.hardware.ipmi.session import CIPHER_SUITES, Privilege, Rejected, Session, SessionLost, Transcript
from collectors.hardware.ipmi.survey import survey
from collectors.reading import Hardware, HardwareReading, Verdict
from collectors.registry import LampTarget, Options, Port, source
from collectors.secret import Credential

NETFN_CHASSIS, GET_CHASSIS_STATUS = 0x00, 0x01
NETFN_APPLICATION, GET_DEVICE_ID = 0x06, 0x01
NETFN_STORAGE, GET_SEL_INFO = 0x0A, 0x40

INSUFFICIENT_PRIVILEGE = 0xD4
UNKNOWN_COMMAND = frozenset({0xC1, 0xC2})
CLOSE_SHARE = 0.1
"""The part of the time that is kept for closing the session, at most CLOSE_WITHIN seconds."""
CLOSE_WITHIN = 1.0

INVENTORY_AGE = 3_600.0
"""Seconds for which the inventory is believed: a failing lamp is re-read more often than a board is exchanged."""

TAKEN_NAMES = (*verdicts.CHASSIS_LAMPS, verdicts.EVENT_LOG)


class IpmiOptions(Options):
    """Where the BMC is. ``oem`` allows its vendor's own commands that read lamps, where they are known (`oem`)."""

    address: str
    port: Port = 623
    oem: bool = False


class PrivilegeTooLow(Exception):  # noqa: N818 - the next privilege level is tried
    """The BMC wants a higher privilege level for a command that USER may send."""


@source("ipmi", options=IpmiOptions)
class Ipmi:
    """Reads one BMC. Remembers its cipher suite, privilege level, sensor data records and inventory."""

    def __init__(self, options: IpmiOptions) -> None:
        self._options = options
        self._suites: tuple[int, ...] = CIPHER_SUITES
        self._privilege = Privilege.USER
        self._records = repository.Records()
        self._components: tuple[tuple[str, Sensor], ...] = ()
        self._product = identity.Product()
        self._product_until = 0.0
        self._one_session = asyncio.Lock()

    def endpoint(self) -> str:
        """Return ``host:port`` of the BMC."""
        address = self._options.address
        return f"[{address}]:{self._options.port}" if ":" in address else f"{address}:{self._options.port}"

    async def read(self, target: LampTarget, deadline: float) -> HardwareReading:
        """Read everything once, before ``deadline`` (event-loop time, seconds).

        Raises CheckFailure; docs/lamps/ipmi.md lists reasons and steps.
        """
        transcript = Transcript()
        try:
            async with asyncio.timeout_at(deadline):
                await self._one_session.acquire()
        except TimeoutError as error:
            raise TimedOut("open session", "another read of this BMC took all the time") from error
        try:
            reading = await self._read(target, deadline, transcript)
        except CheckFailure as failure:
            failure.transcript = transcript.lines()
            raise
        finally:
            self._one_session.release()
        return replace(reading, transcript=transcript.lines()) if target.transcript else reading

    async def _read(self, target: LampTarget, deadline: float, transcript: Transcript) -> HardwareReading:
        if target.credential is None:
            raise Misconfigured("log-in", "IPMI needs a credential")
        host = await self._host(deadline)
        now = asyncio.get_running_loop().time()
        until = deadline - min(CLOSE_WITHIN, CLOSE_SHARE * (deadline - now))
        try:
            return await self._visit(host, target.credential, until, transcript)
        except SessionLost as loss:
            transcript.note(f"{loss}; logging in again")
        except PrivilegeTooLow:
            transcript.note("the BMC wants a higher privilege level; logging in again")
            self._privilege = Privilege.OPERATOR
        try:
            return await self._visit(host, target.credential, until, transcript)
        except Unauthorized:
            self._privilege = Privilege.USER
            raise
        except PrivilegeTooLow as error:
            raise Unauthorized("log-in", "the BMC wants a privilege level above OPERATOR") from error

    async def _host(self, deadline: float) -> str:
        """Return the BMC's IP address."""
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

    async def _visit(
        self, host: str, credential: Credential, deadline: float, transcript: Transcript
    ) -> HardwareReading:
        """Log in, ask for everything, log out."""
        async with Session(host, self._options.port, deadline, transcript) as session:
            await session.log_in(credential, self._suites, self._privilege)
            self._suites = (session.suite, *(suite for suite in CIPHER_SUITES if suite != session.suite))
            device_data = await ask(session, "device id", NETFN_APPLICATION, GET_DEVICE_ID, length=11)
            device = identity.parse_device(device_data) if device_data else identity.Device()
            chassis = await ask(session, "chassis status", NETFN_CHASSIS, GET_CHASSIS_STATUS, length=3, vital=True)
            log_info = await ask(session, "event log", NETFN_STORAGE, GET_SEL_INFO, length=14)
            no_sensors = await self._refresh(session, device, device_data or b"")
            session.step = "sensors"
            vendor = oem.vendor_of(device.manufacturer, allowed=self._options.oem)
            found = await survey(session, self._components, vendor)
            session.step = "vendor lamps"
            own = await vendor.read(oem.Talk(session, self._records.locators))
            await self._take_inventory(session)
        lamps = [*found.lamps(), *oem.without_namesakes(own.lamps, (*TAKEN_NAMES, *dict(self._components)))]
        locate, logs = found.locate if own.locate is None else own.locate, []
        if chassis:
            lamps += verdicts.chassis_lamps(chassis, proven=found.readable)
            locate = verdicts.chassis_locate(chassis) if locate is None else locate
        if no_sensors and not any(lamp.verdict == Verdict.CRITICAL for lamp in lamps):
            raise Unavailable("sdr", no_sensors)
        if log_info:
            log_lamp, log = verdicts.event_log(log_info, proven=found.readable)
            lamps.append(log_lamp)
            logs.append(log)
        return HardwareReading(
            lamps=tuple(lamps),
            sensors=tuple(found.values),
            logs=tuple(logs),
            hardware=Hardware(
                manufacturer=device.maker or self._product.manufacturer,
                model=self._product.model,
                serial=self._product.serial,
                firmware=device.firmware,
                board=self._product.board,
            ),
            locate=locate,
            power=bool(chassis[0] & 1) if chassis else None,
            # What was refused this time is silent, not gone.
            complete=self._records.complete and b"" not in (device_data, chassis, log_info),
        )

    async def _refresh(self, session: Session, device: identity.Device, device_data: bytes) -> str:
        """Bring the sensor data records up to date; return why there are no sensors, else an empty string."""
        session.step = "sdr"
        store = repository.REPOSITORY if device.has_repository or not device.has_device_sdrs else repository.DEVICE
        try:
            changed = await repository.refresh(self._records, session, store, device_data)
        except Rejected as refusal:
            if refusal.code == INSUFFICIENT_PRIVILEGE:
                raise PrivilegeTooLow from refusal
            self._records.forget(None)
            self._components = ()
            return f"the BMC gives no sensor data records: {refusal}"
        if changed:
            self._components = components(self._records.sensors.values(), TAKEN_NAMES)
        return "" if self._components else "none of the BMC's sensor data records describes a sensor"

    async def _take_inventory(self, session: Session) -> None:
        """Read model and serial number where they are not known or too old. A BMC may have none."""
        now = asyncio.get_running_loop().time()
        if now < self._product_until:
            return
        session.step = "inventory"
        self._product_until = now + INVENTORY_AGE
        with contextlib.suppress(CheckFailure, Rejected, ValueError):
            self._product = await inventory.read(session)


async def ask(
    session: Session, step: str, netfn: int, command: int, *, length: int, vital: bool = False
) -> bytes | None:
    """Return the answer to a command without data.

    None where the BMC does not know the command, empty where it refuses it this time or answers less than ``length``.
    """
    session.step = step
    try:
        answer = await session.request(netfn, command)
    except Rejected as refusal:
        if vital and refusal.code == INSUFFICIENT_PRIVILEGE:
            raise PrivilegeTooLow from refusal
        return None if refusal.code in UNKNOWN_COMMAND else b""
    return answer if len(answer) >= length else b""
