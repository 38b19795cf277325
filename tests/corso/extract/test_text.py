"""Reading CSV: every value as it stands in the file, with the line it stands on, whatever the file is like."""

import gzip
import re
import time
from pathlib import Path

import pytest
from read_files import Rows, refusal, rows_of

from corso.extract.files import ExportFile
from corso.extract.irregular import Lines

PLAIN = {
    "plain": "a,b\n1,x\n2,y\n",
    "no line end at the end": "a,b\n1,x\n2,y",
    "carriage returns": "a,b\r\n1,x\r\n2,y\r\n",
    "a byte order mark": "\ufeffa,b\n1,x\n2,y\n",
    "everything quoted": '"a","b"\n"1","x"\n"2","y"\n',
    "quoted behind a byte order mark": '\ufeff"a","b"\r\n"1","x"\r\n"2","y"\r\n',
    "trailing empty fields": "a,b\n1,x,,\n2,y,\n",
}


@pytest.mark.parametrize("content", PLAIN.values(), ids=PLAIN.keys())
def test_the_same_rows_come_out_of_every_way_to_write_them(tmp_path: Path, content: str) -> None:
    """How a program ends its lines and uses quotes says nothing about the rows."""
    assert rows_of(tmp_path, content) == [(2, "1", "x", None), (3, "2", "y", None)]


GZIPPED = {
    "in one piece": gzip.compress(b"a,b\n1,x\n\n2,y\n"),
    "in two pieces": gzip.compress(b"a,b\n1,x\n") + gzip.compress(b"\n2,y\n"),
    "padded with zeros": gzip.compress(b"a,b\n1,x\n\n2,y\n") + bytes(100),
}


@pytest.mark.parametrize("name", ["orders.csv.gz", "orders.csv"])
@pytest.mark.parametrize("content", GZIPPED.values(), ids=GZIPPED.keys())
def test_a_gzipped_file_reads_like_a_plain_one(tmp_path: Path, content: bytes, name: str) -> None:
    """It needs no setting, and no name."""
    assert rows_of(tmp_path, content, name) == [(2, "1", "x", None), (4, "2", "y", None)]


@pytest.mark.parametrize("name", ["orders.tsv", "orders.tab", "orders.txt", "orders", "orders [1]*.csv"])
def test_a_file_is_csv_whatever_its_name(tmp_path: Path, name: str) -> None:
    """Only Parquet goes by its name; and a name that looks like a pattern is a name."""
    (tmp_path / "orders 1x.csv").write_text("a,b\n9,wrong\n")
    assert rows_of(tmp_path, "a,b\n1,x\n", name) == [(2, "1", "x", None)]


LINES = {
    "blank lines": ("a,b\n\n1,x\n\n\n2,y\n", [(3, "1", "x", None), (6, "2", "y", None)]),
    "blank lines with carriage returns": ("a,b\r\n\r\n1,x\r\n", [(3, "1", "x", None)]),
    "a line break in quotes": ('a,b\n1,"x\ny"\n2,z\n', [(2, "1", "x\ny", None), (4, "2", "z", None)]),
    "line breaks in the header": ('a,"b\nc"\n1,x\n', [(3, "1", "x", None)]),
    "escaped quotes": ('a,b\n1,"say ""hi"", please"\n2,y\n', [(2, "1", 'say "hi", please', None), (3, "2", "y", None)]),
    "a quote inside a value": ('a,b\n1,12" shade\n2,y\n', [(2, "1", '12" shade', None), (3, "2", "y", None)]),
    "rows without any value": ('a,b\n,\n"",""\n1,x\n', [(4, "1", "x", None)]),
    "one column": ('a\n1\n\n""\n2\n', [(2, "1", None), (5, "2", None)]),
    "blank lines above the header": ("\n\r\na,b\n1,x\n", [(4, "1", "x", None)]),
    "carriage returns alone": ("a,b\r1,x\r2,y\r", [(2, "1", "x", None), (3, "2", "y", None)]),
    "carriage returns alone, one column": ("a\r1\r2", [(2, "1", None), (3, "2", None)]),
    "line ends of all kinds": ("a,b\r\n1,x\n2,y\r3,z", [(2, "1", "x", None), (3, "2", "y", None), (4, "3", "z", None)]),
    "two byte order marks": ('\ufeff\ufeff"a",b\n1,x\n', [(2, "1", "x", None)]),
    "lines of blanks or delimiters": ("a,b\n1,x\n   \n,,,\n2,y\n\x1a", [(2, "1", "x", None), (5, "2", "y", None)]),
    "nameless columns at the header's end": ("a,b,,\n1,x\n2,y,,\n3,z,,v\n", [(2, "1", "x", None, None, None), (3, "2", "y", None, None, None), (4, "3", "z", None, "v", None)]),
    "a header that zlib might begin with": ("x^,b\n1,x\n", [(2, "1", "x", None)]),
}  # fmt: skip


@pytest.mark.parametrize(("content", "expected"), LINES.values(), ids=LINES.keys())
def test_line_numbers_are_those_of_an_editor(tmp_path: Path, content: str, expected: Rows) -> None:
    """Who looks a row up in the file finds it on the line that the report names."""
    assert rows_of(tmp_path, content) == expected


def test_values_are_never_interpreted(tmp_path: Path) -> None:
    """Leading zeros, long ids and spreadsheet numbers stay as they are; an empty field is nothing."""
    content = 'zip,id,phone,flag,empty,blank\n02101,123456789012345678,9.2E+11,TRUE,"", \n'
    assert rows_of(tmp_path, content) == [
        (2, "02101", "123456789012345678", "9.2E+11", "TRUE", None, " ", None)
    ]


HOSTILE = ["=cmd()", "<script>", "a\x00b", "\x07", "\u202eevil", "🧨", "NULL", "nan", "\x1f", "|;\t", "'"]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("rest", ["2,y\n", "2\n"], ids=["regular", "irregular"])
def test_hostile_text_is_carried_through(tmp_path: Path, value: str, rest: str) -> None:
    """Text is text, in files that are read the quick way and in those that are read the careful way."""
    assert rows_of(tmp_path, f"a,b\n1,{value}\n{rest}")[0] == (2, "1", value, None)


def test_a_field_of_a_megabyte_is_carried_through(tmp_path: Path) -> None:
    """No limit of a parser cuts a value or refuses the file."""
    long = "x" * 1_000_000
    assert rows_of(tmp_path, f"a,b\n1,{long}\n2\n")[0] == (2, "1", long, None)


RAGGED = {
    "short": ("a,b\n1\n2,y\n", "1 fields where the header has 2"),
    "long": ("a,b\n1,x,z\n2,y\n", "3 fields where the header has 2"),
    "of zero bytes": (f"a,b\n1{chr(0) * 99}\n2,y\n", "has 2 (zero bytes stand in it: the file may be damaged)"),
    "with a quote in a quoted field": ('a,b\n1,"5" nails"\n2,y\n', "a quote stands within a quoted field: write it twice"),
    "with escaped quotes of another kind": ('a,b\n1,"say \\"hi\\""\n2,y\n', "a quote stands within a quoted field"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "sentence"), RAGGED.values(), ids=RAGGED.keys())
def test_a_ragged_row_is_marked_and_its_neighbours_are_not(
    tmp_path: Path, content: str, sentence: str
) -> None:
    """A row with fields missing or left over is not bent into shape, dropped or a reason to refuse the file."""
    (line, first, *_, fault), good = rows_of(tmp_path, content)
    assert (line, str(first)[0]) == (2, "1")
    assert sentence in str(fault)
    assert good == (3, "2", "y", None)


def test_a_ragged_row_over_several_lines_is_one_row(tmp_path: Path) -> None:
    """Its quotes say where it ends; its later lines are not taken for rows of their own that happen to fit."""
    first, second = rows_of(tmp_path, 'a,b\n1,"x\ny",z\n2,y\n')
    assert first == (2, "1", "x\ny", "the row has 3 fields where the header has 2")
    assert second == (4, "2", "y", None)


OPEN_QUOTES = {
    "up to the end of the file": 'a,b\n1,"x\n2,y\n3,z\n',
    "up to the next quote": 'a,b\n1,"x\n2,y\n3,z\n4,"q"\n',
    "in the first column": 'a,b\n"1,x\n2,y\n3,z\n',
    "with carriage returns": 'a,b\r\n1,"x\r\n2,y\r\n3,z\r\n',
}


@pytest.mark.parametrize("content", OPEN_QUOTES.values(), ids=OPEN_QUOTES.keys())
def test_a_quote_that_nobody_closes_spoils_its_own_row_only(tmp_path: Path, content: str) -> None:
    """Read naively, the field would swallow all orders up to the next quote, and nobody would miss them."""
    found = rows_of(tmp_path, content)
    assert found[0][0] == 2
    assert "a quote may be open" in str(found[0][-1])
    assert [row[:3] for row in found[1:3]] == [(3, "2", "y"), (4, "3", "z")]
    assert all(row[-1] is None for row in found[1:])


@pytest.mark.slow
def test_quotes_beyond_hope_are_refused_in_bounded_time(tmp_path: Path) -> None:
    """Where each line looks like the middle of one row to the file's end, reading on from each would never end."""
    sentence = refusal(tmp_path, "a,b\n" + 'c",d,"e\n' * 60_000)
    assert re.match(
        r"orders\.csv:\d+: quotes open and close across so many lines that no row can be told; write",
        sentence,
    )


def test_lines_that_are_given_back_come_before_those_that_wait() -> None:
    """Rows that are read again stay in the file's order, however often that happens."""
    lines = Lines(ExportFile(Path("x.csv"), "x.csv"), iter("abcde"))
    assert [next(lines) for _ in range(4)] == lines.take() == ["a", "b", "c", "d"]
    lines.put_back(["b", "c", "d"])
    assert [next(lines), next(lines)] == lines.take() == ["b", "c"]
    lines.put_back(["c"])
    assert list(lines) == ["c", "d", "e"]


@pytest.mark.parametrize("content", [text for name, text in PLAIN.items() if name != "trailing empty fields"])
def test_a_regular_file_is_never_written_again(tmp_path: Path, content: str) -> None:
    """The careful way takes six times as long and a copy of the file; it is for files that need it."""
    rows_of(tmp_path, content)
    assert not (tmp_path / "scratch").exists()


def test_a_file_with_a_header_only_has_no_rows(tmp_path: Path) -> None:
    """That there is nothing to load is for the batch to say."""
    assert rows_of(tmp_path, "a,b\n") == rows_of(tmp_path, "a,b") == []


@pytest.mark.slow
def test_a_file_as_wide_as_a_workbook_is_read(tmp_path: Path) -> None:
    """Thousands of columns cost no more than their cells, the regular way and the careful way."""
    columns = 3000
    wide = ",".join(f"c{number}" for number in range(columns)) + "\n" + "1," * (columns - 1) + "1\n"
    began = time.perf_counter()
    assert [row[0] for row in rows_of(tmp_path, wide)] == [2]
    assert [row[0] for row in rows_of(tmp_path, wide + "short\n")] == [2, 3]
    assert time.perf_counter() - began < 20
