"""Words of profiles for exports that come in several spellings, and for files in which a thing stands more than once."""

from pathlib import Path
from typing import Any

import pytest
from export_factories import mapped

from corso.errors import SettingsError
from corso.extract.profile import Profile, load_profile
from corso.extract.roles import missing_headers
from corso.extract.used_headers import used_headers


def profile_of(
    columns: dict[str, Any],
    *,
    form: dict[str, Any] | None = None,
    orders: dict[str, Any] | None = None,
    files: dict[str, Any] | None = None,
    fulfillments: dict[str, Any] | None = None,
    money: dict[str, Any] | None = None,
) -> Profile:
    """Return a profile that reads `orders`, whose columns are these, and perhaps other files."""
    tables: dict[str, Any] = {
        "orders": {"file": "orders", "columns": {"source_order_id": "Id"} | columns} | (orders or {}),
        "line_items": {"file": "orders", "columns": {"source_order_id": "Id"}},
    }
    if fulfillments:
        tables["fulfillments"] = {"file": "orders"} | fulfillments
    return Profile.model_validate(
        {
            "name": "t",
            "title": "T",
            "files": {"orders": form or {}} | (files or {}),
            "tables": tables,
            "money": money or {},
        }
    )


ALIASED = {"also_called": {"Id": ["order-id", "Amazon Order ID"], "Qty": "quantity"}, "needs": ["Id", "Qty"]}


def test_a_header_may_have_other_names_in_other_versions(tmp_path: Path) -> None:
    """Files of both versions are one table; what the merchant gets back has the first file's spelling."""
    profile = profile_of({"notes": {"template": "{Id}: {Qty}"}}, form=ALIASED | {"order_key": "Id"})
    tables = mapped(tmp_path, profile, orders=["amazon-order-id,Quantity\na,1\n", "Qty,Id\n2,b\n"])
    assert tables["orders"].select("source_order_id", "notes").rows() == [("a", "a: 1"), ("b", "b: 2")]
    assert tables["orders"]["original"].to_list() == [
        {"amazon-order-id": "a", "Quantity": "1"},
        {"amazon-order-id": "b", "Quantity": "2"},
    ]


def test_an_other_name_beside_the_name_itself_is_a_column_of_its_own(tmp_path: Path) -> None:
    """Nothing is overwritten, and nothing is lost."""
    profile = profile_of({"notes": "order-id"}, form=ALIASED)
    tables = mapped(tmp_path, profile, orders="order-id,Id,Qty,Amazon Order ID\nx,a,1,y\n")
    assert tables["orders"].select("source_order_id", "notes").rows() == [("a", "x")]
    assert tables["orders"]["original"].to_list() == [
        {"order-id": "x", "Id": "a", "Qty": "1", "Amazon Order ID": "y"}
    ]


def test_other_names_count_as_needed_and_as_understood() -> None:
    """`inspect` finds the profile by them."""
    profile = profile_of({}, form=ALIASED)
    form = profile.files["orders"]
    assert missing_headers(form, ["Amazon_Order_ID", "quantity"]) == []
    assert missing_headers(form, ["Amazon_Order_ID"]) == ["Qty"]
    assert used_headers(profile, "orders", ["quantity"]) == {
        "id",
        "orderid",
        "amazonorderid",
        "qty",
        "quantity",
    }


def test_a_rule_may_have_another_that_stands_in_for_it(tmp_path: Path) -> None:
    """The first that gives a value is taken, each with its own conditions."""
    rule = {
        "from": "Price",
        "where": {"Kind": "unit"},
        "or_else": {"divide": ["Total", "Qty"], "or_else": {"order": "Total"}},
    }
    profile = profile_of(
        {"notes": rule, "channel": {"constant": "x", "where": "No", "or_else": "Kind"}},
        form={"order_key": "Id"},
    )
    text = "Id,Kind,Price,Total,Qty\na,unit,5,12,3\nb,all,5,12,3\na,unit,,,\nc,all,5,7,0\nd,unit,,,\n"
    tables = mapped(tmp_path, profile, orders=text)
    assert tables["orders"]["notes"].to_list() == ["5", "4.0000", "12", "7", None]
    assert tables["orders"]["channel"].to_list() == ["unit", "all", "unit", "all", "unit"]
    assert used_headers(profile, "orders", []) == {"id", "kind", "price", "total", "qty", "no"}


def test_a_mistake_in_a_rule_that_stands_in_is_named(tmp_path: Path) -> None:
    """With its line, like any other."""
    (tmp_path / "p.yaml").write_text(
        "name: t\ntitle: T\nfiles: {orders: {}}\ntables:\n  orders:\n    file: orders\n    columns:\n"
        "      notes: {from: A, or_else: {form: B}}\n  line_items: {file: orders}\n",
        encoding="utf-8",
    )
    with pytest.raises(SettingsError, match=r"p\.yaml:8: .*or_else\.form: unknown key; did you mean 'from'"):
        load_profile("p.yaml", tmp_path)


def test_a_value_may_depend_on_the_absence_of_another(tmp_path: Path) -> None:
    """A phone of the billing address is wanted only where there is no e-mail."""
    profile = profile_of({"customer_phone": {"from": "Phone", "where": {"Email": []}}})
    tables = mapped(tmp_path, profile, orders="Id,Email,Phone\na,x@example.com,1\nb,,2\nc, ,3\n")
    assert tables["orders"]["customer_phone"].to_list() == [None, "2", "3"]


def test_placeholders_are_trimmed(tmp_path: Path) -> None:
    """TikTok writes a tab behind ids; it must not stand in the middle of ours."""
    profile = profile_of({"notes": {"template": "{Id}-{A}"}})
    tables = mapped(tmp_path, profile, orders="Id,A\na\t,1\t\nb,\t\n")
    assert tables["orders"].select("source_order_id", "notes").rows() == [("a", "a-1"), ("b", None)]


def test_blanks_are_no_value(tmp_path: Path) -> None:
    """Some platforms write a tab into empty fields: no rule takes it for one."""
    profile = profile_of(
        {"notes": ["A", "B"], "channel": {"from": "B", "where": "A", "or_else": {"constant": "none"}}},
        fulfillments={"filled": "A", "columns": {"source_order_id": "Id"}},
    )
    tables = mapped(tmp_path, profile, orders="Id,A,B\na,\t,1\nb,2,\t\n")
    assert tables["orders"].select("notes", "channel").rows() == [("1", "none"), ("2", "none")]
    assert tables["fulfillments"]["source_order_id"].to_list() == ["b"]


@pytest.mark.parametrize(("without_rows", "of_c"), [("nothing", None), ("zero", "0")])
def test_totals_over_no_rows_are_nothing_or_zero(tmp_path: Path, without_rows: str, of_c: str | None) -> None:
    """A line without a tax row is untaxed where the tax rows are there at all; where they are not, nobody knows."""
    join = {"file": "taxes", "by": "Id", "totals": {"tax": "Tax"}, "without_rows": without_rows}
    profile = profile_of(
        {"tax_money": "taxes.tax"}, orders={"join": [join]}, files={"taxes": {"optional": True}}
    )
    orders = "Id\na\nb\nc\n"
    tables = mapped(tmp_path, profile, orders=orders, taxes="Id,Tax\na,1\na,2\nb,\n")
    assert tables["orders"]["tax_money"].to_list() == ["3.0000", None, of_c]
    assert mapped(tmp_path, profile, orders=orders)["orders"]["tax_money"].to_list() == [None] * 3


def test_of_rows_with_the_same_values_the_first_stands_for_all(tmp_path: Path) -> None:
    """Two lines of an order under one tracking number are one fulfillment; rows that lack it or are ragged are kept."""
    profile = profile_of(
        {},
        fulfillments={
            "first_of": ["Id", "Tracking", "Not there"],
            "columns": {"source_order_id": "Id", "tracking_info_number": "Tracking"},
        },
    )
    text = "Id,Tracking\na,T1\na,T1\na,T2\nb,T1\nc,\t\nc,\t\na,T1,stray\n"
    found = mapped(tmp_path, profile, orders=text)["fulfillments"]
    assert found.select("source_order_id", "tracking_info_number", "line").rows() == [
        ("a", "T1", 2),
        ("a", "T2", 4),
        ("b", "T1", 5),
        ("c", "\t", 6),
        ("c", "\t", 7),
        ("a", "T1", 8),
    ]
    assert "tracking" in used_headers(profile, "orders", [])


def test_a_row_that_describes_the_columns_is_told_by_what_it_says(tmp_path: Path) -> None:
    """Not every file has one: a first order must not be taken for it."""
    profile = profile_of({"notes": "Note"}, form={"descriptions": {"Id": ["Unique ID.", "Id"]}})
    files = ["Id,Note\nunique id. ,x\na,1\n", "Id,Note\nb,2\nId,Note\nc,3\n", "Id,Note\n,4\n"]
    tables = mapped(tmp_path, profile, orders=files)
    assert tables["orders"].select("source_order_id", "notes", "line").rows() == [
        ("a", "1", 3), ("b", "2", 2), ("c", "3", 4), (None, "4", 2),
    ]  # fmt: skip


def test_an_amount_may_be_a_product(tmp_path: Path) -> None:
    """Where an export has the price of one and how many; a factor that is missing leaves the amount out."""
    join = {"file": "orders", "by": "Id", "totals": {"goods": ["Price * Qty", "-Off"]}}
    profile = profile_of(
        {"subtotal_money": "orders.goods", "notes": {"sum": ["-Price * Qty", "Off"]}},
        form={"order_key": "Id"},
        orders={"join": [join], "rows": "first_of_order"},
    )
    text = "Id,Price,Qty,Off\na,19.99,3,1\na,0.5,2,\nb,5,,\nc,x,2,\nd,5,y,1\n"
    tables = mapped(tmp_path, profile, orders=text)
    assert tables["orders"].select("subtotal_money", "notes").rows() == [
        ("59.9700", "-58.9700"),
        (None, None),
        ("unreadable amount x", "unreadable amount x"),
        ("unreadable amount y", "unreadable amount y"),
    ]
    assert used_headers(profile, "orders", []) >= {"id", "price", "qty", "off"}


def test_only_some_rows_of_a_joined_file_may_count(tmp_path: Path) -> None:
    """E.g. the lines of an order that were not cancelled; one that has none of them has no total of them."""
    joins = [
        {
            "file": "orders",
            "as": "open",
            "by": "Id",
            "where": {"State": ["open", "sent"]},
            "totals": {"pieces": "Qty"},
        },
        {"file": "orders", "as": "unknown", "by": "Id", "where": {"State": []}},
    ]
    columns = {
        "canceled_reason": {"from": "State", "where": {"open.pieces": []}},
        "notes": "unknown.Qty",
    }
    profile = profile_of(columns, form={"order_key": "Id"}, orders={"join": joins, "rows": "first_of_order"})
    text = "Id,State,Qty\na,void,1\na,OPEN,2\nb,void,3\nb,,4\nc,sent,5\n"
    tables = mapped(tmp_path, profile, orders=text)
    assert tables["orders"].select("canceled_reason", "notes").rows() == [
        (None, None),
        ("void", "4"),
        (None, None),
    ]
    assert used_headers(profile, "orders", []) >= {"id", "state", "qty"}


def test_rows_of_a_joined_file_may_be_left_out(tmp_path: Path) -> None:
    """E.g. an order's cancelled lines: where no other is left, all are. What is empty or unknown is not left out."""
    live = {"file": "orders", "as": "live", "by": "Id", "except": {"State": ["void", "Gone"]}}
    profile = profile_of(
        {"canceled_reason": {"from": "State", "where": {"live.Id": []}}, "notes": "live.State"},
        form={"order_key": "Id"},
        orders={"join": [live], "rows": "first_of_order"},
    )
    text = "Id,State\na,void\na,gone\nb,VOID\nb,odd\nc,void\nc,\nd,sent\nd,void\ne,void\ne,void,x\n"
    orders = mapped(tmp_path, profile, orders=text)["orders"]
    assert orders.select("source_order_id", "canceled_reason", "notes").rows() == [
        ("a", "void", None), ("b", None, "odd"), ("c", None, None), ("d", None, "sent"), ("e", None, "void"),
    ]  # fmt: skip
    assert used_headers(profile, "orders", []) >= {"id", "state"}


def test_rows_of_its_own_file_are_those_of_the_same_file(tmp_path: Path) -> None:
    """Of two files that overlap the later one may say otherwise; each order is told by its own rows."""
    live = {"file": "orders", "as": "live", "by": "Id", "except": {"State": ["void"]}}
    profile = profile_of(
        {"canceled_reason": {"from": "State", "where": {"live.Id": []}}},
        form={"order_key": "Id"},
        orders={"join": [live], "rows": "first_of_order"},
    )
    files = ["Id,State\na,sent\na,void\n", "Id,State\na,void\na,void\n"]
    assert mapped(tmp_path, profile, orders=files)["orders"]["canceled_reason"].to_list() == [None, "void"]


def test_an_amount_that_is_not_there_is_not_zero(tmp_path: Path) -> None:
    """Into which nothing is moved either: a pending order has no price yet, and is no gift."""
    moved = [{"kind": "discount", "from": "-Off", "into": "subtotal"}]
    profile = profile_of({"subtotal_money": "Sub"}, money={"moved": moved})
    tables = mapped(tmp_path, profile, orders="Id,Sub,Off\na,,\nb,3,\nc,,1\n")
    assert tables["orders"]["subtotal_money"].to_list() == [None, "3.0000", "-1.0000"]


def test_first_of_headers_that_no_file_has_leaves_all_rows(tmp_path: Path) -> None:
    """There is nothing to tell rows alike by."""
    profile = profile_of({}, fulfillments={"first_of": "Tracking", "columns": {"source_order_id": "Id"}})
    assert len(mapped(tmp_path, profile, orders="Id\na\na\n")["fulfillments"]) == 2
