"""Orders by month and state as a picture: all of them, and below, on a scale of its own, those that need a look."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from corso.report.page.bars import TONES, WHOLE

WELL = ("matched", "created", "updated", "cancelled", "unchanged", "accepted")
"""States that need no look."""
_MOST_MONTHS = 120
"""With more of them, a column is a year."""


@dataclass(frozen=True)
class Part:
    """One state in a column; `top` and `height` are thousandths of the picture."""

    name: str
    count: int
    tone: str
    top: float
    height: float


@dataclass(frozen=True)
class Column:
    """One month (or year)."""

    name: str
    label: str
    """What stands below the column: a year where one begins, else nothing."""
    total: int
    counts: Mapping[str, int]
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Months:
    """One picture: its columns, the oldest first."""

    title: str
    columns: tuple[Column, ...]
    most: int
    """Orders of the highest column."""
    most_in: str
    states: tuple[str, ...]
    """Those that there are, in the order of the stack from its foot."""


def month_pictures(orders_by_month: pl.DataFrame) -> list[Months]:
    """Return the picture of all orders and, where there are any, of those that need a look.

    `orders_by_month`: `month` (YYYY-MM or `undated`), `state`, `orders`; see `corso.report.monthly`.
    """
    counts = _counts(orders_by_month)
    if not counts:
        return []
    ill = {
        month: {state: n for state, n in row.items() if state not in WELL} for month, row in counts.items()
    }
    pictures = [_picture("All source orders", counts)]
    if any(ill.values()):
        pictures.append(_picture("Those that need a look, on a scale of their own", ill))
    return pictures


def _counts(orders_by_month: pl.DataFrame) -> dict[str, dict[str, int]]:
    """Return month -> state -> orders, without gaps between the first month and the last."""
    frame = orders_by_month.filter(pl.col("orders") > 0)
    if frame["month"].n_unique() > _MOST_MONTHS:
        frame = frame.with_columns(pl.col("month").str.replace(r"-\d\d$", ""))
    counted = frame.group_by("month", "state").agg(pl.col("orders").sum()).sort("month", "state")
    dated = [month for month in counted["month"].unique().sort() if month[:4].isdigit()]
    names = _span(dated) if dated and "-" in dated[0] else dated
    others = [month for month in counted["month"].unique().sort() if month not in dated]
    counts: dict[str, dict[str, int]] = {name: {} for name in (*names, *others)}
    for month, state, orders in counted.iter_rows():
        counts[month][state] = orders
    return counts


def _span(months: list[str]) -> list[str]:
    """Return every month from the first to the last; where that would be too many, those that there are."""
    first, last = (int(month[:4]) * 12 + int(month[5:]) - 1 for month in (months[0], months[-1]))
    if last - first >= _MOST_MONTHS:
        return months
    return [f"{number // 12:04d}-{number % 12 + 1:02d}" for number in range(first, last + 1)]


def _picture(title: str, counts: dict[str, dict[str, int]]) -> Months:
    totals = {month: sum(row.values()) for month, row in counts.items()}
    most_in = max(totals, key=lambda month: totals[month])
    states = tuple(state for state in TONES if any(row.get(state) for row in counts.values()))
    labels = _labels(list(counts))
    columns = tuple(
        Column(month, label, totals[month], row, tuple(_parts(states, row, totals[most_in])))
        for (month, row), label in zip(counts.items(), labels, strict=True)
    )
    return Months(title, columns, totals[most_in], most_in, states)


def _parts(states: tuple[str, ...], row: dict[str, int], most: int) -> Iterable[Part]:
    top = float(WHOLE)
    for state in states:
        if not (count := row.get(state, 0)):
            continue
        height = WHOLE * count / most
        top -= height
        yield Part(state, count, TONES[state], round(top, 2), round(height, 2))


def _labels(months: list[str]) -> list[str]:
    """Name the months where there are few, else the years, each at its first column."""
    if len(months) <= 14 or "-" not in months[0]:
        return months
    labels, year = [], ""
    for month in months:
        name = month[:4] if month[:4].isdigit() else month
        labels.append(name if name != year else "")
        year = name
    # The first year's label would run into the second's where only a month or two of it is there.
    if "" not in labels[:3]:
        labels[0] = ""
    return labels
