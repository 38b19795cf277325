"""Corrected rows held against the export: which of them differ, and which of those are not to be applied."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from corso.extract.corrections import AT, OF, ON
from corso.extract.recognition import ExportRow, Place, Texts, left_alone, why_another
from corso.extract.text import FAULT, LINE

_MOST_SIBLINGS = 200
"""Rows of one order that are held against a corrected one, the nearest first."""
_MOST_ALIKE = 100_000
"""Rows that are held against those of which the order is not sure."""
_WAS, _THERE = "\0was.", "\0there"
_NO_TEXT = pl.Series([], dtype=pl.String)


@dataclass(frozen=True)
class Proposal:
    """A row of a corrections file that is not as the export has it."""

    place: Place
    row: Place
    """The row of the export that it names."""
    cells: Texts
    """Every cell that came back, changed or not."""
    foreign: Sequence[str]
    """Columns of other files in which it has something."""


def found_rows(
    tables: Sequence[pl.DataFrame],
    frames: Mapping[str, pl.LazyFrame],
    headers: Sequence[str],
    order_names: Mapping[str, str],
) -> pl.DataFrame:
    """Return the rows of the export that are named, and all others of their orders: OF, AT, FAULT, `headers`."""
    orders = {
        header: pl.concat([_NO_TEXT, *(table[name] for table in tables if name in table.columns)])
        for header, name in order_names.items()
    }
    is_of_order = pl.any_horizontal(
        pl.col(header).is_in(texts.drop_nulls().unique().implode()) for header, texts in orders.items()
    )
    parts = []
    for file, rows in frames.items():
        lines = pl.concat([table.filter(pl.col(OF) == file)[AT] for table in tables]).unique()
        if not lines.is_empty():
            is_wanted = pl.col(LINE).is_in(lines.implode()) | (
                is_of_order.fill_null(value=False) if orders else pl.lit(value=False)
            )
            here = rows.filter(is_wanted)
            parts.append(
                here.select(pl.lit(file).alias(OF), pl.col(LINE).alias(AT), FAULT, *headers).collect()
            )
    return pl.concat(parts)


def read_proposals(
    file: str, rows: pl.DataFrame, found: pl.DataFrame, names: Mapping[str, str], foreign: Sequence[str]
) -> Iterator[Proposal]:
    """Yield the rows of a corrections file that are not as the export has them."""
    own = {header: name for header, name in names.items() if name in rows.columns}
    others = [name for name in foreign if name in rows.columns]
    was = (pl.col(header).alias(_WAS + header) for header in own)
    exported = found.select(OF, AT, *was, pl.lit(value=True).alias(_THERE))
    joined = rows.join(exported, on=[OF, AT], how="left", maintain_order="left")
    differs = [pl.col(name).ne_missing(pl.col(_WAS + header)) for header, name in own.items()]
    more = [pl.col(name).is_not_null() for name in others]
    changed = joined.filter(pl.any_horizontal(pl.col(_THERE).is_null(), *differs, *more))
    for row in changed.iter_rows(named=True):
        cells = {header: row[name] for header, name in own.items()}
        there = [name for name in others if row[name] is not None]
        yield Proposal((file, row[ON]), (row[OF], row[AT]), cells, there)


@dataclass(frozen=True)
class ExportRows:
    """The rows of the export that proposals name, and the other rows of their orders."""

    rows: Mapping[Place, ExportRow]
    by_order: Mapping[tuple[str, str, str | None], Sequence[Place]]
    """File, header that says the order, its cell -> the rows."""

    @classmethod
    def of(
        cls, found: pl.DataFrame, proposals: Sequence[Proposal], order_headers: Sequence[str]
    ) -> "ExportRows":
        """Take what proposals need of the rows that were found."""
        named = {each.row for each in proposals}
        orders = {
            (header, each.cells[header])
            for each in proposals
            for header in order_headers
            if each.cells.get(header)
        }
        rows: dict[Place, ExportRow] = {}
        by_order = defaultdict(list)
        for file, line, fault, *texts in found.iter_rows():
            cells = dict(zip(found.columns[3:], texts, strict=True))
            of_orders = [header for header in order_headers if (header, cells[header]) in orders]
            if of_orders or (file, line) in named:
                rows[file, line] = ExportRow((file, line), fault, cells)
            for header in of_orders:
                by_order[file, header, cells[header]].append((file, line))
        return cls(rows, by_order)

    def siblings(self, proposal: Proposal, order_headers: Sequence[str]) -> list[ExportRow]:
        """Return other rows of the order that a proposal says it is of, the nearest first."""
        file, line = proposal.row
        keys = ((file, header, proposal.cells.get(header)) for header in order_headers)
        places = dict.fromkeys(place for key in keys for place in self.by_order.get(key, ()))
        others = [self.rows[place] for place in places if place != proposal.row]
        return sorted(others, key=lambda row: abs(row.place[1] - line))[:_MOST_SIBLINGS]


def refused_proposals(
    proposals: Sequence[Proposal],
    export: ExportRows,
    tables: Mapping[str, pl.DataFrame],
    order_headers: Sequence[str],
) -> dict[Place, str]:
    """Return the proposals that are not about the row which they name, by their place, and why."""
    came_back = {(file, *row) for file, rows in tables.items() for row in rows.select(OF, AT).iter_rows()}
    by_row = {(each.place[0], *each.row): each for each in proposals}

    def taken(proposal: Proposal, sibling: ExportRow) -> int:
        """Return how well the row that came back for a sibling, in the same file, fits it."""
        key = (proposal.place[0], *sibling.place)
        if key not in came_back:
            return -1
        return sibling.fit(by_row[key].cells if key in by_row else sibling.cells)

    refused = {}
    for each in proposals:
        siblings = ((other, taken(each, other)) for other in export.siblings(each, order_headers))
        if sentence := _why_not(each, export.rows.get(each.row), order_headers, siblings):
            refused[each.place] = sentence
    return refused


def _why_not(
    proposal: Proposal,
    row: ExportRow | None,
    order_headers: Sequence[str],
    siblings: Iterable[tuple[ExportRow, int]],
) -> str | None:
    """Say why a row is not applied, after its place; None where it is."""
    file, line = proposal.row
    if row is None:
        return f"{file} has no row on line {line}"
    if proposal.foreign:
        return f"{file} has no column {proposal.foreign[0]!r}"
    if another := why_another(row, proposal.cells, order_headers, siblings):
        return f"{file}:{line} may be another row than the one that was corrected: {another}"
    return None


def those_alike(
    frames: Mapping[str, pl.LazyFrame], headers: Sequence[str], unsure: Sequence[tuple[Proposal, ExportRow]]
) -> dict[Place, str]:
    """Return those of which what was left alone stands in other rows of the file, too; by place, and why."""
    alike: dict[Place, str] = {}
    kept = {each.place: left_alone(row, each.cells) for each, row in unsure}
    for file, rows in frames.items():
        here = [each for each, _ in unsure if each.row[0] == file]
        # Whatever row has all of the cells has the longest of them.
        longest = {each.place: max(kept[each.place].items(), key=_length, default=None) for each in here}
        others = _rows_with(rows, headers, [cell for cell in longest.values() if cell])
        for each in here:
            cell, (of, at) = longest[each.place], each.row
            if (
                cell is None
                or others is None
                or any(
                    line != at and kept[each.place].items() <= texts.items()
                    for line, texts in others.get(cell, ())
                )
            ):
                alike[each.place] = (
                    f"{of}:{at} may be another row than the one that was corrected: nothing that was left alone in it tells it from other rows"
                )
    return alike


def _length(cell: tuple[str, str]) -> int:
    return len(cell[1])


def _rows_with(
    rows: pl.LazyFrame, headers: Sequence[str], cells: Sequence[tuple[str, str]]
) -> Mapping[tuple[str, str], Sequence[tuple[int, Texts]]] | None:
    """Return header and cell -> line and cells of all rows that have it; None where there are too many."""
    wanted: dict[str, set[str]] = defaultdict(set)
    for header, text in cells:
        wanted[header].add(text)
    found: dict[tuple[str, str], list[tuple[int, Texts]]] = defaultdict(list)
    if not wanted:
        return found
    has_one = pl.any_horizontal(pl.col(header).is_in(list(texts)) for header, texts in wanted.items())
    frame = rows.filter(has_one).select(LINE, *headers).head(_MOST_ALIKE).collect()
    for line, *texts in frame.iter_rows():
        own = dict(zip(headers, texts, strict=True))
        for header, values in wanted.items():
            if own[header] in values:
                found[header, own[header]].append((line, own))
    return None if frame.height == _MOST_ALIKE else found
