"""What argparse says when a command line is none."""

import argparse
import difflib
import getpass
import os
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any, NoReturn

USAGE = 2
"""Exit status for a command line that is none."""


class Parser(argparse.ArgumentParser):
    """Says what was probably meant. ``usage_status`` is the exit status of what is no command line."""

    usage_status: int = USAGE

    def parse_known_args(  # type: ignore[override]  # argparse has an overload for each kind of namespace
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> Any:
        """Say first which flag of a command there is not: argparse would say that the one meant is missing."""
        own = () if self._subparsers else args or ()  # those before a command are looked at when it is known
        for word in takewhile(lambda word: word != "--", own):
            if word.startswith("--") and word.partition("=")[0] not in self.flags():
                self.error(self.misnamed(word))
        return super().parse_known_args(args, namespace)

    def misnamed(self, word: str) -> str:
        """Return what to say of a flag that there is not, or not where it stands."""
        name, equals, value = word.partition("=")
        if name in self.flags():
            return f"{word} stands before its command: write it behind {self.prog}"
        if near := difflib.get_close_matches(name.replace("_", "-"), list(self.flags()), n=1, cutoff=0.7):
            return f"{word}: there is no such flag; did you mean {near[0]}{equals}{value}?"
        return f"{word}: there is no such flag"

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
