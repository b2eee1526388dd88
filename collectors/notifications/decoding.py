"""Decodes notifications with pysnmp, and answers informs.

SNMPv1 traps (RFC 1157 section 4.1.6), SNMPv2c traps and informs (RFC 3416 sections 4.2.6 and 4.2.7); SNMPv3 in `usm`. A
community is not compared: it is sent in clear, and nothing but "look again" is believed of a notification.
"""

from collections.abc import Callable, Iterable
from typing import Any

from pyasn1.codec.ber import decoder, encoder  # type: ignore[import-untyped]  # has no py.typed
from pysnmp.proto import api  # type: ignore[import-untyped]  # has no py.typed

from collectors.notifications import GENERIC_TRAPS, Engine, Malformed, Notification, Unauthenticated, usm
from collectors.secret import Credential

V1, V2C, V3 = 0, 1, 3
ENTERPRISE_SPECIFIC = 6


def read(datagram: bytes, users: Callable[[str], Iterable[Credential]], engine: Engine) -> Notification:
    """Return what a datagram notifies of. ``users(name)`` gives the credentials that a user of SNMPv3 may have.

    Raises Malformed and Unauthenticated.
    """
    try:
        version = int(api.decodeMessageVersion(datagram))
        if version == V3:
            return usm.read(datagram, users, engine)
        if version not in (V1, V2C):
            raise Malformed(f"SNMP version {version}")
        module = api.PROTOCOL_MODULES[version]
        message, _ = decoder.decode(datagram, asn1Spec=module.Message())
        pdu = module.apiMessage.get_pdu(message)
        if version == V1:
            return Notification(_first_version(module, pdu))
        response = usm.answer(pdu)
        if response is None:
            return Notification(usm.trap_of(pdu))
        answer = module.apiMessage.get_response(message)
        module.apiMessage.set_pdu(answer, response)
        return Notification(usm.trap_of(pdu), encoder.encode(answer))
    except (Malformed, Unauthenticated):
        raise
    except Exception as error:  # noqa: BLE001 - pyasn1 raises whatever it stumbles over, and anybody may send
        raise Malformed(type(error).__name__) from None


def _first_version(module: Any, pdu: Any) -> str:
    """Return the notification's name in SNMPv1 as later versions write it (RFC 3584 section 3.1)."""
    if not isinstance(pdu, module.TrapPDU):
        raise Malformed("no notification")
    generic = int(module.apiTrapPDU.get_generic_trap(pdu))
    if generic < ENTERPRISE_SPECIFIC:
        return f"{GENERIC_TRAPS}.{generic + 1}"
    return f"{module.apiTrapPDU.get_enterprise(pdu)}.0.{int(module.apiTrapPDU.get_specific_trap(pdu))}"
