"""The code location: its names are the road's, it loads, and its jobs run in process as the command runs them."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml

from assets.partitions import BATCHES
from assets.resources import LoaderFile, Progress
from corso.report.summary import Summary
from pipelines.definitions import build_defs, defs
from tests.loader_process import BATCH, SECRET, Shop, good_orders
from tests.sandbox_process import running_sandbox

ASSETS = {
    "raw_orders", "raw_line_items", "raw_fulfillments",
    "accepted_orders", "accepted_line_items", "accepted_fulfillments", "filled_values", "quarantined_orders",
    "upload_plan",
    "uploaded_orders", "uploaded_fulfillments",
    "corso_orders", "corso_fulfillments", "fulfillments_read",
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


def test_assets_checks_jobs_schedules_and_sensors_are_the_agreed_ones() -> None:
    """Other programs, the documentation and people's memory name them; nothing runs that nobody turned on."""
    graph = defs.resolve_asset_graph()
    assert {key.to_user_string() for key in graph.get_all_asset_keys()} == ASSETS | {"landing"}
    assert {key.name for key in graph.asset_check_keys} == CHECKS.keys() | {"last_nights_load_ran"}
    assert {job.name for job in defs.resolve_all_job_defs() if not job.name.startswith("__")} == JOBS
    assert {each.name for each in defs.schedules or []} == {"nightly_load", "weekly_reconciliation"}
    assert {each.name for each in defs.sensors or []} == {
        "new_batches",
        "alert_on_failure",
        "alert_on_a_look",
        "watch_the_nights",
    }
    assert all(each.default_status is dg.DefaultScheduleStatus.STOPPED for each in defs.schedules or [])
    assert all(each.default_status is dg.DefaultSensorStatus.STOPPED for each in defs.sensors or [])


def test_what_blocks_blocks_before_the_upload() -> None:
    """A check that does not block lets everything be sent; each says in a sentence what it stands for."""
    graph = defs.resolve_asset_graph()
    specs = {key.name: graph.get_check_spec(key) for key in graph.asset_check_keys}
    assert {name: spec.blocking for name, spec in specs.items()} == CHECKS | {"last_nights_load_ran": False}
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
