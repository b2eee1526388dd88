"""UDP: a pass proves that the server answers our datagrams as the dialogue in the configuration says.

For protocols that have no check of their own. UDP (RFC 768) has no connection, so that silence proves nothing: there is
something to send first, and something to expect. A datagram may get lost, so that a question is sent again until its
answer comes. ICMP port unreachable is told as refused (RFC 1122 §4.1.3.3).
"""

from functools import partial
from itertools import groupby
from typing import Annotated

from pydantic import Field, field_validator

from collectors.datagram import Datagrams, over_udp
from collectors.dialogue import Dialogue
from collectors.registry import Options, Port, check
from collectors.steps import MOST_STEPS, Step


class UdpOptions(Options):
    """What can be said about a udp check."""

    port: Port
    steps: Annotated[tuple[Step, ...], Field(min_length=2, max_length=MOST_STEPS)]

    @field_validator("steps")
    @classmethod
    def _in_turns(cls, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        if steps and (steps[0].sent() is None or steps[-1].sent() is not None):
            raise ValueError("must begin with send or send_hex and end with an expect: silence proves nothing")
        return steps


@check("udp", options=UdpOptions)
async def udp(talk: Dialogue, opts: UdpOptions) -> None:
    """Return when every datagram that an answer is expected to has been answered."""
    talk.step = "step 1"
    await over_udp(talk, opts.port, partial(_exchange, talk, opts.steps))


async def _exchange(talk: Dialogue, steps: tuple[Step, ...], datagrams: Datagrams) -> None:
    numbered = list(enumerate(steps, 1))
    question = b""
    for asks, turn in groupby(numbered, lambda step: step[1].sent() is not None):
        if asks:
            *before, question = (step.sent() or b"" for _, step in turn)
            for data in before:
                datagrams.send(data)
        else:
            await _answer(talk, datagrams, question, list(turn))


async def _answer(talk: Dialogue, datagrams: Datagrams, question: bytes, turn: list[tuple[int, Step]]) -> None:
    """Wait for a datagram that meets every expectation of the turn."""
    number, first = turn[0]
    talk.step = f"step {number}"
    ends = [end for number, step in turn if (end := step.end(f"step {number}"))]
    await datagrams.ask(question, talk.show(first.wanted()), lambda data: all(end(data) >= 0 for end in ends) or None)
