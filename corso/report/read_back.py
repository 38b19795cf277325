"""Corso's answers as frames: decoded JSON in; the `LISTING` table, or `LISTED_FULFILLMENTS`, out.

An answer is taken as it comes: fields that are not known are ignored, missing ones are null. A number that comes as
text says the same amount and is read, and the noise of binary fractions is rounded away (`schemas.wire.without_noise`);
any other value of another type than documented becomes null, so that the comparison shows it as a difference instead of
hiding it.
What was not as documented is counted in a `Drift`, without values (they may be personal data), but for codes.

Values are gathered column by column and converted in one go; only a column that holds something unexpected is
looked at value by value.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import polars as pl

from corso.report.drift import Drift
from schemas.fields import FLAG, INSTANT, MONEY, NUMBER, OPTIONS, country_codes, currency_codes, dtypes
from schemas.fulfillments import FULFILLMENT_PATHS
from schemas.line_items import LINE_ITEM_PATHS, LINE_ITEMS
from schemas.listing import LISTED_FULFILLMENTS, LISTED_LINE_ITEM, LISTED_LINE_TYPES, LISTING
from schemas.orders import ORDER_PATHS, ORDERS
from schemas.wire import MONEY_DECIMALS, MOST_DECIMALS, JsonObject, without_noise

NUMBER_IS_TEXT = ("_id", "_number", "order_name", "postal_code", "sku")
"""Endings of the text columns in which a JSON number is as good as a string: 1001 is "1001"."""

_PLAIN_NUMBER = re.compile(r"-?\d+(\.\d+)?", re.ASCII)

_FITS = rf"^-?\d{{1,{38 - MOST_DECIMALS}}}(\.\d{{1,{MOST_DECIMALS}}})?$"
"""What NUMBER holds."""

LONGEST_NUMBER = 60
"""Digits of a number that is still written out: 1E+999999 would be a megabyte of zeros."""

ALWAYS_THERE = (
    "orderId",
    "storeId",
    "sourceOrderId",
    "lineItems",
    "shippingMoney",
    "subtotalMoney",
    "taxMoney",
    "totalMoney",
    "billingAddress",
    "shippingAddress",
)
"""Fields of an order that Corso's reference documents as always answered (`orderId`: assigned by Corso)."""

LINE_ALWAYS_THERE = ("sourceLineItemId", "name", "quantity", "sku", "tax", "price")
"""The same for a line item."""

LIFTS = {
    "corso_order_id": "orderId",
    "store_id": "storeId",
    "created_on": "createdOn",
    "updated_on": "updatedOn",
}
"""Columns of the listing that the canonical orders do not have -> their key in the API's order object."""


FULFILLMENT_ALWAYS_THERE = ("sourceFulfillmentId", "fulfillmentLocationId")
"""Fields of a fulfillment that Corso's reference documents as always answered."""

FULFILLMENT_LIFTS = {
    "corso_fulfillment_id": "fulfillmentId",
    "created_on": "createdOn",
    "updated_on": "updatedOn",
}
"""Columns of what is read back of fulfillments that the canonical ones do not have -> their key in the API's object."""

NAMED_VALUES = {
    "billing_address_country_code": country_codes,
    "shipping_address_country_code": country_codes,
    "customer_currency_code": currency_codes,
}
"""Columns whose values the reference names, here by naming the standard -> all of them. Of `shipmentStatus` and
`canceledReason` it names none (the one status is an example), so that every value of theirs is as documented."""

LONGEST_VALUE_SHOWN = 20
"""Characters of a value that the reference does not name, for whoever reads the drift; a code is no personal data."""

_ASSIGNED_BY_CORSO = frozenset({*LIFTS.values(), "carbonGrams", "carbonCalculationMethod", "fulfillments"})
_KNOWN = (
    frozenset(path.partition(".")[0] for path in ORDER_PATHS.values()) | _ASSIGNED_BY_CORSO | {"lineItems"}
)
_KNOWN_IN_LINES = frozenset(LINE_ITEM_PATHS.values()) | {"orderId", "lineItemId", "createdOn", "updatedOn"}
_KNOWN_IN_FULFILLMENTS = frozenset({*FULFILLMENT_PATHS.values(), *FULFILLMENT_LIFTS.values(), "orderId"})
_KNOWN_INSIDE = {
    parent: frozenset(
        path.rpartition(".")[2] for path in ORDER_PATHS.values() if path.startswith(f"{parent}.")
    )
    for parent in ("customer", "billingAddress", "shippingAddress")
}


_AMOUNTS = frozenset(
    name for schema in (ORDERS, LINE_ITEMS) for name, dtype in dtypes(schema).items() if dtype == MONEY
)


@dataclass(frozen=True)
class _Odd:
    """Values that were not read as they came: API path -> how many."""

    wrong: Counter[str] = field(default_factory=Counter)
    """Of another type."""
    rounded: Counter[str] = field(default_factory=Counter)

    def add_below(self, parent: str, odd: "_Odd") -> None:
        """Count what was odd in parts of a record."""
        self.wrong.update({f"{parent}.{path}": count for path, count in odd.wrong.items()})
        self.rounded.update({f"{parent}.{path}": count for path, count in odd.rounded.items()})


_TEXT_OR_NOTHING = {str, type(None)}
_NOTHING: dict[str, Any] = {}
_PATHS = {name: LIFTS.get(name) or ORDER_PATHS[name] for name in dtypes(LISTING) if name != "line_items"}


def records_to_frame(records: Sequence[JsonObject], store_id: int) -> pl.DataFrame:
    """Return the records of this store as a frame of the LISTING schema, in the order given."""
    frame, _ = read_records(records, store_id)
    return frame


def read_records(records: Sequence[JsonObject], store_id: int) -> tuple[pl.DataFrame, Drift]:
    """Return the same frame as `records_to_frame`, and what was not as documented.

    A record without `storeId` is kept (the request asked for one store); one without `sourceOrderId` is kept
    with an empty one; one without `orderId` has an empty `corso_order_id`.
    """
    ours = [record for record in records if _text(record.get("storeId")) in {None, str(store_id)}]
    odd = _Odd()
    missing = _missing(ours, ALWAYS_THERE, "")
    unknown: Counter[str] = Counter()
    _count_unknown(ours, _KNOWN, "", unknown)
    for parent, known in _KNOWN_INSIDE.items():
        held = (record.get(parent) for record in ours)
        _count_unknown([each for each in held if isinstance(each, dict)], known, f"{parent}.", unknown)
    columns = _columns(_PATHS, dtypes(LISTING), ours, odd)
    lines = _lines(ours, odd, missing, unknown)
    frame = pl.DataFrame([*columns, lines]).with_columns(
        pl.col("corso_order_id", "source_order_id").fill_null("")
    )
    other = len(records) - len(ours)
    drift = Drift(len(records), other, odd.wrong, missing, unknown, _new_values(frame), odd.rounded)
    return frame, drift


def read_fulfillments(
    read: Iterable[tuple[str, str, Sequence[JsonObject]]],
) -> tuple[pl.DataFrame, Drift]:
    """Return fulfillments as a frame of the LISTED_FULFILLMENTS schema, and what was not as documented.

    `read` are (source order id, Corso's order id, its fulfillments as the API answered them).
    """
    owners = [(source, corso, record) for source, corso, records in read for record in records]
    records = [record for _, _, record in owners]
    odd = _Odd()
    unknown: Counter[str] = Counter()
    _count_unknown(records, _KNOWN_IN_FULFILLMENTS, "fulfillments.", unknown)
    types = dtypes(LISTED_FULFILLMENTS)
    ids = {"source_order_id": [each[0] for each in owners], "corso_order_id": [each[1] for each in owners]}
    columns = _columns({**FULFILLMENT_PATHS, **FULFILLMENT_LIFTS}, types, records, odd)
    frame = pl.DataFrame(
        [*(pl.Series(name, values, pl.String()) for name, values in ids.items()), *columns]
    ).with_columns(pl.col("corso_fulfillment_id", "source_fulfillment_id").fill_null(""))
    missing = _missing(records, FULFILLMENT_ALWAYS_THERE, "fulfillments.")
    told = _Odd()
    told.add_below("fulfillments", odd)
    drift = Drift(len(records), 0, told.wrong, missing, unknown, rounded=told.rounded)
    return frame.select(list(types)), drift


def _new_values(frame: pl.DataFrame) -> Counter[str]:
    """Count the values that the reference does not name: `path: value`, cut short."""
    found: Counter[str] = Counter()
    for name, named in NAMED_VALUES.items():
        counts = frame[name].drop_nulls().value_counts()
        for value, count in counts.iter_rows():
            if value not in named():
                found[f"{_PATHS[name]}: {value[:LONGEST_VALUE_SHOWN]}"] += count
    return found


def _columns(
    paths: Mapping[str, str], types: Mapping[str, pl.DataType], records: Sequence[Any], odd: _Odd
) -> list[pl.Series]:
    """Return one typed column for each path; a path is a key of the record, or `parent.key`."""
    holders: dict[str, Sequence[Any]] = {"": records}
    columns = []
    for name, path in paths.items():
        parent, _, key = path.rpartition(".")
        if parent not in holders:
            held = (record.get(parent) for record in records)
            holders[parent] = [value if isinstance(value, dict) else _NOTHING for value in held]
        values = [holder.get(key) for holder in holders[parent]]
        columns.append(_typed(name, path, types[name], values, odd))
    return columns


def _typed(name: str, path: str, dtype: pl.DataType, values: list[Any], odd: _Odd) -> pl.Series:
    """Convert one column's values; what cannot be read becomes null. It is counted under `path`, as are numbers as text."""
    wrong = odd.wrong
    if dtype.is_decimal():
        series, rounded = _decimals(name, values)
        if rounded:
            odd.rounded[path] += rounded
        if str in set(map(type, values)) and not name.endswith(NUMBER_IS_TEXT):
            pairs = zip(values, series.is_not_null(), strict=True)
            if as_text := sum(is_read and isinstance(value, str) for value, is_read in pairs):
                wrong[path] += as_text
    elif dtype == INSTANT:
        series = _instants(name, values)
    elif dtype == FLAG:
        series = pl.Series(name, [value if isinstance(value, bool) else None for value in values], dtype)
    elif dtype == OPTIONS:
        series = pl.Series(name, [_options(value) for value in values], dtype)
    else:
        series = _texts(name, values)
    lost = len(values) - values.count(None) - (len(series) - series.null_count())
    if lost:
        wrong[path] += lost
    return series


def _texts(name: str, values: list[Any]) -> pl.Series:
    # Not left to polars to refuse: 2.1 panics on a Decimal of more than some 40 digits in a column of text.
    if not set(map(type, values)) <= _TEXT_OR_NOTHING:
        plain: Callable[[Any], str | None] = _text if name.endswith(NUMBER_IS_TEXT) else _only_text
        values = [plain(value) for value in values]
    return pl.Series(name, values, pl.String())


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else _digits(value)


def _only_text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _digits(value: Any) -> str | None:
    """Write a JSON number without an exponent; None for everything else."""
    kind = type(value)
    if kind is int:
        return str(value)
    if kind is float:
        value = Decimal(str(value))
    elif kind is not Decimal:
        return None
    text = str(value)
    if "E" in text or "N" in text or "I" in text:
        if not value.is_finite() or abs(value.adjusted()) > LONGEST_NUMBER:
            return None
        text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if text[-1] == "0" and "." in text else text


def _number_text(value: Any) -> str | None:
    if not isinstance(value, str):
        return _digits(value)
    return _digits(Decimal(value)) if _PLAIN_NUMBER.fullmatch(value) else None


def _decimals(name: str, values: list[Any]) -> tuple[pl.Series, int]:
    """Read numbers as NUMBER; say, too, how many were rounded. Those of noise alone are: two amounts never become equal."""
    decimals = MONEY_DECIMALS if name in _AMOUNTS else MOST_DECIMALS
    texts = pl.Series(name, [_number_text(value) for value in values], pl.String())
    has_more = texts.str.contains(rf"\.\d{{{decimals + 1}}}").arg_true()
    given = texts.gather(has_more).to_list()
    read = [_without_noise(text, decimals) for text in given]
    if read:
        texts = texts.scatter(has_more, read)
    fits = texts.str.contains(_FITS)
    return texts.set(~fits, None).cast(NUMBER), sum(a != b for a, b in zip(given, read, strict=True))


def _without_noise(text: str, decimals: int) -> str:
    try:
        return f"{without_noise(Decimal(text), decimals):f}"
    except ArithmeticError:
        return text


def _instants(name: str, values: list[Any]) -> pl.Series:
    """Read RFC 3339; a date-time without an offset is no instant."""
    texts = pl.Series(name, [_only_text(value) for value in values], pl.String())
    return texts.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)


def _options(value: Any) -> list[dict[str, str | None]] | None:
    if not isinstance(value, list):
        return None
    return [
        {"name": _text(option.get("name")), "value": _text(option.get("value"))}
        for option in value
        if isinstance(option, dict)
    ]


def _lines(
    records: Sequence[JsonObject], odd: _Odd, missing: Counter[str], unknown: Counter[str]
) -> pl.Series:
    """Return the line items of every record as one list column; no lines are an empty list."""
    lists = [_line_list(record.get("lineItems"), odd.wrong) for record in records]
    flat = [line for lines in lists for line in lines]
    missing.update(_missing(flat, LINE_ALWAYS_THERE, "lineItems."))
    _count_unknown(flat, _KNOWN_IN_LINES, "lineItems.", unknown)
    found = _Odd()
    columns = _columns(LINE_ITEM_PATHS, LISTED_LINE_TYPES, flat, found)
    odd.add_below("lineItems", found)
    owners = pl.Series("owner", [row for row, lines in enumerate(lists) for _ in lines], pl.Int64())
    structs = pl.DataFrame(columns).to_struct("line_items")
    lists_of_structs = (
        pl.DataFrame([owners, structs]).group_by("owner", maintain_order=True).agg("line_items")
    )
    every = pl.DataFrame({"owner": pl.Series(range(len(lists)), dtype=pl.Int64())})
    joined = every.join(lists_of_structs, on="owner", how="left", maintain_order="left")
    nothing = pl.lit([], pl.List(LISTED_LINE_ITEM))
    return joined["line_items"].to_frame().select(pl.col("line_items").fill_null(nothing)).to_series()


def _line_list(value: Any, wrong: Counter[str]) -> list[dict[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list):
        wrong["lineItems"] += 1
        return []
    lines = [line for line in value if isinstance(line, dict)]
    if len(lines) < len(value):
        wrong["lineItems"] += len(value) - len(lines)
    return lines


def _missing(records: Sequence[JsonObject], keys: Sequence[str], prefix: str) -> Counter[str]:
    counts = {prefix + key: sum(record.get(key) is None for record in records) for key in keys}
    return Counter({path: count for path, count in counts.items() if count})


def _count_unknown(
    records: Sequence[JsonObject], known: frozenset[str], prefix: str, counts: Counter[str]
) -> None:
    for record in records:
        if not record.keys() <= known:
            counts.update(prefix + key for key in record.keys() - known)
