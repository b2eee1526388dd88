"""Reads model and serial number from FRU device 0 (IPMI v2.0 section 34.2), a part at a time and never much."""

import struct

from collectors.hardware.ipmi import identity
from collectors.hardware.ipmi.session import WAITS, Session

NETFN_STORAGE, READ_FRU_DATA = 0x0A, 0x11
HEADER_LENGTH = 8
PART = 16
AREA_LIMIT = 512


async def read(session: Session) -> identity.Product:
    """Return what the product area says, and the board area where that says nothing.

    Raises Rejected or ValueError where there is no inventory, and the failures of `Session.request`.
    """
    board_at, product_at = identity.area_offsets(await read_part(session, 0, HEADER_LENGTH))
    board = identity.parse_board(await read_area(session, board_at)) if board_at else identity.Product()
    product = identity.parse_product(await read_area(session, product_at)) if product_at else identity.Product()
    return identity.Product(
        manufacturer=product.manufacturer or board.manufacturer,
        model=product.model or board.model,
        serial=product.serial or board.serial,
        board=board.serial,
    )


async def read_area(session: Session, at: int) -> bytes:
    """Return one area: its second byte is its length in units of eight bytes."""
    area = await read_part(session, at, PART)
    length = min(area[1] * 8 if len(area) > 1 else 0, AREA_LIMIT)
    while len(area) < length:
        part = await read_part(session, at + len(area), min(PART, length - len(area)))
        if not part:
            break
        area += part
    return area[:length]


async def read_part(session: Session, at: int, count: int) -> bytes:
    """Return up to ``count`` bytes. Few retries: a BMC may know no FRU device and say nothing."""
    data = struct.pack("<BHB", 0, at, count)
    return (await session.request(NETFN_STORAGE, READ_FRU_DATA, data, waits=WAITS[:2]))[1:]
