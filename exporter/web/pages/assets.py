"""The files beside the pages: style, script, icons.

Their names carry a digest of what is in them, so they never change and may be kept for ever.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from aiohttp import hdrs, web

PATH = "/static/"
_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is served."""

    address: str
    content_type: str
    body: bytes


def _found() -> Mapping[str, Asset]:
    """Return the files by the names that they have here."""
    assets = {}
    for file in files(__package__).joinpath("static").iterdir():
        stem, _, kind = file.name.rpartition(".")
        if kind in _TYPES:
            body = file.read_bytes()
            address = f"{PATH}{stem}.{hashlib.sha256(body).hexdigest()[:16]}.{kind}"
            assets[file.name] = Asset(address, _TYPES[kind], body)
    return assets


ASSETS = _found()
_BY_ADDRESS = {asset.address: asset for asset in ASSETS.values()}


def address(name: str) -> str:
    """Return where a file is served."""
    return ASSETS[name].address


async def serve(request: web.Request) -> web.StreamResponse:
    """Answer with a file."""
    asset = _BY_ADDRESS.get(request.path)
    if asset is None:
        raise web.HTTPNotFound(
            text="There is no such file; the page that names it is of another version: load it anew.\n"
        )
    headers = {hdrs.CONTENT_TYPE: asset.content_type, hdrs.CACHE_CONTROL: "private, max-age=31536000, immutable"}
    return web.Response(body=asset.body, headers=headers)
