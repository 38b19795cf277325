"""What the merchant's declared fallbacks filled: in which orders, and how often altogether.

Values themselves do not belong here: they stand in the accepted tables, beside what the export had.
"""

from dataclasses import dataclass

import pandera.polars as pa
import polars as pl

FILLED = pl.Struct({"fallback": pl.String, "values": pl.Int64})
"""One fallback's use in one order: `table.column` (or `orders.<address>`), and how many values it filled."""

FILLED_VALUES = pa.DataFrameSchema(
    {
        "source_order_id": pa.Column(
            pl.String, unique=True, description="An accepted order in which at least one value was filled."
        ),
        "filled": pa.Column(
            pl.List(FILLED), description="What was filled, in the order in which loader.yaml declares it."
        ),
    },
    strict=True,
    name="filled_values",
)


@dataclass(frozen=True)
class RuleUse:
    """How often one rule of a fallback gave the value."""

    rule: str
    """The rule as loader.yaml has it."""
    values: int
    """Values in accepted orders; an address that was taken over counts once."""
    values_of_all_rows: int
    """The same with the rows that are not loaded: quarantined ones and repetitions."""


@dataclass(frozen=True)
class FallbackUse:
    """How often one declared fallback was used; zeros where it never was."""

    fallback: str
    """`table.column` or `orders.<address>`."""
    orders: int
    """Accepted orders in which it filled at least one value."""
    rules: tuple[RuleUse, ...]
    """Its rules, in their order."""

    @property
    def table(self) -> str:
        """The table that it fills."""
        return self.fallback.partition(".")[0]

    @property
    def values(self) -> int:
        """Values that it filled in accepted orders."""
        return sum(rule.values for rule in self.rules)

    @property
    def values_of_all_rows(self) -> int:
        """Values that it filled in all rows."""
        return sum(rule.values_of_all_rows for rule in self.rules)

    def __add__(self, other: "FallbackUse") -> "FallbackUse":
        """Add the use in other orders."""
        rules = tuple(
            RuleUse(one.rule, one.values + more.values, one.values_of_all_rows + more.values_of_all_rows)
            for one, more in zip(self.rules, other.rules, strict=True)
        )
        return FallbackUse(self.fallback, self.orders + other.orders, rules)
