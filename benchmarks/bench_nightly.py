"""What a night of many stores costs: Dagster's daemon starts each store's batch, beside the same job in one process.

scripts/bench nightly [STORES] [ORDERS] [RUNS AT ONCE]

Every store drops one batch, complete by its marker. There are as many sandboxes, which refuse nothing and wait for nothing,
as runs at once: stores of one sandbox have the same credentials, and wait for each other. Two nights are loaded: in the first all orders are new, in the second none, as after a second delivery.
Some of the stores are loaded before in Dagster's own way: a new process for each run, its SQLite files opened for each event
(docs/nightly.md says what is done instead). Processor seconds are of the runs, and apart of the daemon and its code server; the sandboxes' are not among them. Beside it
the same job in one process that has loaded another store before. (What Dagster costs inside a process tells `scripts/bench dagster`.)
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

_ROOT = Path(__file__).resolve().parents[1]
_BATCH = "2026-11-22"
_FILES = '{profile: canonical, orders: "{batch}/orders-*", line_items: "{batch}/line_items*", fulfillments: "{batch}/ful*"}'
_LONGEST_NIGHT_S = 3 * 3600
_QUIET_S = 10.0
_PLAIN_STORES = 4
"""So many are loaded in Dagster's own way, to compare."""
_AGAIN_STORES = 20
"""So many deliver the same again."""
_SETTINGS = """\
telemetry: {{enabled: false}}
{runs}
run_queue: {{dequeue_interval_seconds: 1}}
"""
_LOCATION = """\
from pipelines.definitions import build_defs
defs = build_defs(look_every_s=5, running=True)
"""


@dataclass(frozen=True)
class Cost:
    """What something took."""

    wall_s: float
    cpu_s: float
    loads: int = 1
    daemon_cpu_s: float = 0.0
    """Of the daemon and its code server, which looks at the folders: it goes by the time, not by batches."""


def write_batch(folder: Path, orders: int) -> None:
    """Write an export of so many orders, one in fifty of them bad; the marker comes last."""
    from pipelines.samples import write_samples  # noqa: PLC0415  (not in the processes that are measured)

    write_samples(folder, orders)
    (folder / "_COMPLETE").touch()


def write_store(landing: Path, number: int, root_url: str) -> Path:
    """Make a store's folder, without a batch; return its loader.yaml."""
    folder = landing / f"store-{number:03}"
    folder.mkdir(parents=True)
    config = folder / "loader.yaml"
    config.write_text(
        f"store: {{id: {1000 + number}, time_zone: America/New_York, fulfillment_locations: {{default: 12}}}}\n"
        f"exports: {_FILES}\n"
        f'corso: {{environment: custom, base_url: "{root_url}/v1", token_url: "{root_url}/oauth/token", audience: sandbox}}\n'
        "upload: {canary: 0}\nvalidation: {max_quarantined: 1}\n",
        encoding="utf-8",
    )
    return config


@contextmanager
def sandbox() -> Iterator[str]:
    """Run a sandbox without limits; yield its address."""
    command = [sys.executable, "-m", "sandbox", "--port", "0", "--limit", "0"]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"listening on (\S+)", process.stdout.readline())
            assert found is not None
            yield found[1]
        finally:
            process.terminate()


def count_orders(urls: list[str]) -> int:
    """Count what the sandboxes hold."""
    counts = [json.loads(urlopen(f"{url}/_sandbox/counts").read()) for url in urls]
    return sum(each["orders"] for each in counts)


class Meter(threading.Thread):
    """Adds up the processor seconds of a session's processes, also of those that have ended: it looks four times a second."""

    def __init__(self, session: int) -> None:
        super().__init__(daemon=True)
        self._session = str(session)
        self._cpu_s: dict[tuple[str, str], tuple[bool, float]] = {}
        self.enough = threading.Event()

    def run(self) -> None:
        """Look until it is enough."""
        while not self.enough.wait(0.25):
            self.look()

    def look(self) -> int:
        """Look once; return how many processes there are of runs (man 5 proc_pid_stat)."""
        runs = 0
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with suppress(OSError, IndexError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if fields[3] != self._session:
                    continue
                cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
                # What a run's process is forked from counts as a run's, as does what keeps multiprocessing's names.
                is_run = "multiprocessing" in (entry / "cmdline").read_text()
                # By its start, too: a number comes again. One that has ended and is not waited for has no command line.
                known = self._cpu_s.get((entry.name, fields[19]), (is_run, 0.0))
                self._cpu_s[entry.name, fields[19]] = (known[0] or is_run, cpu_s)
                runs += is_run
        return runs

    @property
    def cpu_s(self) -> tuple[float, float]:
        """What daemon and code servers took, and what the runs took."""
        seen = list(self._cpu_s.values())
        return sum(cpu for is_run, cpu in seen if not is_run), sum(cpu for is_run, cpu in seen if is_run)


def _environment(**more: str) -> dict[str, str]:
    foreign = ("CORSO_", "DAGSTER_", "PYTHONDONTWRITEBYTECODE")
    mine = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    told = {"CORSO_CLIENT_ID": "sandbox", "CORSO_CLIENT_SECRET": "sandbox"}
    return (
        mine
        | told
        | {
            "PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / "corso-loader-bench-bytecode"),
            **more,
        }
    )


def warm(first: Path, second: Path) -> None:
    """Load two stores' batches one after the other in this process; print what imports and the second one took."""
    began, cpu = time.perf_counter(), time.process_time()
    from corso.delivery.ports import unwatched  # noqa: PLC0415  (the import is measured)
    from corso.settings import read_settings  # noqa: PLC0415
    from pipelines.running import run_job  # noqa: PLC0415

    print(time.perf_counter() - began, time.process_time() - cpu)
    run_job("load_batch", read_settings(first), _BATCH, unwatched)
    began, cpu = time.perf_counter(), time.process_time()
    run_job("load_batch", read_settings(second), _BATCH, unwatched)
    print(time.perf_counter() - began, time.process_time() - cpu)


def measured_warm(first: Path, second: Path, home: Path) -> tuple[Cost, Cost]:
    """Return what imports take, and what a load takes in a process that has loaded one before."""
    done = subprocess.run(
        [sys.executable, __file__, "--warm", first, second],
        cwd=_ROOT,
        env=_environment(DAGSTER_HOME=str(home)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    imports, load = ([float(word) for word in line.split()] for line in done.stdout.splitlines()[-2:])
    return Cost(*imports), Cost(*load)


class Daemon:
    """A real daemon with its code server, in a session of its own."""

    def __init__(self, home: Path, landing: Path, at_once: int, *, plain: bool) -> None:
        from dagster import DagsterInstance  # noqa: PLC0415

        from pipelines.instance import FILES_KEPT_OPEN, RUN_SETTINGS  # noqa: PLC0415

        home.mkdir()
        runs = RUN_SETTINGS.replace("max_concurrent_runs: 4", f"max_concurrent_runs: {at_once}")
        runs += "" if plain else FILES_KEPT_OPEN.replace("{env: DAGSTER_HOME}", str(home))
        (home / "dagster.yaml").write_text(_SETTINGS.format(runs=runs), encoding="utf-8")
        (home / "nightly_bench_location.py").write_text(_LOCATION, encoding="utf-8")
        self.instance = DagsterInstance.from_config(str(home))
        environment = _environment(
            DAGSTER_HOME=str(home),
            CORSO_LOADER_CONFIG=str(landing),
            CORSO_RUN_START="spawn" if plain else "forkserver",
            PYTHONPATH=os.pathsep.join([str(_ROOT), str(home)]),
        )
        with (home / "daemon.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-W",
                    "ignore",
                    "-m",
                    "dagster._daemon",
                    "run",
                    "-m",
                    "nightly_bench_location",
                ],
                cwd=_ROOT,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._meter = Meter(self._process.pid)
        self._meter.start()

    def night(self, loads: int, configs: list[Path], orders: int) -> Cost:
        """Deliver a batch of each store; wait until so many loads have ended well since the daemon's start."""
        began, (own, runs) = time.perf_counter(), self._meter.cpu_s
        for config in configs:
            write_batch(config.parent / _BATCH, orders)
        while time.perf_counter() - began < _LONGEST_NIGHT_S:
            ended = self.count(dg_status("SUCCESS"))
            if ended >= loads:
                wall_s = time.perf_counter() - began
                own_now, runs_now = self._meter.cpu_s
                time.sleep(_QUIET_S)
                # The last runs' processes end after Dagster says that the runs have.
                runs_now = self._meter.cpu_s[1]
                return Cost(wall_s, runs_now - runs, len(configs), own_now - own)
            if failed := self.count(dg_status("FAILURE")):
                sys.exit(f"{failed} loads failed")
            time.sleep(0.5)
        return sys.exit(f"{loads} loads did not end in {_LONGEST_NIGHT_S} s")

    def count(self, status: object) -> int:
        """Count the runs of a status."""
        from dagster import RunsFilter  # noqa: PLC0415

        return self.instance.get_runs_count(RunsFilter(job_name="load_batch", statuses=[status]))

    def events(self) -> float:
        """Return how many events Dagster keeps of a load, on average."""
        runs = self.instance.get_runs(limit=5)
        return sum(len(self.instance.all_logs(run.run_id)) for run in runs) / len(runs)

    def wait_for_a_look(self) -> None:
        """Wait until the sensor has looked once: all is started then."""
        while not self._looks():
            time.sleep(0.5)

    def _looks(self) -> list[float]:
        """Return the milliseconds of the last looks that have ended."""
        for state in self.instance.all_instigator_state():
            if state.name == "new_batches":
                ticks = self.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=5)
                return [(tick.end_timestamp - tick.timestamp) * 1000 for tick in ticks if tick.end_timestamp]
        return []

    def look_ms(self) -> float:
        """Return the milliseconds of a look at which there was nothing to do, the median of the last ones."""
        spans = sorted(self._looks())
        return spans[len(spans) // 2]

    def end(self) -> None:
        """End it, and all that it started."""
        self._meter.enough.set()
        self._process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


def dg_status(name: str) -> object:
    """Return a status of Dagster's by its name."""
    from dagster import DagsterRunStatus  # noqa: PLC0415

    return DagsterRunStatus[name]


@dataclass(frozen=True)
class Nights:
    """What two nights of some stores took."""

    stores: int
    first: Cost
    second: Cost
    look_ms: float
    events: float

    @property
    def daemon_cpu_s_a_minute(self) -> float:
        """Of the daemon and its code server."""
        minutes = (self.first.wall_s + self.second.wall_s) / 60
        return (self.first.daemon_cpu_s + self.second.daemon_cpu_s) / minutes


def two_nights(
    folder: Path, urls: list[str], stores: int, orders: int, at_once: int, *, plain: bool
) -> Nights:
    """Have a daemon load two nights; `plain`: with Dagster's own storage and way to start runs."""
    folder.mkdir()
    landing = folder / "landing"
    # Numbers of their own: the sandboxes are those of the other nights, too.
    first_number = 0 if plain else 500
    configs = [write_store(landing, first_number + each, urls[each % at_once]) for each in range(stores)]
    before = count_orders(urls)
    daemon = Daemon(folder / "home", landing, at_once, plain=plain)
    try:
        daemon.wait_for_a_look()
        first = daemon.night(stores, configs, orders)
        created = count_orders(urls)
        print(
            f"first night: {first}, {stores} stores, {'Dagsters own way' if plain else 'here'}",
            file=sys.stderr,
            flush=True,
        )
        again_of = configs[:_AGAIN_STORES]
        second = daemon.night(stores + len(again_of), again_of, orders)
        again = count_orders(urls) - created
        time.sleep(20)
        look_ms, events = daemon.look_ms(), daemon.events()
    finally:
        daemon.end()
    if not created - before or again:
        sys.exit(
            f"the first night created {created - before} orders, the second one {again}: nothing was measured"
        )
    return Nights(stores, first, second, look_ms, events)


def main(stores: int, orders: int, at_once: int) -> None:
    """Load two nights both ways and print what they took."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as servers:
        folder = Path(name)
        urls = [servers.enter_context(sandbox()) for _ in range(at_once)]
        plain = two_nights(folder / "plain", urls, min(stores, _PLAIN_STORES), orders, at_once, plain=True)
        ours = two_nights(folder / "ours", urls, stores, orders, at_once, plain=False)
        alone = [write_store(folder / "alone", 4000 + number, urls[0]) for number in range(2)]
        for config in alone:
            write_batch(config.parent / _BATCH, orders)
        imports, load = measured_warm(*alone, folder / "alone-home")
    print(f"{stores} stores, {orders:,} orders each, {at_once} runs at once; {os.cpu_count()} cores")
    print(f"Dagster's own way: {plain.stores} stores\n")
    print("| of one batch | CPU s | wall s | CPU s, Dagster's own way | wall s |\n|---|---|---|---|---|")
    for said, of_ours, of_plain in (
        ("a run of the first night, all orders new", ours.first, plain.first),
        ("a run of the second night, the same delivered again", ours.second, plain.second),
    ):
        cells = [
            f"{cost.cpu_s / cost.loads:.2f} | {cost.wall_s / cost.loads:.1f}" for cost in (of_ours, of_plain)
        ]
        print(f"| {said} | {' | '.join(cells)} |")
    print(
        f"\nThe same job in a process that has loaded another store before, with Dagster's own storage: {load.cpu_s:.2f} CPU s; "
        f"imports: {imports.cpu_s:.2f} CPU s."
    )
    for which, nights in (("here", ours), ("Dagster's own way", plain)):
        print(
            f"{which}: daemon and code server {nights.daemon_cpu_s_a_minute:.1f} CPU s a minute, looking every 5 s; a look with "
            f"nothing to do {nights.look_ms:.0f} ms; {nights.events:.0f} events of a load"
        )


if __name__ == "__main__":
    sys.path.insert(0, str(_ROOT))
    if sys.argv[1:2] == ["--warm"]:
        warm(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main(*(int(word) for word in [*sys.argv[1:], *("10", "500", "2")[len(sys.argv) - 1 :]]))
