"""Whatever a console sends, the BMC answers as the specification says, or keeps silent."""

import secrets
import struct
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.clock import Moment
from exporter.demo.bmc import Bmc
from exporter.demo.rmcpplus import SUITES, Keys, parse_header, seal, unseal
from exporter.demo.sdr import DiscreteSensor, Sensor, SensorType, Thresholds, ThresholdSensor, Unit

PASSWORD = "correct-horse"
GET_CHASSIS_STATUS = (0x00, 0x01)
GET_SENSOR_READING = (0x04, 0x2D)
GET_DEVICE_ID = (0x06, 0x01)
SET_PRIVILEGE = (0x06, 0x3B)
READ_FRU = (0x0A, 0x11)
GET_SDR_INFO = (0x0A, 0x20)
RESERVE_SDR = (0x0A, 0x22)
GET_SDR = (0x0A, 0x23)


def ping(tag: int) -> bytes:
    return b"\x06\x00\xff\x06" + struct.pack(">IBBBB", 4542, 0x80, tag, 0, 0)


@dataclass
class HandClock:
    """A clock that stands still until it is moved."""

    monotonic: int = 1_000_000
    wall: int = 1_800_000_000_000

    def now(self) -> Moment:
        return Moment(self.monotonic, self.wall)

    def advance(self, milliseconds: int) -> None:
        self.monotonic += milliseconds
        self.wall += milliseconds


class Console:
    """A client without a network: every packet goes through ``bmc.handle``. ``packets`` keeps those it sent."""

    def __init__(self, bmc: Bmc, password: str = PASSWORD, username: str = "monitor", suite: int = 17) -> None:
        self.bmc = bmc
        self.password = password.encode()
        self.username = username.encode()
        self.suite = SUITES[suite]
        self.id = secrets.randbits(31) + 1
        self.bmc_id = 0
        self.keys: Keys | None = None
        self.sequence = 0
        self.packets: list[bytes] = []

    def exchange(self, body: bytes) -> bytes | None:
        packet = b"\x06\x00\xff\x07" + body
        self.packets.append(packet)
        reply = self.bmc.handle(packet)
        return reply and reply[4:]

    def _set_up(self, kind: int, request: bytes) -> bytes:
        reply = self.exchange(seal(kind, request, 0, 0, None))
        assert reply is not None
        header = parse_header(reply)
        assert header.payload_type == kind + 1
        return unseal(reply, header, None)

    def open_session(self, privilege: int = 4) -> int:
        """Send Open Session; return the status."""
        algorithms = b"".join(struct.pack("<BxxBBxxx", i, 8, a) for i, a in enumerate(self.suite.algorithms))
        reply = self._set_up(0x10, struct.pack("<BBxxI", 1, privilege, self.id) + algorithms)
        if reply[1] == 0:
            self.bmc_id = int.from_bytes(reply[8:12], "little")
        return reply[1]

    def log_in(self, privilege: int = 4, repeat: int = 1) -> int:
        """Go all the way; return the first status that is not 0, or 0."""
        if status := self.open_session(privilege):
            return status
        salt = secrets.token_bytes(16)
        role = bytes([0x10 | privilege, len(self.username)]) + self.username
        bmc_id = struct.pack("<I", self.bmc_id)
        request = b"\x02\0\0\0" + bmc_id + salt + role[:1] + b"\0\0" + role[1:]
        reply = self._set_up(0x12, request)
        if reply[1]:
            return reply[1]
        console_id, bmc_salt, guid = reply[4:8], reply[8:24], reply[24:40]
        proof = self.suite.mac(self.password, bmc_salt, console_id, role)
        replies = {self._set_up(0x14, b"\x03\0\0\0" + bmc_id + proof) for _ in range(repeat)}
        assert len(replies) == 1
        reply = replies.pop()
        if reply[1]:
            return reply[1]
        integrity_key = self.suite.mac(self.password, salt, bmc_salt, role)
        assert reply[8:] == self.suite.mac(integrity_key, salt, bmc_id, guid)[: self.suite.code_length]
        self.keys = Keys(self.suite, integrity_key)
        return 0

    def packet(self, netfn: int, command: int, data: bytes = b"") -> bytes:
        head = bytes([0x20, netfn << 2])
        body = bytes([0x81, 0x04, command]) + data
        message = head + bytes([-sum(head) & 0xFF]) + body + bytes([-sum(body) & 0xFF])
        self.sequence += 1
        return seal(0, message, self.bmc_id, self.sequence, self.keys)

    def ask(self, netfn: int, command: int, data: bytes = b"") -> bytes:
        """Return completion code and data."""
        reply = self.exchange(self.packet(netfn, command, data))
        assert reply is not None
        header = parse_header(reply)
        assert header.session_id == self.id
        message = unseal(reply, header, self.keys)
        assert (sum(message[:3]) & 0xFF, sum(message[3:]) & 0xFF) == (0, 0)
        assert (message[0], message[1], message[5]) == (0x81, (netfn | 1) << 2, command)
        return message[6:-1]

    def close(self) -> bytes:
        return self.ask(0x06, 0x3C, struct.pack("<I", self.bmc_id))


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def still(clock: HandClock, sensors: tuple[Sensor, ...]) -> Bmc:
    """A BMC without a network."""
    return Bmc("still.example", PASSWORD, sensors=sensors, clock=clock)


@pytest.fixture
def console(still: Bmc) -> Console:
    """A console that is logged in."""
    console = Console(still)
    assert console.log_in() == 0
    return console


def get_sdr(console: Console, record: int, offset: int = 0, count: int = 0xFF, reservation: int = 0) -> bytes:
    return console.ask(*GET_SDR, struct.pack("<HHBB", reservation, record, offset, count))


@pytest.mark.parametrize("suite", [17, 3])
def test_a_session_is_opened_used_and_closed(still: Bmc, suite: int) -> None:
    console = Console(still, suite=suite)
    assert console.log_in() == 0
    assert still.sessions_open == 1
    assert console.ask(*GET_DEVICE_ID)[:7] == bytes.fromhex("0020810123028f")
    assert console.close() == b"\0"
    assert (still.sessions_opened, still.sessions_closed, still.sessions_open) == (1, 1, 0)
    assert still.requests == {GET_DEVICE_ID: 1, (0x06, 0x3C): 1}
    assert console.exchange(console.packet(*GET_DEVICE_ID)) is None


def test_a_repeated_rakp_message_gets_the_same_answer_and_opens_no_second_session(still: Bmc) -> None:
    assert Console(still).log_in(repeat=3) == 0
    assert (still.sessions_opened, still.sessions_open) == (1, 1)


def test_a_console_that_cannot_prove_the_password_gets_no_session(still: Bmc) -> None:
    assert Console(still, password="wrong").log_in() == 0x0F
    assert (still.sessions_opened, still.sessions_open) == (0, 0)


def test_a_console_that_gives_up_frees_its_place(still: Bmc) -> None:
    console = Console(still)
    assert console.open_session() == 0
    give_up = b"\x03\x01\0\0" + struct.pack("<I", console.bmc_id)
    assert console.exchange(seal(0x14, give_up, 0, 0, None)) is None
    assert still.sessions_open == 0


def test_an_unknown_user_and_a_role_above_the_limit_are_refused_by_rakp_status(still: Bmc) -> None:
    assert Console(still, username="nobody").log_in() == 0x0D
    still.privilege = still.privilege.USER
    assert Console(still).log_in(privilege=4) == 0x0A
    assert still.sessions_open == 0
    console = Console(still)
    assert console.log_in(privilege=2) == 0
    assert console.ask(*SET_PRIVILEGE, b"\x04") == b"\x81"
    assert console.ask(*SET_PRIVILEGE, b"\x02") == b"\x00\x02"


def test_sessions_are_few_and_idle_ones_expire(still: Bmc, clock: HandClock) -> None:
    assert [Console(still).log_in() for _ in range(5)] == [0, 0, 0, 0, 0x01]
    clock.advance(60_000)
    assert (still.sessions_open, still.sessions_expired, still.sessions_peak) == (0, 4, 4)
    assert Console(still).log_in() == 0


def test_a_session_in_use_does_not_expire_and_an_abandoned_log_in_does(
    still: Bmc, clock: HandClock, console: Console
) -> None:
    assert Console(still).open_session() == 0
    clock.advance(59_000)
    assert console.ask(*GET_DEVICE_ID)[0] == 0
    clock.advance(59_000)
    assert still.sessions_open == 1
    assert console.ask(*GET_DEVICE_ID)[0] == 0


def test_a_replayed_packet_is_dropped(still: Bmc, console: Console) -> None:
    console.ask(*GET_DEVICE_ID)
    assert still.handle(console.packets[-1]) is None
    assert still.requests[GET_DEVICE_ID] == 1


def test_outside_a_session_only_capabilities_are_told(still: Bmc) -> None:
    console = Console(still)
    reply = console.exchange(console.packet(*GET_DEVICE_ID))
    assert reply is not None
    assert reply[-2] == 0xD4


def test_what_it_does_not_know_is_an_invalid_command(console: Console) -> None:
    assert console.ask(0x06, 0x37) == b"\xc1"
    assert console.ask(0x2C, 0x00, b"\0") == b"\xc1"


def test_an_sdr_is_read_in_pieces_under_a_reservation_that_holds(
    still: Bmc, console: Console, sensors: tuple[Sensor, ...]
) -> None:
    assert get_sdr(console, 0) == b"\xca"  # a whole record is more than it returns at once
    whole = sensors[0].record(1)
    assert get_sdr(console, 0, 0, 5) == b"\0\x02\0" + whole[:5]
    assert get_sdr(console, 1, 5, 20) == b"\xc5"
    reservation = int.from_bytes(console.ask(*RESERVE_SDR)[1:], "little")
    assert get_sdr(console, 1, 5, 20, reservation) == b"\0\x02\0" + whole[5:25]
    assert get_sdr(console, 1, 5, 20, reservation + 1) == b"\xc5"
    assert get_sdr(console, 1, 200, 1, reservation) == b"\xc9"
    assert get_sdr(console, len(sensors), 0, 5)[1:3] == b"\xff\xff"
    assert get_sdr(console, 99, 0, 5) == b"\xcb"
    still.sdr_read_limit = 0xFF
    assert get_sdr(console, 0) == b"\0\x02\0" + whole


def test_an_exchanged_board_cancels_the_reservation_and_dates_the_repository_anew(
    still: Bmc, console: Console, clock: HandClock
) -> None:
    before = console.ask(*GET_SDR_INFO)
    reservation = int.from_bytes(console.ask(*RESERVE_SDR)[1:], "little")
    still.set_sensor("Fan 1", reading=5500)
    assert console.ask(*GET_SDR_INFO) == before
    clock.advance(5_000)
    still.exchange_sensors(still.sensors[:2])
    after = console.ask(*GET_SDR_INFO)
    assert after[2:4] == b"\x02\0"
    assert after[6:14] != before[6:14]
    assert get_sdr(console, 1, 5, 20, reservation) == b"\xc5"


def test_no_sensor_at_all_is_an_empty_repository(still: Bmc, console: Console) -> None:
    still.exchange_sensors([])
    assert console.ask(*GET_SDR_INFO)[2:4] == b"\0\0"
    assert get_sdr(console, 0, 0, 5) == b"\xcb"
    assert console.ask(*GET_SENSOR_READING, b"\x01") == b"\xcb"


@pytest.mark.parametrize(
    ("identify", "misc"),
    [(None, 0x00), (False, 0x40), (True, 0x60)],
)
def test_the_locate_lamp_is_told_where_it_is_supported(
    still: Bmc, console: Console, identify: bool | None, misc: int
) -> None:
    still.identify = identify
    assert console.ask(*GET_CHASSIS_STATUS) == bytes([0, 0x01, 0, misc, 0])


def test_readings_say_when_they_are_unavailable_or_not_scanned(still: Bmc, console: Console) -> None:
    def reading(number: int) -> bytes:
        return console.ask(*GET_SENSOR_READING, bytes([number]))

    assert reading(1) == bytes([0, 24, 0xC0, 0xC0])
    assert reading(4) == bytes([0, 0, 0xE0, 0xC0])
    still.set_sensor("Drive 1", scanning=False)
    assert reading(5) == bytes([0, 0, 0x80, 0x01, 0x80])
    still.set_sensor("Drive 1", states=None)
    assert reading(5) == bytes([0, 0, 0xA0, 0x00, 0x80])


@pytest.mark.parametrize(
    ("value", "bits"), [(3, 0b111), (4, 0b011), (5, 0b001), (6, 0), (7, 0b001000), (8, 0b011000), (9, 0b111000)]
)
def test_a_reading_at_its_threshold_is_across_it(value: int, bits: int) -> None:
    limits = Thresholds(5, 4, 3, 7, 8, 9)
    sensor = ThresholdSensor("t", SensorType.TEMPERATURE, Unit.CELSIUS, value, limits)
    assert sensor.reading_bytes() == bytes([value, 0xC0, 0xC0 | bits])


def test_sensors_that_no_sdr_could_describe_are_refused() -> None:
    with pytest.raises(ValueError, match="does not fit one byte"):
        ThresholdSensor("t", SensorType.FAN, Unit.RPM, 9000).reading_bytes()
    with pytest.raises(ValueError, match="16 bytes"):
        DiscreteSensor("a name beyond all bounds", SensorType.DRIVE, 0).record(1)


def test_a_sensor_is_changed_by_a_name_that_only_it_has(still: Bmc) -> None:
    still.exchange_sensors([*still.sensors, still.sensors[0]])
    for name in ("Inlet Temp", "no such"):
        with pytest.raises(KeyError):
            still.set_sensor(name, reading=1)


def test_a_ping_is_answered_unless_this_bmc_never_does(still: Bmc) -> None:
    pong = still.handle(ping(7))
    assert pong is not None
    assert pong[8:10] == b"\x40\x07"
    assert pong[20] & 0x80
    still.answers_ping = False
    assert still.handle(ping(7)) is None


def test_a_silent_bmc_answers_nothing_until_it_speaks_again(still: Bmc, console: Console) -> None:
    still.silent = True
    assert still.handle(ping(7)) is None
    assert console.exchange(console.packet(*GET_DEVICE_ID)) is None
    still.silent = False
    assert console.ask(*GET_DEVICE_ID)[0] == 0


def test_the_password_is_not_in_the_repr(still: Bmc) -> None:
    assert PASSWORD not in repr(still)


RAKP_1 = bytes(27) + b"\x07monitor"


def sessionless(message: bytes) -> bytes:
    return bytes(9) + bytes([len(message)]) + message


@pytest.mark.parametrize(
    ("rmcp_class", "shorter"),
    [
        pytest.param(6, [ping(7)[4:][:length] for length in range(8)], id="ping"),
        pytest.param(7, [sessionless(bytes(length)) for length in range(7)], id="IPMI message"),
        pytest.param(7, [seal(0x10, bytes(length), 0, 0, None) for length in range(32)], id="open session"),
        pytest.param(7, [seal(0x12, RAKP_1[:length], 0, 0, None) for length in range(len(RAKP_1))], id="RAKP 1"),
        pytest.param(7, [seal(0x14, bytes(length), 0, 0, None) for length in range(8)], id="RAKP 3"),
    ],
)
def test_what_is_too_short_is_not_answered(still: Bmc, rmcp_class: int, shorter: list[bytes]) -> None:
    for body in shorter:
        assert still.handle(b"\x06\x00\xff" + bytes([rmcp_class]) + body) is None


# -- garbage --------------------------------------------------------------------------------------------------------

# The BMC is the same for all examples on purpose: what one datagram leaves behind must not break the next.
fuzz = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
set_up = st.builds(seal, st.integers(0, 0x3F), st.binary(max_size=60), st.just(0), st.integers(0, 2**32 - 1), st.none())
body = st.one_of(st.binary(max_size=80), set_up, st.binary(max_size=80).map(sessionless))
datagrams = st.one_of(
    st.binary(max_size=80),
    st.builds(lambda kind, tail: b"\x06\x00\xff" + bytes([kind]) + tail, st.sampled_from([6, 7, 0x86]), body),
)


@fuzz
@given(datagram=datagrams)
def test_garbage_never_breaks_it(still: Bmc, clock: HandClock, datagram: bytes) -> None:
    reply = still.handle(datagram)
    assert reply is None or reply[:3] == b"\x06\x00\xff"
    assert still.sessions_opened == 0
    clock.advance(1000)


@fuzz
@given(
    command=st.one_of(
        st.sampled_from([GET_SENSOR_READING, READ_FRU, GET_SDR, SET_PRIVILEGE, (0x0A, 0x10), (0x06, 0x54)]),
        st.tuples(st.integers(0, 31).map(lambda half: 2 * half), st.integers(0, 255)),
    ),
    data=st.binary(max_size=8),
)
def test_every_command_gets_an_answer_whatever_its_data(
    console: Console, command: tuple[int, int], data: bytes
) -> None:
    assert len(console.ask(*command, data)) >= 1


@fuzz
@given(data=st.data())
def test_a_tampered_packet_is_never_answered(still: Bmc, console: Console, data: st.DataObject) -> None:
    packet = bytearray(b"\x06\x00\xff\x07" + console.packet(*GET_DEVICE_ID))
    place = data.draw(st.integers(4, len(packet) - 1))
    packet[place] ^= data.draw(st.integers(1, 255))
    reply = still.handle(bytes(packet))
    # With another authentication type or session ID it is another packet; within the session nothing gets through.
    assert still.requests[GET_DEVICE_ID] == 0
    assert reply is None or place < 10
