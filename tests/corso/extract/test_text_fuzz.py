"""Files that nobody would write on purpose: each is read as it says, or refused in a sentence, and nothing else happens.

The files and the promises are in `tests/hostile_files.py`; `scripts/bench fuzz` reads other ones for as long as one
likes.
"""

from pathlib import Path

import polars as pl
import pytest
from hostile_files import PROPERTIES, Hostile, Property, is_never_refused, rows_said_by
from hypothesis import given, settings

from corso.extract.text import CsvForm


@pytest.mark.slow
@pytest.mark.parametrize("promise", PROPERTIES.values(), ids=PROPERTIES.keys())
def test_whatever_a_file_is_like_the_promise_holds(
    promise: Property, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Rows, values and line numbers are those of Python's csv module; no error but one sentence with the file's name."""

    @settings(deadline=None, max_examples=120)
    @given(promise.files)
    def holds(file: Hostile) -> None:
        promise.check(file, folder)

    folder = tmp_path_factory.mktemp("files")
    holds()


SAID = {
    "rows of one line": ("h,i\n1,2\n3,4", [(2, "1", "2", False), (3, "3", "4", False)]),
    "a row of two lines": ('h,i\r\n1,"2\r\n3"\r\n4,5\r\n', [(2, "1", "2\r\n3", False), (4, "4", "5", False)]),
    "an open quote": ('h,i\n1,"2\n3,4\n', [(2, "1", "2", True), (3, "3", "4", False)]),
    "a quote in a quoted field": ('h,i\n1,"2"3"\n', [(2, "1", '23"', True)]),
    "too many fields over two lines": (
        'h,i\n1,"2\n3",4\n5,6\n',
        [(2, "1", "2\n3", True), (4, "5", "6", False)],
    ),
    "fields of columns without a name": ("h,,\n1\n", [(2, "1", None, None, False)]),
    "nothing but blanks": ("h,i\n  \n,,,\n\x1a", []),
}


@pytest.mark.parametrize(("text", "rows"), SAID.values(), ids=SAID.keys())
def test_the_witness_says_what_everybody_would(text: str, rows: list[tuple[object, ...]]) -> None:
    """What the fuzzed files are held against is itself right about files that one can judge by eye."""
    said = rows_said_by(text, CsvForm())
    assert said is not None
    assert said[1] == rows


@pytest.mark.slow
def test_a_broken_reader_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The promises can fail: with polars reading every file, whatever it is like, one does."""
    monkeypatch.setattr("corso.extract.text.is_regular", lambda *_: True)
    folder = tmp_path_factory.mktemp("files")

    @settings(deadline=None, max_examples=300, database=None)
    @given(PROPERTIES["no line below a good header is lost"].files)
    def holds(file: Hostile) -> None:
        is_never_refused(file, folder)

    # Polars takes no delimiter of two bytes (a ValueError), and takes some texts for gzip (an OSError).
    with pytest.raises((AssertionError, ValueError, OSError, pl.exceptions.PolarsError, ExceptionGroup)):
        holds()


def test_rows_do_not_change_where_a_batch_of_them_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are written in batches that are bounded in rows and in characters; none is left out or written twice."""
    said = "h,i\n" + "".join(f'{number},"x\ny"\n' for number in range(57)) + "short\n"
    for bound, size in (
        ("_BATCH_ROWS", 10),
        ("_BATCH_CHARACTERS", 40),
        ("_BATCH_CELLS", 6),
        ("_BATCH_ROWS", 58),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(f"corso.extract.irregular.{bound}", size)
            is_never_refused(Hostile(said.encode(), text=said), tmp_path)
