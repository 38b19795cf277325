"""Whether a corrected row is about the row of the export that it names.

A correction must never reach another row than the one that the merchant saw, and the export may have been written anew
since. quarantine.csv carries nothing that proves it (its columns are fixed, and the last one may be edited), so a row is
known by what was left alone in it:

- at least half of the export's filled cells are as they were, in the columns that came back;
- a cell that says which order it is stands as it was, and no other row of this order fits the corrected row better: its
  id, or its name or number where a spreadsheet took the id's digits;
- where no such cell does (the id was empty, or lost, or it alone was corrected) what was left alone stands in no other row
  of a file that has some, and most rows that came back with this one are in their places.

In a row that could not be read whole (too many fields, an open quote) cells stand in wrong columns, and putting them right
changes many: there half of its texts have to come back, in whatever column. What is not known so is refused.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from corso.extract.mangling import DATE, NUMBER, Edit, edited, mangled

_NOTHING_LOST = {NUMBER, DATE}
Texts = Mapping[str, str | None]
"""Header -> cell."""
Place = tuple[str, int]
"""File and line."""


@dataclass(frozen=True)
class ExportRow:
    """A row as it stands in the export."""

    place: Place
    fault: str | None
    cells: Texts

    def fit(self, cells: Texts) -> int:
        """Return how many filled cells of a row are this row's, as a spreadsheet may have changed them."""
        return sum(cell is not None and _is_same(self.cells[header], cell) for header, cell in cells.items())


def _is_same(exported: str | None, cell: str) -> bool:
    return exported == cell or (exported is not None and mangled(exported, cell) is not None)


@dataclass(frozen=True)
class OrderHeaders:
    """The headers that say which order a row is of."""

    ids: Sequence[str] = ()
    names: Sequence[str] = ()
    """The order's name and number, which say it where the id is not to be read any more."""


def changed_headers(row: ExportRow, cells: Texts) -> set[str]:
    """Return the headers whose cells a person edited."""
    return {header for header, cell in cells.items() if isinstance(edited(row.cells[header], cell), Edit)}


def overwritten_headers(row: ExportRow, cells: Texts) -> set[str]:
    """Return those of them in which the export has something else."""
    return {header for header in changed_headers(row, cells) if row.cells[header] is not None}


def is_of_its_order(row: ExportRow, cells: Texts, order: OrderHeaders) -> bool:
    """Say whether a cell that says which order it is came back with everything that tells it from others.

    Where another id was written over the export's, the order's name says it only if nothing else was written over.
    """
    if any(_is_told(row, cells, header) for header in order.ids):
        return True
    overwritten = overwritten_headers(row, cells)
    is_another = overwritten & set(order.ids) and overwritten - set(order.ids)
    return not is_another and any(_is_told(row, cells, header) for header in order.names)


def _is_told(row: ExportRow, cells: Texts, header: str) -> bool:
    exported, cell = row.cells[header], cells.get(header)
    if exported is None or cell is None:
        return False
    return exported == cell or mangled(exported, cell) in _NOTHING_LOST


def left_alone(row: ExportRow, cells: Texts) -> dict[str, str]:
    """Return the filled cells that are as they were, letter by letter."""
    return {header: cell for header, cell in cells.items() if cell is not None and cell == row.cells[header]}


def why_another(
    row: ExportRow, cells: Texts, order: OrderHeaders, siblings: Iterable[tuple[ExportRow, int]]
) -> str | None:
    """Say why `cells` may be those of another row than `row`; None where they are not.

    `siblings`: other rows of the order, each with how well the row that came back for it fits it (-1: none did).
    """
    if not changed_headers(row, cells):
        return None
    if order.ids and not any(header in cells for header in (*order.ids, *order.names)):
        return f"without the column {order.ids[0]!r} nobody can tell; keep it"
    if row.fault is not None:
        return _why_another_broken_one(row, cells)
    return _why_another_order(row, cells, order) or _why_another_line(row, cells, siblings)


def _why_another_order(row: ExportRow, cells: Texts, order: OrderHeaders) -> str | None:
    if is_of_its_order(row, cells, order):
        return None
    overwritten = overwritten_headers(row, cells)
    own = next((header for header in (*order.ids, *order.names) if header in overwritten), None)
    if own and overwritten - {own}:
        return f"{own!r} is another one in the export, and so are other cells"
    return None


def _why_another_line(row: ExportRow, cells: Texts, siblings: Iterable[tuple[ExportRow, int]]) -> str | None:
    filled = sum(row.cells[header] is not None for header in cells)
    kept = filled - len(overwritten_headers(row, cells))
    if kept * 2 < filled or not kept:
        return "most of its cells are other ones in the export"
    fit = row.fit(cells)
    for sibling, taken in siblings:
        if (better := sibling.fit(cells)) > fit and taken < better:
            return f"its cells are rather those of line {sibling.place[1]}"
    return None


def _why_another_broken_one(row: ExportRow, cells: Texts) -> str | None:
    texts = Counter(text.strip() for text in row.cells.values() if text is not None)
    kept = texts & Counter(text.strip() for text in cells.values() if text is not None)
    if kept.total() * 2 < texts.total() or not kept:
        return "most of its texts are not in the export's row"
    return None
