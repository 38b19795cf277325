"""erase and purge: personal data goes, what counts and what ties stays, and can be checked again."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from corso.delivery.batch_lock import Run
from corso.delivery.ledger import Ledger
from corso.delivery.states import State
from corso.errors import LedgerInUse, UsageError
from corso.settings import Settings, read_settings
from corso.stages.batch import Batch
from corso.stages.blanking import Blanking
from corso.stages.erasing import erase
from corso.stages.erasures import read_erasures
from corso.stages.purging import purge
from corso.stages.verifying import Line, read_certificate, verify
from tests.loader_process import BATCH, Shop
from tests.parrot_corso import parrot_corso
from tests.planted import (
    ORDERS,
    customer_id,
    email,
    files_below,
    found_in,
    planted_fulfillments,
    planted_lines,
    planted_orders,
    texts_of,
    values_of,
    word,
)

pytestmark = pytest.mark.slow

NOW = datetime(2026, 12, 1, tzinfo=UTC)
THEIRS = 7
"""The order of the customer who is erased."""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop whose batch was loaded and reconciled, and whose Corso goes on."""
    with parrot_corso() as corso:
        shop = Shop(tmp_path_factory.mktemp("forgetting") / "shop")
        shop.export(planted_orders(), planted_lines(), planted_fulfillments())
        extra = (
            "upload: {max_rejected: 1.0, canary: 0, listing_delay_s: 0.1}\nvalidation: {max_quarantined: 0.9}\n"
            "limits: {outage_s: 1, requests_per_second: 500}\nreport: {personal_data: show}"
        )
        shop.configure(extra, base_url=f"{corso.url}/v1", token_url=f"{corso.url}/oauth/token")
        answer = shop.run("run")
        assert answer.code == 1, answer.said
        # Corso's record of another customer's order is not as it was sent.
        (record,) = [each for each in corso.orders.values() if each["sourceOrderId"] == "o-8"]
        record["customer"]["firstName"] = "Another"
        answer = shop.run("reconcile")
        assert answer.code == 1, answer.said
        yield shop


@pytest.fixture
def shop(loaded: Shop, tmp_path: Path) -> Shop:
    """A copy of it."""
    shutil.copytree(loaded.folder, tmp_path / "shop")
    return Shop(tmp_path / "shop")


def settings_of(shop: Shop) -> Settings:
    """Read its loader.yaml."""
    return read_settings(shop.config)


def history(shop: Shop) -> Path:
    """Return where Dagster keeps its own."""
    return shop.folder / "work" / "dagster"


def lines_of(shop: Shop) -> list[Line]:
    """Check the certificate again."""
    path = shop.reports() / "certificate.json"
    return list(verify(read_certificate(path, settings_of(shop)), settings_of(shop)))


def still_there(shop: Shop, *values: str) -> dict[str, list[str]]:
    """Return which files of the workdir hold one of these values."""
    found: dict[str, list[str]] = {}
    for path in files_below(shop.folder / "work"):
        hits = [value for text in texts_of(path) for value in values if value.casefold() in text.casefold()]
        if hits:
            found[str(path.relative_to(shop.folder))] = hits
    return found


def contents(shop: Shop) -> dict[str, bytes]:
    """Return every file of the workdir but locks, which say who had them last."""
    files = files_below(shop.folder / "work")
    return {
        str(path): path.read_bytes() for path in files if path.name not in {".lock", ".steps", "ledger.lock"}
    }


def test_an_erased_customer_is_nowhere_and_everything_still_ties(shop: Shop) -> None:
    """Tables, reports, page, payloads, ledger; the certificate holds by its amendments; the others' rows are as they were."""
    assert still_there(shop, *values_of(THEIRS))
    before = {
        name: (shop.reports() / name).read_text(encoding="utf-8")
        for name in ("results.csv", "quarantine.csv")
    }
    answer = shop.run("erase", f" {email(THEIRS).upper()} ", "--yes", batch=None)
    assert answer.code == 0, answer.said
    assert not still_there(shop, *values_of(THEIRS))
    assert not (shop.reports() / "reconciliation.html").exists()
    assert "in/orders.csv" in answer.out
    assert "Corso itself" in answer.out
    lines = lines_of(shop)
    assert all(line.is_right for line in lines), [line for line in lines if not line.is_right]
    assert not any(line.gone for line in lines)
    after = (shop.reports() / "results.csv").read_text(encoding="utf-8")
    changed = [
        (old, new)
        for old, new in zip(before["results.csv"].splitlines(), after.splitlines(), strict=True)
        if old != new
    ]
    assert [new.split(",")[0] for _, new in changed] == [f"o-{THEIRS}"]
    assert (shop.reports() / "quarantine.csv").read_text(encoding="utf-8") == before["quarantine.csv"]
    assert still_there(shop, *values_of(THEIRS + 1))


def test_a_difference_to_corso_stays_one(shop: Shop) -> None:
    """The order was different before, and is when it is compared again, though nobody knows from what to what."""
    assert shop.summary()["reconciliation"]["different"] == 1
    erase(settings_of(shop), [email(8)], NOW, history=history(shop), dry_run=False)
    lines = lines_of(shop)
    assert all(line.is_right for line in lines), [line for line in lines if not line.is_right]


@pytest.mark.parametrize("number", [ORDERS, ORDERS - 1])
def test_a_quarantined_customer_is_found_by_id_and_address(shop: Shop, number: int) -> None:
    """Also where the order was never accepted; several customers come from standard input, never by argv."""
    customers = shop.folder / "customers.txt"
    customers.write_text(f"# by request\n\n{customer_id(number)}\n", encoding="utf-8")
    answer = shop.run("erase", "--file", str(customers), "--yes", "--json", batch=None)
    assert answer.code == 0, answer.said
    assert json.loads(answer.out)["orders"] == 1
    assert not still_there(shop, *values_of(number), word("date", number))
    assert all(line.is_right for line in lines_of(shop))


def test_a_dry_run_and_a_customer_that_nobody_knows_change_nothing(shop: Shop) -> None:
    """It names the files that would be rewritten."""
    before = contents(shop)
    said = erase(settings_of(shop), [email(THEIRS)], NOW, history=history(shop), dry_run=True)
    assert "results.csv" in said.batches[BATCH]
    line = THEIRS + 1
    assert said.exports == {f"in/{name}.csv": [line] for name in ("fulfillments", "line_items", "orders")}
    assert (
        f"in/orders.csv, line {line}: the merchant's export; a later load of it brings the data back"
        in said.left
    )
    (shop.exports / "orders.csv").unlink()
    with (shop.exports / "line_items.csv").open("a", encoding="utf-8") as file:
        file.write("\n")
    said = erase(settings_of(shop), [email(THEIRS)], NOW, history=history(shop), dry_run=True)
    assert [sentence.partition(": ")[2].partition(", ")[2] for sentence in said.left[:3]] == [
        "",
        "changed since it was loaded: these lines may be others now",
        "not there any more; look where it was moved to",
    ]
    nobody = erase(
        settings_of(shop), ["nobody@example.com", "c-404"], NOW, history=history(shop), dry_run=False
    )
    assert (nobody.orders, nobody.batches) == (0, {})
    answer = shop.run("erase", email(THEIRS), batch=None)
    assert (answer.code, "say --yes" in answer.sentence) == (2, True)
    assert contents(shop) == before


@pytest.mark.parametrize("dies_after", range(0, 14, 3))
def test_an_erasure_that_was_killed_is_finished_by_the_next(
    shop: Shop, dies_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it was, also between a file's amendment and the file; by whomever it is started."""
    left = dies_after
    amend = Blanking._amend

    def amend_or_die(self: Blanking, path: Path, draft: Path | None) -> None:
        nonlocal left
        amend(self, path, draft)
        left -= 1
        if left < 0:
            message = "killed"
            raise KeyboardInterrupt(message)

    with monkeypatch.context() as patched:
        patched.setattr(Blanking, "_amend", amend_or_die)
        with pytest.raises(KeyboardInterrupt):
            erase(settings_of(shop), [email(THEIRS)], NOW, history=history(shop), dry_run=False)
    killed = lines_of(shop)
    assert all(line.is_right for line in killed), [line for line in killed if not line.is_right]
    assert sum("has not reached: run that again" in line.what for line in killed) <= 1
    erase(settings_of(shop), ["nobody@example.com"], NOW, history=history(shop), dry_run=False)
    assert not still_there(shop, *values_of(THEIRS))
    assert [each.is_done for each in read_erasures(settings_of(shop))] == [True]
    assert all(line.is_right for line in lines_of(shop)), [
        line for line in lines_of(shop) if not line.is_right
    ]


def test_what_is_changed_after_an_erasure_is_told_from_it(shop: Shop) -> None:
    """An amendment is no licence: the hash that it leads to has to be there."""
    erase(settings_of(shop), [email(THEIRS)], NOW, history=history(shop), dry_run=False)
    path = shop.reports() / "results.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("created", "matched", 1), encoding="utf-8")
    wrong = [line.what for line in lines_of(shop) if not line.is_right]
    assert any(what.startswith("output results.csv") for what in wrong)


def test_nothing_is_erased_while_a_loader_is_at_work_or_an_order_in_doubt(shop: Shop) -> None:
    """What was sent is needed to find out whether it arrived."""
    settings = settings_of(shop)
    before = contents(shop)
    with Batch(settings, BATCH).lock().held(Run("another")), pytest.raises(LedgerInUse):
        erase(settings, [email(THEIRS)], NOW, history=history(shop), dry_run=False)
    with Ledger.open(settings.ledger, settings.loader.store.id) as ledger:
        assert next(ledger.entries(states=[State.ACCEPTED]))
        with pytest.raises(LedgerInUse):
            erase(settings, [email(THEIRS)], NOW, history=history(shop), dry_run=False)
    _doubt(settings)
    with pytest.raises(UsageError, match="in doubt"):
        erase(settings, [email(THEIRS)], NOW, history=history(shop), dry_run=False)
    after = contents(shop)
    assert all(after[name] == before[name] for name in before if "ledger" not in name)


def _doubt(settings: Settings) -> None:
    import sqlite3  # noqa: PLC0415

    assert isinstance(settings.ledger, Path)
    with sqlite3.connect(settings.ledger) as connection:
        connection.execute("UPDATE entries SET state = 'unknown' WHERE source_order_id = ?", [f"o-{THEIRS}"])
    connection.close()


def test_what_corso_still_has_does_not_come_back_and_an_export_that_has_it_says_so(
    loaded: Shop, tmp_path: Path
) -> None:
    """Reconciled again, the erased order stays matched and blank; planned again, its export brings the data back, and a note."""
    shop = Shop(shutil.copytree(loaded.folder, tmp_path / "shop"))
    matched = shop.summary()["reconciliation"]["matched"]
    erase(settings_of(shop), [email(THEIRS)], NOW, history=history(shop), dry_run=False)
    answer = shop.run("reconcile")
    assert answer.code == 1, answer.said
    assert shop.summary()["reconciliation"]["matched"] == matched
    assert not still_there(shop, *values_of(THEIRS))
    answer = shop.run("plan", "--offline")
    assert "1 order of an erased customer is in the export again" in answer.out
    assert shop.summary()["plan"]["unchanged"] == ORDERS - 2 - 4
    assert still_there(shop, email(THEIRS))


def test_a_load_that_brings_an_erased_customer_back_compares_equal_and_still_finds_what_differs(
    loaded: Shop, tmp_path: Path
) -> None:
    """Corso's side is blank and the export's is not: that is no difference; another total is one, and the proof holds."""
    shop = Shop(shutil.copytree(loaded.folder, tmp_path / "shop"))
    before = shop.summary()["reconciliation"]
    erase(settings_of(shop), [email(THEIRS)], NOW, history=history(shop), dry_run=False)
    shop.run("plan", "--offline")
    shop.run("reconcile")
    assert shop.summary()["reconciliation"] == before
    assert still_there(shop, email(THEIRS))
    assert all(line.is_right for line in lines_of(shop)), [
        line for line in lines_of(shop) if not line.is_right
    ]
    theirs, total = pl.col("source_order_id") == f"o-{THEIRS}", pl.col("total_money")
    for part in Batch(settings_of(shop), BATCH).table("accepted_orders").glob("*.parquet"):
        changed = pl.read_parquet(part).with_columns(pl.when(theirs).then(total + 1).otherwise(total))
        changed.write_parquet(part)
    shop.run("reconcile")
    found = pl.read_parquet(shop.reports() / "reconciliation.parquet").filter(theirs, kind="different")
    assert found["field"].to_list() == ["total_money"]


def test_a_purged_batch_has_nobody_in_it_and_everything_still_ties(shop: Shop) -> None:
    """Of its files some are gone; certificate, page, status and later batches work on; it is purged once."""
    settings = settings_of(shop)
    assert purge(settings, timedelta(days=90), datetime.now(UTC), dry_run=False) == []
    old = time.time() - 91 * 86_400
    for path in (shop.reports() / "summary.json", shop.reports() / "tables" / "facts.json"):
        os.utime(path, (old, old))
    before = contents(shop)
    answer = shop.run("purge", "--older-than", "90d", "--dry-run", batch=None)
    assert (answer.code, contents(shop)) == (0, before), answer.said
    answer = shop.run("purge", "--older-than", "90d", batch=None)
    assert answer.code == 0, answer.said
    hits = {
        str(path): found
        for path in files_below(shop.folder / "work")
        for text in texts_of(path)
        if (found := found_in(text))
    }
    assert not hits
    lines = lines_of(shop)
    assert all(line.is_right for line in lines), [line for line in lines if not line.is_right]
    rows = shop.table("results")
    assert {row["source_order_id"] for row in rows} == {f"o-{number}" for number in range(1, ORDERS + 1)}
    assert sum(row["outcome"] == "quarantined" for row in rows) == 2
    assert purge(settings, timedelta(days=90), datetime.now(UTC), dry_run=False) == []
    answer = shop.run("reconcile")
    assert (answer.code, "was purged" in answer.sentence) == (2, True)
    assert shop.states()["orders"]["accepted"]


def test_the_exports_of_a_purged_batch_are_named_as_not_searched(shop: Shop) -> None:
    """Nothing tells any more which of their lines are whose; a file that is gone is not named."""
    settings = settings_of(shop)
    purge(settings, timedelta(0), datetime.now(UTC), dry_run=False)
    (shop.exports / "line_items.csv").unlink()
    said = erase(settings, [email(THEIRS)], NOW, history=history(shop), dry_run=True)
    assert (said.orders, said.exports) == (0, {})
    assert said.left[0] == (
        f"in/orders.csv, in/fulfillments.csv: not searched: batch {BATCH} keeps no rows of them any more; "
        "`corso-loader plan` reads them again"
    )


@pytest.mark.parametrize("age", ["90", "d", "-1d", "3 fortnights", ""])
def test_an_age_that_is_none_is_refused(shop: Shop, age: str) -> None:
    """Exit code 2."""
    answer = shop.run("purge", f"--older-than={age}", batch=None)
    assert (answer.code, "is no age" in answer.sentence) == (2, True)
