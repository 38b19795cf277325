"""The canonical table `line_items`: one row = one line of an order.

Historic orders break business rules lawfully: negative prices and quantities are carried through.
"""

import pandera.polars as pa

from schemas.fields import INSTANT, MONEY, NUMBER, OPTIONS, PROVENANCE, TEXT, api_paths, field

LINE_ITEMS = pa.DataFrameSchema(
    {
        "source_order_id": pa.Column(TEXT, description="The order that the line belongs to."),
        **field(
            TEXT,
            "sourceLineItemId",
            "The line's id on the source platform, unique in its order.",
            required=True,
        ),
        **field(TEXT, "name", "What was bought.", required=True),
        **field(NUMBER, "quantity", "How many.", required=True),
        **field(TEXT, "sku", "Stock keeping unit.", required=True),
        **field(MONEY, "tax", "The line's tax.", required=True),
        **field(MONEY, "price", "The price of one.", required=True),
        **field(
            TEXT,
            "productId",
            "The product's id on the source platform; Corso's pages disagree whether it is required.",
        ),
        **field(TEXT, "variantId", "The variant's id; decides whether the order is protected."),
        **field(TEXT, "vendor", "Who makes it."),
        **field(TEXT, "imgUrl", "A picture's URL."),
        **field(OPTIONS, "options", 'Chosen options; in the export a JSON array of {"name", "value"}.'),
        **field(INSTANT, "sourceCanceledOn", "When the line was cancelled; empty if it was not."),
        **PROVENANCE,
    },
    strict=True,
    name="line_items",
)

LINE_ITEM_PATHS = api_paths(LINE_ITEMS)
"""Column -> key in the API's line item object."""
