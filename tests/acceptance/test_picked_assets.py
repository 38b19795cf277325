"""One asset picked in Dagster's UI: its run has none of the job's checks, and nothing is sent all the same that a guard forbids."""

from pathlib import Path

import dagster as dg
import pytest

from assets.partitions import BATCHES
from assets.resources import LoaderFile
from corso.errors import CorsoError, SettingsError, Stopped, UsageError
from corso.stages.batch import Batch
from corso.stages.landing import Landing
from pipelines.definitions import build_defs
from pipelines.hooks import cause_of
from tests.loader_process import BATCH, Shop, good_orders

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run:DeprecationWarning"),
]


def planned(folder: Path, bad: int = 0, **changes: str) -> Shop:
    """Plan a batch of four orders, some of which are quarantined."""
    shop = Shop(folder)
    shop.configure("validation: {max_quarantined: 0.9}")
    orders = good_orders(range(4))
    shop.export([row | ({"total_money": "much"} if at < bad else {}) for at, row in enumerate(orders)])
    answer = shop.run("plan", "--offline", **changes)
    assert answer.code in {0, 1}, answer.said
    return shop


def ended_with(shop: Shop, asset: str, monkeypatch: pytest.MonkeyPatch) -> BaseException:
    """Materialize an asset alone, as the UI does; return what ended it."""
    monkeypatch.setenv("CORSO_CLIENT_ID", "sandbox")
    monkeypatch.setenv("CORSO_CLIENT_SECRET", "sandbox")
    loader = LoaderFile(path=str(shop.config))
    job = build_defs(loader=loader, executor=dg.in_process_executor).resolve_job_def("load_batch")
    with dg.DagsterInstance.ephemeral(tempdir=str(shop.folder)) as instance:
        instance.add_dynamic_partitions(BATCHES.name or "", [BATCH])
        with pytest.raises((CorsoError, dg.DagsterError)) as raised:
            job.execute_in_process(
                asset_selection=[dg.AssetKey(asset)], partition_key=BATCH, instance=instance
            )
    return cause_of(raised.value)


def test_a_batch_of_which_too_much_is_quarantined_is_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit was lowered since it was planned: it counts as it is now."""
    shop = planned(tmp_path / "shop", bad=2)
    shop.configure("validation: {max_quarantined: 0.1}")
    error = ended_with(shop, "uploaded_orders", monkeypatch)
    assert isinstance(error, Stopped)
    assert "50.0% of the source orders are quarantined" in str(error)


@pytest.mark.parametrize("asset", ["uploaded_orders", "corso_orders"])
def test_corso_is_asked_nothing_about_the_store_of_a_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asset: str
) -> None:
    """loader.yaml as `inspect` wrote it may plan, and no more."""
    shop = planned(tmp_path / "shop")
    shop.store_id = 0
    shop.configure()
    answer = shop.run("plan", "--offline")
    assert answer.code == 0, answer.said
    error = ended_with(shop, asset, monkeypatch)
    assert isinstance(error, SettingsError)
    assert "store.id is still 0" in str(error)


def test_a_purged_batch_is_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its payloads are blank."""
    shop = planned(tmp_path / "shop")
    batch = Batch(Landing(shop.config).settings(""), BATCH)
    answer = shop.run("purge", "--older-than", "0d", batch=None)
    assert answer.code == 0, answer.said
    assert not batch.table("raw_orders").exists()
    error = ended_with(shop, "uploaded_orders", monkeypatch)
    assert isinstance(error, UsageError)
    assert "was purged" in str(error)
