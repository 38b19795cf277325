"""An order's lines in any layout: several rows an order, side by side in columns, packed in one cell."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from export_factories import mapped

from corso.errors import ExportError
from corso.extract.layouts import spread_numbers
from corso.extract.profile import Profile


def profile_of(
    lines: dict[str, Any],
    *,
    form: dict[str, Any] | None = None,
    orders: dict[str, Any] | None = None,
    money: dict[str, Any] | None = None,
) -> Profile:
    """Return a profile of one file, `orders`."""
    return Profile.model_validate(
        {
            "name": "test",
            "title": "A test's profile",
            "files": {"orders": form or {}},
            "money": money or {},
            "tables": {
                "orders": {"file": "orders", "columns": {"source_order_id": "Id"}} | (orders or {}),
                "line_items": {"file": "orders"} | lines,
            },
        }
    )


def test_rows_of_one_key_are_one_order_wherever_they_stand(tmp_path: Path) -> None:
    """Amazon's report sorts by item, not by order; the order's row is the first, its lines are numbered as they come."""
    profile = profile_of(
        {
            "columns": {
                "source_order_id": "Id",
                "source_line_item_id": {"template": "{Id}-{row_in_order}"},
                "name": {"order": "Note"},
            }
        },
        form={"order_key": ["Order No", "Id"]},
        orders={"rows": "first_of_order", "columns": {"source_order_id": "Id", "notes": "Note"}},
    )
    tables = mapped(tmp_path, profile, orders="Id,Note\na,1\nb,2\na,3\n,4\n,5\n")
    assert tables["orders"].select("source_order_id", "notes", "line").rows() == [
        ("a", "1", 2),
        ("b", "2", 3),
        (None, "4", 5),
        (None, "5", 6),
    ]
    assert tables["line_items"].select("source_line_item_id", "name").rows()[:3] == [
        ("a-1", "1"),
        ("b-1", "2"),
        ("a-2", "1"),
    ]


def test_totals_of_an_orders_rows_stand_beside_it(tmp_path: Path) -> None:
    """Where the export knows no order total, it is the sum over the order's rows, discounts subtracted."""
    profile = profile_of(
        {"columns": {"source_order_id": "Id"}},
        form={"order_key": "Id", "amounts": {}},
        orders={
            "rows": "first_of_order",
            "join": [
                {"file": "orders", "by": "Id", "totals": {"goods": ["Price", "-Discount"], "nothing": "Gone"}}
            ],
            "columns": {
                "source_order_id": "Id",
                "subtotal_money": "orders.goods",
                "tax_money": "orders.nothing",
            },
        },
    )
    tables = mapped(tmp_path, profile, orders='Id,Price,Discount\na,$5.00,1\nb,7,\na,"1,000",\nc,x,\n')
    assert tables["orders"].select("source_order_id", "subtotal_money", "tax_money").rows() == [
        ("a", "1004.0000", None),
        ("b", "7.0000", None),
        ("c", "unreadable amount x", None),
    ]


def test_lines_side_by_side_are_lines(tmp_path: Path) -> None:
    """One row an order, its lines in numbered columns; a row that is ragged is not lost."""
    profile = profile_of(
        {
            "spread": "Item {n} Name",
            "columns": {
                "source_order_id": "Id",
                "source_line_item_id": {"template": "{Id}-{row_in_order}"},
                "name": "Item {n} Name",
                "price": {"divide": ["Item {n} Total", "Item {n} Qty"]},
                "sku": "Item {n} SKU",
            },
        }
    )
    text = (
        "Id,Item 1 Name,Item 1 Qty,Item 1 Total,Item 2 Name,Item 2 Qty,Item 2 Total,Item 2 SKU\n"
        "a,Mug,2,5.00,Pot,3,10,P\n"
        "b,Mug,0,1.00,,,,\n"
        "c,,,,,,,\n"
        "d,Mug\n"
    )
    tables = mapped(tmp_path, profile, orders=text)
    assert tables["line_items"].select("source_line_item_id", "name", "price", "sku", "line").rows() == [
        ("a-1", "Mug", "2.5000", None, 2),
        ("a-2", "Pot", "3.3333", "P", 2),
        ("b-1", "Mug", None, None, 3),
        ("d-1", "Mug", None, None, 5),
    ]
    assert tables["line_items"]["fault"].to_list() == [
        None,
        None,
        None,
        "the row has 2 fields where the header has 8",
    ]


def test_numbered_headers_are_found_in_the_order_of_their_numbers() -> None:
    """Ten comes after nine, and spelling does not matter."""
    headers = ["Item 10 Name", "item_2_name", "Item 1 Name", "Item Name", "Item x Name"]
    assert spread_numbers("Item {n} Name", headers) == [1, 2, 10]


CELLS: dict[str, tuple[dict[str, Any], str, list[tuple[str | None, ...]]]] = {
    "named": (
        {"form": "named", "parts": ["Product ID", "Qty", "Name", "Price"]},
        "Product ID: 1, Qty: 2, Name: A, b | c, Price: 3.00|Product ID: 2, Qty: 1, Name: , Price: 4",
        [("1", "2", "A, b | c", "3.00"), ("2", "1", None, "4")],
    ),
    "in order": (
        {
            "form": "in_order",
            "parts": ["Product ID", "Qty", "Name", "Price"],
            "between_items": ";",
            "between_parts": ":",
        },
        "x:2:Mug:3.00; y:1::4 ;",
        [("x", "2", "Mug", "3.00"), ("y", "1", None, "4")],
    ),
    "json": (
        {"form": "json"},
        '[{"Product ID": 7, "Qty": 2, "Name": "M\\"ug", "Price": 3.10}, {"Product ID": "8", "Name": null, "Price": {"a": 1}}]',
        [("7", "2", 'M"ug', "3.10"), ("8", None, None, '{"a": "1"}')],
    ),
    "json of one": ({"form": "json"}, '{"Product ID": 7}', [("7", None, None, None)]),
}


def unpacking(unpack: dict[str, Any]) -> Profile:
    """Return a profile whose lines are in the cell `Lines`."""
    return profile_of(
        {
            "unpack": {"from": ["Things", "Lines"]} | unpack,
            "columns": {
                "source_order_id": "Id",
                "source_line_item_id": {"template": "{Id}-{row_in_order}"},
                "product_id": "item.Product ID",
                "quantity": "item.Qty",
                "name": "item.Name",
                "price": "item.Price",
            },
        }
    )


def quoted(cell: str) -> str:
    """Return a CSV field."""
    return '"' + cell.replace('"', '""') + '"'


@pytest.mark.parametrize(("unpack", "cell", "lines"), CELLS.values(), ids=CELLS.keys())
def test_a_cell_is_taken_apart(
    tmp_path: Path, unpack: dict[str, Any], cell: str, lines: list[tuple[str | None, ...]]
) -> None:
    """Each line of the cell is a line of the order, numbered from 1; an empty cell has none."""
    tables = mapped(tmp_path, unpacking(unpack), orders=f"Id,Lines\na,{quoted(cell)}\nb,\n")
    found = tables["line_items"]
    assert found.select("product_id", "quantity", "name", "price").rows() == lines
    assert found["source_line_item_id"].to_list() == [f"a-{number}" for number in range(1, len(lines) + 1)]
    assert found["fault"].null_count() == len(lines)


@pytest.mark.parametrize("cell", ["rubbish", "[1, 2]", "a:b", "{", "null"])
@pytest.mark.parametrize("form", ["named", "in order", "json"])
def test_a_cell_of_another_form_is_a_fault(tmp_path: Path, form: str, cell: str) -> None:
    """It is neither dropped nor guessed at: the row says so, and its order is quarantined."""
    tables = mapped(tmp_path, unpacking(CELLS[form][0]), orders=f"Id,Lines\na,{quoted(cell)}\n")
    assert tables["line_items"].select("source_order_id", "fault").rows() == [
        ("a", "the cell 'Lines' cannot be taken apart")
    ]


def test_a_file_without_the_cell_or_the_columns_is_refused(tmp_path: Path) -> None:
    """One sentence says which column is wanted."""
    with pytest.raises(
        ExportError, match="no column 'Things', which holds the order's lines; the file has Id"
    ):
        mapped(tmp_path, unpacking({"form": "json"}), orders="Id\na\n")
    with pytest.raises(ExportError, match="no column like 'Item 1 Name'"):
        mapped(
            tmp_path,
            profile_of({"spread": "Item {n} Name", "columns": {"source_order_id": "Id"}}),
            orders="Id\na\n",
        )


def test_amounts_and_dates_have_the_form_of_their_file(tmp_path: Path) -> None:
    """What does not have it stays as it is, for validation to show."""
    profile = profile_of(
        {"columns": {"source_order_id": "Id", "quantity": "Qty"}},
        form={"amounts": {"decimal": ","}, "dates": ["%d.%m.%Y %H:%M", "%d.%m.%Y"], "times_are_utc": True},
        orders={
            "columns": {
                "source_order_id": "Id",
                "total_money": "Total",
                "source_created_on": "Date",
                "source_updated_on": {"template": "{Date} 12:00"},
            }
        },
    )
    tables = mapped(
        tmp_path, profile, orders='Id,Total,Qty,Date\na,"1.234,50 €",2,24.11.2026\nb,12.50,x,11/24/2026\n'
    )
    assert tables["orders"].select("total_money", "source_created_on", "source_updated_on").rows() == [
        ("1234.50", "2026-11-24T00:00:00Z", "2026-11-24T12:00:00.000000Z"),
        ("12.50 (no decimal comma)", "11/24/2026", "11/24/2026 12:00"),
    ]


def test_a_value_may_depend_on_another(tmp_path: Path) -> None:
    """Status words make a cancellation, whatever their case."""
    profile = profile_of(
        {"columns": {"source_order_id": "Id"}},
        orders={
            "columns": {
                "source_order_id": "Id",
                "source_canceled_on": {"from": "Changed", "where": {"Status": ["cancelled", "Refused"]}},
            }
        },
    )
    tables = mapped(
        tmp_path, profile, orders="Id,Status,Changed\na,Cancelled,1\nb,done,2\nc,,3\nd,refused ,4\n"
    )
    assert tables["orders"]["source_canceled_on"].to_list() == ["1", None, None, "4"]


MONEY = {
    "source_order_id": "Id",
    "subtotal_money": "Sub",
    "shipping_money": "Ship",
    "tax_money": "Tax",
    "total_money": "Total",
}


def test_amounts_without_a_field_go_where_the_policy_says(tmp_path: Path) -> None:
    """The total stays as it is; what was moved is written beside the order, by kind."""
    profile = profile_of(
        {"columns": {"source_order_id": "Id"}},
        orders={"columns": MONEY},
        money={
            "moved": [
                {"kind": "discount", "from": "-Off", "into": "subtotal"},
                {"kind": "duties", "from": "Duty", "into": "tax"},
                {"kind": "refund", "from": "Back", "into": "nothing"},
            ]
        },
    )
    tables = mapped(
        tmp_path,
        profile,
        orders="Id,Sub,Ship,Tax,Total,Off,Duty,Back\na,10,1,2,13,1.50,0.50,4\nb,10,1,2,13,,,\nc,10,1,2,13,x,,\n",
    )
    frame = tables["orders"]
    assert frame.select("subtotal_money", "shipping_money", "tax_money", "total_money").rows() == [
        ("8.5000", "1", "2.5000", "13"),
        ("10.0000", "1", "2.0000", "13"),
        ("unreadable amount x", "1", "2.0000", "13"),
    ]
    assert frame["moved"].to_list()[0] == {"0": "-1.5000", "1": "0.5000", "2": "4.0000", "3": None}


@pytest.mark.parametrize(
    ("policy", "row", "subtotal"),
    [
        ("no", "12,1,2,13", "12"),
        ("yes", "12,1,2,13", "10.0000"),
        ("by_total", "12,1,2,13", "10.0000"),
        ("by_total", "10,1,2,13", "10.0000"),
        ("by_total", "10,1,2,99", "10.0000"),
        ("by_total", "10,1,0,11", "10.0000"),
        ("by_total", "x,1,2,13", "x"),
    ],
)
def test_prices_that_include_the_tax_lose_it(tmp_path: Path, policy: str, row: str, subtotal: str) -> None:
    """Corso's subtotal is without tax; by_total decides by which sum is the total, and touches nothing where neither is."""
    profile = profile_of(
        {"columns": {"source_order_id": "Id"}},
        orders={"columns": MONEY},
        money={"prices_include_tax": policy},
    )
    tables = mapped(tmp_path, profile, orders=f"Id,Sub,Ship,Tax,Total\na,{row}\n")
    assert tables["orders"]["subtotal_money"].to_list() == [subtotal]
    assert isinstance(tables["orders"].schema["moved"], pl.Struct)


def test_a_row_that_no_table_takes_is_named(tmp_path: Path) -> None:
    """It belongs to no order as far as the profile knows, and is not lost; other rows are as they were."""
    profile = profile_of(
        {"filled": "Item", "columns": {"source_order_id": {"order": "Id"}, "name": "Item"}},
        form={"order_starts_with": "Id"},
        orders={"rows": "first_of_order", "columns": {"source_order_id": "Id"}},
    )
    tables = mapped(tmp_path, profile, orders="Id,Item,Note\na,Mug,\n,Pot,\n,,odd\nb,,\n")
    assert tables["orders"].select("source_order_id", "fault").rows() == [("a", None), ("b", None)]
    assert tables["line_items"].select("source_order_id", "name", "fault", "line").rows() == [
        ("a", "Mug", None, 2),
        ("a", "Pot", None, 3),
        (None, None, "no table of the profile reads this row", 4),
    ]
