"""A workdir in a bucket, the ledger on PostgreSQL: any machine goes on with a batch, whatever becomes of the one before.

Each machine is a scratch folder of its own. The S3 server is a real one (tests/s3_server.py).
"""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doomed_loader import TABLE_PUT
from tests.ledger_places import url_of
from tests.loader_process import BATCH, STORE_ID, Shop, ended, good_orders, kill, wait_until
from tests.postgres_server import PostgresServer
from tests.s3_server import S3Server, s3_server
from tests.sandbox_process import RunningSandbox, running_sandbox

pytestmark = pytest.mark.slow

COUNT = 40
TABLES = f"work/{STORE_ID}/{BATCH}/tables"
REPORTS = f"work/{STORE_ID}/{BATCH}"


@pytest.fixture
def s3() -> Iterator[S3Server]:
    """Run a server."""
    with s3_server() as server:
        yield server


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    """Run a sandbox in which what is sent twice is there twice."""
    with running_sandbox("--limit", "0", "--latency", "0.1", "--duplicates", "accept") as running:
        yield running


def shop_of(folder: Path, sandbox: RunningSandbox | None) -> Shop:
    """Return a merchant whose workdir is in the bucket."""
    shop = Shop(folder, sandbox)
    shop.export(good_orders(range(COUNT)))
    shop.configure(
        "workdir: s3://shop/work\nlimits: {max_in_flight: 2}\nupload: {canary: 0, listing_delay_s: 0.2}"
    )
    return shop


def machine(s3: S3Server, postgres: PostgresServer, folder: Path, name: str) -> dict[str, str | None]:
    """Return the environment of a machine that has nothing yet."""
    return {
        **s3.environment,
        "CORSO_LEDGER_URL": url_of(postgres, folder),
        "CORSO_SCRATCH": str(folder / name),
    }


def state_of(s3: S3Server) -> dict[str, list[str]]:
    """Return the files of the tables' state, as a reader sees them."""
    manifests = sorted(s3.names(f"{TABLES}/.state"))
    if not manifests:
        return {}
    content = (s3.bucket / TABLES / ".state" / manifests[-1]).read_text(encoding="utf-8")
    files: dict[str, list[str]] = json.loads(content)["files"]
    return files


def test_a_batch_goes_on_on_other_machines(
    s3: S3Server, postgres: PostgresServer, sandbox: RunningSandbox, tmp_path: Path
) -> None:
    """Killed while a table is published, killed in mid-upload, gone on with elsewhere: each order is in Corso once."""
    shop = shop_of(tmp_path / "shop", sandbox)
    one, two, three = (machine(s3, postgres, tmp_path, name) for name in ("one", "two", "three"))

    # After the table was put, and before the manifest that makes it valid.
    first = ended(shop.start_doomed(TABLE_PUT, "run", **one))
    assert first.code == -signal.SIGKILL, first.said
    assert any("/accepted_orders.parquet/" in name for name in s3.names(TABLES))
    there = {name.partition("/")[0] for name in state_of(s3)}
    assert "raw_orders.parquet" in there
    assert "accepted_orders.parquet" not in there
    assert sandbox.counts()["orders"] == 0

    second = shop.start("run", **two)
    wait_until(sandbox, 10, second)
    second.send_signal(signal.SIGSTOP)
    parked = shop.run("run", **three)
    assert parked.code == 75, parked.said
    assert (
        f"batch {BATCH} of store {STORE_ID} is in use by another loader (process {second.pid} on"
        in parked.sentence
    )
    kill(second)
    # All that a reader is promised is there, though the run did not come to its end.
    assert all((s3.bucket / "work" / key).stat().st_size == size for key, _, size, _ in state_of(s3).values())

    done = shop.run("run", **three)
    assert done.code == 0, done.said
    assert f"Report: s3://shop/{REPORTS}/reconciliation.html" in done.out
    counts = sandbox.counts()
    assert (counts["orders"], counts["source_orders"]) == (COUNT, COUNT)
    summary = json.loads((s3.bucket / REPORTS / "summary.json").read_text(encoding="utf-8"))
    assert summary["reconciliation"]["matched"] == COUNT
    assert {name.partition("/")[0] for name in s3.names(TABLES)} > {".state"}
    # What the state is not made of has been taken away.
    assert len(s3.names(TABLES)) == len(state_of(s3)) + 1


def test_what_is_in_the_bucket_is_enough_for_every_verb(
    s3: S3Server, postgres: PostgresServer, sandbox: RunningSandbox, tmp_path: Path
) -> None:
    """On a machine that has nothing: status, trace, the certificate checked again, reconciled, and loaded again for nothing."""
    shop = shop_of(tmp_path / "shop", sandbox)
    first = shop.run("run", **machine(s3, postgres, tmp_path, "first"))
    assert first.code == 0, first.said
    other = machine(s3, postgres, tmp_path, "other")

    assert f"{COUNT} accepted" in shop.run("status", **other).out
    story = shop.run("trace", "o-7", **other)
    assert f"batch {BATCH}: orders at in/orders.csv:9, accepted" in story.out
    certificate = f"s3://shop/{REPORTS}/certificate.json"
    checked = shop.run("reconcile", "--verify", certificate, batch=None, **other)
    assert checked.code == 0, checked.said
    assert "Right: all" in checked.out

    reconciled = shop.run("reconcile", **other)
    assert reconciled.code == 0, reconciled.said
    again = shop.run("run", **machine(s3, postgres, tmp_path, "third"))
    assert again.code == 0, again.said
    assert sandbox.counts()["orders"] == COUNT
    summary = json.loads((s3.bucket / REPORTS / "summary.json").read_text(encoding="utf-8"))
    assert summary["plan"]["unchanged"] == COUNT
    # Nothing of it stands in the merchant's own folder.
    assert {path.name for path in shop.folder.iterdir()} == {"in", "loader.yaml"}
