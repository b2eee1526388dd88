"""Packets: python-ipmi as the second opinion on every byte, and what is refused."""

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyipmi.errors import AuthenticationError, DecodingError  # type: ignore[import-untyped]  # has no py.typed
from pyipmi.interfaces import rmcpplus  # type: ignore[import-untyped]  # has no py.typed

from collectors.hardware.ipmi import packets
from collectors.hardware.ipmi.packets import Keys, PacketError

KEY = bytes(range(20))


class Theirs(rmcpplus.SessionKeys):  # type: ignore[misc]  # has no types
    """python-ipmi's keys, from constants of 20 bytes, as BMCs derive them."""

    def __init__(self, suite: int, integrity_key: bytes) -> None:
        super().__init__(rmcpplus.CIPHER_SUITES[suite], integrity_key)
        digest = packets.SUITES[suite].digest
        self.k1, self.k2 = (hmac.digest(integrity_key, bytes([number] * 20), digest) for number in (1, 2))


@pytest.mark.parametrize("suite", packets.SUITES)
@given(messages=st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=5), session=st.integers(1, 2**32 - 1))
def test_python_ipmi_opens_every_packet_of_a_session_and_we_open_its(
    suite: int, messages: list[bytes], session: int
) -> None:
    ours, theirs = Keys(packets.SUITES[suite], KEY), Theirs(suite, KEY)
    for number, message in enumerate(messages, start=1):
        sealed = ours.seal(session, number, message)
        assert rmcpplus.unpack_rmcpplus(sealed[4:], theirs) == (0, session, number, message)
        packed = packets.RMCP_HEADER + rmcpplus.pack_rmcpplus(0, message, session, number, theirs)
        assert ours.open(packed) == (session, number, message)


@given(kind=st.integers(0, 0x3F), payload=st.binary(max_size=60))
def test_python_ipmi_packs_and_opens_the_log_ins_packets_as_we_do(kind: int, payload: bytes) -> None:
    packet = packets.plain(kind, payload)
    assert packet == packets.RMCP_HEADER + rmcpplus.pack_rmcpplus(kind, payload)
    assert packets.open_plain(packet) == (kind, payload)


@pytest.mark.parametrize("suite", packets.SUITES)
def test_no_two_packets_of_a_session_begin_alike(suite: int) -> None:
    keys = Keys(packets.SUITES[suite], KEY)
    vectors = {keys.seal(1, 1, b"the same")[16:32] for _ in range(50)}
    assert len(vectors) == 50


@pytest.mark.parametrize("suite", packets.SUITES)
@given(data=st.binary(max_size=100), signed=st.booleans())
def test_what_python_ipmi_refuses_we_refuse(suite: int, data: bytes, signed: bool) -> None:
    ours, theirs = Keys(packets.SUITES[suite], KEY), Theirs(suite, KEY)
    packet = packets.HEADER.pack(packets.RMCP_HEADER, 6, 0xC0, 1, 1, len(data) // 16 * 16) + data
    if signed:
        packet += theirs.auth_code(packet[4:])
    try:
        expected: object = rmcpplus.unpack_rmcpplus(packet[4:], theirs)[1:]
    except (AuthenticationError, DecodingError):
        expected = None
    try:
        found: object = ours.open(packet)
    except PacketError:
        found = None
    assert found == expected


def test_a_payload_of_another_key_is_refused() -> None:
    ours, other = (Keys(packets.SUITES[3], bytes([number]) * 20) for number in (1, 2))
    with pytest.raises(PacketError, match="integrity code"):
        ours.open(other.seal(1, 1, b"an answer"))


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        ("", "too short"),
        ("06 00 ff 07 06 11 00 00 00 00 00 00 00 00 00", "too short"),
        ("06 00 ff 06 06 11 00 00 00 00 00 00 00 00 00 00", "not an IPMI 2.0"),
        ("05 00 ff 07 06 11 00 00 00 00 00 00 00 00 00 00", "not an IPMI 2.0"),
        ("06 00 ff 07 00 11 00 00 00 00 00 00 00 00 00 00", "not an IPMI 2.0"),
        ("06 00 ff 07 06 11 00 00 00 00 00 00 00 00 02 00 00", "cut short"),
        ("06 00 ff 07 06 11 00 00 00 00 00 00 00 00 00 00 00", "extra bytes"),
        ("06 00 ff 07 06 11 01 00 00 00 00 00 00 00 00 00", "of a session"),
        ("06 00 ff 07 06 d1 00 00 00 00 00 00 00 00 00 00", "of a session"),
    ],
)
def test_what_is_no_packet_of_a_log_in_is_refused_with_the_reason(packet: str, why: str) -> None:
    with pytest.raises(PacketError, match=why):
        packets.open_plain(bytes.fromhex(packet))


@given(
    to=st.integers(0, 255),
    netfn_lun=st.integers(0, 255),
    sequence=st.integers(0, 63),
    command=st.integers(0, 255),
    data=st.binary(max_size=40),
)
def test_both_checksums_of_a_request_hold(to: int, netfn_lun: int, sequence: int, command: int, data: bytes) -> None:
    message = packets.request(to, netfn_lun, 0x81, sequence, command, data)
    assert sum(message[:3]) % 256 == sum(message[3:]) % 256 == 0
    assert message[:2] + message[3:-1] == bytes([to, netfn_lun, 0x81, sequence << 2, command]) + data
