"""The profiles `magento` and `magento-tables` over their samples, other spellings, and a real export."""

from decimal import Decimal
from pathlib import Path

import pytest
from export_factories import csv_text, mapped
from profile_samples import EXAMPLES, SAMPLES, Loaded, load_example, load_sample, needs_examples, records

from corso.errors import ExportError

Row = dict[str, str | None]


def money(*amounts: str) -> tuple[Decimal, ...]:
    """Return amounts as decimals."""
    return tuple(map(Decimal, amounts))


def flat_row(**changes: str | None) -> Row:
    """Return an order in few columns."""
    row: Row = {
        "entity_id": "1", "increment_id": "000001", "status": "processing", "state": "processing",
        "grand_total": "27.0000", "subtotal": "20.0000", "tax_amount": "2.0000", "shipping_amount": "5.0000",
        "created_at": "2026-01-15 10:30:00", "billing_firstname": "Ann", "billing_lastname": "Lee",
        "billing_street": "1 Main St", "billing_city": "Boston", "billing_region": "MA", "billing_postcode": "02101",
        "billing_country_id": "US", "same_as_billing": "0", "shipping_street": "2 Oak Rd\nrear", "shipping_city": "Salem",
        "items": "MUG:2:10.00",
    }  # fmt: skip
    return row | changes


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """Return what became of data/samples/magento."""
    return load_sample("magento", tmp_path_factory.mktemp("magento"))


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """Return what became of data/samples/magento-tables."""
    return load_sample("magento-tables", tmp_path_factory.mktemp("magento-tables"))


def test_the_samples_are_accepted_but_for_one_order_each(flat: Loaded, tables: Loaded) -> None:
    """Lines that were lost, and a total that was changed."""
    assert flat.accepted_orders == [f"210{number}" for number in range(1, 6)]
    assert flat.problems() == {("2106", "order_has_line_items", "source_order_id")}
    assert {name: len(rows) for name, rows in flat.checked.accepted.items()} == {
        "orders": 5, "line_items": 6, "fulfillments": 0,
    }  # fmt: skip
    assert tables.accepted_orders == [f"310{number}" for number in range(1, 6)]
    assert tables.problems() == {("3106", "money_adds_up", "total_money")}
    assert {name: len(rows) for name, rows in tables.checked.accepted.items()} == {
        "orders": 5, "line_items": 6, "fulfillments": 3,
    }  # fmt: skip
    assert len(flat.lines_read("orders.csv")) == records(SAMPLES / "magento" / "orders.csv") - 1


@pytest.mark.parametrize("which", ["flat", "tables"])
def test_an_order_has_the_values_of_its_row(which: str, request: pytest.FixtureRequest) -> None:
    """Times are UTC; the name of the store's number is the order's; a leading zero stays."""
    loaded: Loaded = request.getfixturevalue(which)
    order = loaded.order("2101" if which == "flat" else "3101")
    wanted = {
        "order_name": "00002101" if which == "flat" else "00003101", "customer_source_customer_id": "31",
        "customer_email": "ann.lee@example.com", "customer_phone": "+12025550101", "customer_first_name": "Ann",
        "customer_last_name": "Lee", "customer_currency_code": "USD", "shipping_title": "Flat Rate - Fixed",
        "billing_address_line1": "12 Harbor St", "billing_address_postal_code": "02101",
        "billing_address_state_or_province_code": "MA", "shipping_address_city": "Boston",
    }  # fmt: skip
    assert {name: order[name] for name in wanted} == wanted
    assert order["source_created_on"].isoformat() == "2026-02-01T14:00:12+00:00"
    assert order["source_updated_on"].isoformat() == "2026-02-03T15:00:00+00:00"


def test_a_street_is_parted_and_the_shipping_address_is_its_own(flat: Loaded, tables: Loaded) -> None:
    """A gift goes to somebody else; Magento keeps a street's lines in one column."""
    for loaded, order in ((flat, "2102"), (tables, "3102")):
        found = loaded.order(order)
        assert (found["billing_address_line1"], found["billing_address_line2"]) == (
            "7 Orchard Rd",
            "Apt. 2, rear",
        )
        assert (found["shipping_address_first_name"], found["shipping_address_line1"]) == (
            "Ann",
            "12 Harbor St",
        )
        assert "shipping_address_line2" not in found


@pytest.mark.parametrize(
    ("which", "order", "amounts"),
    [
        ("flat", "2102", ("51.25", "5.00", "0", "56.25")),  # after a discount of 5.69
        ("flat", "2103", ("75.62", "10.88", "16.44", "102.94")),  # 20.00 of it paid with a gift card
        ("flat", "2105", ("25.50", "4.95", "2.39", "32.84")),  # given back later
        ("tables", "3102", ("57.14", "5.00", "0", "62.14")),  # gift wrapping 2.50, discount 6.07
        ("tables", "3103", ("68.07", "10.88", "15.00", "93.95")),  # a discount of 9.00, of which 1.44 was tax
        ("tables", "3105", ("6.00", "0", "0", "6.00")),  # paid with a gift card and store credit
    ],
)  # fmt: skip
def test_the_money_of_the_samples_adds_up(
    which: str, order: str, amounts: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    """The total is what the order was worth, however it was paid."""
    loaded: Loaded = request.getfixturevalue(which)
    assert loaded.money(order) == money(*amounts)


def test_another_currency_is_the_customers(tables: Loaded) -> None:
    """The amounts are the store's (the base_ columns), as Corso wants them, and the rate says the rest."""
    order = tables.order("3103")
    assert (order["customer_currency_code"], order["currency_conversion_rate"]) == ("EUR", Decimal("0.92"))
    assert tables.lines("3103", "price", "tax") == [money("75.63", "12.93")]


def test_what_was_moved_is_reported(flat: Loaded, tables: Loaded) -> None:
    """By kind; the lines of the flat file have their tax in JSON only."""
    assert flat.moved() == {
        ("discount", "subtotal", "USD"): Decimal("-5.69"),
        ("gift card", "nothing", "EUR"): Decimal("-20.00"),
        ("refund", "nothing", "USD"): Decimal("-32.84"),
        ("tax shared out over lines", "lines", "USD"): Decimal("2.39"),
    }
    assert tables.moved() == {
        ("discount", "subtotal", "USD"): Decimal("-6.07"),
        ("discount", "subtotal", "EUR"): Decimal("-9.00"),
        ("tax in the discount", "subtotal", "EUR"): Decimal("1.44"),
        ("gift wrapping", "subtotal", "USD"): Decimal("2.50"),
        ("gift card", "nothing", "USD"): Decimal("-2.00"),
        ("store credit", "nothing", "USD"): Decimal("-1.50"),
        ("refund", "nothing", "USD"): Decimal("-2.50"),
    }


def test_lines_of_both_cells_are_lines(flat: Loaded) -> None:
    """JSON has ids and names; of SKU:qty:price the SKU stands for the name."""
    columns = ("source_line_item_id", "name", "sku", "quantity", "price", "product_id")
    assert flat.lines("2103", *columns) == [
        ("9004", 'Lamp, 12" shade, grün', "LAMP-GRN", 1, Decimal("75.62"), "8103")
    ]
    assert flat.lines("2102", *columns) == [
        ("2102-1", "TEE-M", "TEE-M", 2, Decimal("23.98"), None),
        ("2102-2", "TEA-100", "TEA-100", 1, Decimal("8.98"), None),
    ]
    assert flat.lines("2105", "sku", "tax") == [("0070123", Decimal("2.39"))]


def test_what_a_configurable_product_is_made_of_is_no_line(tables: Loaded) -> None:
    """It stands under its parent, without a price."""
    assert tables.lines("3102", "source_line_item_id", "name", "sku") == [
        ("9102", "T-shirt “Größe”", "TEE-M"),
        ("9104", "Candle", "0070123"),
    ]


@pytest.mark.parametrize(("which", "order"), [("flat", "2104"), ("tables", "3104")])
def test_a_cancelled_order_is_loaded_as_cancelled(
    which: str, order: str, request: pytest.FixtureRequest
) -> None:
    """At the time of its last change; a closed one was sold, and given back."""
    loaded: Loaded = request.getfixturevalue(which)
    found = loaded.order(order)
    assert found["source_canceled_on"].isoformat() == "2026-04-15T08:30:00+00:00"
    assert found["canceled_reason"] == "canceled"
    assert "source_canceled_on" not in loaded.order(order[:-1] + "5")


def test_each_tracking_number_is_a_fulfillment(tables: Loaded) -> None:
    """With the carrier's name, else its code."""
    columns = (
        "source_fulfillment_id",
        "tracking_info_company",
        "tracking_info_number",
        "fulfillment_location_id",
    )
    assert tables.fulfillments("3101", *columns) == [
        ("5001", "United Parcel Service", "TRK-EX-0001", 12),
        ("5002", "United Parcel Service", "TRK-EX-0002", 12),
    ]
    assert tables.fulfillments("3102", *columns) == [("5003", "custom", "TRK-EX-0003", 12)]


def test_the_fallbacks_of_the_samples_are_all_needed(flat: Loaded, tables: Loaded) -> None:
    """They are those that the page recommends."""
    for loaded in (flat, tables):
        assert set(loaded.uses()) == {use.fallback for use in loaded.checked.fallbacks_used}


@pytest.mark.parametrize(
    ("flag", "city"), [("1", "Boston"), ("0", "Salem"), ("Yes", "Boston"), ("", "Salem")]
)
def test_one_address_may_stand_for_both(tmp_path: Path, flag: str, city: str) -> None:
    """Where the flag says so, whatever stands in the other columns."""
    order = mapped(tmp_path, "magento", orders=csv_text([flat_row(same_as_billing=flag)]))["orders"]
    assert order["shipping_address_city"].to_list() == [city]
    assert order["shipping_address_line1"].to_list() == ["1 Main St" if city == "Boston" else "2 Oak Rd"]


def test_a_cell_that_is_neither_json_nor_packed_quarantines_its_order(tmp_path: Path) -> None:
    """It is neither dropped nor guessed at."""
    rows = [
        flat_row(items=cell, entity_id=str(number))
        for number, cell in enumerate(["[oops", "MUG x 2", "A:1:2:3"])
    ]
    lines = mapped(tmp_path, "magento", orders=csv_text(rows))["line_items"]
    assert lines["fault"].to_list() == ["the cell 'items' cannot be taken apart"] * 3


def test_without_an_entity_id_the_number_is_the_id(tmp_path: Path) -> None:
    """Lines and orders agree on it."""
    row = {name: value for name, value in flat_row().items() if name != "entity_id"}
    found = mapped(tmp_path, "magento", orders=csv_text([row]))
    assert found["orders"]["source_order_id"].to_list() == ["000001"]
    assert found["line_items"].select("source_order_id", "source_line_item_id").rows() == [
        ("000001", "000001-1")
    ]


def test_the_admins_own_grid_is_refused(tmp_path: Path) -> None:
    """It has no lines, no tax, and each address as one text; the sentence names what is wanted."""
    grid = "ID,Purchase Point,Purchase Date,Bill-to Name,Grand Total (Base),Status,Billing Address\n1,a,b,c,1,d,e\n"
    with pytest.raises(ExportError, match=r"exports\.orders needs the column 'increment_id'"):
        mapped(tmp_path, "magento", orders=grid)


def test_tables_without_shipments_have_no_fulfillments(tmp_path: Path) -> None:
    """The file of tracking numbers is optional."""
    folder = SAMPLES / "magento-tables"
    roles = {"orders": "sales_order", "line_items": "sales_order_item", "addresses": "sales_order_address"}
    contents = {role: (folder / f"{name}.csv").read_bytes() for role, name in roles.items()}
    found = mapped(tmp_path, "magento-tables", **contents)
    assert (len(found["orders"]), len(found["line_items"]), len(found["fulfillments"])) == (6, 7, 0)


@needs_examples
def test_a_real_export_is_read_whole(tmp_path: Path) -> None:
    """Two orders without lines, which no fallback can make up; one of them is off by 1.00 as well."""
    path = "magento-basic/orders_basic.csv"
    fallbacks = {"orders.customer_source_customer_id": "{customer_email|lower}"}
    found = load_example("magento", {"orders": path}, tmp_path, fallbacks=fallbacks)
    assert tuple(len(rows) for rows in found.raw.values()) == (2, 0, 0)
    assert found.problems() == {
        ("1", "money_adds_up", "total_money"),
        ("1", "order_has_line_items", "source_order_id"),
        ("2", "order_has_line_items", "source_order_id"),
    }
    assert len(found.lines_read(path)) == records(EXAMPLES / path) - 1


@needs_examples
def test_with_its_lines_the_real_order_is_accepted(tmp_path: Path) -> None:
    """All else that Corso wants is in the file: the billing address stands for both."""
    path = EXAMPLES / "magento-basic" / "orders_basic.csv"
    header, _, order = path.read_text(encoding="utf-8").splitlines()
    found = mapped(tmp_path, "magento", orders=f"{header},items\n{order},THING:1:179.00\n")
    row = found["orders"].row(0, named=True)
    assert row["shipping_address_line1"] == row["billing_address_line1"] is not None
    assert found["line_items"].select("sku", "quantity", "price").rows() == [("THING", "1", "179.00")]
