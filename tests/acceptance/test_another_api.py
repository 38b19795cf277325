"""The loader works by the contract, not by the sandbox: another implementation of the API, in each of its readings."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipelines.samples import write_samples
from tests.other_corso import OtherCorso, other_corso

_LOADER = """\
store: {{id: 77, time_zone: America/New_York, currency: USD, fulfillment_locations: {{default: 12}}}}
exports: {{profile: canonical, orders: "export/orders*", line_items: "export/line*", fulfillments: "export/ful*"}}
corso: {{environment: custom, base_url: "{url}/v1", token_url: "{url}/oauth/token", audience: any}}
limits: {{requests_per_second: 200}}
upload: {{listing_delay_s: 0.1}}
"""


def _run(folder: Path, corso: OtherCorso) -> dict[str, Any]:
    (folder / "loader.yaml").write_text(_LOADER.format(url=corso.url))
    environment = {**os.environ, "CORSO_CLIENT_ID": "me", "CORSO_CLIENT_SECRET": "a-secret"}
    command = [sys.executable, "-m", "pipelines.cli", "run", "-c", str(folder / "loader.yaml"), "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode in {0, 1}, done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


@pytest.mark.slow
@pytest.mark.parametrize(
    "habits",
    [
        {},
        {"lists_unfiltered": False},
        {"lists_unfiltered": False, "filters_by_source_id": False},
        {"filters_by_source_id": False},
    ],
    ids=["lists everything", "wants a filter", "wants a filter it never knew", "knows no source id"],
)
def test_every_order_arrives_once_and_is_found_equal(tmp_path: Path, habits: dict[str, Any]) -> None:
    """Whatever the documents leave open, all accepted orders are in the API once and match."""
    samples = write_samples(tmp_path / "export", 40)

    with other_corso(**habits) as corso:
        summary = _run(tmp_path, corso)
        counts = Counter(record["sourceOrderId"] for record in corso.orders.values())

    accepted = samples.orders - summary["quarantined"]["orders"]
    assert set(counts.values()) == {1}
    assert len(counts) == accepted == summary["outcome"]["created"] == summary["reconciliation"]["matched"]
    assert sum(map(len, corso.fulfillments.values())) == summary["fulfillments"]["created"] > 0


@pytest.mark.slow
def test_a_second_run_sends_nothing_there_either(tmp_path: Path) -> None:
    """String ids and other spellings do not make an order look changed."""
    write_samples(tmp_path / "export", 30)

    with other_corso() as corso:
        first = _run(tmp_path, corso)
        records = dict(corso.orders)
        second = _run(tmp_path, corso)

    assert corso.orders == records
    assert second["plan"]["unchanged"] == first["outcome"]["created"] == second["reconciliation"]["matched"]
