"""The ledger for many tasks at once: what they have to write is committed in groups.

While one group is being committed, the next gathers; so a commit costs one disk flush for as many operations as
are under way, and nobody waits for a timer.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from corso.delivery.ledger import Change, Ledger
from schemas.wire import Operation

Item = TypeVar("Item", Operation, Change)


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

    async def _written(self, queue: list[tuple[Item, asyncio.Future[None]]], item: Item) -> None:
        done = asyncio.get_running_loop().create_future()
        queue.append((item, done))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        await asyncio.shield(done)

    async def _write(self) -> None:
        while self._starting or self._settling:
            settling, self._settling = self._settling, []
            await self._commit(self._ledger.settle, settling)
            starting, self._starting = self._starting, []
            await self._commit(self._ledger.start, starting)
        self._writer = None

    async def _commit(
        self, write: Callable[[Sequence[Item]], None], group: Sequence[tuple[Item, asyncio.Future[None]]]
    ) -> None:
        if not group:
            return
        try:
            await asyncio.to_thread(write, [item for item, _ in group])
        except Exception as error:  # noqa: BLE001  (the tasks that wait raise it)
            for _, done in group:
                if not done.cancelled():
                    done.set_exception(error)
        else:
            for _, done in group:
                if not done.cancelled():
                    done.set_result(None)
