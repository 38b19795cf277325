"""Makes exports as a merchant's files hold them, all of it text, and runs them through validation.

A test says only what matters to it: every row is good until it says otherwise, and fits its order.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as cs

from corso.extract.fallbacks import read_fallbacks
from corso.extract.files import ExportFile
from corso.extract.mapping import Mapped, map_roles
from corso.extract.profile import TABLES, Profile, TableName, load_profile
from corso.extract.roles import read_roles
from corso.extract.validate import Checked, check_part
from corso.settings import Settings, Store, read_settings
from schemas.raw import ORIGINAL, original_struct

STORE = Store(id=9359, time_zone="America/New_York", currency="USD")
Row = dict[str, str | None]


def order_text(number: int = 1, **changes: str | None) -> Row:
    """Return a good row of orders.csv: 20.00 goods + 5.00 shipping + 2.00 tax."""
    row: Row = {
        "source_order_id": f"o-{number}",
        "order_name": f"#{1000 + number}",
        "source_created_on": "2026-11-20T12:30:00-05:00",
        "customer_source_customer_id": f"c-{number}",
        "customer_first_name": "Ann",
        "customer_last_name": "Lee",
        "customer_email": f"ann.{number}@example.com",
        "subtotal_money": "20.00",
        "shipping_money": "5.00",
        "tax_money": "2.00",
        "total_money": "27.00",
        "customer_currency_code": "USD",
    }
    for which in ("billing", "shipping"):
        row |= {
            f"{which}_address_line1": f"{number} Main St",
            f"{which}_address_city": "Springfield",
            f"{which}_address_state_or_province_code": "MA",
            f"{which}_address_postal_code": "02101",
            f"{which}_address_country_code": "US",
        }
    return row | changes


def line_text(number: int = 1, line: int = 1, **changes: str | None) -> Row:
    """Return a good row of line_items.csv."""
    row: Row = {
        "source_order_id": f"o-{number}",
        "source_line_item_id": f"{line}",
        "name": "Blue mug",
        "quantity": "2",
        "sku": f"MUG-{line}",
        "price": "10.00",
        "tax": "2.00",
    }
    return row | changes


def fulfillment_text(number: int = 1, dispatch: int = 1, **changes: str | None) -> Row:
    """Return a good row of fulfillments.csv."""
    row: Row = {
        "source_order_id": f"o-{number}",
        "source_fulfillment_id": f"f-{number}-{dispatch}",
        "fulfillment_location_id": "12",
    }
    return row | changes


def csv_text(rows: Sequence[Mapping[str, str | None]], **dialect: Any) -> str:
    """Write rows as CSV under the names of all of them; nothing is an empty field."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, lineterminator="\n", **dialect)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def export_file(folder: Path, name: str, content: str | bytes) -> ExportFile:
    """Write one export file."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return ExportFile(path, name)


def mapped(
    folder: Path, profile: str | Profile = "canonical", **contents: str | bytes | Sequence[str | bytes]
) -> dict[TableName, pl.DataFrame]:
    """Write each role's files below `folder` and return the raw tables that the profile makes of them.

    One content a file; a role with several is read from `role-1.csv`, `role-2.csv` and so on.
    """
    files = {}
    for role, content in contents.items():
        parts = [content] if isinstance(content, str | bytes) else list(content)
        names = [f"{role}.csv"] if len(parts) == 1 else [f"{role}-{n}.csv" for n in range(1, len(parts) + 1)]
        files[role] = [export_file(folder, name, part) for name, part in zip(names, parts, strict=True)]
    if isinstance(profile, str):
        profile = load_profile(profile, folder)
    tables = collected(map_roles(profile, read_roles(profile, files, folder / "scratch", {})))
    return {name: with_original(table) for name, table in tables.items()}


def with_original(table: pl.DataFrame) -> pl.DataFrame:
    """Return a raw table with what stood in the export as one struct, `original`."""
    return table.select(~cs.starts_with(ORIGINAL), original_struct(table.columns))


def raw_table(
    name: TableName, rows: Sequence[Mapping[str, str | None]], faults: Mapping[int, str] | None = None
) -> pl.DataFrame:
    """Return a raw table as the canonical profile makes it of `<name>.csv` (the first row is on line 2).

    `faults`: a row's place, from 0 -> why the row as a whole cannot be trusted.
    """
    columns = [column for column in TABLES[name].columns if column not in {"file", "line"}]
    written = list(dict.fromkeys(key for row in rows for key in row)) or columns
    frame = pl.DataFrame(
        [{column: row.get(column) for column in columns} for row in rows],
        schema=dict.fromkeys(columns, pl.String),
    )
    originals = pl.Series(
        "original", [{key: row.get(key) for key in written} for row in rows],
        dtype=pl.Struct(dict.fromkeys(written, pl.String)),
    )  # fmt: skip
    if name == "orders":
        # As the policy that moves nothing leaves it.
        frame = frame.with_columns(pl.struct(pl.lit(None, pl.String).alias("0")).alias("moved"))
    return frame.with_columns(
        pl.lit(f"{name}.csv").alias("file"),
        pl.int_range(2, len(rows) + 2, dtype=pl.Int64, eager=True).alias("line"),
        pl.Series("fault", [(faults or {}).get(place) for place in range(len(rows))], dtype=pl.String),
        originals,
    )


def checked(
    orders: Sequence[Row],
    line_items: Sequence[Row] | None = None,
    fulfillments: Sequence[Row] = (),
    *,
    fallbacks: Mapping[str, Any] | None = None,
    store: Store = STORE,
    order_faults: Mapping[int, str] | None = None,
) -> Checked:
    """Validate rows; without `line_items` each order gets one good line."""
    if line_items is None:
        ids = dict.fromkeys(row["source_order_id"] for row in orders if row["source_order_id"])
        line_items = [line_text(source_order_id=each) for each in ids]
    raw: dict[TableName, pl.DataFrame] = {
        "orders": raw_table("orders", orders, order_faults),
        "line_items": raw_table("line_items", line_items),
        "fulfillments": raw_table("fulfillments", fulfillments),
    }
    return check_part(raw, store, read_fallbacks(fallbacks or {}))


def broken_rules(result: Checked) -> set[tuple[str, int, str]]:
    """Return (table, line, rule) of every broken rule."""
    return {
        (table, line, problem["rule"])
        for table, line, problems in result.quarantine.select("table", "line", "problems").iter_rows()
        for problem in problems
    }


def only_problem(result: Checked) -> dict[str, Any]:
    """Return the one problem of a result that has exactly one."""
    found = [problem for problems in result.quarantine["problems"] for problem in problems]
    assert len(found) == 1, found
    problem: dict[str, Any] = found[0]
    return problem


def loader_settings(folder: Path, exports: str, extra: str = "") -> Settings:
    """Write a loader.yaml below `folder` and read it; `exports` are the lines of that section's flow mapping."""
    path = folder / "loader.yaml"
    path.write_text(
        f"store: {{id: 9359, time_zone: America/New_York}}\nexports: {{{exports}}}\n{extra}", encoding="utf-8"
    )
    return read_settings(path)


def collected(mapped: Mapping[TableName, Mapped]) -> dict[TableName, pl.DataFrame]:
    """Return raw tables, having seen that what they say is the export's word for word is it."""
    tables = {name: table.rows.collect() for name, table in mapped.items()}
    for name, table in mapped.items():
        for header, column in table.word_for_word.items():
            own = tables[name]
            assert own[ORIGINAL + header].equals(own[column], check_names=False), (name, header, column)
    return tables
