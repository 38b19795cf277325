"""A Corso in memory that lists, looks up and tells fulfillments, behind the real client; a test changes it as it likes.

Its records are those of `factories.record_of`. Creation is a number of minutes, so that tests can say when.
"""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import polars as pl
from factories import line_row, order_row, orders_frame, record_of

from corso.api.client import CorsoApi
from corso.delivery.ledger import Change, Key, Ledger
from corso.delivery.states import State
from corso.settings import Loader, Settings
from corso.stages.batch import Batch
from schemas.fields import dtypes
from schemas.fulfillments import FULFILLMENTS
from schemas.wire import Operation

STORE_ID = 9359
_BEGAN = datetime(2026, 11, 20, tzinfo=UTC)


def at(minute: float) -> str:
    """Return a moment of Corso's clock."""
    return (_BEGAN + timedelta(minutes=minute)).isoformat()


@dataclass
class ListedCorso:
    """The API; `served` makes the client talk to it."""

    page_size: int = 3
    lists: bool = True
    filters_by_source_id: bool = True
    filters_by_email: bool = True
    tells_fulfillments: bool = True
    records: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Corso's id -> record; ids grow as orders are created."""
    hidden: set[int] = field(default_factory=set)
    """Ids that the listing does not show yet."""
    unreadable: Counter[int] = field(default_factory=Counter)
    """Corso's id -> how many more requests for this order, or its fulfillments, show nothing yet."""
    as_before: dict[int, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    """Corso's id -> how many more answers show it as it was before a change, and how that was."""
    fulfillments: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    """What was asked for: page, source id, e-mail, order, fulfillments."""
    fail_after: int | None = None
    """So many answers from now on, then nothing but 403: whoever reads stops as it would when killed."""

    def has(self, number: int, minute: float, **changes: Any) -> int:
        """Let order `o-<number>` be created; return Corso's id."""
        corso_id = 1 + max(self.records, default=0)
        moment = {"createdOn": at(minute), "updatedOn": at(minute)}
        self.records[corso_id] = record_of(order_row(number), [line_row(number)], corso_id) | moment | changes
        return corso_id

    def changes(self, corso_id: int, moment: datetime, answers_as_before: int, **changes: Any) -> None:
        """Let an order be changed, which so many answers do not show yet."""
        self.as_before[corso_id] = (answers_as_before, self.records[corso_id])
        self.records[corso_id] = self.records[corso_id] | {"updatedOn": moment.isoformat()} | changes

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        path, asked = request.url.path, request.url.params
        if path.endswith("/oauth/token"):
            return _json(200, {"access_token": "t", "expires_in": 3600})
        if self.fail_after is not None:
            self.fail_after -= 1
            if self.fail_after < 0:
                return _json(403, {"message": "no"})
        if path.endswith("/fulfillments"):
            self.asked["fulfillments"] += 1
            known = int(path.split("/")[-2])
            if not self.tells_fulfillments:
                return _json(400, {})
            return (
                _json(200, {"fulfillments": self.fulfillments.get(known, [])})
                if self._is_readable(known)
                else _json(404, {})
            )
        if not path.endswith("/orders"):
            self.asked["order"] += 1
            known = int(path.rsplit("/", 1)[-1])
            return _json(200, self._shown(known)) if self._is_readable(known) else _json(404, {})
        return self._list(asked)

    def _shown(self, known: int) -> dict[str, Any]:
        answers, before = self.as_before.get(known, (0, {}))
        if not answers:
            return self.records[known]
        self.as_before[known] = (answers - 1, before)
        return before

    def _is_readable(self, corso_id: int) -> bool:
        if self.unreadable[corso_id]:
            self.unreadable[corso_id] -= 1
            return False
        return corso_id in self.records

    def _list(self, asked: httpx.QueryParams) -> httpx.Response:
        rows = [record for number, record in sorted(self.records.items()) if number not in self.hidden]
        if "sourceOrderId" in asked:
            self.asked["source id"] += 1
            if not self.filters_by_source_id:
                return _json(400, {"message": "no such filter"})
            rows = [each for each in rows if each["sourceOrderId"] == asked["sourceOrderId"]]
        elif "customerEmail" in asked:
            self.asked["e-mail"] += 1
            if not self.filters_by_email:
                return _json(400, {"message": "no such filter"})
            rows = [each for each in rows if each["customer"]["email"] == asked["customerEmail"]]
            rows = [each for each in rows if each["orderName"] == asked["orderNameOrNumber"]]
        else:
            self.asked["page"] += 1
            if not self.lists:
                return _json(400, {"message": "customerEmail is required"})
        rises = asked.get("orderBy") == "asc"
        rows = rows if rises else rows[::-1]
        if after := asked.get("after"):
            rows = [
                each
                for each in rows
                if (each["orderId"] > int(after)) == rises and each["orderId"] != int(after)
            ]
        page = rows[: self.page_size]
        page = [self._shown(each["orderId"]) for each in page]
        info = {
            "hasNextPage": len(rows) > self.page_size,
            "hasPreviousPage": bool(after),
            "startCursor": str(page[0]["orderId"]) if page else None,
            "endCursor": str(page[-1]["orderId"]) if page else None,
        }
        return _json(200, {"orders": page, "pageInfo": info})


def _json(status: int, content: Any) -> httpx.Response:
    text = json.dumps(
        content, default=lambda value: float(value) if isinstance(value, Decimal) else str(value)
    )
    return httpx.Response(status, content=text.encode(), headers={"content-type": "application/json"})


@contextmanager
def served(corso: ListedCorso) -> Iterator[None]:
    """Make every client talk to it."""
    make, transport = CorsoApi.open, httpx.MockTransport(corso.answer)

    def opened(*where: Any, **parts: Any) -> CorsoApi:
        return make(*where, **(parts | {"transport": transport}))

    with (
        mock.patch.object(CorsoApi, "open", opened),
        mock.patch.dict("os.environ", {"CORSO_CLIENT_ID": "me", "CORSO_CLIENT_SECRET": "a-secret"}),
    ):
        yield


def a_batch(folder: Path, name: str = "b", **reconcile: Any) -> Batch:
    """Return a batch of the store below a folder."""
    sections = {
        "store": {"id": STORE_ID},
        "exports": {},
        "reconcile": reconcile,
        "limits": {"requests_per_second": 100_000, "max_in_flight": 4},
    }
    batch = Batch(Settings(folder / "loader.yaml", Loader.model_validate(sections)), name)
    batch.tables.mkdir(parents=True, exist_ok=True)
    return batch


def accepted_orders(numbers: Any) -> pl.LazyFrame:
    """Return the batch's orders `o-<number>`."""
    return orders_frame([order_row(number) for number in numbers]).lazy()


def accepted_fulfillments(rows: list[tuple[int, int]]) -> pl.LazyFrame:
    """Return fulfillments `f-<number>` of orders `o-<number>`."""
    table = [{"source_order_id": f"o-{order}", "source_fulfillment_id": f"f-{each}"} for order, each in rows]
    return pl.LazyFrame(table, schema=dtypes(FULFILLMENTS))


def note_sent(
    batch: Batch, corso_ids: dict[int, int], fulfillments: tuple[tuple[int, int], ...] = ()
) -> None:
    """Write into the ledger that these orders (number -> Corso's id), and fulfillments of theirs, were accepted."""
    operations = [Operation("create_order", f"o-{number}", "", None, b"{}", "hash") for number in corso_ids]
    operations += [
        Operation("create_fulfillment", f"o-{order}", f"f-{each}", "1", b"{}", "hash")
        for order, each in fulfillments
    ]
    changes = [
        Change(Key(f"o-{number}"), State.ACCEPTED, corso_id=str(corso_id), held_hash="hash")
        for number, corso_id in corso_ids.items()
    ]
    changes += [
        Change(Key(f"o-{order}", f"f-{each}"), State.ACCEPTED, corso_id=f"F{each}", held_hash="hash")
        for order, each in fulfillments
    ]
    _settled(batch, operations, changes)


def note_changed(batch: Batch, number: int, corso_id: int) -> None:
    """Write into the ledger that a change of order `o-<number>` was accepted."""
    operation = Operation("update_order", f"o-{number}", "", str(corso_id), b"{}", "new hash")
    change = Change(Key(f"o-{number}"), State.ACCEPTED, corso_id=str(corso_id), held_hash="new hash")
    _settled(batch, [operation], [change])


def _settled(batch: Batch, operations: list[Operation], changes: list[Change]) -> None:
    with Ledger.open(batch.settings.ledger, STORE_ID) as ledger:
        ledger.plan(operations, batch.name)
        ledger.start(operations)
        ledger.settle(changes)
