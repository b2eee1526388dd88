"""Who we are to an agent: a community (v1, v2c) or a user with keys (v3), from a credential.

A password becomes a key by hashing a mebibyte (RFC 3414 appendix A.2), then the key is localised to the engine (section
2.6): done once for each engine and credential, and kept. gufo-snmp lengthens short keys for AES-192 and AES-256 itself,
in one of two ways that agents disagree about: Blumenthal's (draft-blumenthal-aes-usm-04) and Cisco's
(draft-reeder-snmpv3-usm-3desede-00). The latter hashes a mebibyte again for each session, and gufo-snmp 0.13 gets it
right only from a key that is not localised yet.
"""

from dataclasses import dataclass

from gufo.snmp import (
    Aes128Key,
    Aes192Key,
    Aes256Key,
    BaseAuthKey,
    BasePrivKey,
    DesKey,
    KeyExpansion,
    Md5Key,
    Sha1Key,
    Sha224Key,
    Sha256Key,
    Sha384Key,
    Sha512Key,
    User,
)
from gufo.snmp.user import KeyType

from collectors.failures import Misconfigured
from collectors.secret import Credential, Secret

AUTH: dict[str, type[BaseAuthKey]] = {
    "MD5": Md5Key,
    "SHA-1": Sha1Key,
    "SHA-224": Sha224Key,
    "SHA-256": Sha256Key,
    "SHA-384": Sha384Key,
    "SHA-512": Sha512Key,
}
PRIV: dict[str, type[BasePrivKey]] = {
    "DES": DesKey,
    "AES-128": Aes128Key,
    "AES-192": Aes192Key,
    "AES-256": Aes256Key,
}
SHORTEST_PASSWORD, LONGEST_NAME = 8, 32
"""RFC 3414 section 11.2 and usmUserName."""

NO_SECRET = Secret("")
EXPANSIONS = (KeyExpansion.Blumenthal, KeyExpansion.Cisco)


@dataclass(frozen=True, slots=True)
class Account:
    """A v3 user: what its credential says. Two are equal where all secrets are."""

    name: str
    auth: str = ""
    priv: str = ""
    auth_password: Secret = NO_SECRET
    priv_password: Secret = NO_SECRET

    @property
    def expansions(self) -> tuple[KeyExpansion, ...]:
        """The ways in which the privacy key may have to be lengthened: one, where it is long enough."""
        short = self.priv and PRIV[self.priv].KEY_LENGTH > AUTH[self.auth].KEY_LENGTH
        return EXPANSIONS if short else EXPANSIONS[:1]

    def localised(self, engine: bytes) -> "Keys":
        """Return the keys for an engine. Takes a millisecond or two."""
        if not self.auth:
            return Keys(self, engine)
        algorithm = AUTH[self.auth]
        auth = algorithm.get_localized_key(algorithm.get_master_key(self.auth_password.reveal().encode()), engine)
        if not self.priv:
            return Keys(self, engine, auth)
        master = algorithm.get_master_key(self.priv_password.reveal().encode())
        return Keys(self, engine, auth, algorithm.get_localized_key(master, engine), master)


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """An account's keys, localised to one engine."""

    account: Account
    engine: bytes
    auth: bytes = b""
    priv: bytes = b""
    priv_master: bytes = b""

    def user(self, expansion: KeyExpansion) -> User:
        """Return the user as gufo-snmp takes it."""
        name, auth, priv = self.account.name, self.account.auth, self.account.priv
        key, kind = (
            (self.priv_master, KeyType.Master) if expansion is KeyExpansion.Cisco else (self.priv, KeyType.Localized)
        )
        return User(
            name,
            auth_key=AUTH[auth](self.auth, KeyType.Localized) if auth else None,
            priv_key=PRIV[priv](key, kind) if priv else None,
            key_expansion=expansion,
        )


def community_of(credential: Credential | None) -> Secret:
    """Return the community of v1 and v2c."""
    if credential is None or "community" not in credential.secrets:
        raise Misconfigured("log-in", "SNMP v1 and v2c need a credential with a community")
    return credential.secrets["community"]


def account_of(credential: Credential | None) -> Account:
    """Return the account of v3."""
    if credential is None or not credential.username:
        raise Misconfigured("log-in", "SNMPv3 needs a credential with a username")
    if len(credential.username.encode()) > LONGEST_NAME:
        raise Misconfigured("log-in", f"an SNMPv3 user name has at most {LONGEST_NAME} bytes")
    values, secrets = credential.values, credential.secrets
    account = Account(
        credential.username,
        values.get("auth_protocol", ""),
        values.get("priv_protocol", ""),
        secrets.get("auth_password", NO_SECRET),
        secrets.get("priv_password", NO_SECRET),
    )
    for what, protocol, known, secret in (
        ("authentication", account.auth, AUTH, account.auth_password),
        ("privacy", account.priv, PRIV, account.priv_password),
    ):
        if protocol and protocol not in known:
            raise Misconfigured("log-in", f"{protocol} is not a protocol of SNMPv3 {what}")
        if protocol and len(secret.reveal().encode()) < SHORTEST_PASSWORD:
            raise Misconfigured("log-in", f"the {what} password has less than {SHORTEST_PASSWORD} characters")
    if account.priv and not account.auth:
        raise Misconfigured("log-in", "SNMPv3 encrypts only what it authenticates: auth_protocol is missing")
    return account
