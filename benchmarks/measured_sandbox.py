"""A sandbox in a process of its own, and what its books say of a run: the only count that these benchmarks believe."""

import itertools
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pipelines.trying import addresses_of

SCHEDULING_S = 0.05
"""How much later than its latency says a request may be looked at, on a busy machine."""


@dataclass(frozen=True)
class Reading:
    """What came of the quota in some windows."""

    own: int
    """Requests of ours that passed."""
    quota: float
    """Requests that the limit allowed in that time, gaps between windows included."""
    foreign: int
    foreign_refused: int

    @property
    def share(self) -> float:
        """Our part of the quota."""
        return self.own / self.quota if self.quota else 0.0

    @property
    def share_of_the_rest(self) -> float:
        """Our part of what the others' demand leaves; over 1 where they were pushed aside."""
        rest = self.quota - self.foreign - self.foreign_refused
        return self.own / rest if rest > 0 else 0.0

    @property
    def foreign_refusal_rate(self) -> float:
        """The part of the others' demand that found no room."""
        demand = self.foreign + self.foreign_refused
        return self.foreign_refused / demand if demand else 0.0


@dataclass(frozen=True)
class MeasuredSandbox:
    """Where it listens."""

    base_url: str
    token_url: str
    window_s: float

    def counts(self) -> dict[str, Any]:
        """Ask for its counts."""
        url = f"{self.base_url.removesuffix('/v1')}/_sandbox/counts"
        with urllib.request.urlopen(url, timeout=30) as answer:
            counts: dict[str, Any] = json.load(answer)
        return counts

    def token(self) -> str:
        """Ask for an access token."""
        credentials = {
            "client_id": "sandbox",
            "client_secret": "sandbox",
            "audience": "sandbox",
            "grant_type": "client_credentials",
        }
        request = urllib.request.Request(
            self.token_url, json.dumps(credentials).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(json.load(answer)["access_token"])


@contextmanager
def a_sandbox(
    limit: int, window_s: float, *, latency_s: float = 0.0, options: tuple[str, ...] = ()
) -> Iterator[MeasuredSandbox]:
    """Run one with a quota; a request that was under way when a 429 went out does not count as early."""
    command = [sys.executable, "-m", "sandbox", "--port", "0", "--limit", str(limit)]
    command += ["--window", f"{window_s:g}", "--latency", f"{latency_s:g}"]
    command += ["--early-grace", f"{latency_s + SCHEDULING_S:g}", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield MeasuredSandbox(*addresses_of(process), window_s)
        finally:
            process.terminate()


def read_windows(counts: dict[str, Any], window_s: float, from_s: float, until_s: float) -> Reading:
    """Return what came of the whole windows that opened between two moments, in seconds after the first request.

    A window opens with a request. What passes until then is quota that nobody used: it counts as part of the window
    before, so that a pause between two windows costs what it would cost anywhere.
    """
    windows = [
        window for window in counts["quota"]["windows"] if from_s <= window[0] and window[0] <= until_s
    ]
    own, foreign, refused, quota = 0, 0, 0, 0.0
    for (opened, limit, ours, others, _, others_refused), after in itertools.pairwise(windows):
        own, foreign, refused = own + ours, foreign + others, refused + others_refused
        quota += limit * (after[0] - opened) / window_s
    return Reading(own, quota, foreign, refused)
