"""erase and purge of batches that are kept in a bucket, with the ledger on PostgreSQL; wherever the process dies.

Loaded by the command through a real S3 server. Each test then has the bucket's content in a fake one that can die after so many
changes; `CORSO_SCRATCH` of its own is another machine.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from corso.errors import Stopped
from corso.settings import Settings, read_settings
from corso.stages import keeping
from corso.stages.batch import Batch
from corso.stages.erasing import erase
from corso.stages.erasures import Erasure
from corso.stages.purging import purge
from corso.stages.verifying import read_certificate, verify
from tests.fake_bucket import FakeBucket
from tests.ledger_places import url_of
from tests.loader_process import BATCH, STORE_ID, Shop
from tests.parrot_corso import parrot_corso
from tests.planted import (
    customer_id,
    email,
    files_below,
    found_in,
    planted_fulfillments,
    planted_lines,
    planted_orders,
    texts_in,
    texts_of,
    values_of,
)
from tests.postgres_server import PostgresServer
from tests.s3_server import s3_server

pytestmark = pytest.mark.long

THEIRS = 7
NOW = datetime(2026, 12, 1, tzinfo=UTC)
ORPHAN = f"{STORE_ID}/{BATCH}/tables/00000001-00001-dead00/raw_orders.parquet"
"""An object that a killed process put, and no manifest names."""


@dataclass
class Kept:
    """A loaded batch in a bucket."""

    shop: Shop
    content: dict[str, bytes]
    """Name -> content of the objects below the workdir's address."""
    environment: dict[str, str]


@pytest.fixture(scope="module")
def kept(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """Load a batch, erase one customer of it by the command, and keep what the bucket has then."""
    folder = tmp_path_factory.mktemp("forgetting")
    with parrot_corso() as corso, s3_server() as s3:
        shop = Shop(folder / "shop")
        shop.export(planted_orders(), planted_lines(), planted_fulfillments())
        extra = (
            "workdir: s3://shop/work\nupload: {max_rejected: 1.0, canary: 0, listing_delay_s: 0.1}\n"
            "validation: {max_quarantined: 0.9}\nlimits: {outage_s: 1, requests_per_second: 500}\n"
            "report: {personal_data: show}"
        )
        shop.configure(extra, base_url=f"{corso.url}/v1", token_url=f"{corso.url}/oauth/token")
        environment = {**s3.environment, "CORSO_LEDGER_URL": url_of(postgres, folder)}
        loaded = shop.run("run", CORSO_SCRATCH=str(folder / "first"), **environment)
        assert loaded.code == 1, loaded.said
        answer = shop.run(
            "erase", email(8), "--yes", batch=None, CORSO_SCRATCH=str(folder / "second"), **environment
        )
        assert answer.code == 0, answer.said
        assert "in/orders.csv, line 9: the merchant's export; a later load" in answer.out
        assert "old versions of objects" in answer.out
        work = s3.bucket / "work"
        content = {path.relative_to(work).as_posix(): path.read_bytes() for path in files_below(work)}
        yield Kept(shop, content, environment)


@dataclass
class Machines:
    """The bucket, and machines that work on it one after the other."""

    kept: Kept
    bucket: FakeBucket
    begin: Callable[[], Settings]
    """Begin on a machine that has nothing yet."""

    def values_there(self, *values: str) -> dict[str, list[str]]:
        """Return which objects hold one of these values."""
        found = {}
        for name, content in self.bucket.content.items():
            texts = list(texts_in(content))
            if hits := [value for value in values for text in texts if value.casefold() in text.casefold()]:
                found[name] = hits
        return found

    def wrong(self) -> list[str]:
        """Return the statements of the certificate that do not hold, as another machine finds them."""
        settings = self.begin()
        path = Batch(settings, BATCH).file("certificate.json")
        lines = verify(read_certificate(path, settings), settings)
        return [f"{line.what}: {line.certified} {line.found}" for line in lines if not line.is_right]


@pytest.fixture
def machines(kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machines:
    """Return machines before a bucket that has what was loaded."""
    for name, value in kept.environment.items():
        monkeypatch.setenv(name, value)
    bucket = FakeBucket()
    monkeypatch.setattr(keeping, "bucket_at", lambda _address: bucket.as_bucket())
    begun = iter(range(1_000))

    def begin() -> Settings:
        monkeypatch.setenv("CORSO_SCRATCH", str(tmp_path / f"machine-{next(begun)}"))
        return read_settings(kept.shop.config)

    machines = Machines(kept, bucket, begin)
    fill(machines)
    return machines


def fill(machines: Machines) -> None:
    """Give the bucket what was loaded, and what a killed process left."""
    bucket = machines.bucket
    bucket.content.clear()
    bucket.dies_after, bucket.changes = None, 0
    for name, content in machines.kept.content.items():
        bucket.write(name, content)
    bucket.write(
        ORPHAN, next(c for n, c in machines.kept.content.items() if n.endswith("/raw_orders.parquet"))
    )


def erase_some(settings: Settings, *customers: str) -> None:
    """Erase customers on a machine that has no history of Dagster's."""
    erase(settings, customers, NOW, history=settings.home / "none", dry_run=False)


def test_a_customer_erased_by_the_command_is_in_no_object_and_in_no_row_of_the_ledger(
    machines: Machines, postgres: PostgresServer
) -> None:
    """Superseded tables, the workbook, the page: gone; the rest still ties, and others are as they were."""
    machines.bucket.content.pop(ORPHAN)
    assert not machines.values_there(*values_of(8))
    assert machines.values_there(*values_of(THEIRS))
    assert not machines.wrong()
    schema = machines.kept.environment["CORSO_LEDGER_URL"].rpartition("%3D")[2]
    for table in ("entries", "attempts"):
        rows = postgres.execute(f"SELECT * FROM {schema}.{table}")
        assert rows
        assert not found_in(str(rows))


def test_an_erasure_that_was_killed_anywhere_leaves_a_right_certificate_and_is_finished_by_the_next(
    machines: Machines,
) -> None:
    """After every change of the bucket but those between two deletions; by another machine, about nobody it knows."""
    points = 0
    for dies_after in range(0, 500, 3):
        fill(machines)
        machines.bucket.dies_after = dies_after
        with suppress(Stopped):
            erase_some(machines.begin(), email(THEIRS))
        is_over = machines.bucket.dies_after != 0
        machines.bucket.dies_after = None
        assert not machines.wrong(), dies_after
        if dies_after == 0:
            # Nothing is known of it.
            erase_some(machines.begin(), email(THEIRS))
        erase_some(machines.begin(), "nobody@example.com")
        assert not machines.values_there(*values_of(THEIRS)), dies_after
        assert not machines.wrong(), dies_after
        erasures = json.loads(machines.bucket.content[f"{STORE_ID}/erasures.json"])
        assert [Erasure.model_validate(each).is_done for each in erasures] == [True, True]
        points += 1
        if is_over:
            break
    assert points > 5


def test_a_purge_that_was_killed_anywhere_is_finished_by_the_next(machines: Machines) -> None:
    """What is not wholly purged, or of which a superseded table is left, is purged again; what is, is not."""
    later = datetime.now(UTC) + timedelta(days=100)
    points = 0
    for dies_after in range(0, 500, 4):
        fill(machines)
        machines.bucket.dies_after = dies_after
        with suppress(Stopped):
            purge(machines.begin(), timedelta(days=90), later, dry_run=False)
        is_over = machines.bucket.dies_after != 0
        machines.bucket.dies_after = None
        assert not machines.wrong(), dies_after
        again = purge(machines.begin(), timedelta(days=90), later, dry_run=False)
        assert not (is_over and again)
        assert not purge(machines.begin(), timedelta(days=90), later, dry_run=False), dies_after
        hits = {n: h for n, c in machines.bucket.content.items() for t in texts_in(c) if (h := found_in(t))}
        assert not hits, (dies_after, hits)
        assert not machines.wrong(), dies_after
        points += 1
        if is_over:
            break
    assert points > 5


def test_a_machine_s_idle_copies_are_taken_away_and_a_look_fetches_what_it_needs(
    machines: Machines, tmp_path: Path
) -> None:
    """A copy that a process uses stays; a look at ages fetches no tables."""
    settings = machines.begin()
    assert settings.kept_in is not None
    machine = settings.kept_in.machine_folder()
    purge(settings, timedelta(days=90), datetime.now(UTC), dry_run=True)
    assert not [name for name in machines.bucket.fetched if name.endswith("/raw_orders.parquet")]
    idle = machine / "copy-7" / str(STORE_ID) / BATCH
    idle.mkdir(parents=True)
    (idle / "results.csv").write_text(email(THEIRS), encoding="utf-8")
    erase_some(settings, customer_id(THEIRS))
    hits = [str(path) for path in files_below(machine) for text in texts_of(path) if email(THEIRS) in text]
    assert not hits
    assert settings.workdir.exists()
    assert tmp_path in machine.parents
