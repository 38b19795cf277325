"""Corrected rows held against the export: which of them differ, and which of those are not to be applied."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from corso.extract.corrections import AT, OF, ON
from corso.extract.recognition import (
    ExportRow,
    OrderHeaders,
    Place,
    Texts,
    left_alone,
    overwritten_headers,
    why_another,
)
from corso.extract.text import FAULT, LINE

_MOST_SIBLINGS = 200
"""Rows of one order that are held against a corrected one, the nearest first."""
_MOST_ALIKE = 100_000
"""Rows that are held against those of which the order is not sure."""
_ROWS_LOOKED_AT = 10_000
"""Rows that tell in which columns the cells differ most."""
_FEWEST_ROWS = 10
"""In a file of fewer it says little that something stands in one row only."""
_Key = tuple[tuple[str, str], ...]
"""Headers and cells."""
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
    def of(cls, found: pl.DataFrame, proposals: Sequence[Proposal], order: OrderHeaders) -> "ExportRows":
        """Take what proposals need of the rows that were found."""
        named = {each.row for each in proposals}
        orders = {
            (header, each.cells[header])
            for each in proposals
            for header in order.ids
            if each.cells.get(header)
        }
        rows: dict[Place, ExportRow] = {}
        by_order = defaultdict(list)
        for file, line, fault, *texts in found.iter_rows():
            cells = dict(zip(found.columns[3:], texts, strict=True))
            of_orders = [header for header in order.ids if (header, cells[header]) in orders]
            if of_orders or (file, line) in named:
                rows[file, line] = ExportRow((file, line), fault, cells)
            for header in of_orders:
                by_order[file, header, cells[header]].append((file, line))
        return cls(rows, by_order)

    def siblings(self, proposal: Proposal, order: OrderHeaders) -> list[ExportRow]:
        """Return other rows of the order that a proposal says it is of, the nearest first."""
        file, line = proposal.row
        keys = ((file, header, proposal.cells.get(header)) for header in order.ids)
        places = dict.fromkeys(place for key in keys for place in self.by_order.get(key, ()))
        others = [self.rows[place] for place in places if place != proposal.row]
        return sorted(others, key=lambda row: abs(row.place[1] - line))[:_MOST_SIBLINGS]


def refused_proposals(
    proposals: Sequence[Proposal],
    export: ExportRows,
    tables: Mapping[str, pl.DataFrame],
    order: OrderHeaders,
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
        siblings = ((other, taken(each, other)) for other in export.siblings(each, order))
        if sentence := _why_not(each, export.rows.get(each.row), order, siblings):
            refused[each.place] = sentence
    return refused


def _why_not(
    proposal: Proposal,
    row: ExportRow | None,
    order: OrderHeaders,
    siblings: Iterable[tuple[ExportRow, int]],
) -> str | None:
    """Say why a row is not applied, after its place; None where it is."""
    file, line = proposal.row
    if row is None:
        return f"{file} has no row on line {line}"
    if proposal.foreign:
        return f"{file} has no column {proposal.foreign[0]!r}"
    if another := why_another(row, proposal.cells, order, siblings):
        return f"{_may_be_another(proposal)}: {another}"
    return None


def those_alike(
    frames: Mapping[str, pl.LazyFrame], headers: Sequence[str], unsure: Sequence[tuple[Proposal, ExportRow]]
) -> dict[Place, str]:
    """Return those of which what was left alone stands in other rows of the file, too; by place, and why."""
    alike: dict[Place, str] = {}
    overwritten = {each.place for each, row in unsure if overwritten_headers(row, each.cells)}
    for file, rows in frames.items():
        here = [(each, left_alone(row, each.cells)) for each, row in unsure if each.row[0] == file]
        if not here:
            continue
        ranked, count = _by_variety(rows, headers)
        # Whatever row has all of the cells has these, too, and few rows have them.
        keys = {
            each.place: tuple((name, kept[name]) for name in ranked if name in kept)[:3]
            for each, kept in here
        }
        others = _rows_with(rows, headers, {key for key in keys.values() if key})
        for each, kept in here:
            key = keys[each.place]
            candidates = others.get(key, ()) if others is not None else None
            if count < _FEWEST_ROWS and each.place in overwritten:
                alike[each.place] = f"{_may_be_another(each)}: its file has too few rows to tell"
            elif not key or candidates is None or _are_there(kept, candidates, each.row[1]):
                alike[each.place] = (
                    f"{_may_be_another(each)}: nothing that was left alone in it tells it from other rows"
                )
    return alike


def not_in_place(
    unsure: Sequence[tuple[Proposal, ExportRow]],
    refused: Iterable[Proposal],
    tables: Mapping[str, pl.DataFrame],
) -> dict[Place, str]:
    """Return those of files of which most rows are refused; by place, and why."""
    counts = Counter((each.place[0], each.row[0]) for each in refused)
    named = {
        (file, of): count
        for file, rows in tables.items()
        for of, count in rows.group_by(OF).len().iter_rows()
    }
    return {
        each.place: f"{_may_be_another(each)}: most other rows are not in their places either"
        for each, _ in unsure
        if counts[each.place[0], each.row[0]] * 2 > named[each.place[0], each.row[0]]
    }


def _may_be_another(proposal: Proposal) -> str:
    file, line = proposal.row
    return f"{file}:{line} may be another row than the one that was corrected"


def _are_there(kept: Texts, candidates: Sequence[tuple[int, Texts]], own_line: int) -> bool:
    return any(line != own_line and kept.items() <= texts.items() for line, texts in candidates)


def _by_variety(rows: pl.LazyFrame, headers: Sequence[str]) -> tuple[list[str], int]:
    """Return the headers, that with the most different texts in a file's first rows first, and how many these are."""
    first = rows.head(_ROWS_LOOKED_AT).select(headers).collect()
    return sorted(headers, key=lambda header: -first[header].n_unique()), first.height


def _rows_with(
    rows: pl.LazyFrame, headers: Sequence[str], keys: Iterable[_Key]
) -> Mapping[_Key, Sequence[tuple[int, Texts]]] | None:
    """Return key -> line and cells of all rows that have these cells; None where there are too many."""
    by_headers: dict[tuple[str, ...], list[tuple[str, ...]]] = defaultdict(list)
    for key in keys:
        names, texts = zip(*key, strict=True)
        by_headers[names].append(texts)
    found: dict[_Key, list[tuple[int, Texts]]] = defaultdict(list)
    count = 0
    for names, wanted in by_headers.items():
        there = pl.LazyFrame(wanted, schema=dict.fromkeys(names, pl.String), orient="row")
        frame = (
            rows.join(there, on=names, how="semi").select(LINE, *headers).head(_MOST_ALIKE - count).collect()
        )
        count += frame.height
        if count >= _MOST_ALIKE:
            return None
        for line, *cells in frame.iter_rows():
            own = dict(zip(headers, cells, strict=True))
            found[tuple((name, own[name]) for name in names)].append((line, own))
    return found
