"""The listing: what Corso gives back. One row = one record; two records may carry the same source order id.

The columns are those of `orders` (all nullable: Corso's answers are taken as they come), plus what Corso
assigns, plus the line items as a list.
"""

import pandera.polars as pa
import polars as pl

from schemas.fields import INSTANT, NUMBER, dtypes
from schemas.line_items import LINE_ITEM_PATHS, LINE_ITEMS
from schemas.orders import ORDER_PATHS, ORDERS

LISTED_LINE_ITEM = pl.Struct({name: dtypes(LINE_ITEMS)[name] for name in LINE_ITEM_PATHS})
"""One line item in the listing: the columns of `line_items` that the API knows."""

LISTING = pa.DataFrameSchema(
    {
        "corso_order_id": pa.Column(pl.String, description="Corso's id of the record, as text."),
        "store_id": pa.Column(NUMBER, nullable=True, description="The store that the record belongs to."),
        **{
            name: pa.Column(dtypes(ORDERS)[name], nullable=name != "source_order_id", metadata={"api": path})
            for name, path in ORDER_PATHS.items()
        },
        "created_on": pa.Column(INSTANT, nullable=True, description="When Corso made the record."),
        "updated_on": pa.Column(INSTANT, nullable=True, description="When Corso last changed it."),
        "line_items": pa.Column(pl.List(LISTED_LINE_ITEM), description="The record's lines."),
    },
    strict=True,
    name="listing",
)
