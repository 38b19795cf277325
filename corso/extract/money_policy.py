"""How the amounts of an export become Corso's four, whose total has to be the sum of the others.

What is moved, and where to, is the profile's to say; here it is done, exactly, and written down beside the order
(`moved`), so that the report can show how much it was. A cent is never made or lost: the total stays what the export
says.
"""

import polars as pl

from corso.extract.profile import MoneyPolicy
from schemas.money import currency_of, minor_units
from schemas.moved_money import MOVED_COLUMNS

AMOUNT = pl.Decimal(38, 4)
_PLAIN = r"^[+-]?(?:\d{1,18}(?:\.\d*)?|\.\d+)$"
INSIDE = "tax inside the prices"
"""The kind of what the subtotal loses where prices include the tax."""
SHARED = "tax shared out over lines"
"""The kind of what lines get that have no tax of their own."""

IS_SHARED = "__tax_is_shared"
"""Marks lines whose tax is a share."""

_PARTS = ("subtotal", "shipping", "tax")


def written(amount: pl.Expr) -> pl.Expr:
    """Write amounts as text."""
    return amount.cast(AMOUNT).cast(pl.String)


def read_amount(text: pl.Expr) -> pl.Expr:
    """Read amounts, rounded to four decimals; null where a text is none.

    As in validation, an amount is digits and a point: a cast by itself would read 1E+1, a spreadsheet's rest of a number.
    """
    plain = text.str.strip_chars()
    return pl.when(plain.str.contains(_PLAIN)).then(plain).cast(AMOUNT, strict=False)


def apply_policy(orders: pl.LazyFrame, policy: MoneyPolicy) -> pl.LazyFrame:
    """Move what the policy moves in a table of raw orders with `moved`.

    An amount that cannot be read stays as it is; where it would have to go into another, it stands in its place, so that
    validation refuses the order.
    """
    moved = [read_amount(pl.col("moved").struct.field(str(number))) for number in range(len(policy.moved))]
    amounts = {part: read_amount(pl.col(f"{part}_money")) for part in (*_PARTS, "total")}
    for part in _PARTS:
        more = [amount for amount, each in zip(moved, policy.moved, strict=True) if each.into == part]
        if more:
            # What is not in the export is missing, and not zero.
            is_there = pl.any_horizontal(amount.is_not_null() for amount in (amounts[part], *more))
            amounts[part] = pl.when(_is_readable(f"{part}_money") & is_there).then(
                pl.sum_horizontal(amounts[part], *more)
            )
    changed = {part for part in _PARTS if any(each.into == part for each in policy.moved)}
    inside = _inside(policy, amounts)
    if policy.prices_include_tax != "no":
        amounts["subtotal"] = amounts["subtotal"] - inside.fill_null(0)
        changed.add("subtotal")
    texts = [
        pl.coalesce(_unreadable(policy, part), written(amounts[part]), f"{part}_money").alias(f"{part}_money")
        for part in sorted(changed)
    ]
    kinds = [written(amount).alias(str(number)) for number, amount in enumerate(moved)]
    kinds.append(written(inside).alias(str(len(moved))))
    return orders.with_columns(*texts, pl.struct(kinds).alias("moved"))


def _unreadable(policy: MoneyPolicy, part: str) -> pl.Expr:
    """Return the text of an amount that goes into a part and cannot be read; null where all can."""
    texts = [
        pl.col("moved").struct.field(str(number))
        for number, each in enumerate(policy.moved)
        if each.into == part
    ]
    return pl.coalesce(
        pl.lit(None, pl.String), *(pl.when(read_amount(text).is_null()).then(text) for text in texts)
    )


def count_moved(
    orders: pl.DataFrame, line_items: pl.DataFrame, policy: MoneyPolicy, store_currency: str | None
) -> pl.DataFrame:
    """Return what was moved in accepted orders (`schemas.moved_money.MOVED_COLUMNS`).

    `orders` are raw ones with `moved`; `line_items` theirs, as `share_tax` left them.
    """
    kinds = [(each.kind, str(each.into)) for each in policy.moved] + [(INSIDE, "tax")]
    moved = orders.select(
        currency_of(pl.col("customer_currency_code"), store_currency).alias("currency"),
        *(
            read_amount(pl.col("moved").struct.field(str(number))).alias(str(number))
            for number in range(len(kinds))
        ),
    )
    parts = [
        _counted(moved.select("currency", pl.col(str(number)).alias("amount")), kind, into)
        for number, (kind, into) in enumerate(kinds)
    ]
    if policy.line_tax == "shared":
        of_lines = (
            line_items.filter(IS_SHARED).group_by("source_order_id").agg(pl.col("tax").sum().alias("amount"))
        )
        named = orders.select(
            "source_order_id", currency_of(pl.col("customer_currency_code"), store_currency).alias("currency")
        )
        parts.append(
            _counted(of_lines.join(named, on="source_order_id").select("currency", "amount"), SHARED, "lines")
        )
    return pl.concat(parts)


def _counted(amounts: pl.DataFrame, kind: str, into: str) -> pl.DataFrame:
    return (
        amounts.filter(pl.col("amount") != 0)
        .group_by("currency")
        .agg(orders=pl.len(), amount=pl.col("amount").sum())
        .select(kind=pl.lit(kind), into=pl.lit(into), currency="currency", orders="orders", amount="amount")
        .cast(MOVED_COLUMNS)
    )


def _inside(policy: MoneyPolicy, amounts: dict[str, pl.Expr]) -> pl.Expr:
    """Return the tax that the subtotal holds; null where it holds none."""
    tax = amounts["tax"]
    if policy.prices_include_tax == "yes":
        return pl.when(tax != 0).then(tax)
    if policy.prices_include_tax == "by_total":
        without = amounts["subtotal"] + amounts["shipping"]
        return pl.when((tax != 0) & (without == amounts["total"])).then(tax)
    return pl.lit(None, AMOUNT)


def _is_readable(column: str) -> pl.Expr:
    return read_amount(pl.col(column)).is_not_null() | pl.col(column).is_null()


def share_tax(line_items: pl.DataFrame, orders: pl.DataFrame, store_currency: str | None) -> pl.DataFrame:
    """Share out the tax of orders none of whose raw lines has one, by the lines' amounts.

    Shares are whole minor units of the order's currency (ISO 4217; of the finest that the tax itself needs) and add up
    to the tax exactly (IS_SHARED marks the lines): the n-th line gets what the first n lines' part, rounded, is more than that of the n - 1 before it.
    Where all amounts are nothing, lines count alike. A line that stands in two files is one, and gets its share in both. Orders with a
    tax, an amount or a quantity that cannot be read are left as they are.
    """
    order, line = "source_order_id", "source_line_item_id"
    totals = orders.select(
        order,
        _units(read_amount(pl.col("tax_money"))).alias("__total"),
        minor_units(pl.coalesce("customer_currency_code", pl.lit(store_currency, pl.String))).alias(
            "__digits"
        ),
    ).unique(order, keep="first")
    # An order that differs from file to file is refused in any case.
    again = pl.col(line).is_not_null() & ~pl.struct(order, line).hash().is_first_distinct()
    weight = (_units(read_amount(pl.col("price"))) * _units(read_amount(pl.col("quantity")))).abs()
    lines = line_items.join(totals, on=order, how="left", maintain_order="left").with_columns(
        again.alias("__again"), pl.when(again).then(pl.lit(0, pl.Int128)).otherwise(weight).alias("__weight")
    )
    is_whole = pl.col("fault").is_null() & pl.col("tax").is_null() & pl.col("__weight").is_not_null()
    sum_of_weights = pl.col("__weight").sum().over(order)
    step = pl.lit(10, pl.Int128).pow(4 - pl.col("__digits"))
    lines = lines.with_columns(
        pl.when(sum_of_weights == 0)
        .then((~pl.col("__again")).cast(pl.Int128))
        .otherwise("__weight")
        .alias("__weight"),
        # A tax finer than the currency's coins is shared out as finely as it is.
        pl.when(pl.col("__total") % step == 0).then(step).otherwise(1).cast(pl.Int128).alias("__step"),
        (is_whole.all().over(order) & pl.col("__total").is_not_null()).alias("__is_shared"),
    )
    shared = lines.with_columns(_shares(order).alias("__share"))
    adds_up = pl.col("__share").sum().over(order) == pl.col("__total")
    if lines["__again"].any():
        shared = shared.with_columns(adds_up.alias("__adds_up"), pl.col("__share").first().over(order, line))
        adds_up = pl.col("__adds_up")
    share = pl.col("__share").cast(AMOUNT) / 10_000
    is_shared = pl.col("__is_shared") & adds_up.fill_null(value=False)
    return shared.with_columns(
        pl.when(is_shared).then(written(share)).otherwise("tax").alias("tax"), is_shared.alias(IS_SHARED)
    ).select(*line_items.columns, IS_SHARED)


def _units(amount: pl.Expr) -> pl.Expr:
    """Return amounts as whole ten-thousandths."""
    return (amount * 10_000).cast(pl.Int128, strict=False)


def _shares(order: str) -> pl.Expr:
    """Return each line's part in ten-thousandths: what the lines up to it have, less what those before it have."""
    total, weight, step = pl.col("__total"), pl.col("__weight"), pl.col("__step")
    coins = total.abs() // step
    whole = weight.sum().over(order)
    up_to = weight.cum_sum().over(order)

    def part(of: pl.Expr) -> pl.Expr:
        return (2 * coins * of + whole) // (2 * whole)

    return (part(up_to) - part(up_to - weight)) * step * total.sign()
