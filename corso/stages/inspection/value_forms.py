"""How times and amounts are written in the files: their shapes, put together over files and headers."""

import re
from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from corso.extract.cells import plain_time
from corso.extract.profile import TABLES, FileForm
from corso.stages.inspection.facts import DayOrder, MoneyForm, Shape, TimeCounts, TimeFacts
from corso.stages.inspection.looking import Rows
from corso.stages.inspection.shapes import money_kind
from corso.stages.inspection.sources import Sources
from schemas.fields import INSTANT, dtypes

_SHAPES_KEPT = 5
_MONEY_KEPT = 12
_OR_THOUSANDS = ", a point that may stand for thousands or before decimals"
_DAYS_AND_MONTHS = {
    "day first": re.compile(r"%-?d[/.\-]%-?m"),
    "month first": re.compile(r"%-?m[/.\-]%-?d"),
}


def money_forms(files: Iterable[Rows]) -> list[MoneyForm]:
    """Return the ways in which amounts are written, the most frequent first."""
    frames = [file.money for file in files]
    if not frames:
        return []
    decimals = pl.col("shape").str.extract(r"\.(9+)\D*$")
    # Where no value of a column has two decimals, its three are likely no decimals: IDR 139.000.
    in_doubt = (decimals == "999").all().over("header") & (decimals == "999")
    forms = (
        pl.concat(frames)
        .with_columns(in_doubt.fill_null(value=False).alias("in_doubt"))
        .group_by("shape")
        .agg(pl.col("values").sum(), pl.col("header").unique().sort(), pl.col("in_doubt").any())
        .sort("values", "shape", descending=[True, False])
    )
    return [
        MoneyForm(shape, f"{money_kind(shape)}{_OR_THOUSANDS if in_doubt else ''}", values, headers)
        for shape, values, headers, in_doubt in forms.head(_MONEY_KEPT).iter_rows()
    ]


def time_facts(
    sources: Sources, files: Mapping[str, Sequence[Rows]], counts: Mapping[str, TimeCounts]
) -> list[TimeFacts]:
    """Return how each canonical time column is written; `files`: role -> its files; `counts`: none if nothing was tried."""
    found = []
    for name, table in sources.profile.tables.items():
        for column in (each for each, dtype in dtypes(TABLES[name]).items() if dtype == INSTANT):
            key = f"{name}.{column}"
            shapes, headers = _shapes_of(sources, files, key)
            if shapes is None or shapes.is_empty() or (counts and key not in counts):
                continue
            form = sources.profile.files[table.file]
            found.append(_time_facts(key, headers, shapes, counts.get(key), form))
    return found


def _shapes_of(
    sources: Sources, files: Mapping[str, Sequence[Rows]], key: str
) -> tuple[pl.DataFrame | None, list[str]]:
    """Return the shapes of all headers that feed a column (shape, values, first, second), and these headers."""
    frames, headers = [], []
    for role, own in files.items():
        feeding = sources.headers_of(role, key)
        headers += feeding
        frames += [rows.times.filter(pl.col("header").is_in(feeding)) for rows in own]
    if not headers:
        return None, []
    shapes = (
        pl.concat(frames)
        .group_by("shape")
        .agg(pl.col("values").sum(), pl.col("first", "second").max())
        .sort("values", "shape", descending=[True, False])
    )
    return shapes, headers


def _time_facts(
    key: str, headers: Sequence[str], shapes: pl.DataFrame, counts: TimeCounts | None, form: FileForm
) -> TimeFacts:
    first = [Shape(shape, values) for shape, values, _, _ in shapes.head(_SHAPES_KEPT).iter_rows()]
    return TimeFacts(
        column=key,
        headers=headers,
        shapes=first,
        more_shapes=max(0, len(shapes) - len(first)),
        counts=counts,
        day_order=_day_order(shapes, form),
        taken_as_utc=form.times_are_utc,
    )


def _day_order(shapes: pl.DataFrame, form: FileForm) -> DayOrder | None:
    """Return what tells days and months apart, where dates are written so that something has to."""
    dates = shapes.filter(pl.col("first").is_not_null())
    if dates.is_empty():
        return None
    shape = dates["shape"][0]
    first, second = dates.select(pl.col("first", "second").max()).row(0)
    return DayOrder(shape, int(dates["values"].sum()), first, second, _read_as(shape, form))


def _read_as(shape: str, form: FileForm) -> str:
    """Return how the profile reads dates of a shape, by reading one: the first of its forms that takes it decides."""
    text = shape.replace("9", "1")  # ones make a date by any form, and an hour with or without AM
    for each in form.dates:
        if pl.select(plain_time(pl.lit(text), [each])).item() != text:
            return next(
                (words for words, order in _DAYS_AND_MONTHS.items() if order.search(each)), "not at all"
            )
    return "not at all"
