"""reconciliation.html: the report as one page that needs no network and runs no script but its own.

What it says is decided in `verdict`, `bridge` and `tables`; here it is laid out for the template. Everything is
escaped by the template engine; the only script is the file beside the template, allowed by its hash.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2
import polars as pl
from markupsafe import Markup

from corso.report.atomic import replacing
from corso.report.bridge import AMOUNTS, money_bridge
from corso.report.corrected import said_corrections
from corso.report.facts import ReportFacts
from corso.report.masking import masked, masked_text, shown, visible
from corso.report.tables import CAUSE_WORDS, by_cause, by_field
from corso.report.tolerances import TOLERANCES
from schemas.money import money_text

FINDINGS_ON_PAGE = 1_000
"""More than that is for the workbook."""
PROBLEMS_ON_PAGE = 200

_ALWAYS_SHOWN = {"source", "expected", "corso", "difference"}
_TONES = {
    "accepted": "good", "created": "good", "updated": "fine", "cancelled": "calm", "unchanged": "calm",
    "matched": "good", "create": "good", "update": "fine", "cancel": "calm",
    "quarantined": "warn", "not_sent": "pale", "rejected": "bad", "unknown": "odd", "missing": "bad",
    "different": "warn", "duplicated": "odd", "changed_but_fixed": "warn",
}  # fmt: skip
"""State -> the colour's name in the style sheet."""


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


def render_html(report: ReportFacts, path: Path) -> None:
    """Write the page; a reader sees the old one or the new one."""
    text = page(report)
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


def page(report: ReportFacts) -> str:
    """Return the page as text."""
    script = resources.files("corso.report").joinpath("templates/findings.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    bridge = money_bridge(report.summary.money, report.findings)
    shown_amounts = [
        name for name in AMOUNTS if name in _ALWAYS_SHOWN or bridge.select((pl.col(name) != 0).any()).item()
    ]
    return _template().render(
        report=report,
        summary=report.summary,
        verdict=report.verdict,
        bars=_bars(report),
        amounts=shown_amounts,
        money=list(_money(bridge)),
        causes=by_cause(report.findings).to_dicts(),
        cause_words=CAUSE_WORDS,
        fields=by_field(report.findings).to_dicts(),
        findings=_findings(report.findings),
        problems=report.problems.head(PROBLEMS_ON_PAGE).to_dicts(),
        reasons=report.reasons.head(PROBLEMS_ON_PAGE).to_dicts(),
        corrections=list(said_corrections(report.corrections)),
        tolerances=TOLERANCES,
        script=Markup(script),  # noqa: S704 - our own file, allowed by its hash
        script_hash=digest,
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("corso.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": lambda number: f"{number:,}",
        "money": _grouped,
        "words": lambda name: name.replace("_", " ").replace("corso", "Corso"),
        "masked_text": masked_text,
        "shown": shown,
        "visible": visible,
        "duration": _duration,
    }
    return environment.get_template("reconciliation.html.j2")


def _bars(report: ReportFacts) -> list[Bar]:
    summary = report.summary
    halves = {"accepted": summary.accepted.orders, "quarantined": summary.quarantined.orders}
    bars = [
        _bar("Source orders", halves),
        _bar("Planned", summary.plan.model_dump()),
        _bar("Ended", summary.outcome.model_dump()),
    ]
    if report.stage == "reconcile":
        found = summary.reconciliation.model_dump(exclude={"foreign", "unexplained"})
        bars.append(_bar("Found in Corso", found))
    if summary.fulfillments.total:
        bars.append(_bar("Fulfillments", summary.fulfillments.model_dump()))
    return bars


def _bar(title: str, counts: Mapping[str, int]) -> Bar:
    """Divide a bar; a part that is there at all is wide enough to be seen."""
    total = sum(counts.values())
    least = 6.0
    widths = {name: max(least, 1000 * count / total) for name, count in counts.items() if count}
    scale = 1000 / sum(widths.values()) if widths else 1
    segments, start = [], 0.0
    for name, width in widths.items():
        scaled = width * scale
        segments.append(Segment(name, counts[name], _TONES[name], round(start, 2), round(scaled, 2)))
        start += scaled
    return Bar(title, total, tuple(segments))


def _money(bridge: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the months of each currency, then its sum."""
    rows = bridge.iter_rows(named=True)
    for currency, months in groupby(rows, key=lambda row: row["currency"]):
        of_currency = list(months)
        yield from ({**row, "is_sum": False} for row in of_currency)
        if len(of_currency) > 1:
            sums = {name: sum((row[name] for row in of_currency), Decimal(0)) for name in AMOUNTS}
            yield {"currency": currency, "month": "all months", "is_sum": True, **sums}


def _findings(findings: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the findings of the page, without personal data."""
    return [
        {
            **row,
            "source_value": masked(row["source_value"], row["field"]),
            "corso_value": masked(row["corso_value"], row["field"]),
            "source_order_id": shown(row["source_order_id"]),
            "corso_order_id": shown(row["corso_order_id"]),
            "source_line_item_id": shown(row["source_line_item_id"]),
        }
        for row in findings.head(FINDINGS_ON_PAGE).iter_rows(named=True)
    ]


def _grouped(amount: Decimal) -> str:
    return money_text(amount, grouped=True).replace("-", "\u2212")


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
