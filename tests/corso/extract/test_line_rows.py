"""Rows and groups of columns without the name that marks a line: a damaged line, or none."""

import csv
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from export_factories import STORE, csv_text, mapped
from profile_samples import SAMPLES

from corso.extract.fallbacks import read_fallbacks
from corso.extract.profile import Profile, TableName, load_profile
from corso.extract.validate import Checked, check_part
from corso.settings import read_settings

Row = dict[str, str | None]
NOBODYS = "no table of the profile reads this row"


def sample_rows(profile: str) -> list[Row]:
    """Return the rows of a profile's sample."""
    (path,) = (SAMPLES / profile).glob("*.csv")
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def checked(folder: Path, profile: str, rows: list[Row]) -> Checked:
    """Map and validate rows as the sample's loader.yaml says."""
    loader = read_settings(SAMPLES / profile / "loader.yaml").loader
    tables = mapped(folder, profile, orders=csv_text(rows))
    policy = load_profile(profile, folder).money
    return check_part(tables, loader.store, read_fallbacks(loader.fallbacks), policy)


@pytest.fixture(scope="module")
def names_of_samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Return profile -> the names of the orders of its sample that are accepted."""
    folder = tmp_path_factory.mktemp("samples")
    return {
        profile: checked(folder / profile, profile, sample_rows(profile))
        .accepted["orders"]["order_name"]
        .to_list()
        for profile in ("shopify", "squarespace", "woocommerce", "woocommerce-wide")
    }


def profile_of(lines: dict[str, Any], **form: Any) -> Profile:
    """Return a profile of one file with several rows an order, of which the first is the order's."""
    own = {"file": "orders", "filled": "Item"} | lines
    columns = {"source_order_id": "Id", "total_money": "Total", "notes": "Note"}
    orders = {"file": "orders", "rows": "first_of_order", "columns": columns}
    tables = {"orders": orders, "line_items": own}
    return Profile.model_validate(
        {"name": "test", "title": "A test's profile", "files": {"orders": form}, "tables": tables}
    )


def line_rows(tables: dict[TableName, pl.DataFrame]) -> list[tuple[Any, ...]]:
    """Return where the lines stand, whose they are, and what is wrong with the row."""
    return tables["line_items"].select("line", "source_order_id", "name", "fault").rows()


@pytest.mark.parametrize(
    ("profile", "header", "blank", "line", "order"),
    [
        ("shopify", "Lineitem name", "", 3, "#3002"),
        ("shopify", "Lineitem name", " \t", 4, "#3002"),
        ("shopify", "Lineitem name", "", 2, "#3001"),
        ("squarespace", "Lineitem name", "", 2, "00101"),
        ("squarespace", "Lineitem name", "", 3, "00101"),
        ("woocommerce", "Item Name", " \t", 2, "W-6101"),
        ("woocommerce", "Item Name", "", 6, "W-6103"),
        ("woocommerce", "Item Name", "", 10, "W-6106"),
        ("woocommerce-wide", "Product Item 1 Name", " ", 3, "7202"),
        ("woocommerce-wide", "Product Item 3 Name", "", 3, "7202"),
        ("woocommerce-wide", "Product Item 1 Name", "", 2, "7201"),
    ],
)
def test_a_line_without_a_name_quarantines_its_order(
    tmp_path: Path,
    names_of_samples: dict[str, list[str]],
    profile: str,
    header: str,
    blank: str,
    line: int,
    order: str,
) -> None:
    """On its first row, a later one, its only one, and in any group of columns: no order is sent without a line of it."""
    rows = sample_rows(profile)
    rows[line - 2][header] = blank
    result = checked(tmp_path, profile, rows)
    accepted = result.accepted["orders"]["order_name"].to_list()
    assert [each for each in names_of_samples[profile] if each not in accepted] == [order]
    bad = result.quarantine.filter(pl.col("reasons").str.contains("name is missing"), table="line_items")
    assert bad["line"].to_list() == [line]
    reasons = "; ".join(result.quarantine["reasons"])
    assert "has no line items" not in reasons
    assert "no order of this batch" not in reasons


def test_a_row_with_nothing_of_a_line_is_none(tmp_path: Path) -> None:
    """An order's own row without a line, and rows that say their order's columns again, as WooCommerce's for a second coupon."""
    columns = {
        "source_order_id": "Id",
        "name": "Item",
        "quantity": "Qty",
        "price": "Price",
        "vendor": "Brand",
    }
    text = (
        "Id,Total,Note,Item,Qty,Price,Brand,Coupon\n"
        "a,30,n,,0,0.00,B,\n"
        "a,30,n,Mug,1,10,,\n"
        "a,30,n,, ,-,B,TEN\n"
        "a,30,n,0,,,,\n"
    )
    tables = mapped(tmp_path, profile_of({"columns": columns}, order_key="Id"), orders=text)
    assert tables["orders"]["line"].to_list() == [2]
    assert line_rows(tables) == [(3, "a", "Mug", None), (5, "a", "0", None)]


def test_a_row_that_may_be_a_line_keeps_its_order_back(tmp_path: Path) -> None:
    """Where a price could be the order's as well, it is one on the first row; below that, nobody can tell."""
    columns = {"source_order_id": "Id", "name": "Item", "price": "Total"}
    profile = profile_of({"columns": columns}, order_key="Id")
    text = "Id,Total,Note,Item\na,30,,\na,20,,Mug\na,10,,\n,10,,\nb,7,,Pot\n"
    tables = mapped(tmp_path, profile, orders=text)
    assert line_rows(tables) == [(3, "a", "Mug", None), (4, "a", None, NOBODYS), (6, "b", "Pot", None)]
    quarantine = check_part(tables, STORE, ()).quarantine.filter(table="line_items", line=4)
    assert quarantine["reasons"].to_list() == [f"{NOBODYS}: mend the row in the export"]


def test_a_row_that_names_no_order_is_quarantined_by_itself(tmp_path: Path) -> None:
    """What it lacks beside that is no reason."""
    columns = {"source_order_id": {"order": "Id"}, "name": "Item"}
    profile = profile_of({"columns": columns}, order_starts_with="Id")
    tables = mapped(tmp_path, profile, orders="Id,Total,Note,Item,Odd\na,,,Mug,\n,,,,odd\n")
    assert line_rows(tables) == [(2, "a", "Mug", None), (3, None, None, NOBODYS)]
    reasons = check_part(tables, STORE, ()).quarantine.filter(table="line_items", line=3)["reasons"]
    assert reasons.to_list() == [f"{NOBODYS}: mend the row in the export"]


def test_a_group_of_columns_without_the_one_that_marks_it_is_a_line(tmp_path: Path) -> None:
    """Also where the whole column was taken out of the file; zeros and dashes are nothing."""
    columns = {"source_order_id": "Id", "name": "Item {n}", "quantity": "Qty {n}"}
    lines = {"filled": None, "spread": "Item {n}", "columns": columns}
    text = "Id,Total,Note,Item 1,Qty 1,Qty 2\na,,,Mug,1,2\nb,,,Mug,1,0\nc,,,-,-,\nd,,,,3\n"
    tables = mapped(tmp_path, profile_of(lines, order_key="Id"), orders=text)
    quantities = tables["line_items"].select("source_order_id", "name", "quantity").rows()
    assert quantities == [
        ("a", "Mug", "1"),
        ("a", None, "2"),
        ("b", "Mug", "1"),
        ("c", "-", "-"),
        ("d", None, "3"),
    ]
