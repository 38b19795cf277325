"""Runs a profile over its sample in data/samples, and over a real export where one lies beside the project.

The whole way through mapping and validation, as a batch goes it, without Dagster and without buckets.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from export_factories import collected

from corso.extract.fallbacks import read_fallbacks
from corso.extract.files import ExportFile, find_exports
from corso.extract.mapping import Mapped, map_roles
from corso.extract.profile import Profile, TableName, load_profile
from corso.extract.roles import read_roles
from corso.extract.validate import Checked, check_part
from corso.settings import Store, read_settings

PROJECT = Path(__file__).resolve().parents[1]
SAMPLES = PROJECT / "data" / "samples"
EXAMPLES = PROJECT.parent / "shared" / "examples"

needs_examples = pytest.mark.skipif(
    not EXAMPLES.is_dir(), reason="the real exports (../shared/examples) are not here"
)
STORE = Store(id=9359, time_zone="America/New_York", currency="USD", fulfillment_locations={"default": 12})


@dataclass(frozen=True)
class Loaded:
    """What became of an export."""

    profile: Profile
    raw: Mapping[TableName, pl.DataFrame]
    checked: Checked

    @property
    def accepted_orders(self) -> list[str]:
        """The ids of the accepted orders, in their order."""
        return self.checked.accepted["orders"]["source_order_id"].to_list()

    def order(self, source_order_id: str) -> dict[str, Any]:
        """Return one accepted order's columns that have a value."""
        rows = self.checked.accepted["orders"].filter(source_order_id=source_order_id)
        assert len(rows) == 1, source_order_id
        return {name: value for name, value in rows.row(0, named=True).items() if value is not None}

    def lines(self, source_order_id: str, *columns: str) -> list[tuple[Any, ...]]:
        """Return these columns of an accepted order's line items."""
        return self._rows("line_items", source_order_id, columns)

    def fulfillments(self, source_order_id: str, *columns: str) -> list[tuple[Any, ...]]:
        """Return these columns of an accepted order's fulfillments."""
        return self._rows("fulfillments", source_order_id, columns)

    def _rows(
        self, table: TableName, source_order_id: str, columns: tuple[str, ...]
    ) -> list[tuple[Any, ...]]:
        rows = self.checked.accepted[table].filter(source_order_id=source_order_id)
        return rows.select(columns).rows()

    def money(self, source_order_id: str) -> tuple[Decimal, Decimal, Decimal, Decimal]:
        """Return an accepted order's subtotal, shipping, tax and total, of which the last is the sum."""
        order = self.order(source_order_id)
        subtotal, shipping, tax, total = (
            order[f"{part}_money"] for part in ("subtotal", "shipping", "tax", "total")
        )
        assert subtotal + shipping + tax == total
        return subtotal, shipping, tax, total

    def problems(self) -> set[tuple[str | None, str, str | None]]:
        """Return (order, broken rule, column) of everything that is quarantined for a reason of its own."""
        return {
            (order, problem["rule"], problem["column"])
            for order, problems in self.checked.quarantine.select("source_order_id", "problems").iter_rows()
            for problem in problems
        }

    def moved(self) -> dict[tuple[str, str, str], Decimal]:
        """Return (kind, into, currency) -> the amount that was moved in accepted orders."""
        rows = self.checked.moved.select("kind", "into", "currency", "amount").iter_rows()
        return {(kind, into, currency): amount for kind, into, currency, amount in rows}

    def uses(self) -> dict[str, int]:
        """Return fallback -> how many accepted orders needed it."""
        return {use.fallback: use.orders for use in self.checked.fallbacks_used if use.orders}

    def lines_read(self, name: str) -> set[int]:
        """Return the lines of one file that stand in a raw table."""
        tables = [frame.filter(pl.col("file").str.ends_with(name))["line"] for frame in self.raw.values()]
        return set(pl.concat(tables))


def load_sample(name: str, scratch: Path, settings: str = "loader.yaml") -> Loaded:
    """Run data/samples/<name>, as its loader.yaml (or another file like it) says."""
    read = read_settings(SAMPLES / name / settings)
    loader = read.loader
    profile = load_profile(loader.exports.profile, read.home)
    files = find_exports(read, "sample")
    raw = map_roles(profile, read_roles(profile, files, scratch, loader.exports.forms))
    return _checked(profile, raw, loader.store, loader.fallbacks)


def load_example(
    profile: str,
    roles: Mapping[str, str],
    scratch: Path,
    *,
    fallbacks: Mapping[str, Any] | None = None,
    forms: Mapping[str, Mapping[str, Any]] | None = None,
    store: Store = STORE,
) -> Loaded:
    """Run files of the real exports; `roles`: file role -> path below EXAMPLES."""
    own = load_profile(profile, PROJECT)
    files = {role: [ExportFile(EXAMPLES / path, path)] for role, path in roles.items()}
    raw = map_roles(own, read_roles(own, files, scratch, forms or {}))
    return _checked(own, raw, store, fallbacks or {})


def _checked(
    profile: Profile, mapped: Mapping[TableName, Mapped], store: Store, fallbacks: Mapping[str, Any]
) -> Loaded:
    raw = collected(mapped)
    checked = check_part(raw, store, read_fallbacks(fallbacks), profile.money)
    return Loaded(profile, raw, checked)


def records(path: Path, delimiter: str = ",") -> int:
    """Return how many records a CSV file has, its header and what describes the columns among them."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return sum(1 for record in csv.reader(stream, delimiter=delimiter) if any(record))
