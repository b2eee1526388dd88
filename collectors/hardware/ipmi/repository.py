"""Walks a BMC's sensor data records, and remembers them until the BMC says that they changed.

IPMI v2.0 sections 33.9 to 33.12 (SDR repository) and 35.2 to 35.4 (device SDRs, of BMCs without a repository).
"""

import struct
from dataclasses import dataclass, field

from collectors.failures import UnexpectedReply
from collectors.hardware.ipmi import sdr
from collectors.hardware.ipmi.session import Rejected, Session, SessionLost

GET_INFO, RESERVE = 0x20, 0x22
FIRST_RECORD, END_OF_RECORDS = 0x0000, 0xFFFF
WHOLE_RECORD = 0xFF
LARGEST_PART, SMALLEST_PART = 16, 4
MAX_RECORDS = 2_048
MAX_RESERVATIONS = 16
PATIENT_RESERVATIONS = 3
"""So many reservations may be cancelled at one record before it is read without."""
NO_RESERVATION = b"\0\0"

RESERVATION_CANCELLED = 0xC5
TOO_LONG = frozenset({0xC4, 0xC7, 0xC8, 0xC9, 0xCA, 0xCC, 0xFF})
"""How BMCs refuse to return as many bytes as were asked for."""


@dataclass(frozen=True, slots=True)
class Commands:
    """The commands of one of the two stores."""

    netfn: int
    get: int

    def stamp(self, info: bytes) -> bytes:
        """Return what changes whenever a record is added or erased: the count, and when that was last."""
        return info[1:3] + info[5:13] if self is REPOSITORY else info


REPOSITORY = Commands(netfn=0x0A, get=0x23)
DEVICE = Commands(netfn=0x04, get=0x21)


@dataclass(slots=True)
class Records:
    """The records of one BMC as far as they were read. Kept across reads, also when one ends in the middle.

    ``complete`` is True once the chain of records was followed to its end and each was legible.
    """

    stamp: bytes | None = None
    sensors: dict[tuple[int, int, int, int], sdr.Sensor] = field(default_factory=dict)
    locators: list[sdr.Locator] = field(default_factory=list)
    next_id: int = FIRST_RECORD
    seen: set[int] = field(default_factory=set)
    legible: bool = True
    whole_records: bool = True
    part: int = LARGEST_PART

    @property
    def walked(self) -> bool:
        """Whether nothing is left to be read."""
        return self.next_id == END_OF_RECORDS

    @property
    def complete(self) -> bool:
        """Whether every sensor the BMC has is known."""
        return self.walked and self.legible

    def forget(self, stamp: bytes | None) -> None:
        """Start anew."""
        self.stamp, self.next_id, self.legible = stamp, FIRST_RECORD, True
        self.sensors.clear()
        self.locators.clear()
        self.seen.clear()


async def refresh(records: Records, session: Session, commands: Commands, firmware: bytes) -> bool:
    """Bring ``records`` up to date and tell whether they changed.

    Records are read again when the store's stamp or the firmware changed, and every time where the BMC has no stamp.
    Raises Rejected where the BMC gives no records, and the failures of `Session.request`.
    """
    try:
        info = await session.request(commands.netfn, GET_INFO)
        stamp: bytes | None = firmware + commands.stamp(info)
    except Rejected:
        stamp = None
    if stamp is not None and stamp == records.stamp and records.complete:
        return False
    if stamp is None or stamp != records.stamp or records.walked:
        records.forget(stamp)
    await walk(records, session, commands)
    return True


async def walk(records: Records, session: Session, commands: Commands) -> None:
    """Follow the chain of records from where ``records`` ends."""
    attempts, progress = 0, -1
    while attempts < MAX_RESERVATIONS:
        attempts, progress = (attempts + 1, progress) if len(records.seen) == progress else (1, len(records.seen))
        try:
            # Whole records need none (section 33.12), and two who read at once would cancel each other's for ever.
            alone = attempts <= PATIENT_RESERVATIONS or not records.whole_records
            reservation = await reserve(session, commands) if alone else NO_RESERVATION
            while not records.walked:
                await step(records, session, commands, reservation)
        except Rejected as refusal:
            if refusal.code == RESERVATION_CANCELLED:
                continue  # somebody changed or reserved the store: reserve again, go on with the same record
            if not records.seen:
                raise
            records.legible = False
            records.next_id = END_OF_RECORDS
        records.seen.clear()  # the walk is over, and it would be 2 kB for every BMC
        return
    raise UnexpectedReply(session.step, f"the SDR reservation was cancelled {MAX_RESERVATIONS} times at one record")


async def reserve(session: Session, commands: Commands) -> bytes:
    """Return a reservation, 0000h where the store knows none: it is needed for records read in parts only."""
    try:
        return (await session.request(commands.netfn, RESERVE))[:2].ljust(2, b"\0")
    except Rejected:
        return NO_RESERVATION


async def step(records: Records, session: Session, commands: Commands, reservation: bytes) -> None:
    """Read the next record of the chain."""
    record_id = records.next_id
    if record_id in records.seen or len(records.seen) >= MAX_RECORDS:
        records.legible = False  # a chain that bites its tail, or never ends
        records.next_id = END_OF_RECORDS
        return
    next_id, record = await read(records, session, commands, reservation, record_id)
    records.seen.add(record_id)
    try:
        for sensor in sdr.parse(record):
            records.sensors.setdefault((sensor.owner, sensor.channel, sensor.lun, sensor.number), sensor)
    except ValueError:
        records.legible = False
    if located := sdr.locator(record):
        records.locators.append(located)
    records.next_id = next_id


async def read(
    records: Records, session: Session, commands: Commands, reservation: bytes, record_id: int
) -> tuple[int, bytes]:
    """Return the next record's id and the record: at one go where the BMC can, else header first, then parts."""

    async def get(offset: int, count: int) -> bytes:
        data = struct.pack("<2sHBB", reservation, record_id, offset, count)
        answer = await session.request(commands.netfn, commands.get, data)
        if len(answer) < 2:
            raise UnexpectedReply(session.step, f"Get SDR answered {answer.hex(' ') or 'nothing'}")
        return answer

    answer = b""
    if records.whole_records:
        try:
            answer = await get(0, WHOLE_RECORD)
        except Rejected as refusal:
            if refusal.code not in TOO_LONG:
                raise
            records.whole_records = False
        except SessionLost:
            records.whole_records = False  # some drop what they cannot answer: next time in parts
            raise
    if not records.whole_records:
        answer = await get(0, sdr.HEADER_LENGTH)
    next_id, record = int.from_bytes(answer[:2], "little"), answer[2:]
    if len(record) < sdr.HEADER_LENGTH:
        return next_id, record
    length = sdr.HEADER_LENGTH + record[4]
    while len(record) < length:
        try:
            part = (await get(len(record), min(records.part, length - len(record))))[2:]
        except Rejected as refusal:
            if refusal.code == RESERVATION_CANCELLED:
                raise
            if refusal.code not in TOO_LONG or records.part <= SMALLEST_PART:
                break
            records.part //= 2
            continue
        if not part:
            break
        record += part
    return next_id, record[:length]
