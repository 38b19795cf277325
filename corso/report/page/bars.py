"""How the orders of each stage are divided, as bars: one bar a stage, one part a state."""

from collections.abc import Mapping
from dataclasses import dataclass

from corso.report.facts import ReportFacts

WHOLE = 1000
"""Pictures are drawn in thousandths of their width."""
_LEAST = 6.0
"""A part that is there at all is wide enough to be seen."""

TONES = {
    "accepted": "good", "created": "good", "updated": "fine", "cancelled": "calm", "unchanged": "calm",
    "matched": "good", "create": "good", "update": "fine", "cancel": "calm",
    "quarantined": "warn", "not_sent": "pale", "rejected": "bad", "unknown": "odd", "missing": "bad",
    "different": "fine", "duplicated": "odd", "changed_but_fixed": "warn",
}  # fmt: skip
"""State -> the colour's name in the style sheet."""
CAUSE_TONES = {
    "changed_in_corso": "fine", "changed_in_source_since": "calm", "duplicate": "odd", "foreign": "pale",
    "unexplained": "bad",
}  # fmt: skip
"""The same for causes that are not states."""


@dataclass(frozen=True)
class Segment:
    """One coloured part of a bar; `start` and `width` are thousandths of it."""

    name: str
    count: int
    tone: str
    start: float
    width: float


@dataclass(frozen=True)
class Bar:
    """One stage: how many there were, and how they are divided."""

    title: str
    total: int
    segments: tuple[Segment, ...]


def stage_bars(report: ReportFacts) -> list[Bar]:
    """Return a bar for each stage that the batch has come to."""
    summary = report.summary
    halves = {"accepted": summary.accepted.orders, "quarantined": summary.quarantined.orders}
    bars = [_bar("Source orders", halves), _bar("Planned", summary.plan.model_dump())]
    bars.append(_bar("Ended", summary.outcome.model_dump()))
    if report.stage == "reconcile":
        found = summary.reconciliation.model_dump(exclude={"foreign", "unexplained"})
        bars.append(_bar("Found in Corso", found))
    if summary.fulfillments.total:
        bars.append(_bar("Fulfillments", summary.fulfillments.model_dump()))
    return bars


def _bar(title: str, counts: Mapping[str, int]) -> Bar:
    total = sum(counts.values())
    widths = {name: max(_LEAST, WHOLE * count / total) for name, count in counts.items() if count}
    scale = WHOLE / sum(widths.values()) if widths else 1
    segments, start = [], 0.0
    for name, width in widths.items():
        segments.append(Segment(name, counts[name], TONES[name], round(start, 2), round(width * scale, 2)))
        start += width * scale
    return Bar(title, total, tuple(segments))
