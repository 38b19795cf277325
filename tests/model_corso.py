"""Corso as hard to get along with as docs/promise.md allows, and processes that may die at every trace they leave.

Both in virtual time; `tests/corso/stages/test_promise.py` plays them against each other.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from corso.delivery.ledger import Ledger
from corso.errors import CorsoError, NotAuthorised, NotSent, OutcomeUnknown, RateLimited, Rejected
from schemas.wire import JsonObject, Operation, Receipt
from tests.fake_corso import FakeCorso, Record

DELAY_S, TIMEOUT_S = 2.0, 5.0
"""upload.listing_delay_s and corso.timeout_s: what is carried out late is so within these."""
POISON = "what Corso refuses"

Fate = Literal[
    "well",
    "slow",
    "lost",
    "never",
    "error before",
    "error after",
    "stalled",
    "throttled",
    "not sent",
    "forbidden",
]
"""What becomes of one write. Lost: done, and no answer; never: not done, and no answer; stalled: no answer in time, and
done after that."""
FATES: tuple[Fate, ...] = get_args(Fate)


class Killed(BaseException):
    """The process is gone: nothing that follows leaves a trace."""


class Life:
    """One process: counts the traces that it leaves, and ends at one of them."""

    def __init__(self, last_trace: int | None) -> None:
        self._last = last_trace
        self._traces = 0
        self._is_over = False
        self.task: asyncio.Task[None] | None = None

    def leave_trace(self) -> None:
        """Leave one, or find that it is over."""
        self._traces += 1
        if self._traces == self._last:
            self._is_over = True
            if self.task:
                self.task.cancel()
        if self._is_over:
            raise Killed


class MortalLedger(Ledger):
    """A ledger whose process may die before and after every commit."""

    life: Life

    def _write(self, work: Callable[[Any], Any]) -> Any:
        self.life.leave_trace()
        done = super()._write(work)
        self.life.leave_trace()
        return done


@dataclass
class ModelCorso(FakeCorso):
    """Corso, that does what arrives in its own time, whoever still waits for it."""

    fates: list[Fate] = field(default_factory=list)
    """Of the next writes; all that follow go well."""
    blind_looks: list[bool] = field(default_factory=list)
    """Whether the next reads end without an answer."""
    life: Life = field(default_factory=lambda: Life(None))
    duplicates: Literal["refused", "accepted", "existing"] = "accepted"
    deletes: Counter[str] = field(default_factory=Counter)
    """Corso's id -> DELETEs that were carried out."""
    created_cancelled: set[str] = field(default_factory=set)
    """Corso's ids of the orders that were created with their cancellation."""
    _due: list[tuple[datetime, int, datetime, Operation]] = field(default_factory=list)
    """(When it is to be done, its number, when it arrived, what it is) of each request."""
    _answers: dict[int, Receipt | CorsoError] = field(default_factory=dict)
    _arrived: int = 0

    async def send(self, operation: Operation, about_to_send: Callable[[], Awaitable[None]]) -> Receipt:
        """See `OrderApi.send`."""
        fate = self.fates.pop(0) if self.fates else "well"
        if fate == "not sent":
            message = "no connection"
            raise NotSent(message)
        await about_to_send()
        self.life.leave_trace()
        self.sent.append(operation)
        number = self._arrive(operation, fate)
        await self.clock.sleep(TIMEOUT_S if fate == "stalled" else DELAY_S if fate == "slow" else 0.1)
        self.carry_out_what_is_due()
        return self._answer(number, fate)

    def _arrive(self, operation: Operation, fate: Fate) -> int:
        self._arrived += 1
        takes_s = {
            "well": 0.05,
            "lost": 0.05,
            "error after": 0.05,
            "slow": DELAY_S - 0.1,
            "stalled": 1.8 * TIMEOUT_S,
        }
        if fate in takes_s:
            now = self.clock.utc()
            self._due.append((now + timedelta(seconds=takes_s[fate]), self._arrived, now, operation))
        return self._arrived

    def _answer(self, number: int, fate: Fate) -> Receipt:
        unusable: dict[Fate, CorsoError] = {
            "throttled": RateLimited("429", retry_after_s=1.0),
            "forbidden": NotAuthorised("403", status=403),
            "error before": OutcomeUnknown("503", status=503),
            "error after": OutcomeUnknown("503", status=503),
        }
        is_read = fate in {"well", "slow"}
        answer = (
            self._answers[number] if is_read else unusable.get(fate, OutcomeUnknown("no answer was read"))
        )
        if isinstance(answer, CorsoError):
            raise answer
        return answer

    def lose_its_client(self) -> None:
        """See a process die: what it left here is done within `TIMEOUT_S` of its start."""
        most = timedelta(seconds=0.9 * TIMEOUT_S)
        self._due = [
            (min(when, began + most), number, began, sent) for when, number, began, sent in self._due
        ]

    def carry_out_what_is_due(self) -> None:
        """Do what has arrived and whose time has come."""
        self._due.sort()
        while self._due and self._due[0][0] <= self.clock.utc():
            when, number, _, operation = self._due.pop(0)
            before = len(self.orders)
            try:
                self._answers[number] = self._carry_out(operation)
            except CorsoError as error:
                self._answers[number] = error
            if len(self.orders) > before:
                self.orders[-1]["createdOn"] = (when - self.is_behind).isoformat()

    def _carry_out(self, operation: Operation) -> Receipt:
        if POISON.encode() in operation.payload:
            message = "400"
            raise Rejected(message, status=400, body=POISON)
        there = self._by_source(operation.source_order_id)
        if operation.kind == "create_order" and there and self.duplicates == "existing":
            return Receipt(200, str(there[0]["orderId"]))
        receipt = super()._carry_out(operation)
        if operation.kind == "cancel_order":
            self.deletes[receipt.corso_id] += 1
        if operation.kind == "create_order" and b"sourceCanceledOn" in operation.payload:
            self.created_cancelled.add(receipt.corso_id)
        return receipt

    def _seen(self, look: str, records: Sequence[Record]) -> list[JsonObject]:
        self.life.leave_trace()
        if self.blind_looks and self.blind_looks.pop(0):
            message = "the API answered 503 to every try"
            raise OutcomeUnknown(message, status=503)
        return super()._seen(look, records)

    async def orders_by_source_id(self, source_order_id: str) -> list[JsonObject] | None:
        """See `OrderApi.orders_by_source_id`."""
        self.carry_out_what_is_due()
        return await super().orders_by_source_id(source_order_id)

    async def orders_by_email_and_name(self, email: str, name: str) -> list[JsonObject] | None:
        """See `OrderApi.orders_by_email_and_name`."""
        self.carry_out_what_is_due()
        return await super().orders_by_email_and_name(email, name)

    async def order(self, corso_order_id: str) -> JsonObject | None:
        """See `OrderApi.order`."""
        self.carry_out_what_is_due()
        return await super().order(corso_order_id)

    async def fulfillments(self, corso_order_id: str) -> list[JsonObject]:
        """See `OrderApi.fulfillments`."""
        self.carry_out_what_is_due()
        return await super().fulfillments(corso_order_id)

    async def newest_first(self) -> AsyncIterator[Sequence[JsonObject]]:
        """See `OrderApi.newest_first`."""
        self.carry_out_what_is_due()
        async for page in super().newest_first():
            yield page
