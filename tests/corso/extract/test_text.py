"""Reading CSV: every value as it stands in the file, with the line it stands on, whatever the file is like."""

import csv
import gzip
import io
from pathlib import Path

import pytest
from export_factories import export_file
from hypothesis import given, settings
from hypothesis import strategies as st

from corso.errors import ExportError
from corso.extract.files import ExportFile
from corso.extract.irregular import Lines
from corso.extract.text import FAULT, LINE, CsvForm, read_header, read_rows

Rows = list[tuple[object, ...]]


def rows_of(
    folder: Path, content: str | bytes, name: str = "orders.csv", form: CsvForm | None = None
) -> Rows:
    """Return (line, *values, fault) of every row of a file with this content."""
    frame = read_rows(export_file(folder, name, content), form or CsvForm(), folder / "scratch").collect()
    return frame.select(LINE, *(name for name in frame.columns if name not in {LINE, FAULT}), FAULT).rows()


def refusal(folder: Path, content: str | bytes, name: str = "orders.csv", form: CsvForm | None = None) -> str:
    """Return the sentence with which a file is refused."""
    with pytest.raises(ExportError) as error:
        rows_of(folder, content, name, form)
    return str(error.value)


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


def test_a_gzipped_file_reads_like_a_plain_one(tmp_path: Path) -> None:
    """`.gz` needs no setting."""
    content = gzip.compress(b"a,b\n1,x\n\n2,y\n")
    assert rows_of(tmp_path, content, "orders.csv.gz") == [(2, "1", "x", None), (4, "2", "y", None)]


LINES = {
    "blank lines": ("a,b\n\n1,x\n\n\n2,y\n", [(3, "1", "x", None), (6, "2", "y", None)]),
    "blank lines with carriage returns": ("a,b\r\n\r\n1,x\r\n", [(3, "1", "x", None)]),
    "a line break in quotes": ('a,b\n1,"x\ny"\n2,z\n', [(2, "1", "x\ny", None), (4, "2", "z", None)]),
    "line breaks in the header": ('a,"b\nc"\n1,x\n', [(3, "1", "x", None)]),
    "escaped quotes": ('a,b\n1,"say ""hi"", please"\n2,y\n', [(2, "1", 'say "hi", please', None), (3, "2", "y", None)]),
    "a quote inside a value": ('a,b\n1,12" shade\n2,y\n', [(2, "1", '12" shade', None), (3, "2", "y", None)]),
    "rows without any value": ('a,b\n,\n"",""\n1,x\n', [(4, "1", "x", None)]),
    "one column": ('a\n1\n\n""\n2\n', [(2, "1", None), (5, "2", None)]),
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
}


@pytest.mark.parametrize(("content", "sentence"), RAGGED.values(), ids=RAGGED.keys())
def test_a_ragged_row_is_marked_and_its_neighbours_are_not(
    tmp_path: Path, content: str, sentence: str
) -> None:
    """A row with fields missing or left over is not bent into shape, dropped or a reason to refuse the file."""
    (line, first, *_, fault), good = rows_of(tmp_path, content)
    assert (line, first) == (2, "1")
    assert sentence in str(fault)
    assert good == (3, "2", "y", None)


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


WRITE = 'in loader.yaml, under exports, write the role: {files: "orders.csv"'
REFUSED = {
    "empty": ("", "orders.csv:1: the file is empty or has no header; export it again"),
    "blank": ("\n\n", "orders.csv:1: the file is empty or has no header; export it again"),
    "no name in the header": (",,\n1,2,3\n", f"orders.csv:1: the line names no column; take it out, or {WRITE}, skip_lines: 1}} if the header is below"),
    "duplicate header": ("id,total,id\n1,2,3\n", f"orders.csv:1: column 'id' stands in the header more than once; rename one, or {WRITE}, duplicate_headers: number}}"),
    "semicolons": ("id;total\n1;2\n", f'orders.csv:1: the columns are parted by semicolons, not by commas; {WRITE}, delimiter: ";"}}'),
    "semicolons and decimal commas": ("id;total\n1;2,50\n2;3,50\n", "orders.csv:1: the columns are parted by semicolons, not by commas"),
    "tabs": ("id\ttotal\n1\t2\n", f'orders.csv:1: the columns are parted by tabs, not by commas; {WRITE}, delimiter: "\\t"}}'),
    "Excel's first line": ("sep=;\r\nid;total\r\n1;2\r\n", f'orders.csv:1: this line tells Excel the delimiter, and the header stands below it; {WRITE}, delimiter: ";", skip_lines: 1}}'),
    "Latin-1": ("id,name\n1,x\n2,Müller\n".encode("latin-1"), f"orders.csv:3: not UTF-8 text; it may be cp1252: save it as UTF-8, or {WRITE}, encoding: cp1252}}"),
    "Latin-1 in an irregular file": ("id,name\n1\n2,Müller\n".encode("latin-1"), "orders.csv:3: not UTF-8 text; it may be cp1252"),
    "Latin-1 with carriage returns alone": ("id,name\r1,x\r2,Müller\r".encode("latin-1"), "orders.csv:3: not UTF-8 text; it may be cp1252"),
    "one bad byte": ("id,name\n1,Müller\n2,Zoë\n".encode() + b"3,\xc3\n", "orders.csv:4: not UTF-8 text; some bytes are damaged: export the file again, or save it as UTF-8"),
    "cut within a character": ("id,name\n1,Müller\n2,Zoë".encode()[:-1], "orders.csv:3: not UTF-8 text; some bytes are damaged"),
    "UTF-16": ("id,name\n1,x\n".encode("utf-16"), f"orders.csv:1: not UTF-8 text; it is utf-16: save it as UTF-8, or {WRITE}, encoding: utf-16}}"),
    "UTF-16 without a mark": ("id,name\n1,x\n".encode("utf-16-le"), f"orders.csv:1: not UTF-8 text; it is utf-16-le: save it as UTF-8, or {WRITE}, encoding: utf-16-le}}"),
    "zero bytes in the header": ("id,na\0me\n1,2\n", "orders.csv:1: zero bytes stand in the header; the file is damaged, export it again"),
    "open quote in the header": ('id,"name\n1,x\n', "orders.csv:1: the header's quotes do not end where its names do; write a quote within a name twice, and close each"),
    "a name that is a pattern": ("id,*\n1,x\n", "orders.csv:1: a column cannot be called '*' here; rename it"),
    "more columns than a workbook": ("," * 20_000 + "a\n", "orders.csv:1: the header has 20,001 columns; this is no header"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_a_file_that_cannot_be_trusted_is_refused_with_its_line(
    tmp_path: Path, content: str | bytes, sentence: str
) -> None:
    """One sentence names the file, the line and what is wrong."""
    assert refusal(tmp_path, content).startswith(sentence)


def test_a_file_with_a_header_only_has_no_rows(tmp_path: Path) -> None:
    """That there is nothing to load is for the batch to say."""
    assert rows_of(tmp_path, "a,b\n") == rows_of(tmp_path, "a,b") == []


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A file that goes away between being found and being read is named."""
    with pytest.raises(
        ExportError, match=r"^gone\.csv: cannot be opened \(No such file or directory\); see that it is there"
    ):
        read_header(ExportFile(tmp_path / "gone.csv", "gone.csv"), CsvForm())


def broken_gzips() -> dict[str, bytes]:
    """Return gzip files that were cut off or damaged at different places."""
    whole = gzip.compress(b"a,b\n" + b"".join(b"%d,%d\n" % (n * 7919, n * 104_729) for n in range(20_000)))
    middle = len(whole) // 2
    return {
        "cut off": whole[:middle],
        "without its checksum": whole[:-8],
        "damaged at the start": whole[:12] + b"\xff" * 30 + whole[42:],
        "damaged in the middle": whole[:middle] + b"\xff" * 30 + whole[middle + 30 :],
    }


@pytest.mark.parametrize("name", list(broken_gzips()))
def test_a_broken_gzip_is_refused(tmp_path: Path, name: str) -> None:
    """A copy that broke off is not taken for a shorter export."""
    sentence = refusal(tmp_path, broken_gzips()[name], "orders.csv.gz")
    assert sentence == "orders.csv.gz: the gzip file is truncated or damaged; copy it again"


def test_a_file_that_only_its_name_calls_gzip_is_refused(tmp_path: Path) -> None:
    """Browsers unpack what they download and keep the name."""
    sentence = refusal(tmp_path, b"a,b\n1,2\n", "orders.csv.gz")
    assert sentence.startswith("orders.csv.gz: the name says gzip, the bytes do not; take .gz off its name")


def test_another_encoding_and_delimiter_are_read_as_the_profile_says(tmp_path: Path) -> None:
    """A profile may say what a program really writes."""
    content = "id;name\n1;Müller\n\n2;x\n".encode("cp1252")
    found = rows_of(tmp_path, content, form=CsvForm(delimiter=";", encoding="cp1252"))
    assert found == [(2, "1", "Müller", None), (4, "2", "x", None)]


def test_a_column_without_a_name_gets_one(tmp_path: Path) -> None:
    """A spreadsheet's index column has no header and is no reason to stop."""
    assert read_header(export_file(tmp_path, "o.csv", ",b\n1,2\n"), CsvForm()) == ["column_1", "b"]


_FIELDS = st.text(st.sampled_from('ab1,"\n é🧨=\t;'), max_size=6)


def _read_by_python(text: str, columns: int) -> Rows:
    """Read a well-formed CSV with Python's csv module: the witness."""
    reader = csv.reader(io.StringIO(text, newline=""))
    next(reader)
    rows: Rows = []
    start = reader.line_num
    for row in reader:
        line, start = start + 1, reader.line_num
        values = [value or None for value in row] + [None] * (columns - len(row))
        if any(value is not None for value in values):
            rows.append((line, *values, None))
    return rows


@st.composite
def _csv_files(draw: st.DrawFn) -> tuple[str, int]:
    columns = draw(st.integers(1, 4))
    rows = draw(st.lists(st.lists(_FIELDS, min_size=columns, max_size=columns), max_size=6))
    text = io.StringIO(newline="")
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]))
    writer = csv.writer(text, quoting=quoting, lineterminator=draw(st.sampled_from(["\n", "\r\n"])))
    writer.writerow([f"column {number}" for number in range(columns)])
    writer.writerows(rows)
    return text.getvalue(), columns


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(_csv_files())
def test_whatever_python_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, file: tuple[str, int]
) -> None:
    """Every well-formed file gives the rows and lines that Python's csv module reads, by whichever way it is read."""
    text, columns = file
    folder = tmp_path_factory.mktemp("csv")
    assert rows_of(folder, text) == _read_by_python(text, columns)


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@given(_csv_files())
def test_the_quick_and_the_careful_way_agree(
    tmp_path_factory: pytest.TempPathFactory, file: tuple[str, int]
) -> None:
    """A ragged last row sends a file the careful way; the rows before it come out as they did."""
    text, columns = file
    folder = tmp_path_factory.mktemp("csv")
    careful = rows_of(folder, text + "x," * columns + "y\n")
    assert careful[:-1] == rows_of(folder, text, "quick.csv")
    assert "where the header has" in str(careful[-1][-1])


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(st.text(st.sampled_from('a,"\n'), max_size=40))
def test_no_line_with_text_is_ever_lost(tmp_path_factory: pytest.TempPathFactory, body: str) -> None:
    """However quotes are strewn over a file, each line with a letter on it is within some row."""
    folder = tmp_path_factory.mktemp("csv")
    found = rows_of(folder, f"h,i\n{body}")
    text = "".join(str(value) for row in found for value in row[1:-1] if value is not None)
    ragged = any(row[-1] for row in found)
    assert ragged or text.count("a") == body.count("a")
    assert [row[0] for row in found] == sorted({row[0] for row in found})
