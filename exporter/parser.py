"""What argparse says when a command line is none."""

import argparse
import getpass
import os
from collections.abc import Iterable
from typing import NoReturn

USAGE = 2
"""Exit status for a command line that is none."""


class Parser(argparse.ArgumentParser):
    """Says what was probably meant. ``usage_status`` is the exit status of what is no command line."""

    usage_status: int = USAGE

    def error(self, message: str) -> NoReturn:
        """Exit with one sentence; argparse would print the usage before it."""
        self.exit(self.usage_status, f"{self.prog}: {message}; {self.prog} --help lists what there is\n")

    def flags(self) -> Iterable[str]:
        """Give the names of all flags."""
        return (flag for action in self._actions for flag in action.option_strings if flag.startswith("--"))


def add_author(parser: Parser) -> None:
    """Add the flag that says who writes into the ledger."""
    try:
        who = getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number that has no name; Python 3.13 says OSError
        who = str(os.getuid())
    parser.add_argument("--author", metavar="NAME", default=who, help="Who writes this. (default: %(default)s)")
