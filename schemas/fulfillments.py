"""The canonical table `fulfillments`: one row = one dispatch of an order, or of a part of it."""

import pandera.polars as pa

from schemas.fields import INSTANT, NUMBER, PROVENANCE, TEXT, Mending, api_paths, field

FULFILLMENTS = pa.DataFrameSchema(
    {
        "source_order_id": pa.Column(TEXT, description="The order that was dispatched."),
        **field(TEXT, "sourceFulfillmentId", "The fulfillment's id on the source platform.", required=True),
        **field(
            NUMBER,
            "fulfillmentLocationId",
            "Corso's number of the warehouse; from store.fulfillment_locations where the export has a name or nothing.",
            required=True,
            mending=Mending(
                "is not a number of a location in Corso",
                "name it under store.fulfillment_locations in loader.yaml, with its number in Corso",
                "give Corso's number of the warehouse in loader.yaml, as store.fulfillment_locations.default, or fill the column",
            ),
        ),
        **field(NUMBER, "shippingWeightGrams", "Weight in grams."),
        **field(TEXT, "trackingInfoCompany", "The carrier."),
        **field(TEXT, "trackingInfoNumber", "The tracking number."),
        **field(TEXT, "trackingInfoUrl", "The tracking page."),
        **field(TEXT, "shipmentStatus", "e.g. in_transit."),
        **field(INSTANT, "deliveredOn", "When it was delivered."),
        **field(INSTANT, "estimatedDeliveryOn", "When it is expected."),
        **field(INSTANT, "inTransitOn", "When the carrier took it."),
        **field(INSTANT, "sourceCreatedOn", "When it was dispatched, by the source's clock."),
        **PROVENANCE,
    },
    strict=True,
    name="fulfillments",
)

FULFILLMENT_PATHS = api_paths(FULFILLMENTS)
"""Column -> key in the API's fulfillment object."""
