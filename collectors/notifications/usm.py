"""SNMPv3 notifications under the user-based security model: authentic, decrypted, answered. Pure: no sockets, no clock.

RFC 3412 (message), RFC 3414 (USM; HMAC-MD5-96, HMAC-SHA-96, CBC-DES), RFC 7860 (HMAC-SHA-2), RFC 3826 (AES-128);
AES-192 and AES-256 have two ways to stretch a key in the field (drafts of Blumenthal and of Reeder): both are tried.

The sender of a trap is its authoritative engine, we are that of an inform: its sender asks for our engine id, boots and
time first, and a report tells it. Timeliness (RFC 3414 section 3.2 step 7) is not judged: a repeated notification makes
a repeated look, which has a limit of its own.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pyasn1.codec.ber import decoder, encoder  # type: ignore[import-untyped]  # has no py.typed
from pyasn1.type import univ  # type: ignore[import-untyped]  # has no py.typed
from pysnmp.proto import api, rfc1902  # type: ignore[import-untyped]  # has no py.typed
from pysnmp.proto.mpmod.rfc3412 import ScopedPDU, SNMPv3Message  # type: ignore[import-untyped]  # has no py.typed

# its modules are taken from it: imported by themselves they find each other half loaded
from pysnmp.proto.secmod.rfc3414 import service  # type: ignore[import-untyped]  # has no py.typed

from collectors.notifications import Engine, Malformed, Notification, Unauthenticated
from collectors.secret import Credential, Secret

v2 = api.PROTOCOL_MODULES[api.SNMP_VERSION_2C]

AUTHENTIC, ENCRYPTED, REPORTABLE = 0x01, 0x02, 0x04
USM = 3
LARGEST_ANSWER = 65_507
UNKNOWN_ENGINE_IDS = (1, 3, 6, 1, 6, 3, 15, 1, 1, 4, 0)
SNMP_TRAP_OID = univ.ObjectIdentifier((1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0))

_SHA2 = service.hmacsha2.HmacSha2
AUTHENTICATION: dict[str, Any] = {
    "MD5": service.hmacmd5.HmacMd5(),
    "SHA-1": service.hmacsha.HmacSha(),
    "SHA-224": _SHA2(_SHA2.SHA224_SERVICE_ID),
    "SHA-256": _SHA2(_SHA2.SHA256_SERVICE_ID),
    "SHA-384": _SHA2(_SHA2.SAH384_SERVICE_ID),
    "SHA-512": _SHA2(_SHA2.SHA512_SERVICE_ID),
}
_SERVICE_IDS = {
    "MD5": service.hmacmd5.HmacMd5.SERVICE_ID,
    "SHA-1": service.hmacsha.HmacSha.SERVICE_ID,
    "SHA-224": _SHA2.SHA224_SERVICE_ID,
    "SHA-256": _SHA2.SHA256_SERVICE_ID,
    "SHA-384": _SHA2.SAH384_SERVICE_ID,
    "SHA-512": _SHA2.SHA512_SERVICE_ID,
}
ENCRYPTION: dict[str, tuple[Any, ...]] = {
    "DES": (service.des.Des(),),
    "AES-128": (service.aes.Aes(),),
    "AES-192": (service.aes192.AesBlumenthal192(), service.aes192.Aes192()),
    "AES-256": (service.aes256.AesBlumenthal256(), service.aes256.Aes256()),
}


@dataclass(frozen=True, slots=True)
class _Keys:
    """A user's keys, localised for one engine."""

    authentication: Any
    authentication_key: Any
    encryption: Any = None
    encryption_key: Any = None


def read(datagram: bytes, users: Callable[[str], Iterable[Credential]], engine: Engine) -> Notification:
    """Return what a message of SNMPv3 notifies of. Raises Malformed, Unauthenticated and what pyasn1 raises."""
    message, _ = decoder.decode(datagram, asn1Spec=SNMPv3Message())
    header = message["msgGlobalData"]
    if int(header["msgSecurityModel"]) != USM:
        raise Malformed("a security model other than USM")
    flags = header["msgFlags"].asOctets()[0]
    security, _ = decoder.decode(message["msgSecurityParameters"].asOctets(), asn1Spec=service.UsmSecurityParameters())
    stranger = security["msgAuthoritativeEngineId"].asOctets() != engine.id
    try:
        keys, scoped = _opened(datagram, message, security, flags, users)
    except Unauthenticated:
        if stranger and flags & REPORTABLE:
            return Notification("", _report(header, engine))
        raise
    pdu = scoped["data"].getComponent()
    response = answer(pdu)
    if response is None:
        if isinstance(pdu, v2.TrapPDU):
            return Notification(trap_of(pdu))
        # The question for our engine id is any request that names no engine (RFC 3414 section 4).
        if stranger and flags & REPORTABLE:
            return Notification("", _report(header, engine))
        raise Malformed("no notification")
    if stranger:
        return Notification("", _report(header, engine))
    inside = _scoped(scoped["contextEngineId"], scoped["contextName"], response)
    return Notification(trap_of(pdu), _sealed(header, security["msgUserName"], flags, inside, keys, engine))


def trap_of(pdu: Any) -> str:
    """Return what SNMPv2 calls a trap or inform: the value of snmpTrapOID.0 (RFC 3416 section 4.2.6)."""
    if not isinstance(pdu, v2.TrapPDU | v2.InformRequestPDU):
        raise Malformed("no notification")
    for name, value in v2.apiPDU.get_varbinds(pdu):
        if name == SNMP_TRAP_OID:
            return str(univ.ObjectIdentifier(value))
    raise Malformed("no snmpTrapOID")


def answer(pdu: Any) -> Any:
    """Return the response to an inform: the same request and bindings (RFC 3416 section 4.2.7). None for all else."""
    if not isinstance(pdu, v2.InformRequestPDU):
        return None
    response = v2.apiPDU.get_response(pdu)
    v2.apiPDU.set_varbinds(response, v2.apiPDU.get_varbinds(pdu))
    return response


def _opened(
    datagram: bytes, message: Any, security: Any, flags: int, users: Callable[[str], Iterable[Credential]]
) -> tuple[_Keys | None, Any]:
    """Return the keys that fit and what is inside."""
    data = message["msgData"]
    if not flags & AUTHENTIC:
        if flags & ENCRYPTED:
            raise Malformed("encrypted and not authenticated")
        return None, data["plaintext"]
    name = security["msgUserName"].asOctets().decode(errors="replace")
    for credential in users(name):
        for keys in _localised(credential, security["msgAuthoritativeEngineId"], encrypted=bool(flags & ENCRYPTED)):
            if not _authentic(datagram, security, keys):
                break
            if keys.encryption is None:
                return keys, data["plaintext"]
            try:
                return keys, _decrypted(data["encryptedPDU"], security, keys)
            except Exception:  # noqa: BLE001, S112 - the other way to stretch the key, or another password: garbage
                continue
    raise Unauthenticated(f"user {name!a}")


@lru_cache(maxsize=256)
def _master(protocol: str, password: Secret) -> Any:
    """Return what a password becomes before it is localised: a megabyte is hashed for it (RFC 3414 section A.2)."""
    return AUTHENTICATION[protocol].hash_passphrase(password.reveal().encode())


def _localised(credential: Credential, engine_id: Any, *, encrypted: bool) -> Iterator[_Keys]:
    values, secrets = credential.values, credential.secrets
    protocol = values.get("auth_protocol", "")
    if not protocol:
        return
    authentication = AUTHENTICATION[protocol]
    key = authentication.localize_key(_master(protocol, secrets["auth_password"]), engine_id)
    if not encrypted:
        yield _Keys(authentication, key)
        return
    for encryption in ENCRYPTION.get(values.get("priv_protocol", ""), ()):
        master = _master(protocol, secrets["priv_password"])
        yield _Keys(authentication, key, encryption, encryption.localize_key(_SERVICE_IDS[protocol], master, engine_id))


def _authentic(datagram: bytes, security: Any, keys: _Keys) -> bool:
    try:
        keys.authentication.authenticate_incoming_message(
            keys.authentication_key, security["msgAuthenticationParameters"], datagram
        )
    except Exception:  # noqa: BLE001 - pysnmp raises its own and others
        return False
    return True


def _decrypted(data: Any, security: Any, keys: _Keys) -> Any:
    when = int(security["msgAuthoritativeEngineBoots"]), int(security["msgAuthoritativeEngineTime"])
    salt = security["msgPrivacyParameters"]
    clear = keys.encryption.decrypt_data(keys.encryption_key, (*when, salt), data)
    scoped, _ = decoder.decode(clear, asn1Spec=ScopedPDU())
    return scoped


def _report(header: Any, engine: Engine) -> bytes:
    """Return the report that tells who we are (RFC 3414 section 3.2 step 3b)."""
    pdu = v2.ReportPDU()
    v2.apiPDU.set_defaults(pdu)
    v2.apiPDU.set_varbinds(pdu, [(UNKNOWN_ENGINE_IDS, rfc1902.Counter32(1))])
    return _sealed(header, b"", 0, _scoped(engine.id, b"", pdu), None, engine)


def _scoped(engine_id: Any, name: Any, pdu: Any) -> Any:
    scoped = ScopedPDU()
    scoped["contextEngineId"] = engine_id
    scoped["contextName"] = name
    scoped["data"].setComponentByType(pdu.getTagSet(), pdu, verifyConstraints=False)
    return scoped


def _sealed(header: Any, user: Any, flags: int, scoped: Any, keys: _Keys | None, engine: Engine) -> bytes:
    """Return an answer, as secure as the question was."""
    message = SNMPv3Message()
    message["msgVersion"] = USM
    to = message["msgGlobalData"]
    to["msgID"] = header["msgID"]
    to["msgMaxSize"] = LARGEST_ANSWER
    to["msgFlags"] = bytes([flags & (AUTHENTIC | ENCRYPTED)])
    to["msgSecurityModel"] = USM
    salt: Any = b""
    if keys is None or keys.encryption is None:
        message["msgData"]["plaintext"] = scoped
    else:
        sealed, salt = keys.encryption.encrypt_data(
            keys.encryption_key, (engine.boots, engine.time, None), encoder.encode(scoped)
        )
        message["msgData"]["encryptedPDU"] = sealed
    security = service.UsmSecurityParameters()
    security["msgAuthoritativeEngineId"] = engine.id
    security["msgAuthoritativeEngineBoots"] = engine.boots
    security["msgAuthoritativeEngineTime"] = engine.time
    security["msgUserName"] = user
    security["msgAuthenticationParameters"] = bytes(keys.authentication.digest_length) if keys else b""
    security["msgPrivacyParameters"] = salt
    message["msgSecurityParameters"] = encoder.encode(security)
    whole: bytes = encoder.encode(message)
    if keys is None:
        return whole
    authentic: bytes = keys.authentication.authenticate_outgoing_message(keys.authentication_key, whole)
    return authentic
