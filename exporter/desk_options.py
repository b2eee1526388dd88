"""What the commands that work on incidents share."""

import argparse
from collections.abc import Callable
from pathlib import Path

from exporter.config import load
from exporter.desk import Desk
from exporter.inventory import Config
from exporter.patience import patience

Command = Callable[[argparse.Namespace, Desk], None]


def loaded(options: argparse.Namespace) -> Config:
    """Return the configuration. Raises ConfigError."""
    with patience(f"reading {options.config_file}"):
        return load(Path(options.config_file))[0]
