"""Who a machine says it is: Get Device ID (IPMI v2.0 section 20.1) and the FRU inventory areas of device 0.

The areas are those of the Platform Management FRU Information Storage Definition v1.0, chapters 8, 11 and 12. Pure.
"""

from dataclasses import dataclass

from collectors.hardware.ipmi.text import decode

MANUFACTURERS = {
    2: "IBM",
    11: "HP",
    42: "Oracle",
    119: "NEC",
    343: "Intel",
    674: "Dell",
    2011: "Huawei",
    4769: "IBM",
    5593: "Supermicro",
    5771: "Cisco",
    6653: "Tyan",
    7244: "Quanta",
    10368: "Fujitsu",
    10437: "Supermicro",
    10876: "Supermicro",
    11161: "Wistron",
    12634: "PICMG",
    15370: "Gigabyte",
    19046: "Lenovo",
    20301: "IBM",
    20569: "Inventec",
    20974: "AMI",
    47196: "HPE",
    47488: "Supermicro",
    49769: "Yadro",
}
"""IANA private enterprise numbers."""


@dataclass(frozen=True, slots=True)
class Device:
    """What Get Device ID told."""

    manufacturer: int = 0
    firmware: str = ""
    has_repository: bool = True
    has_device_sdrs: bool = False

    @property
    def maker(self) -> str:
        """The manufacturer's name; empty where its number is not known."""
        return MANUFACTURERS.get(self.manufacturer, "")


def parse_device(data: bytes) -> Device:
    """Read the data of Get Device ID, at least 11 bytes."""
    return Device(
        manufacturer=int.from_bytes(data[6:9], "little") & 0xFFFFF,
        # The minor part is BCD: 05h is written .05.
        firmware=f"{data[2] & 0x7F}.{data[3]:02x}",
        has_repository=bool(data[5] & 0x02),
        has_device_sdrs=bool(data[1] & 0x80),
    )


@dataclass(frozen=True, slots=True)
class Product:
    """Model and serial number by the FRU inventory; ``board`` is the main board's own."""

    manufacturer: str = ""
    model: str = ""
    serial: str = ""
    board: str = ""


BOARD_FIELDS_AT, PRODUCT_FIELDS_AT = 6, 3
END_OF_FIELDS = 0xC1


def area_offsets(header: bytes) -> tuple[int, int]:
    """Return where board and product area begin, 0 where there is none. Raises ValueError for a header that is none."""
    if len(header) < 8 or header[0] & 0x0F != 1 or sum(header[:8]) & 0xFF:
        raise ValueError(f"no FRU header: {header.hex(' ')}")
    return header[3] * 8, header[4] * 8


def parse_board(area: bytes) -> Product:
    """Read a board area: manufacturer, product name, serial number."""
    manufacturer, model, serial = fields(area, BOARD_FIELDS_AT, 3)
    return Product(manufacturer, model, serial)


def parse_product(area: bytes) -> Product:
    """Read a product area: manufacturer, product name, part or model number, version, serial number."""
    manufacturer, model, _, _, serial = fields(area, PRODUCT_FIELDS_AT, 5)
    return Product(manufacturer, model, serial)


def fields(area: bytes, at: int, count: int) -> list[str]:
    """Return ``count`` fields, empty where the area ends before."""
    found = []
    for _ in range(count):
        head = area[at] if at < len(area) else END_OF_FIELDS
        length = 0 if head == END_OF_FIELDS else head & 0x3F
        kind = head >> 6
        raw = area[at + 1 : at + 1 + length]
        # Kind 0 is binary in FRU data, text only in SDRs.
        found.append(raw.hex() if kind == 0 else decode(kind, raw))
        at += 1 + length if head != END_OF_FIELDS else 0
    return found
