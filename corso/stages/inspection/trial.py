"""Trying to load: all files read by the profile, what they hold counted, and their first orders validated.

The tables are written to a scratch folder once, by streaming; everything after that reads the columns that it needs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl
import polars.selectors as cs

from corso.extract.convert import has_offset, instant, time_is_ambiguous, time_is_impossible
from corso.extract.fallbacks import Fallback
from corso.extract.files import ExportFile
from corso.extract.mapping import map_exports
from corso.extract.places import currencies
from corso.extract.profile import TABLES, MoneyPolicy, Profile, TableName
from corso.extract.validate import Checked, check_part
from corso.report.results import problems_by_frequency
from corso.settings import Store
from corso.stages.inspection.facts import Counts, Reason, TimeCounts
from schemas.fields import INSTANT, currency_codes, dtypes
from schemas.quarantine import PROBLEM
from schemas.raw import ORIGINAL

MOST_ORDERS = 50_000
"""So many orders are tried at the most; the counts say so."""
_KEY = "source_order_id"
_LOCATION = "fulfillment_location_id"


def read_tables(
    profile: Profile,
    files: Mapping[str, Sequence[ExportFile]],
    forms: Mapping[str, Mapping[str, str | int]],
    scratch: Path,
) -> dict[TableName, pl.LazyFrame]:
    """Return the raw tables of some files, without the rows as they stood there, from a scratch folder.

    Raises ExportError where the files cannot be read by the profile.
    """
    folder = scratch / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    raw = map_exports(profile, files, scratch, forms)
    sinks = [
        table.drop(cs.starts_with(ORIGINAL)).sink_parquet(
            folder / f"{name}.parquet", compression="zstd", lazy=True
        )
        for name, table in raw.items()
    ]
    pl.collect_all(sinks, engine="streaming")
    return {name: pl.scan_parquet(folder / f"{name}.parquet", glob=False) for name in raw}


def count(tables: Mapping[TableName, pl.LazyFrame], time_zone: str | None) -> Counts:
    """Count what all files hold together."""
    orders = (
        tables["orders"]
        .select(
            _KEY, "customer_currency_code", created=instant(pl.col("source_created_on"), time_zone or "UTC")
        )
        .collect()
    )
    # A row without an id is an order of its own, as everywhere.
    single = orders.filter(pl.col(_KEY).is_null() | pl.col(_KEY).is_first_distinct())
    ids = single[_KEY].drop_nulls().implode()
    of_lines, of_fulfillments = (
        tables[name].select(_KEY).collect()[_KEY] for name in ("line_items", "fulfillments")
    )
    places = tables["fulfillments"].select(pl.col(_LOCATION).str.strip_chars()).collect()[_LOCATION]
    years = single["created"].dt.convert_time_zone(time_zone or "UTC").dt.year().cast(pl.String)
    return Counts(
        orders=len(single),
        line_items=len(of_lines),
        fulfillments=len(of_fulfillments),
        orders_without_lines=int(
            (~single[_KEY].is_in(of_lines.unique().implode()).fill_null(value=False)).sum()
        ),
        lines_of_no_order=int((~of_lines.is_in(ids).fill_null(value=False)).sum()),
        fulfillments_of_no_order=int((~of_fulfillments.is_in(ids).fill_null(value=False)).sum()),
        years=_counted(years.fill_null("undated").sort()),
        currencies=_counted(_currency_names(single["customer_currency_code"])),
        locations=places.drop_nulls().n_unique(),
        without_location=places.null_count(),
    )


def _currency_names(texts: pl.Series) -> pl.Series:
    codes = texts.to_frame("text").select(currencies(pl.col("text").str.strip_chars()).alias("code"))
    return codes.select(
        pl.when(pl.col("code").is_null() | (pl.col("code") == ""))
        .then(pl.lit("none"))
        .when(pl.col("code").is_in(sorted(currency_codes())))
        .then("code")
        .otherwise(pl.lit("unknown"))
        .alias("code")
    ).to_series()


def _counted(values: pl.Series) -> dict[str, int]:
    return dict(values.value_counts(sort=True).sort(values.name).iter_rows())


def count_times(tables: Mapping[TableName, pl.LazyFrame], time_zone: str | None) -> dict[str, TimeCounts]:
    """Return `table.column` -> its counts, for the time columns that have a value."""
    found = {}
    for name, table in tables.items():
        for column in (each for each, dtype in dtypes(TABLES[name]).items() if dtype == INSTANT):
            texts = table.select(pl.col(column).str.strip_chars()).collect()[column]
            texts = texts.filter((texts != "").fill_null(value=False))
            if len(texts):
                found[f"{name}.{column}"] = _time_counts(texts, time_zone)
    return found


def _time_counts(texts: pl.Series, time_zone: str | None) -> TimeCounts:
    frame = texts.to_frame("text")
    text = pl.col("text")
    read = frame.select(instant(text, time_zone or "UTC"))["text"]
    settled = (
        frame.select(
            ambiguous=time_is_ambiguous(text, time_zone).sum(),
            impossible=time_is_impossible(text, time_zone).sum(),
        ).row(0)
        if time_zone
        else (None, None)
    )
    with_offset = int((has_offset(texts) & read.is_not_null()).sum())
    return TimeCounts(len(texts), with_offset, read.null_count(), *settled)


@dataclass(frozen=True)
class Trial:
    """The first orders of some files, with all that belongs to them, to be validated in several ways."""

    tables: Mapping[TableName, pl.LazyFrame]
    policy: MoneyPolicy
    time_zone: str | None

    @cached_property
    def raw(self) -> dict[TableName, pl.DataFrame]:
        """The raw tables of the orders that are tried."""
        orders = self.tables["orders"].head(MOST_ORDERS + 1).collect()
        if orders.height <= MOST_ORDERS:
            # All of them: rows that belong to no order are tried, too.
            return {name: table.collect() for name, table in self.tables.items()}
        ids = orders.head(MOST_ORDERS).select(_KEY).unique().lazy()
        return {
            name: table.join(ids, on=_KEY, how="semi", maintain_order="left").collect()
            for name, table in self.tables.items()
        }

    @cached_property
    def tried(self) -> int:
        """How many orders are tried."""
        ids = self.raw["orders"][_KEY]
        return ids.drop_nulls().n_unique() + ids.null_count()

    @cached_property
    def bare(self) -> Checked:
        """What validation makes of them as they stand."""
        return self._check(self.raw, [])

    @cached_property
    def problems(self) -> pl.DataFrame:
        """The orders that would not be accepted, one row = one column with a broken rule: source_order_id, column.

        `column` is `table.column`, or the table alone where the row as a whole is at fault.
        """
        return (
            self.bare.quarantine.filter(pl.col("kind") == "quarantined", pl.col(_KEY).is_not_null())
            .select(_KEY, "table", pl.col("problems").cast(pl.List(PROBLEM)))
            .filter(pl.col("problems").list.len() > 0)
            .explode("problems")
            .select(
                _KEY,
                column=pl.concat_str(
                    "table", pl.col("problems").struct.field("column"), separator=".", ignore_nulls=True
                ),
            )
            .unique()
        )

    @property
    def accepted(self) -> int:
        """How many orders would be accepted as they stand."""
        return self.bare.accepted["orders"].height

    def reasons(self) -> list[Reason]:
        """Return the broken rules, those that most orders break first."""
        found = problems_by_frequency(self.bare.quarantine.lazy()).sort(
            "orders", descending=True, maintain_order=True
        )
        return [
            Reason(
                column=".".join(filter(None, [row["table"], row["column"]])),
                sentence=row["sentence"],
                remedy=row["remedy"],
                orders=row["orders"],
                rows=row["rows"],
                file=row["file"],
                line=row["line"],
            )
            for row in found.iter_rows(named=True)
        ]

    def saved(
        self, solved: Sequence[str], fallbacks: Sequence[Fallback], *, locations: bool
    ) -> Checked | None:
        """Validate once more, with fallbacks, the orders all of whose problems are in the columns `solved`.

        No other order can be saved by what fills these columns. `locations`: whether every fulfillment location has
        Corso's number. None where there is no such order.
        """
        ids = (
            self.problems.group_by(_KEY)
            .agg(is_solved=pl.col("column").is_in(list(solved)).all())
            .filter("is_solved")
            .select(_KEY)
        )
        if ids.is_empty():
            return None
        raw = {
            name: table.join(ids, on=_KEY, how="semi", maintain_order="left")
            for name, table in self.raw.items()
        }
        if locations:
            raw["fulfillments"] = raw["fulfillments"].with_columns(pl.lit("1").alias(_LOCATION))
        return self._check(raw, fallbacks)

    def concerned(self, solved: Sequence[str]) -> int:
        """Return how many orders have a problem in one of the columns `solved`."""
        return self.problems.filter(pl.col("column").is_in(list(solved)))[_KEY].n_unique()

    def _check(self, raw: Mapping[TableName, pl.DataFrame], fallbacks: Sequence[Fallback]) -> Checked:
        store = Store(id=0, time_zone=self.time_zone or "UTC")
        return check_part(raw, store, fallbacks, self.policy)
