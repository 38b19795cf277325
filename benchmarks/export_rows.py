"""Draws the orders of large exports, part after part; in which form they are written is for `export_shapes`.

All chance comes from `random.Random`, whose seed is the export's and the part's number, in whole columns. Money is
counted in cents, so that it adds up exactly. All people and numbers are made up: example.com, and phone numbers that
the authorities keep free for fiction.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

import polars as pl

from pipelines.samples import BAD_WAYS

LINES_AN_ORDER = 3
BAD_PER_MILLE = 10
ORDERS_A_PART = 50_000

_FIRST_ORDER_ID = 4_501_230_000_000
_FIRST_DAY = datetime(2025, 9, 22)  # noqa: DTZ001  # UTC throughout; polars is told so
_SPAN = timedelta(days=425)

_PLACES = pl.DataFrame(
    [
        ("US", "United States", "MA", "Massachusetts", "Boston", "021{}", 625, "+1617555", "Beacon St"),
        ("US", "United States", "NY", "New York", "New York", "100{}", 888, "+1212555", "West 31st St"),
        ("US", "United States", "NY", "New York", "Buffalo", "142{}", 875, "+1716555", "Elmwood Ave"),
        ("US", "United States", "OR", "Oregon", "Portland", "972{}", 0, "+1503555", "Mill Rd"),
        ("US", "United States", "CA", "California", "San José", "951{}", 938, "+1408555", "Bird Ave"),
        ("US", "United States", "CA", "California", "Los Angeles", "900{}", 950, "+1213555", "Sunset Blvd"),
        ("US", "United States", "TX", "Texas", "Austin", "787{}", 825, "+1512555", "Congress Ave"),
        ("US", "United States", "TX", "Texas", "Houston", "770{}", 825, "+1713555", "Main St, Suite B"),
        ("US", "United States", "IL", "Illinois", "Chicago", "606{}", 1025, "+1312555", "North Clark St"),
        ("US", "United States", "WA", "Washington", "Seattle", "981{}", 1035, "+1206555", "Pike Pl"),
        ("US", "United States", "CO", "Colorado", "Denver", "802{}", 881, "+1303555", "Colfax Ave"),
        ("US", "United States", "FL", "Florida", "Miami", "331{}", 700, "+1305555", "Ocean Dr"),
        ("US", "United States", "GA", "Georgia", "Atlanta", "303{}", 890, "+1404555", "Peachtree St NE"),
        ("US", "United States", "PA", "Pennsylvania", "Philadelphia", "191{}", 800, "+1215555", "Market St"),
        ("CA", "Canada", "ON", "Ontario", "Ottawa", "K1A 0{}", 1300, "+1613555", "Elgin St"),
        ("CA", "Canada", "QC", "Quebec", "Montréal", "H2Y 1{}", 1498, "+1514555", "Rue Saint-Paul"),
        ("GB", "United Kingdom", "LND", "London, City of", "London", "SW1A {}", 2000, "+442079460", "Mews Ln"),
        ("GB", "United Kingdom", "LIV", "Liverpool", "Liverpool", "L1 {}", 2000, "+441514960", "Dale St"),
        ("DE", "Germany", "BY", "Bayern", "München", "803{}", 1900, "+493023125", "Große Gasse"),
        ("DE", "Germany", "BE", "Berlin", "Berlin", "101{}", 1900, "+493023125", "Lärchenweg"),
    ],
    schema=["country", "country_name", "state", "state_name", "city", "postal", "tax_rate", "phone", "street"],
    orient="row",
)  # fmt: skip
_FIRST_NAMES = (
    "Ann", "Jürgen", "Zoë", "Liam", "Åsa", "José", "Mary Jane", "Noah", "Priya", "Chloé", "Sam", "Olivia", "Emma",
    "Lucas", "Mia", "Ethan", "Ava", "Mateo", "Sofia", "Elijah", "Amelia", "James", "Harper", "Léa", "Benjamin",
    "Evelyn", "Henry", "Camila", "Jack", "Luna", "Owen", "Grace", "Felix", "Hannah", "Søren", "Ines", "Yusuf",
)  # fmt: skip
_LAST_NAMES = (
    "Lee", "Müller", "O'Neill", "García", "Smith", "Groß", "van der Berg", "Nguyễn", "Brown", "Johnson", "Williams",
    "Jones", "Miller", "Davis", "Martinez", "Hernández", "Lopez", "Wilson", "Anderson", "Thomas", "Taylor", "Moore",
    "Jackson", "Martin", "Pérez", "Thompson", "White", "Harris", "Sanchez", "Clark", "Ramirez", "Lewis", "Robinson",
    "Walker", "Young", "Allen", "King", "Wright", "Scott", "Torres", "Tremblay", "Schmidt", "Fischer", "Weber",
)  # fmt: skip
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
_THINGS = (
    "Mug",
    "T-shirt “Größe”",
    'Lamp, 12" shade',
    "Rug",
    "Green tea 🍵",
    "Candle",
    "Poster",
    "Blanket",
    "Vase",
)
_COLOURS = ("blue", "red", "grün", "black", "white", "ochre", "sand", "rosé")
_SIZES = ("S", "M", "L", "XL")
_VENDORS = ("Clayworks", "Loom & Sons", "Lumen", "Leaf Ltd")
_QUANTITIES = (1, 1, 1, 1, 2, 2, 3)
_SHIPPING_CENTS = (0, 0, 495, 795, 1295)
_DISPATCHES = (0,) * 3 + (1,) * 6 + (2,)


@dataclass(frozen=True)
class Part:
    """Some orders on their way into a file, not yet in any shape. Amounts are whole cents."""

    orders: pl.DataFrame
    """One row an order: place, way, source_order_id, created, cancelled, person, addresses, amounts."""
    lines: pl.DataFrame
    """One row a line, in the orders' order: number, product, quantity, cents, amount, tax; and what its order says."""
    fulfillments: pl.DataFrame
    """One row a dispatch: number, left, arrived, and what its order says."""
    orphans: int
    """So many lines and dispatches must name orders that are nowhere, in shapes that can say that."""


def bad_orders(orders: int, ways: Sequence[str]) -> pl.DataFrame:
    """Return which orders (by their place) are bad in which way, spread evenly over all."""
    count = orders * BAD_PER_MILLE // 1000
    number = pl.int_range(count, eager=True)
    return pl.DataFrame(
        {
            "place": (number * orders + orders // 2) // max(1, count),
            "way": pl.Series(ways, dtype=pl.String).gather(number % len(ways)),
        }
    )


def parts(orders: int, bad: pl.DataFrame, seed: int) -> Iterator[Part]:
    """Draw so many orders, part after part; `bad` says which are bad in which way (`bad_orders`)."""
    for number, start in enumerate(range(0, orders, ORDERS_A_PART)):
        chance = _Chance(random.Random(f"{seed} {number}"))
        made = _orders(start, min(orders, start + ORDERS_A_PART), orders, bad, chance)
        lines = _lines(made, chance)
        made = made.with_columns(
            grams=_per_order(lines["quantity"] * lines["unit_grams"]),
            subtotal=_per_order(lines["amount"]),
            tax=_per_order(lines["tax"]),
        ).with_columns(total=pl.col("subtotal") + pl.col("shipping") + pl.col("tax"))
        of_order = made.select(pl.exclude("grams", "tax", "subtotal", "total"))
        lines = pl.concat([of_order[lines["row"]], lines], how="horizontal")
        orphans = bad.filter(pl.col("place").is_in(made["place"].implode())).height // len(BAD_WAYS)
        yield Part(made, lines, _fulfillments(made, chance), orphans)


def _per_order(values: pl.Series) -> pl.Series:
    return values.reshape((-1, LINES_AN_ORDER)).arr.sum()


class _Chance:
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


def _orders(start: int, end: int, orders: int, bad: pl.DataFrame, chance: _Chance) -> pl.DataFrame:
    """Return the orders from one place to another: where, when and by whom; no amounts but shipping."""
    count = end - start
    span_s = int(_SPAN.total_seconds())
    frame = pl.DataFrame({"place": pl.int_range(start, end, eager=True)}).with_columns(
        customer=chance.below(max(1, orders * 7 // 10), count),
        jitter=chance.below(max(1, span_s // orders), count),
        shipping=chance.of(_SHIPPING_CENTS, count),
        note=pl.when(chance.seldom(150, count)).then(chance.of(_NOTES, count)),
        cancelled=chance.seldom(20, count),
        reason=chance.of(_REASONS, count),
        guest=chance.seldom(10, count),
        dispatches=chance.of(_DISPATCHES, count),
    )
    # A customer is the same person wherever the number comes up.
    mixed = frame["customer"] * 2_654_435_761 // 65_536
    places = _PLACES[mixed % _PLACES.height]
    good = pl.col("way").is_null()
    begins = pl.lit(_FIRST_DAY).dt.replace_time_zone("UTC")
    return (
        pl.concat([frame.with_columns(mixed=mixed), places], how="horizontal")
        .join(bad, on="place", how="left", maintain_order="left")
        .with_columns(
            source_order_id=(_FIRST_ORDER_ID + 7 * pl.col("place")).cast(pl.String),
            created=begins + pl.duration(seconds=pl.col("place") * span_s // orders + pl.col("jitter")),
            cancelled=pl.col("cancelled") & good,
            guest=pl.col("guest") & good,
            currency=pl.when(pl.col("country") == "DE").then(pl.lit("EUR")).otherwise(pl.lit("USD")),
            first_name=_one_of(_FIRST_NAMES, pl.col("mixed") // 7),
            last_name=_one_of(_LAST_NAMES, pl.col("mixed") // 301),
            email=pl.format("customer.{}@example.com", "customer"),
            phone=pl.col("phone") + _last_digits(),
            line1=pl.format("{} {}", 1 + pl.col("mixed") % 1999, "street"),
            line2=pl.when(pl.col("mixed") % 9 == 0).then(pl.format("Apt. {}, rear", pl.col("mixed") % 400)),
            postal=pl.col("postal").str.replace("{}", _postal_end(), literal=True),
        )
        .with_columns(full_name=pl.format("{} {}", "first_name", "last_name"))
        .drop("mixed", "jitter", "street")
    )


def _one_of(names: Sequence[str], number: pl.Expr) -> pl.Expr:
    return pl.lit(pl.Series(tuple(names))).gather(number % len(names))


def _last_digits() -> pl.Expr:
    """Return the end of a number that is kept free for fiction: 0100 to 0199 in America, three digits elsewhere."""
    digits = (100 + pl.col("customer") % 100).cast(pl.String).str.zfill(3)
    return pl.when(pl.col("country").is_in(["US", "CA"])).then("0" + digits).otherwise(digits)


def _postal_end() -> pl.Expr:
    number = pl.col("mixed") % 90
    digit, letter = number % 9 + 1, _one_of("ABCEGHJLNP", number // 9)
    by_country = {"CA": pl.format("{}{}", letter, digit), "GB": pl.format("{}{}A", digit, letter)}
    end = (number + 10).cast(pl.String)
    for country, text in by_country.items():
        end = pl.when(pl.col("country") == country).then(text).otherwise(end)
    return end


@cache
def _products() -> pl.DataFrame:
    """Return what is sold: one row a variant."""
    rows = [
        (
            f"81{thing:02}{model:02}",
            f"91{thing:02}{model:02}{colour}{size}",
            f"{name.split()[0].upper()[:4]}-{model:02}-{_COLOURS[colour][:2].upper()}{_SIZES[size]}",
            f"{name} no. {model}, {_COLOURS[colour]}",
            _VENDORS[(thing + model) % len(_VENDORS)],
            899 + 137 * thing * (model + 1) % 9000 + 200 * size,
            130 + 71 * thing * (model + 2) % 4000,
            f'[{{"name": "Size", "value": "{_SIZES[size]}"}}, {{"name": "Colour", "value": "{_COLOURS[colour]}"}}]'
            if (thing + model) % 2
            else None,
        )
        for thing, name in enumerate(_THINGS)
        for model in range(8)
        for colour in range(len(_COLOURS))
        for size in range(len(_SIZES))
    ]
    names = ["product_id", "variant_id", "sku", "name", "vendor", "cents", "unit_grams", "options"]
    return pl.DataFrame(rows, schema=names, orient="row")


def _lines(orders: pl.DataFrame, chance: _Chance) -> pl.DataFrame:
    """Return one row a line, with its exact share of its order's tax: what the tax grows by, line by line."""
    count = orders.height * LINES_AN_ORDER
    rows = pl.int_range(count, eager=True)
    products = _products()[chance.below(_products().height, count)]
    frame = products.with_columns(
        row=rows // LINES_AN_ORDER,
        number=rows % LINES_AN_ORDER + 1,
        quantity=chance.of(_QUANTITIES, count),
    ).with_columns(amount=pl.col("quantity") * pl.col("cents"))
    by_order = frame["amount"].reshape((-1, LINES_AN_ORDER))
    so_far = by_order.arr.eval(pl.element().cum_sum(), as_list=False).explode()
    rate = orders["tax_rate"].gather(frame["row"])
    return frame.with_columns(
        tax=(so_far * rate + 5000) // 10_000 - ((so_far - frame["amount"]) * rate + 5000) // 10_000
    )


def _fulfillments(orders: pl.DataFrame, chance: _Chance) -> pl.DataFrame:
    """Return the dispatches: none of cancelled orders, two of some."""
    frame = (
        orders.filter(~pl.col("cancelled") & (pl.col("dispatches") > 0))
        .with_columns(dispatch=pl.int_ranges(1, pl.col("dispatches") + 1))
        .explode("dispatch")
    )
    frame = frame.with_columns(days=chance.below(3, frame.height), arrived=chance.seldom(900, frame.height))
    return frame.with_columns(
        left=pl.col("created") + pl.duration(hours=20 + 24 * pl.col("days")),
        tracking=pl.format("TRK{}{}", "source_order_id", "dispatch"),
        carrier=pl.col("country").replace(
            {"US": "UPS", "CA": "Canada Post", "GB": "Royal Mail", "DE": "DHL"}
        ),
    )
