"""The code location: its names are the road's, it loads, and its jobs run in process as the command runs them."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from assets.partitions import BATCHES
from assets.resources import LoaderFile, Progress
from corso.report.summary import Summary
from pipelines.definitions import build_defs, defs
from pipelines.schedules import nightly_load
from pipelines.sensors import QUIET_S, new_batches
from tests.loader_process import BATCH, SECRET, Shop, good_orders
from tests.sandbox_process import running_sandbox

ASSETS = {
    "raw_orders", "raw_line_items", "raw_fulfillments",
    "accepted_orders", "accepted_line_items", "accepted_fulfillments", "filled_values", "quarantined_orders",
    "upload_plan",
    "uploaded_orders", "uploaded_fulfillments",
    "corso_orders",
    "reconciliation", "reconciliation_report",
}  # fmt: skip
CHECKS = {
    "every_row_is_accounted_for": True,
    "accepted_tables_satisfy_the_contract": True,
    "quarantine_is_within_its_limit": True,
    "every_operation_is_settled": False,
    "money_ties_to_the_cent": False,
    "nothing_is_unexplained": False,
    "the_api_still_matches_its_contract": False,
}
"""Check -> whether it blocks what comes after it."""
JOBS = {"plan_batch", "upload_batch", "reconcile_batch", "load_batch"}
ROOT = Path(__file__).resolve().parents[2]


def test_the_code_location_loads() -> None:
    """As `dagster dev` does it: every reference is resolved, every job can be built."""
    dg.Definitions.validate_loadable(defs)
    (loaded,) = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]
    assert loaded == {"python_module": "pipelines.definitions"}


def test_assets_checks_jobs_schedule_and_sensor_are_the_agreed_ones() -> None:
    """Other programs, the documentation and people's memory name them."""
    graph = defs.resolve_asset_graph()
    assert {key.to_user_string() for key in graph.get_all_asset_keys()} == ASSETS
    assert {key.name for key in graph.asset_check_keys} == CHECKS.keys()
    assert {job.name for job in defs.resolve_all_job_defs() if not job.name.startswith("__")} == JOBS
    assert [each.name for each in defs.schedules or []] == ["nightly_load"]
    assert [each.name for each in defs.sensors or []] == ["new_batches"]
    assert {each.name: each.default_status for each in [*(defs.schedules or []), *(defs.sensors or [])]} == {
        "nightly_load": dg.DefaultScheduleStatus.STOPPED,
        "new_batches": dg.DefaultSensorStatus.STOPPED,
    }


def test_what_blocks_blocks_before_the_upload() -> None:
    """A check that does not block lets everything be sent; each says in a sentence what it stands for."""
    graph = defs.resolve_asset_graph()
    specs = {key.name: graph.get_check_spec(key) for key in graph.asset_check_keys}
    assert {name: spec.blocking for name, spec in specs.items()} == CHECKS
    assert all(spec.description for spec in specs.values())


@pytest.mark.parametrize(
    ("job", "begins", "ends"),
    [
        ("plan_batch", "raw_orders", {"upload_plan"}),
        ("upload_batch", "raw_orders", {"uploaded_fulfillments"}),
        ("reconcile_batch", "corso_orders", {"reconciliation_report"}),
        ("load_batch", "raw_orders", {"reconciliation_report"}),
    ],
)
def test_each_job_is_its_part_of_the_road(job: str, begins: str, ends: set[str]) -> None:
    """Planning cannot send."""
    selected = {key.to_user_string() for key in defs.resolve_job_def(job).asset_layer.selected_asset_keys}
    assert begins in selected
    assert ends <= selected
    assert ("uploaded_orders" in selected) == (job in {"upload_batch", "load_batch"})
    assert ("corso_orders" in selected) == (job in {"reconcile_batch", "load_batch"})


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance that is gone afterwards."""
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        yield instance


@pytest.fixture
def instance_on_disk(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """One that can be opened a second time, as a schedule's evaluation does."""
    home = tmp_path / "dagster"
    home.mkdir()
    with dg.instance_for_test(temp_dir=str(home)) as instance:
        yield instance


@pytest.mark.slow
# Dagster 1.13.27 calls its own deprecated property when a resource is configured.
@pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run:DeprecationWarning")
def test_the_whole_road_runs_in_process(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every asset is materialized, every check is green, progress is told, no metadata holds personal data."""
    monkeypatch.setenv("CORSO_CLIENT_ID", SECRET)
    monkeypatch.setenv("CORSO_CLIENT_SECRET", SECRET)
    told: set[str] = set()
    with running_sandbox("--limit", "0") as sandbox:
        shop = Shop(tmp_path / "shop", sandbox)
        shop.export(good_orders(range(1, 6)))
        location = build_defs(
            loader=LoaderFile(path=str(shop.configure())),
            progress=Progress(lambda what, *_counts: told.add(what)),
        )
        instance.add_dynamic_partitions(BATCHES.name or "", [BATCH])
        result = location.resolve_job_def("load_batch").execute_in_process(
            partition_key=BATCH, instance=instance
        )
        assert sandbox.counts()["orders"] == 5
    assert result.success
    made = result.get_asset_materialization_events()
    assert {each.asset_key.to_user_string() for each in made if each.asset_key} == ASSETS
    assert {each.check_name: each.passed for each in result.get_asset_check_evaluations()} == dict.fromkeys(
        CHECKS, True
    )
    assert {"create_order", "read back"} <= told
    assert Summary.read(shop.reports() / "summary.json").exit_code == 0
    shown = str([each.materialization.metadata for each in made])
    assert "example.com" not in shown
    assert "Springfield" not in shown


def batch_shop(folder: Path, *batches: str, age_s: float = 2 * QUIET_S) -> LoaderFile:
    """Return the loader file of a shop whose batches are folders, all untouched for so long."""
    shop = Shop(folder, files={"orders": "drops/{batch}/orders.csv", "line_items": "drops/{batch}/lines.csv"})
    shop.configure()
    for batch in batches:
        for name in ("orders", "lines"):
            path = folder / "drops" / batch / f"{name}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x")
            os.utime(path, (time.time() - age_s,) * 2)
    return LoaderFile(path=str(shop.config))


def seen(instance: dg.DagsterInstance, loader: LoaderFile) -> Any:
    """Let the sensor look once, and add the partitions that it asks for, as Dagster does."""
    result = new_batches(dg.build_sensor_context(instance=instance, resources={"loader": loader}))
    for request in getattr(result, "dynamic_partitions_requests", None) or []:
        instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
    return result


def test_the_sensor_sees_each_new_batch_once(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    """A folder is a batch; looking twice does not load twice."""
    loader = batch_shop(tmp_path, "2026-11-21", "2026-11-22", ".hidden")
    found = seen(instance, loader)
    assert [(each.run_key, each.partition_key) for each in found.run_requests] == [
        ("2026-11-21", "2026-11-21"),
        ("2026-11-22", "2026-11-22"),
    ]
    assert isinstance(seen(instance, loader), dg.SkipReason)
    batch_shop(tmp_path, "2026-11-23")
    assert [each.partition_key for each in seen(instance, loader).run_requests] == ["2026-11-23"]


def test_the_sensor_waits_until_a_batch_has_come_to_rest(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """Half a file is worse than a minute's delay; one young file makes the whole folder young."""
    loader = batch_shop(tmp_path, "2026-11-22", age_s=QUIET_S + 5)
    path = tmp_path / "drops" / "2026-11-22" / "lines.csv"
    os.utime(path, (time.time() - QUIET_S + 20,) * 2)
    assert isinstance(seen(instance, loader), dg.SkipReason)
    os.utime(path, (time.time() - QUIET_S - 1,) * 2)
    assert [each.partition_key for each in seen(instance, loader).run_requests] == ["2026-11-22"]


@pytest.mark.parametrize("config", ["store: {id: one}", None])
def test_sensor_and_schedule_skip_with_a_sentence_where_the_settings_are_wrong(
    tmp_path: Path, instance: dg.DagsterInstance, config: str | None
) -> None:
    """A broken loader.yaml is not a stack trace every minute."""
    path = tmp_path / "loader.yaml"
    if config:
        path.write_text(config)
    loader = LoaderFile(path=str(path))
    for answer in (seen(instance, loader), tonight(instance, loader)):
        assert isinstance(answer, dg.SkipReason)
        assert "loader.yaml" in (answer.skip_message or "")


def tonight(instance: dg.DagsterInstance, loader: LoaderFile) -> Any:
    """Let the schedule come round."""
    context = dg.build_schedule_context(
        instance=instance,
        scheduled_execution_time=datetime(2026, 11, 23, 2, 15, tzinfo=UTC),
        resources={"loader": loader},
    )
    return nightly_load(context)


@pytest.mark.slow
def test_the_schedule_asks_for_the_newest_batch_every_night(
    tmp_path: Path, instance_on_disk: dg.DagsterInstance
) -> None:
    """Once a night, whatever the clock's zone; the batch is a partition before the run starts."""
    loader = batch_shop(tmp_path, "2026-11-21", "2026-11-22")
    for name in ("orders", "lines"):
        os.utime(tmp_path / "drops" / "2026-11-21" / f"{name}.csv", (1, 1))
    request = tonight(instance_on_disk, loader)
    assert isinstance(request, dg.RunRequest)
    assert (request.partition_key, request.run_key) == ("2026-11-22", "nightly-2026-11-23")
    assert instance_on_disk.get_dynamic_partitions(BATCHES.name or "") == ["2026-11-22"]
    assert (nightly_load.job_name, nightly_load.execution_timezone) == ("load_batch", "UTC")
    assert new_batches.job_name == "load_batch"
