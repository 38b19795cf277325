"""Which orders go first: a few, of every year, currency and shape, so that a wrong mapping shows at once.

An order's shape is what it has in each of `_FEATURES`. Orders are counted by shape in one streaming pass; what is
chosen then covers each value of each feature, the rare ones too, before it repeats any.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from schemas.orders import CUSTOMER

_MOST_SHAPES = 5_000
"""So many shapes, the most frequent, are weighed against each other, and for each value of each feature one more."""
_LONG_TEXT = 255
"""Characters; longer text meets limits that nobody documented."""

_MONEY = ("shipping_money", "subtotal_money", "tax_money", "total_money")
_OFTEN_EMPTY = (
    "order_number",
    "order_name",
    "source_updated_on",
    "currency_conversion_rate",
    "is_shipping_protected",
    "customer_email",
    "customer_phone",
    "billing_address_line2",
    "shipping_address_line2",
    "shipping_address_latitude",
    "grams",
    "shipping_title",
    "canceled_reason",
    "notes",
    "channel",
)
_FREE_TEXT = (
    "notes",
    "customer_first_name",
    "customer_last_name",
    "shipping_address_line1",
    "shipping_title",
)


def choose_canary(
    orders: pl.LazyFrame, line_items: pl.LazyFrame, candidates: pl.LazyFrame, count: int
) -> list[str]:
    """Return the source ids of at most `count` of the candidates, the most telling first.

    `orders` and `line_items` are the accepted tables; `candidates` has the one column source_order_id. The same
    tables give the same orders on every machine, in whatever order their rows are.
    """
    if count <= 0:
        return []
    wanted = orders.join(candidates.unique(), on="source_order_id", how="semi")
    lines = line_items.group_by("source_order_id").agg(**_LINE_FEATURES)
    featured = wanted.select("source_order_id", **_FEATURES).join(lines, on="source_order_id", how="left")
    shapes = (
        featured.group_by(*_FEATURES, *_LINE_FEATURES)
        .agg(example=pl.col("source_order_id").min(), orders=pl.len())
        .sort(["orders", "example"], descending=[True, False])
        .collect(engine="streaming")
    )
    chosen = [shape.example for shape in _cover(_weighed(shapes), count)]
    return chosen + _others(candidates, chosen, count - len(chosen))


def _text_has(pattern: str, columns: Sequence[str]) -> pl.Expr:
    return pl.any_horizontal(pl.col(name).str.contains(pattern) for name in columns).fill_null(value=False)


_FEATURES: dict[str, pl.Expr] = {
    "year": pl.col("source_created_on").dt.year().cast(pl.String).fill_null("none"),
    "currency": pl.col("customer_currency_code").fill_null("none"),
    "country": pl.col("shipping_address_country_code").fill_null("none"),
    "ships_elsewhere": pl.col("shipping_address_country_code").ne_missing(
        pl.col("billing_address_country_code")
    ),
    "cancelled": pl.col("source_canceled_on").is_not_null(),
    "guest": ~pl.any_horizontal(pl.col(name).is_not_null() for name in CUSTOMER),
    "zero_total": pl.col("total_money") == 0,
    "negative": pl.any_horizontal(pl.col(name) < 0 for name in _MONEY),
    "fine_money": pl.any_horizontal(pl.col(name) != pl.col(name).round(2) for name in _MONEY),
    "beyond_ascii": _text_has(r"[^\x00-\x7f]", _FREE_TEXT),
    "several_rows_of_text": _text_has(r"[\r\n]", _FREE_TEXT),
    "long_text": pl.any_horizontal(
        pl.col(name).str.len_chars() > _LONG_TEXT for name in _FREE_TEXT
    ).fill_null(value=False),
    **{f"has_{name}": pl.col(name).is_not_null() for name in _OFTEN_EMPTY},
}
"""Feature -> its value, of the order's row."""

_LINE_FEATURES: dict[str, pl.Expr] = {
    "lines": pl.len()
    .clip(0, 6)
    .replace_strict({1: "1", 2: "2-5", 3: "2-5", 4: "2-5", 5: "2-5"}, default="6+"),
    "odd_quantity": ((pl.col("quantity") <= 0) | (pl.col("quantity") != pl.col("quantity").round(0))).any(),
    "negative_price": (pl.col("price") < 0).any(),
    "options": pl.col("options").list.len().max().fill_null(0) > 0,
    "without_product": pl.col("product_id").is_null().any(),
    "name_beyond_ascii": pl.col("name").str.contains(r"[^\x00-\x7f]").any(),
}
"""Feature -> its value, of all the order's line items."""


@dataclass(frozen=True)
class _Shape:
    example: str
    """The smallest source id of its orders."""
    values: frozenset[tuple[str, object]]


def _weighed(shapes: pl.DataFrame) -> list[_Shape]:
    """Return the most frequent shapes, and of each value the most frequent shape that has it."""
    features = [*_FEATURES, *_LINE_FEATURES]
    rare = [shapes.unique(feature, keep="first", maintain_order=True) for feature in features]
    some = pl.concat([shapes.head(_MOST_SHAPES), *rare]).unique("example", keep="first", maintain_order=True)
    some = some.sort(["orders", "example"], descending=[True, False])
    return [
        _Shape(str(row["example"]), frozenset((feature, row[feature]) for feature in features))
        for row in some.select("example", *features).iter_rows(named=True)
    ]


def _cover(shapes: list[_Shape], count: int) -> Iterator[_Shape]:
    """Yield at most `count`, each the one that shows most of what was not shown yet; the most frequent first."""
    uncovered = frozenset[tuple[str, object]]().union(*(shape.values for shape in shapes))
    left = list(shapes)
    for _ in range(min(count, len(shapes))):
        # max() keeps the first of equals, and the shapes are sorted.
        best = max(left, key=lambda shape: len(shape.values & uncovered))
        uncovered -= best.values
        left.remove(best)
        yield best


def _others(candidates: pl.LazyFrame, chosen: list[str], count: int) -> list[str]:
    """Return further candidates, evenly from the whole of them."""
    if count <= 0:
        return []
    rest = (
        candidates.unique()
        .filter(~pl.col("source_order_id").is_in(chosen))
        .sort("source_order_id")
        .collect(engine="streaming")["source_order_id"]
    )
    step = max(1, len(rest) // count)
    return rest.gather_every(step).head(count).to_list()
