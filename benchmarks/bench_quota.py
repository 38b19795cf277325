"""The limiter against models of servers, in virtual time: hours of each case in a second.

scripts/bench quota [TEXT] [SEEDS]

A row is a kind of server and what it shows; `use` is our part of what `limits.share` and the others left us, after
a warm-up of six windows (where nothing is told: a third of the time). Of three seeds a row, or SEEDS: the lowest use and the
mean, the most 429s, and the part that they are of all requests.
`best` is the most that any sender could use in fixed windows (`quota_bounds`), with at most 1 % of the others' requests
refused; `of others` is the part of theirs that was. `early` are requests that left before a Retry-After was over; `fullest` is the most that left within any one window's
length, as a part of the limit. TEXT picks the rows that contain it.
"""

import itertools
import sys
import time
from dataclasses import dataclass, replace
from statistics import mean

from benchmarks.quota_bounds import best_use
from tests.quota_models import Case, Counter, FixedWindows, Run, SlidingWindow, TokenBucket, simulate

WINDOWS = ((50, 1.0), (100, 10.0), (600, 60.0), (3_600, 3_600.0))
"""Requests, and seconds of the window."""
SHARED_WINDOWS = (*WINDOWS[:-1], (60, 2.0), (100, 4.0))
"""Of which only a share is ours: what is told in whole seconds tells least of windows of a few seconds."""
LATENCIES_S = (0.005, 0.15, 3.0)
FOREIGN = (0.1, 0.4, 0.8)
SHARES = ((0.8, 0.1), (0.5, 0.4), (0.3, 0.6), (0.1, 0.8), (0.5, 0.1), (0.3, 0.2), (0.1, 0.0))
"""Ours, and what others use: a tenth is nobody's, or most of it."""


@dataclass(frozen=True)
class Clocked:
    """Makes fixed windows that follow the clock."""

    limit: int
    window_s: float
    halved_at: float | None = None

    def limit_at(self, at: float) -> int:
        """Return the limit that holds at a moment."""
        return self.limit // 2 if self.halved_at is not None and at >= self.halved_at else self.limit

    def __call__(self) -> Counter:
        """Return a fresh counter."""
        return FixedWindows(self.limit_at, self.window_s, phase_s=0.37 * self.window_s)


class Opened(Clocked):
    """Makes fixed windows that open with the first request after the last one closed."""

    def __call__(self) -> Counter:
        """Return a fresh counter."""
        return FixedWindows(self.limit_at, self.window_s, opens_by_request=True)


class Sliding(Clocked):
    """Makes a sliding window."""

    def __call__(self) -> Counter:
        """Return a fresh counter."""
        return SlidingWindow(self.limit_at, self.window_s)


class Bucket(Clocked):
    """Makes a token bucket."""

    def __call__(self) -> Counter:
        """Return a fresh counter."""
        return TokenBucket(self.limit_at, self.window_s)


MODELS = {"fixed, by the clock": Clocked, "fixed, by request": Opened, "sliding": Sliding, "bucket": Bucket}


def cases() -> dict[str, tuple[Case, float, float]]:
    """Return what is simulated: name -> the case, its seconds, the seconds of warm-up."""
    found: dict[str, tuple[Case, float, float]] = {}
    for model, make in MODELS.items():
        for limit, window_s in WINDOWS:
            name = f"{model}, {limit:,} per {window_s:,.0f} s"
            seconds, warm_s = max(16 * window_s, 120.0), max(6 * window_s, 15.0)
            if window_s >= 3_600:
                seconds, warm_s = 6 * window_s, 2 * window_s
            base = Case(make(limit, window_s), window_s, jitter=0.05)
            for latency_s in LATENCIES_S:
                if latency_s < 1 or window_s >= 10:
                    alone = replace(base, latency_s=latency_s)
                    found[f"alone, {latency_s * 1000:.0f} ms: {name}"] = (alone, seconds, warm_s)
            for part in FOREIGN:
                others = replace(base, foreign_per_s=part * limit / window_s)
                found[f"others {part:.0%}: {name}"] = (others, max(seconds, 30 * window_s), warm_s)
            if window_s < 3_600:
                halved = replace(base, counter=make(limit, window_s, halved_at=seconds / 2))
                found[f"halved in mid-run: {name}"] = (halved, seconds, warm_s)
            long_s = max(1_800.0, 8 * window_s)
            found[f"told on 429 only: {name}"] = (replace(base, shown="429"), long_s, long_s / 3)
            found[f"told nothing: {name}"] = (replace(base, shown="never"), long_s, long_s / 3)
    found |= _shared()
    found["jitter of a fifth: fixed, by the clock, 600 per 60 s"] = (
        Case(Clocked(600, 60), 60, latency_s=0.15, jitter=0.2),
        960,
        360,
    )
    found["answers out of order: fixed, by the clock, 600 per 60 s"] = (
        Case(Clocked(600, 60), 60, latency_s=2.0, jitter=0.95),
        960,
        360,
    )
    for form in ("floor", "exact", "epoch", "ietf"):
        found[f"reset {form}: fixed, by the clock, 100 per 10 s"] = (
            Case(Clocked(100, 10), 10, form=form),
            300,
            70,
        )
    return found


def _shared() -> dict[str, tuple[Case, float, float]]:
    found = {}
    for (model, make), (limit, window_s) in itertools.product(MODELS.items(), SHARED_WINDOWS):
        seconds, warm_s = max(30 * window_s, 120.0), max(6 * window_s, 15.0)
        for share, part in SHARES:
            others_per_s = part * limit / window_s
            case = Case(make(limit, window_s), window_s, jitter=0.05, foreign_per_s=others_per_s, share=share)
            name = f"share {share:.0%}, others {part:.0%}: {model}, {limit:,} per {window_s:,.0f} s"
            found[name] = (case, seconds, warm_s)
    return found


def _best(name: str, case: Case, limit: float) -> str:
    if not case.foreign_per_s or case.share < 1 or "fixed" not in name:
        return ""
    return f"{best_use(round(limit), case.window_s, case.foreign_per_s, case.latency_s):.1%}"


def _of_others(runs: list[Run]) -> str:
    refused = sum(run.foreign_refused for run in runs)
    asked = refused + sum(len(run.foreign_at) for run in runs)
    return f"{refused / asked:.2%}" if asked else ""


def main(wanted: str = "", seeds: str = "3") -> None:
    """Simulate and print the table."""
    began, virtual_s = time.perf_counter(), 0.0
    print("| case | use | mean | best | 429s | of requests | of others | early | fullest |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for name, (case, seconds, warm_s) in cases().items():
        if wanted not in name:
            continue
        runs = [simulate(case, seconds, seed=seed) for seed in range(1, int(seeds) + 1)]
        virtual_s += seconds * len(runs)
        uses = [run.use(warm_s, seconds) for run in runs]
        refused = [len(run.refused_at) for run in runs]
        limit = case.counter().quota(0, case.window_s)
        fullest = max(run.fullest(case.window_s) for run in runs) / limit
        print(
            f"| {name} | {min(uses):.1%} | {mean(uses):.1%} | {_best(name, case, limit)} | {max(refused)} |"
            f" {sum(refused) / sum(run.sent for run in runs):.2%} | {_of_others(runs)} |"
            f" {sum(run.early for run in runs)} | {fullest:.2f} |",
            flush=True,
        )
    print(f"\n{virtual_s / 3600:,.0f} virtual hours in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main(*sys.argv[1:3])
