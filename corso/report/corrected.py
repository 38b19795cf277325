"""What was made of the merchant's corrections, in words: the same ones on the page, in the workbook, on the terminal."""

from collections.abc import Iterator

from schemas.corrections import CorrectionsUse, LeftColumn


def said_corrections(use: CorrectionsUse) -> Iterator[tuple[str, str]]:
    """Yield a title and a sentence for each thing that there is to say: corrected, left as exported, refused, note."""
    if use.files:
        names = ", ".join(f"{file.name} ({_counted(file.rows, 'row')})" for file in use.files)
        yield "corrected", f"{_said_cells(use)}; read from {names}"
    for left in use.left:
        yield "left as exported", said_left(left)
    for sentence in use.refused:
        yield "refused", sentence
    if (more := use.refused_rows - len(use.refused)) > 0 and use.refused:
        yield "refused", f"{use.refused_rows:,} rows altogether, {more:,} of them not named here"
    for note in use.notes:
        yield "note", note


def said_left(left: LeftColumn) -> str:
    """Say which cells were left as exported: `Zip: 4 cells written as a number, e.g. corrections/a.csv:3`."""
    example = f"e.g. {left.place}" if left.cells > 1 else left.place
    return f"{left.column}: {_counted(left.cells, 'cell')} {left.looks}, {example}"


def _said_cells(use: CorrectionsUse) -> str:
    if not use.cells:
        return "nothing"
    columns = ", ".join(f"{each.column} ({each.cells:,})" for each in use.columns)
    return f"{_counted(use.cells, 'cell')} of {_counted(use.rows, 'row')} in {_counted(use.orders, 'order')}: {columns}"


def _counted(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"
