"""A small farm: two stores of one credential, Celery's workers on machines of their own, one of which is killed."""

from pathlib import Path

import pytest

from tests import redis_server
from tests.farm import Size, run_farm
from tests.postgres_server import HOW_TO_INSTALL, server_programs

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not redis_server.is_installed(), reason=redis_server.HOW_TO_INSTALL),
    pytest.mark.skipif(server_programs() is None, reason=HOW_TO_INSTALL),
]


@pytest.mark.parametrize("in_steps", [False, True], ids=["whole runs", "steps"])
def test_a_farm_loads_everything_once_whatever_is_killed(tmp_path: Path, *, in_steps: bool) -> None:
    """Nothing lost, nothing doubled, never two senders on a credential, no request before a wait was over.

    Tables are in a bucket, ledger and history on PostgreSQL. Workers carry out whole runs, or single steps.
    """
    size = Size(2, 2, 15, credentials=1, kills=1, seed=1, processes=1, in_steps=in_steps, patience_s=900)
    told = run_farm(tmp_path, size, kill_every_s=20)
    assert told.wrong == []
    assert told.kills == 1
    assert told.orders == 2 * 2 * 15
    assert told.runs["SUCCESS"] == 4
