"""Exports as they might arrive: the samples of all platforms with rows and cells changed at random.

`is_accounted_for` is the promise about each: it is refused in a sentence, or every row that was read is accepted,
quarantined or a repetition, no order with a damaged row is accepted, what is accepted satisfies the contract, and its payloads
say what its tables say.
"""

import csv
import io
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from hypothesis import strategies as st

from corso.errors import UsageError
from corso.extract.profile import TABLES
from corso.settings import read_settings
from corso.stages.batch import Batch
from corso.stages.counting import broken_contracts, unaccounted_rows
from corso.stages.parts import put_in_place
from corso.stages.preparing import extract, plan, validate
from schemas.raw import scan_raw
from tests.profile_samples import SAMPLES

Rows = list[list[str]]
Change = Callable[[Rows], Rows]

CELLS = (
    "", " ", "0", "-1", "1e5", "9.2E+11", "NaN", "12,50", "1.234,56", "$1", "(3.00)", "999999999999999999999",
    "2026-02-30", "2026-03-08 02:30", "2026-11-01T01:30:00", "0000-00-00 00:00:00", "9999-12-31T23:59:59-23:00", "26-1-1",
    "USD", "US Dollar", "Deutschland", "XX", "+12025550123", "true", "null", "[]", '[{"name": "a", "value": "b"}]', "[{",
    "=cmd()", "<b>", "\u202e\U0001f9e8", "a\x00b", "\u0085", "é" * 300, "ann@example.com", "#1001", "'", "|", ";", "\\",
)  # fmt: skip
"""What a cell may say in place of what it said."""


@dataclass(frozen=True)
class Mutated:
    """A sample, changed."""

    sample: str
    changes: Sequence[tuple[str, str]]
    """File below the sample's folder -> what it says now."""

    @property
    def name(self) -> str:
        """What a finding is called."""
        return f"{self.sample}.json"

    @property
    def content(self) -> bytes:
        """The changed files, as JSON."""
        return json.dumps(dict(self.changes), ensure_ascii=False, indent=1).encode()

    def write(self, folder: Path) -> Path:
        """Write the export; return its loader.yaml."""
        shutil.copytree(SAMPLES / self.sample, folder, dirs_exist_ok=True)
        for name, text in self.changes:
            (folder / name).write_text(text, encoding="utf-8", newline="")
        return folder / "loader.yaml"


def samples() -> list[str]:
    """Return the samples whose profile is found wherever they lie."""
    return sorted(path.parent.name for path in SAMPLES.glob("*/loader.yaml") if path.parent.name != "olist")


def mutated() -> st.SearchStrategy[Mutated]:
    """Return samples with up to eight changes in up to two files."""
    return st.sampled_from(samples()).flatmap(_of_sample)


def _of_sample(sample: str) -> st.SearchStrategy[Mutated]:
    folder = SAMPLES / sample
    files = sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.suffix in {".csv", ".txt"}
    )
    changed = st.sampled_from(files).flatmap(
        lambda name: st.lists(_change(), min_size=1, max_size=8).map(
            lambda made: (name, _changed(folder / name, made))
        )
    )
    return st.lists(changed, min_size=1, max_size=2, unique_by=lambda each: each[0]).map(
        lambda changes: Mutated(sample, changes)
    )


def _changed(path: Path, changes: Sequence[Change]) -> str:
    text = path.read_bytes().decode("utf-8-sig")
    delimiter = max("\t,;", key=text.partition("\n")[0].count)
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    for change in changes:
        rows = change(rows)
    written = io.StringIO(newline="")
    csv.writer(written, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return written.getvalue()


def _change() -> st.SearchStrategy[Change]:
    place = st.integers(0, 10_000)
    cell = st.sampled_from(CELLS) | st.text(max_size=12)
    return st.one_of(
        st.builds(_cell, place, place, cell),
        st.builds(_copied_cell, place, place, place),
        st.builds(_repeated, place, place),
        st.builds(_removed, place),
        st.builds(_moved, place, place),
        st.builds(_cut, place, place),
        st.builds(_header, place, cell),
    )


# Places are counted round and round, so that every one is somewhere; the header stays but for `_header`.


def _row(rows: Rows, place: int) -> int:
    return 1 + place % (len(rows) - 1) if len(rows) > 1 else 0


def _with(rows: Rows, number: int, row: list[str]) -> Rows:
    return [*rows[:number], row, *rows[number + 1 :]]


def _cell(row: int, column: int, text: str) -> Change:
    def change(rows: Rows) -> Rows:
        number = _row(rows, row)
        cells = rows[number] or [""]
        at = column % len(cells)
        return _with(rows, number, [*cells[:at], text, *cells[at + 1 :]])

    return change


def _copied_cell(row: int, other: int, column: int) -> Change:
    def change(rows: Rows) -> Rows:
        cells = rows[_row(rows, other)] or [""]
        return _cell(row, column, cells[column % len(cells)])(rows)

    return change


def _repeated(row: int, to: int) -> Change:
    def change(rows: Rows) -> Rows:
        number, at = _row(rows, row), _row(rows, to)
        return [*rows[:at], list(rows[number]), *rows[at:]] if number else rows

    return change


def _removed(row: int) -> Change:
    def change(rows: Rows) -> Rows:
        number = _row(rows, row)
        return [*rows[:number], *rows[number + 1 :]] if number else rows

    return change


def _moved(row: int, to: int) -> Change:
    def change(rows: Rows) -> Rows:
        number = _row(rows, row)
        left = [*rows[:number], *rows[number + 1 :]]
        at = _row(left, to)
        return [*left[:at], rows[number], *left[at:]] if number and at else rows

    return change


def _cut(row: int, length: int) -> Change:
    def change(rows: Rows) -> Rows:
        number = _row(rows, row)
        cells = rows[number]
        wanted = length % (len(cells) + 3)
        return _with(rows, number, (cells + ["more"] * 3)[:wanted]) if number else rows

    return change


def _header(column: int, name: str) -> Change:
    def change(rows: Rows) -> Rows:
        at = column % max(1, len(rows[0]))
        return _with(rows, 0, [*rows[0][:at], name, *rows[0][at + 1 :]])

    return change


def is_accounted_for(export: Mutated, folder: Path) -> None:
    """Prepare an export as a batch is prepared, and hold what comes out against what went in."""
    shutil.rmtree(folder / "shop", ignore_errors=True)
    settings = read_settings(export.write(folder / "shop"))
    batch = Batch(settings, "fuzz")
    refusal = _refusal_of(batch)
    if refusal is not None:
        # A refusal says why, in one sentence.
        assert refusal
        assert "\n" not in refusal
        return
    assert not any(unaccounted_rows(batch).values())
    assert not any(broken_contracts(batch).values())
    assert not _orders_with_damaged_rows(batch) & _accepted_orders(batch)
    _payloads_say_what_the_tables_say(batch)


def _refusal_of(batch: Batch) -> str | None:
    """Extract, validate and plan; return why the export is refused, None where it is not."""
    try:
        with batch.scratch() as scratch:
            for name, path in extract(batch, scratch / "1").items():
                put_in_place(path, batch.table(f"raw_{name}"))
            raw = {name: scan_raw(batch.table(f"raw_{name}")) for name in TABLES}
            validated = validate(batch, raw, scratch / "2")
            for name, path in validated.accepted.items():
                put_in_place(path, batch.table(f"accepted_{name}"))
            validated.quarantine.sink_parquet(batch.table("quarantined_orders"))
            accepted = {name: batch.table(f"accepted_{name}") for name in TABLES}
            put_in_place(plan(batch, accepted, scratch / "3"), batch.table("upload_plan"))
    except UsageError as error:
        return str(error)
    return None


def _orders_with_damaged_rows(batch: Batch) -> set[str | None]:
    raw = [pl.read_parquet(batch.table(f"raw_{name}")) for name in TABLES]
    return {order for rows in raw for order in rows.filter(pl.col("fault").is_not_null())["source_order_id"]}


def _accepted_orders(batch: Batch) -> set[str | None]:
    return set(pl.read_parquet(batch.table("accepted_orders"))["source_order_id"])


def _payloads_say_what_the_tables_say(batch: Batch) -> None:
    planned = pl.read_parquet(batch.table("upload_plan")).filter(subject="order")
    lines = pl.read_parquet(batch.table("accepted_line_items")).group_by("source_order_id").len()
    orders = pl.read_parquet(batch.table("accepted_orders")).join(lines, on="source_order_id")
    told = {
        body["sourceOrderId"]: (body["totalMoney"], len(body["lineItems"]))
        for body in (json.loads(text, parse_float=str, parse_int=str) for text in planned["payload"])
    }
    wanted = orders.select(
        "source_order_id",
        pl.col("total_money").cast(pl.String).str.strip_chars_end("0").str.strip_chars_end("."),
        "len",
    )
    assert told == {order: (total, count) for order, total, count in wanted.iter_rows()}
    assert planned.height == len(told) == orders.height
