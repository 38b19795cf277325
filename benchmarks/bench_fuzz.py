"""The search for a file that is read wrongly, or an export whose rows are not accounted for, for as long as one likes.

scripts/bench fuzz [MINUTES] [SEED] [MODULE:FUNCTION]

The tests read a few hundred files of each kind (`tests/hostile_files.py`) and prepare a few dozen changed exports
(`tests/mutated_exports.py`); this takes other ones, kind after kind, a seed a round, and ends with 1 where a promise was broken
or one took over five seconds. What it finds lies in data/fuzz/, to become a test. MODULE:FUNCTION is called with the ExportFile and the CsvForm of each file that can be
read, for what comes after reading; it may raise ExportError and nothing else.
"""

import importlib
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.hostile_files import PROPERTIES, Then
from tests.mutated_exports import is_accounted_for, mutated

EXAMPLES_A_ROUND = {"files": 500, "exports": 60}
SLOW_S = 5.0
FOUND = Path(__file__).parent.parent / "data" / "fuzz"


class Kept(Protocol):
    """A file, or an export, that can be kept."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def content(self) -> bytes:
        """What it holds."""
        ...


@dataclass(frozen=True)
class Promise:
    """What must hold for whatever is drawn."""

    drawn: st.SearchStrategy[Any]
    check: Callable[[Any, Path], None]
    a_round: int


class TooSlow(AssertionError):
    """One file took so long that it may be taken for a hang."""


def main(minutes: float, first_seed: int, then: Then | None) -> int:
    """Search, print what was found, and return the exit code."""
    until = time.monotonic() + 60 * minutes
    promises = {
        name: Promise(each.files, each.check_and(then), EXAMPLES_A_ROUND["files"])
        for name, each in PROPERTIES.items()
    }
    promises["the rows of a changed export are accounted for"] = Promise(
        mutated(), is_accounted_for, EXAMPLES_A_ROUND["exports"]
    )
    read: Counter[str] = Counter()
    slowest: dict[str, float] = dict.fromkeys(promises, 0.0)
    broken: dict[str, str] = {}
    rounds = 0
    while time.monotonic() < until:
        for name, promise in promises.items():
            if name in broken or time.monotonic() > until:
                continue
            number = first_seed + rounds
            try:
                _search(name, promise, number, read, slowest)
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                broken[name] = _told(name, number, error)
                print(broken[name], flush=True)
        rounds += 1
    print(f"\n{minutes:g} minutes, seeds {first_seed} to {first_seed + rounds - 1}\n")
    print("| promise | tried | slowest s | |\n|---|---|---|---|")
    for name in promises:
        print(f"| {name} | {read[name]:,} | {slowest[name]:.2f} | {'broken' if name in broken else 'held'} |")
    return bool(broken)


def _search(
    name: str,
    promise: Promise,
    number: int,
    read: Counter[str],
    slowest: dict[str, float],
) -> None:
    """Try a round of one kind. Raises whatever breaks the promise, with the smallest file that does."""
    with tempfile.TemporaryDirectory() as folder:

        @seed(number)
        @settings(
            max_examples=promise.a_round,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(promise.drawn)
        def play(file: Kept) -> None:
            read[name] += 1
            # Of the processor: a machine that is busy otherwise is no fault of a file.
            began = time.process_time()
            try:
                promise.check(file, Path(folder))
            except BaseException:
                _keep(name, file)
                raise
            took = time.process_time() - began
            slowest[name] = max(slowest[name], took)
            if took > SLOW_S:
                _keep(name, file)
                message = f"{took:.1f} s"
                raise TooSlow(message)

        play()


def _keep(name: str, file: Kept) -> None:
    """Keep the file; the last one that is kept for a promise is the smallest."""
    FOUND.mkdir(parents=True, exist_ok=True)
    stem = sha256(name.encode()).hexdigest()[:8]
    (FOUND / f"{stem}-{file.name}").write_bytes(file.content)
    (FOUND / f"{stem}.txt").write_text(f"{name}\n{file!r}\n", encoding="utf-8")


def _told(name: str, number: int, error: BaseException) -> str:
    notes = "\n".join(getattr(error, "__notes__", []))
    return f"BROKEN with seed {number}: {name}\n  {type(error).__name__}: {str(error)[:500]}\n{notes[:2000]}"


def _named(function: str) -> Then:
    module, _, name = function.partition(":")
    found: Then = getattr(importlib.import_module(module), name)
    return found


if __name__ == "__main__":
    given_minutes, given_seed, *functions = [*sys.argv[1:], *("1", "1")[len(sys.argv) - 1 :]]
    sys.exit(main(float(given_minutes), int(given_seed), _named(functions[0]) if functions else None))
