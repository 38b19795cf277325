"""The command with JSON lines and metrics: what a machine reads of a run."""

import json
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.loader_process import BATCH, Shop, good_orders, loader
from tests.sandbox_process import running_sandbox


@pytest.mark.slow
def test_a_run_can_be_read_by_machines(tmp_path: Path) -> None:
    """One JSON object a line with batch and order ids, a text file for Prometheus, and no customer in either."""
    metrics = tmp_path / "metrics"
    with running_sandbox("--limit", "0", "--garble", "0.3", "--seed", "3") as sandbox:
        shop = Shop(tmp_path / "shop", sandbox)
        shop.configure("upload: {canary: 0, listing_delay_s: 0.1}")
        shop.export(good_orders(range(20)))
        command = shop.command("run")
        ended = loader("--log", "json", *command, CORSO_METRICS_DIR=str(metrics))
    lines = [json.loads(line) for line in ended.err.splitlines() if line.startswith("{")]
    assert [line["message"] for line in lines if line["logger"] == "corso.run"] == [
        "load_batch begins",
        "load_batch ends",
    ]
    assert {(line["store"], line["batch"]) for line in lines} == {("9359", BATCH)}
    doubtful = [line for line in lines if line.get("state") == "unknown"]
    assert doubtful, ended.said
    assert all(line["order"].startswith("o-") and line["operation"] == "create_order" for line in doubtful)
    text = (metrics / "corso_loader_9359.prom").read_text(encoding="utf-8")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    created = [
        sample.value
        for sample in families["corso_loader_orders"].samples
        if sample.labels["outcome"] == "created"
    ]
    assert created == [shop.summary()["outcome"]["created"]]
    assert "example.com" not in ended.err + text


def test_a_form_of_logs_that_is_none_is_refused() -> None:
    """Exit code 2, before anything is done."""
    ended = loader("--log", "xml", "status", "-c", "loader.yaml")
    assert ended.code == 2
    assert "--log xml: the only form is json" in ended.err
