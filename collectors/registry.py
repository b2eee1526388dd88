"""Where a check or a lamp source registers itself: one file, one registration.

The configuration key, the guide's heading and the listing derive from the one name given here.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from collectors.reading import HardwareReading
from collectors.secret import Credential

Port = Annotated[int, Field(ge=1, le=65535)]
AddressFamily = Literal["any", "ipv4", "ipv6"]


class Options(BaseModel):
    """What the configuration can say about one check or lamp source. Frozen, unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class ServiceTarget:
    """Where one service check goes.

    ``address`` (IP address or name) is where connections are opened, always. ``hostname`` is the name expected in
    certificates, sent as SNI and Host; empty where the inventory gives none. ``address_family`` says which addresses of
    a name are meant.
    """

    address: str
    hostname: str = ""
    credential: Credential | None = None
    address_family: AddressFamily = "any"
    source_address: str = ""
    """The address of this host that connections come from; empty for the one that routing chooses."""


@dataclass(frozen=True, slots=True)
class LampTarget:
    """What a lamp source is given beside its options.

    ``credential`` is resolved anew for every read. ``transcript`` says whether the dialogue's lines are wanted when all
    goes well; a failure has them always.
    """

    credential: Credential | None = None
    transcript: bool = True


class LampSource(Protocol):
    """Reads one management controller. An instance lives as long as its inventory entry and may keep caches (SDR)."""

    async def read(self, target: LampTarget, deadline: float) -> HardwareReading:
        """Read everything once, before ``deadline`` (event-loop time, seconds).

        Raises CheckFailure. Always leaves the session closed, also when cancelled.
        """
        ...

    def endpoint(self) -> str:
        """Return ``host:port`` of the controller: one session at a time is opened to it."""
        ...


ServiceCheck = Callable[[Any, Any], Awaitable[None]]
"""``async def imap(talk: Dialogue, opts: ImapOptions) -> None``: returns when healthy, else raises CheckFailure."""


@dataclass(frozen=True, slots=True)
class CheckKind:
    """One registered protocol."""

    name: str
    options: type[Options]
    run: ServiceCheck
    tls: Callable[[Any], bool]
    """Whether these options verify a certificate and give no name for it themselves (no ``server_name``, no name in a
    ``url``): the inventory has to give one then, the server's ``hostname`` or a name as its address."""


@dataclass(frozen=True, slots=True)
class SourceKind:
    """One registered lamp source: ``build(options)`` gives its reader."""

    name: str
    options: type[Options]
    build: Callable[[Any], LampSource]


class Registry:
    """The checks and lamp sources by name. Filled by importing ``collectors.services`` and ``collectors.hardware``."""

    checks: ClassVar[dict[str, CheckKind]] = {}
    sources: ClassVar[dict[str, SourceKind]] = {}


CHECKS: Mapping[str, CheckKind] = Registry.checks
SOURCES: Mapping[str, SourceKind] = Registry.sources


def check(
    name: str, *, options: type[Options], verifies: Callable[[Any], bool] = lambda _: False
) -> Callable[[ServiceCheck], ServiceCheck]:
    """Register a service check under its protocol name.

    ``verifies(options)`` becomes `CheckKind.tls`: a certificate is verified and the options give no name for it.
    """

    def register(run: ServiceCheck) -> ServiceCheck:
        if name in Registry.checks:
            raise ValueError(f"two checks are called {name!r}")
        Registry.checks[name] = CheckKind(name, options, run, verifies)
        return run

    return register


def source(name: str, *, options: type[Options]) -> Callable[[type], type]:
    """Register a lamp source's class under its name; it is built with its options."""

    def register(build: type) -> type:
        if name in Registry.sources:
            raise ValueError(f"two lamp sources are called {name!r}")
        Registry.sources[name] = SourceKind(name, options, build)
        return build

    return register
