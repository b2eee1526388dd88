"""A real server program on a free port of the loopback, in a folder of its own: started, killed, started again."""

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

DEADLINE = 30.0
"""Seconds that a program may take to become ready, or to end when asked."""

PAUSE = 0.02
"""Seconds between two looks at a program that cannot be waited for otherwise."""


def free_port() -> int:
    """Return a TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def free_udp_port() -> int:
    """Return a UDP port that nothing receives at."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class ServerProcess:
    """A program that serves HTTP, says at ``/-/ready`` when it is ready, and keeps port and storage when restarted."""

    patience = DEADLINE
    """Seconds that it may take to become ready."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None, "it is not running"
        return self._process.pid

    def command(self) -> Sequence[str]:
        """Return the command line."""
        raise NotImplementedError

    def start(self) -> Self:
        """Start it, and return when it is ready."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=self.folder)
        deadline = time.monotonic() + self.patience
        while not self.ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{self.command()[0]} did not become ready:\n{self.log.read_text('utf-8')}")
            time.sleep(PAUSE)
        return self

    def ready(self) -> bool:
        """Tell whether it serves."""
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def kill(self) -> None:
        """End it as a power cut would: SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(DEADLINE)
            self._process = None

    def stop(self) -> None:
        """Ask it to end, and see that it does."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None

    @contextlib.contextmanager
    def suspended(self) -> Iterator[None]:
        """Hold it and all its children where they are: connections are accepted by the kernel and nobody answers."""
        family = _family(self.pid)
        try:
            for pid in family:
                _signal(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in family:
                _signal(pid, signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
        os.kill(pid, number)


def _family(pid: int) -> list[int]:
    """Return a process and all that descend from it, the parents first: a held parent starts no more children."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            after_the_name = stat.read_text("utf-8").rpartition(")")[2].split()
            parents[int(stat.parent.name)] = int(after_the_name[1])
    family = [pid]
    for member in family:
        family += [child for child, parent in parents.items() if parent == member]
    return family
