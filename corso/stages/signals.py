"""SIGINT and SIGTERM while an event loop runs: the work is asked to stop, and ends as `Interrupted`.

Without this a signal would be raised inside whatever callback the loop is just running, which swallows it.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from corso.delivery.sender import interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stopped_by_signals(stop: Callable[[], None] | None = None) -> Iterator[None]:
    """Call `stop` on the first signal, so that the block can end well; cancel the block on a second one.

    Without `stop` the first one cancels. Raises Interrupted at the block's end once there was a signal, unless the
    block raises an error of its own.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    seen = 0

    def on_signal() -> None:
        nonlocal seen
        seen += 1
        if stop is not None and seen == 1:
            stop()
        elif task is not None:
            task.cancel()

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    # Outside the main thread there are no signals to take.
    with contextlib.suppress(ValueError, RuntimeError):
        for number in _SIGNALS:
            loop.add_signal_handler(number, on_signal)
    try:
        yield
    except asyncio.CancelledError:
        if seen:
            raise interrupted() from None
        raise
    finally:
        with contextlib.suppress(ValueError, RuntimeError):
            for number in _SIGNALS:
                loop.remove_signal_handler(number)
                signal.signal(number, before[number])
    if seen:
        raise interrupted()
