"""The kill harness: a real loader, killed with SIGKILL over and over while everything else goes wrong as well.

One story is one shop over some nights: its export changes, a process of the real command loads it, is killed at a
point that the seed has chosen, and the same command runs again, until it has ended by itself. Then what is in the
sandbox's database is held against the export, and the ledger against the database. `scripts/bench kills` tells many
stories and prints the table; `tests/acceptance/test_kills.py` tells a few.
"""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, get_args

from corso.database import DatabaseUrl, LedgerPlace, SharedLedger
from corso.delivery.ledger import Key, Ledger
from corso.delivery.states import State
from sandbox.faults import Faults, Kind
from sandbox.filters import FilterModes
from sandbox.listing import PageSizes
from sandbox.options import DuplicateMode, SandboxOptions
from sandbox.points import ARRIVED, BODY_READ, COMMITTED, TOKEN, Point
from tests.doomed_loader import ANSWER_READ, LOOKED_UP, SENDING_COMMITTED
from tests.ledger_places import url_of
from tests.loader_process import COMMAND, STORE_ID, Ended, Shop, broken_identities, doomed_at, environment
from tests.merchant import Merchant, held_as_wanted
from tests.postgres_server import PostgresServer
from tests.sandbox_process import SandboxAddresses, sandbox_on_a_thread

DUPLICATE_MODES: tuple[DuplicateMode, ...] = get_args(DuplicateMode)
AT_RANDOM: Final = "at random"
POINTS = (SENDING_COMMITTED, ARRIVED, BODY_READ, COMMITTED, ANSWER_READ, LOOKED_UP, TOKEN, AT_RANDOM)
"""Where a loader is killed, in the order of an operation's life."""
IN_WORDS = {
    SENDING_COMMITTED: "after `sending` is committed",
    ARRIVED: "after bytes out (head)",
    BODY_READ: "after bytes out (body)",
    COMMITTED: "after the server's commit",
    ANSWER_READ: "after the answer, before our commit",
    LOOKED_UP: "during a look-up",
    TOKEN: "during a token refresh",
    AT_RANDOM: "at a random time",
}
_BAG = (*POINTS, COMMITTED, ANSWER_READ, LOOKED_UP, AT_RANDOM)
"""What is drawn from without putting back, so that every point has its turn in a story of this many kills."""
_IN_THE_LOADER = frozenset({SENDING_COMMITTED, ANSWER_READ, LOOKED_UP})

_NEW_AT_FIRST, _NEW_EACH_NIGHT = 60, 30
_TIMEOUT_S, _SLOW_FOR_S, _LISTING_DELAY_S = 0.8, 1.0, 1.2
"""The sandbox holds a stalled request back for longer than the client waits, and carries it out within the delay that
the promise assumes (docs/promise.md)."""
_USES_OF_A_TOKEN = 15
_LONGEST_RUN_S = 300
"""A run that hangs is told from one that waits for a busy machine."""
_RERUNS = 15
"""A run that a guard stopped (circuit open, cannot be read) is run again; so often in a row is no coincidence."""
_LIFE_S = 4.0
"""About how long a loader lives that nobody kills."""
FINISHED = (0, 1)
GUARDED = (3, 75)

LOADER = f"""\
limits: {{max_in_flight: 8, outage_s: 20, requests_per_second: 200}}
upload: {{canary: 3, listing_delay_s: {_LISTING_DELAY_S}}}
"""


@dataclass
class Told:
    """What became of one story, or of many."""

    kills: Counter[str] = field(default_factory=Counter)
    """Kills by point."""
    count: Counter[str] = field(default_factory=Counter)
    """Runs, orders, fulfillments, faults, …, and what must be 0: the names in `BROKEN`."""
    broken: list[str] = field(default_factory=list)
    """What is not as promised, as sentences."""

    def __add__(self, other: "Told") -> "Told":
        return Told(self.kills + other.kills, self.count + other.count, self.broken + other.broken)


BROKEN = ("lost", "doubled", "with other content", "in no end state", "unlike the ledger")
"""What may never be: the last rows of the table."""


class Trap:
    """Kills a process at a point of the sandbox's; called on the sandbox's thread, which stands still meanwhile."""

    def __init__(self) -> None:
        self._point: str | None = None
        self._left = 0
        self._process: subprocess.Popen[str] | None = None
        self.seen = threading.Event()
        """Set once the process has asked for anything."""

    def arm(self, point: str, number: int, process: "subprocess.Popen[str]") -> None:
        """Kill the process when it comes to the point for the `number`th time."""
        self.seen.clear()
        self._process, self._left, self._point = process, number, point

    def disarm(self) -> None:
        """Kill nobody from here on."""
        self._point = None

    def __call__(self, point: Point) -> None:
        """See `sandbox.points.AtPoint`."""
        self.seen.set()
        if point != self._point or self._process is None:
            return
        self._left -= 1
        if self._left == 0:
            self._process.send_signal(signal.SIGKILL)
            # The answer must not go out before the process is gone; whoever started it still has to bury it.
            os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)


class Story:
    """One shop, one sandbox, one seed."""

    def __init__(
        self, folder: Path, seed: int, duplicates: DuplicateMode, server: PostgresServer | None
    ) -> None:
        self._name = f"seed {seed}, duplicates {duplicates}"
        self._chance = random.Random(seed)
        self._merchant = Merchant(seed)
        self._folder = folder
        self._options = self._how_the_sandbox_is(seed, duplicates)
        self._trap = Trap()
        self._shop = Shop(folder / "shop")
        self._ledger_url = None if server is None else url_of(server, folder)
        self._told = Told()
        self._bag: list[str] = []

    def _how_the_sandbox_is(self, seed: int, duplicates: DuplicateMode) -> SandboxOptions:
        chance = self._chance
        shares = {kind.replace("-", "_"): chance.choice((0.0, 0.01, 0.03)) for kind in get_args(Kind)}
        # The email filter alone finds no customer without an address, so one of the other ways is always open.
        filters = (
            FilterModes(),
            FilterModes(source="refused"),
            FilterModes(source="ignored"),
            FilterModes(source="refused", email="refused"),
            FilterModes(refuse_unfiltered=True),
            FilterModes(refuse_unfiltered=True, email="refused"),
        )
        return SandboxOptions(
            duplicates=duplicates,
            filters=chance.choice(filters),
            limit=chance.choice((0, 0, 100)),
            window_s=1.0,
            headers=chance.choice(("always", "429", "never")),
            page_sizes=PageSizes(default=10, largest=chance.choice((10, 250))),
            listing_lag_s=chance.choice((0.0, 0.5)),
            normalise=chance.random() < 0.5,
            extra_fields=chance.random() < 0.5,
            revoke_after=_USES_OF_A_TOKEN,
            faults=Faults(
                seed=seed,
                token_errors=chance.choice((0.0, 0.2)),
                slow_for_s=_SLOW_FOR_S,
                **shares,  # type: ignore[arg-type]  # each is a share of the requests
            ),
        )

    def tell(self, kills: int) -> Told:
        """Load night after night until so many loaders were killed; then let the last night end, and judge."""
        db = self._folder / "sandbox.sqlite"
        with sandbox_on_a_thread(self._options, db=db, at_point=self._trap) as sandbox:
            self._shop.sandbox = sandbox
            self._shop.configure(LOADER, timeout_s=_TIMEOUT_S)
            night = 0
            while not night or self._killed < kills:
                night += 1
                self._merchant.night(_NEW_EACH_NIGHT if night > 1 else _NEW_AT_FIRST)
                self._shop.export(
                    list(self._merchant.orders.values()),
                    fulfillments=list(self._merchant.fulfillments.values()),
                )
                self._load(f"night-{night:02}", kills, sandbox)
            counts = sandbox.counts()
        self._told.count["faults acted out"] += sum(counts["faults"].values())
        answers = counts["requests_by_status"]
        self._told.count["requests"] += sum(answers.values())
        self._judge_the_books(f"night-{night:02}")
        self._judge_the_store(db)
        return self._told

    @property
    def _killed(self) -> int:
        return self._told.kills.total()

    def _load(self, batch: str, kills: int, sandbox: SandboxAddresses) -> None:
        """Run the same command until it has ended by itself, killing it as long as there are kills left."""
        stopped = 0
        while True:
            self._told.count["runs"] += 1
            ended = self._run_doomed(batch) if self._killed < kills else self._run(batch)
            counts = sandbox.counts()
            # Every time, not in the end only: a double must not be there for a moment.
            if counts["orders"] != counts["source_orders"]:
                self._is_broken("doubled", f"{counts['orders'] - counts['source_orders']} orders")
            if counts["fulfillments"] != counts["source_fulfillments"]:
                self._is_broken("doubled", "a fulfillment")
            if ended.code in FINISHED:
                return
            if ended.code == -signal.SIGKILL:
                stopped = 0
                continue
            stopped += 1
            if ended.code not in GUARDED or stopped > _RERUNS:
                message = f"{self._name}, {batch}: exit code {ended.code}, {ended.said}"
                raise AssertionError(message)

    def _run(self, batch: str) -> Ended:
        return self._ended(self._started(batch, None, 0))

    def _run_doomed(self, batch: str) -> Ended:
        point = self._draw_point()
        number = self._chance.randrange(1, 4 if point in {SENDING_COMMITTED, LOOKED_UP} else 11)
        if point == TOKEN:
            # The first one is no refresh.
            number = 2
        process = self._started(batch, point if point in _IN_THE_LOADER else None, number)
        if point == AT_RANDOM:
            self._kill_at_random(process)
        elif point not in _IN_THE_LOADER:
            self._trap.arm(point, number, process)
        ended = self._ended(process)
        self._trap.disarm()
        if ended.code == -signal.SIGKILL:
            self._told.kills[point] += 1
        else:
            self._bag.append(point)
        return ended

    def _draw_point(self) -> str:
        is_in_doubt = self._is_in_doubt()
        if not any(is_in_doubt or point != LOOKED_UP for point in self._bag):
            self._bag += _BAG
        points = [point for point in self._bag if is_in_doubt or point != LOOKED_UP]
        point = self._chance.choice(points)
        self._bag.remove(point)
        return point

    def _is_in_doubt(self) -> bool:
        """Say whether the next loader has anything to look up."""
        with Ledger.read(self._ledger_place(), STORE_ID) as ledger:
            return any(state in {State.SENDING, State.UNKNOWN} for _, state in ledger.counts())

    def _ledger_place(self) -> LedgerPlace:
        work = self._shop.folder / "work"
        if self._ledger_url is None:
            return work / "ledger.sqlite"
        return SharedLedger(DatabaseUrl.parse(self._ledger_url), work / "ledger.mark")

    def _kill_at_random(self, process: "subprocess.Popen[str]") -> None:
        """Half of them counted from the process's start, half from its first request."""
        self._trap.seen.clear()
        longest = _LIFE_S
        if self._chance.random() < 0.5:
            self._trap.seen.wait(_LIFE_S)
            longest = 1.5
        delay_s = self._chance.uniform(0, longest)
        until = time.monotonic() + delay_s
        while process.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)

    def _started(self, batch: str, point: str | None, number: int) -> "subprocess.Popen[str]":
        program = COMMAND if point is None else doomed_at(point, number)
        return subprocess.Popen(
            [sys.executable, *program, *self._shop.command("run", batch=batch)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            env=environment(CORSO_LEDGER_URL=self._ledger_url, PYTHONFAULTHANDLER="1"),
        )

    def _ended(self, process: "subprocess.Popen[str]") -> Ended:
        with process:
            try:
                said, _ = process.communicate(timeout=_LONGEST_RUN_S)
            except subprocess.TimeoutExpired:
                # Its threads are told as well: what it waits for is the question then.
                process.send_signal(signal.SIGABRT)
                said, _ = process.communicate()
                message = f"{self._name}: a run that had not ended after {_LONGEST_RUN_S} s: {said}"
                raise AssertionError(message) from None
            finally:
                process.kill()
        if "Traceback" in said:
            self._is_broken("in no end state", said)
        return Ended(process.returncode, said, "")

    def _is_broken(self, what: str, sentence: str) -> None:
        self._told.count[what] += 1
        self._told.broken.append(f"{self._name}: {what}: {sentence}")

    def _judge_the_books(self, batch: str) -> None:
        """Hold the last night's summary against the identities that always hold, and against the export."""
        summary = self._shop.summary(batch)
        for identity in broken_identities(summary):
            self._is_broken("in no end state", f"the identity {identity!r} of {batch} does not hold")
        if summary["reconciliation"]["matched"] != len(self._merchant.orders):
            self._is_broken("in no end state", json.dumps(summary["reconciliation"]))
        results = self._shop.table("results", batch)
        ended = Counter(row["outcome"] for row in results)
        for outcome in ended.keys() - {"created", "updated", "cancelled", "unchanged"}:
            self._is_broken("in no end state", f"{ended[outcome]} orders are {outcome}")

    def _judge_the_store(self, db: Path) -> None:
        """Hold what is in the sandbox's database against the export, and the ledger against it."""
        orders, fulfillments = _held_in(db)
        wanted = self._merchant.wanted()
        self._told.count["orders"] += len(wanted)
        self._told.count["fulfillments"] += sum(len(each.fulfillments) for each in wanted.values())
        held: dict[Key, str] = {}
        for source_order_id, each in wanted.items():
            records = [(number, record) for number, source, record in orders if source == source_order_id]
            if len(records) != 1:
                self._is_broken("doubled" if records else "lost", f"order {source_order_id}: {len(records)}")
                continue
            ((corso_id, record),) = records
            held[Key(source_order_id)] = str(corso_id)
            if not held_as_wanted(record, each):
                self._is_broken("with other content", f"order {source_order_id}")
            there = Counter(source for of, _, source in fulfillments if of == corso_id)
            for missing in each.fulfillments - there.keys():
                self._is_broken("lost", f"fulfillment {missing}")
            for doubled in (source for source, count in there.items() if count > 1):
                self._is_broken("doubled", f"fulfillment {doubled}")
            held |= {
                Key(source_order_id, source): str(number)
                for of, number, source in fulfillments
                if of == corso_id
            }
        self._judge_the_ledger(held)

    def _judge_the_ledger(self, held: dict[Key, str]) -> None:
        with Ledger.read(self._ledger_place(), STORE_ID) as ledger:
            entries = {entry.key: entry for entry in ledger.entries()}
        for key, entry in entries.items():
            if entry.state != "accepted":
                self._is_broken("in no end state", f"{key} is {entry.state}: {entry.reason}")
            if entry.corso_id != held.get(key):
                self._is_broken("unlike the ledger", f"{key}: {entry.corso_id} is {held.get(key)} in Corso")
        for key in held.keys() - entries.keys():
            self._is_broken("unlike the ledger", f"{key} is in Corso only")


def _held_in(db: Path) -> tuple[list[tuple[int, str, dict[str, Any]]], list[tuple[int, int, str]]]:
    """Return the sandbox's orders (id, source id, record) and fulfillments (order's id, id, source id)."""
    with closing(sqlite3.connect(db)) as connection:
        orders = connection.execute("SELECT order_id, source_order_id, record FROM orders").fetchall()
        fulfillments = connection.execute(
            "SELECT order_id, fulfillment_id, source_fulfillment_id FROM fulfillments"
        ).fetchall()
    return [(number, source, json.loads(record)) for number, source, record in orders], fulfillments


def tell_story(
    seed: int, duplicates: DuplicateMode, kills: int, server: PostgresServer | None = None
) -> Told:
    """Tell one story in a folder of its own, its ledger in a file or on a server."""
    with tempfile.TemporaryDirectory() as name:
        return Story(Path(name), seed, duplicates, server).tell(kills)


def table(told: dict[DuplicateMode, Told]) -> Iterator[str]:
    """Yield the lines of the table: kills by point, what happened, what may never be."""
    modes = list(told)
    yield f"| | {' | '.join(modes)} | all |"
    yield f"|---|{'---:|' * (len(modes) + 1)}"
    for point in POINTS:
        yield _row(f"killed {IN_WORDS[point]}", [told[mode].kills[point] for mode in modes])
    yield _row("**kills**", [told[mode].kills.total() for mode in modes])
    for name in ("runs", "requests", "faults acted out", "orders", "fulfillments"):
        yield _row(name, [told[mode].count[name] for mode in modes])
    for name in BROKEN:
        yield _row(f"**{name}**", [told[mode].count[name] for mode in modes])


def _row(name: str, numbers: list[int]) -> str:
    cells = [f"{number:,}" for number in (*numbers, sum(numbers))]
    return f"| {name} | {' | '.join(cells)} |"
