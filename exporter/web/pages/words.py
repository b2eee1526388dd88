"""The pages' words: a catalogue in Japanese and English, and times and lengths of time said in them.

The catalogue is data: a file for each page, in it one line a message, both languages beside each other. ``{name}`` is
filled in; a pair is the singular and the plural of a language that has them, chosen by ``n``.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from zoneinfo import ZoneInfo

from collectors.reading import Lamp, Verdict
from exporter.clock import DAY, HOUR, MINUTE, SECOND
from exporter.contract.incidents import Held
from exporter.contract.level import NextStep
from exporter.inventory import Language
from exporter.words import LAMPS, NEXT_STEPS, REASONS, VERDICTS, held

LANGUAGES: tuple[Language, ...] = ("ja", "en")
Message = str | Sequence[str]


def _catalogue() -> Mapping[str, Mapping[str, Message]]:
    """Return every message by ``file.key``, each by language."""
    return {
        f"{file.name.removesuffix('.toml')}.{key}": message
        for file in files(__package__).joinpath("catalogue").iterdir()
        if file.name.endswith(".toml")
        for key, message in tomllib.loads(file.read_text(encoding="utf-8")).items()
    }


CATALOGUE = _catalogue()


@dataclass(frozen=True, slots=True)
class Words:
    """Says things in one language. ``now`` is the wall time that ages are counted to, in ms."""

    language: Language
    zone: ZoneInfo
    now: int

    def __call__(self, key: str, **values: object) -> str:
        """Return a message of the catalogue. Raises KeyError for one that is not there."""
        message = CATALOGUE[key][self.language]
        if not isinstance(message, str):
            message = message[values["n"] != 1]
        return message.format_map({name: self._number(value) for name, value in values.items()})

    def verdict(self, verdict: Verdict) -> str:
        """Return what a lamp says."""
        return VERDICTS[self.language][verdict]

    def lamp(self, lamp: Lamp) -> str:
        """Return what a lamp stands for."""
        return LAMPS[self.language][lamp]

    def reason(self, reason: str) -> str:
        """Return why an attempt or a read failed."""
        return REASONS[self.language].get(reason, reason)

    def next_step(self, step: NextStep) -> str:
        """Return what the contract asks for next."""
        return NEXT_STEPS[self.language][step]

    def held(self, what: Held) -> str:
        """Return what keeps an incident from being closed."""
        return held(what, self.language)

    def time(self, wall: int) -> str:
        """Return a moment (wall ms) in full, with its time zone: ``2027-01-15 17:00:00 JST``."""
        return f"{self._local(wall):%Y-%m-%d %H:%M:%S %Z}"

    def short_time(self, wall: int) -> str:
        """Return a moment as ``01-15 17:00:00``, with the year if it is another than the present one."""
        then, today = self._local(wall), self._local(self.now)
        return f"{then:%m-%d %H:%M:%S}" if then.year == today.year else f"{then:%Y-%m-%d %H:%M:%S}"

    @property
    def zone_name(self) -> str:
        """Return the name of the time zone now: JST."""
        return f"{self._local(self.now):%Z}"

    def iso(self, wall: int) -> str:
        """Return a moment for a machine."""
        return self._local(wall).isoformat(timespec="seconds")

    def age(self, wall: int) -> str:
        """Return how long ago a moment was."""
        return self.length(max(0, self.now - wall))

    def length(self, milliseconds: int) -> str:
        """Return a length of time in its two largest units; `live.js` counts on in the same way."""
        names = self.units
        for unit, name, below, small in (
            (DAY, names[0], HOUR, names[1]),
            (HOUR, names[1], MINUTE, names[2]),
            (MINUTE, names[2], SECOND, names[3]),
        ):
            if milliseconds >= unit:
                rest = milliseconds % unit // below
                whole = f"{milliseconds // unit}{name}"
                return f"{whole}{self('base.between_units')}{rest}{small}" if rest else whole
        return f"{milliseconds // SECOND}{names[3]}"

    @property
    def units(self) -> tuple[str, ...]:
        """Return what follows the number of days, hours, minutes and seconds."""
        return tuple(self(f"base.unit_{unit}") for unit in ("days", "hours", "minutes", "seconds"))

    def _local(self, wall: int) -> datetime:
        return datetime.fromtimestamp(wall / SECOND, UTC).astimezone(self.zone)

    def _number(self, value: object) -> object:
        return f"{value:,}" if isinstance(value, int) else value
