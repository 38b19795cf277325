"""Answers that are right and yet not what was sent: other spellings, and fields that nobody knows."""

from datetime import datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.exact_json import ExactNumber
from sandbox.options import SandboxOptions
from sandbox.strangeness import EXTRA_FIELDS, in_another_offset, respell
from tests.sandbox.bodies import a_cancellation, a_customer, a_fulfillment, a_line_item, an_order
from tests.sandbox_process import sandbox_on_a_thread

OFFSETS = st.sampled_from(["Z", "+00:00", "-00:00", "+05:45", "-11:00", "+23:59"])


@given(moment=st.datetimes().filter(lambda moment: 1 < moment.year < 9999), offset=OFFSETS)
def test_a_date_time_is_the_same_instant_in_another_spelling(moment: datetime, offset: str):
    """Always another text, with an offset, and equal when read."""
    given_text = moment.isoformat() + offset
    kept = in_another_offset(given_text)
    assert kept != given_text
    assert datetime.fromisoformat(kept) == datetime.fromisoformat(given_text)


@pytest.mark.parametrize(
    ("given_text", "kept"),
    [
        ("2024-03-01T10:00:00-05:00", "2024-03-01T15:00:00Z"),
        ("2024-03-01t03:00:00.123456789z", "2024-02-29T22:00:00.123456789-05:00"),
        ("2016-12-31T23:59:60Z", "2016-12-31T18:59:60-05:00"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:00:00-01:00", "9999-12-31T23:00:00-01:00"),
    ],
)
def test_a_date_time_keeps_what_python_cannot_hold(given_text: str, kept: str):
    """Nanoseconds and leap seconds live; what would leave the calendar stays as it was."""
    assert in_another_offset(given_text) == kept


@pytest.mark.parametrize(
    ("given_text", "kept"),
    [("+12025550123", "+1 202-555-0123"), ("+4930123456", "+49 301-23456"), ("+44", "+44")],
)
def test_a_phone_number_keeps_its_digits(given_text: str, kept: str):
    """Only blanks and hyphens come between them."""
    assert respell({"phone": given_text}) == {"phone": kept}


def test_only_what_is_named_is_spelled_anew():
    """At any depth; numbers keep their text, and notes keep their case."""
    body = {
        "notes": "Ada@Example.com",
        "customer": {"email": "Ada@Example.com"},
        "total": ExactNumber("1.50"),
    }
    body["lineItems"] = [{"sourceCanceledOn": "2024-03-01T10:00:00+02:00", "name": "A"}]
    kept = respell(body)
    assert kept["total"] is body["total"]
    assert (kept["notes"], kept["customer"]) == ("Ada@Example.com", {"email": "ada@example.com"})
    assert kept["lineItems"] == [{"sourceCanceledOn": "2024-03-01T08:00:00Z", "name": "A"}]


@pytest.mark.slow
def test_a_normalising_server_keeps_other_spellings():
    """Of orders, line items, fulfillments and cancellations; the filters find the order by either spelling."""
    order = an_order(
        orderName="#1",
        customer=a_customer(email="Ada@Example.com", phone="+12025550123"),
        lineItems=[a_line_item(sourceCanceledOn="2024-03-03T00:00:00+02:00")],
    )
    with sandbox_on_a_thread(SandboxOptions(normalise=True)) as sandbox, sandbox.client() as client:
        created = client.post("/orders", json=order).json()
        assert (created["customer"]["email"], created["customer"]["phone"]) == (
            "ada@example.com",
            "+1 202-555-0123",
        )
        assert created["sourceCreatedOn"] == "2024-03-01T15:00:00Z"
        assert created["sourceUpdatedOn"] == "2024-03-02T05:00:00-05:00"
        assert created["lineItems"][0]["sourceCanceledOn"] == "2024-03-02T22:00:00Z"
        assert client.get("/orders/1").json() == created
        for email in ("Ada@Example.com", "ada@example.com"):
            filters = {"customerEmail": email, "orderNameOrNumber": "#1"}
            assert client.get("/orders", params=filters).json()["orders"] == [created]
        shipped = client.post(
            "/orders/1/fulfillments", json=a_fulfillment(deliveredOn="2024-03-02T10:00:00+01:00")
        )
        assert shipped.json()["deliveredOn"] == "2024-03-02T09:00:00Z"
        cancelled = client.request("DELETE", "/orders/1", json=a_cancellation()).json()
        assert cancelled["sourceCanceledOn"] == "2024-03-05T05:00:00-05:00"


def without_extra_fields(value: Any) -> Any:
    """Return an answer as it would be without the mode."""
    if isinstance(value, list):
        return [without_extra_fields(item) for item in value]
    if isinstance(value, dict):
        return {name: without_extra_fields(item) for name, item in value.items() if name not in EXTRA_FIELDS}
    return value


@pytest.mark.slow
def test_extra_fields_are_in_every_answer_and_change_nothing_else():
    """In orders, line items, fulfillments, pageInfo and beside the lists; amounts keep their spelling."""
    with sandbox_on_a_thread(SandboxOptions(extra_fields=True)) as sandbox, sandbox.client() as client:
        body = httpx.Request("POST", "http://unused", json=an_order(notes="—")).content
        body = body.replace(b'"taxMoney":2.5', b'"taxMoney":2.500')
        created = client.post("/orders", content=body, headers={"content-type": "application/json"})
        assert '"taxMoney":2.500' in created.text
        shipped = client.post("/orders/1/fulfillments", json=a_fulfillment()).json()
        listing = client.get("/orders").json()
        shipments = client.get("/orders/1/fulfillments").json()
        order = listing["orders"][0]
        places = [created.json(), order, order["lineItems"][0], listing, listing["pageInfo"], shipped]
        for place in [*places, shipments, shipments["fulfillments"][0]]:
            assert place.items() >= EXTRA_FIELDS.items()
        assert client.get("/orders/1").json() == created.json() == order
        bare = without_extra_fields(order)
        assert bare["notes"] == "—"
        assert set(bare) | set(EXTRA_FIELDS) == set(order)
        refused = client.post("/orders", json={})
        assert (refused.status_code, list(refused.json())) == (400, ["error"])
        assert client.get("/orders/99").status_code == 404
