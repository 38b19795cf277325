"""Admission: which operations of a plan are sent now, by what the ledger knows at this moment.

The plan was made before; since then a killed run may have been looked up, or another batch have run.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from corso.delivery.ledger import Entry, Key, Ledger, key_of
from corso.delivery.states import State
from schemas.wire import Operation


def admit(ledger: Ledger, operations: Sequence[Operation], batch: str) -> list[Operation]:
    """Return those of the operations that have to be sent, complete with Corso's ids, and write them down as planned.

    Left out: what Corso holds already, what it refused with this very content (`retry` plans it again), what is in
    doubt, and fulfillments of orders that are not in Corso.
    """
    keys = [key_of(operation) for operation in operations]
    keys += [Key(operation.source_order_id) for operation in operations if operation.source_fulfillment_id]
    entries = ledger.entries_of(keys)
    admitted = list(_admitted(operations, entries))
    ledger.plan(
        [
            operation
            for operation in admitted
            if not _is_planned(operation, entries.get(key_of(operation)), batch)
        ],
        batch,
    )
    return admitted


def _admitted(operations: Sequence[Operation], entries: dict[Key, Entry]) -> Iterator[Operation]:
    for operation in operations:
        order = entries.get(Key(operation.source_order_id))
        step = _next_step(operation, order)
        entry = entries.get(key_of(step))
        if entry is not None and not _may_be_sent(step, entry):
            continue
        corso_order_id = order.corso_id if order else None
        if step.kind != "create_fulfillment" or corso_order_id is not None:
            yield step if corso_order_id is None else replace(step, corso_order_id=corso_order_id)


def _next_step(operation: Operation, order: Entry | None) -> Operation:
    """Return the operation as things stand: an order that is there by now is not created but changed or cancelled.

    Before it is cancelled it is brought up to date.
    """
    if operation.kind == "create_order" and order and order.corso_id is not None:
        is_to_cancel = operation.cancellation and not order.held_cancelled
        operation = operation.as_cancellation if is_to_cancel else replace(operation, kind="update_order")
    if operation.kind != "cancel_order" or (order and order.held_hash == operation.content_hash):
        return operation
    return operation.before_cancelling


def _may_be_sent(operation: Operation, entry: Entry) -> bool:
    if entry.state in {State.SENDING, State.UNKNOWN} or entry.held_hash == operation.payload_hash:
        return False
    if entry.state is State.REJECTED and entry.payload_hash == operation.payload_hash:
        return False
    # A fulfillment cannot be changed, and an order cancelled by DELETE neither.
    is_fixed = bool(operation.source_fulfillment_id) or entry.held_cancelled == "deleted"
    return entry.corso_id is None or not is_fixed


def _is_planned(operation: Operation, entry: Entry | None, batch: str) -> bool:
    wanted = (operation.kind, operation.payload_hash, batch)
    return (
        entry is not None
        and entry.state is State.PLANNED
        and (entry.kind, entry.payload_hash, entry.batch) == wanted
    )
