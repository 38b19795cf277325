"""The journal: many tasks write at once, few commits carry it, and nobody goes on before it is durable."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from corso.delivery.journal import Journal
from corso.delivery.ledger import Change, Key, Ledger
from corso.delivery.states import State
from corso.errors import IllegalTransition, LedgerError
from schemas.wire import Operation
from tests.fake_corso import opened, operation
from tests.ledger_places import place_of

pytestmark = pytest.mark.usefixtures("each_database")

TASKS = 300


class Counting:
    """A ledger that counts its commits."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.groups: list[int] = []

    def settle_and_start(self, changes: Sequence[Change], operations: Sequence[Operation]) -> None:
        """See `Ledger.settle_and_start`."""
        self.groups.append(len(changes) + len(operations))
        self._ledger.settle_and_start(changes, operations)


def accepted(number: int) -> Change:
    """Return the change that ends order `o-<number>` well."""
    return Change(Key(f"o-{number}"), State.ACCEPTED, corso_id="7", held_hash="h")


def test_many_tasks_share_few_commits(tmp_path: Path) -> None:
    """While one group is written the next gathers; nobody is forgotten, nobody is written twice."""

    async def scene(ledger: Ledger) -> list[int]:
        counting = Counting(ledger)
        journal = Journal(counting)  # type: ignore[arg-type]  # as much of a ledger as it needs

        async def one(number: int) -> None:
            await journal.start(operation(number))
            await journal.settle(accepted(number))

        await asyncio.gather(*(one(number) for number in range(TASKS)))
        return counting.groups

    with opened(tmp_path) as ledger:
        ledger.plan([operation(number) for number in range(TASKS)], "b1")
        groups = asyncio.run(scene(ledger))
        assert ledger.counts() == {("order", State.ACCEPTED): TASKS}
    assert sum(groups) == 2 * TASKS
    assert len(groups) < TASKS / 10


def test_start_returns_only_when_the_ledger_has_it(tmp_path: Path) -> None:
    """A byte may leave right after: another connection must see `sending`."""

    async def scene(ledger: Ledger) -> None:
        journal = Journal(ledger)

        async def one(number: int) -> None:
            await journal.start(operation(number))
            with Ledger.read(place_of(tmp_path), 9359) as reader:
                assert reader.entries_of([Key(f"o-{number}")])[Key(f"o-{number}")].state is State.SENDING

        await asyncio.gather(*(one(number) for number in range(5)))

    with opened(tmp_path) as ledger:
        ledger.plan([operation(number) for number in range(5)], "b1")
        asyncio.run(scene(ledger))


def test_an_error_reaches_every_task_of_the_group_and_the_next_group_goes_on(tmp_path: Path) -> None:
    """Nobody hangs, and nobody takes a failed commit for done."""

    async def scene(ledger: Ledger) -> list[BaseException | None]:
        journal = Journal(ledger)
        # The first is a group of its own, the others gather behind it; order 9 was never planned.
        results = await asyncio.gather(
            *(journal.start(operation(number)) for number in (0, 1, 2, 9)), return_exceptions=True
        )
        await journal.start(operation(3))
        return results

    with opened(tmp_path) as ledger:
        ledger.plan([operation(number) for number in range(4)], "b1")
        results = asyncio.run(scene(ledger))
        sending = {each.key.source_order_id for each in ledger.entries(states=[State.SENDING])}
    assert {type(result) for result in results} == {IllegalTransition}
    assert sending == {"o-3"}


def test_what_ended_is_written_though_what_begins_beside_it_may_not(tmp_path: Path) -> None:
    """They share a commit; a mistake of the one is not told to the other, and takes no answer with it."""

    async def scene(ledger: Ledger) -> list[BaseException | None]:
        journal = Journal(ledger)
        # Order 9 was never planned.
        return await asyncio.gather(
            journal.settle(accepted(1)), journal.start(operation(9)), return_exceptions=True
        )

    with opened(tmp_path) as ledger:
        ledger.plan([operation(number) for number in range(4)], "b1")
        ledger.start([operation(1)])
        results = asyncio.run(scene(ledger))
        assert ledger.counts() == {("order", State.ACCEPTED): 1, ("order", State.PLANNED): 3}
    assert [type(result) for result in results] == [type(None), IllegalTransition]


def test_who_ends_and_begins_again_shares_one_commit_with_all_who_do(tmp_path: Path) -> None:
    """A worker's next operation goes with the ends of the others: one commit a round, not two."""

    async def scene(ledger: Ledger) -> list[int]:
        counting = Counting(ledger)
        journal = Journal(counting)  # type: ignore[arg-type]  # as much of a ledger as it needs

        async def work(first: int) -> None:
            for number in range(first, TASKS, 10):
                await journal.start(operation(number))
                await journal.settle(accepted(number))

        await asyncio.gather(*(work(first) for first in range(10)))
        return counting.groups

    with opened(tmp_path) as ledger:
        ledger.plan([operation(number) for number in range(TASKS)], "b1")
        groups = asyncio.run(scene(ledger))
    assert groups == [10] * (2 * TASKS // 10)


def test_a_change_is_written_though_its_task_is_cancelled(tmp_path: Path) -> None:
    """What the API answered is not forgotten because nobody waits any more."""

    async def scene(ledger: Ledger) -> None:
        journal = Journal(ledger)
        task = asyncio.create_task(journal.settle(accepted(1)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # Whoever comes next is written after it.
        await journal.start(operation(2))

    with opened(tmp_path) as ledger:
        ledger.plan([operation(1), operation(2)], "b1")
        ledger.start([operation(1)])
        asyncio.run(scene(ledger))
        assert ledger.counts() == {("order", State.ACCEPTED): 1, ("order", State.SENDING): 1}


def test_a_ledger_that_fails_is_told_to_all_who_wait_even_where_one_was_cancelled() -> None:
    """A full disk stops every task, and the journal works again once there is room."""

    class Full:
        def __init__(self) -> None:
            self.is_full = True

        def settle_and_start(self, _changes: Sequence[Change], _operations: Sequence[Operation]) -> None:
            """See `Ledger.settle_and_start`."""
            if self.is_full:
                message = "full"
                raise LedgerError(message)

    async def scene() -> list[BaseException | None]:
        full = Full()
        journal = Journal(full)  # type: ignore[arg-type]  # as much of a ledger as it needs
        tasks = [asyncio.create_task(journal.settle(accepted(number))) for number in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        full.is_full = False
        await journal.settle(accepted(4))
        return results

    first, cancelled, last = asyncio.run(scene())
    assert isinstance(first, LedgerError)
    assert isinstance(last, LedgerError)
    assert isinstance(cancelled, asyncio.CancelledError)
