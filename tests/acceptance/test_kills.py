"""Killed with SIGKILL at every named point and at random, with faults on, in every duplicate mode.

The harness is `tests.kills`; `scripts/bench kills` tells many more stories.
"""

import pytest

from sandbox.options import DuplicateMode
from tests.kills import BROKEN, DUPLICATE_MODES, POINTS, Told, tell_story
from tests.postgres_server import PostgresServer

KILLS = 15

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.mark.parametrize(
    "mode",
    # The longest of all tests: the API that takes duplicates, where everything depends on the loader, always has its story.
    [mode if mode == "accept" else pytest.param(mode, marks=pytest.mark.long) for mode in DUPLICATE_MODES],
)
def test_none_is_lost_and_none_is_doubled(mode: DuplicateMode) -> None:
    """Fifteen kills a story: each order ends in one state, is there once, and the ledger says what Corso holds."""
    judge(tell_story(11 + DUPLICATE_MODES.index(mode), mode, KILLS))


@pytest.mark.long
def test_none_is_lost_and_none_is_doubled_with_the_ledger_on_a_server(postgres: PostgresServer) -> None:
    """The same, where no file lock tells that a loader is dead."""
    judge(tell_story(17, "accept", KILLS, postgres))


def judge(told: Told) -> None:
    """Fail where anything is not as promised, or nothing was tried."""
    assert told.broken == []
    assert not any(told.count[name] for name in BROKEN)
    # Else it has not met what it is about.
    assert told.kills.total() >= KILLS
    assert set(told.kills) == set(POINTS)
    assert told.count["faults acted out"] > 0
