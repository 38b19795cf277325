"""Files that cannot be read: one sentence names the file, the line, what is wrong, and what to do or to write."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest
from read_files import refusal, rows_of

from corso.errors import ExportError
from corso.extract.files import ExportFile
from corso.extract.text import CsvForm, read_header

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
    "Shift-JIS": ("id,name\n1,東京都\n2,ー\n".encode("cp932"), f"orders.csv:2: not UTF-8 text; it may be in another encoding, such as cp932 (Shift-JIS), gb18030 or cp1251: save it as UTF-8, or {WRITE}, encoding: NAME}}; if it is not, some bytes are damaged"),
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


def zipped(name: str) -> bytes:
    """Return a zip archive that holds this file."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr(name, "id,name\n1,x\n")
    return archive.getvalue()


def tarred() -> bytes:
    """Return a gzipped tar archive."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as writer:
        writer.addfile(tarfile.TarInfo("orders.csv"))
    return archive.getvalue()


OTHER_KINDS = {
    "a workbook": (zipped("xl/workbook.xml"), "orders.csv: this is a workbook (Excel or the like); open it and save it as CSV UTF-8"),
    "an old workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "orders.csv: this is an Excel workbook; open it and save it as CSV UTF-8"),
    "a zip archive": (zipped("orders.csv"), "orders.csv: this is a zip archive; unpack it (it holds orders.csv)"),
    "a cut zip archive": (zipped("orders.csv")[:40], "orders.csv: this is a zip archive; unpack it (it seems to be damaged)"),
    "an empty zip archive": (b"PK\x05\x06" + bytes(18), "orders.csv: this is a zip archive; unpack it"),
    "a tar archive": (tarred(), "orders.csv: this is a tar archive; unpack it"),
    "bzip2": (bz2.compress(b"a,b\n"), "orders.csv: this is packed with bzip2; unpack it"),
    "xz": (lzma.compress(b"a,b\n"), "orders.csv: this is packed with xz; unpack it"),
    "Parquet": (b"PAR1\x15\x04", "orders.csv: this is a Parquet file; give it a name that ends in .parquet"),
    "a login page": (b"\n<!DOCTYPE html>\n<html>", "orders.csv: this is a web page, not an export; download it again, logged in"),
    "XML": (b"<?xml version='1.0'?><orders/>", "orders.csv: this is XML; export the orders as CSV, or save the file as CSV UTF-8"),
    "JSON": (b'[\n  {"id": 1}]', "orders.csv: this is JSON; export the orders as CSV or Parquet"),
    "JSON lines": (b'{"id": 1}\n', "orders.csv: this is JSON; export the orders as CSV or Parquet"),
    "PDF": (b"%PDF-1.7", "orders.csv: this is a PDF; export the orders as CSV"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "sentence"), OTHER_KINDS.values(), ids=OTHER_KINDS.keys())
def test_what_is_no_csv_at_all_is_called_what_it_is(tmp_path: Path, content: bytes, sentence: str) -> None:
    """A name says little; the first bytes tell what happened, and the sentence what to do."""
    assert refusal(tmp_path, content) == sentence


@pytest.mark.parametrize("content", ["id,name\n1,+2AA-\n", "id,+2AA-\n1,x\n"], ids=["a value", "a header"])
def test_half_a_character_is_no_text(tmp_path: Path, content: str) -> None:
    """An encoding that is nobody's wish can write one; nothing after reading could."""
    sentence = refusal(tmp_path, content, form=CsvForm(encoding="utf-7"))
    assert (
        sentence
        == f"orders.csv: not UTF-7 text; it is utf-8: save it as UTF-8, or {WRITE}, encoding: utf-8}}"
    )


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded, also where the first line is the whole of a large file that is none."""
    for module in ("decoding", "irregular", "regular"):
        monkeypatch.setattr(f"corso.extract.{module}.LONGEST_LINE", 1000)
    sentence = refusal(tmp_path, f"a,b\n1,{'x' * 2000}\n")
    assert sentence == "orders.csv:2: the line has more than 1,000 characters; this is no CSV file"
    assert "orders.csv:1: the line has more" in refusal(tmp_path, "x" * 2000)
    spoilt, *others = rows_of(tmp_path, 'a,b\n1,"x\n' + "2,y\n" * 500)
    assert "a quote may be open" in str(spoilt[-1])
    assert len(others) == 500


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """What cannot be opened is named with its reason."""
    with pytest.raises(ExportError, match=r"^in: cannot be opened \(Is a directory\)"):
        read_header(ExportFile(tmp_path, "in"), CsvForm())
