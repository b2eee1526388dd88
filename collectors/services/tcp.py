"""TCP: a pass proves that the port accepts connections and that the dialogue in the configuration runs to its end.

For protocols that have no check of their own. Steps are done in their order; line ends are sent as they are written.
"""

from typing import Annotated, Literal

from pydantic import Field

from collectors.dialogue import Dialogue
from collectors.registry import Port, check
from collectors.steps import MOST_STEPS, Step
from collectors.tls import TlsOptions, needs_name


class TcpStep(Step):
    """One step of a dialogue over a connection."""

    starttls: Literal[True] | None = None


class TcpOptions(TlsOptions):
    """What can be said about a tcp check."""

    port: Port
    tls: bool = False
    """Encrypted from the first byte."""
    steps: Annotated[tuple[TcpStep, ...], Field(max_length=MOST_STEPS)] = ()
    max_bytes: Annotated[int, Field(ge=1, le=64 * 1024)] = 8 * 1024
    """Bytes received in one step, at most."""


def _verifies(opts: TcpOptions) -> bool:
    return (opts.tls or any(step.starttls for step in opts.steps)) and needs_name(opts)


@check("tcp", options=TcpOptions, verifies=_verifies)
async def tcp(talk: Dialogue, opts: TcpOptions) -> None:
    """Return when the port has accepted us and every step is done."""
    await talk.connect(opts.port, tls=opts if opts.tls else None)
    for number, step in enumerate(opts.steps, 1):
        talk.step = f"step {number}"
        if sent := step.sent():
            talk.write(sent)
        elif end := step.end(talk.step):
            await talk.until(talk.show(step.wanted()), end, opts.max_bytes)
        else:
            await talk.start_tls(opts)
