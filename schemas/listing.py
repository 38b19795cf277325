"""The listing: what Corso gives back. One row = one record; two records may carry the same source order id.

Fulfillments are read order by order, and not of every order: FULFILLMENTS_READ says of which, LISTED_FULFILLMENTS what
was there. An order that is among the first and has no row among the second has no fulfillment in Corso.

The columns are those of `orders` (all nullable: Corso's answers are taken as they come), plus what Corso
assigns, plus the line items as a list.
"""

from collections.abc import Iterable
from typing import Any

import pandera.polars as pa
import polars as pl

from schemas.fields import INSTANT, MONEY, NUMBER, dtypes
from schemas.fulfillments import FULFILLMENT_PATHS, FULFILLMENTS
from schemas.line_items import LINE_ITEM_PATHS, LINE_ITEMS
from schemas.orders import ORDER_PATHS, ORDERS


def _listed(schema: pa.DataFrameSchema, names: Iterable[str]) -> dict[str, Any]:
    """Return the types of columns in the listing. Amounts have room for decimals that no export has: they are shown, too."""
    types = dtypes(schema)
    return {name: NUMBER if types[name] == MONEY else types[name] for name in names}


LISTED_LINE_TYPES = _listed(LINE_ITEMS, LINE_ITEM_PATHS)
LISTED_LINE_ITEM = pl.Struct(LISTED_LINE_TYPES)
"""One line item in the listing: the columns of `line_items` that the API knows."""

LISTING = pa.DataFrameSchema(
    {
        "corso_order_id": pa.Column(pl.String, description="Corso's id of the record, as text."),
        "store_id": pa.Column(NUMBER, nullable=True, description="The store that the record belongs to."),
        **{
            name: pa.Column(dtype, nullable=name != "source_order_id", metadata={"api": ORDER_PATHS[name]})
            for name, dtype in _listed(ORDERS, ORDER_PATHS).items()
        },
        "created_on": pa.Column(INSTANT, nullable=True, description="When Corso made the record."),
        "updated_on": pa.Column(INSTANT, nullable=True, description="When Corso last changed it."),
        "line_items": pa.Column(pl.List(LISTED_LINE_ITEM), description="The record's lines."),
    },
    strict=True,
    name="listing",
)

LISTED_FULFILLMENTS = pa.DataFrameSchema(
    {
        "source_order_id": pa.Column(pl.String, description="The order, by its id on the source platform."),
        "corso_order_id": pa.Column(pl.String, description="Corso's id of the order, as text."),
        "corso_fulfillment_id": pa.Column(pl.String, description="Corso's id of the fulfillment, as text."),
        **{
            name: pa.Column(
                dtypes(FULFILLMENTS)[name], nullable=name != "source_fulfillment_id", metadata={"api": path}
            )
            for name, path in FULFILLMENT_PATHS.items()
        },
        "created_on": pa.Column(INSTANT, nullable=True, description="When Corso made the record."),
        "updated_on": pa.Column(INSTANT, nullable=True, description="When Corso last changed it."),
    },
    strict=True,
    name="corso_fulfillments",
)
"""One row = one fulfillment record."""

FULFILLMENTS_READ = pa.DataFrameSchema(
    {
        "source_order_id": pa.Column(pl.String, description="The order, by its id on the source platform."),
        "corso_order_id": pa.Column(pl.String, description="Corso's id of the order, as text."),
        "read_at": pa.Column(
            INSTANT, description="When its fulfillments were read, by this machine's clock."
        ),
    },
    strict=True,
    name="fulfillments_read",
)
"""One row = one record of an order whose fulfillments were read."""
