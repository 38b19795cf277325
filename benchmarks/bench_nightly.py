"""What a night of many stores costs: Dagster's daemon starts each store's batch, beside the same job in one process.

scripts/bench nightly [STORES] [ORDERS] [RUNS AT ONCE]

Every store drops one batch, complete by its marker. There are as many sandboxes, which refuse nothing and wait for nothing,
as runs at once: stores of one sandbox have the same credentials, and wait for each other. Two nights are loaded: in the first all orders are new, in the second none, as after a second delivery.
Processor seconds are of the runs, and apart of the daemon and its code server; the sandboxes' are not among them. Beside it
the same job in one process that has loaded another store before, as the command runs it: what is above that is the price
of a process of its own for each run. (What Dagster costs inside a process tells `scripts/bench dagster`.)
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
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
_QUIET_S = 15.0
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


def _stats_of_session(session: int) -> Iterator[list[str]]:
    """Yield /proc/PID/stat of a session's processes, from the state on (man 5 proc_pid_stat)."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session:
                yield fields


def processes_of_session(session: int) -> int:
    """Count a session's processes."""
    return sum(1 for _ in _stats_of_session(session))


def cpu_of_session(session: int) -> tuple[float, float]:
    """Return the processor seconds of a session's processes, and those of their children that have ended: the runs."""
    own = children = 0
    for fields in _stats_of_session(session):
        own += int(fields[11]) + int(fields[12])
        children += int(fields[13]) + int(fields[14])
    per_second = os.sysconf("SC_CLK_TCK")
    return own / per_second, children / per_second


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

    def __init__(self, home: Path, landing: Path, at_once: int) -> None:
        from dagster import DagsterInstance  # noqa: PLC0415

        from pipelines.instance import RUN_SETTINGS  # noqa: PLC0415

        home.mkdir()
        runs = RUN_SETTINGS.replace("max_concurrent_runs: 4", f"max_concurrent_runs: {at_once}")
        (home / "dagster.yaml").write_text(_SETTINGS.format(runs=runs), encoding="utf-8")
        (home / "nightly_bench_location.py").write_text(_LOCATION, encoding="utf-8")
        self.instance = DagsterInstance.from_config(str(home))
        environment = _environment(
            DAGSTER_HOME=str(home),
            CORSO_LOADER_CONFIG=str(landing),
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

    def night(self, loads: int, configs: list[Path], orders: int) -> Cost:
        """Deliver a batch of each store; wait until so many loads have ended well since the daemon's start."""
        began, (own, children) = time.perf_counter(), cpu_of_session(self._process.pid)
        for config in configs:
            write_batch(config.parent / _BATCH, orders)
        while time.perf_counter() - began < _LONGEST_NIGHT_S:
            ended = self.count(dg_status("SUCCESS"))
            if ended >= loads:
                wall_s = time.perf_counter() - began
                self._wait_for_the_last_process()
                own_now, children_now = cpu_of_session(self._process.pid)
                return Cost(wall_s, children_now - children, own_now - own)
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

    def _wait_for_the_last_process(self) -> None:
        """Wait until no process ends any more: only then is a run's time its parent's."""
        count, quiet_s = processes_of_session(self._process.pid), 0.0
        while quiet_s < _QUIET_S:
            time.sleep(0.5)
            now = processes_of_session(self._process.pid)
            quiet_s = quiet_s + 0.5 if now == count else 0.0
            count = now

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
        self._process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


def dg_status(name: str) -> object:
    """Return a status of Dagster's by its name."""
    from dagster import DagsterRunStatus  # noqa: PLC0415

    return DagsterRunStatus[name]


def main(stores: int, orders: int, at_once: int) -> None:
    """Load two nights and print what they took."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as servers:
        folder = Path(name)
        urls = [servers.enter_context(sandbox()) for _ in range(at_once)]
        alone = [write_store(folder / "alone", 900 + number, urls[0]) for number in range(2)]
        for config in alone:
            write_batch(config.parent / _BATCH, orders)
        imports, load = measured_warm(*alone, folder / "alone-home")
        landing = folder / "landing"
        configs = [write_store(landing, number, urls[number % at_once]) for number in range(stores)]
        daemon = Daemon(folder / "home", landing, at_once)
        try:
            daemon.wait_for_a_look()
            before = count_orders(urls)
            first = daemon.night(stores, configs, orders)
            created = count_orders(urls)
            second = daemon.night(2 * stores, configs, orders)
            again = count_orders(urls) - created
            time.sleep(20)
            look_ms, events = daemon.look_ms(), daemon.events()
        finally:
            daemon.end()
    if not created - before or again:
        sys.exit(
            f"the first night created {created - before} orders, the second one {again}: nothing was measured"
        )
    print(f"{stores} stores, {orders:,} orders each, {at_once} runs at once; {os.cpu_count()} cores\n")
    print("| of one batch | CPU s | wall s |\n|---|---|---|")
    rows = {
        "a run of the first night, all orders new": (first.cpu_s / stores, first.wall_s / stores),
        "a run of the second night, the same delivered again": (
            second.cpu_s / stores,
            second.wall_s / stores,
        ),
        "the first night's job in a process that has loaded another store before": (load.cpu_s, load.wall_s),
        "overhead of a process of its own": (first.cpu_s / stores - load.cpu_s, None),
        "of which imports": (imports.cpu_s, imports.wall_s),
    }
    for said, (cpu_s, wall_s) in rows.items():
        print(f"| {said} | {cpu_s:.2f} | {'' if wall_s is None else f'{wall_s:.1f}'} |")
    minutes = (first.wall_s + second.wall_s) / 60
    daemon_cpu_s = (first.daemon_cpu_s + second.daemon_cpu_s) / minutes
    print(f"\nDaemon and code server: {daemon_cpu_s:.1f} CPU s a minute, looking every 5 s.")
    print(f"Events that Dagster keeps of a load: {events:.0f}. A look with nothing to do: {look_ms:.0f} ms.")


if __name__ == "__main__":
    sys.path.insert(0, str(_ROOT))
    if sys.argv[1:2] == ["--warm"]:
        warm(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main(*(int(word) for word in [*sys.argv[1:], *("10", "500", "2")[len(sys.argv) - 1 :]]))
