"""The statements that change an entry's state. Each names the states it may start from, and so changes nothing else.

Made once: the database layer keeps what it compiled of a statement that it has seen before.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from corso.delivery.states import MAY_FOLLOW, State
from corso.delivery.tables import ATTEMPTS, ENTRIES
from corso.errors import IllegalTransition

if TYPE_CHECKING:
    # To import a database's own words costs a tenth of what `status` takes; whoever has that database brings them.
    from sqlalchemy.dialects import postgresql, sqlite


def execute_guarded(
    connection: sa.Connection, statement: sa.Executable, rows: Sequence[dict[str, Any]]
) -> None:
    """Run a statement for every row, which must hit exactly one entry. Raises IllegalTransition."""
    # Else SQLAlchemy asks a driver for the number of rows only where it updates.
    result = connection.execute(statement, rows, execution_options={"preserve_rowcount": True})
    if result.rowcount != len(rows):
        message = (
            f"{len(rows) - result.rowcount} of {len(rows)} operations were not in the state expected of them"
        )
        raise IllegalTransition(message)


def _matches(table: sa.Table) -> list[sa.ColumnElement[bool]]:
    return [
        table.c.store_id == sa.bindparam("b_store"),
        table.c.source_order_id == sa.bindparam("b_order"),
        table.c.source_fulfillment_id == sa.bindparam("b_fulfillment"),
    ]


def _state_is_one_of(states: Iterable[State]) -> sa.ColumnElement[bool]:
    # An expression, not the column: PostgreSQL, told nothing about a new table, would go by the index on the state and
    # read all that is planned for every row. Not IN: its list cannot be bound in a statement that runs for many rows.
    found = ENTRIES.c.state + sa.literal_column("''")
    return sa.or_(*(found == state for state in sorted(states)))


def _guarded(state: State) -> sa.Update:
    before = MAY_FOLLOW[state]
    if state is State.PLANNED:
        # What has ended is planned anew by `plan` or `plan_rejected_again`, never put back.
        before -= {State.ACCEPTED, State.REJECTED}
    return ENTRIES.update().where(*_matches(ENTRIES), _state_is_one_of(before))


def planning(insert: "postgresql.Insert | sqlite.Insert") -> sa.Executable:
    """Return what makes an operation its entry's current one. It takes the columns of `entries`."""
    fresh = insert.excluded
    renewed = ("state", "kind", "payload_hash", "cancelled", "batch", "attempts", "updated_at")
    forgotten = ("first_sent_at", "last_started_at", "status", "reason")
    settled = [state for state in MAY_FOLLOW[State.PLANNED] if state not in {State.SENDING, State.UNKNOWN}]
    return insert.on_conflict_do_update(
        index_elements=["store_id", "source_order_id", "source_fulfillment_id"],
        set_={name: fresh[name] for name in renewed} | dict.fromkeys(forgotten),
        where=_state_is_one_of(settled),
    )


def _settling(state: State) -> sa.Update:
    values: dict[str, Any] = {
        "state": state,
        "status": sa.bindparam("b_status"),
        "reason": sa.bindparam("b_reason"),
        "updated_at": sa.bindparam("b_now"),
    }
    if state is State.ACCEPTED:
        uncancelled = sa.bindparam("b_uncancelled", type_=sa.Boolean)
        deleted = ENTRIES.c.kind == "cancel_order"
        values |= {
            "corso_id": sa.bindparam("b_corso_id"),
            "held_hash": sa.bindparam("b_held_hash"),
            "held_cancelled": sa.case(
                (uncancelled, ""), (deleted, "deleted"), (ENTRIES.c.cancelled, "sent"), else_=""
            ),
            "held_at": sa.bindparam("b_now"),
        }
    if state is State.PLANNED:
        throttled = sa.bindparam("b_ended_as") == "throttled"
        values["attempts"] = ENTRIES.c.attempts - sa.case((throttled, 1), else_=0)
    return _guarded(state).values(**values)


def _recording() -> sa.Insert:
    of_entry = ("store_id", "source_order_id", "source_fulfillment_id", "kind", "payload_hash", "batch")
    own = (sa.bindparam("b_now", type_=sa.Text), sa.bindparam("b_tenure", type_=sa.BigInteger))
    select = sa.select(*(ENTRIES.c[name] for name in of_entry), *own).where(*_matches(ENTRIES))
    return ATTEMPTS.insert().from_select([*of_entry, "started_at", "tenure_id"], select)


START = _guarded(State.SENDING).values(
    state=State.SENDING,
    attempts=ENTRIES.c.attempts + 1,
    first_sent_at=sa.func.coalesce(ENTRIES.c.first_sent_at, sa.bindparam("b_now")),
    last_started_at=sa.bindparam("b_now"),
    updated_at=sa.bindparam("b_now"),
)
"""Brings an entry to `sending`. Takes b_store, b_order, b_fulfillment, b_now."""

RECORD_ATTEMPT = _recording()
"""Writes down the attempt that `START` started; takes the same and b_tenure."""

SETTLE = {state: _settling(state) for state in State}
"""State -> what brings an entry to it. Takes what `START` takes, b_ended_as, b_corso_id, b_held_hash, b_uncancelled,
b_status and b_reason."""

END_ATTEMPT = (
    ATTEMPTS.update()
    .where(*_matches(ATTEMPTS), ATTEMPTS.c.ended_at.is_(None))
    .values(
        ended_at=sa.bindparam("b_now"),
        ended_as=sa.bindparam("b_ended_as"),
        status=sa.bindparam("b_status"),
        reason=sa.bindparam("b_reason"),
    )
)
"""Writes down how the attempt under way ended; takes what `SETTLE` takes."""
