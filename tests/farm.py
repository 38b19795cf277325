"""A farm: many stores, Dagster's daemon, Celery's workers on machines of their own, and somebody who kills them.

All is real: PostgreSQL, Redis, an S3 server, the daemon with its sensor, the workers, the sandboxes. Stores drop their batches into
the bucket, where tables and reports go, too, and nobody does anything more. `scripts/bench farm` has the large one, `tests/acceptance/test_farm.py` a small one.
"""

import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import psycopg

from assets.run_tags import PARTITION_TAG
from tests.loader_process import Shop, environment
from tests.machines import Machine, machines
from tests.merchant import Merchant
from tests.nights import FILES, Nights, not_as_the_source
from tests.postgres_server import PostgresServer
from tests.redis_server import redis_server
from tests.s3_server import BUCKET, S3Server, s3_server
from tests.sandbox_process import RunningSandbox, running_sandbox

_ROOT = Path(__file__).resolve().parents[1]
_FIRST = date(2026, 11, 1)
_POLL_S = 0.5
_SOON = "run_queue: {dequeue_interval_seconds: 1}\n"
_LOCATION = "tests.nightly_location"

TWO_SENDERS = """
SELECT count(*) FROM attempts a JOIN tenures mine ON mine.id = a.tenure_id
JOIN tenures later ON later.lease = mine.lease AND later.fence > mine.fence
JOIN attempts b ON b.tenure_id = later.id AND b.id < a.id
"""
"""Attempts that were made after the next holder's first one (docs/ledger.md)."""
OVERLAPS = """
SELECT count(*) FROM tenures a JOIN tenures b ON b.lease = a.lease AND b.fence = a.fence + 1
WHERE a.ended_at IS NULL OR a.ended_at > b.taken_at
"""
"""Times at which two held one lease: a store, some credentials, a batch."""
TWICE_ACCEPTED = """
SELECT count(*) FROM (
  SELECT 1 FROM attempts WHERE kind = 'create' AND ended_as = 'accepted'
  GROUP BY store_id, source_order_id, source_fulfillment_id HAVING count(*) > 1
) AS doubled
"""


@dataclass(frozen=True)
class Size:
    """How large a farm is, and how rough."""

    stores: int
    batches: int
    new_orders: int
    """Each night; about as many change."""
    credentials: int
    """Sets of credentials, each with a sandbox and a quota of its own, that the stores share."""
    kills: int
    seed: int
    workers: int = 2
    processes: int = 2
    """Of each worker."""
    limit: int = 200
    """Requests a window of ten seconds, of each set of credentials."""
    in_steps: bool = False
    """Whether workers carry out steps (CORSO_EXECUTOR=celery) and not whole runs."""
    patience_s: float = 3600


@dataclass
class Told:
    """What became of a farm."""

    wall_s: float = 0.0
    kills: int = 0
    runs: Counter[str] = field(default_factory=Counter)
    """By how Dagster says that they ended."""
    orders: int = 0
    """That the sandboxes hold."""
    requests: int = 0
    refused: int = 0
    """Answers with 429."""
    most_in_a_window: int = 0
    worker_cpu_s: float = 0.0
    worker_peak_mib: int = 0
    """Of one of a worker's processes."""
    tenures: int = 0
    """Times that somebody held a set of credentials."""
    takeovers: int = 0
    """Times that a lease was taken over from a holder that was dead."""
    by_host: Counter[str] = field(default_factory=Counter)
    """Attempts by the machine that made them."""
    wrong: list[str] = field(default_factory=list)
    """What is not as it has to be; empty."""


class Farm:
    """A running farm."""

    def __init__(self, folder: Path, size: Size) -> None:
        self.folder = folder
        self.size = size
        self.chance = random.Random(size.seed)
        self.nights: dict[int, Nights] = {}
        self.shops: dict[int, Shop] = {}
        self.told = Told()

    def store_ids(self) -> range:
        """Return the stores' numbers."""
        return range(1, self.size.stores + 1)

    def batch(self, number: int) -> str:
        """Return the name of a night's batch."""
        return str(_FIRST + timedelta(days=number))

    def keys(self) -> list[str]:
        """Return all batches, as Dagster calls them."""
        return [
            f"store-{store:02}/{self.batch(number)}"
            for store in self.store_ids()
            for number in range(self.size.batches)
        ]

    def make_store(self, store: int, sandbox: RunningSandbox) -> None:
        """Make a store's folder, without a batch."""
        port = sandbox.root_url.rpartition(":")[2]
        shop = Shop(self.folder / "landing" / f"store-{store:02}", sandbox, store, FILES)
        here = f"http://127.0.0.1:{port}"
        shop.configure(
            f"workdir: s3://{BUCKET}/work\nupload: {{canary: 2, listing_delay_s: 0.5}}\nlimits: {{share: 1.0}}",
            base_url=f"{here}/v1",
            token_url=f"{here}/oauth/token",
        )
        self.shops[store] = shop
        self.nights[store] = Nights(
            shop.folder, Merchant(1000 * self.size.seed + store), self.size.new_orders
        )

    def drop_all(self, s3: S3Server) -> None:
        """Deliver all nights of all stores into the bucket, each batch's marker last: the farm has to keep their order."""
        for nights in self.nights.values():
            for number in range(self.size.batches):
                nights.drop(self.batch(number), nights.texts())
        files = [path for path in (self.folder / "landing").rglob("*") if path.is_file()]
        files.sort(key=lambda path: path.name == "_COMPLETE")
        s3.put({path.relative_to(self.folder).as_posix(): path for path in files})


@dataclass
class Servers:
    """What the farm speaks to."""

    ledger_url: str
    dagster_url: str
    broker_url: str
    s3: S3Server
    sandboxes: list[RunningSandbox]


@contextmanager
def servers(farm: Farm, address: str) -> Iterator[Servers]:
    """Start PostgreSQL, Redis and the sandboxes, where the machines reach them."""
    with ExitStack() as undo:
        postgres = undo.enter_context(PostgresServer(address="" if address == "127.0.0.1" else address))
        postgres.execute("CREATE DATABASE dagster")
        redis = undo.enter_context(redis_server(farm.folder, address))
        limits = (
            "--host",
            address,
            "--limit",
            str(farm.size.limit),
            "--window",
            "10",
            "--duplicates",
            "accept",
        )
        sandboxes = [
            undo.enter_context(running_sandbox(*limits, db=farm.folder / f"corso-{number}.sqlite"))
            for number in range(farm.size.credentials)
        ]
        dagster_url = postgres.url("dagster").replace("postgresql:", "postgresql+psycopg2:")
        s3 = undo.enter_context(s3_server(address))
        yield Servers(postgres.url(), dagster_url, redis, s3, sandboxes)


def told_environment(farm: Farm, made: Servers, own: Path, **more: str) -> dict[str, str]:
    """Return the environment of a machine's program; `own` is the machine's folder, and no other looks into it."""
    home = own / "home"
    home.mkdir(parents=True, exist_ok=True)
    kind = "celery-steps" if farm.size.in_steps else "celery"
    text = (_ROOT / "deploy" / kind / "dagster.yaml").read_text(encoding="utf-8")
    slots = farm.size.workers * farm.size.processes
    text = text.replace("max_concurrent_runs: 4", f"max_concurrent_runs: {slots}")
    (home / "dagster.yaml").write_text(text + _SOON, encoding="utf-8")
    return environment(
        DAGSTER_HOME=str(home),
        CORSO_SCRATCH=str(own / "scratch"),
        **made.s3.environment,
        CORSO_LOADER_CONFIG=f"s3://{BUCKET}/landing",
        CORSO_LEDGER_URL=made.ledger_url,
        CORSO_DAGSTER_URL=made.dagster_url,
        CORSO_BROKER_URL=made.broker_url,
        CORSO_EXECUTOR="celery" if farm.size.in_steps else "in_process",
        PYTHONPATH=str(_ROOT),
        PYTHONWARNINGS="ignore",
        **more,
    )


def start_worker(farm: Farm, machine: Machine, made: Servers) -> None:
    """Start a machine's worker."""
    command = [sys.executable, "-m", "celery", "-A", "pipelines.celery_app", "worker", "--loglevel", "INFO"]
    more = ["--concurrency", str(farm.size.processes), "-n", f"{machine.name}@%h"]
    # Celery's main process passes SIGTERM on, so that runs end in order.
    told = told_environment(farm, made, machine.folder, REMAP_SIGTERM="SIGQUIT")
    machine.start([*command, *more], told, _ROOT)


class Meter(threading.Thread):
    """Measures what the workers' processes take, also of those that are killed: it looks twice a second."""

    def __init__(self, hosts: list[Machine], told: Told) -> None:
        super().__init__(daemon=True)
        self._hosts = hosts
        self._told = told
        self._cpu: dict[tuple[str, str], float] = {}
        self.enough = threading.Event()

    def run(self) -> None:
        """Look until it is enough."""
        while not self.enough.wait(0.5):
            self.look()

    def look(self) -> None:
        """Look once."""
        sessions = {str(host.process.pid) for host in self._hosts if host.process}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with suppress(OSError, ValueError, IndexError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if fields[3] not in sessions:
                    continue
                ticks = int(fields[11]) + int(fields[12])
                # By its start, too: a number comes again.
                self._cpu[entry.name, fields[19]] = ticks / os.sysconf("SC_CLK_TCK")
                status = (entry / "status").read_text()
                peak = int(status.partition("VmHWM:")[2].split()[0]) >> 10
                self._told.worker_peak_mib = max(self._told.worker_peak_mib, peak)
        self._told.worker_cpu_s = sum(self._cpu.values())


class Killer(threading.Thread):
    """Kills workers at random, whole machines at a time, and starts them again."""

    def __init__(self, farm: Farm, hosts: list[Machine], made: Servers, every_s: float) -> None:
        super().__init__(daemon=True)
        self._farm, self._hosts, self._made, self._every_s = farm, hosts, made, every_s
        self.enough = threading.Event()

    def run(self) -> None:
        """Go on until it is enough."""
        chance = self._farm.chance
        for _ in range(self._farm.size.kills):
            if self.enough.wait(chance.uniform(0.5, 1.5) * self._every_s):
                return
            machine = chance.choice(self._hosts)
            machine.kill()
            self._farm.told.kills += 1
            if self.enough.wait(chance.uniform(0.2, 3)):
                return
            start_worker(self._farm, machine, self._made)


@dataclass
class Standing:
    """A farm with everything started, and nothing delivered yet."""

    farm: Farm
    hosts: list[Machine]
    made: Servers
    instance: dg.DagsterInstance
    daemon: "subprocess.Popen[bytes]"


@contextmanager
def standing_farm(folder: Path, size: Size) -> Iterator[Standing]:
    """Start all of a farm; it goes with the block."""
    farm = Farm(folder, size)
    with ExitStack() as undo:
        names = [f"worker-{number}" for number in range(1, size.workers + 1)]
        address, hosts = undo.enter_context(machines(folder, names))
        made = undo.enter_context(servers(farm, address))
        ports = [int(each.root_url.rpartition(":")[2]) for each in made.sandboxes]
        if address != "127.0.0.1":
            for machine in hosts:
                undo.enter_context(machine.forwarding(address, ports))
        for store in farm.store_ids():
            farm.make_store(store, made.sandboxes[store % size.credentials])
        told = told_environment(farm, made, folder)
        undo.enter_context(_named({name: told[name] for name in ("CORSO_DAGSTER_URL", "CORSO_BROKER_URL")}))
        instance = undo.enter_context(dg.DagsterInstance.from_config(str(folder / "home")))
        for machine in hosts:
            start_worker(farm, machine, made)
            undo.callback(machine.kill)
        daemon = undo.enter_context(_daemon(folder, told))
        yield Standing(farm, hosts, made, instance, daemon)


def run_farm(folder: Path, size: Size, kill_every_s: float = 30, say: bool = False) -> Told:
    """Let a farm load all batches of all stores while workers are killed; return what became of it."""
    with standing_farm(folder, size) as standing, ExitStack() as undo:
        farm, hosts, made, instance = standing.farm, standing.hosts, standing.made, standing.instance
        farm.drop_all(made.s3)
        began = time.monotonic()
        meter = Meter(hosts, farm.told)
        meter.start()
        undo.callback(meter.enough.set)
        killer = Killer(farm, hosts, made, kill_every_s)
        killer.start()
        undo.callback(killer.enough.set)
        done = _wait(farm, instance, standing.daemon, began, say=say)
        killer.enough.set()
        killer.join(20)
        farm.told.wall_s = time.monotonic() - began
        if late := set(farm.keys()) - done:
            farm.told.wrong += [f"{key}: not loaded" for key in late]
            # What they wait for is the question then.
            farm.told.wrong += [f"{host.name} stood here: {host.abort()}" for host in hosts]
        runs = instance.get_runs(dg.RunsFilter(job_name="load_batch"))
        farm.told.runs = Counter(run.status.value for run in runs)
        _ask_ledger(farm, made)
        for sandbox in made.sandboxes:
            _ask_sandbox(farm, sandbox)
            assert sandbox.stop() == 0
    _look_into_stores(farm)
    return farm.told


@contextmanager
def _named(variables: Mapping[str, str]) -> Iterator[None]:
    """Have variables in this process's environment, too: its own instance is that of dagster.yaml."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _daemon(folder: Path, told: Mapping[str, str]) -> "Iterator[subprocess.Popen[bytes]]":
    command = [sys.executable, "-m", "dagster._daemon", "run", "-m", _LOCATION]
    with (
        (folder / "daemon.log").open("wb") as log,
        subprocess.Popen(
            command, cwd=_ROOT, env=told, stdout=log, stderr=log, start_new_session=True
        ) as process,
    ):
        try:
            yield process
        finally:
            os.killpg(process.pid, 9)


def _wait(
    farm: Farm, instance: dg.DagsterInstance, daemon: "subprocess.Popen[bytes]", began: float, *, say: bool
) -> set[str]:
    """Wait until every batch has been loaded; return those that were."""
    wanted, done, said_at = set(farm.keys()), set[str](), 0.0
    while time.monotonic() - began < farm.size.patience_s and done != wanted and daemon.poll() is None:
        time.sleep(_POLL_S)
        well = instance.get_runs(dg.RunsFilter(job_name="load_batch", statuses=[dg.DagsterRunStatus.SUCCESS]))
        done = {run.tags[PARTITION_TAG] for run in well} & wanted
        if say and time.monotonic() - said_at > 30:
            said_at = time.monotonic()
            print(
                f"{said_at - began:5.0f} s: {len(done)} of {len(wanted)} batches, {farm.told.kills} kills",
                flush=True,
            )
    return done


def _ask_ledger(farm: Farm, made: Servers) -> None:
    told = farm.told
    with psycopg.connect(made.ledger_url, autocommit=True) as ledger:

        def one(query: str) -> int:
            row = ledger.execute(query.encode()).fetchone()
            assert row is not None
            return int(row[0])

        for what, query in (
            ("attempts of a sender after the next one's first", TWO_SENDERS),
            ("leases that two held at a time", OVERLAPS),
            ("creates that were accepted twice", TWICE_ACCEPTED),
            ("entries that are not accepted", "SELECT count(*) FROM entries WHERE state <> 'accepted'"),
        ):
            if found := one(query):
                told.wrong.append(f"{found} {what}")
        told.tenures = one("SELECT count(*) FROM tenures WHERE lease LIKE 'credential %'")
        told.takeovers = one("SELECT count(*) FROM tenures WHERE ended_as = 'taken over'")
        by_host = "SELECT split_part(t.host, ' ', 1), count(*) FROM attempts a JOIN tenures t ON t.id = a.tenure_id GROUP BY 1"
        told.by_host = Counter(dict(ledger.execute(by_host.encode()).fetchall()))


def _ask_sandbox(farm: Farm, sandbox: RunningSandbox) -> None:
    counts, told = sandbox.counts(), farm.told
    told.orders += counts["orders"]
    told.requests += sum(counts["requests_by_status"].values())
    quota = counts["quota"]
    told.refused += quota["refused_ours"]
    told.most_in_a_window = max([told.most_in_a_window, *(window[2] for window in quota["windows"])])
    if quota["early"]:
        told.wrong.append(f"{quota['early']} requests before a time to wait was over")


def _look_into_stores(farm: Farm) -> None:
    """Hold each sandbox's database against the merchants' shops, and each batch's books against themselves."""
    for store in farm.store_ids():
        db = farm.folder / f"corso-{store % farm.size.credentials}.sqlite"
        wrong = not_as_the_source(db, farm.nights[store].merchant, store)
        farm.told.wrong += [f"store {store}: {each}" for each in wrong]


@contextmanager
def temporary_farm() -> Iterator[Path]:
    """Yield a folder for a farm."""
    with tempfile.TemporaryDirectory(prefix="corso-many-stores-") as name:
        yield Path(name)
