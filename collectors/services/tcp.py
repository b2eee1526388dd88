"""TCP and TLS: a pass proves that the port accepts connections and that the configuration's dialogue runs to its end.

For protocols that have no check of their own. Steps are done in their order; line ends are sent as they are written.
tls begins with a handshake (RFC 8446), so that a pass also proves a good certificate.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from collectors.dialogue import Dialogue
from collectors.registry import Port, check
from collectors.steps import MOST_STEPS, Step
from collectors.tls import TlsOptions, needs_name


class TcpStep(Step):
    """One step of a dialogue over a connection."""

    starttls: Literal[True] | None = None


class DialogueOptions(TlsOptions):
    """What can be said about a dialogue."""

    port: Port
    steps: Annotated[tuple[TcpStep, ...], Field(max_length=MOST_STEPS)] = ()
    max_bytes: Annotated[int, Field(ge=1, le=64 * 1024)] = 8 * 1024
    """Bytes received in one step, at most."""


class TcpOptions(DialogueOptions):
    """What can be said about a tcp check."""

    tls: bool = False
    """Encrypted from the first byte."""


class TlsDialogueOptions(DialogueOptions):
    """What can be said about a tls check."""

    @model_validator(mode="after")
    def _once(self) -> Self:
        if any(step.starttls for step in self.steps):
            raise ValueError("a tls check is encrypted from the first byte: remove the step starttls, or use tcp")
        return self


def _verifies(opts: TcpOptions) -> bool:
    return (opts.tls or any(step.starttls for step in opts.steps)) and needs_name(opts)


@check("tcp", options=TcpOptions, verifies=_verifies)
async def tcp(talk: Dialogue, opts: TcpOptions) -> None:
    """Return when the port has accepted us and every step is done."""
    await talk.connect(opts.port, tls=opts if opts.tls else None)
    await _converse(talk, opts)


@check("tls", options=TlsDialogueOptions, verifies=needs_name)
async def tls(talk: Dialogue, opts: TlsDialogueOptions) -> None:
    """Return when the port has shown a good certificate and every step is done."""
    await talk.connect(opts.port, tls=opts)
    await _converse(talk, opts)


async def _converse(talk: Dialogue, opts: DialogueOptions) -> None:
    for number, step in enumerate(opts.steps, 1):
        talk.step = f"step {number}"
        if sent := step.sent():
            talk.write(sent)
        elif end := step.end(talk.step):
            await talk.until(talk.show(step.wanted()), end, opts.max_bytes)
        else:
            await talk.start_tls(opts)
