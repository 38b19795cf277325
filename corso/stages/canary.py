"""The canary: a few orders of every kind go first, are read back and compared; only then the rest goes.

A wrong mapping, or an API that keeps something else than it was sent, shows after twenty orders and not after two
million. It passes where at least half of them are in Corso, each as it was sent. What was chosen, and whether it passed,
is kept in the batch's tables: a run that goes on does not ask again, and one that failed is held against the same orders
until they pass.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence

import polars as pl

from corso.delivery.ledger import Entry, Key, Ledger
from corso.delivery.look_ups import LONGEST_LAG_GUESSED_S
from corso.delivery.ports import OrderReads
from corso.delivery.sameness import differences
from corso.delivery.states import State
from corso.errors import Stopped
from corso.extract.canary import choose_canary
from corso.extract.payloads import order_payloads
from corso.report.atomic import replacing
from corso.report.tolerances import LINE_PREFIX, LINES, ignored_columns
from corso.stages.batch import Batch
from corso.stages.operations import rows_of
from corso.stages.retrying import essence_of
from schemas.line_items import LINE_ITEM_PATHS
from schemas.orders import ORDER_PATHS
from schemas.wire import JsonObject

_SENT = ("create", "update")
_COMPARED = (*_SENT, "unchanged")
"""Actions of orders whose content can be held against Corso's; one that was accepted before the plan was made is unchanged in it."""
_SHORTEST_NAP_S = 0.5

Pause = Callable[[float], Awaitable[None]]
"""Waits so many seconds; raises what has stopped the run meanwhile."""


class Canary:
    """The first orders of a batch."""

    def __init__(
        self, batch: Batch, plan: pl.LazyFrame, ledger: Ledger, api: OrderReads, pause: Pause
    ) -> None:
        self._batch = batch
        self._plan = plan
        self._ledger = ledger
        self._api = api
        self._pause = pause
        self._path = batch.file("tables/canary.json")
        self.keys: list[Key] = []
        """The orders chosen."""

    def choose(self, todo: pl.LazyFrame, total: int) -> bool:
        """Choose the orders; say whether there are any: not where they passed before, nor where no rest would follow.

        `todo` are the plan's rows to be sent, of which at most `total` go.
        """
        count = self._batch.settings.loader.upload.canary
        kept, settled = self._kept()
        if kept and settled == self._hashes(kept):
            return False
        candidates = todo.filter(pl.col("action").is_in(_SENT)).select("source_order_id")
        if kept and settled is None:
            self.keys = kept
        elif not 0 < count < total:
            return False
        else:
            chosen = choose_canary(
                pl.scan_parquet(self._batch.table("accepted_orders"), glob=False),
                pl.scan_parquet(self._batch.table("accepted_line_items"), glob=False),
                candidates,
                count,
            )
            self.keys = [Key(source_order_id) for source_order_id in chosen]
        if self.keys:
            self._keep(passed=None)
        return bool(self.keys)

    async def check(self) -> list[Key]:
        """Read the orders back and compare them; raises Stopped where they are not what was sent, or most of them not in Corso.

        Returns those that are in Corso. Any other has a state that says why; where these are no more than half, they are
        no reason to stop.
        """
        entries = self._ledger.entries_of(self.keys).values()
        accepted = [entry for entry in entries if entry.state is State.ACCEPTED]
        if len(accepted) < len(self.keys) / 2:
            raise Stopped(_told_of_few(entries, len(accepted), len(self.keys)))
        payloads = self._payloads()
        delay_s = self._batch.settings.loader.upload.listing_delay_s
        updated = {
            entry.corso_id or "": payloads[entry.key.source_order_id]
            for entry in accepted
            if entry.kind == "update_order"
        }
        records = await read_each(
            self._api,
            [entry.corso_id or "" for entry in accepted],
            self._pause,
            delay_s,
            shows=lambda corso_id, record: (
                corso_id not in updated or not self._differing(record, updated[corso_id])
            ),
        )
        differing = {
            source_order_id: paths
            for source_order_id, corso_id in ((each.key.source_order_id, each.corso_id) for each in accepted)
            if (paths := self._differing(records.get(corso_id or ""), payloads[source_order_id]))
        }
        if differing:
            raise Stopped(_told(differing, len(self.keys)))
        arrived = [entry.key for entry in accepted]
        self._keep(passed=self._hashes(arrived))
        return arrived

    def _differing(self, record: JsonObject | None, payload: bytes) -> Sequence[str]:
        if record is None:
            return ["the whole order, which cannot be read"]
        ignored = _ignored_paths(ignored_columns(self._batch.settings))
        return [path for path in differences(record, payload) if path not in ignored]

    def _payloads(self) -> dict[str, bytes]:
        """Return source order id -> what was sent of the canary's orders.

        An `unchanged` order has no payload in the plan: it is made again.
        """
        rows = rows_of(self._plan, self.keys).filter(pl.col("action").is_in(_COMPARED)).collect()
        payloads = dict(rows.select("source_order_id", "payload").iter_rows())
        made_again = [source_order_id for source_order_id, payload in payloads.items() if payload is None]
        if made_again:
            orders, lines = (
                pl.scan_parquet(self._batch.table(name), glob=False)
                .filter(pl.col("source_order_id").is_in(made_again))
                .collect()
                for name in ("accepted_orders", "accepted_line_items")
            )
            made = order_payloads(orders, lines, self._batch.settings.loader.store.id)
            payloads |= dict(made.select("source_order_id", "payload").iter_rows())
        return {source_order_id: payload.encode() for source_order_id, payload in payloads.items()}

    def _hashes(self, keys: Sequence[Key]) -> dict[str, str]:
        rows = rows_of(self._plan, keys).filter(pl.col("action").is_in(_COMPARED))
        return dict(
            rows.select("source_order_id", "payload_hash").sort("source_order_id").collect().iter_rows()
        )

    def _kept(self) -> tuple[list[Key], dict[str, str] | None]:
        """Return the orders chosen by an earlier run, and what became of them: source order id -> payload hash; None before they passed."""
        if not self._path.exists():
            return [], None
        content = json.loads(self._path.read_bytes())
        in_plan = self._hashes([Key(source_order_id) for source_order_id in content["orders"]])
        keys = [Key(source_order_id) for source_order_id in content["orders"] if source_order_id in in_plan]
        passed = content["passed"]
        return keys, None if passed is None else passed | content.get("not_in_corso", {})

    def _keep(self, passed: dict[str, str] | None) -> None:
        content: dict[str, object] = {
            "orders": [key.source_order_id for key in self.keys],
            "passed": passed,
        }
        if passed is not None:
            content["not_in_corso"] = self._hashes(
                [key for key in self.keys if key.source_order_id not in passed]
            )
        with replacing(self._path) as draft:
            draft.write_text(json.dumps(content, indent=1), encoding="utf-8")


async def read_each(
    api: OrderReads,
    corso_ids: Sequence[str],
    pause: Pause,
    delay_s: float,
    shows: Callable[[str, JsonObject], bool] = lambda _corso_id, _record: True,
) -> dict[str, JsonObject]:
    """Return Corso's id -> record, of those that can be read within `LONGEST_LAG_GUESSED_S`: reads may be late, as listings are.

    A record that does not show yet what it is to show, as it was before an update, is read again as long.
    """
    records: dict[str, JsonObject] = {}
    late = list(dict.fromkeys(corso_ids))
    waited_s = 0.0
    while True:
        found = await asyncio.gather(*(api.order(corso_id) for corso_id in late))
        records |= {
            corso_id: record for corso_id, record in zip(late, found, strict=True) if record is not None
        }
        late = [each for each in late if each not in records or not shows(each, records[each])]
        nap_s = min(max(delay_s, _SHORTEST_NAP_S, waited_s), LONGEST_LAG_GUESSED_S - waited_s)
        if not late or nap_s <= 0:
            return records
        await pause(nap_s)
        waited_s += nap_s


def _ignored_paths(columns: frozenset[str]) -> frozenset[str]:
    """Return the API paths of ignored columns."""
    lines = {f"lineItems.{path}" for path in LINE_ITEM_PATHS.values()} | {"lineItems"}
    paths = {path for name, path in ORDER_PATHS.items() if name in columns}
    paths |= {
        f"lineItems.{path}" for name, path in LINE_ITEM_PATHS.items() if f"{LINE_PREFIX}{name}" in columns
    }
    return frozenset(paths | (lines if LINES in columns else set()))


def _told_of_few(entries: Collection[Entry], accepted: int, count: int) -> str:
    rejected = sum(entry.state is State.REJECTED for entry in entries)
    reasons = [
        (entry.updated_at, entry.reason)
        for entry in entries
        if entry.state is not State.ACCEPTED and entry.reason
    ]
    last = f". The last reason: {essence_of(max(reasons)[1])}" if reasons else ""
    return (
        f"the canary: {accepted} of the first {count} orders arrived, {rejected} were rejected, so the rest was not sent; "
        f"results.csv says how each stands{last}"
    )


def _told(differing: dict[str, Sequence[str]], count: int) -> str:
    paths = Counter(path for found in differing.values() for path in found)
    listed = ", ".join(f"{path} ({number})" for path, number in paths.most_common(5))
    first = next(iter(differing))
    return (
        f"the canary: {len(differing)} of the first {count} orders are in Corso with something else than was sent: "
        f"{listed}; the first is order {first}. The rest was not sent. Mend the profile, or name what Corso may change "
        "in reconcile.ignore, then run the same command again"
    )
