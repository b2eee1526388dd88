"""What a client would rather have: compression, format, language (RFC 9110 sections 12.4.2, 12.5.1, 12.5.3, 12.5.4)."""

from collections.abc import Iterable, Iterator

OPENMETRICS = ("application", "openmetrics-text", "1.0.0")
TEXT = ("text", "plain", "0.0.4")


def accepts_gzip(values: Iterable[str]) -> bool:
    """Tell whether ``Accept-Encoding`` header lines allow gzip."""
    quality = {coding: weight for coding, _, weight in _entries(values)}
    return quality.get("gzip", quality.get("x-gzip", quality.get("*", 0.0))) > 0.0


def prefers_openmetrics(values: Iterable[str]) -> bool:
    """Tell whether by ``Accept`` header lines OpenMetrics 1.0 is liked better than the text format 0.0.4.

    Where both are liked equally, the one that is named more exactly is meant; the text format is the default.
    """
    entries = list(_entries(values))
    openmetrics, text = (_liking(entries, *offer) for offer in (OPENMETRICS, TEXT))
    return openmetrics[0] > 0.0 and openmetrics > text


def preferred(values: Iterable[str]) -> list[str]:
    """Return what the lines of a header such as ``Accept-Language`` name, in lower case, the most liked first."""
    liked = [(weight, name) for name, _, weight in _entries(values) if name and weight > 0.0]
    return [name for _, name in sorted(liked, key=lambda entry: -entry[0])]


def _entries(values: Iterable[str]) -> Iterator[tuple[str, dict[str, str], float]]:
    """Yield what a header names, each with its parameters and its weight."""
    for entry in ",".join(values).lower().split(","):
        name, *given = (part.strip() for part in entry.split(";"))
        pairs = (parameter.partition("=") for parameter in given)
        parameters = {key.strip(): value.strip().strip('"') for key, _, value in pairs}
        yield name, parameters, _weight(parameters.pop("q", "1"))


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if 0.0 <= weight <= 1.0 else 0.0


def _liking(
    entries: Iterable[tuple[str, dict[str, str], float]], kind: str, subtype: str, version: str
) -> tuple[float, int]:
    """Return the weight that the most exact fitting range gives a format, and how exact that is."""
    exactness = {"*/*": 0, f"{kind}/*": 1, f"{kind}/{subtype}": 2}
    best = (-1, 0.0)
    for name, parameters, weight in entries:
        if name in exactness and parameters.get("version", version) == version:
            best = max(best, (exactness[name] + ("version" in parameters), weight))
    return best[1], best[0]
