"""The statements that change entries' states. Each names the states it may start from, and so changes nothing else.

A group of operations is one statement, however many they are: its rows come as one JSON array, which the database takes
apart. So a commit costs Python next to nothing, and what it costs runs beside the event loop (docs/performance.md).
Made once: the database layer keeps what it compiled of a statement that it has seen before.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from corso.delivery.states import MAY_FOLLOW, State
from corso.delivery.tables import ATTEMPTS, ENTRIES
from corso.errors import IllegalTransition

if TYPE_CHECKING:
    # To import a database's own words costs a tenth of what `status` takes; whoever has that database brings them.
    from sqlalchemy.dialects import postgresql, sqlite
    from sqlalchemy.sql.compiler import SQLCompiler

Row = Sequence[str | int | bool | None]
"""One operation's values."""
Columns = Mapping[str, Any]
"""What stands in a row: name -> type."""
Rows = Callable[[Columns], sa.FromClause]
"""What gives the rows of `b_rows`, a JSON array of arrays, as a table with these columns."""

ZERO_BYTE = "\\u0000"
"""A zero byte in JSON, or what looks like one. SQLite ends a text out of JSON at it, and an id may have one: such rows go
one by one."""

KEY: Columns = {"source_order_id": sa.Text, "source_fulfillment_id": sa.Text}
PLANNED: Columns = {**KEY, "kind": sa.Text, "payload_hash": sa.Text, "cancelled": sa.Boolean}
SETTLED: Columns = {
    **KEY,
    "ended_as": sa.Text,
    "corso_id": sa.Text,
    "held_hash": sa.Text,
    "is_uncancelled": sa.Boolean,
    "status": sa.Integer,
    "reason": sa.Text,
}

_COUNTED = {"preserve_rowcount": True}
"""Else SQLAlchemy asks a driver for the number of rows only where it updates."""

_STORE = sa.bindparam("b_store", type_=sa.BigInteger)
_NOW = sa.bindparam("b_now", type_=sa.Text)


class Transitions:
    """The statements of one database; each runs for a group of rows. All take `b_store` and `b_now`."""

    def __init__(self, rows: Rows, insert: "postgresql.Insert | sqlite.Insert") -> None:
        self.plan = Transition(PLANNED, rows, partial(_planning, insert))
        """Makes an operation its entry's current one. Takes b_batch, too."""
        self.start = Transition(KEY, rows, _starting)
        """Brings an entry to `sending`."""
        self.record_attempt = Transition(KEY, rows, _recording)
        """Writes down the attempt that `start` started. Takes b_tenure, too."""
        self.settle = {state: Transition(SETTLED, rows, partial(_settling, state)) for state in State}
        """State -> what brings an entry to it."""
        self.end_attempt = Transition(SETTLED, rows, _ending)
        """Writes down how the attempt under way ended."""


class Transition:
    """A statement that runs for a group of rows."""

    def __init__(
        self, columns: Columns, rows: Rows, statement: Callable[[sa.FromClause], sa.UpdateBase]
    ) -> None:
        self._columns = columns
        self._of_all = _Compiled(statement(rows(columns)))
        self._of_one = statement(_one_row(columns))

    def sql(self, dialect: sa.Dialect) -> str:
        """Return what is run for a group."""
        return self._of_all.sql(dialect)

    def run(self, connection: sa.Connection, rows: Sequence[Row], **common: Any) -> int:
        """Run it; return how many rows of the ledger were hit."""
        text = json.dumps(rows, ensure_ascii=False)
        if ZERO_BYTE not in text:
            return self._of_all.run(connection, {"b_rows": text, **common})
        names = [f"b_{name}" for name in self._columns]
        values = [dict(zip(names, row, strict=True)) | common for row in rows]
        return int(connection.execute(self._of_one, values, execution_options=_COUNTED).rowcount)

    def run_guarded(self, connection: sa.Connection, rows: Sequence[Row], **common: Any) -> None:
        """Run it; each row must hit exactly one entry. Raises IllegalTransition."""
        missed = len(rows) - self.run(connection, rows, **common)
        if missed:
            message = f"{missed} of {len(rows)} operations were not in the state expected of them"
            raise IllegalTransition(message)


class _Compiled:
    """A statement for a database's driver: SQLAlchemy's own way costs five times as much a commit."""

    def __init__(self, statement: sa.UpdateBase) -> None:
        self._statement = statement
        self._compiled: SQLCompiler | None = None

    def sql(self, dialect: sa.Dialect) -> str:
        return str(self._for(dialect))

    def run(self, connection: sa.Connection, given: Mapping[str, Any]) -> int:
        compiled = self._for(connection.dialect)
        values = {**compiled.params, **given}
        names = compiled.positiontup
        parameters = values if names is None else tuple(values[name] for name in names)
        result = connection.exec_driver_sql(str(compiled), parameters, execution_options=_COUNTED)
        return int(result.rowcount)

    def _for(self, dialect: sa.Dialect) -> "SQLCompiler":
        if self._compiled is None:
            self._compiled = self._statement.compile(dialect=dialect)
        return self._compiled


def _one_row(columns: Columns) -> sa.FromClause:
    return sa.select(
        *(
            sa.cast(sa.bindparam(f"b_{name}", type_=type_), type_).label(name)
            for name, type_ in columns.items()
        )
    ).subquery("given")


def _matches(table: sa.Table, given: sa.FromClause) -> list[sa.ColumnElement[bool]]:
    return [table.c.store_id == _STORE, *(table.c[name] == given.c[name] for name in KEY)]


def _state_is_one_of(states: Iterable[State]) -> sa.ColumnElement[bool]:
    # An expression, not the column: PostgreSQL, told nothing about a new table, would go by the index on the state and
    # read all that is planned for every row.
    found = ENTRIES.c.state + sa.literal_column("''")
    return sa.or_(*(found == state for state in sorted(states)))


def _guarded(state: State, given: sa.FromClause) -> sa.Update:
    before = MAY_FOLLOW[state]
    if state is State.PLANNED:
        # What has ended is planned anew by `plan` or `plan_rejected_again`, never put back.
        before -= {State.ACCEPTED, State.REJECTED}
    return ENTRIES.update().where(*_matches(ENTRIES, given), _state_is_one_of(before))


def _planning(insert: "postgresql.Insert | sqlite.Insert", given: sa.FromClause) -> sa.UpdateBase:
    fresh = insert.excluded
    renewed = ("state", "kind", "payload_hash", "cancelled", "batch", "attempts", "updated_at")
    forgotten = ("first_sent_at", "last_started_at", "status", "reason")
    settled = [state for state in MAY_FOLLOW[State.PLANNED] if state not in {State.SENDING, State.UNKNOWN}]
    values: dict[str, sa.ColumnElement[Any]] = {
        "store_id": _STORE,
        **{name: given.c[name] for name in PLANNED},
        "held_cancelled": sa.literal(""),
        "state": sa.literal(State.PLANNED, sa.Text),
        "batch": sa.bindparam("b_batch", type_=sa.Text),
        "attempts": sa.literal(0),
        "updated_at": _NOW,
    }
    # SQLite would take the conflict's ON for a join's without a WHERE before it.
    new = sa.select(*values.values()).where(sa.true())
    return insert.from_select(list(values), new).on_conflict_do_update(
        index_elements=["store_id", *KEY],
        set_={name: fresh[name] for name in renewed} | dict.fromkeys(forgotten),
        where=_state_is_one_of(settled),
    )


def _starting(given: sa.FromClause) -> sa.Update:
    return _guarded(State.SENDING, given).values(
        state=State.SENDING,
        attempts=ENTRIES.c.attempts + 1,
        first_sent_at=sa.func.coalesce(ENTRIES.c.first_sent_at, _NOW),
        last_started_at=_NOW,
        updated_at=_NOW,
    )


def _recording(given: sa.FromClause) -> sa.Insert:
    of_entry = ("store_id", *KEY, "kind", "payload_hash", "batch")
    own = (_NOW, sa.bindparam("b_tenure", type_=sa.BigInteger))
    select = sa.select(*(ENTRIES.c[name] for name in of_entry), *own).where(*_matches(ENTRIES, given))
    return ATTEMPTS.insert().from_select([*of_entry, "started_at", "tenure_id"], select)


def _settling(state: State, given: sa.FromClause) -> sa.Update:
    values: dict[str, Any] = {
        "state": state,
        "status": given.c.status,
        "reason": given.c.reason,
        "updated_at": _NOW,
    }
    if state is State.ACCEPTED:
        deleted = ENTRIES.c.kind == "cancel_order"
        values |= {
            "corso_id": given.c.corso_id,
            "held_hash": given.c.held_hash,
            "held_cancelled": sa.case(
                (given.c.is_uncancelled, ""), (deleted, "deleted"), (ENTRIES.c.cancelled, "sent"), else_=""
            ),
            "held_at": _NOW,
        }
    if state is State.PLANNED:
        throttled = given.c.ended_as == "throttled"
        values["attempts"] = ENTRIES.c.attempts - sa.case((throttled, 1), else_=0)
    return _guarded(state, given).values(**values)


def _ending(given: sa.FromClause) -> sa.Update:
    return (
        ATTEMPTS.update()
        .where(*_matches(ATTEMPTS, given), ATTEMPTS.c.ended_at.is_(None))
        .values(ended_at=_NOW, ended_as=given.c.ended_as, status=given.c.status, reason=given.c.reason)
    )
