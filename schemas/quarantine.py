"""The quarantine: one row = one export row that is not loaded, with the reasons.

The unit is the whole order: a row without a fault of its own is here because its order is. An exact repetition
of a row is here too, as `repeated`: its order is loaded, once.
The table has one more column, `original`: a struct of text with the row as it stood in the export. Its fields
differ from export to export, so that the schema below cannot name them (`strict=False`).
"""

import pandera.polars as pa
import polars as pl

from schemas.fields import MONEY

PROBLEM = pl.Struct(
    {"rule": pl.String, "column": pl.String, "value": pl.String, "sentence": pl.String, "remedy": pl.String}
)
"""One broken rule: `sentence` reads after the column and its value, `remedy` says what to do."""

OF_ANOTHER_ROW = "another row of its order is quarantined"
"""The reason of a row without a fault of its own, where none of the tables finds one in that line of the export."""

QUARANTINE = pa.DataFrameSchema(
    {
        "table": pa.Column(
            pl.String,
            pa.Check.isin(("orders", "line_items", "fulfillments")),
            description="The canonical table.",
        ),
        "source_order_id": pa.Column(
            pl.String, nullable=True, description="The order; empty where the row names none."
        ),
        "file": pa.Column(pl.String, description="The export file."),
        "line": pa.Column(pl.Int64, description="The line in that file."),
        "kind": pa.Column(
            pl.String,
            pa.Check.isin(("quarantined", "repeated")),
            description="`repeated` rows are not counted as quarantined.",
        ),
        "problems": pa.Column(
            pl.List(PROBLEM),
            description="The rules that the row breaks; empty for a row without a fault of its own.",
        ),
        "reasons": pa.Column(
            pl.String,
            description="The same as sentences, parted by '; '; of a row without a fault of its own OF_ANOTHER_ROW, or nothing "
            "where its line of the export has one as a row of another table.",
        ),
        "total_money": pa.Column(
            MONEY, nullable=True, description="For rows of `orders`: the total, where it can be read."
        ),
        "currency": pa.Column(
            pl.String, nullable=True, description="For rows of `orders`: the currency in the report."
        ),
        "month": pa.Column(
            pl.String,
            nullable=True,
            description="For rows of `orders`: YYYY-MM in the store's zone, or 'undated'.",
        ),
    },
    strict=False,
    name="quarantine",
)
