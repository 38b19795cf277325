"""What the ledger's rows are to the rest of the engine: plain values, and how they are made of columns.

No SQL and no rules here: what may be asked is `reading`'s business, what may change `ledger`'s.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from corso.delivery.states import State
from schemas.wire import Operation, OperationKind

CHANGES: tuple[OperationKind, ...] = ("update_order", "cancel_order")
"""Operations that change an order that is there."""


class Key(NamedTuple):
    """Which entry of a store: an order, or one of its fulfillments."""

    source_order_id: str
    source_fulfillment_id: str = ""


def key_of(operation: Operation) -> Key:
    """Return the entry that an operation is about."""
    return Key(operation.source_order_id, operation.source_fulfillment_id)


@dataclass(frozen=True)
class Entry:
    """One row of `entries`; `tables` says what each column is."""

    key: Key
    corso_id: str | None
    held_hash: str | None
    held_cancelled: str
    held_at: datetime | None
    state: State
    kind: OperationKind
    payload_hash: str
    cancelled: bool
    batch: str
    attempts: int
    first_sent_at: datetime | None
    last_started_at: datetime | None
    status: int | None
    reason: str | None
    updated_at: datetime


@dataclass(frozen=True)
class Change:
    """One change of an entry's state, to be written in a group with others."""

    key: Key
    state: State
    ended_as: str = ""
    """How the attempt under way ended; empty: the state's name."""
    corso_id: str | None = None
    held_hash: str | None = None
    """For `accepted`: the hash of what Corso holds now."""
    is_uncancelled: bool = False
    """For `accepted`: whether what was found there is not cancelled, whatever was sent."""
    status: int | None = None
    reason: str | None = None


def entry_from(row: sa.RowMapping) -> Entry:
    """Return a row of `entries` as a value."""
    values: dict[str, Any] = dict(row)
    del values["store_id"]
    key = Key(values.pop("source_order_id"), values.pop("source_fulfillment_id"))
    values["state"] = State(values["state"])
    for name in ("held_at", "first_sent_at", "last_started_at", "updated_at"):
        values[name] = instant_of(values[name]) if values[name] else None
    return Entry(key=key, **values)


def text_of(instant: datetime) -> str:
    """Write an instant as the ledger does: UTC, milliseconds, so that the order of texts is the order of time."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds")


def instant_of(text: str) -> datetime:
    """Read what `text_of` wrote."""
    return datetime.fromisoformat(text)
