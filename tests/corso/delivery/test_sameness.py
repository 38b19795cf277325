"""Whether a record in Corso is what was sent: tolerant of how it is written, of nothing else."""

import copy
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corso.delivery.sameness import holds
from tests.fake_corso import order_body

Json = Any


def record_of(payload: Json) -> Json:
    """Return what is decoded from an answer that says the payload back."""
    return json.loads(json.dumps(payload), parse_float=Decimal)


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        ({"totalMoney": 27}, {"totalMoney": Decimal("27.00")}),
        ({"totalMoney": 27.1}, {"totalMoney": Decimal("27.1000")}),
        ({"totalMoney": 27.1}, {"totalMoney": "27.10"}),
        ({"totalMoney": 27.1}, {"totalMoney": Decimal("27.100000000000001")}),
        ({"totalMoney": -5}, {"totalMoney": -5}),
        ({"sourceCreatedOn": "2026-11-20T17:30:00Z"}, {"sourceCreatedOn": "2026-11-20T12:30:00-05:00"}),
        ({"sourceCreatedOn": "2026-11-20T17:30:00.25Z"}, {"sourceCreatedOn": "2026-11-20T17:30:00.000Z"}),
        ({"sourceCreatedOn": "2026-11-20T17:30:00.9Z"}, {"sourceCreatedOn": "2026-11-20T17:30:01Z"}),
        ({"sourceCreatedOn": "2026-11-20T17:30:00Z"}, {"sourceCreatedOn": "2026-11-20 17:30:00+00:00"}),
        ({"sourceCreatedOn": "2026-11-20T17:30:00Z"}, {"sourceCreatedOn": "2026-11-20t17:30:00z"}),
        ({"email": "Ann@Example.com"}, {"email": " ann@example.COM"}),
        ({"phone": "+12025550123"}, {"phone": "+1 (202) 555-0123"}),
        ({"notes": "ring twice "}, {"notes": "ring twice"}),
        ({"notes": "é"}, {"notes": "e\u0301"}),
        ({"orderNumber": "1001"}, {"orderNumber": 1001}),
        ({"isShippingProtected": True}, {"isShippingProtected": True, "orderId": 7, "createdOn": "x"}),
        ({"customer": {"email": "a@b.c"}}, {"customer": {"email": "a@b.c", "id": 5}}),
        ({"options": [{"name": "Size"}]}, {"options": [{"name": "Size", "id": 1}]}),
    ],
)  # fmt: skip
def test_another_spelling_is_the_same(sent: Json, found: Json) -> None:
    """Instants, decimals, e-mail, phones, blanks, and whatever Corso adds."""
    assert holds(found, json.dumps(sent).encode())


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        ({"totalMoney": 27}, {"totalMoney": Decimal("27.01")}),
        ({"totalMoney": 27}, {"totalMoney": Decimal("27.00001")}),
        ({"totalMoney": 27}, {"totalMoney": Decimal("sNaN")}),
        ({"totalMoney": 27}, {"totalMoney": -27}),
        ({"totalMoney": 0}, {"totalMoney": None}),
        ({"totalMoney": 27}, {}),
        ({"totalMoney": 27}, {"totalMoney": "much"}),
        ({"sourceCreatedOn": "2026-11-20T17:30:00Z"}, {"sourceCreatedOn": "2026-11-20T17:30:01Z"}),
        ({"sourceCreatedOn": "2026-11-20T17:30:00Z"}, {"sourceCreatedOn": "2026-11-20T17:30:00-05:00"}),
        ({"sourceCreatedOn": "2026-11-20T17:30:00Z"}, {"sourceCreatedOn": "soon"}),
        ({"sourceCreatedOn": "2026-11-20T17:30:00Z"}, {"sourceCreatedOn": "2026-11-20T17:30:00"}),
        ({"sourceCreatedOn": "2026-11-20T17:30:00Z"}, {"sourceCreatedOn": "2026-13-20T17:30:00Z"}),
        ({"sourceOrderId": "0070123"}, {"sourceOrderId": "70123"}),
        ({"notes": "a  b"}, {"notes": "a b"}),
        ({"notes": "Ann"}, {"notes": "ann"}),
        ({"email": "ann@example.com"}, {"email": "anne@example.com"}),
        ({"phone": "+12025550123"}, {"phone": "+12025550124"}),
        ({"isShippingProtected": True}, {"isShippingProtected": False}),
        ({"isShippingProtected": True}, {"isShippingProtected": "true"}),
        ({"isShippingProtected": False}, {"isShippingProtected": 0}),
        ({"customer": {"email": "a@b.c"}}, {"customer": "a@b.c"}),
        ({"customer": {"email": "a@b.c"}}, {"customer": None}),
        ({"options": [{"name": "Size"}]}, {"options": []}),
        ({"options": [{"name": "Size"}]}, {"options": "Size"}),
        ({"options": [{"name": "Size"}, {"name": "Cut"}]}, {"options": [{"name": "Cut"}, {"name": "Size"}]}),
    ],
)  # fmt: skip
def test_another_content_is_not_the_same(sent: Json, found: Json) -> None:
    """Found and different means an update, so a difference must not slip through."""
    assert not holds(found, json.dumps(sent).encode())


LINE = {"sourceLineItemId": "1", "quantity": 2, "price": 10, "tax": 0.5}
OTHER_LINE = LINE | {"sourceLineItemId": "2", "quantity": 1}


@pytest.mark.parametrize(
    ("lines", "same"),
    [
        ([OTHER_LINE, LINE], True),
        ([LINE | {"lineItemId": 9}, OTHER_LINE | {"quantity": Decimal("1.0")}], True),
        ([LINE], False),
        ([LINE, OTHER_LINE, LINE | {"sourceLineItemId": "3"}], False),
        ([LINE, LINE], False),
        ([LINE, OTHER_LINE | {"sourceLineItemId": "3"}], False),
        ([LINE, OTHER_LINE | {"quantity": 2}], False),
        ([LINE | {"tax": 0}, OTHER_LINE], False),
        ([LINE | {"price": None}, OTHER_LINE], False),
        ([LINE, "a line"], False),
        ([], False),
        (None, False),
    ],
)
def test_line_items_are_held_together_by_their_source_id(lines: Json, same: bool) -> None:
    """In whatever order they come back; none missing, none more."""
    payload = json.dumps({"lineItems": [LINE, OTHER_LINE]}).encode()
    assert holds({"lineItems": lines}, payload) is same


money = st.decimals(-10_000, 10_000, places=2)
words = st.text(st.characters(codec="utf-8", exclude_characters="\u2028"), max_size=8)
lines = st.lists(
    st.fixed_dictionaries({"quantity": st.integers(1, 9), "price": money, "tax": money, "name": words}),
    min_size=1,
    max_size=4,
)


@st.composite
def payloads(draw: st.DrawFn) -> Json:
    """Make an order as it is sent."""
    body = order_body(1, notes=draw(words), totalMoney=draw(money), subtotalMoney=draw(money))
    body["lineItems"] = [{**line, "sourceLineItemId": str(number)} for number, line in enumerate(draw(lines))]
    return body


def written(payload: Json) -> bytes:
    """Write a payload as the loader does: decimals as plain numbers."""
    return json.dumps(payload, default=float, ensure_ascii=False).encode()


@pytest.mark.slow
@given(payloads(), st.randoms(use_true_random=False))
def test_what_was_sent_is_held_however_a_server_writes_it(payload: Json, chance: Any) -> None:
    """Other zeros, other zones, other order of lines and keys, blanks around, more members."""
    record = json.loads(written(payload), parse_float=Decimal)
    record = dict(chance.sample(list(record.items()), len(record)))
    record["totalMoney"] = Decimal(str(record["totalMoney"])).quantize(Decimal("0.0000"))
    record["sourceCreatedOn"] = "2026-11-21T02:30:00.000+09:00"
    record["notes"] = f" {record['notes']}\n"
    record["customer"] |= {"email": record["customer"]["email"].upper(), "corsoCustomerId": 5}
    chance.shuffle(record["lineItems"])
    for line in record["lineItems"]:
        line |= {"lineItemId": 1, "price": Decimal(str(line["price"])) * Decimal("1.000")}
    assert holds(record | {"orderId": 7}, written(payload))


@pytest.mark.slow
@given(payloads(), st.data())
def test_any_changed_amount_quantity_or_line_is_noticed(payload: Json, data: st.DataObject) -> None:
    """To the cent."""
    record = copy.deepcopy(json.loads(written(payload), parse_float=Decimal))
    line = data.draw(st.sampled_from(record["lineItems"]))
    change = data.draw(
        st.sampled_from(
            ["totalMoney", "subtotalMoney", "price", "tax", "quantity", "gone", "more", "renamed"]
        )
    )
    match change:
        case "totalMoney" | "subtotalMoney":
            record[change] = Decimal(str(record[change])) + Decimal("0.01")
        case "price" | "tax" | "quantity":
            line[change] = Decimal(str(line[change])) - Decimal("0.01")
        case "gone":
            record["lineItems"].remove(line)
        case "more":
            record["lineItems"].append(line | {"sourceLineItemId": "99"})
        case _:
            line["sourceLineItemId"] = "99"
    assert not holds(record, written(payload))
