"""What is measured and how: CPU and memory of other processes, child programs that are asked, medians."""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

TICK = 1.0 / os.sysconf("SC_CLK_TCK")
PROJECT = Path(__file__).parents[2]

Answer = dict[str, Any]


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process, and of its children that have ended.

    Its own is its clock's, in nanoseconds; that of its children comes in ticks, a hundredth of a second of their sum.
    """
    own = time.clock_gettime(~pid << 3 | 2)  # the process's clock: MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED)
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return own + (int(fields[13]) + int(fields[14])) * TICK


def children_seconds() -> float:
    """Return the CPU time of all children of this process that have ended, and of theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def resident_bytes(pid: int) -> int:
    """Return the memory that a process has in RAM."""
    pages = int(Path(f"/proc/{pid}/statm").read_text("utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def most_resident_bytes(pid: int) -> int:
    """Return the most memory that a process ever had in RAM."""
    lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """The rounds of one quantity. Multiplied by ``scale`` it has the unit of its row."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.rounds)


class Helper:
    """A module of this package in a process of its own, which answers a line of JSON with a line of JSON."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"tests.bench.{module}", *arguments],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid

    def ask(self, question: Mapping[str, Any] | None = None) -> Answer:
        """Return the answer to a question."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(question or {}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a helper of the benchmark ended with {self._process.wait()}")
        answer: Answer = json.loads(line)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


def questions() -> "Questions":
    """Return the questions that this process is asked, as its helper's side."""
    return Questions()


class Questions:
    """The other end of a `Helper`."""

    def next(self) -> Answer | None:
        """Return the next question, None when there are no more. Blocks."""
        line = sys.stdin.readline()
        question: Answer | None = json.loads(line) if line else None
        return question

    def answer(self, **said: Any) -> None:
        """Answer the last one."""
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()
