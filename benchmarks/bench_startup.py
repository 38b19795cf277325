"""How long the command takes to start: each verb on next to nothing, beside Python itself and the libraries it may need.

scripts/bench startup [ROUNDS] [ENTRIES]

Exports hold five orders. `status`, `trace` and the last row look at a ledger of ENTRIES orders, the first `plan` at none.
All take turns, each in a process of its own, with bytecode at hand; medians. Processor seconds are what to compare: wall
seconds tell of whatever else the machine does.
"""

import os
import statistics
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks.measured_process import Measured, run
from corso.delivery.ledger import Change, Key, Ledger
from corso.delivery.states import State
from pipelines.samples import write_samples
from schemas.wire import Operation

_LOADER = """\
store: {id: 1, time_zone: America/New_York, fulfillment_locations: {default: 12}}
exports: {profile: canonical, orders: "in/orders*", line_items: "in/line*", fulfillments: "in/ful*"}
validation: {max_quarantined: 1}
"""
_AT_ONCE = 10_000
_COMMAND = "from pipelines.cli import main; main()"
_COUNT = "import atexit, sys; atexit.register(lambda: print(len(sys.modules), file=sys.stderr)); "
_LIBRARIES = ("typer", "pydantic", "yaml", "sqlalchemy", "polars", "pandera.polars", "httpx", "dagster")


def make_shop(folder: Path) -> Path:
    """Write exports of five orders; return loader.yaml."""
    write_samples(folder / "in", 5)
    config = folder / "loader.yaml"
    config.write_text(_LOADER, encoding="utf-8")
    (folder / "work").mkdir()
    return config


def fill_ledger(path: Path, entries: int) -> None:
    """Write a ledger that holds orders of an earlier batch, all of them accepted."""
    with Ledger.open(path, 1) as ledger:
        for start in range(0, entries, _AT_ONCE):
            numbers = range(start, min(start + _AT_ONCE, entries))
            operations = [Operation("create_order", f"o-{n}", "", None, b"", "0" * 64) for n in numbers]
            ledger.plan(operations, "earlier")
            ledger.start(operations)
            ledger.settle(
                [Change(Key(f"o-{n}"), State.ACCEPTED, corso_id=str(n), held_hash="0" * 64) for n in numbers]
            )


def commands(new: Path, running: Path, entries: int) -> dict[str, list[str]]:
    """Return what is measured: its name -> code for `python -c`, and arguments.

    `new` and `running` are the loader.yaml of a shop without and of one with a ledger.
    """
    plan = ("plan", "--offline", "--batch", "b", "-c")
    verbs = {
        "--help": ("--help",),
        "plan --help": ("plan", "--help"),
        "status": ("status", "-c", running),
        "trace": ("trace", "-c", running, "o-1"),
        "profiles": ("profiles",),
        "inspect": ("inspect", *sorted((new.parent / "in").iterdir())),
        "plan --offline": (*plan, new),
        f"plan --offline, {entries:,} in the ledger": (*plan, running),
    }
    return {
        "python -c pass": ["pass"],
        **{f"import {name}": [f"import {name}"] for name in _LIBRARIES},
        **{f"corso-loader {name}": [_COMMAND, *map(str, words)] for name, words in verbs.items()},
    }


def measured(words: list[str], folder: Path, environment: Mapping[str, str], before: str = "") -> Measured:
    """Run Python with this code and these arguments; `before` is put in front of the code."""
    code, *arguments = words
    command = [sys.executable, "-c", before + code, *arguments]
    ended = run(command, output=folder / "said", errors=folder / "complained", environment=environment)
    if ended.code not in {0, 1}:
        raise SystemExit((folder / "complained").read_text(encoding="utf-8"))
    return ended


def main(rounds: int, entries: int) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        new, running = make_shop(folder / "new"), make_shop(folder / "running")
        fill_ledger(folder / "running" / "work" / "ledger.sqlite", entries)
        told = commands(new, running, entries)
        foreign = ("PYTHONDONTWRITEBYTECODE", "DAGSTER_HOME")
        kept = {key: value for key, value in os.environ.items() if key not in foreign}
        environment = {**kept, "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
        modules = {}
        for what, words in told.items():
            measured(words, folder, environment, _COUNT)
            modules[what] = int((folder / "complained").read_text(encoding="utf-8").split()[-1])
        runs = {what: list[Measured]() for what in told}
        for _ in range(rounds):
            for what, words in told.items():
                runs[what].append(measured(words, folder, environment))
    print(f"Medians of {rounds}; {os.cpu_count()} cores, Python {sys.version.split()[0]}\n")
    print("| | modules | CPU s | wall s |\n|---|---|---|---|")
    for what, count in modules.items():
        cpu = statistics.median(each.cpu_s for each in runs[what])
        wall = statistics.median(each.wall_s for each in runs[what])
        print(f"| `{what}` | {count:,} | {cpu:.2f} | {wall:.2f} |")


if __name__ == "__main__":
    main(*(int(word) for word in [*sys.argv[1:], *("7", "100000")[len(sys.argv) - 1 :]]))
