"""A secret that does not show itself in a repr, a log, a traceback or an f-string."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final


@final
class Secret:
    """Text that must not be seen. ``reveal()`` gives it to the one line of code that sends it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(...)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


@dataclass(frozen=True, slots=True)
class Credential:
    """What we log in with, resolved for one attempt (its file is re-read when it changes)."""

    username: str = ""
    password: Secret = field(default_factory=lambda: Secret(""))
    values: Mapping[str, str] = field(default_factory=dict, hash=False)
    """What is no secret: ``username``, ``auth_protocol``, ``priv_protocol``."""
    secrets: Mapping[str, Secret] = field(default_factory=dict, hash=False)
    """All secrets by name: ``password``, ``community``, ``auth_password``, ``priv_password``, ``token``."""
