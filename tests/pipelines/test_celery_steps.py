"""A run whose steps are on Celery's workers notices which of them are with nobody any more."""

from collections.abc import Callable

import pytest

from corso.errors import LedgerError
from pipelines.celery_steps import LONGEST_START_S, LOOK_EVERY_S, StepWatch


class Held:
    """A batch that is held: what its steps' leases tell."""

    def __init__(self) -> None:
        self.told: dict[str, bool] = {}
        self.is_away = False

    def steps(self) -> dict[str, bool]:
        """Return step -> whether it was cut off."""
        if self.is_away:
            message = "the server is away"
            raise LedgerError(message)
        return self.told


class Watched:
    """A watch on a clock that jumps."""

    def __init__(self) -> None:
        self.held, self.now = Held(), 0.0
        self._watch = StepWatch(self.held, lambda: self.now)  # type: ignore[arg-type]

    def after(self, seconds: float, *, begun: bool = False, nowhere: bool = False) -> bool:
        """Say whether the step is told to be cut off after some time, asked as often as Dagster does."""
        end, cut_off = self.now + seconds, False
        begins: Callable[[], bool] = lambda: begun  # noqa: E731
        while self.now < end:
            self.now += 1
            cut_off = self._watch.is_cut_off("plan", begins, lambda: nowhere)
        return cut_off


@pytest.fixture
def watched() -> Watched:
    """A step that was sent."""
    return Watched()


def test_a_step_that_waits_for_a_worker_is_waited_for(watched: Watched) -> None:
    """However long: its message is there."""
    assert not watched.after(10_000)


def test_a_step_that_was_begun_has_its_time_and_then_its_lease_tells(watched: Watched) -> None:
    """A lease that is there is all that counts, also while the server is away for a moment."""
    assert not watched.after(LONGEST_START_S - 10, begun=True)
    assert watched.after(20, begun=True)
    watched.held.told = {"plan": False}
    assert not watched.after(10_000, begun=True)
    watched.held.is_away = True
    assert not watched.after(100, begun=True)
    watched.held.is_away, watched.held.told = False, {"plan": True}
    assert watched.after(2 * LOOK_EVERY_S, begun=True)


def test_a_step_whose_message_went_with_its_worker_is_not_waited_for(watched: Watched) -> None:
    """In two looks: for a moment a message is in a worker's hands alone, and a step that then begins is no more than that."""
    assert not watched.after(1.5 * LOOK_EVERY_S, nowhere=True)
    assert not watched.after(10 * LOOK_EVERY_S)
    assert watched.after(3 * LOOK_EVERY_S, nowhere=True)
