"""The command, as a process that kills itself with SIGKILL at a point that only it can see.

    python tests/doomed_loader.py POINT NUMBER VERB OPTIONS…

It dies when it comes to the point for the NUMBERth time, and otherwise ends as the command does.
"""

import itertools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, Final

from corso.api.client import CorsoApi
from corso.api.exchange import Exchange
from corso.delivery.ledger import Ledger
from corso.delivery.look_ups import LookUps
from corso.storage.working_copy import VersionedCopy
from pipelines.cli import main as command

SENDING_COMMITTED: Final = "sending committed"
"""The ledger has committed `sending`; not a byte has left."""
ANSWER_READ: Final = "answer read"
"""The answer to a write is read; the ledger does not know of it."""
LOOKED_UP: Final = "looked up"
"""A look-up of what is in doubt is answered; nothing of it is written down."""
TABLE_PUT: Final = "table put"
"""The accepted orders are in the bucket; the manifest that makes them the state's is not."""

Come = Callable[[], None]


def dies_at(number: int) -> Come:
    """Return what to call whenever the point is reached."""
    reached = itertools.count(1)

    def come() -> None:
        if next(reached) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    return come


def _after_sending_is_committed(come: Come) -> None:
    write = Ledger.settle_and_start

    def write_and_come(ledger: Ledger, changes: Any, operations: Any) -> None:
        write(ledger, changes, operations)
        if operations:
            come()

    Ledger.settle_and_start = write_and_come  # type: ignore[assignment,method-assign]


def _after_the_answer(come: Come) -> None:
    send = CorsoApi.send

    async def send_and_come(api: CorsoApi, *arguments: Any) -> Any:
        receipt = await send(api, *arguments)
        come()
        return receipt

    CorsoApi.send = send_and_come  # type: ignore[assignment,method-assign]


def _in_a_look_up(come: Come) -> None:
    look, ask = LookUps.look, Exchange.ask
    looking = 0

    async def look_and_say(look_ups: LookUps, *arguments: Any) -> Any:
        nonlocal looking
        looking += 1
        try:
            return await look(look_ups, *arguments)
        finally:
            looking -= 1

    async def ask_and_come(exchange: Exchange, *arguments: Any) -> Any:
        answer = await ask(exchange, *arguments)
        if looking:
            come()
        return answer

    LookUps.look = look_and_say  # type: ignore[assignment,method-assign]
    Exchange.ask = ask_and_come  # type: ignore[assignment,method-assign]


def _before_the_manifest(come: Come) -> None:
    write = VersionedCopy._write_manifest

    def come_and_write(copy: VersionedCopy, files: Any) -> None:
        if any(name.startswith("accepted_orders.parquet/") for name in files.keys() - copy._kept.keys()):
            come()
        write(copy, files)

    VersionedCopy._write_manifest = come_and_write  # type: ignore[method-assign]


POINTS: dict[str, Callable[[Come], None]] = {
    SENDING_COMMITTED: _after_sending_is_committed,
    ANSWER_READ: _after_the_answer,
    LOOKED_UP: _in_a_look_up,
    TABLE_PUT: _before_the_manifest,
}


def main() -> None:
    """Arm the point, then be the command."""
    point, number = sys.argv[1], int(sys.argv[2])
    del sys.argv[1:3]
    POINTS[point](dies_at(number))
    command()


if __name__ == "__main__":
    main()
