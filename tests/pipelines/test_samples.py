"""The samples are what they say: validation makes of them exactly what their maker expects."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from export_factories import loader_settings

from corso.settings import Settings, read_settings
from corso.stages import preparing
from corso.stages.batch import Batch
from pipelines.samples import BAD_WAYS, write_samples

EXPORTS = 'orders: "orders*", line_items: line_items.parquet, fulfillments: fulfillments.csv'
HAND_WRITTEN = Path(__file__).parents[2] / "data" / "samples"


@dataclass(frozen=True)
class Prepared:
    """What extract, validate and plan made of an export."""

    accepted: dict[str, pl.DataFrame]
    quarantine: pl.DataFrame
    plan: pl.DataFrame
    fallbacks_used: dict[str, int]


def prepared(settings: Settings) -> Prepared:
    """Run everything that comes before the first request."""
    batch = Batch(settings, "samples")
    with batch.scratch() as scratch:
        raw = {
            name: pl.scan_parquet(path) for name, path in preparing.extract(batch, scratch / "read").items()
        }
        validated = preparing.validate(batch, raw, scratch / "validated")
        plan = preparing.plan(batch, validated.accepted, scratch / "planned")
        return Prepared(
            {name: pl.read_parquet(folder) for name, folder in validated.accepted.items()},
            validated.quarantine.collect(),
            pl.read_parquet(plan),
            {use.fallback: use.values for use in batch.read_facts().fallbacks_used},
        )


@pytest.mark.slow
@pytest.mark.parametrize("orders", [1, 2, 60, 700])
def test_validation_makes_of_the_samples_what_their_maker_expects(tmp_path: Path, orders: int) -> None:
    """Accepted, quarantined and repeated rows, to the row and to the id."""
    samples = write_samples(tmp_path, orders)
    found = prepared(loader_settings(tmp_path, EXPORTS))
    assert {name: table.height for name, table in found.accepted.items()} == {
        "orders": samples.accepted_orders,
        "line_items": samples.accepted_line_items,
        "fulfillments": samples.accepted_fulfillments,
    }
    assert found.quarantine.filter(kind="repeated").height == samples.repeated_rows
    quarantined = set(found.quarantine.filter(kind="quarantined")["source_order_id"])
    bad = {each for ids in samples.bad_orders.values() for each in ids}
    assert quarantined == bad | set(samples.orphans)
    rows = found.quarantine.group_by("table").len()
    counts = dict(rows.iter_rows())
    assert samples.order_rows == samples.accepted_orders + counts.get("orders", 0)
    assert samples.line_items == samples.accepted_line_items + counts.get("line_items", 0)
    assert samples.fulfillments == samples.accepted_fulfillments + counts.get("fulfillments", 0)


RULES = {
    "total_does_not_add_up": "money_adds_up",
    "money_cannot_be_read": "total_money_can_be_read",
    "city_is_missing": "shipping_address_city_is_there",
    "phone_is_destroyed": "phone_is_e164",
    "country_is_unknown": "country_code_is_iso",
    "order_has_no_lines": "order_has_line_items",
    "order_stands_twice_and_differs": "source_order_id_is_unique",
    "line_has_no_sku": "sku_is_there",
    "date_is_impossible": "source_created_on_can_be_read",
}


@pytest.mark.slow
def test_each_bad_order_is_bad_in_its_one_way(tmp_path: Path) -> None:
    """So that a test or a reader of the report can tell which rule caught it."""
    samples = write_samples(tmp_path, 700)
    quarantine = prepared(loader_settings(tmp_path, EXPORTS)).quarantine
    assert RULES.keys() == set(BAD_WAYS)
    for way, ids in samples.bad_orders.items():
        rows = quarantine.filter(pl.col("source_order_id").is_in(list(ids)))
        problems = {problem["rule"] for row in rows["problems"] for problem in row}
        assert problems == {RULES[way]}, way
        assert ids


@pytest.mark.parametrize("orders", [1, 39, 40, 359, 360, 499, 500, 2000])
def test_few_enough_are_bad_and_from_360_orders_on_every_way_is_there(tmp_path: Path, orders: int) -> None:
    """The default limit of 5 % holds at every size."""
    samples = write_samples(tmp_path, orders)
    assert samples.quarantined_orders < 0.03 * orders
    assert samples.accepted_orders + samples.quarantined_orders == orders
    if orders >= 360:
        assert all(samples.bad_orders.values())
        assert samples.repeated_rows
        assert samples.orphans


def bytes_of(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file's bytes."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_the_same_seed_gives_the_same_files_and_another_gives_others(tmp_path: Path) -> None:
    """A benchmark or a test that is run again is run on the same orders."""
    for folder, seed in (("one", 1), ("again", 1), ("other", 2)):
        write_samples(tmp_path / folder, 50, seed)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "again")
    assert not bytes_of(tmp_path / "one").items() & bytes_of(tmp_path / "other").items()


def test_the_samples_hold_what_real_exports_hold(tmp_path: Path) -> None:
    """Countries, currencies, guests, cancellations, hostile notes and times of every spelling."""
    write_samples(tmp_path, 2000)
    orders = pl.concat(
        pl.read_csv(tmp_path / name, infer_schema=False) for name in ("orders-1.csv", "orders-2.csv.gz")
    )
    assert set(orders["billing_address_country_code"]) == {"US", "CA", "GB", "DE"}
    assert set(orders["customer_currency_code"]) == {"USD", "EUR"}
    created = orders["source_created_on"]
    for spelling in ("Z$", r"T.*[+-]\d\d:\d\d$", r" [+-]\d{4}$", r"^[\d-]+ [\d:]+$"):
        assert created.str.contains(spelling).any(), spelling
    assert 0.005 < orders["customer_email"].null_count() / orders.height < 0.02
    assert orders["source_canceled_on"].count() == orders["canceled_reason"].count() > 10
    notes = orders["notes"].drop_nulls()
    for text in ("=cmd()", '"', "🔔", "ü", "<b>", ","):
        assert notes.str.contains(text, literal=True).any(), text
    lines = pl.read_parquet(tmp_path / "line_items.parquet")
    assert lines["options"].count() > 0
    fulfilled = pl.read_csv(tmp_path / "fulfillments.csv", infer_schema=False)["source_order_id"]
    assert 0.6 < fulfilled.n_unique() / 2000 < 0.75
    assert fulfilled.is_duplicated().any()


def test_the_money_of_lines_and_orders_adds_up_to_the_cent(tmp_path: Path) -> None:
    """Goods and tax of an order are the exact sums of its lines."""
    samples = write_samples(tmp_path, 500)
    bad = [each for ids in samples.bad_orders.values() for each in ids]
    money = pl.Decimal(12, 2)
    orders = pl.concat(
        pl.read_csv(tmp_path / name, infer_schema=False) for name in ("orders-1.csv", "orders-2.csv.gz")
    ).filter(~pl.col("source_order_id").is_in(bad))
    sums = (
        pl.read_parquet(tmp_path / "line_items.parquet")
        .group_by("source_order_id")
        .agg(goods=(pl.col("price") * pl.col("quantity")).sum(), line_tax=pl.col("tax").sum())
    )
    joined = orders.join(sums, on="source_order_id")
    assert joined.height == orders.height
    differing = joined.filter(
        (pl.col("subtotal_money").cast(money) != pl.col("goods"))
        | (pl.col("tax_money").cast(money) != pl.col("line_tax"))
    )
    assert differing.is_empty()


def test_an_export_of_nothing_is_refused(tmp_path: Path) -> None:
    """It would be a broken export, and nobody asked for one."""
    with pytest.raises(ValueError, match="at least one order"):
        write_samples(tmp_path, 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "accepted", "quarantined"),
    [("canonical", (12, 16, 9), 0), ("shopify", (5, 8, 3), 1)],
)
def test_the_hand_written_samples_are_what_their_readme_says(
    tmp_path: Path, name: str, accepted: tuple[int, int, int], quarantined: int
) -> None:
    """They are the first thing that a newcomer tries."""
    folder = Path(shutil.copytree(HAND_WRITTEN / name, tmp_path / name))
    found = prepared(read_settings(folder / "loader.yaml"))
    assert tuple(table.height for table in found.accepted.values()) == accepted
    assert found.quarantine.filter(table="orders").height == quarantined
    assert all(found.fallbacks_used.values())
