"""What an http or https URL names (RFC 3986, RFC 9110 §4.2), and which two belong together."""

from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from collectors.tls import is_ip

DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Place:
    """What a URL names. ``host`` is in lower case, ``target`` is path and query as they go into the request line."""

    scheme: str
    host: str
    port: int
    target: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def authority(self) -> str:
        """The value of the Host field."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def read_url(text: str) -> Place:
    """Return what a URL names. Raises ValueError for what is not an http or https URL, with a sentence."""
    parts = urlsplit(text)
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or parts.port == 0:
        raise ValueError("must be a URL that starts with http:// or https:// and a host")
    if not text.isprintable() or " " in text or not parts.netloc.isascii():
        raise ValueError("must be a URL without spaces, an internationalised host in its xn-- form")
    if parts.username is not None or parts.password is not None:
        raise ValueError("has a user name or password in the URL: remove it and name a credential instead")
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    return Place(parts.scheme, parts.hostname, parts.port or DEFAULT_PORTS[parts.scheme], encoded(target))


def encoded(target: str) -> str:
    """Return path and query as they go over the line."""
    return quote(target, safe="/?:@!$&'()*+,;=-._~%[]|")


def same_site(one: str, other: str) -> bool:
    """Tell whether two hosts are the same, or one lies below the other: ``www.shop.example`` below ``shop.example``."""
    upper, lower = sorted((one, other), key=len)
    return upper == lower or ("." in upper and not is_ip(lower) and lower.endswith(f".{upper}"))


def may_know(place: Place, start: Place) -> bool:
    """Tell whether what logs us in at ``start`` may be sent to ``place``: the same origin, or its host over TLS."""
    if place.host != start.host:
        return False
    return (place.scheme, place.port) == (start.scheme, start.port) or place.scheme == "https" != start.scheme
