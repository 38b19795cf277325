"""The money bridge as a picture: one waterfall a currency, from what the source says down to what Corso holds.

Amounts are exact; only where a bar is drawn is a rounded number. Currencies are never added up.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import Any

import polars as pl

from corso.report.bridge import AMOUNTS
from corso.report.page.bars import WHOLE

TOTALS = ("source", "expected", "corso", "corso_with_foreign")
ADDED = ("foreign",)
"""Steps that add; the others take away."""
FOREIGN = ("foreign", "corso_with_foreign")
ALWAYS = ("source", "expected", "corso")
_TONES = {
    "source": "calm", "expected": "calm", "corso": "good", "corso_with_foreign": "calm",
    "quarantined": "warn", "rejected": "bad", "unknown": "odd", "not_sent": "pale",
    "changed": "fine", "duplicate": "odd", "unexplained": "bad", "foreign": "pale",
}  # fmt: skip
_CUT_BELOW = 0.04
"""Where the steps together are less than this part of the largest total, the bars are cut at their left."""
_ROOM = 0.15
"""Room on the right for foreign records, as a part of what the steps, or the totals, reach over."""
_CUT_AT = 0.3
"""The part of the picture that is left of the lowest level, where it is cut."""


@dataclass(frozen=True)
class Step:
    """One bar: where it begins, how long it is, where the amount stands before and after it; in thousandths of the picture."""

    name: str
    is_total: bool
    effect: Decimal
    """A total, or what the step adds: below zero where it takes away."""
    tone: str
    start: float
    width: float
    before: float
    after: float
    is_cut_right: bool
    """Whether the bar is longer than the picture is wide."""


@dataclass(frozen=True)
class Waterfall:
    """The steps of one currency, over all months."""

    currency: str
    steps: tuple[Step, ...]
    months: int
    is_cut: bool
    """Whether the bars of totals are cut at their left, so that small steps can be seen."""


def waterfalls(bridge: pl.DataFrame, *, is_compared: bool = True) -> list[Waterfall]:
    """Return one picture a currency from the money bridge (`corso.report.bridge.money_bridge`).

    Before anything was compared (`is_compared`) nothing is known of what Corso holds: it ends with what is expected.
    """
    return [_drawn(currency, rows, is_compared) for currency, rows in _by_currency(bridge)]


def shown_amounts(rows: Iterable[Mapping[str, Any]], *, is_compared: bool) -> list[str]:
    """Return the amounts that the table by month shows: those that are not zero everywhere, and the totals."""
    of_months = list(rows)
    names = AMOUNTS if is_compared else AMOUNTS[: AMOUNTS.index("expected") + 1]
    always = (*ALWAYS, "difference")
    has_foreign = any(row["foreign"] for row in of_months)
    return [
        name
        for name in names
        if name in always or (any(row[name] for row in of_months) and (has_foreign or name not in FOREIGN))
    ]


def money_rows(bridge: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the months of each currency, then its sum (`is_sum`)."""
    for currency, months in _by_currency(bridge):
        yield from ({**row, "is_sum": False} for row in months)
        if len(months) > 1:
            yield {"currency": currency, "month": "all months", "is_sum": True, **_sums(months)}


def _by_currency(bridge: pl.DataFrame) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for currency, rows in groupby(bridge.iter_rows(named=True), key=lambda row: row["currency"]):
        yield currency, list(rows)


def _sums(rows: Iterable[Mapping[str, Any]]) -> dict[str, Decimal]:
    of_currency = list(rows)
    return {name: sum((row[name] for row in of_currency), Decimal(0)) for name in AMOUNTS}


def _drawn(currency: str, rows: list[dict[str, Any]], is_compared: bool) -> Waterfall:
    sums = _sums(rows)
    names = [name for name in shown_amounts([sums], is_compared=is_compared) if name != "difference"]
    effects = [sums[name] if name in TOTALS + ADDED else -sums[name] for name in names]
    levels = list(_levels(names, effects))
    scale = _scale_of([level for name, level in zip(names, levels, strict=True) if name not in FOREIGN])
    steps = []
    for name, effect, before, after in zip(names, effects, [Decimal(0), *levels], levels, strict=False):
        is_total = name in TOTALS
        begin, end = scale.at(Decimal(0) if is_total else before), scale.at(after)
        steps.append(
            Step(
                name,
                is_total,
                effect,
                _TONES[name],
                min(begin, end),
                round(abs(end - begin), 2),
                scale.at(before),
                end,
                is_cut_right=float(after) > scale.highest,
            )
        )
    return Waterfall(currency, tuple(steps), len(rows), scale.is_cut)


def _levels(names: Iterable[str], effects: Iterable[Decimal]) -> Iterator[Decimal]:
    """Yield where the amount stands after each step; a total is where it is, not where the steps before it led."""
    level = Decimal(0)
    for name, effect in zip(names, effects, strict=True):
        level = effect if name in TOTALS else level + effect
        yield level


@dataclass(frozen=True)
class _Scale:
    """Amounts from `lowest` to `highest` are the picture; what is beyond ends at its edge."""

    lowest: float
    highest: float
    is_cut: bool

    def at(self, level: Decimal) -> float:
        """Return where an amount is, in thousandths of the picture."""
        inside = min(max(float(level), self.lowest), self.highest)
        return round(WHOLE * (inside - self.lowest) / (self.highest - self.lowest or 1.0), 2)


def _scale_of(levels: Iterable[Decimal]) -> _Scale:
    """Choose the scale by the batch's own amounts: foreign records of a live store may be a thousand times as much."""
    own = [float(level) for level in levels]
    lowest, highest = min(own), max(own)
    apart = highest - lowest
    if lowest > 0 and 0 < apart < highest * _CUT_BELOW:
        return _Scale(lowest - apart * _CUT_AT / (1 - _CUT_AT), highest + apart * _ROOM, is_cut=True)
    return _Scale(min(lowest, 0.0), max(highest, 0.0) * (1 + _ROOM), is_cut=False)
