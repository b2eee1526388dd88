"""Text in SDRs and FRU data: one type/length byte, then characters in one of four encodings.

IPMI v2.0 section 43.15, and the Platform Management FRU Information Storage Definition v1.0, chapter 13.
"""

BCD_PLUS = "0123456789 -.:,_"


def decode(kind: int, raw: bytes) -> str:
    """Return printable text without blanks around it: names go into labels, and what a BMC sends is untrusted."""
    match kind:
        case 0:
            text = unicode(raw)
        case 1:
            text = "".join(BCD_PLUS[byte >> 4] + BCD_PLUS[byte & 0xF] for byte in raw)
        case 2:
            text = unpack_6_bit(raw)
        case _:
            text = raw.decode("latin-1")
    return "".join(character if character.isprintable() else " " for character in text).strip()


def unicode(raw: bytes) -> str:
    """Return Unicode text, of which the specification names no encoding: UTF-8 where it is that without controls, else
    UTF-16 as the PCs of its time had it, low byte first.
    """
    text = raw.rstrip(b"\0").decode("utf-8", "replace")
    if text.isprintable() and "\ufffd" not in text:
        return text
    wide = raw[: len(raw) // 2 * 2].decode("utf-16-le", "replace").rstrip("\0")
    return wide if len(raw) % 2 == 0 and wide.isprintable() and "\ufffd" not in wide else text


def unpack_6_bit(raw: bytes) -> str:
    """Return characters 20h to 5Fh, packed four to three bytes, least significant bits first."""
    bits = int.from_bytes(raw, "little")
    return "".join(chr(0x20 + (bits >> at & 0x3F)) for at in range(0, len(raw) * 8 // 6 * 6, 6))
