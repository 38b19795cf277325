"""The profile `shopify`, on invented files in the shape of Shopify's admin export."""

from pathlib import Path

import polars as pl
import pytest
from export_factories import STORE, csv_text, mapped

from corso.extract.fallbacks import read_fallbacks
from corso.extract.profile import TableName, load_profile
from corso.extract.validate import Checked, check_part
from schemas.quarantine import OF_ANOTHER_ROW

FALLBACKS = {
    "orders.customer_source_customer_id": "{customer_email}",
    "line_items.sku": "{source_line_item_id}",
    "line_items.tax": "0.00",
}


def first_row(name: str = "#1001", **changes: str | None) -> dict[str, str | None]:
    """Return an order's first row: the order's columns and those of its first line."""
    row: dict[str, str | None] = {
        "Name": name, "Email": "ann@example.com", "Fulfilled at": None, "Currency": "USD", "Subtotal": "20.00",
        "Shipping": "5.00", "Taxes": "2.00", "Total": "27.00", "Shipping Method": "Standard",
        "Created at": "2026-11-20 12:30:00 -0500", "Lineitem quantity": "2", "Lineitem name": "Blue mug",
        "Lineitem price": "10.00", "Lineitem sku": "MUG-1", "Notes": None, "Cancelled at": None,
        "Phone": "'+12025550123", "Vendor": "Clayworks", "Id": None,
    }  # fmt: skip
    for which in ("Billing", "Shipping"):
        row |= {
            f"{which} Name": "Mary Jane O'Neill", f"{which} Street": "1 Main St, rear",
            f"{which} Address1": "1 Main St", f"{which} Address2": "rear", f"{which} City": "Springfield",
            f"{which} Zip": "'02101", f"{which} Province": "MA", f"{which} Country": "US",
        }  # fmt: skip
    return row | changes


def more_row(name: str = "#1001", **changes: str | None) -> dict[str, str | None]:
    """Return a further line of an order: the order's own columns are empty."""
    line = {"Lineitem quantity": "1", "Lineitem name": "Candle", "Lineitem price": "3.00"}
    return dict.fromkeys(first_row()) | {"Name": name, "Email": "ann@example.com"} | line | changes


def validated(tables: dict[TableName, pl.DataFrame]) -> Checked:
    """Validate raw tables by Shopify's money policy, with the fallbacks that its export cannot do without."""
    store = STORE.model_copy(update={"fulfillment_locations": {"default": 12}})
    return check_part(tables, store, read_fallbacks(FALLBACKS), load_profile("shopify", Path()).money)


def test_an_order_is_its_first_row_and_its_lines_are_all_its_rows(tmp_path: Path) -> None:
    """Order columns stand on the first row only; continuation rows belong to the order above them."""
    rows = [first_row(), more_row(), first_row("#1002"), more_row("#1002"), more_row("#1002")]
    result = validated(mapped(tmp_path, "shopify", orders=csv_text(rows)))
    assert result.quarantine.is_empty()
    assert result.accepted["orders"]["source_order_id"].to_list() == ["#1001", "#1002"]
    lines = result.accepted["line_items"].select("source_order_id", "source_line_item_id", "name")
    assert lines.rows() == [
        ("#1001", "#1001-1", "Blue mug"),
        ("#1001", "#1001-2", "Candle"),
        ("#1002", "#1002-1", "Blue mug"),
        ("#1002", "#1002-2", "Candle"),
        ("#1002", "#1002-3", "Candle"),
    ]


def test_spreadsheet_apostrophes_are_taken_off_zip_and_phone(tmp_path: Path) -> None:
    """They keep a spreadsheet from eating a leading zero and are no part of the value."""
    order = validated(mapped(tmp_path, "shopify", orders=csv_text([first_row()]))).accepted["orders"]
    assert order["billing_address_postal_code"].item() == "02101"
    assert order["customer_phone"].item() == "+12025550123"


def test_a_full_name_is_split_after_its_first_word(tmp_path: Path) -> None:
    """Shopify's export has full names only; Corso wants two."""
    order = validated(mapped(tmp_path, "shopify", orders=csv_text([first_row()]))).accepted["orders"]
    assert order.select("customer_first_name", "customer_last_name").rows() == [("Mary", "Jane O'Neill")]


def test_rows_longer_than_the_header_are_read_where_the_rest_is_empty(tmp_path: Path) -> None:
    """Continuation rows often end in more commas than the header has; that is no fault."""
    text = csv_text([first_row(), more_row(), first_row("#1002")]).replace("\n#1001,", ",,,\n#1001,", 2)
    head, _, rest = text.partition(",,,\n")
    result = validated(mapped(tmp_path, "shopify", orders=f"{head}\n{rest}"))
    assert result.quarantine.is_empty()
    assert result.accepted["line_items"].height == 3


def test_a_row_with_a_value_too_many_quarantines_its_order_only(tmp_path: Path) -> None:
    """Nobody knows which of its values stands in the wrong column."""
    lines = csv_text([first_row(), more_row(), first_row("#1002")]).splitlines()
    lines[2] += ",stray"
    result = validated(mapped(tmp_path, "shopify", orders="\n".join(lines)))
    assert result.accepted["orders"]["source_order_id"].to_list() == ["#1002"]
    assert "where the header has" in ";".join(result.quarantine["reasons"])


def test_an_order_that_two_files_hold_is_counted_once(tmp_path: Path) -> None:
    """Exports of overlapping days repeat orders word for word, with all of their lines."""
    earlier = csv_text([first_row(), more_row()])
    later = csv_text([first_row(), more_row(), first_row("#1002")])
    result = validated(mapped(tmp_path, "shopify", orders=[earlier, later]))
    assert result.accepted["orders"]["source_order_id"].to_list() == ["#1001", "#1002"]
    assert result.accepted["line_items"].height == 3
    assert result.quarantine.select("table", "file", "line", "kind").rows() == [
        ("orders", "orders-2.csv", 2, "repeated"),
        ("line_items", "orders-2.csv", 2, "repeated"),
        ("line_items", "orders-2.csv", 3, "repeated"),
    ]


def test_the_platforms_own_id_wins_over_the_name(tmp_path: Path) -> None:
    """Names can change; where the export has the id, lines and fulfillments go by it too."""
    rows = [first_row(Id="5900001", **{"Fulfilled at": "2026-11-21 09:00:00 -0500"}), more_row()]
    result = validated(mapped(tmp_path, "shopify", orders=csv_text(rows)))
    for table in result.accepted.values():
        assert set(table["source_order_id"]) == {"5900001"}


def test_a_fulfilled_order_has_one_fulfillment_and_an_open_one_has_none(tmp_path: Path) -> None:
    """The export says when, not by whom; the warehouse is the configured default."""
    rows = [first_row(**{"Fulfilled at": "2026-11-21 09:00:00 -0500"}), first_row("#1002")]
    fulfillments = validated(mapped(tmp_path, "shopify", orders=csv_text(rows))).accepted["fulfillments"]
    assert fulfillments.select(
        "source_order_id", "source_fulfillment_id", "fulfillment_location_id"
    ).rows() == [("#1001", "#1001-fulfilled", 12)]


@pytest.mark.parametrize(("at", "reason"), [("2026-11-21 09:00:00 -0500", "cancelled"), (None, None)])
def test_a_cancelled_order_says_so(tmp_path: Path, at: str | None, reason: str | None) -> None:
    """Shopify names no reason; Corso wants one where an order is cancelled, and none elsewhere."""
    tables = mapped(tmp_path, "shopify", orders=csv_text([first_row(**{"Cancelled at": at})]))
    assert validated(tables).accepted["orders"]["canceled_reason"].to_list() == [reason]


def test_rows_that_stand_apart_from_their_order_quarantine_it(tmp_path: Path) -> None:
    """A sorted file has lines under other orders; whose they are is said by their names."""
    rows = [first_row(Id="71"), more_row("#1002"), first_row("#1002", Id="72"), first_row("#1003", Id="73"), more_row("#1003")]  # fmt: skip
    result = validated(mapped(tmp_path, "shopify", orders=csv_text(rows)))
    assert result.accepted["orders"]["source_order_id"].to_list() == ["71", "73"]
    assert result.accepted["line_items"]["source_line_item_id"].to_list() == ["#1001-1", "#1003-1", "#1003-2"]
    assert set(result.quarantine["source_order_id"]) == {"72"}
    assert "does not stand below the first row of its order" in ";".join(result.quarantine["reasons"])


def test_a_line_that_stands_apart_is_a_reason_beside_its_unshared_tax(tmp_path: Path) -> None:
    """That the order's tax was not shared out is no reason; that the line stands apart stays one."""
    rows = [first_row(Id="71"), first_row("#1002", Id="72"), more_row("#1001"), first_row("#1003", Id="73")]
    result = validated(mapped(tmp_path, "shopify", orders=csv_text(rows)))
    assert result.accepted["orders"]["source_order_id"].to_list() == ["72", "73"]
    reasons = result.quarantine.filter(table="line_items", source_order_id="71")["reasons"]
    assert sum("does not stand below the first row of its order" in reason for reason in reasons) == 1
    assert not any("tax" in reason for reason in reasons)


@pytest.mark.parametrize("whole", [False, True])
def test_an_order_that_is_cut_between_two_files_is_quarantined_whole(tmp_path: Path, *, whole: bool) -> None:
    """It would go out without the lines of the other file, and with all of the tax on those that are left."""
    first = [first_row(Id="71"), first_row("#1002", Id="72")]
    later = [more_row("#1002"), first_row("#1003", Id="73")]
    files = [csv_text(first), csv_text(later)] + ([csv_text(first)] if whole else [])
    result = validated(mapped(tmp_path, "shopify", orders=files))
    assert result.accepted["orders"]["source_order_id"].to_list() == ["71", "73"]
    of_it = result.quarantine.filter(source_order_id="72")
    assert of_it.filter(table="line_items", file="orders-2.csv").height == 1


def test_an_order_without_a_total_is_an_order(tmp_path: Path) -> None:
    """Its lines are not those of the order above."""
    rows = [first_row(), first_row("#1002", Total=None), more_row("#1002")]
    result = validated(mapped(tmp_path, "shopify", orders=csv_text(rows)))
    assert result.accepted["line_items"].height == 1
    assert set(result.quarantine["source_order_id"]) == {"#1002"}
    assert "total_money" in ";".join(result.quarantine["reasons"])


def test_rows_before_the_first_order_belong_to_nobody(tmp_path: Path) -> None:
    """A file that begins in the middle of an order does not give its lines to another."""
    result = validated(mapped(tmp_path, "shopify", orders=csv_text([more_row("#0999"), first_row()])))
    assert result.accepted["orders"]["source_order_id"].to_list() == ["#1001"]
    assert result.quarantine.select("table", "line", "kind").rows() == [("line_items", 2, "quarantined")]


def test_a_row_blames_no_other_row_for_what_is_wrong_in_itself(tmp_path: Path) -> None:
    """An order and a line of it are one row of the file, which is at fault whichever of the two is."""
    rows = [
        first_row(**{"Created at": "?"}), first_row("#1002", **{"Lineitem price": "x"}),
        first_row("#1003", Shipping="y"), more_row("#1003"),
    ]  # fmt: skip
    quarantine = validated(mapped(tmp_path, "shopify", orders=csv_text(rows))).quarantine
    reasons = quarantine.with_columns(pl.col("reasons").str.extract(r"^(\w*)"))
    assert reasons.select("table", "line", "reasons").rows() == [
        ("orders", 2, "source_created_on"),
        ("orders", 3, ""),
        ("orders", 4, "shipping_money"),
        ("line_items", 2, ""),
        ("line_items", 3, "price"),
        ("line_items", 4, ""),
        ("line_items", 5, "another"),
    ]
    assert quarantine["reasons"].to_list()[-1] == OF_ANOTHER_ROW
