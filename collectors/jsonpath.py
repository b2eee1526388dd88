"""One value of a JSON document by its path: the singular queries of JSONPath (RFC 9535 §2.3.5.1).

``$.checks[0].state``, ``$['a.b']``; the ``$.`` may be left out.
"""

import json
import re
from typing import Annotated

from pydantic import AfterValidator

Path = tuple[str | int, ...]

_SEGMENT = re.compile(r"""\.([^\W\d][\w-]*)|\[(-?[0-9]{1,9})\]|\[(?:'([^']*)'|"([^"]*)")\]""")


def parse(text: str) -> Path:
    """Return the names and indexes of a path. Raises ValueError with a sentence."""
    rest = text.removeprefix("$")
    if rest == text and not rest.startswith("["):
        rest = f".{rest}"
    path: list[str | int] = []
    place = 0
    while place < len(rest):
        segment = _SEGMENT.match(rest, place)
        if segment is None:
            raise ValueError("must be a path such as status, checks[0].state or $['a.b']")
        name, index, *quoted = segment.groups()
        path.append(int(index) if index else name or quoted[0] or quoted[1] or "")
        place = segment.end()
    return tuple(path)


def _valid(text: str) -> str:
    parse(text)
    return text


PathText = Annotated[str, AfterValidator(_valid)]
"""A field of options: a path as it is written."""


def read(text: str) -> object:
    """Return what a JSON text says (RFC 8259). Raises ValueError for what is none, or nested too deeply to be read."""
    try:
        return json.loads(text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def find(document: object, path: Path) -> object:
    """Return the value at the path. Raises LookupError where there is none."""
    for part in path:
        match document, part:
            case dict(), str():
                document = document[part]
            case list(), int():
                document = document[part]
            case _:
                raise LookupError(part)
    return document


def same(found: object, wanted: object) -> bool:
    """Tell whether two values are the same in JSON, where true is not 1."""
    return isinstance(found, bool) == isinstance(wanted, bool) and found == wanted
