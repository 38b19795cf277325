"""A Singer target by the Singer SDK: its validation, a sink that writes the payloads, one that writes the quarantine."""

import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

from singer_sdk import Target
from singer_sdk import typing as th
from singer_sdk.exceptions import InvalidRecord
from singer_sdk.helpers.conform import DatetimeErrorTreatmentEnum
from singer_sdk.sinks import RecordSink
from singer_sdk.sinks.core import JSONSchemaValidator

STORE_ID = 9359
NUMBERS = {
    "currencyConversionRate",
    "shippingMoney",
    "subtotalMoney",
    "taxMoney",
    "totalMoney",
    "latitude",
    "longitude",
    "grams",
    "quantity",
    "tax",
    "price",
    "fulfillmentLocationId",
    "shippingWeightGrams",
}
"""Keys whose values Corso takes as numbers."""


class AllProblems(JSONSchemaValidator):
    """The SDK's validator, which keeps all that is wrong with a record instead of the first."""

    problems: list[str]

    def validate(self, record: dict[str, Any]) -> None:
        """Raise InvalidRecord where anything is wrong."""
        self.problems = [
            f"{error.json_path}: {error.message[:200]}" for error in self.validator.iter_errors(record)
        ]
        if self.problems:
            raise InvalidRecord("; ".join(self.problems), record)


class QuarantineSink(RecordSink):
    """Writes what the tap refused."""

    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:  # noqa: ARG002  # the SDK's
        """Write it."""
        self.target.quarantine(**record)

    def __init__(self, target: "OrdersTarget", *arguments: Any, **named: Any) -> None:
        super().__init__(target, *arguments, **named)
        self.target = target


class OrdersSink(QuarantineSink):
    """Writes payloads of what is valid and adds up."""

    validate_field_string_format = True
    # The sink looks at what its validator found, and refuses the order.
    fail_on_record_validation_exception = False

    @property
    def datetime_error_treatment(self) -> DatetimeErrorTreatmentEnum:
        """A time that cannot be read is among the validator's problems."""
        return DatetimeErrorTreatmentEnum.NULL

    def get_validator(self) -> AllProblems:
        """Return the validator that keeps all problems."""
        self.checker = AllProblems(self.schema, validate_formats=True)
        return self.checker

    def setup(self) -> None:
        """Open the files."""
        self.orders = self.target.open("orders.jsonl")
        self.fulfillments = self.target.open("fulfillments.jsonl")

    def clean_up(self) -> None:
        """Close them."""
        self.orders.close()
        self.fulfillments.close()

    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:  # noqa: ARG002  # the SDK's
        """Write an order and its fulfillments, or all of it into the quarantine."""
        problems = list(self.checker.problems)
        if not problems:
            parts = sum(Decimal(record[key]) for key in ("shippingMoney", "subtotalMoney", "taxMoney"))
            if Decimal(record["totalMoney"]) != parts:
                problems.append("totalMoney is not shippingMoney + subtotalMoney + taxMoney")
        fulfillments = record.pop("fulfillments", [])
        order_id = record.get("sourceOrderId", "")
        if problems:
            lines = record.pop("lineItems", [])
            self.target.quarantine("orders", order_id, problems, record)
            for table, rows in (("line_items", lines), ("fulfillments", fulfillments)):
                for row in rows:
                    self.target.quarantine(table, order_id, ["its order is quarantined"], row)
            return
        write(self.orders, {"storeId": STORE_ID} | payload(record))
        for fulfillment in fulfillments:
            write(self.fulfillments, {"sourceOrderId": order_id, "fulfillment": payload(fulfillment)})


class OrdersTarget(Target):
    """Takes the streams of the tap beside this file."""

    name = "target-orders"
    config_jsonschema = th.PropertiesList(th.Property("folder", th.StringType, required=True)).to_dict()

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self.refused = self.open("quarantine.jsonl")

    def get_sink_class(self, stream_name: str) -> type[RecordSink]:
        """Return the stream's sink."""
        return OrdersSink if stream_name == "orders" else QuarantineSink

    def open(self, name: str) -> TextIO:
        """Open a file among what is written."""
        return (Path(self.config["folder"]) / name).open("w", encoding="utf-8")

    def quarantine(
        self, table: str, source_order_id: str, reasons: list[str], original: dict[str, Any]
    ) -> None:
        """Write a row that is not loaded."""
        entry = {
            "table": table,
            "source_order_id": source_order_id,
            "reasons": reasons,
            "original": original,
        }
        write(self.refused, entry)


def payload(record: dict[str, Any]) -> dict[str, Any]:
    """Write numbers and flags as such."""
    written: dict[str, Any] = {}
    for key, value in record.items():
        if key in NUMBERS:
            written[key] = float(value)
        elif key == "isShippingProtected":
            written[key] = value == "true"
        elif isinstance(value, dict):
            written[key] = payload(value)
        elif isinstance(value, list):
            written[key] = [payload(each) for each in value]
        else:
            written[key] = value
    return written


def write(file: TextIO, entry: dict[str, Any]) -> None:
    """Write one line; what is not JSON's is a time."""
    file.write(json.dumps(entry, ensure_ascii=False, default=lambda time: time.isoformat()) + "\n")


if __name__ == "__main__":
    OrdersTarget(config={"folder": sys.argv[1]}).listen()
