"""Which encoding, delimiter and titles a file has, found out from its bytes."""

from pathlib import Path

import pytest
from export_factories import export_file

from corso.errors import ExportError
from corso.extract.files import ExportFile
from corso.extract.text import CsvForm, other_layout, sniff_form


def sniffed(folder: Path, content: str | bytes, name: str = "orders.csv") -> CsvForm:
    """Return the form that a file with this content seems to have."""
    return sniff_form(export_file(folder, name, content))


FORMS = {
    "commas": ("id,total\n1,2.50\n", CsvForm()),
    "semicolons and decimal commas": ("id;total\n1;2,50\n2;3,50\n", CsvForm(";")),
    "tabs and prose": ("id\tnote\n1\tone, two; three\n", CsvForm("\t")),
    "pipes": ("id|total|x\n1|2|3\n", CsvForm("|")),
    "the one that parts into more": ("date, time;total;x\n10, 11;2;3\n12, 13;3;4\n", CsvForm(";")),
    "prose that happens to part alike": ("a, b;c\nd, e;f\n", CsvForm(";")),
    "delimiters within quotes": ('id,list\n1,"a;b;c;d"\n2,"e;f;g;h"\n', CsvForm()),
    "line breaks within quotes": ('id;note\n1;"a\n\n,,,\nb"\n2;c\n', CsvForm(";")),
    "rows longer than the header, and empty there": ("id;x\n1;2;;\n2;3\n", CsvForm(";")),
    "some ragged rows": ("id,x\n1,2\n3\n4,5\n6,7\n", CsvForm()),
    "one column": ("id\n1\n2\n", CsvForm()),
    "one column of prose": ("note\na, b\nc\nd, e, f\ng\nh\n", CsvForm()),
    "a header alone": ("id;total;x\n", CsvForm(";")),
    "an index without a name": (",b\n1,2\n", CsvForm()),
    "nothing": ("", CsvForm()),
    "Excel's first line": ("sep=;\r\nid;total\r\n", CsvForm(";", skip_lines=1)),
    "Excel's first line, in quotes": ('"sep=|"\nid|total\n', CsvForm("|", skip_lines=1)),
    "a title": ("Orders of our shop\nid,total\n1,2\n", CsvForm(skip_lines=1)),
    "titles and blank lines": ("Orders\n\nof 2026\n\nid;total\n1;2,50\n", CsvForm(";", skip_lines=3)),
    "a title in a spreadsheet": ("Orders,,\nid,total,x\n1,2,3\n", CsvForm(skip_lines=1)),
    "carriage returns alone": ("id;total\r1;2\r", CsvForm(";")),
}  # fmt: skip


@pytest.mark.parametrize(("content", "form"), FORMS.values(), ids=FORMS.keys())
def test_the_delimiter_is_the_one_that_parts_the_first_lines_alike(
    tmp_path: Path, content: str, form: CsvForm
) -> None:
    """Quotes are honoured, decimal commas and prose mislead nobody, and lines above the header are counted."""
    assert sniffed(tmp_path, content) == form


def test_only_the_candidates_are_found(tmp_path: Path) -> None:
    """Who asks for less gets less; the first candidate where none fits."""
    file = export_file(tmp_path, "o.csv", "a^b^c\n1^2^3\n")
    assert sniff_form(file, ",^").delimiter == "^"
    assert sniff_form(file, ";|").delimiter == ";"


def test_a_long_file_is_judged_by_its_first_lines(tmp_path: Path) -> None:
    """Where the sample ends in the middle of a row, that row does not count."""
    body = "".join(f'{number};"a\nb";c\n' for number in range(500))
    assert sniffed(tmp_path, f"id;note;x\n{body}") == CsvForm(";")


UMLAUTS = "id;name\n1;Müller\n2;Zoë\n"
ENCODINGS = {
    "UTF-8": (UMLAUTS.encode(), ("utf-8", True)),
    "UTF-8 with a mark": (UMLAUTS.encode("utf-8-sig"), ("utf-8", True)),
    "UTF-16 with a mark": (UMLAUTS.encode("utf-16"), ("utf-16", True)),
    "UTF-16, the other order, with a mark": (b"\xfe\xff" + UMLAUTS.encode("utf-16-be"), ("utf-16", True)),
    "UTF-16 without a mark": (UMLAUTS.encode("utf-16-le"), ("utf-16-le", True)),
    "UTF-16, the other order, without a mark": (UMLAUTS.encode("utf-16-be"), ("utf-16-be", True)),
    "UTF-32 with a mark": (UMLAUTS.encode("utf-32"), ("utf-32", True)),
    "Windows or Latin-1": (UMLAUTS.encode("cp1252"), ("cp1252", False)),
    "far from the start": (b"id;name\n" + b"1;x\n" * 700_000 + UMLAUTS.encode("cp1252"), ("cp1252", False)),
    "neither": (b"id;name\n1;\x81\x8d\n", ("utf-8", False)),
    "UTF-8 with a bad byte": (UMLAUTS.encode() + b"3;\xc3\n", ("utf-8", False)),
    "UTF-8 cut within a character": (UMLAUTS.encode() + "3;é".encode()[:-1], ("utf-8", False)),
    "zero bytes in a text": (b"id;name\n1;a\0\0\0b\n", ("utf-8", True)),
}  # fmt: skip


@pytest.mark.parametrize(("content", "encoding"), ENCODINGS.values(), ids=ENCODINGS.keys())
def test_an_encoding_is_sure_or_called_a_suspicion(
    tmp_path: Path, content: bytes, encoding: tuple[str, bool]
) -> None:
    """All of the file counts: one name with an umlaut may stand in its last line."""
    form = sniffed(tmp_path, content)
    assert (form.encoding, form.encoding_is_sure) == encoding
    assert form.delimiter == ";"


def test_parquet_has_no_form(tmp_path: Path) -> None:
    """Its bytes are not even looked at."""
    assert sniffed(tmp_path, b"", "orders.parquet") == CsvForm()
    assert other_layout(ExportFile(tmp_path / "orders.parquet", "orders.parquet"), CsvForm(";")) is None


@pytest.mark.parametrize("name", ["orders.csv.gz", "orders.csv"])
def test_what_cannot_be_read_is_refused_as_when_loading(tmp_path: Path, name: str) -> None:
    """Who inspects a broken copy is told the same as who loads it."""
    with pytest.raises(ExportError, match="the gzip file is truncated or damaged; copy it again"):
        sniffed(tmp_path, b"\x1f\x8b\x08\0\0\0\0\0", name)
    with pytest.raises(ExportError, match="cannot be opened"):
        sniff_form(ExportFile(tmp_path / "gone.csv", "gone.csv"))


WRITE = 'in loader.yaml, under exports, write orders: {files: ["in/a*.csv", "in/b.csv"]'
LAYOUTS = {
    "as said": ("id,total\n1,2\n", CsvForm(), None),
    "nothing to be seen": ("note\na, b\nc\n", CsvForm(";"), None),
    "another delimiter": (
        "id;Total, net\n1;2\n3;4\n", CsvForm(),
        f'the columns are parted by semicolons, not by commas; {WRITE}, delimiter: ";"}}',
    ),
    "an unusual one was said": (
        "id\ttotal\n1\t2\n", CsvForm("^"), f"the columns are parted by tabs, not by '^'; {WRITE}, delimiter: \"\\t\"}}",
    ),
    "a title": ("Orders,,\nid,total,x\n1,2,3\n", CsvForm(), f"the header stands on line 2; {WRITE}, skip_lines: 1}}"),
    "both": (
        "Orders\n\nid;total\n1;2\n", CsvForm(),
        f'the columns are parted by semicolons, not by commas, and the header stands on line 2; {WRITE}, delimiter: ";", skip_lines: 1}}',
    ),
    "a title that was said": ("Orders,,\nid,total,x\n1,2,3\n", CsvForm(skip_lines=1), None),
}  # fmt: skip


@pytest.mark.parametrize(("content", "form", "sentence"), LAYOUTS.values(), ids=LAYOUTS.keys())
def test_another_layout_than_the_profiles_is_told_with_what_to_write(
    tmp_path: Path, content: str, form: CsvForm, sentence: str | None
) -> None:
    """The line for loader.yaml is whole, with the role's own paths."""
    path = export_file(tmp_path, "in/a1.csv", content).path
    file = ExportFile(path, "in/a1.csv", "orders", ("in/a*.csv", "in/b.csv"))
    assert other_layout(file, form) == sentence
