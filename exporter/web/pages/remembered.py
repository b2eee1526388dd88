"""Asks the ledger what pages show of the past, in a thread: the event loop waits for no disk."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

import sqlalchemy as sa

from exporter.ledger import Ledger

log = logging.getLogger("web")

T = TypeVar("T")


class UnreadableError(Exception):
    """The ledger cannot be read now. That was logged; the page says so and shows the present."""


class Memory:
    """The ledger, for pages."""

    def __init__(self, ledger: Ledger, executor: Executor) -> None:
        self._ledger = ledger
        self._executor = executor

    async def ask(self, question: Callable[[sa.Connection], T]) -> T:
        """Return the answer to a question. Raises UnreadableError."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._answer, question)

    def _answer(self, question: Callable[[sa.Connection], T]) -> T:
        try:
            with self._ledger.reading() as connection:
                return question(connection)
        except sa.exc.DBAPIError as error:
            log.warning("the ledger cannot be read for a page: %s", error.orig)
            raise UnreadableError from error
