"""The program itself, as it is installed, as a process of its own."""

import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.peers.process import ServerProcess

PROGRAM = Path(sys.executable).with_name("dserver-exporter")


class Exporter(ServerProcess):
    """Storage, log and configuration are in ``folder``; relative paths in the configuration start there."""

    def __init__(self, folder: Path, configuration: str) -> None:
        super().__init__(folder)
        self._file = folder / "dserver.yml"
        self._file.write_text(configuration, "utf-8")

    def command(self) -> Sequence[str]:
        """Return the command line."""
        return (
            str(PROGRAM),
            f"--config.file={self._file}",
            f"--storage.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        )

    def value(self, metric: str, **labels: str) -> float | None:
        """Return the value of the only sample with these labels (and perhaps more), None where there is none."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
        found = [each.value for each in samples if each.name == metric and labels.items() <= each.labels.items()]
        assert len(found) <= 1, f"{metric} with {labels} is not one sample"
        return found[0] if found else None

    def call(self, *arguments: str) -> str:
        """Run a command of the program on this one's configuration and storage; return what it prints."""
        where = (f"--config.file={self._file}", f"--storage.path={self.folder / 'data'}")
        command = [str(PROGRAM), *where, *arguments]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def alertmanager_config(self) -> str:
        """Return what the command of this name prints."""
        return self.call("alertmanager-config")


class Mortal(Exporter):
    """The same with shorter times than can be configured; it ends by SIGKILL at its ``step``: `tests.peers.mortal`."""

    step = ""

    def command(self) -> Sequence[str]:
        """Return the command line."""
        # -P: not from its own folder, where this module is called as the package is
        program = (sys.executable, "-P", str(Path(__file__).with_name("mortal.py")))
        return (*program, self.step, *super().command()[1:])

    @property
    def gone(self) -> bool:
        """Tell whether it has ended."""
        return self._process is None or self._process.poll() is not None
