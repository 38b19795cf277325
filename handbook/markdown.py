"""Small pieces of Markdown."""

from collections.abc import Iterable, Iterator, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table; a bar in a cell is escaped, a line break is a blank."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        cells = (" ".join(cell.split()).replace("|", "\\|") for cell in row)
        yield f"| {' | '.join(cells)} |"


def fenced(language: str, text: str) -> Iterator[str]:
    """Yield a code block."""
    yield f"```{language}"
    yield text.rstrip("\n")
    yield "```"
