"""The ledger for many tasks at once: what they have to write is committed in groups.

While one group is being committed, the next gathers, what begins and what has ended together; so a commit costs one
disk flush for as many operations as are under way, and nobody waits for a timer.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

from corso.delivery.ledger import Change, Key, Ledger
from corso.errors import IllegalTransition
from schemas.wire import Operation

Item = TypeVar("Item")
Waiting = Sequence[tuple[Item, asyncio.Future[None]]]
"""What is to be written, and who waits for it."""


class Journal:
    """Writes to the ledger on behalf of the tasks of one event loop."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._starting: list[tuple[Operation, asyncio.Future[None]]] = []
        self._settling: list[tuple[Change, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def start(self, operation: Operation) -> None:
        """Return once it is durable that this operation is about to be sent."""
        await self._written(self._starting, operation)

    async def settle(self, change: Change) -> None:
        """Return once this change is durable. A cancelled task's change is written all the same."""
        await self._written(self._settling, change)

    async def held_at(self, key: Key) -> datetime | None:
        """Return when Corso accepted an entry last; None where it never did."""
        entries = await asyncio.to_thread(self._ledger.entries_of, [key])
        return entries[key].held_at if key in entries else None

    async def _written(self, queue: list[tuple[Item, asyncio.Future[None]]], item: Item) -> None:
        done = asyncio.get_running_loop().create_future()
        queue.append((item, done))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        await done

    async def _write(self) -> None:
        while self._starting or self._settling:
            # One turn of the event loop: whose operation has just ended is about to begin the next one. Nobody is waited
            # for; where nothing else is to be done it takes no time.
            await asyncio.sleep(0)
            settling, self._settling = self._settling, []
            starting, self._starting = self._starting, []
            try:
                await self._commit(settling, starting)
            except IllegalTransition:
                # A mistake of one of them; nothing was written. Each kind for itself, so that it is told to fewer.
                await self._commit_or_tell(settling, [])
                await self._commit_or_tell([], starting)
            except Exception as error:  # noqa: BLE001  (the tasks that wait raise it)
                _tell([*settling, *starting], error)
        self._writer = None

    async def _commit_or_tell(self, settling: Waiting[Change], starting: Waiting[Operation]) -> None:
        try:
            await self._commit(settling, starting)
        except Exception as error:  # noqa: BLE001  (the tasks that wait raise it)
            _tell([*settling, *starting], error)

    async def _commit(self, settling: Waiting[Change], starting: Waiting[Operation]) -> None:
        changes, operations = [each for each, _ in settling], [each for each, _ in starting]
        await asyncio.to_thread(self._ledger.settle_and_start, changes, operations)
        for _, done in (*settling, *starting):
            if not done.done():
                done.set_result(None)


def _tell(waiting: Waiting[Any], error: Exception) -> None:
    for _, done in waiting:
        if not done.done():
            done.set_exception(error)
