"""The specification's policy for operating systems of managed servers: until when they are supported, and leased.

After its maker's end of life a system is kept in limited support (サーバ保守限定サポート) until the contract ends with
it. A date means the end of that day in Japan: the instant is 00:00 JST of the next one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from exporter.clock import SECOND

JAPAN = ZoneInfo("Asia/Tokyo")
"""The contract's dates are Japan's, whatever time zone the pages are shown in."""


class Support(StrEnum):
    """How far a system is supported at a moment."""

    FULL = "full"
    LIMITED = "limited"
    """サーバ保守限定サポート: the maker's support has ended, the contract has not."""
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class OsDates:
    """The last days of an operating system, and where they are written."""

    end_of_life: date
    contract_end: date
    source: str

    @property
    def end_of_life_at(self) -> int:
        """The instant of the maker's end of life, Unix time in ms."""
        return _end_of(self.end_of_life)

    @property
    def contract_end_at(self) -> int:
        """The instant at which the contract ends, Unix time in ms."""
        return _end_of(self.contract_end)

    def support(self, wall: int) -> Support:
        """Return how far the system is supported at ``wall``, Unix time in ms."""
        if wall >= self.contract_end_at:
            return Support.ENDED
        return Support.LIMITED if wall >= self.end_of_life_at else Support.FULL


_FISCAL_2025 = date(2026, 3, 31)
_FISCAL_2026 = date(2027, 3, 31)
_RED_HAT = "Red Hat Enterprise Linux Life Cycle, end of Maintenance Support"
_CENTOS = "CentOS Project, end of life"

OS_DATES: Mapping[str, OsDates] = {
    "rhel-6": OsDates(date(2020, 11, 30), _FISCAL_2025, _RED_HAT),
    "rhel-7": OsDates(date(2024, 6, 30), _FISCAL_2026, _RED_HAT),
    "centos-5": OsDates(date(2017, 3, 31), _FISCAL_2025, _CENTOS),
    "centos-6": OsDates(date(2020, 11, 30), _FISCAL_2025, _CENTOS),
    "centos-7": OsDates(date(2024, 6, 30), _FISCAL_2026, _CENTOS),
    "centos-8": OsDates(date(2021, 12, 31), _FISCAL_2025, _CENTOS),
    "centos-stream-8": OsDates(date(2024, 5, 31), _FISCAL_2026, _CENTOS),
}
"""By the inventory's ``os``. The ends of contract are those of the service specification (専有サーバサービス仕様書),
section OS policy; the ends of life are their makers'."""


def os_dates(system: str) -> OsDates | None:
    """Return the dates of an inventory's ``os``, however it is capitalised and with its minor version; None without."""
    name, _, release = system.lower().replace("_", "-").replace(" ", "-").rpartition("-")
    return OS_DATES.get(f"{name}-{release.partition('.')[0]}")


def _end_of(day: date) -> int:
    return round(datetime.combine(day + timedelta(days=1), time(), JAPAN).timestamp() * SECOND)
