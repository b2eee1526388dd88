"""Has a child process read the configuration, and takes it over in pieces: the event loop never stalls.

The child sends frames: a length in four bytes, then a pickle. Some frames at a time share one Pickler and one
Unpickler, so that what many checks share (options, timings, texts) stays shared. An Unpickler for all of them would
remember the whole fleet, and forgetting that at the end would take the loop 150 ms. Nothing but our own child is
unpickled.
"""

import asyncio
import gc
import io
import pickle
import signal
import struct
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from typing import Any, BinaryIO

from exporter.config.problems import ConfigError, Problem
from exporter.inventory import Config

LIMIT = 600
"""Seconds after which the child is given up."""
PIECE = 25
"""Servers of one frame: some 3 ms of the event loop with a dozen checks each."""
GROUP = 20
"""Frames that share a Pickler."""
LENGTH = struct.Struct("!I")

Frame = tuple[str, Any]
"""``config`` without its servers, ``servers``, ``problems``, ``crash`` (what went wrong), ``end``."""


def frames(config: Config | None, problems: tuple[Problem, ...]) -> Iterator[Frame]:
    """Give the frames of an outcome: a configuration and its warnings, or the problems alone."""
    if config is not None:
        yield "config", replace(config, servers={})
        servers = iter(config.servers.items())
        while piece := dict(islice(servers, PIECE)):
            yield "servers", piece
    yield from (("problems", problems[start : start + 1000]) for start in range(0, len(problems), 1000))
    yield "end", None


def send(out: BinaryIO, outcome: Iterable[Frame]) -> None:
    """Write frames as ``load_in_child`` reads them."""
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, pickle.HIGHEST_PROTOCOL)
    for number, frame in enumerate(outcome, 1):
        if number % GROUP == 0:
            pickler.clear_memo()
        buffer.seek(0)
        buffer.truncate()
        pickler.dump(frame)
        out.write(LENGTH.pack(buffer.tell()))
        out.write(buffer.getbuffer())
    out.flush()


async def load_in_child(
    path: Path, *, rules: Path | None = None, limit: float = LIMIT
) -> tuple[Config, tuple[Problem, ...]]:
    """Do what ``load`` does in a child process, for at most ``limit`` seconds. Raises ConfigError, as it does.

    The cyclic garbage collector is off meanwhile, and does not look at what has come: it would walk a hundred thousand
    checks again and again, for up to 200 ms at a time. They have no cycles and are freed when nobody holds them.
    """
    collecting = gc.isenabled()
    gc.disable()
    # -P: not from the current folder
    command = [sys.executable, "-P", "-m", "exporter.config.child", str(path), *([str(rules)] if rules else [])]
    pipe, null = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    child = await asyncio.create_subprocess_exec(*command, stdin=null, stdout=pipe, stderr=null)
    try:
        assert child.stdout is not None
        async with asyncio.timeout(limit):
            outcome = await _receive(child.stdout)
            status = await child.wait()
        if outcome is None:
            raise _failed(path, f"the process that reads it {_ended(status)}")
    except TimeoutError:
        raise _failed(path, f"it was not read within {limit:g} s") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
        gc.freeze()
        if collecting:
            gc.enable()
    config, problems, crash = outcome
    if crash:
        raise _failed(path, crash)
    if config is None:
        raise ConfigError(problems)
    return config, problems


async def _receive(stream: asyncio.StreamReader) -> tuple[Config | None, tuple[Problem, ...], str] | None:
    """Take frames until the last one; None where the child ended before it."""
    config: Config | None = None
    servers: dict[str, Any] = {}
    problems: list[Problem] = []
    crash = ""
    buffer = io.BytesIO()
    unpickler = pickle.Unpickler(buffer)  # noqa: S301 - what arrives was written by our own code
    try:
        for number in count(1):
            if number % GROUP == 0:
                unpickler = pickle.Unpickler(buffer)  # noqa: S301 - as above
            (length,) = LENGTH.unpack(await stream.readexactly(LENGTH.size))
            data = await stream.readexactly(length)
            buffer.seek(0)
            buffer.truncate()
            buffer.write(data)
            buffer.seek(0)
            match unpickler.load():
                case "config", config:
                    pass
                case "servers", piece:
                    servers |= piece
                case "problems", piece:
                    problems += piece
                case "crash", crash:
                    pass
                case _:
                    break
            await asyncio.sleep(0)
    except asyncio.IncompleteReadError:
        return None
    return config and replace(config, servers=servers), tuple(problems), crash


def _ended(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    name = signal.Signals(-status).name
    return f"was ended by {name}" + (": is there too little memory?" if status == -signal.SIGKILL else "")


def _failed(path: Path, message: str) -> ConfigError:
    remedy = "dserver-exporter check-config reads it in the foreground"
    return ConfigError([Problem("error", str(path), 0, "", f"{message}; {remedy}")])
