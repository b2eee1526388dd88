"""A real Alertmanager with a given configuration, alone or a member of a cluster."""

import json
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.peers.process import DEADLINE, PAUSE, ServerProcess, free_port


class Alertmanager(ServerProcess):
    """Started with the flags that docs/alerting.md asks for. ``members`` is the whole cluster, if there is one."""

    def __init__(self, program: str, folder: Path, configuration: str, flags: Sequence[str] = ()) -> None:
        super().__init__(folder)
        self._program = program
        self._flags = flags
        self._gossip = free_port()
        self.members: Sequence[Alertmanager] = ()
        self._file = folder / "alertmanager.yml"
        self._file.write_text(configuration, "utf-8")

    def command(self) -> Sequence[str]:
        return (
            self._program,
            f"--config.file={self._file}",
            f"--storage.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            *self._cluster(),
            "--data.maintenance-interval=1s",
            *self._flags,
        )

    def _cluster(self) -> Sequence[str]:
        others = [member for member in self.members if member is not self]
        if not others:
            return ("--cluster.listen-address=",)
        address = f"127.0.0.1:{self._gossip}"
        peers = (f"--cluster.peer=127.0.0.1:{other._gossip}" for other in others)
        return (f"--cluster.listen-address={address}", f"--cluster.advertise-address={address}", *peers)

    def send(self, labels: Mapping[str, str], annotations: Mapping[str, str], **times: str) -> None:
        """Hand over an alert as Prometheus would; ``times`` are startsAt and endsAt (RFC 3339)."""
        body = json.dumps([{"labels": labels, "annotations": annotations, **times}]).encode()
        request = urllib.request.Request(
            f"{self.url}/api/v2/alerts", body, {"Content-Type": "application/json"}, method="POST"
        )
        urllib.request.urlopen(request, timeout=10).close()

    def status(self) -> dict[str, Any]:
        """Return what it says of its cluster."""
        with urllib.request.urlopen(f"{self.url}/api/v2/status", timeout=10) as answer:
            return json.load(answer)["cluster"]  # type: ignore[no-any-return]  # Alertmanager's JSON

    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that it holds for active."""
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts", timeout=10) as answer:
            return json.load(answer)  # type: ignore[no-any-return]  # Alertmanager's JSON

    def peers(self) -> int:
        """Return how many members it knows of its cluster, itself among them."""
        return len(self.status().get("peers", ()))


@contextmanager
def cluster(program: str, folder: Path, configuration: str) -> Iterator[tuple[Alertmanager, Alertmanager]]:
    """Run two members of one cluster, and return when they know each other."""
    fast = ("--cluster.gossip-interval=20ms", "--cluster.pushpull-interval=200ms", "--cluster.settle-timeout=1s")
    first, second = (Alertmanager(program, folder / name, configuration, fast) for name in ("first", "second"))
    first.members = second.members = (first, second)
    with first, second:
        deadline = time.monotonic() + DEADLINE
        while not all(each.peers() == 2 and each.status()["status"] == "ready" for each in first.members):
            assert time.monotonic() < deadline, "the members of the cluster do not find each other"
            time.sleep(PAUSE)
        yield first, second
