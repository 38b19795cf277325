"""Which orders go first: few, but of every year, every currency and every kind that the batch has.

Here they are chosen only; `corso.stages.canary` sends them, reads them back and compares. A mapping that is wrong for
cancelled orders, or an API that drops a third decimal, shows only on an order that has such a thing. So each order
gets its features: a few that have a value (its year, its currency, ...) and many flags (a column that is filled,
money that is negative, text outside of ASCII, ...). Orders whose features are all the same are one shape, and shapes
are taken until every value of every feature was seen. Further places go to the most frequent shapes, year by year.

The rows are read once and by streaming; what is held in memory is a key for each order and a row for each shape.
Nothing is left to chance, and every tie is broken by source_order_id: the same tables give the same orders, whatever
the order of their rows.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import zip_longest
from operator import or_
from typing import Any

import polars as pl

from schemas.fields import INSTANT, MONEY, TEXT, dtypes
from schemas.line_items import LINE_ITEM_PATHS, LINE_ITEMS
from schemas.orders import ORDER_PATHS, ORDERS

_ID = "source_order_id"
_SPREAD = ("year", "currency")
"""The features over which the choice is to be spread: their values are covered first."""
_MANY = ("shipping_country", "billing_country")
"""Covered last: there are so many countries that they would take the places of everything else."""
_VALUED = (*_SPREAD, "line_count", *_MANY)
"""The features that have a value. Every other is a flag."""
_FLAGS = ("order_flags", "line_flags")
"""Columns of flags, one a bit; a flag of the lines is set where any line has it."""
_FLAG_BITS = 64
_ALL_FLAGS = (1 << _FLAG_BITS) - 1
_MOST_SHAPES = 5_000
"""So many of the most frequent shapes are looked at, and of each value the most frequent shape, however rare it is."""
_PEOPLE = ("customer_", "billing_address_", "shipping_address_")
"""How the columns of people and places begin."""
_OF_ORDERS = [name for name in ORDER_PATHS if dtypes(ORDERS)[name] == TEXT]
_ORDER_TEXTS = {
    "people_and_places": [name for name in _OF_ORDERS if name.startswith(_PEOPLE)],
    "own_texts": [name for name in _OF_ORDERS if not name.startswith(_PEOPLE)],
}
_LINE_TEXTS = {"line_texts": [name for name in LINE_ITEM_PATHS if dtypes(LINE_ITEMS)[name] == TEXT]}
"""Group -> the columns whose texts are looked at as one."""
_LONG, _VERY_LONG = 100, 255
"""Characters; many a database column ends at 255."""
_LARGE = 1_000_000
"""From here on amounts are written with thousands separators by some, and lose their cents as small floats."""


def choose_canary(
    orders: pl.LazyFrame, line_items: pl.LazyFrame, candidates: pl.LazyFrame, count: int
) -> list[str]:
    """Return the source_order_id of `count` candidates, the most telling first; of all where there are no more.

    `orders` and `line_items` are the accepted canonical tables; `candidates` has the column source_order_id. Each
    order that is taken for the cover brings a new year or currency as long as there is one, so `count` allows for
    all of them where it is at least the number of years and currencies together.
    """
    if count <= 0:
        return []
    shapes = _shapes(_count_shapes(orders, line_items, candidates))
    chosen = _cover(shapes, count)
    chosen += _fill_from_shapes(shapes, chosen, count - len(chosen))
    if len(chosen) < count:
        chosen += _fill_over_time(orders, candidates, chosen, count - len(chosen))
    return chosen


def _count_shapes(orders: pl.LazyFrame, line_items: pl.LazyFrame, candidates: pl.LazyFrame) -> pl.DataFrame:
    """Count the candidates of each shape; columns: `_VALUED`, `_FLAGS`, orders, source_order_id (the smallest)."""
    lines = (
        _with_texts(line_items, _LINE_TEXTS)
        .select(_ID, _packed(_line_flags()).alias("line_flags"))
        .group_by(_ID)
        .agg(pl.len().alias("lines"), pl.col("line_flags").bitwise_or())
    )
    features = _with_texts(orders, _ORDER_TEXTS).select(
        _ID,
        pl.col("source_created_on").dt.year().alias("year"),
        pl.col("customer_currency_code").alias("currency"),
        pl.col("shipping_address_country_code").alias("shipping_country"),
        pl.col("billing_address_country_code").alias("billing_country"),
        _packed(_order_flags()).alias("order_flags"),
    )
    # No line, one, a few (from 2) and many (from 6).
    number = pl.col("lines").fill_null(0)
    line_count = pl.when(number <= 1).then(number).when(number <= 5).then(2).otherwise(6)
    return (
        # Joined only now: with all their columns in the join, 4 million orders took 3.5 GB at the peak, not 1.0.
        features.join(candidates, on=_ID, how="semi")
        .join(lines, on=_ID, how="left")
        .with_columns(line_count.alias("line_count"), pl.col("line_flags").fill_null(0))
        .group_by(*_VALUED, *_FLAGS)
        .agg(pl.len().alias("orders"), pl.col(_ID).min())
        .collect(engine="streaming")
    )


def _packed(flags: Mapping[str, pl.Expr]) -> pl.Expr:
    """Put flags into one integer; a null is not set."""
    bits = [
        flag.fill_null(value=False).cast(pl.UInt64) * pl.lit(1 << position, pl.UInt64)
        for position, flag in enumerate(flags.values())
    ]
    return pl.sum_horizontal(bits)


def _order_flags() -> dict[str, pl.Expr]:
    """Name -> whether the order has it; at most 64."""
    types = dtypes(ORDERS)
    amounts = [pl.col(name) for name in types if types[name] == MONEY]
    instants = [pl.col(name) for name in types if types[name] == INSTANT]
    optional = (name for name, column in ORDERS.columns.items() if column.nullable)
    return {
        **{f"{name} is filled": pl.col(name).is_not_null() for name in optional},
        "protected": pl.col("is_shipping_protected"),
        "sent abroad": pl.col("shipping_address_country_code") != pl.col("billing_address_country_code"),
        "sent elsewhere": pl.col("shipping_address_line1") != pl.col("billing_address_line1"),
        "without a total": pl.col("total_money") == 0,
        "zero": pl.any_horizontal(amount == 0 for amount in amounts),
        "negative": pl.any_horizontal(amount < 0 for amount in amounts),
        "finer than cents": pl.any_horizontal(amount != amount.round(2) for amount in amounts),
        "large": pl.any_horizontal(amount.abs() >= _LARGE for amount in amounts),
        "fractional grams": pl.col("grams") != pl.col("grams").round(0),
        # Where the other notes are not ASCII, they alone would stand for notes that are.
        "plain notes": pl.col("notes").str.len_bytes() == pl.col("notes").str.len_chars(),
        "finer than seconds": pl.any_horizontal(instant.dt.microsecond() != 0 for instant in instants),
        **_text_flags(_ORDER_TEXTS),
    }


def _line_flags() -> dict[str, pl.Expr]:
    """Name -> whether the line has it; at most 64."""
    quantity, price, tax = pl.col("quantity"), pl.col("price"), pl.col("tax")
    optional = [name for name, column in LINE_ITEMS.columns.items() if column.nullable]
    return {
        **{f"{name} is filled": pl.col(name).is_not_null() for name in optional},
        # Of several lines one may have it and another one not.
        **{f"{name} is empty": pl.col(name).is_null() for name in optional},
        "no options": pl.col("options").list.len() == 0,
        "several options": pl.col("options").list.len() > 1,
        "quantity zero": quantity == 0,
        "quantity negative": quantity < 0,
        "quantity fractional": quantity != quantity.round(0),
        "price zero": price == 0,
        "price negative": price < 0,
        "price finer than cents": price != price.round(2),
        "tax zero": tax == 0,
        "tax negative": tax < 0,
        "tax finer than cents": tax != tax.round(2),
        **_text_flags(_LINE_TEXTS),
    }


def _with_texts(rows: pl.LazyFrame, texts: Mapping[str, Sequence[str]]) -> pl.LazyFrame:
    """Add each group of texts as one text, and as `<group>_longest` the characters of its longest.

    A step of its own: joined anew in each flag, 4 million orders took 2.7 GB at the peak, not 1.0.
    """
    joined = [
        # A unit separator stands in no export; it keeps the ends of each text visible.
        pl.concat_str(names, separator="\x1f", ignore_nulls=True).alias(group)
        for group, names in texts.items()
    ]
    longest = [
        pl.max_horizontal(pl.col(name).str.len_chars() for name in names).alias(f"{group}_longest")
        for group, names in texts.items()
    ]
    return rows.with_columns(*joined, *longest)


def _text_flags(groups: Iterable[str]) -> dict[str, pl.Expr]:
    """Name -> whether any text of a group has what is lost or refused on the way (`_with_texts`)."""
    flags: dict[str, pl.Expr] = {}
    for group in groups:
        text, longest = pl.col(group), pl.col(f"{group}_longest")
        flags |= {
            f"{group}: not ASCII": text.str.len_bytes() != text.str.len_chars(),
            # Four bytes in UTF-8, which an old MySQL does not take.
            f"{group}: emoji": text.str.contains(r"[\x{10000}-\x{10FFFF}]"),
            f"{group}: escaped in JSON": text.str.contains(r'["\\\x00-\x1e]'),
            f"{group}: outer spaces": text.str.contains(r"(?:^|\x1f)\s|\s(?:\x1f|$)"),
            f"{group}: long": longest > _LONG,
            f"{group}: very long": longest > _VERY_LONG,
        }
    return flags


@dataclass(frozen=True)
class _Shape:
    """Orders whose features are all the same."""

    source_order_id: str
    """The smallest of theirs."""
    year: int | None
    shown: tuple[int, ...]
    """The values that they show, as sets of bits: of `_SPREAD`, of what kind they are, of `_MANY`. The earlier set
    is the more important one."""


def _shapes(counted: pl.DataFrame) -> list[_Shape]:
    """Return the shapes to choose from, the most frequent first."""
    ranked = counted.sort("orders", _ID, descending=[True, False]).with_row_index("rank")
    if ranked.height > _MOST_SHAPES:
        firsts = pl.concat(_first_ranks(ranked)).unique()
        is_first = pl.col("rank").is_in(firsts.implode())
        ranked = ranked.filter(is_first | (pl.col("rank") < _MOST_SHAPES))
    bits: dict[tuple[str, object], int] = {}
    return [_shape(row, bits) for row in ranked.iter_rows(named=True)]


def _first_ranks(ranked: pl.DataFrame) -> Iterator[pl.Series]:
    """Yield, feature by feature, the rank of the most frequent shape of each value."""
    for name in _VALUED:
        yield ranked.group_by(name).agg(pl.col("rank").min())["rank"]
    for name in _FLAGS:
        for position in range(_FLAG_BITS):
            is_set = pl.col(name) & pl.lit(1 << position, pl.UInt64) != 0
            yield ranked.group_by(is_set.alias("is_set")).agg(pl.col("rank").min())["rank"]


def _shape(row: Mapping[str, Any], bits: dict[tuple[str, object], int]) -> _Shape:
    """Return the shape of a row of `_count_shapes`; `bits` says which bit a value is, and learns new ones."""

    def shown(names: Iterable[str]) -> int:
        return sum(1 << bits.setdefault((name, row[name]), len(bits)) for name in names)

    kind = shown(["line_count"])
    for name in _FLAGS:
        # A flag that is not set is a value too, and has its bit in the second word.
        kind = kind << _FLAG_BITS | row[name]
        kind = kind << _FLAG_BITS | ~row[name] & _ALL_FLAGS
    return _Shape(row[_ID], row["year"], (shown(_SPREAD), kind, shown(_MANY)))


def _cover(shapes: Sequence[_Shape], count: int) -> list[str]:
    """Choose until each value was seen: always the shape that shows most of what was not, the most frequent first."""
    unseen = [reduce(or_, values, 0) for values in zip(*(shape.shown for shape in shapes), strict=True)]

    def brings(shape: _Shape) -> tuple[int, ...]:
        return tuple((shown & new).bit_count() for shown, new in zip(shape.shown, unseen, strict=True))

    chosen: list[str] = []
    while len(chosen) < count and any(unseen):
        best = max(shapes, key=brings)
        chosen.append(best.source_order_id)
        unseen = [new & ~shown for shown, new in zip(best.shown, unseen, strict=True)]
    return chosen


def _fill_from_shapes(shapes: Sequence[_Shape], chosen: Iterable[str], count: int) -> list[str]:
    """Return one order of each further shape, at most `count`: the years take turns, the most frequent first."""
    taken = set(chosen)
    of_year: dict[int, list[str]] = {}
    for shape in shapes:
        if shape.source_order_id not in taken:
            of_year.setdefault(shape.year or 0, []).append(shape.source_order_id)
    turns = zip_longest(*(of_year[year] for year in sorted(of_year)))
    return [one for turn in turns for one in turn if one is not None][:count]


def _fill_over_time(
    orders: pl.LazyFrame, candidates: pl.LazyFrame, chosen: Sequence[str], count: int
) -> list[str]:
    """Return `count` candidates that were not chosen yet, evenly from the oldest to the newest."""
    taken = pl.LazyFrame({_ID: chosen}, schema={_ID: TEXT})
    rest = (
        orders.select(_ID, "source_created_on")
        .join(candidates, on=_ID, how="semi")
        .join(taken, on=_ID, how="anti")
        .sort("source_created_on", _ID)
        .collect(engine="streaming")[_ID]
    )
    places = min(count, rest.len())
    middles = [(2 * place + 1) * rest.len() // (2 * places) for place in range(places)]
    return rest.gather(middles).to_list()
