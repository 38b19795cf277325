"""Which files make up a batch, and what it is called."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from export_factories import loader_settings

from corso.errors import ExportError
from corso.extract.files import batch_folders, default_batch, find_exports, fingerprint
from corso.stages.inspection.paths import export_files


def write(folder: Path, *names: str, day: int = 1) -> None:
    """Write files of that day of November 2026."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a\n1\n")
        moment = datetime(2026, 11, day, 12, tzinfo=UTC).timestamp()
        os.utime(path, (moment, moment))


def test_a_pattern_finds_its_files_sorted_and_named_from_loader_yaml(tmp_path: Path) -> None:
    """Reports name files as the merchant knows them, in an order that does not change between runs."""
    write(tmp_path, "in/orders-2.csv", "in/orders-1.csv", "in/other.csv")
    files = find_exports(loader_settings(tmp_path, 'orders: "in/orders*.csv"'), "x")
    assert [file.name for file in files["orders"]] == ["in/orders-1.csv", "in/orders-2.csv"]


def test_a_role_may_have_several_patterns_and_counts_each_file_once(tmp_path: Path) -> None:
    """Patterns that overlap do not load a file twice."""
    write(tmp_path, "in/orders-1.csv", "old/orders.csv")
    files = find_exports(
        loader_settings(tmp_path, 'orders: ["in/*.csv", "in/orders*.csv", old/orders.csv]'), "x"
    )
    assert [file.name for file in files["orders"]] == ["in/orders-1.csv", "old/orders.csv"]


def test_a_file_knows_what_loader_yaml_calls_it(tmp_path: Path) -> None:
    """Messages say what to write there; how the files are laid out may stand beside their path."""
    write(tmp_path, "in/orders-1.csv", "in/lines.txt")
    exports = 'orders: "in/orders*.csv", line_items: {files: [in/lines.txt], delimiter: "\\t", skip_lines: 1}'
    files = find_exports(loader_settings(tmp_path, exports), "x")
    (orders,), (lines,) = files["orders"], files["line_items"]
    assert (orders.role, orders.patterns) == ("orders", ("in/orders*.csv",))
    assert (lines.role, lines.patterns) == ("line_items", ("in/lines.txt",))


TABLE = [
    "in/o/year=2026/month=1/part-0.parquet", "in/o/year=2026/month=2/part-0.snappy.parquet", "in/o/part-9.csv.gz", "in/o/_orders.csv",
    "in/o/_SUCCESS", "in/o/_metadata", "in/o/.part-9.csv.gz.crc", "in/o/year=2026/_committed_1", "in/o/_delta_log/0.json",
    "in/o/_temporary/0/part-1.parquet", "in/o/old/part-0.parquet", "in/o/notes.md", "in/l.parquet/part-0.parquet", "in/l.parquet/_SUCCESS",
]  # fmt: skip
DATA = [
    "in/o/_orders.csv", "in/o/part-9.csv.gz", "in/o/year=2026/month=1/part-0.parquet", "in/o/year=2026/month=2/part-0.snappy.parquet",
]  # fmt: skip
FOLDERS = {
    "its name": ("in/o", DATA),
    "its name with a slash": ("in/o/", DATA),
    "a pattern above it": ("i*/o", DATA),
    "all in it": ("in/o/*", [DATA[0], "in/o/notes.md", *DATA[1:]]),
    "one partition": ("in/o/year=2026", DATA[2:]),
    "partitions": ("in/o/year=*", DATA[2:]),
    "a folder called like a file": ("in/*.parquet", ["in/l.parquet/part-0.parquet"]),
    "files at any depth": ("in/o/**/*.parquet", ["in/o/_temporary/0/part-1.parquet", "in/o/old/part-0.parquet", *DATA[2:]]),
}  # fmt: skip


@pytest.mark.parametrize(("path", "files"), FOLDERS.values(), ids=FOLDERS.keys())
def test_a_folder_means_the_data_files_in_it_and_in_its_partitions(
    tmp_path: Path, path: str, files: list[str]
) -> None:
    """As Spark, Hive and DuckDB write a table; what tells of the writing, hides, or lies in other folders is none. inspect takes the same."""
    write(tmp_path, *TABLE)
    found = find_exports(loader_settings(tmp_path, f'orders: "{path}"'), "x")["orders"]
    assert [file.name for file in found] == files
    assert [file.path.relative_to(tmp_path).as_posix() for file in export_files([tmp_path / path])] == files


def test_files_of_partitions_elsewhere_are_told_apart(tmp_path: Path) -> None:
    """Corrections and reasons name a file, and all partitions have a part-0."""
    write(tmp_path / "elsewhere", "o/year=2026/month=1/part-0.parquet", "o/year=2026/month=2/part-0.parquet")
    (tmp_path / "home").mkdir()
    files = find_exports(loader_settings(tmp_path / "home", f'orders: "{tmp_path}/elsewhere/o"'), "x")
    assert [file.name for file in files["orders"]] == [
        "year=2026/month=1/part-0.parquet",
        "year=2026/month=2/part-0.parquet",
    ]


def test_a_folder_whose_name_looks_like_a_pattern_is_found(tmp_path: Path) -> None:
    """It is there, and meant as it stands."""
    write(tmp_path, "orders [1]/part-0.parquet")
    files = find_exports(loader_settings(tmp_path, 'orders: "orders [1]"'), "x")
    assert [file.name for file in files["orders"]] == ["orders [1]/part-0.parquet"]


@pytest.mark.parametrize("path", ["in/{batch}/orders", "in/{batch}", "in/{batch}/*"])
def test_each_folder_of_a_table_is_a_batch(tmp_path: Path, path: str) -> None:
    """One without data is none, and the newest is that of the newest data."""
    write(tmp_path, "in/monday/orders/a=1/part-0.parquet", "in/monday/orders.csv", day=3)
    write(tmp_path, "in/sunday/orders/a=1/part-0.parquet", "in/sunday/orders.csv", day=2)
    write(tmp_path, "in/tuesday/orders/_temporary/part-0.parquet", "in/tuesday/_SUCCESS", day=9)
    settings = loader_settings(tmp_path, f'orders: "{path}"')
    assert set(batch_folders(settings)) == {"monday", "sunday"}
    assert default_batch(settings) == "monday"
    (file,) = find_exports(settings, "sunday")["orders"]
    assert file.name == (
        "in/sunday/orders/a=1/part-0.parquet" if path.endswith("orders") else "in/sunday/orders.csv"
    )


MISSING = {
    "a folder": (
        "in",
        ["in/README.md", "in/_SUCCESS", "in/sub/orders.csv"],
        (
            "no export file in this folder (CSV, TXT, TSV, Parquet, or one of them as .gz); it holds README.md, _SUCCESS, and folders, which are "
            "looked into only where they are called name=value: name the one that is meant"
        ),
    ),
    "a typing error": (
        "in/order.csv",
        ["in/orders.csv", "in/README.md"],
        "the folder in holds orders.csv, …",
    ),
    "nothing like it": ("in/x*.parquet", ["in/orders.csv"], "the folder in holds orders.csv"),
    "no folder": ("out/*.csv", ["in/orders.csv"], "there is no folder out"),
    "an empty folder": ("in/*.csv", ["in/sub/orders.csv"], "the folder in holds no file"),
    "a pattern of folders": ("in/2*/*.csv", ["in/1/orders.csv"], "see which folders fit in/2*"),
}


@pytest.mark.parametrize(("pattern", "there", "remedy"), MISSING.values(), ids=MISSING.keys())
def test_a_pattern_without_files_is_refused_by_name(
    tmp_path: Path, pattern: str, there: list[str], remedy: str
) -> None:
    """The path is named as it stands in loader.yaml, with the folder it is relative to and what is there instead."""
    write(tmp_path, *there)
    settings = loader_settings(tmp_path, f'orders: "{pattern}"')
    with pytest.raises(ExportError) as error:
        find_exports(settings, "x")
    assert str(error.value) == f"exports.orders: no file fits {pattern} (relative to {tmp_path}); {remedy}"


def test_brackets_in_a_folder_above_are_no_pattern(tmp_path: Path) -> None:
    """Only what the merchant wrote is a pattern."""
    home = tmp_path / "orders [2026]"
    write(home, "in/orders-1.csv")
    files = find_exports(loader_settings(home, 'orders: "in/*.csv"'), "x")
    assert [file.name for file in files["orders"]] == ["in/orders-1.csv"]


def test_a_file_whose_name_looks_like_a_pattern_is_found(tmp_path: Path) -> None:
    """A path that is there is meant as it stands."""
    write(tmp_path, "orders [1].csv")
    files = find_exports(loader_settings(tmp_path, 'orders: "orders [1].csv"'), "x")
    assert [file.name for file in files["orders"]] == ["orders [1].csv"]


def test_a_batch_is_named_after_its_newest_file(tmp_path: Path) -> None:
    """So that the nightly drop is a new batch and a second run on the same files is the same one."""
    write(tmp_path, "in/orders.csv", day=3)
    write(tmp_path, "in/lines.csv", day=5)
    settings = loader_settings(tmp_path, "orders: in/orders.csv, line_items: in/lines.csv")
    assert default_batch(settings) == "2026-11-05"


def test_with_a_placeholder_each_folder_is_a_batch(tmp_path: Path) -> None:
    """The newest is the default; another is read by its name, and hidden folders are none."""
    write(tmp_path, "in/monday/orders.csv", day=3)
    write(tmp_path, "in/sunday/orders.csv", day=2)
    write(tmp_path, "in/.trash/orders.csv", day=9)
    settings = loader_settings(tmp_path, 'orders: "in/{batch}/orders*.csv"')
    assert set(batch_folders(settings)) == {"monday", "sunday"}
    assert default_batch(settings) == "monday"
    (file,) = find_exports(settings, "sunday")["orders"]
    assert file.name == "in/sunday/orders.csv"


def test_files_are_told_apart_by_their_bytes(tmp_path: Path) -> None:
    """The fingerprint is the SHA-256 that any tool prints."""
    write(tmp_path, "a.csv", "b.csv")
    assert (
        fingerprint(tmp_path / "a.csv") == "309b0e45a73d3fc5325e2b6ed0a01ef8b9cde6b05a5633c1f893f970d52bfddc"
    )
    assert fingerprint(tmp_path / "a.csv") == fingerprint(tmp_path / "b.csv")
