"""Which cells of the export corrections change, and the changing of them.

Only cells that a person edited are taken (`corso.extract.mangling`), and only in a row that is surely the one which the
merchant saw (`corso.extract.recognition`). They are put over the rows of a file as they are read, before it is found out
which rows are one order and before anything is mapped; what was exported stays beside them.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import polars as pl

from corso.errors import ExportError
from corso.extract.corrections import AT, OF, ON, Corrections
from corso.extract.mangling import Edit, Left, edited
from corso.extract.proposals import (
    ExportRows,
    Proposal,
    found_rows,
    not_in_place,
    read_proposals,
    refused_proposals,
    those_alike,
)
from corso.extract.recognition import ExportRow, OrderHeaders, Place, Texts, changed_headers, is_of_its_order
from corso.extract.text import FAULT, LINE
from schemas.corrections import CorrectedColumn, CorrectionsUse, LeftColumn
from schemas.spreadsheet import ADDED_TO_QUARANTINE, free_names

_MOST_SENTENCES = 50
_MOST_DISAGREEMENTS = 10
_EXPORTED, _NEW, _HAS, _IS_CORRECTED = "\0exported.", "\0new.", "\0has.", "\0is_corrected"


@dataclass(frozen=True)
class Settled:
    """What the corrections change in the files of one role."""

    cells: Mapping[Place, Texts] = field(default_factory=dict)
    """Row of the export -> its corrected cells."""
    left: Sequence[tuple[str, str, Place]] = ()
    """Column, how it looks, place in a corrections file: cells that a spreadsheet changed."""
    refused: Mapping[Place, str] = field(default_factory=dict)
    """Row of a corrections file -> why it is not applied."""

    @cached_property
    def columns(self) -> list[str]:
        """The headers in which cells are corrected."""
        return list(dict.fromkeys(header for cells in self.cells.values() for header in cells))

    def exported(self, header: str) -> str:
        """Return the column in which a header's text stands as it was exported."""
        return _EXPORTED + header if header in self.columns else header

    def applied(self, rows: pl.LazyFrame, file: str) -> pl.LazyFrame:
        """Return a file's rows with their corrected cells, and what was exported beside them.

        A corrected row was looked at as a whole: its fault is gone.
        """
        if not self.cells:
            return rows
        kept = [pl.col(header).alias(_EXPORTED + header) for header in self.columns]
        own = {line: cells for (name, line), cells in self.cells.items() if name == file}
        if not own:
            return rows.with_columns(kept)
        headers = list(dict.fromkeys(header for cells in own.values() for header in cells))
        corrected = [
            pl.when(_HAS + header).then(_NEW + header).otherwise(header).alias(header) for header in headers
        ]
        fault = pl.when(pl.col(_IS_CORRECTED).is_null()).then(FAULT).alias(FAULT)
        return (
            rows.join(_side_by_side(own, headers), on=LINE, how="left", maintain_order="left")
            .with_columns(*kept, *corrected, fault)
            .drop(_IS_CORRECTED, *(mark + header for header in headers for mark in (_NEW, _HAS)))
        )


def _side_by_side(rows: Mapping[int, Texts], headers: Sequence[str]) -> pl.LazyFrame:
    """Return one row for each line, with its new cells and which of them there are: to be joined to the export's."""
    columns = {
        LINE: pl.Series(list(rows), dtype=pl.Int64),
        _IS_CORRECTED: pl.Series([True] * len(rows)),
    }
    for header in headers:
        columns[_NEW + header] = pl.Series([cells.get(header) for cells in rows.values()], dtype=pl.String)
        columns[_HAS + header] = pl.Series([header in cells for cells in rows.values()])
    return pl.LazyFrame(columns)


def written_names(headers: Sequence[str]) -> dict[str, str]:
    """Return column of quarantine.csv -> header, for the headers of all tables."""
    return dict(zip(free_names(headers, ADDED_TO_QUARANTINE), headers, strict=True))


def settle(
    corrections: Corrections,
    frames: Mapping[str, pl.LazyFrame],
    headers: Sequence[str],
    order: OrderHeaders,
    written: Mapping[str, str],
) -> Settled:
    """Hold the corrections against the files of one role and return what they change.

    `frames`: file -> its rows (LINE, FAULT, `headers`); `order`: those of the headers that say which order a row is of;
    `written` as `written_names` returns it, for all roles. The rows of the export that are named, and those of their
    orders, are read for it. Raises ExportError where two corrections disagree.
    """
    is_here = pl.col(OF).is_in(list(frames)) & pl.col(AT).is_not_null()
    tables = {file.name: rows.filter(is_here) for file, rows in corrections.tables}
    if all(rows.is_empty() for rows in tables.values()):
        return Settled()
    names = {header: name for name, header in written.items() if header in headers}
    foreign = [name for name in written if name not in names.values()]
    found = found_rows(list(tables.values()), frames, headers, {each: names[each] for each in order.ids})
    proposals = [
        each for file, rows in tables.items() for each in read_proposals(file, rows, found, names, foreign)
    ]
    export = ExportRows.of(found, proposals, order)
    refused = refused_proposals(proposals, export, tables, order)
    taken = [(each, export.rows[each.row]) for each in proposals if each.place not in refused]
    unsure = [
        (each, row)
        for each, row in taken
        if changed_headers(row, each.cells) and not is_of_its_order(row, each.cells, order)
    ]
    refused |= those_alike(frames, headers, unsure)
    refused |= not_in_place(unsure, [each for each in proposals if each.place in refused], tables)
    cells, left = _edits([pair for pair in taken if pair[0].place not in refused])
    return Settled(cells, left, refused)


def _edits(
    taken: Iterable[tuple[Proposal, ExportRow]],
) -> tuple[dict[Place, dict[str, str | None]], list[tuple[str, str, Place]]]:
    """Return the corrected cells of every row of the export, and the cells that a spreadsheet changed.

    Raises ExportError where two corrections disagree.
    """
    cells: dict[Place, dict[str, str | None]] = defaultdict(dict)
    places: dict[tuple[Place, str], Place] = {}
    left, disagreements = [], []
    for each, row in taken:
        for header, cell in each.cells.items():
            match edited(row.cells[header], cell):
                case Left(looks):
                    left.append((header, looks, each.place))
                case Edit(value):
                    if cells[each.row].setdefault(header, value) != value:
                        disagreements.append(_disagreement(each, header, places[each.row, header]))
                    places.setdefault((each.row, header), each.place)
    if disagreements:
        raise ExportError("\n".join(disagreements[:_MOST_DISAGREEMENTS]))
    return dict(cells), left


def _disagreement(proposal: Proposal, header: str, other: Place) -> str:
    (file, line), (of, at) = proposal.place, proposal.row
    return f"{other[0]}:{other[1]} and {file}:{line} correct {header!r} of {of}:{at} in two ways; keep the one that is right"


def use_of(
    corrections: Corrections, settled: Iterable[Settled], written: Mapping[str, str], files: Mapping[str, int]
) -> CorrectionsUse:
    """Return what was made of all corrections; how many orders they are of is not known here.

    `files`: export file's name -> how many files have it.
    """
    settled = list(settled)
    cells = {place: row for each in settled for place, row in each.cells.items()}
    columns = Counter(header for row in cells.values() for header in row)
    left: dict[tuple[str, str], list[Place]] = defaultdict(list)
    for header, looks, place in dict.fromkeys(cell for each in settled for cell in each.left):
        left[header, looks].append(place)
    refused = {place: sentence for each in settled for place, sentence in each.refused.items()}
    sentences = [f"{file}:{line}: {sentence}" for (file, line), sentence in sorted(refused.items())]
    unknown = list(_of_no_file(corrections, files))
    return CorrectionsUse(
        files=tuple(file for file, _ in corrections.tables),
        cells=columns.total(),
        rows=len(cells),
        columns=tuple(CorrectedColumn(header, count) for header, count in columns.most_common()),
        left=tuple(
            LeftColumn(header, looks, len(places), f"{places[0][0]}:{places[0][1]}")
            for (header, looks), places in left.items()
        ),
        refused_rows=len(refused) + sum(count for count, _ in unknown),
        refused=tuple([*(sentence for _, sentence in unknown), *sentences][:_MOST_SENTENCES]),
        notes=tuple(_unread_columns(corrections, written)),
    )


def _of_no_file(corrections: Corrections, files: Mapping[str, int]) -> Iterator[tuple[int, str]]:
    """Yield the rows that name no row of a file of the batch, how many and in a sentence."""
    for file, rows in corrections.tables:
        nameless = rows.filter(pl.col(OF).is_null() | pl.col(AT).is_null())
        if not nameless.is_empty():
            yield (
                nameless.height,
                f"{file.name}:{nameless[ON][0]}: says no file and line of the export{_more(nameless.height)}",
            )
        others = rows.filter(pl.col(OF).is_not_null() & pl.col(AT).is_not_null())
        for (of,), part in others.group_by(OF, maintain_order=True):
            place = f"{file.name}:{part[ON][0]}"
            if str(of) not in files:
                yield part.height, f"{place}: {of} is no export file of this batch{_more(part.height)}"
            elif files[str(of)] > 1:
                yield (
                    part.height,
                    f"{place}: {files[str(of)]} export files are called {of}{_more(part.height)}",
                )


def _more(rows: int) -> str:
    return f" (and {rows - 1:,} more rows)" if rows > 1 else ""


def _unread_columns(corrections: Corrections, written: Mapping[str, str]) -> Iterator[str]:
    for file, rows in corrections.tables:
        for name in rows.columns:
            if name not in {ON, OF, AT, *written} and rows[name].count():
                yield f"{file.name}: the export has no column {name!r}; it was not read"
