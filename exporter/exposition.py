"""The exposition of a large fleet: lines are rendered when a result changes, and joined when Prometheus scrapes.

Formats: Prometheus text 0.0.4 and OpenMetrics 1.0. The bytes equal what prometheus_client's two renderers would give
for the same data: for gauges whose help needs no escaping, as all of ours, they differ only in OpenMetrics's end.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache

from prometheus_client.utils import floatToGoString

from exporter.families import FAMILIES, Family, Selection

Owner = tuple[str, ...]
"""Who published: a check, a lamp source, a server. What it publishes replaces what it published before."""

OPENMETRICS_END = b"# EOF\n"

OWNERS_PER_CHUNK = 2_000
"""Lines are joined for so many owners at a time: about 200 kB, a fraction of a millisecond."""

_HEADERS = [f"# HELP {family.name} {family.help}\n# TYPE {family.name} gauge\n".encode() for family in FAMILIES]


def escape(value: str) -> str:
    """Return a label value as it stands between quotes."""
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return value


def label_text(names: tuple[str, ...], values: Sequence[str]) -> str:
    """Return labels as they stand after the metric's name, sorted by name as prometheus_client does; "" for none."""
    places, pattern = _label_pattern(names)
    if len(places) != len(values):
        raise ValueError(f"{len(values)} values for the labels {', '.join(names)}")
    return pattern % tuple([escape(values[place]) for place in places])


@cache
def _label_pattern(names: tuple[str, ...]) -> tuple[list[int], str]:
    """Return the places of the labels in their order of name, and the text that their values are put into."""
    places = sorted(range(len(names)), key=names.__getitem__)
    return places, "{" + ",".join(f'{names[place]}="%s"' for place in places) + "}" if names else ""


class Lines:
    """What one owner publishes: samples, rendered as they are added."""

    __slots__ = ("by_family",)

    def __init__(self) -> None:
        self.by_family: dict[int, bytes] = {}

    def add(self, family: Family, labels: str, value: float) -> None:
        """Add one sample. ``labels`` come from `label_text`: families that share labels share the text."""
        # what a server sends can hold a lone surrogate, which has no UTF-8: it becomes "?"
        line = f"{family.name}{labels} {floatToGoString(value)}\n".encode(errors="replace")
        self.by_family[family.index] = self.by_family.get(family.index, b"") + line


def text_of(published: Iterable[Lines]) -> bytes:
    """Return the lines of several owners as one text, without families that none of them has."""
    by_family: defaultdict[int, bytes] = defaultdict(bytes)
    for lines in published:
        for index, line in lines.by_family.items():
            by_family[index] += line
    return b"".join([_HEADERS[index] + by_family[index] for index in sorted(by_family)])


class Exposition:
    """All lines that are published now, by family and owner."""

    def __init__(self) -> None:
        self._lines: list[dict[Owner, bytes]] = [{} for _ in FAMILIES]

    def publish(self, owner: Owner, lines: Lines) -> None:
        """Replace all that ``owner`` published."""
        fresh = lines.by_family
        for index, published in enumerate(self._lines):
            if index in fresh:
                published[owner] = fresh[index]
            else:
                published.pop(owner, None)

    def published(self, owner: Owner, family: Family) -> bytes:
        """Return the lines of a family that ``owner`` published, empty where there are none."""
        return self._lines[family.index].get(owner, b"")

    def withdraw(self, owner: Owner) -> None:
        """Drop all that ``owner`` published."""
        for published in self._lines:
            published.pop(owner, None)

    def chunks(self, selections: Collection[Selection]) -> Iterator[bytes]:
        """Yield the text of the selected families in pieces.

        The lines are those of the moment of the first piece; a reader may pause between pieces as long as it likes.
        """
        wanted = [family for family in FAMILIES if not family.selections.isdisjoint(selections)]
        frozen = [(_HEADERS[family.index], list(self._lines[family.index].values())) for family in wanted]
        for header, lines in frozen:
            yield header
            for start in range(0, len(lines), OWNERS_PER_CHUNK):
                yield b"".join(lines[start : start + OWNERS_PER_CHUNK])
