"""A model of a server that counts requests in fixed windows, in virtual time, and others who use the same quota."""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from clocks import JumpingClock

ResetForm = Literal["ceil", "floor", "exact", "epoch", "ietf", "none"]


@dataclass
class QuotaServer:
    """Answers 429 past `limit` requests a window; one quota for us and the others."""

    clock: JumpingClock
    limit: int = 100
    window_s: float = 60.0
    foreign_per_s: float = 0.0
    form: ResetForm = "ceil"
    phase_s: float = 0.0
    """How far into a window the clock's start lies."""
    limits: dict[int, int] = field(default_factory=dict)
    """Other limits, from the given window on."""
    own: Counter[int] = field(default_factory=Counter)
    """Window -> requests of ours that were carried out in it."""
    refused_at: list[float] = field(default_factory=list)
    arrived_at: list[float] = field(default_factory=list)

    def window(self) -> int:
        """Return the number of the present window."""
        return int((self.clock.elapsed + self.phase_s) // self.window_s)

    def limit_of(self, window: int) -> int:
        """Return the limit that holds in a window."""
        since = [start for start in self.limits if start <= window]
        return self.limits[max(since)] if since else self.limit

    def handle(self) -> tuple[int, dict[str, str]]:
        """Take one request; return the status and the rate-limit fields."""
        window = self.window()
        limit = self.limit_of(window)
        into = self.clock.elapsed + self.phase_s - window * self.window_s
        free = limit - self.own[window] - math.floor(into * self.foreign_per_s)
        self.arrived_at.append(self.clock.elapsed)
        if free <= 0:
            self.refused_at.append(self.clock.elapsed)
            left = self.window_s - into
            return 429, {"retry-after": str(math.ceil(left)), **self._fields(limit, 0, left)}
        self.own[window] += 1
        return 201, self._fields(limit, free - 1, self.window_s - into)

    def _fields(self, limit: int, remaining: int, left_s: float) -> dict[str, str]:
        if self.form == "none":
            return {}
        if self.form == "ietf":
            return {
                "ratelimit": f'"default";r={remaining};t={math.ceil(left_s)}',
                "ratelimit-policy": f'"default";q={limit};w={self.window_s:.0f}',
            }
        reset = {
            "ceil": f"{math.ceil(left_s)}",
            "floor": f"{math.floor(left_s)}",
            "exact": f"{left_s:.3f}",
            "epoch": f"{math.ceil(self.clock.utc().timestamp() + left_s)}",
        }[self.form]
        return {
            "ratelimit-limit": str(limit),
            "ratelimit-remaining": str(remaining),
            "ratelimit-reset": reset,
        }
