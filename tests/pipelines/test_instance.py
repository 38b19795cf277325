"""What dagster.yaml says of runs is what Dagster of this version understands, and what was meant."""

from pathlib import Path

import dagster as dg
import pytest

from assets.run_tags import CREDENTIALS_TAG, STORE_TAG
from corso.delivery.sender import DRAIN_S
from pipelines.instance import RUN_SETTINGS


@pytest.fixture
def instance(tmp_path: Path) -> dg.DagsterInstance:
    """An instance with these settings alone; a key that Dagster does not know would be an error."""
    (tmp_path / "dagster.yaml").write_text(RUN_SETTINGS, encoding="utf-8")
    return dg.DagsterInstance.from_config(str(tmp_path))


@pytest.mark.slow
def test_dagster_retries_nothing_and_gives_dead_runs_up(instance: dg.DagsterInstance) -> None:
    """Retries live in one place; a cancelled run has the time that it needs to end well."""
    assert not instance.run_retries_enabled
    assert instance.run_monitoring_enabled
    assert instance.run_monitoring_max_resume_run_attempts == 0
    assert instance.run_monitoring_cancel_timeout_seconds > DRAIN_S
    assert instance.get_settings("run_monitoring")["free_slots_after_run_end_seconds"] == 60


@pytest.mark.slow
def test_runs_of_a_store_and_of_credentials_go_one_at_a_time(instance: dg.DagsterInstance) -> None:
    """Whoever starts them; the tags are those that the jobs carry."""
    queue = instance.get_concurrency_config().run_queue_config
    assert queue is not None
    limits = queue.tag_concurrency_limits or []
    assert {limit["key"] for limit in limits} == {STORE_TAG, CREDENTIALS_TAG}
    assert all(limit["limit"] == 1 for limit in limits)
    assert all(limit["value"] == {"applyLimitPerUniqueValue": True} for limit in limits)
