"""Folders whose names have what patterns are made of: they are names here, also beside others that would fit."""

import ast
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.samples import write_samples
from tests.loader_process import Shop, broken_identities
from tests.sandbox_process import running_sandbox

NAME = "a*b [1] {2} what? %20 #é"
FITS = "a and b 1 {2} what! %20 #é"
"""What that name would find, were it a pattern."""
_READERS = {"scan_parquet", "read_parquet", "read_parquet_schema", "scan_csv", "read_csv", "scan_lines"}
_PROJECT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_folder_named_like_a_pattern_is_loaded_verified_and_forgotten(tmp_path: Path) -> None:
    """A whole batch and the verbs that read its tables; nothing is read of the store beside it."""
    with running_sandbox("--limit", "0") as sandbox:
        other = Shop(tmp_path / FITS, sandbox)
        write_samples(other.exports, 50)
        other.configure()
        assert other.run("plan", "--offline").code == 1
    with running_sandbox("--limit", "0") as sandbox:
        shop = Shop(tmp_path / NAME, sandbox)
        samples = write_samples(shop.exports, 200)
        shop.configure()
        answer = shop.run("run", "--yes")
        assert answer.code == 1, answer.said  # some are quarantined
        summary = shop.summary()
        assert summary["plan"]["create"] == summary["outcome"]["created"] == samples.accepted_orders
        assert broken_identities(summary) == []
        assert sandbox.counts()["orders"] == samples.accepted_orders

        certificate = shop.reports() / "certificate.json"
        verified = shop.run("reconcile", "--verify", str(certificate), batch=None)
        assert verified.code == 0, verified.said
        customer = next(row["customer_email"] for row in shop.table("results") if row["corso_order_id"])
        erased = shop.run("erase", customer, "--yes", batch=None)
        assert erased.code == 0, erased.said
        assert customer not in {row["customer_email"] for row in shop.table("results")}
        purged = shop.run("purge", "--older-than", "0d", batch=None)
        assert purged.code == 0, purged.said


@pytest.fixture
def _nothing_collected() -> Iterator[None]:
    """Keep the collector away: what it ends may log a traceback, which parses, and Python 3.11's parser is not reentrant."""
    gc.disable()
    yield
    gc.enable()


def _readings() -> Iterator[tuple[str, ast.Call]]:
    for package in ("schemas", "corso", "assets", "pipelines"):
        for path in sorted((_PROJECT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    names = [node.func, *node.args]
                    if any(isinstance(each, ast.Attribute) and each.attr in _READERS for each in names):
                        yield f"{path.relative_to(_PROJECT)}:{node.lineno}", node


@pytest.mark.usefixtures("_nothing_collected")
def test_polars_is_told_that_paths_are_no_patterns() -> None:
    """Else it reads whatever fits: the tables of another store, where a folder's name has a star."""
    readings = list(_readings())
    assert len(readings) > 50
    loose = [place for place, call in readings if "glob" not in {each.arg for each in call.keywords}]
    assert loose == []
