"""What asyncssh does for us after our own greeting: key exchange, host key, log-in, one command (RFC 4252, RFC 4254).

It speaks over the connection that `collectors.services.ssh` opened, through a pair of sockets: everything from the
server still passes the dialogue, with its limits. asyncssh is given what we already heard; its own identification is
ours, was sent before and is not sent twice. No configuration, agent or key of the exporter's user is looked at.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator

import asyncssh
from asyncssh.packet import PacketDecodeError

from collectors.dialogue import Dialogue
from collectors.failures import (
    CertificateFailure,
    CheckFailure,
    Misconfigured,
    Unauthorized,
    Unavailable,
    UnexpectedReply,
    Unreachable,
    WrongContent,
)
from collectors.patterns import TooSlow, search
from collectors.secret import Credential
from collectors.services.ssh import IDENTIFICATION, SshOptions
from collectors.tls import Flaw

PIECE = 16 * 1024
AUTH_STEP = "log-in"
HOST_KEYS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
    "ssh-rsa",
)
"""In OpenSSH's order, so that the key that is shown is the one its users know; asyncssh would ask for RSA first, which
dropbear offers also where it has no such key, and dies of."""
NOBODY = "dserver-exporter"
"""Who asks for a host key without logging in."""

logging.getLogger("asyncssh").setLevel(logging.CRITICAL)  # what it has to say is the check's result


class _Client(asyncssh.SSHClient):
    """Judges the host key."""

    def __init__(self, talk: Dialogue, trusted: tuple[str, ...]) -> None:
        self._talk = talk
        self._trusted = trusted
        self.fingerprint = ""

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.fingerprint = key.get_fingerprint("sha256")
        self._talk.transcript.note("<", f"host key {key.get_algorithm()} {self.fingerprint}")
        return not self._trusted or self.fingerprint in self._trusted

    def auth_banner_received(self, msg: str, lang: str) -> None:
        self._talk.transcript.note("<", msg)


async def log_in(talk: Dialogue, opts: SshOptions, heard: bytes) -> None:
    """Exchange keys, and with a credential log in and run the command. ``heard`` is what the server said so far."""
    credential = talk.target.credential
    client = _Client(talk, opts.fingerprint_sha256)
    async with _lent(talk, heard) as line:
        try:
            await _log_in(talk, opts, client, line)
        except asyncssh.HostKeyNotVerifiable as error:
            told = f"is {client.fingerprint}, which is not pinned" if client.fingerprint else talk.show(error.reason)
            raise CertificateFailure(Flaw.PIN, f"the host key {told}") from None
        except asyncssh.PermissionDenied as error:
            if credential is not None:
                raise Unauthorized(AUTH_STEP, talk.show(error.reason)) from None
            talk.transcript.note("*", "keys exchanged; nobody logs in")
        except asyncssh.KeyExchangeFailed as error:
            raise UnexpectedReply(talk.step, talk.show(error.reason)) from None
        except asyncssh.ConnectionLost:
            raise Unreachable(talk.step, "the server closed the connection") from None
        except asyncssh.DisconnectError as error:
            raise _disconnected(talk, error) from None
        except asyncssh.ChannelOpenError as error:
            raise WrongContent("command", talk.show(error.reason)) from None
        except (PacketDecodeError, UnicodeError) as error:
            raise UnexpectedReply(talk.step, talk.show(str(error))) from None


async def _log_in(talk: Dialogue, opts: SshOptions, client: _Client, line: socket.socket) -> None:
    credential = talk.target.credential
    keys = _keys(credential)
    connection = await asyncssh.connect(
        talk.target.address,
        sock=line,
        config=None,
        client_factory=lambda: client,
        client_version=IDENTIFICATION.removeprefix("SSH-2.0-"),
        known_hosts=((), (), ()),
        server_host_key_algs=HOST_KEYS,
        username=credential.username if credential else NOBODY,
        client_keys=keys or None,
        password=credential.password.reveal() if credential and not keys else None,
        preferred_auth=("publickey",) if keys else ("password", "keyboard-interactive"),
        agent_path=None,
        x509_trusted_certs=None,
        gss_auth=False,
        gss_kex=False,
        compression_algs=("none",),
        login_timeout=0,
    )
    try:
        talk.step = AUTH_STEP
        talk.transcript.note("*", f"logged in as {connection.get_extra_info('username')}")
        if credential is not None and opts.command:
            await _run(talk, opts, connection)
    finally:
        connection.abort()  # at once: a server that does not answer our good-bye must not hold us beyond the deadline


async def _run(talk: Dialogue, opts: SshOptions, connection: asyncssh.SSHClientConnection) -> None:
    talk.step = "command"
    talk.transcript.note(">", opts.command)
    done = await connection.run(opts.command, check=False, errors="replace")
    output, errors = str(done.stdout), str(done.stderr)
    talk.transcript.note("<", output + errors)
    if done.exit_status != 0:
        how = f"exit status {done.exit_status}" if done.exit_status is not None else "no exit status"
        raise WrongContent(talk.step, f"{how}: {talk.show(errors or output)}")
    try:
        if opts.expect_output is not None and search(opts.expect_output, output) is None:
            raise WrongContent(talk.step, f"expect_output is not in: {talk.show(output)}")
    except TooSlow:
        raise Misconfigured(talk.step, "expect_output needs too long on this output: simplify it") from None


def _keys(credential: Credential | None) -> list[asyncssh.SSHKey]:
    secret = credential.secrets.get("private_key") if credential else None
    if secret is None:
        return []
    try:
        return [asyncssh.import_private_key(secret.reveal())]
    except asyncssh.KeyEncryptionError:
        raise Misconfigured(AUTH_STEP, "the private key is encrypted: use one without a passphrase") from None
    except asyncssh.KeyImportError:
        raise Misconfigured(AUTH_STEP, "the private key cannot be read: it must be one of OpenSSH or PEM") from None


def _disconnected(talk: Dialogue, error: asyncssh.DisconnectError) -> CheckFailure:
    said = talk.show(error.reason)
    match error.code:
        case asyncssh.DISC_TOO_MANY_CONNECTIONS | asyncssh.DISC_SERVICE_NOT_AVAILABLE:
            return Unavailable(talk.step, said)
        case asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE | asyncssh.DISC_ILLEGAL_USER_NAME:
            return Unauthorized(AUTH_STEP, said)
        case _ if "authentication failures" in error.reason:  # OpenSSH's MaxAuthTries, as a protocol error
            return Unauthorized(AUTH_STEP, said)
        case _:
            return UnexpectedReply(talk.step, said)


@contextlib.asynccontextmanager
async def _lent(talk: Dialogue, heard: bytes) -> AsyncIterator[socket.socket]:
    """Lend the connection to asyncssh as a socket. What ends the conversation on our side is raised in the end."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    ended: list[CheckFailure] = []

    async def inward() -> None:
        try:
            await loop.sock_sendall(ours, heard)
            while piece := await talk.some(PIECE):
                await loop.sock_sendall(ours, piece)
        except CheckFailure as failure:
            ended.append(failure)
        except OSError:
            pass  # asyncssh has gone
        with contextlib.suppress(OSError):
            ours.shutdown(socket.SHUT_WR)

    async def outward() -> None:
        identified = False
        with contextlib.suppress(OSError):
            while piece := await loop.sock_recv(ours, PIECE):
                if not identified:  # it comes alone: nothing may follow it before the server's is read
                    piece = piece.partition(b"\n")[2]
                    identified = True
                talk.write(piece, shown_as="")

    pumps = [asyncio.ensure_future(inward()), asyncio.ensure_future(outward())]
    try:
        yield theirs
    except CheckFailure as failure:
        # what broke off on our side, by a limit, looks like a lost connection to asyncssh, or like a command cut short
        raise (ended[0] if ended and isinstance(failure, Unreachable | WrongContent) else failure) from None
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        ours.close()
        theirs.close()
