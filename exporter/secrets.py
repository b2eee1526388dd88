"""Secrets from files and the environment, fetched for each attempt: a changed file counts from the next one on."""

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from collectors.failures import Misconfigured
from collectors.secret import Credential, Secret
from exporter.inventory import CredentialEntry, SecretSource

STEP = "credential"
PRIVATE_KEY = "private_key"
LARGEST = 64 * 1024
"""Bytes: tokens are a few thousand at most."""


@dataclass(frozen=True, slots=True)
class _Kept:
    signature: tuple[int, int, int]
    """Time of change (ns), size and inode of the file it was read from."""
    secret: Secret


class Secrets:
    """Resolves the names of credentials. Nothing it says or raises carries a secret."""

    def __init__(self, credentials: Mapping[str, CredentialEntry], environment: Mapping[str, str] = os.environ) -> None:
        self._credentials = credentials
        self._environment = environment
        self._kept: dict[Path, _Kept] = {}

    def replace(self, credentials: Mapping[str, CredentialEntry]) -> None:
        """Take over the credentials of a new configuration."""
        self._credentials = credentials
        files = {source.file for entry in credentials.values() for source in entry.secrets.values()}
        self._kept = {file: kept for file, kept in self._kept.items() if file in files}

    def get(self, name: str) -> Credential:
        """Return the credential with its secrets as they are now. Raises Misconfigured, which names the file."""
        entry = self._credentials.get(name)
        if entry is None:
            raise Misconfigured(STEP, f"there is no credential called {name}: add it under credentials")
        secrets = {key: self._secret(f"{name}.{key}", source) for key, source in entry.secrets.items()}
        return Credential(
            entry.values.get("username", ""), secrets.get("password", Secret("")), values=entry.values, secrets=secrets
        )

    def _secret(self, where: str, source: SecretSource) -> Secret:
        if source.file is not None:
            return self._from_file(where, source.file)
        text = self._environment.get(source.env, "")
        if not text:
            raise Misconfigured(STEP, f"{where}: the environment variable {source.env} is not set: set it and restart")
        return Secret(text)

    def _from_file(self, where: str, file: Path) -> Secret:
        try:
            status = file.stat()
            if not S_ISREG(status.st_mode):
                raise Misconfigured(STEP, f"{where}: {file} is not a file")  # reading a pipe would block
            signature = (status.st_mtime_ns, status.st_size, status.st_ino)
            kept = self._kept.get(file)
            if kept is None or kept.signature != signature:
                kept = self._kept[file] = _Kept(signature, _read(where, file, status.st_size))
        except OSError as error:
            self._kept.pop(file, None)
            remedy = (
                "give the exporter's user permission to read it" if isinstance(error, PermissionError) else "create it"
            )
            raise Misconfigured(STEP, f"{where}: {file}: {error.strerror}: {remedy}") from None
        return kept.secret


def authorizations(credential: Credential) -> list[bytes]:
    """Return the values of HTTP's header that show a credential, the best first (RFC 6750 §2.1, RFC 7617 §2)."""
    token = credential.secrets.get("token", Secret("")).reveal()
    password = credential.password.reveal()
    headers = [f"Bearer {token}".encode()] if token else []
    if password and credential.username:
        pair = base64.b64encode(f"{credential.username}:{password}".encode())
        headers.append(b"Basic " + pair)
    elif password:
        headers.append(f"Bearer {password}".encode())
    return headers


def _read(where: str, file: Path, size: int) -> Secret:
    if size > LARGEST:
        raise Misconfigured(STEP, f"{where}: {file} is larger than a secret: it has {size} bytes")
    try:
        text = file.read_bytes().decode()
    except UnicodeDecodeError:
        raise Misconfigured(STEP, f"{where}: {file} is not UTF-8 text: save it as such") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise Misconfigured(STEP, f"{where}: {file} is empty: write the secret into it")
    # a second line would be a second command in a line protocol; only a private key has more, and is never sent
    if any(character in text for character in "\r\n\0") and not where.endswith(f".{PRIVATE_KEY}"):
        raise Misconfigured(STEP, f"{where}: {file} has more than one line: the secret has to be its only line")
    return Secret(text)
