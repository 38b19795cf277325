"""Words of profiles for tables: rows by a condition, one file joined twice, cells of two forms, files that overlap."""

from pathlib import Path
from typing import Any

import pytest
from export_factories import STORE, mapped
from pydantic import ValidationError

from corso.extract.fallbacks import read_fallbacks
from corso.extract.profile import Profile, TableName
from corso.extract.used_headers import used_headers
from corso.extract.validate import check_part


def profile_of(
    orders: dict[str, Any] | None = None,
    lines: dict[str, Any] | None = None,
    *,
    files: dict[str, Any] | None = None,
    money: dict[str, Any] | None = None,
) -> Profile:
    """Return a profile whose two tables read `orders`, unless they say otherwise."""
    columns = {"columns": {"source_order_id": "Id"}}
    tables = {
        "orders": {"file": "orders"} | columns | (orders or {}),
        "line_items": {"file": "orders"} | columns | (lines or {}),
    }
    return Profile.model_validate(
        {"name": "t", "title": "T", "files": {"orders": {}} | (files or {}), "tables": tables}
        | ({"money": money} if money else {})
    )


def test_an_amount_that_is_moved_may_be_a_sum_and_have_a_condition(tmp_path: Path) -> None:
    """An export without a column for discounts: the total says what they were, where a coupon was used at all."""
    discount = {"kind": "discount", "sum": ["Total", "-Goods"], "where": "Coupon", "into": "subtotal"}
    back = {"kind": "refund", "from": "Back", "where": {"State": ["returned"]}, "into": "nothing"}
    columns = {"source_order_id": "Id", "subtotal_money": "Goods", "total_money": "Total"}
    profile = profile_of({"columns": columns}, money={"moved": [discount, back]})
    text = "Id,Goods,Total,Coupon,Back,State\na,10,8,SAVE2,1,Returned\nb,10,8,,1,sent\nc,10,x,SAVE2,,\n"
    orders = mapped(tmp_path, profile, orders=text)["orders"]
    assert orders["subtotal_money"].to_list() == ["8.0000", "10.0000", "unreadable amount x"]
    assert orders["moved"].to_list()[0] == {"0": "-2.0000", "1": "1.0000", "2": None}
    assert orders["moved"].to_list()[1] == {"0": None, "1": None, "2": None}
    assert used_headers(profile, "orders", []) == {"id", "goods", "total", "coupon", "back", "state"}


@pytest.mark.parametrize("moved", [{}, {"from": "A", "sum": ["B"]}])
def test_an_amount_that_is_moved_has_one_source(moved: dict[str, Any]) -> None:
    """Which of two would count, nobody could say."""
    with pytest.raises(ValidationError, match="needs exactly one of from, sum"):
        profile_of(money={"moved": [{"kind": "x", "into": "tax"} | moved]})


def test_a_file_may_be_joined_twice(tmp_path: Path) -> None:
    """Billing and shipping address stand in one table, and the order names both of its rows."""
    joins = [
        {"file": "places", "as": "billing", "by": "Bill", "also_called": "No"},
        {"file": "places", "as": "shipping", "by": "Ship", "also_called": "No"},
    ]
    columns = {"source_order_id": "Id", "billing_address_city": "billing.City", "shipping_address_city": "shipping.City"}  # fmt: skip
    profile = profile_of({"join": joins, "columns": columns}, files={"places": {}})
    tables = mapped(
        tmp_path, profile, orders="Id,Bill,Ship\na,1,2\nb,2,\n", places="No,City\n1,Bonn\n2,Ulm\n"
    )
    found = tables["orders"].select("source_order_id", "billing_address_city", "shipping_address_city")
    assert found.rows() == [("a", "Bonn", "Ulm"), ("b", "Ulm", None)]
    assert used_headers(profile, "places", []) == {"no", "city"}


def test_two_joins_with_one_name_are_a_mistake() -> None:
    """Their columns could not be told apart."""
    join = {"file": "places", "by": "Id"}
    with pytest.raises(
        ValidationError, match="two joins are called 'places'; call one of them otherwise with `as`"
    ):
        profile_of({"join": [join, join]}, files={"places": {}})


@pytest.mark.parametrize(
    "condition",
    [
        {"where": {"Parent": [], "Kind": ["Sold", "gift"]}},
        {"where": {"Parent": []}, "except": {"Kind": "part"}},
        {"where": {"Kind": ["Sold", "gift"]}, "except": {"Parent": "1"}},
    ],
)
def test_rows_may_be_left_out_by_a_condition(tmp_path: Path, condition: dict[str, Any]) -> None:
    """Magento's table has a row for each part of a set, under the row that was sold; a ragged row is kept."""
    profile = profile_of(lines=condition)
    text = "Id,Parent,Kind\na,,sold\na,1,sold\nb, ,GIFT\nc,,part\nd,1\n"
    tables = mapped(tmp_path, profile, orders=text)
    assert tables["line_items"]["source_order_id"].to_list() == ["a", "b", "d"]
    assert len(tables["orders"]) == 5
    assert used_headers(profile, "orders", []) == {"id", "parent", "kind"}


def test_lines_of_a_cell_may_be_left_out_by_a_condition(tmp_path: Path) -> None:
    """The parts of a set stand in the cell, too; the place of a line is its place in the cell."""
    profile = profile_of(
        lines={
            "unpack": {"from": "Lines", "form": "json"},
            "where": {"item.parent": []},
            "columns": {"source_order_id": "Id", "source_line_item_id": {"template": "{row_in_order}"}},
        }
    )
    text = 'Id,Lines\na,"[{""sku"": ""X""}, {""parent"": 1}, {""parent"": null}]"\nb,x\n'
    lines = mapped(tmp_path, profile, orders=text)["line_items"]
    assert lines.select("source_order_id", "source_line_item_id").rows() == [
        ("a", "1"),
        ("a", "3"),
        ("b", None),
    ]


LINES: dict[str, Any] = {
    "unpack": {
        "from": "Lines",
        "form": "json",
        "optional": True,
        "or_else": {
            "from": ["Things", "Lines"],
            "form": "in_order",
            "parts": ["sku", "qty"],
            "between_parts": ":",
        },
    },
    "columns": {
        "source_order_id": "Id",
        "source_line_item_id": {"template": "{Id}-{row_in_order}"},
        "sku": "item.sku",
        "quantity": "item.qty",
    },
}


def test_cells_of_two_forms_are_each_read_in_their_own(tmp_path: Path) -> None:
    """JSON is known by its bracket; what fits neither is a fault of its own row."""
    profile = profile_of(lines=LINES)
    text = 'Id,Lines\na,"[{""sku"": ""X"", ""qty"": 2}]"\nb,Y:1|Z:3\nc,\nd,[Y:1\ne,rubbish\n'
    lines = mapped(tmp_path, profile, orders=text)["line_items"].sort("line")
    assert lines.select("source_line_item_id", "sku", "quantity").rows() == [
        ("a-1", "X", "2"),
        ("b-1", "Y", "1"),
        ("b-2", "Z", "3"),
        (None, None, None),
        ("e-1", "rubbish", None),
    ]
    assert lines["fault"].is_not_null().to_list() == [False, False, False, True, True]
    assert {"lines", "things"} <= used_headers(profile, "orders", [])


def test_a_named_cell_is_known_by_its_first_name(tmp_path: Path) -> None:
    """And only where the file has both cells there is anything to choose."""
    named = {"from": "Lines", "form": "named", "parts": ["sku", "qty"], "or_else": LINES["unpack"]["or_else"]}
    profile = profile_of(lines=LINES | {"unpack": named})
    lines = mapped(tmp_path, profile, orders='Id,Lines\na,"sku: X, qty: 2"\nb,Y:1\n')["line_items"]
    assert lines.sort("line").select("sku", "quantity").rows() == [("X", "2"), ("Y", "1")]
    lines = mapped(tmp_path, profile, orders="Id,Things\nb,Y:1\n")["line_items"]
    assert lines.select("sku", "quantity").rows() == [("Y", "1")]


def test_files_without_the_cell_may_have_no_lines(tmp_path: Path) -> None:
    """Where the profile says so; the orders are there all the same."""
    tables = mapped(tmp_path, profile_of(lines=LINES), orders="Id\na\n")
    assert (len(tables["orders"]), len(tables["line_items"])) == (1, 0)


def test_a_text_of_several_lines_is_parted(tmp_path: Path) -> None:
    """Magento keeps a street's lines in one column."""
    columns = {
        "source_order_id": "Id",
        "billing_address_line1": {"first_line": ["Street", "Road"]},
        "billing_address_line2": {"other_lines": "Street"},
    }
    text = 'Id,Street,Road\na,"1 Main St \r\nrear\n\nfloor 2\n",\nb,1 Main St,\nc,,Long Rd\n'
    orders = mapped(tmp_path, profile_of({"columns": columns}), orders=text)["orders"]
    assert orders.select("billing_address_line1", "billing_address_line2").rows() == [
        ("1 Main St", "rear, floor 2"),
        ("1 Main St", None),
        ("Long Rd", None),
    ]


OVERLAPPING = profile_of(
    {
        "rows": "first_of_order",
        "join": [{"file": "orders", "by": "Id", "totals": {"goods": "Price"}}],
        "columns": {"source_order_id": "Id", "notes": "orders.goods", "channel": "State"},
    },
    {
        "columns": {
            "source_order_id": "Id",
            "source_line_item_id": {"template": "{Id}-{row_in_order}"},
            "price": "Price",
            "name": {"order": "State"},
        }
    },
    files={"orders": {"order_key": "Id"}},
)
HEADER = "Id,Price,State\n"


def test_files_that_overlap_hold_an_order_once(tmp_path: Path) -> None:
    """Last month's export and last year's have the same rows: the same lines, and the same total."""
    tables = mapped(
        tmp_path, OVERLAPPING, orders=[HEADER + "a,1,new\na,2,\n", HEADER + "a,1,new\na,2,\nb,4,new\n"]
    )
    assert tables["orders"].select("source_order_id", "notes", "line").rows() == [
        ("a", "3.0000", 2),
        ("a", "3.0000", 2),
        ("b", "4.0000", 4),
    ]
    lines = tables["line_items"].select("source_line_item_id", "price", "name")
    assert lines.unique(maintain_order=True).rows() == [("a-1", "1", "new"), ("a-2", "2", "new"), ("b-1", "4", "new")]  # fmt: skip


def test_totals_of_another_role_take_a_row_of_two_files_once(tmp_path: Path) -> None:
    """A row that stands in several files is one; alike in one file, or split over files, are as many as they are."""
    profile = profile_of(
        {
            "join": [{"file": "paid", "by": "Id", "totals": {"all": "Amount"}}],
            "columns": {"source_order_id": "Id", "notes": "paid.all"},
        },
        files={"paid": {}},
    )
    header = "Id,Kind,Amount\n"
    january = header + "a,card,5\na,card,5\na,gift,1\nb,card,7\n"
    year = header + "a,card,5\na,card,5\nb,card,7\nb,gift,2\nc,,3\n"
    tables = mapped(
        tmp_path, profile, orders="Id\na\nb\nc\n", paid=[january, year, "Id,Amount,Kind\nb,4,card\nc,3,\n"]
    )
    assert tables["orders"]["notes"].to_list() == ["11.0000", "13.0000", "3.0000"]


@pytest.mark.parametrize(
    ("exception", "left"),
    [
        ({"State": ["void", "Gone"]}, ["c", "d", "e"]),
        ({"State": []}, ["a", "b", "d", "e"]),
        ({"State": "void", "Kind": "x"}, ["b", "c", "d", "e"]),
    ],
)
def test_all_rows_but_some_may_be_a_tables(
    tmp_path: Path, exception: dict[str, Any], left: list[str]
) -> None:
    """What is empty, or unknown, is not left out unless it is named."""
    profile = profile_of(lines={"except": exception})
    text = "Id,State,Kind\na,VOID,x\nb,gone,\nc,,x\nd,odd,x\ne,void,x,more\n"
    lines = mapped(tmp_path, profile, orders=text)["line_items"]
    assert lines["source_order_id"].to_list() == left


@pytest.mark.parametrize(
    "join",
    [
        {"totals": {"value": "Amount"}},
        {"totals": {"value": "Amount"}, "where": {"State": ["paid"]}},
        {"totals": {"value": "Amount"}, "without_rows": "zero"},
        {"columns": {}},
    ],
)
def test_a_damaged_row_of_a_joined_file_is_the_fault_of_what_it_is_joined_to(
    tmp_path: Path, join: dict[str, Any]
) -> None:
    """What stands in it may belong into another column, or stand in no column at all."""
    value = "paid.value" if "totals" in join else "paid.Amount"
    join = {each: said for each, said in join.items() if each != "columns"}
    profile = profile_of(
        {
            "join": [{"file": "paid", "by": "Id"} | join],
            "columns": {"source_order_id": "Id", "notes": value},
        },
        files={"paid": {}},
    )
    paid = "Id,Amount,State\na,5,paid\nb,7,paid\nb,1\nc,3,paid,more\n"
    orders = mapped(tmp_path, profile, orders="Id\na\nb\nc\nd\n", paid=paid)["orders"]
    faults = dict(orders.select("source_order_id", "fault").rows())
    assert (faults["a"], faults["d"]) == (None, None)
    assert faults["c"] == "paid.csv, line 5: the row has 4 fields where the header has 3"
    if "totals" in join:
        assert faults["b"] == "paid.csv, line 4: the row has 2 fields where the header has 3"


def test_totals_within_a_file_may_leave_rows_out_and_files_overlap(tmp_path: Path) -> None:
    """Each file's order has the total of its own rows, in the second file as in the first."""
    of_it = {"file": "orders", "by": "Id", "totals": {"sold": "Price"}, "where": {"State": ["sold"]}}
    profile = profile_of(
        {
            "rows": "first_of_order",
            "join": [of_it],
            "columns": {"source_order_id": "Id", "notes": "orders.sold"},
        },
        files={"orders": {"order_key": "Id"}},
    )
    text = HEADER + "a,1,sold\na,2,\na,4,sold\n"
    tables = mapped(tmp_path, profile, orders=[text, text])
    assert tables["orders"]["notes"].to_list() == ["5.0000", "5.0000"]


@pytest.mark.parametrize("later", ["a,1,sent\na,2,\n", "a,3,new\n"])
def test_an_order_that_differs_from_file_to_file_is_quarantined(tmp_path: Path, later: str) -> None:
    """Which of the two holds, or whether both do, nobody knows."""
    tables = mapped(tmp_path, OVERLAPPING, orders=[HEADER + "a,1,new\na,2,\n", HEADER + later])
    raw: dict[TableName, Any] = dict(tables)
    result = check_part(raw, STORE, read_fallbacks({}))
    rules = {problem["rule"] for problems in result.quarantine["problems"] for problem in problems}
    assert rules & {"source_order_id_is_unique", "source_line_item_id_is_unique"}
    assert all(table.is_empty() for table in result.accepted.values())
