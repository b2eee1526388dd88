"""Which servers a reader wants to see: said in the address of the page, so that every view is a link."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Self

from yarl import URL

from exporter.web.pages.fleet import Glance, State

NONE = "-"
"""Stands for the servers that have no site, or no rack."""
VOID = "void"
"""The state of a check whose last attempt was void, wherever it stands."""
STATES: tuple[str, ...] = (State.DOWN, VOID, State.NEVER_UP, State.UNTRIED, State.UP)
"""All states, the most urgent first."""
LONGEST = 100
"""Characters of what is looked for."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What is asked of a server: all that is given. Empty is everything."""

    q: str = ""
    """A part of its name, customer, site, rack or system."""
    customer: str = ""
    site: str = ""
    rack: str = ""
    verdict: str = ""
    protocol: str = ""
    """It has a check of this protocol that stands as ``state`` says."""
    state: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Self:
        """Return what an address asks for."""
        return cls(**{each.name: query.get(each.name, "").strip()[:LONGEST] for each in fields(cls)})

    def __bool__(self) -> bool:
        return bool(self.given)

    @property
    def given(self) -> dict[str, str]:
        """Return what is asked for, by its name in the address."""
        return {each.name: value for each in fields(self) if (value := getattr(self, each.name))}

    def address(self, **changes: str | int) -> str:
        """Return where the front page is with this filter and these changes."""
        return str(URL.build(path="/", query={**self.given, **changes}))

    def without(self, name: str) -> str:
        """Return where the front page is without a part of this filter."""
        return replace(self, **{name: ""}).address()

    def admits(self, glance: Glance, customer_name: str = "") -> bool:
        """Tell whether a server is meant. ``customer_name`` is looked through too."""
        server = glance.server
        exact = (
            self.customer in {"", server.customer}
            and self.site in {"", server.site or NONE}
            and self.rack in {"", server.rack or NONE}
            and self.verdict in {"", glance.verdict.name.lower()}
        )
        if not exact or ((self.protocol or self.state) and not any(map(self._admits_check, glance.checks))):
            return False
        if not self.q:
            return True
        told = (server.name, server.customer, server.site, server.rack, server.os, customer_name)
        return any(self.q.casefold() in each.casefold() for each in told)

    def _admits_check(self, standing: tuple[str, State, bool]) -> bool:
        protocol, state, void = standing
        return self.protocol in {"", protocol} and (self.state in {"", state} or (void and self.state == VOID))
