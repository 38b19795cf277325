"""Makes an invented export of any size, for the demo, the tests and the benchmarks.

The same number of orders and the same seed give the same rows on every machine: all chance comes from
`random.Random`, in whole columns. Money is counted in cents, so that it adds up exactly. A small part of the
orders is bad on purpose, each in one of the ways of `BAD_WAYS`; what validation must make of the whole is
returned beside the files. All people and numbers are made up: example.com, and phone numbers that the
authorities keep free for fiction. Nothing here reads or sends.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType

import polars as pl

BAD_WAYS = (
    "total_does_not_add_up",
    "money_cannot_be_read",
    "city_is_missing",
    "phone_is_destroyed",
    "country_is_unknown",
    "order_has_no_lines",
    "order_stands_twice_and_differs",
    "line_has_no_sku",
    "date_is_impossible",
)
"""How an order can be bad here; each way has its share of the bad orders."""

_FIRST_DAY = datetime(2025, 9, 22)  # noqa: DTZ001  # UTC throughout; polars is told so
_SPAN = timedelta(days=425)
_ORDER_ID = 4_501_230_000_000
_PER_MILLE_BAD = 15

_PLACES = pl.DataFrame(
    [
        ("US", "MA", "Boston", "02101", 625, "America/New_York", "+1202555", "(202) 555-{}", "Beacon St"),
        ("US", "NY", "New York", "10001", 888, "America/New_York", "+1202555", "202-555-{}", "West 31st St"),
        ("US", "OR", "Portland", "97201", 0, "America/Los_Angeles", "+1202555", "202.555.{}", "Mill Rd"),
        ("US", "CA", "San José", "95110", 938, "America/Los_Angeles", "+1202555", "202 555 {}", "Bird Ave"),
        ("CA", "ON", "Ottawa", "K1A 0A1", 1300, "America/New_York", "+1613555", "(613) 555-{}", "Elgin St"),
        ("CA", "QC", "Montréal", "H2Y 1C6", 1498, "America/New_York", "+1613555", "613 555 {}", "Rue Saint-Paul"),
        ("GB", "LND", "London", "SW1A 1AA", 2000, "Europe/London", "+442079460", "020 7946 0{}", "Mews Ln"),
        ("DE", "BY", "München", "80331", 1900, "Europe/Berlin", "+493023125", "030 23125{}", "Große Gasse"),
        ("DE", "BE", "Berlin", "10115", 1900, "Europe/Berlin", "+493023125", "030 23125-{}", "Lärchenweg"),
    ],
    schema=[
        "country", "state", "city", "postal", "tax_rate", "zone", "phone_prefix", "phone_form", "street",
    ],
    orient="row",
)  # fmt: skip
_PLACE_WEIGHTS = (0,) * 4 + (1,) * 4 + (2,) * 2 + (3,) * 4 + (4,) * 2 + (5,) + (6,) * 3 + (7,) * 2 + (8,)
_ZONES = ("America/New_York", "America/Los_Angeles", "Europe/London", "Europe/Berlin")

_PRODUCTS = pl.DataFrame(
    [
        ("8101", "9101", "MUG-BLUE", "Blue mug", "Clayworks", 1450, 420, None),
        ("8101", "9102", "MUG-RED", "Red mug", "Clayworks", 1450, 420, None),
        ("8102", "9103", "TEE-S", "T-shirt “Größe”", "Loom & Sons", 2399, 180, '[{"name": "Size", "value": "S"}]'),
        (
            "8102", "9104", "TEE-M", "T-shirt “Größe”", "Loom & Sons", 2399, 190,
            '[{"name": "Size", "value": "M"}, {"name": "Colour", "value": "grün"}]',
        ),
        ("8103", "9105", "LAMP-1", 'Lamp, 12" shade', "Lumen", 8999, 2300, None),
        ("8104", "9106", "RUG-L", "Rug, large", "Loom & Sons", 24900, 7800, '[{"name": "Size", "value": "L"}]'),
        ("8105", "9107", "TEA-100", "Green tea 🍵 100 g", "Leaf Ltd", 899, 130, None),
        ("8106", "9108", "SACHET-0", "Free sample sachet", "Leaf Ltd", 0, 5, None),
        ("8107", "9109", "0070123", "Candle", "Lumen", 1275, 350, None),
        ("8999", "9999", "PROTECTION", "Shipping protection", "Corso", 195, 0, None),
    ],
    schema=["product_id", "variant_id", "sku", "name", "vendor", "cents", "product_grams", "options"],
    orient="row",
)  # fmt: skip
_PROTECTION = _PRODUCTS.height - 1
_QUANTITIES = (1, 1, 1, 1, 2, 2, 3)
_LINES = (1, 1, 1, 1, 1, 2, 2, 2, 3, 4)

_FIRST_NAMES = ("Ann", "Jürgen", "Zoë", "Liam", "Åsa", "José", "Mary Jane", "Noah", "Priya", "Chloé", "Sam")
_LAST_NAMES = ("Lee", "Müller", "O'Neill", "García", "Smith", "Groß", "van der Berg", "Nguyễn", "Brown")
_NOTES = (
    "Please ring twice 🔔",
    'She said "leave it at the door", thanks',
    "=cmd()|'/C calc'!A1",
    "Für Oma, bitte „schön“ verpackt",
    "+1 more bag, if possible; -10 % as agreed",
    "<b>fragile</b> & heavy",
    "@front desk",
)
_REASONS = ("customer changed their mind", "fraud suspected", "out of stock")
_CARRIERS = {"US": "UPS", "CA": "Canada Post", "GB": "Royal Mail", "DE": "DHL"}


@dataclass(frozen=True)
class Samples:
    """An export that was written, and what validation must make of it."""

    folder: Path
    orders: int
    """Different orders in the files, bad ones among them."""
    order_rows: int
    line_items: int
    fulfillments: int
    repeated_rows: int
    """Rows of `orders` that repeat another word for word; they quarantine nothing."""
    accepted_line_items: int
    accepted_fulfillments: int
    bad_orders: Mapping[str, tuple[str, ...]]
    """Way of `BAD_WAYS` -> the ids of the orders that are bad in this way."""
    orphans: tuple[str, ...]
    """Ids of orders that line items or fulfillments name, and that are not in the files."""

    @property
    def quarantined_orders(self) -> int:
        """How many different orders must be quarantined."""
        return sum(len(ids) for ids in self.bad_orders.values())

    @property
    def accepted_orders(self) -> int:
        """How many orders must be accepted."""
        return self.orders - self.quarantined_orders


def write_samples(folder: Path, orders: int, seed: int = 1) -> Samples:
    """Write a canonical export of so many orders over 14 months and return what is expected of it.

    Files: `orders-1.csv`, `orders-2.csv.gz`, `line_items.parquet`, `fulfillments.csv`. Times without an offset are
    of America/New_York. From 360 orders on every way to be bad is there; the bad are always under 3 %.
    """
    if orders < 1:
        message = "an export needs at least one order"
        raise ValueError(message)
    draws = _Draws(random.Random(seed))  # noqa: S311  # samples, not secrets
    bad = _bad_orders(orders)
    extras = bad.height // len(BAD_WAYS)
    made = _orders(orders, bad, draws)
    lines = _lines(made, draws)
    made = _with_money(made, lines)
    tables = _Tables(_order_table(made), _line_table(made, lines), _fulfillment_table(made, draws))
    return _write(folder, _with_extras(tables, orders, extras), bad, orders, extras)


class _Draws:
    """Chance by the column."""

    def __init__(self, source: random.Random) -> None:
        self._source = source

    def below(self, end: int, count: int) -> pl.Series:
        """Return `count` whole numbers from 0 to `end` - 1."""
        raw = pl.Series([self._source.randbytes(4 * count)], dtype=pl.Binary)
        numbers = raw.bin.reinterpret(dtype=pl.Array(pl.UInt32, count), endianness="little").explode()
        return (numbers % end).cast(pl.Int64)

    def of(self, values: Sequence[object], count: int) -> pl.Series:
        """Return `count` of the values, each equally likely."""
        return pl.Series(values).gather(self.below(len(values), count))

    def seldom(self, per_mille: int, count: int) -> pl.Series:
        """Return `count` flags, so many in a thousand of which are true."""
        return self.below(1000, count) < per_mille


@dataclass(frozen=True)
class _Tables:
    """The export's tables, as they are written."""

    orders: pl.DataFrame
    lines: pl.DataFrame
    fulfillments: pl.DataFrame


def _bad_orders(orders: int) -> pl.DataFrame:
    """Return which orders (by their place) are bad in which way, spread evenly over all."""
    ways = len(BAD_WAYS)
    few = min(ways, orders * 25 // 1000)
    count = few if orders < 500 else max(ways, orders * _PER_MILLE_BAD // 1000)
    places = [(number * orders + orders // 2) // count for number in range(count)]
    return pl.DataFrame(
        {"place": places, "way": [BAD_WAYS[number % ways] for number in range(count)]},
        schema={"place": pl.Int64, "way": pl.String},
    )


def _order_id(place: pl.Expr) -> pl.Expr:
    return (_ORDER_ID + 7 * place).cast(pl.String)


def _orders(count: int, bad: pl.DataFrame, draws: _Draws) -> pl.DataFrame:
    """Return one row an order: where, when and by whom; no money yet."""
    apart = int(_SPAN.total_seconds()) // count
    frame = pl.DataFrame({"place": pl.int_range(count, eager=True)}).with_columns(
        customer=draws.below(max(1, count * 7 // 10), count),
        jitter=draws.below(max(1, apart), count),
        form=draws.below(10, count),
        phone=draws.below(20, count),
        shipping_cents=draws.of((0, 0, 495, 795, 1295), count),
        line_count=draws.of(_LINES, count),
        note=pl.when(draws.seldom(150, count)).then(draws.of(_NOTES, count)),
        cancelled=draws.seldom(20, count),
        reason=draws.of(_REASONS, count),
        guest=draws.seldom(10, count),
        protected=draws.seldom(250, count),
        dispatches=draws.of((0, 0, 0) + (1,) * 6 + (2,), count),
    )
    places = _PLACES[draws.of(_PLACE_WEIGHTS, count)]
    started = pl.lit(_FIRST_DAY).dt.replace_time_zone("UTC")
    good = pl.col("way").is_null()
    return (
        pl.concat([frame, places], how="horizontal")
        .join(bad, on="place", how="left", maintain_order="left")
        .with_columns(
            source_order_id=_order_id(pl.col("place")),
            created=started
            + pl.duration(seconds=pl.col("place") * int(_SPAN.total_seconds()) // count + pl.col("jitter")),
            cancelled=pl.col("cancelled") & good,
            guest=pl.col("guest") & good,
            protected=pl.col("protected") & (pl.col("line_count") > 1),
            currency=pl.when(pl.col("country") == "DE").then(pl.lit("EUR")).otherwise(pl.lit("USD")),
        )
    )


def _lines(orders: pl.DataFrame, draws: _Draws) -> pl.DataFrame:
    """Return one row a line item, with its amounts in cents and its exact share of the order's tax."""
    frame = orders.select(
        "place",
        "source_order_id",
        "tax_rate",
        "line_count",
        "protected",
        number=pl.int_ranges(1, pl.col("line_count") + 1),
    ).explode("number")
    count = frame.height
    is_protection = frame["protected"] & (frame["number"] == frame["line_count"])
    product = draws.below(_PROTECTION, count).set(is_protection, _PROTECTION)
    quantity = draws.of(_QUANTITIES, count).set(is_protection, 1)
    amount = pl.col("quantity") * pl.col("cents")
    so_far = amount.cum_sum().over("place")
    # No sums of rounded shares: each line gets what the tax grows by, so that the last cent is nobody's.
    return (
        pl.concat([frame, _PRODUCTS[product]], how="horizontal")
        .with_columns(quantity=quantity)
        .with_columns(subtotal=amount.sum().over("place"), before=so_far - amount, so_far=so_far)
        .with_columns(order_tax=(pl.col("subtotal") * pl.col("tax_rate") + 5000) // 10_000)
        .with_columns(
            tax=pl.col("order_tax") * pl.col("so_far") // pl.col("subtotal").clip(1)
            - pl.col("order_tax") * pl.col("before") // pl.col("subtotal").clip(1)
        )
    )


def _with_money(orders: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    sums = lines.group_by("place").agg(
        pl.col("subtotal").first(),
        pl.col("order_tax").first(),
        grams=(pl.col("product_grams") * pl.col("quantity")).sum(),
    )
    return orders.join(sums, on="place", how="left", maintain_order="left")


def _money(cents: pl.Expr) -> pl.Expr:
    return pl.format("{}.{}", cents // 100, (cents % 100).cast(pl.String).str.zfill(2))


def _way(name: str) -> pl.Expr:
    return (pl.col("way") == name).fill_null(value=False)


def _order_table(made: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of `orders`, all of them text, with the faults of the bad ones."""
    total = pl.col("subtotal") + pl.col("shipping_cents") + pl.col("order_tax")
    total_text = _money(total + pl.when(_way("total_does_not_add_up")).then(1).otherwise(0))
    decimal_comma = total_text.str.replace(".", ",", literal=True)
    billing = _address("billing")
    shipping = _address("shipping") | {
        "shipping_address_city": pl.when(~_way("city_is_missing")).then("city"),
        "shipping_address_country_code": pl.when(_way("country_is_unknown"))
        .then(pl.lit("XX"))
        .otherwise("country"),
    }
    created = (
        pl.when(_way("date_is_impossible")).then(pl.lit("2026-02-30T10:00:00Z")).otherwise(_written_time())
    )
    cancelled_on = pl.col("created") + pl.duration(hours=26)
    columns = {
        "order_number": (1001 + pl.col("place")).cast(pl.String),
        "order_name": pl.format("#{}", 1001 + pl.col("place")),
        "source_created_on": created,
        "source_canceled_on": pl.when("cancelled").then(_utc(cancelled_on)),
        "canceled_reason": pl.when("cancelled").then("reason"),
        **{name: pl.when(~pl.col("guest")).then(value) for name, value in _customer().items()},
        "subtotal_money": _money(pl.col("subtotal")),
        "shipping_money": _money(pl.col("shipping_cents")),
        "tax_money": _money(pl.col("order_tax")),
        "total_money": pl.when(_way("money_cannot_be_read")).then(decimal_comma).otherwise(total_text),
        "customer_currency_code": pl.col("currency"),
        "currency_conversion_rate": pl.when(pl.col("currency") == "EUR").then(pl.lit("0.9215")),
        "is_shipping_protected": pl.col("protected").cast(pl.String),
        **billing,
        **shipping,
        "grams": pl.col("grams").cast(pl.String),
        "shipping_title": pl.when(pl.col("shipping_cents") > 500)
        .then(pl.lit("Express"))
        .otherwise(pl.lit("Standard")),
        "notes": pl.col("note"),
        "channel": pl.lit("web"),
    }
    return made.select("source_order_id", **columns)


def _customer() -> dict[str, pl.Expr]:
    customer = pl.col("customer")
    digits = (100 + pl.col("phone")).cast(pl.String).str.zfill(3)
    last_digits = pl.when(pl.col("country").is_in(["US", "CA"])).then("0" + digits).otherwise(digits)
    national = pl.col("phone_form").str.replace("{}", last_digits, literal=True)
    whole = pl.col("phone_prefix") + last_digits
    phone = pl.when(pl.col("form") < 7).then(whole).otherwise(national)
    return {
        "customer_source_customer_id": pl.format("{}", 700_000 + customer),
        "customer_first_name": _name(_FIRST_NAMES, customer),
        "customer_last_name": _name(_LAST_NAMES, customer // len(_FIRST_NAMES)),
        "customer_email": pl.format("customer.{}@example.com", customer),
        "customer_phone": pl.when(_way("phone_is_destroyed")).then(pl.lit("9.2E+11")).otherwise(phone),
    }


def _name(names: Sequence[str], number: pl.Expr) -> pl.Expr:
    return pl.lit(pl.Series(names)).gather(number % len(names))


def _address(which: str) -> dict[str, pl.Expr]:
    customer = pl.col("customer")
    name = pl.format(
        "{} {}", _name(_FIRST_NAMES, customer), _name(_LAST_NAMES, customer // len(_FIRST_NAMES))
    )
    fields = {
        "name": name,
        "line1": pl.format("{} {}", 1 + customer % 200, "street"),
        "line2": pl.when(customer % 9 == 0).then(pl.format("Apt. {}, rear", 1 + customer % 40)),
        "city": pl.col("city"),
        "state_or_province_code": pl.col("state"),
        "postal_code": pl.col("postal"),
        "country_code": pl.col("country"),
    }
    return {f"{which}_address_{field}": value for field, value in fields.items()}


def _utc(instant: pl.Expr) -> pl.Expr:
    return instant.dt.strftime("%Y-%m-%dT%H:%M:%SZ")


def _written_time() -> pl.Expr:
    """Write when an order was placed in the ways that exports do: mostly with an offset, sometimes without."""
    text = _utc(pl.col("created"))
    for zone in _ZONES:
        local = pl.col("created").dt.convert_time_zone(zone)
        here = (pl.col("zone") == zone) & (pl.col("form") >= 3)
        text = pl.when(here).then(local.dt.strftime("%Y-%m-%dT%H:%M:%S%:z")).otherwise(text)
    store = pl.col("created").dt.convert_time_zone(_ZONES[0])
    return (
        pl.when(pl.col("form") == 9)
        .then(store.dt.strftime("%Y-%m-%d %H:%M:%S"))
        .when(pl.col("form") == 8)
        .then(store.dt.strftime("%Y-%m-%d %H:%M:%S %z"))
        .otherwise(text)
    )


def _line_table(made: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of `line_items`, typed as a database would export them."""
    ways = made.select("place", "way")
    rows = lines.join(ways, on="place", how="left", maintain_order="left")
    money = pl.Decimal(12, 2)
    return rows.filter(~_way("order_has_no_lines")).select(
        "source_order_id",
        pl.format("{}{}", "source_order_id", "number").alias("source_line_item_id"),
        "product_id",
        "variant_id",
        pl.when(~(_way("line_has_no_sku") & (pl.col("number") == 1))).then("sku").alias("sku"),
        "name",
        "vendor",
        pl.col("quantity"),
        _money(pl.col("cents")).cast(money).alias("price"),
        _money(pl.col("tax")).cast(money).alias("tax"),
        "options",
    )


def _fulfillment_table(made: pl.DataFrame, draws: _Draws) -> pl.DataFrame:
    """Return the rows of `fulfillments`: none for cancelled orders, two for some."""
    frame = (
        made.filter(~pl.col("cancelled") & (pl.col("dispatches") > 0))
        .with_columns(number=pl.int_ranges(1, pl.col("dispatches") + 1))
        .explode("number")
    )
    frame = frame.with_columns(days=draws.below(3, frame.height), arrived=draws.seldom(900, frame.height))
    left = pl.col("created") + pl.duration(hours=20 + 24 * pl.col("days"))
    there = left + pl.duration(hours=50)
    tracking = pl.format("TRK{}{}", "source_order_id", "number")
    return frame.select(
        "source_order_id",
        source_fulfillment_id=pl.format("{}.F{}", "source_order_id", "number"),
        fulfillment_location_id=pl.when(pl.col("country") == "DE").then(pl.lit("14")).otherwise(pl.lit("12")),
        shipping_weight_grams=(pl.col("grams") // pl.col("dispatches")).cast(pl.String),
        tracking_info_company=pl.col("country").replace_strict(_CARRIERS),
        tracking_info_number=tracking,
        tracking_info_url=pl.lit("https://track.example.com/") + tracking,
        shipment_status=pl.when("arrived").then(pl.lit("delivered")).otherwise(pl.lit("in_transit")),
        source_created_on=_utc(left),
        in_transit_on=_utc(left + pl.duration(hours=2)),
        estimated_delivery_on=there.dt.strftime("%Y-%m-%d"),
        delivered_on=pl.when("arrived").then(_utc(there)),
    )


def _with_extras(tables: _Tables, orders: int, extras: int) -> _Tables:
    """Add the rows that stand apart: orders that stand twice, lines and fulfillments of no order."""
    bad = _bad_orders(orders)
    twice = tables.orders[bad.filter(_way("order_stands_twice_and_differs"))["place"]].with_columns(
        notes=pl.lit("a later version of the same order"), channel=pl.lit("phone")
    )
    repeated = tables.orders[_repeated_places(bad, extras)]
    orphans = pl.Series("source_order_id", _orphans(orders, extras), dtype=pl.String)
    line_count = min(extras, tables.lines.height)
    fulfillment_count = min(extras, tables.fulfillments.height)
    return _Tables(
        pl.concat([tables.orders, twice, repeated]),
        pl.concat([tables.lines, tables.lines.head(line_count).with_columns(orphans.head(line_count))]),
        pl.concat(
            [
                tables.fulfillments,
                tables.fulfillments.head(fulfillment_count).with_columns(orphans.tail(fulfillment_count)),
            ]
        ),
    )


def _repeated_places(bad: pl.DataFrame, extras: int) -> pl.Series:
    """Return the orders that stand in the files twice and equal: each the neighbour of a bad one, itself good."""
    return bad["place"].head(extras) + 1


def _orphans(orders: int, extras: int) -> list[str]:
    """Return ids behind the last order's: the first half for line items, the second for fulfillments."""
    return [str(_ORDER_ID + 7 * (orders + number)) for number in range(2 * extras)]


def _write(folder: Path, tables: _Tables, bad: pl.DataFrame, orders: int, extras: int) -> Samples:
    folder.mkdir(parents=True, exist_ok=True)
    half = (tables.orders.height + 1) // 2
    tables.orders.head(half).write_csv(folder / "orders-1.csv")
    tables.orders.slice(half).write_csv(folder / "orders-2.csv.gz", compression="gzip")
    tables.lines.write_parquet(folder / "line_items.parquet")
    tables.fulfillments.write_csv(folder / "fulfillments.csv")
    named = bad.with_columns(id=_order_id(pl.col("place")))
    orphans = _orphans(orders, extras)
    lost = pl.Series([*named["id"], *orphans], dtype=pl.String).implode()
    good = ~pl.col("source_order_id").is_in(lost)
    return Samples(
        folder=folder,
        orders=orders,
        order_rows=tables.orders.height,
        line_items=tables.lines.height,
        fulfillments=tables.fulfillments.height,
        repeated_rows=extras,
        accepted_line_items=tables.lines.filter(good).height,
        accepted_fulfillments=tables.fulfillments.filter(good).height,
        bad_orders=MappingProxyType({way: tuple(named.filter(way=way)["id"]) for way in BAD_WAYS}),
        orphans=tuple(orphans),
    )
