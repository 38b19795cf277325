"""From files to raw tables: headers in any spelling and order, any number of files, every row with its place."""

import re
from pathlib import Path

import pytest
from export_factories import csv_text, line_text, mapped, order_text

from corso.errors import ExportError
from corso.extract.profile import Profile

LINES = csv_text([line_text()])
WITH_PAYMENTS = Profile.model_validate(
    {
        "name": "test",
        "title": "A test's profile",
        "files": {"orders": {}, "payments": {}},
        "tables": {
            "orders": {
                "file": "orders",
                "join": [{"file": "payments", "by": "Name", "totals": {"paid": "Amount"}}],
                "columns": {"source_order_id": "Name", "total_money": "payments.paid"},
            },
            "line_items": {"file": "orders"},
        },
    }
)


@pytest.mark.parametrize(
    "header",
    [
        "source_order_id",
        "sourceOrderId",
        "SOURCE ORDER ID",
        "Source_Order-Id",
        " sourceorderid ",
        "source.order.id",
    ],
)
def test_a_header_matches_in_any_spelling(tmp_path: Path, header: str) -> None:
    """Case, spaces, underscores, dots and dashes do not tell headers apart, so that the API's names work too."""
    tables = mapped(tmp_path, orders=f"{header},billingAddress.line1\n1,Main St\n", line_items=LINES)
    assert tables["orders"].select("source_order_id", "billing_address_line1").rows() == [("1", "Main St")]


def test_every_row_knows_its_file_and_line(tmp_path: Path) -> None:
    """Rows of several files are told apart, blank lines counted."""
    tables = mapped(tmp_path, orders=["source_order_id\n1\n\n2\n", "source_order_id\n3\n"], line_items=LINES)
    assert tables["orders"].select("source_order_id", "file", "line").rows() == [
        ("1", "orders-1.csv", 2),
        ("2", "orders-1.csv", 4),
        ("3", "orders-2.csv", 2),
    ]


def test_files_of_a_role_may_order_and_spell_their_columns_differently(tmp_path: Path) -> None:
    """Two months' exports are one table, whatever the program did in between; a column of one file is empty in the other."""
    tables = mapped(
        tmp_path,
        orders=["source_order_id,notes\n1,x\n", "Channel,sourceOrderId\nweb,2\n"],
        line_items=LINES,
    )
    assert tables["orders"].select("source_order_id", "notes", "channel").rows() == [
        ("1", "x", None),
        ("2", None, "web"),
    ]


def test_the_original_row_is_kept_under_its_own_headers(tmp_path: Path) -> None:
    """Reports give the merchant back what they wrote, columns that nobody reads among it."""
    tables = mapped(tmp_path, orders="Source Order ID,Our Remark\n1,vip\n", line_items=LINES)
    assert tables["orders"]["original"].to_list() == [{"Source Order ID": "1", "Our Remark": "vip"}]


def test_columns_that_nobody_reads_may_be_as_alike_as_they_like(tmp_path: Path) -> None:
    """WordPress's ACF writes each field twice, the second with an underscore in front: both are kept, whatever other files have."""
    tables = mapped(
        tmp_path,
        orders=[
            "source_order_id,_gift_note,total_money\n1,field_5f3,9\n",
            "source_order_id,gift_note,_gift_note\n2,for Ann,field_5f3\n",
        ],
        line_items=LINES,
    )
    nothing = dict.fromkeys(["total_money", "gift_note"])
    assert tables["orders"]["original"].to_list() == [
        {"source_order_id": "1", "_gift_note": "field_5f3", "total_money": "9", "gift_note": None},
        {"source_order_id": "2", **nothing, "gift_note": "for Ann", "_gift_note": "field_5f3"},
    ]


def test_ids_lose_the_blanks_around_them_and_nothing_else(tmp_path: Path) -> None:
    """Tables are joined by ids; other text is the merchant's."""
    tables = mapped(tmp_path, orders='source_order_id,notes\n" 007 ", x \n', line_items=LINES)
    assert tables["orders"].select("source_order_id", "notes").rows() == [("007", " x ")]


def test_ids_lose_the_point_and_zero_that_programs_write_behind_them(tmp_path: Path) -> None:
    """A program writes 1001.0 where a column has gaps: else the order of one night and of the next would be two."""
    profile = profile_of(
        source_order_id="Id",
        customer_source_customer_id="Customer",
        notes={"template": "{Version}, {Name}"},
        channel_id={"template": "{Id}-{row_in_order}"},
    )
    tables = mapped(
        tmp_path, profile, orders="Id,Customer,Name,Total,Version\n5900000001001.0, 5.0 ,#1,1.0,2.0\n"
    )
    assert tables["orders"].select(
        "source_order_id", "customer_source_customer_id", "channel_id", "notes"
    ).rows() == [("5900000001001", "5", "5900000001001-1", "2.0, #1")]


def test_files_are_joined_where_one_of_them_has_a_point_and_zero_behind_its_ids(tmp_path: Path) -> None:
    """In one file every order has a payment, in the other some rows have none."""
    tables = mapped(tmp_path, WITH_PAYMENTS, orders="Name\n1001\n", payments="name,amount\n1001.0,1.10\n")
    assert tables["orders"].select("source_order_id", "total_money").rows() == [("1001", "1.1000")]


def test_a_ragged_row_keeps_its_fault(tmp_path: Path) -> None:
    """The mark goes with the row into the raw table."""
    tables = mapped(tmp_path, orders="source_order_id,notes\n1\n2,x\n", line_items=LINES)
    assert tables["orders"]["fault"].to_list() == ["the row has 1 fields where the header has 2", None]


def test_a_batch_may_go_without_fulfillments(tmp_path: Path) -> None:
    """The table is there, and empty, with all of its columns."""
    tables = mapped(tmp_path, orders=csv_text([order_text()]), line_items=LINES)
    assert tables["fulfillments"].is_empty()
    assert {"source_fulfillment_id", "file", "line", "fault", "original"} <= set(
        tables["fulfillments"].columns
    )


REFUSED = {
    "unknown role": ({"orders": "source_order_id\n1\n", "line_items": LINES, "refunds": "a\n1\n"}, "exports.refunds: profile 'canonical' reads no such file; it knows orders, line_items, fulfillments"),
    "missing role": ({"orders": "source_order_id\n1\n"}, "exports.line_items: profile 'canonical' needs this file"),
    "missing column": ({"orders": "id,total\n1,2\n", "line_items": LINES}, "orders.csv:1: exports.orders needs the column 'source_order_id'; the file has id, total"),
    "same name twice": ({"orders": "source_order_id,notes,Notes\n1,x,y\n", "line_items": LINES}, "orders.csv:1: two columns have the same name but for case, spaces and underscores ('notes' and 'Notes'): take one of them out, or rename it; to have the first one read, in loader.yaml, under exports, write the role: {files: \"orders.csv\", duplicate_headers: number}"),
    "a title above": ({"orders": "Orders of May,,\nsource_order_id,notes,x\n1,2,3\n", "line_items": LINES}, "orders.csv:1: exports.orders needs the column 'source_order_id'; the file has Orders of May, column_2, column_3. It seems that the header stands on line 2; in loader.yaml, under exports, write the role: {files: \"orders.csv\", skip_lines: 1}"),
    "empty file": ({"orders": "", "line_items": LINES}, "orders.csv:1: the file is empty or has no header; export it again"),
}  # fmt: skip


@pytest.mark.parametrize(("contents", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_files_that_do_not_fit_the_profile_are_refused(
    tmp_path: Path, contents: dict[str, str], sentence: str
) -> None:
    """One sentence names the role or the file and the column that is wanted."""
    with pytest.raises(ExportError) as error:
        mapped(tmp_path, **contents)
    assert str(error.value) == sentence


def test_headers_are_listed_on_one_line(tmp_path: Path) -> None:
    """Also one that has a line break in it, or no end: found by changing headers at random."""
    with pytest.raises(ExportError) as error:
        mapped(tmp_path, orders=f'"0\n0",{"x" * 1000},total\n1,2,3\n', line_items=LINES)
    assert str(error.value).endswith(f"the file has 0 0, {'x' * 40}, total")


HEADLESS = {
    "an order": "6001,2026-01-05 10:00:00,35.58,ann.lee@example.com,Ann,+4930123456,Mug,1",
    "a value twice": "6001,2026-01-05 10:00:00,35.58,ann.lee@example.com,ann.lee@example.com,Ann",
    "a time in ISO 8601": "A1,2026-01-05T10:00:00Z,Ann",
    "an apostrophe of a spreadsheet's": "#1,Ann,'10115",
    "parted by something else": "A1~Ann Lee~ann.lee@example.com",
    "a pattern": "A1,*,ann.lee@example.com",
}


@pytest.mark.parametrize("row", HEADLESS.values(), ids=HEADLESS.keys())
def test_a_file_without_a_header_is_refused_and_no_value_is_shown(tmp_path: Path, row: str) -> None:
    """What stands in the header's place is a customer's; what would have two of them read is no remedy."""
    with pytest.raises(
        ExportError, match="the first line holds values, not the names of columns; add a header"
    ) as error:
        mapped(tmp_path, orders=f"{row}\n{row}\n", line_items=LINES)
    assert not any(value in str(error.value) for value in re.split("[,~]", row) if len(value) > 1)
    assert "duplicate_headers" not in str(error.value)


def test_columns_may_be_called_whatever_the_loader_calls_its_own(tmp_path: Path) -> None:
    """GraphQL's `__typename` is one such column; what the loader adds is called otherwise."""
    names = [
        "__line",
        "__fault",
        "__file",
        "__order",
        "__row_in_order",
        "__nobodys",
        "__key.0",
        "__has_rows",
        "__lines",
    ]
    header, row = ",".join(["source_order_id", *names, "original.x"]), ",".join(["1", *"abcdefghi", "j"])
    tables = mapped(tmp_path, orders=f"{header}\n{row}\n", line_items=LINES)
    original = tables["orders"]["original"][0]
    assert [original[name] for name in [*names, "original.x"]] == list("abcdefghij")
    assert tables["orders"]["line"].to_list() == [2]


def profile_of(**columns: object) -> Profile:
    """Return a profile of one file, `orders`, with a row a line, whose orders have these columns."""
    return Profile.model_validate(
        {
            "name": "test",
            "title": "A test's profile",
            "files": {"orders": {"order_starts_with": "Total"}, "payments": {"optional": True}},
            "tables": {
                "orders": {"file": "orders", "rows": "first_of_order", "columns": columns},
                "line_items": {"file": "orders", "columns": {"source_order_id": {"order": "Name"}}},
            },
        }
    )


RULES = {
    "from": ({"from": "Note"}, "hi"),
    "the first of several": ({"from": ["Nothing", "Empty", "Note"]}, "hi"),
    "constant": ({"constant": "web"}, "web"),
    "template": ({"template": "{Name}/{row_in_order}"}, "#1/1"),
    "template with an empty part": ({"template": "{Name}/{Empty}"}, None),
    "sum": ({"sum": ["Total", "Tax", "Empty"]}, "12.5000"),
    "difference": ({"sum": ["Total", "-Tax"]}, "7.5000"),
    "sum of nothing": ({"sum": ["Empty", "Nothing"]}, None),
    "sum with something unreadable": ({"sum": ["Total", "Note"]}, "unreadable amount hi"),
    "sum with an exponent": ({"sum": ["Total", "Short"]}, "unreadable amount 1E+1"),
    "sum of more decimals than an amount has": ({"sum": ["Fine"]}, "8.2917"),
    "an exponent divided": ({"divide": ["Short", "Total"]}, "unreadable amount 1E+1"),
    "divided by an exponent": ({"divide": ["Total", "Short"]}, "unreadable amount 1E+1"),
    "first word": ({"first_word": "Full"}, "Mary"),
    "other words": ({"other_words": "Full"}, "Jane O'Neill"),
    "other words of one": ({"other_words": "Note"}, None),
    "strip": ({"from": "Zip", "strip": "'"}, "02101"),
    "map": ({"from": "Note", "map": {"hi": "hello", "x": "y"}}, "hello"),
    "where it has a value": ({"constant": "yes", "where": "Note"}, "yes"),
    "where it has none": ({"constant": "yes", "where": "Empty"}, None),
    "a header that the file lacks": ({"from": "Nothing"}, None),
}  # fmt: skip


@pytest.mark.parametrize(("rule", "expected"), RULES.values(), ids=RULES.keys())
def test_each_rule_of_a_profile_does_what_it_says(
    tmp_path: Path, rule: dict[str, object], expected: str | None
) -> None:
    """The whole vocabulary, on one row."""
    header = "Name,Total,Tax,Note,Empty,Full,Zip,Short,Fine"
    row = f"{header}\n#1,10.00,2.50,hi,,Mary Jane O'Neill,'02101,1E+1,8.291667\n"
    tables = mapped(tmp_path, profile_of(source_order_id="Name", notes=rule), orders=row)
    assert tables["orders"]["notes"].to_list() == [expected]


def test_another_files_amounts_can_be_added_up_beside_an_order(tmp_path: Path) -> None:
    """A join with totals gives each order the sum of its rows there, and nothing where there are none."""
    tables = mapped(
        tmp_path, WITH_PAYMENTS, orders="Name\n#1\n#2\n", payments="name,amount\n#1,1.10\n#1,2.20\n"
    )
    assert tables["orders"].select("source_order_id", "total_money").rows() == [
        ("#1", "3.3000"),
        ("#2", None),
    ]


def test_the_header_that_starts_an_order_is_needed(tmp_path: Path) -> None:
    """Without it nobody could tell where an order begins."""
    with pytest.raises(ExportError, match=r"orders\.csv:1: exports\.orders needs the column 'Total'"):
        mapped(tmp_path, profile_of(source_order_id="Name"), orders="Name\n#1\n")
