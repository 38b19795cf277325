"""The plan: what is sent for an order or a fulfillment, given what Corso is known to hold."""

from collections.abc import Sequence

import polars as pl
import pytest

from corso.extract.plan import KNOWN_COLUMNS, PLAN_COLUMNS, plan_fulfillments, plan_orders

Held = tuple[str | None, str | None, str]
"""(Corso's id, hash of what it holds, how it is cancelled there) of an entry in the ledger."""


def planned_order(
    *,
    cancelled: bool = False,
    held: Held | None = None,
    with_delete: bool = True,
    later: Sequence[str] = (),
) -> dict[str, object]:
    """Return the plan of an order whose payload's hash is `new`."""
    payloads = pl.DataFrame(
        {
            "source_order_id": ["o-1"], "payload": ["whole"], "payload_hash": ["new"],
            "cancel_payload": pl.Series(["cancellation" if cancelled else None], dtype=pl.String),
            "content": pl.Series(["not cancelled" if cancelled else None], dtype=pl.String),
            "content_hash": pl.Series(["before" if cancelled else None], dtype=pl.String),
            "file": ["orders.csv"], "line": [2],
        }
    )  # fmt: skip
    plan = plan_orders(payloads, known(held), later, cancel_with_delete=with_delete)
    assert plan.schema == PLAN_COLUMNS
    return plan.row(0, named=True)


@pytest.mark.parametrize(("held", "action"), [(("1", "old", ""), "unchanged"), (None, "create")])
@pytest.mark.parametrize("cancelled", [True, False])
def test_an_order_that_a_later_batch_brought_stays_as_that_one_has_it(
    held: Held | None, action: str, cancelled: bool
) -> None:
    """A drop that comes late is older news; only what is not in Corso at all is sent."""
    assert planned_order(cancelled=cancelled, held=held, later=["o-1", "o-7"])["action"] == action


def known(held: Held | None, fulfillment: str = "") -> pl.DataFrame:
    """Return the ledger's entry of an order or of one of its fulfillments, and of others that look alike."""
    others = [("o-2", "", "7", "new", ""), ("o-1", "f-9", "8", "new", "")]
    own = [] if held is None else [("o-1", fulfillment, *held)]
    return pl.DataFrame(own + others, schema=KNOWN_COLUMNS, orient="row")


ORDERS: dict[str, tuple[bool, Held | None, str, str | None]] = {
    # name: cancelled, what Corso holds, action, body
    "new": (False, None, "create", "whole"),
    "new, sent before without success": (False, (None, None, ""), "create", "whole"),
    "new and cancelled already": (True, None, "create", "whole"),
    "held and equal": (False, ("1", "new", ""), "unchanged", None),
    "held and different": (False, ("1", "old", ""), "update", "whole"),
    "held by an unknown content": (False, ("1", None, ""), "update", "whole"),
    "cancelled since": (True, ("1", "old", ""), "cancel", "cancellation"),
    "cancelled when it was created": (True, ("1", "new", "sent"), "unchanged", None),
    "created cancelled, changed since": (True, ("1", "old", "sent"), "update", "whole"),
    "cancelled by DELETE, equal": (True, ("1", "new", "deleted"), "unchanged", None),
    "cancelled by DELETE, changed since": (True, ("1", "old", "deleted"), "unchanged", None),
    "cancelled by DELETE, no longer cancelled": (False, ("1", "old", "deleted"), "unchanged", None),
    "no longer cancelled": (False, ("1", "old", "sent"), "update", "whole"),
}


@pytest.mark.parametrize(("cancelled", "held", "action", "body"), ORDERS.values(), ids=ORDERS.keys())
def test_an_order_is_planned_by_what_corso_holds(
    cancelled: bool, held: Held | None, action: str, body: str | None
) -> None:
    """Create, update, cancel or nothing: as a table."""
    plan = planned_order(cancelled=cancelled, held=held)
    assert (plan["action"], plan["payload"], plan["payload_hash"]) == (action, body, "new")
    assert (plan["subject"], plan["source_fulfillment_id"], plan["cancelled"]) == ("order", "", cancelled)
    # What has to be there before a cancellation, which closes the order.
    may_be_cancelled = action == "cancel" or (action == "create" and cancelled)
    before = ("not cancelled", "before") if may_be_cancelled else (None, None)
    assert (plan["content"], plan["content_hash"]) == before
    # Should an order to be created be there, uncancelled.
    assert plan["cancellation"] == ("cancellation" if action == "create" and cancelled else None)


def test_without_delete_a_cancellation_is_an_update() -> None:
    """The switch for stores whose API takes the cancellation fields in an update."""
    plan = planned_order(cancelled=True, held=("1", "old", ""), with_delete=False)
    assert (plan["action"], plan["payload"]) == ("update", "whole")


FULFILLMENTS: dict[str, tuple[Held | None, str]] = {
    "new": (None, "create"),
    "sent before without success": ((None, None, ""), "create"),
    "held and equal": (("1", "new", ""), "unchanged"),
    "held and different": (("1", "old", ""), "changed_but_fixed"),
    "held by an unknown content": (("1", None, ""), "changed_but_fixed"),
}


@pytest.mark.parametrize(("held", "action"), FULFILLMENTS.values(), ids=FULFILLMENTS.keys())
def test_a_fulfillment_is_created_once_and_never_changed(held: Held | None, action: str) -> None:
    """Corso cannot change one: a changed one is reported, never sent again."""
    payloads = pl.DataFrame(
        {
            "source_order_id": ["o-1"], "source_fulfillment_id": ["f-1"], "payload": ["whole"],
            "payload_hash": ["new"], "file": ["fulfillments.csv"], "line": [2],
        }
    )  # fmt: skip
    plan = plan_fulfillments(payloads, known(held, "f-1"))
    assert plan.schema == PLAN_COLUMNS
    row = plan.row(0, named=True)
    assert (row["action"], row["subject"], row["source_fulfillment_id"]) == (action, "fulfillment", "f-1")
    assert row["payload"] == ("whole" if action == "create" else None)


def test_the_plan_keeps_the_order_of_the_files() -> None:
    """Oldest first, as the merchant exported them, so that a run that stops has loaded the beginning."""
    ids = [f"o-{number}" for number in (5, 1, 3)]
    payloads = pl.DataFrame(
        {
            "source_order_id": ids, "payload": ids, "payload_hash": ids,
            "cancel_payload": pl.Series([None] * 3, dtype=pl.String),
            "content": pl.Series([None] * 3, dtype=pl.String),
            "content_hash": pl.Series([None] * 3, dtype=pl.String), "file": ["a.csv"] * 3, "line": [2, 3, 4],
        }
    )  # fmt: skip
    plan = plan_orders(payloads, known(None), cancel_with_delete=True)
    assert plan["source_order_id"].to_list() == ids
