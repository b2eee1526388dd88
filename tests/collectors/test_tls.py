"""The one certificate inspection: what is wrong is said plainly, and the expiry is known all the same."""

import asyncio
import contextlib
import hashlib
import ssl
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from collectors.attempt import attempt
from collectors.dialogue import Dialogue
from collectors.failures import (
    CertificateFailure,
    Misconfigured,
    TimedOut,
    TlsFailure,
    UnexpectedReply,
    Unreachable,
)
from collectors.reading import ServiceReading
from collectors.registry import CheckKind, Options, ServiceTarget
from collectors.tls import TlsOptions, expires_soon, expiry, fingerprint, read_certificate
from tests.peers.certificates import DAY, Authority, now, server_context
from tests.peers.process import free_port
from tests.peers.scripted import Serve, says

NAME = "shop.example"


class GreetsOptions(TlsOptions):
    port: int


async def greets(talk: Dialogue, opts: GreetsOptions) -> None:
    await talk.connect(opts.port, tls=opts)
    await talk.expect("greeting", "HELLO")


async def run(
    port: int,
    ca: Path | None,
    *,
    hostname: str = NAME,
    address: str = "127.0.0.1",
    within: float = 5.0,
    **options: object,
) -> ServiceReading:
    opts = GreetsOptions.model_validate({"port": port, "ca_file": ca, **options})
    kind = CheckKind("test", GreetsOptions, greets, lambda _: True)
    target = ServiceTarget(address, hostname)
    return await attempt(kind, target, opts, asyncio.get_running_loop().time() + within)


async def test_a_good_certificate_passes_and_its_expiry_is_known(serve: Serve, authority: Authority) -> None:
    ends = now() + 30 * DAY
    port = await serve(says(b"hello\n"), tls=server_context(authority.issue(NAME, ends=ends)))
    reading = await run(port, authority.file)
    assert reading.failure is None
    assert reading.certificate_expiry == ends.timestamp()


async def test_an_expired_certificate_is_told_with_its_day(serve: Serve, authority: Authority) -> None:
    ends = now() - 3 * DAY
    port = await serve(says(b"hello\n"), tls=server_context(authority.issue(NAME, ends=ends)))
    reading = await run(port, authority.file)
    assert isinstance(reading.failure, CertificateFailure)
    assert reading.failure.step == "expiry"
    assert reading.failure.detail == f"expired on {ends:%Y-%m-%d %H:%M} UTC"
    assert reading.certificate_expiry == ends.timestamp()


async def test_a_certificate_of_the_future_is_told_with_its_day(serve: Serve, authority: Authority) -> None:
    begins, ends = now() + DAY, now() + 2 * DAY
    port = await serve(says(b"hello\n"), tls=server_context(authority.issue(NAME, begins=begins, ends=ends)))
    reading = await run(port, authority.file)
    assert isinstance(reading.failure, CertificateFailure)
    assert reading.failure.step == "expiry"
    assert reading.failure.detail == f"not valid before {begins:%Y-%m-%d %H:%M} UTC"
    assert reading.certificate_expiry == ends.timestamp()


async def test_a_certificate_for_other_names_is_told_with_the_names(serve: Serve, authority: Authority) -> None:
    ends = now() + 30 * DAY
    names = ("www.example", "*.www.example", "192.0.2.1", "c.example", "d.example", "e.example", "f.example")
    port = await serve(says(b"hello\n"), tls=server_context(authority.issue(*names, ends=ends)))
    reading = await run(port, authority.file)
    assert isinstance(reading.failure, CertificateFailure)
    told = "it is for www.example, *.www.example, c.example, d.example, e.example and 2 more, not for shop.example"
    assert reading.failure.step == "name"
    assert told in reading.failure.detail
    assert reading.certificate_expiry == ends.timestamp()


async def test_a_self_signed_certificate_is_told_as_such(serve: Serve, authority: Authority) -> None:
    ends = now() + 30 * DAY
    port = await serve(says(b"hello\n"), tls=server_context(authority.issue(NAME, ends=ends, self_signed=True)))
    reading = await run(port, authority.file)
    assert isinstance(reading.failure, CertificateFailure)
    assert reading.failure.step == "chain"
    assert reading.failure.detail.startswith("self-signed")
    assert f"{ends:%Y-%m-%d}" in reading.failure.detail
    assert reading.certificate_expiry == ends.timestamp()


@pytest.mark.parametrize("self_signed", [True, False])
async def test_a_certificate_passes_where_it_is_the_ca_file_itself(
    serve: Serve, authority: Authority, self_signed: bool
) -> None:
    file = authority.issue(NAME, self_signed=self_signed)
    port = await serve(says(b"hello\n"), tls=server_context(file))
    assert (await run(port, file)).failure is None


async def test_an_unknown_issuer_is_named(serve: Serve, authority: Authority, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "Strange authority")
    ends = now() - DAY
    port = await serve(says(b"hello\n"), tls=server_context(stranger.issue(NAME, ends=ends)))
    reading = await run(port, authority.file)
    assert isinstance(reading.failure, CertificateFailure)
    assert reading.failure.step == "chain"
    assert "issuer 'Strange authority' is not trusted" in reading.failure.detail
    assert "expired too" in reading.failure.detail
    assert reading.certificate_expiry == ends.timestamp()


async def test_the_systems_authorities_are_trusted_without_a_ca_file_and_ours_is_not_among_them(
    serve: Serve, authority: Authority
) -> None:
    port = await serve(says(b"hello\n"), tls=server_context(authority.issue(NAME)))
    assert isinstance((await run(port, None)).failure, CertificateFailure)


async def test_an_expired_authority_is_a_fault_of_the_chain(serve: Serve, tmp_path: Path) -> None:
    old = Authority(tmp_path, ends=now() - DAY)
    ends = now() + 30 * DAY
    port = await serve(says(b"hello\n"), tls=server_context(old.issue(NAME, ends=ends)))
    reading = await run(port, old.file)
    assert isinstance(reading.failure, CertificateFailure)
    assert reading.failure.step == "chain"
    assert "a certificate of its chain" in reading.failure.detail
    assert reading.certificate_expiry == ends.timestamp()


async def test_a_pinned_certificate_passes_whatever_it_says_and_no_other_does(
    serve: Serve, authority: Authority
) -> None:
    ends = now() - DAY
    file = authority.issue("other.example", ends=ends, self_signed=True)
    port = await serve(says(b"hello\n"), tls=server_context(file))
    der = ssl.PEM_cert_to_DER_cert(file.read_text("ascii").partition("-----BEGIN PRIVATE")[0])
    colons = ":".join(f"{byte:02X}" for byte in hashlib.sha256(der).digest())
    reading = await run(port, None, certificate="pin", fingerprint_sha256=colons)
    assert reading.failure is None
    assert reading.certificate_expiry == ends.timestamp()
    reading = await run(port, None, certificate="pin", fingerprint_sha256="00" * 32)
    assert isinstance(reading.failure, CertificateFailure)
    assert reading.failure.step == "pin"
    assert fingerprint(der) in reading.failure.detail
    assert reading.certificate_expiry == ends.timestamp()


async def test_an_ignored_certificate_is_reported_and_not_judged(serve: Serve, authority: Authority) -> None:
    ends = now() - DAY
    port = await serve(says(b"hello\n"), tls=server_context(authority.issue("other.example", ends=ends)))
    reading = await run(port, None, certificate="ignore")
    assert reading.failure is None
    assert reading.certificate_expiry == ends.timestamp()
    assert (await run(port, Path("no such file"), certificate="ignore")).failure is None


@pytest.mark.parametrize(
    ("names", "given"),
    [
        ((NAME,), {"hostname": NAME}),
        ((NAME,), {"hostname": "other.example", "server_name": NAME}),
        ((NAME,), {"hostname": f"{NAME}."}),
        (("*.shop.example",), {"hostname": "www.shop.example"}),
        (("localhost",), {"hostname": "", "address": "localhost"}),
        (("127.0.0.1",), {"hostname": ""}),
    ],
)
async def test_the_certificate_is_compared_with_server_name_else_hostname_else_address(
    serve: Serve, authority: Authority, names: tuple[str, ...], given: dict[str, str]
) -> None:
    port = await serve(says(b"hello\n"), tls=server_context(authority.issue(*names)))
    reading = await run(port, authority.file, **given)  # type: ignore[arg-type]  # options and target from one table
    assert reading.failure is None, reading.failure


async def test_sni_is_sent_for_names_and_never_for_addresses(serve: Serve, authority: Authority) -> None:
    asked: list[str | None] = []
    context = server_context(authority.issue(NAME, "127.0.0.1"))
    context.sni_callback = lambda _, name, __: asked.append(name)
    port = await serve(says(b"hello\n"), tls=context)
    assert (await run(port, authority.file)).failure is None
    assert (await run(port, authority.file, hostname="")).failure is None
    assert asked == [NAME, None]


async def test_a_second_look_says_nothing_and_is_closed(serve: Serve, authority: Authority) -> None:
    context = server_context(authority.issue("other.example"))
    ended: asyncio.Queue[bytes] = asyncio.Queue()

    async def listens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = b""
        try:
            await writer.start_tls(context)
            said = await reader.read()
        finally:
            ended.put_nowait(said)

    reading = await run(await serve(listens), authority.file)
    assert reading.certificate_expiry is not None
    assert [await asyncio.wait_for(ended.get(), 5) for _ in range(2)] == [b"", b""]


async def test_the_certificate_stays_the_reason_when_the_second_look_fails(serve: Serve, authority: Authority) -> None:
    context = server_context(authority.issue(NAME, ends=now() - DAY))
    connections = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        if connections == 1:
            await writer.start_tls(context)
        else:
            await reader.read()  # never a handshake

    reading = await run(await serve(once), authority.file, within=1.0)
    assert isinstance(reading.failure, CertificateFailure)
    assert "expired" in reading.failure.detail
    assert reading.certificate_expiry is None
    assert reading.duration < 10


@pytest.mark.parametrize(
    "text", [b"SSH-2.0-OpenSSH\r\n", b"220 mail.example ESMTP\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"]
)
async def test_plain_text_on_a_tls_port_is_told_with_the_text(serve: Serve, authority: Authority, text: bytes) -> None:
    reading = await run(await serve(says(text)), authority.file)
    assert type(reading.failure) is TlsFailure
    assert reading.failure.step == "tls"
    assert text.split()[0].decode() in reading.failure.detail


@pytest.mark.parametrize(
    "record",
    [
        b"\x16\x03\x03\xff\xff" + b"\0" * 100,  # longer than a record may be
        b"\x16\x03\x03\x00\x00" * 1000,  # nothing in it, again and again
        b"\x15\x03\x03\x00\x02\x02\x28",  # handshake_failure
        b"\x17\x03\x03\x00\x05hello",  # data before the handshake
        b"\x16\x03\x03\x00\x04\x02\xff\xff\xff" + b"\x16\x03\x03\x40\x00" + b"x" * 16384,  # a hello of 16 MiB
    ],
)
async def test_absurd_records_are_a_failure_of_tls(serve: Serve, authority: Authority, record: bytes) -> None:
    reading = await run(await serve(says(record)), authority.file)
    assert type(reading.failure) is TlsFailure
    assert reading.failure.step == "tls"
    assert reading.failure.detail


@pytest.mark.parametrize("names", [1_000, 10_000])
async def test_a_certificate_of_absurd_size_fails_its_own_check_within_its_bounds(
    serve: Serve, authority: Authority, names: int
) -> None:
    file = authority.issue(*(f"{number:050}.example" for number in range(names)))
    port = await serve(says(b"hello\n"), tls=server_context(file))
    await run(port, authority.file)  # once before, for what is made once
    tracemalloc.start()
    reading = await run(port, authority.file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(reading.failure, TlsFailure)  # for another name, or more than OpenSSL takes
    assert len(reading.failure.detail) < 600
    assert peak < 16 * 1024 * 1024


async def test_a_server_that_begins_tls_anew_without_end_is_a_failure_in_time(
    peer: Callable[[str], str], authority: Authority
) -> None:
    port = free_port()
    file = str(authority.issue(NAME))
    command = (peer("openssl"), "s_server", "-accept", str(port), "-cert", file, "-key", file, "-tls1_2")
    pipe = asyncio.subprocess.PIPE
    server = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL)
    assert server.stdin
    assert server.stdout
    try:
        await server.stdout.readuntil(b"ACCEPT")
        attempt_of_ours = asyncio.ensure_future(run(port, authority.file, within=1.0))
        await server.stdout.readuntil(b"CIPHER")  # the first handshake is over
        while not attempt_of_ours.done():
            server.stdin.write(b"r\n")  # its command for a renegotiation
            await asyncio.sleep(0.005)
        reading = await attempt_of_ours
    finally:
        with contextlib.suppress(ProcessLookupError):  # it ends by itself where a handshake fails
            server.kill()
        await server.communicate()
    assert isinstance(reading.failure, TimedOut | TlsFailure | Unreachable | UnexpectedReply)
    assert reading.certificate_expiry is not None


async def test_silence_in_the_handshake_is_a_timeout_of_tls(serve: Serve, authority: Authority) -> None:
    reading = await run(await serve(says(b"")), authority.file, within=0.5)
    assert isinstance(reading.failure, TimedOut)
    assert reading.failure.step == "tls"


async def test_a_connection_that_ends_in_the_handshake_is_lost(serve: Serve, authority: Authority) -> None:
    async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    reading = await run(await serve(closes), authority.file)
    assert isinstance(reading.failure, Unreachable)
    assert reading.failure.step == "tls"


async def test_an_old_version_is_spoken_only_where_it_is_allowed(serve: Serve, authority: Authority) -> None:
    context = server_context(authority.issue(NAME))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    port = await serve(says(b"hello\n"), tls=context)
    assert (await run(port, authority.file, min_tls="1.3")).failure is not None
    assert (await run(port, authority.file)).failure is None
    assert (await run(port, authority.file, min_tls="1.0")).failure is None


@pytest.mark.parametrize("content", [None, b"", b"no certificate at all", b"\xff\xfe"])
async def test_a_ca_file_that_cannot_be_used_is_our_mistake(
    serve: Serve, authority: Authority, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "authority.pem"
    if content is not None:
        file.write_bytes(content)
    port = await serve(says(b"hello\n"), tls=server_context(authority.issue(NAME)))
    reading = await run(port, file)
    assert isinstance(reading.failure, Misconfigured)
    assert reading.failure.step == "tls"
    assert str(file) in reading.failure.detail


async def test_a_ca_file_that_changes_is_read_again(serve: Serve, authority: Authority, tmp_path: Path) -> None:
    file = tmp_path / "authority.pem"
    other = tmp_path / "other"
    other.mkdir()
    file.write_bytes(Authority(other, "A longer name than before").file.read_bytes())
    port = await serve(says(b"hello\n"), tls=server_context(authority.issue(NAME)))
    assert isinstance((await run(port, file)).failure, CertificateFailure)
    file.write_bytes(authority.file.read_bytes())
    assert (await run(port, file)).failure is None


def test_a_relative_ca_file_is_taken_from_the_folder_of_the_configuration(tmp_path: Path) -> None:
    options = TlsOptions.model_validate({"ca_file": "ca.pem"}, context={"folder": tmp_path})
    assert options.ca_file == tmp_path / "ca.pem"
    assert TlsOptions.model_validate({"ca_file": "/etc/ca.pem"}, context={"folder": tmp_path}).ca_file == Path(
        "/etc/ca.pem"
    )
    assert TlsOptions.model_validate({"ca_file": "ca.pem"}).ca_file == Path("ca.pem")


@pytest.mark.parametrize(
    "wrong",
    [
        {"ca_file": ""},
        {"ca_file": "a\0b"},
        {"server_name": "a b"},
        {"server_name": "例.example"},
        {"min_tls": "1.1"},
        {"certificate": "pin"},
        {"fingerprint_sha256": "00" * 32},
        {"certificate": "pin", "fingerprint_sha256": "00" * 31},
        {"certificate": "pin", "fingerprint_sha256": "0g" * 32},
    ],
)
def test_tls_options_that_cannot_be_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        TlsOptions.model_validate(wrong)


@pytest.mark.parametrize(("days", "soon"), [(29, False), (31, True), (0, False)])
def test_a_certificate_expires_soon_within_the_days_that_the_options_say(days: int, soon: bool) -> None:
    options = TlsOptions(certificate_warning_days=days)
    assert expires_soon(options, 30 * 86_400.0, 0.0) is soon
    assert not expires_soon(options, None, 0.0)
    assert not expires_soon(Options(), 0.0, 0.0)


def test_a_version_may_be_written_without_quotes() -> None:
    assert TlsOptions.model_validate({"min_tls": 1.3}).min_tls == "1.3"


@pytest.mark.parametrize("der", [b"", b"\x30\x00", b"no certificate"])
def test_a_certificate_that_cannot_be_read_has_no_expiry_and_breaks_nothing(der: bytes) -> None:
    assert expiry(der) is None
    assert read_certificate(der) is None


async def test_a_certificate_with_odd_names_is_told_in_one_printable_line(serve: Serve, authority: Authority) -> None:
    names = ["x" * 50 + ".example"] + ["a" * 50 + f"{number}.example" for number in range(500)]
    port = await serve(says(b"hello\n"), tls=server_context(authority.issue(*names)))
    reading = await run(port, authority.file)
    assert isinstance(reading.failure, CertificateFailure)
    assert reading.failure.detail.isprintable()
    assert "and 496 more" in reading.failure.detail
    assert len(reading.failure.detail) < 600
