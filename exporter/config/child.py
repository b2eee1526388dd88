"""The child process of ``load_in_child``: ``python -m exporter.config.child FILE [RULES]``."""

import os
import sys
import traceback
from pathlib import Path

from exporter.config.handover import Frame, frames, send
from exporter.config.load import load
from exporter.config.problems import ConfigError

NICER = 5
"""Monitoring goes first."""


def main() -> None:
    """Read the configuration and send the outcome to standard output."""
    os.nice(NICER)
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as out:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nothing else gets between the frames
        send(out, outcome(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None))


def outcome(path: Path, rules: Path | None) -> list[Frame]:
    """Return the frames to send. A defect of ours is told by its place alone: its message might repeat a secret."""
    try:
        return [*frames(*load(path, rules=rules))]
    except ConfigError as error:
        return [*frames(None, error.problems)]
    except Exception as error:  # noqa: BLE001 - the parent has to be told whatever it is
        place = traceback.extract_tb(error.__traceback__)[-1]
        message = (
            f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}: this is a defect of the exporter"
        )
        return [("crash", message), ("end", None)]


if __name__ == "__main__":
    main()
