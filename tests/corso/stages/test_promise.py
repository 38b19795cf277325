"""The promise as a state machine: exports change, answers get lost, processes die, logs are cut, and nothing doubles.

The whole delivery (ledger, admission, sender, recovery, adoption) against a model of Corso in virtual time. A run dies
after any trace that it leaves outside itself: a commit, bytes on the wire, a look-up. What the model does is within
the assumptions of docs/promise.md, and no kinder than they are: what was on the wire when a process died may be
carried out after the next one began.
"""

import asyncio
import gc
import json
import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest import mock

import polars as pl
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from corso.delivery.ledger import Entry, Key, Ledger
from corso.delivery.ports import unwatched
from corso.delivery.states import State
from corso.errors import CorsoError
from corso.extract.plan import plan_fulfillments, plan_orders
from corso.settings import Loader, Settings
from corso.stages.batch import Batch
from corso.stages.delivering import Delivery, Subject
from corso.stages.known_entries import known_entries
from tests.clocks import JumpingClock
from tests.fake_corso import STORE_ID, Record, order_body
from tests.model_corso import DELAY_S, FATES, POISON, TIMEOUT_S, Fate, Killed, Life, ModelCorso, MortalLedger

MOST_RERUNS = 30
CANCELLED_ON = "2026-11-21T00:00:00Z"


@dataclass
class Order:
    """An order as the export says it today."""

    number: int
    version: int = 1
    is_poison: bool = False
    is_cancelled: bool = False
    fulfillments: int = 0

    @property
    def key(self) -> Key:
        """Its entry in the ledger."""
        return Key(f"o-{self.number}")

    @property
    def has_email(self) -> bool:
        """Whether the e-mail filter can find it."""
        return self.number % 3 != 0

    @property
    def notes(self) -> str:
        """What tells one version from another."""
        return f"{POISON} {self.version}" if self.is_poison else f"version {self.version}"

    def content(self) -> Record:
        """Return the order without its cancellation."""
        customer = (
            {"email": f"ann.{self.number}@example.com"} if self.has_email else {"phone": "+12025550123"}
        )
        return order_body(self.number, notes=self.notes, customer=customer)


WAYS: dict[str, dict[str, bool]] = {
    "all": {},
    "source id alone": {"finds_by_email": False, "lists": False},
    "e-mail or listing": {"finds_by_source_id": False},
    "listing alone": {"finds_by_source_id": False, "finds_by_email": False},
    "e-mail alone": {"finds_by_source_id": False, "lists": False},
}


class Promise(RuleBasedStateMachine):
    """A shop, its loader, and Corso."""

    def __init__(self) -> None:
        super().__init__()
        self._home = Path(tempfile.mkdtemp())
        self._lives = 0
        self._stopped: CorsoError | None = None
        self._orders: dict[int, Order] = {}
        self._corso = ModelCorso(JumpingClock())
        self._folder = self._home / "0"
        self._folder.mkdir()

    @initialize(
        duplicates=st.sampled_from(["refused", "accepted", "existing"]),
        way=st.sampled_from(sorted(WAYS)),
        lag_s=st.sampled_from([0.0, 1.0, 20.0]),
        hours_behind=st.sampled_from([0, 1, -1]),
        known_after_s=st.sampled_from([0.0, 4.0]),
        orders=st.integers(1, 6),
    )
    def _open(
        self,
        duplicates: Any,
        way: str,
        lag_s: float,
        hours_behind: int,
        known_after_s: float,
        orders: int,
    ) -> None:
        self._corso.duplicates = duplicates
        self._corso.refuses_duplicates = duplicates == "refused"
        self._corso.shows_after_s = lag_s
        self._corso.is_behind = timedelta(hours=hours_behind)
        self._corso.known_after_s = known_after_s
        self._all_can_be_looked_up = way != "e-mail alone"
        for name, value in WAYS[way].items():
            setattr(self._corso, name, value)
        self._add(orders, is_poison=False, is_cancelled=False)

    def teardown(self) -> None:
        """Let it run without further faults until it has ended by itself, and judge."""
        try:
            if self._orders:
                self._finish()
                self._judge()
        finally:
            shutil.rmtree(self._home)

    def _finish(self) -> None:
        for _ in range(MOST_RERUNS):
            if self._load([], [], None):
                return
        left = [each for each in self._entries().values() if each.state is not State.ACCEPTED]
        message = f"still not at its end after {MOST_RERUNS} runs ({self._stopped!r}): {left}"
        raise AssertionError(message)

    @rule(count=st.integers(1, 4), is_poison=st.booleans(), is_cancelled=st.booleans())
    def _add(self, count: int, is_poison: bool, is_cancelled: bool) -> None:
        for _ in range(count):
            number = len(self._orders) + 1
            self._orders[number] = Order(number, is_poison=is_poison, is_cancelled=is_cancelled)

    @rule(of=st.integers(0, 50), is_poison=st.booleans())
    def _change(self, of: int, is_poison: bool) -> None:
        order = self._pick(of)
        # A cancelled order does not change any more: Corso would not take it.
        if not order.is_cancelled:
            order.version += 1
            order.is_poison = is_poison

    @rule(of=st.integers(0, 50), changes=st.booleans())
    def _cancel(self, of: int, changes: bool) -> None:
        order = self._pick(of)
        if not order.is_cancelled:
            order.is_cancelled = True
            order.version += changes

    @rule(of=st.integers(0, 50))
    def _fulfil(self, of: int) -> None:
        order = self._pick(of)
        # Corso takes no fulfillment of a cancelled order.
        if not order.is_cancelled:
            order.fulfillments += 1

    def _pick(self, of: int) -> Order:
        return self._orders[of % len(self._orders) + 1]

    @rule(fates=st.lists(st.sampled_from(FATES), max_size=10), blind=st.lists(st.booleans(), max_size=3))
    def _run(self, fates: list[Fate], blind: list[bool]) -> None:
        self._load(fates, blind, None)

    @rule(
        fates=st.lists(st.sampled_from(FATES), max_size=10),
        last_trace=st.integers(1, 60),
        down_s=st.sampled_from([0.0, 0.5, 30.0]),
        log_kept=st.sampled_from([1.0, 1.0, 1.0, 0.6, 0.0]),
    )
    def _run_and_die(self, fates: list[Fate], last_trace: int, down_s: float, log_kept: float) -> None:
        self._load(fates, [], last_trace)
        self._leave_a_crash(down_s, log_kept)

    @rule()
    def _run_well(self) -> None:
        self._load([], [], None)

    @invariant()
    def _none_is_there_twice(self) -> None:
        for source, count in Counter(record["sourceOrderId"] for record in self._corso.orders).items():
            assert count == 1, f"{source} is there {count} times"
        for record in self._corso.orders:
            sources = Counter(each["sourceFulfillmentId"] for each in record["fulfillments"])
            assert all(count == 1 for count in sources.values()), sources
        assert all(count == 1 for count in self._corso.deletes.values())

    # One run, as `corso.stages` does it.

    def _load(self, fates: list[Fate], blind: list[bool], last_trace: int | None) -> bool:
        """Plan and upload; say whether it ended by itself and left nothing to send."""
        shutil.rmtree(self._home / "image", ignore_errors=True)
        life = Life(last_trace)
        corso = self._corso
        corso.clock = JumpingClock(corso.clock.utc() + timedelta(seconds=1))
        corso.fates, corso.blind_looks, corso.life = list(fates), list(blind), life
        batch = Batch(self._settings(), "night")
        plan = self._plan(batch)
        try:
            with mock.patch.object(asyncio, "to_thread", _at_once):
                for subject in ("order", "fulfillment"):
                    self._upload(batch, plan, subject, life)
        except (Killed, asyncio.CancelledError):
            _bury()
            return False
        except CorsoError as error:
            self._stopped = error
            return False
        return self._is_at_its_end()

    def _settings(self) -> Settings:
        sections = {
            "store": {"id": STORE_ID},
            "exports": {},
            "corso": {"timeout_s": TIMEOUT_S},
            "limits": {"max_in_flight": 3},
            "upload": {"canary": 0, "max_rejected": 1.0, "listing_delay_s": DELAY_S},
        }
        return Settings(self._folder / "loader.yaml", Loader.model_validate(sections))

    def _upload(self, batch: Batch, plan: pl.LazyFrame, subject: Subject, life: Life) -> None:
        clock = self._corso.clock
        ledger = MortalLedger.open(batch.settings.ledger, STORE_ID, clock=clock)
        ledger.life = life

        async def deliver() -> None:
            life.task = asyncio.current_task()
            await Delivery(batch, plan, subject, ledger, self._corso, clock, unwatched).run(None)

        try:
            asyncio.run(deliver())
        except BaseException:
            # Before it is closed in order, which a killed process does not.
            self._keep_image(batch)
            raise
        finally:
            ledger.close()

    def _plan(self, batch: Batch) -> pl.LazyFrame:
        with Ledger.read(batch.settings.ledger, STORE_ID) as ledger:
            known = known_entries(
                ledger, pl.Series([each.key.source_order_id for each in self._orders.values()])
            )
        orders = plan_orders(_order_payloads(self._orders.values()), known, cancel_with_delete=True)
        fulfillments = plan_fulfillments(_fulfillment_payloads(self._orders.values()), known)
        return pl.concat([orders, fulfillments]).lazy()

    def _keep_image(self, batch: Batch) -> None:
        path = batch.settings.ledger
        image = self._home / "image"
        image.mkdir()
        for name in (path.name, f"{path.name}-wal", f"{path.stem}.mark"):
            with suppress(FileNotFoundError):
                shutil.copy(path.with_name(name), image / name)

    def _leave_a_crash(self, down_s: float, log_kept: float) -> None:
        """Go on from the files as the dead process left them, its log cut short where the machine lost power."""
        image = self._home / "image"
        if not image.exists():
            return
        self._lives += 1
        self._folder = self._home / str(self._lives)
        work = self._settings().ledger.parent
        shutil.copytree(image, work)
        shutil.rmtree(image)
        log = work / "ledger.sqlite-wal"
        if log.exists():
            with log.open("r+b") as file:
                file.truncate(int(log.stat().st_size * log_kept))
        self._corso.lose_its_client()
        self._corso.clock = JumpingClock(self._corso.clock.utc() + timedelta(seconds=down_s))

    # What has to be true.

    def _entries(self) -> dict[Key, Entry]:
        with Ledger.read(self._settings().ledger, STORE_ID) as ledger:
            return {entry.key: entry for entry in ledger.entries()}

    def _is_at_its_end(self) -> bool:
        """Say whether nothing is left to send or to look up, but what never can be."""
        entries = self._entries()
        for key, entry in entries.items():
            in_corso = (
                order := entries.get(Key(key.source_order_id))
            ) is not None and order.corso_id is not None
            waits_for_its_order = bool(key.source_fulfillment_id) and not in_corso
            if entry.state in {State.PLANNED, State.SENDING} and not waits_for_its_order:
                return False
            if entry.state is State.UNKNOWN and self._all_can_be_looked_up:
                return False
        return all(order.key in entries for order in self._orders.values())

    def _judge(self) -> None:
        entries = self._entries()
        records = {record["sourceOrderId"]: record for record in self._corso.orders}
        for order in self._orders.values():
            entry = entries[order.key]
            record = records.get(order.key.source_order_id)
            if entry.state is State.UNKNOWN:
                assert not self._all_can_be_looked_up
                assert not order.has_email
                continue
            if order.is_poison:
                assert entry.state is State.REJECTED, entry
                # What was sent is no part of what is kept of a refusal.
                assert (entry.reason or "").startswith("400"), entry
                assert record is None or POISON not in record["notes"]
                continue
            assert entry.state is State.ACCEPTED, entry
            assert record is not None, f"{order.key} is lost"
            assert entry.corso_id == str(record["orderId"])
            assert record["notes"] == order.notes
            assert bool(record.get("sourceCanceledOn")) == order.is_cancelled
            # One that was cancelled since it came to Corso was so by DELETE.
            assert (
                not order.is_cancelled or entry.corso_id in self._corso.closed | self._corso.created_cancelled
            )
            wanted = {f"f-{order.number}-{number}" for number in range(order.fulfillments)}
            assert {each["sourceFulfillmentId"] for each in record["fulfillments"]} == wanted
            for source in wanted:
                assert entries[Key(order.key.source_order_id, source)].state is State.ACCEPTED


def _bury() -> None:
    """Take away what a dead process left in this one, here and not in the middle of something else."""
    log = logging.getLogger("asyncio")
    # It tells of each task that died.
    with mock.patch.object(log, "disabled", new=True):
        gc.collect()


async def _at_once(act: Callable[..., Any], *arguments: Any) -> Any:
    """Stand for `asyncio.to_thread`: virtual time runs past threads."""
    return act(*arguments)


def _order_payloads(orders: Iterable[Order]) -> pl.DataFrame:
    """Return what `corso.extract.payloads.order_payloads` does."""
    rows = []
    for order in orders:
        content = order.content()
        cancellation = (
            {"canceledReason": "fraud", "sourceCanceledOn": CANCELLED_ON} if order.is_cancelled else {}
        )
        payload = json.dumps(content | cancellation)
        rows.append(
            {
                "source_order_id": order.key.source_order_id,
                "payload": payload,
                "payload_hash": _hash(payload),
                "cancel_payload": json.dumps(cancellation) if cancellation else None,
                "content": json.dumps(content) if cancellation else None,
                "content_hash": _hash(json.dumps(content)) if cancellation else None,
                "file": "orders.csv",
                "line": order.number,
            }
        )
    texts = [
        "source_order_id",
        "payload",
        "payload_hash",
        "cancel_payload",
        "content",
        "content_hash",
        "file",
    ]
    return pl.DataFrame(rows, schema=dict.fromkeys(texts, pl.String) | {"line": pl.Int64})


def _fulfillment_payloads(orders: Iterable[Order]) -> pl.DataFrame:
    """Return what `corso.extract.payloads.fulfillment_payloads` does."""
    rows = []
    for order in orders:
        for number in range(order.fulfillments):
            source = f"f-{order.number}-{number}"
            payload = json.dumps({"sourceFulfillmentId": source, "fulfillmentLocationId": 12})
            rows.append(
                (order.key.source_order_id, source, payload, _hash(payload), "fulfillments.csv", number)
            )
    texts = ["source_order_id", "source_fulfillment_id", "payload", "payload_hash", "file"]
    return pl.DataFrame(rows, schema=dict.fromkeys(texts, pl.String) | {"line": pl.Int64}, orient="row")


def _hash(payload: str) -> str:
    return sha256(payload.encode()).hexdigest()


pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
_HOW = settings(
    max_examples=25,
    stateful_step_count=15,
    deadline=None,
    # The same sequences every time: the search for others is `scripts/bench promise`.
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class TestPromise(Promise.TestCase):  # type: ignore[misc]  # made by hypothesis
    """Some sequences."""

    settings = _HOW


@pytest.mark.long
class TestPromiseAtLength(Promise.TestCase):  # type: ignore[misc]
    """More of them."""

    settings = settings(_HOW, max_examples=100)
