"""What lies in batch folders: told by stat alone, complete when a marker says so, another one when a file changes."""

import os
import time
from pathlib import Path

import pytest
from export_factories import loader_settings

from corso.extract.drops import changed_batches, has_batch_folders, is_later, look_at, misnamed_batches
from corso.settings import Settings

PATHS = 'orders: "{batch}/orders*.csv", line_items: "{batch}/lines.csv"'


def shop(folder: Path, exports: str = PATHS) -> Settings:
    """Return the settings of a shop whose batches are folders."""
    return loader_settings(folder, exports)


def drop(folder: Path, batch: str, *names: str, text: str = "x") -> None:
    """Write files of a batch."""
    for name in names or ("orders.csv", "lines.csv"):
        path = folder / batch / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def after_a_tick() -> None:
    """Wait until the file system's clock shows another time: Linux writes status times by its timer, every 4 or 10 ms."""
    time.sleep(0.025)


def test_batches_that_changed_are_found_whatever_their_layout(tmp_path: Path) -> None:
    """A folder a batch, or a file a batch; hidden folders and the workdir are none."""
    drop(tmp_path, "2026-11-21")
    drop(tmp_path, "2026-11-22", "deep/orders.csv")
    drop(tmp_path, ".trash")
    drop(tmp_path, "work", "orders.csv")
    assert list(changed_batches(shop(tmp_path))) == ["2026-11-21", "2026-11-22"]
    flat = shop(tmp_path, 'orders: "in/{batch}-orders.csv"')
    drop(tmp_path, "in", "monday-orders.csv", "sunday-orders.csv")
    assert list(changed_batches(flat)) == ["monday", "sunday"]


def test_only_what_changed_since_is_found(tmp_path: Path) -> None:
    """By the files' status, which a copy with old modification times changes, too."""
    settings = shop(tmp_path)
    drop(tmp_path, "2026-11-21")
    drop(tmp_path, "2026-11-22")
    since = max(changed_batches(settings).values())
    assert changed_batches(settings, since) == {}
    after_a_tick()
    os.utime(tmp_path / "2026-11-21" / "lines.csv", (1, 1))
    assert list(changed_batches(settings, since)) == ["2026-11-21"]


def test_a_folder_with_export_files_whose_name_is_no_batchs_is_found(tmp_path: Path) -> None:
    """A copy made by a desktop, or a name with what patterns are made of; hidden ones and others' folders are not meant."""
    for name in ("2026-11-21", "2026-11-21 (1)", "süd [2]", ".trash"):
        drop(tmp_path, name)
    drop(tmp_path, "old papers", "invoice.pdf")
    assert misnamed_batches(shop(tmp_path)) == ["2026-11-21 (1)", "süd [2]"]


@pytest.mark.parametrize(
    ("exports", "staged", "place"),
    [
        (PATHS, "stage/2026-11-22", "2026-11-22"),
        ('orders: "{batch}/*/orders.csv"', "stage/2026-11-22/deep", "2026-11-22/deep"),
        ('orders: "drop-{batch}/orders.csv"', "stage/drop-2026-11-22", "drop-2026-11-22"),
    ],
    ids=["a folder", "a folder in it", "a folder named otherwise"],
)
def test_a_folder_that_was_moved_into_place_counts_by_when_it_was_moved(
    tmp_path: Path, exports: str, staged: str, place: str
) -> None:
    """Its files were written before the batch that is settled, and the move leaves their times as they were."""
    home = tmp_path / "home"
    home.mkdir()
    settings = shop(home, exports)
    drop(tmp_path, staged)
    (home / place).parent.mkdir(exist_ok=True)
    after_a_tick()
    drop(home, "2026-11-21", "orders.csv", "lines.csv", "deep/orders.csv")
    drop(home, "drop-2026-11-21")
    since = max(changed_batches(settings).values())
    after_a_tick()
    (tmp_path / staged).rename(home / place)
    assert list(changed_batches(settings, since)) == ["2026-11-22"]


def test_a_folder_that_a_link_leads_to_counts_by_when_the_link_was_made(tmp_path: Path) -> None:
    """What it leads to has lain there for longer."""
    home = tmp_path / "home"
    home.mkdir()
    settings = shop(home)
    drop(tmp_path, "stage")
    after_a_tick()
    drop(home, "2026-11-21")
    since = max(changed_batches(settings).values())
    after_a_tick()
    (home / "2026-11-22").symlink_to(tmp_path / "stage")
    assert list(changed_batches(settings, since)) == ["2026-11-22"]


def test_corrections_of_a_batch_are_part_of_its_drop(tmp_path: Path) -> None:
    """Dropping the corrected quarantine.csv has the batch loaded again; corrections of all batches do not."""
    settings = loader_settings(
        tmp_path, PATHS + '}\ncorrections: ["fixed/{batch}/*.csv", "all/*.csv"]\nlimits: {share: 0.5'
    )
    drop(tmp_path, "2026-11-21")
    before, since = look_at(settings, "2026-11-21"), max(changed_batches(settings).values())
    after_a_tick()
    drop(tmp_path, "all", "quarantine.csv")
    assert look_at(settings, "2026-11-21") == before
    drop(tmp_path / "fixed", "2026-11-21", "quarantine.csv")
    assert look_at(settings, "2026-11-21").signature != before.signature
    assert changed_batches(settings)["2026-11-21"] > since
    assert look_at(settings, "fixed").empty


@pytest.mark.parametrize(
    ("name", "text"), [("lines.csv", "y"), ("orders-2.csv", "x")], ids=["a file changed", "a file more"]
)
def test_a_drop_that_changed_is_another_one(tmp_path: Path, name: str, text: str) -> None:
    """Names, sizes and times tell; other files in the folder do not count."""
    settings = shop(tmp_path)
    drop(tmp_path, "2026-11-21")
    before = look_at(settings, "2026-11-21")
    drop(tmp_path, "2026-11-21", "README.txt")
    assert look_at(settings, "2026-11-21") == before
    drop(tmp_path, "2026-11-21", name, text=text)
    path = tmp_path / "2026-11-21" / name
    os.utime(path, ns=(path.stat().st_mtime_ns + 1,) * 2)
    assert look_at(settings, "2026-11-21").signature != before.signature


def test_a_marker_counts_while_no_file_is_newer(tmp_path: Path) -> None:
    """That of the first delivery says nothing about the second."""
    settings = shop(tmp_path)
    drop(tmp_path, "2026-11-21")
    assert not look_at(settings, "2026-11-21").marked
    drop(tmp_path, "2026-11-21", "_SUCCESS")
    assert look_at(settings, "2026-11-21").marked
    path = tmp_path / "2026-11-21" / "orders.csv"
    os.utime(path, ns=((tmp_path / "2026-11-21" / "_SUCCESS").stat().st_mtime_ns + 1,) * 2)
    assert not look_at(settings, "2026-11-21").marked


TABLES = 'orders: "{batch}/orders", line_items: "{batch}/lines"'


def test_a_marker_counts_for_what_lies_below_it(tmp_path: Path) -> None:
    """Spark writes one into each table: that of the orders says nothing of the lines. One in the batch's folder counts for both."""
    settings = shop(tmp_path, TABLES)
    drop(tmp_path, "2026-11-21", "orders/day=2026-11-21/part-0.parquet", "lines/part-0.parquet")
    after_a_tick()
    drop(tmp_path, "2026-11-21", "orders/_SUCCESS")
    assert not look_at(settings, "2026-11-21").marked
    drop(tmp_path, "2026-11-21", "lines/_SUCCESS")
    assert look_at(settings, "2026-11-21").marked
    after_a_tick()
    drop(tmp_path, "2026-11-21", "lines/part-1.parquet")
    assert not look_at(settings, "2026-11-21").marked
    drop(tmp_path, "2026-11-21", "_COMPLETE")
    assert look_at(settings, "2026-11-21").marked


def test_a_marker_above_the_batches_counts_for_none(tmp_path: Path) -> None:
    """Nobody put it there for one of them."""
    settings = shop(tmp_path)
    drop(tmp_path, "2026-11-21")
    drop(tmp_path, ".", "_SUCCESS")
    assert not look_at(settings, "2026-11-21").marked


def test_a_table_in_many_files_is_found_when_one_of_them_changes(tmp_path: Path) -> None:
    """At any depth of its partitions."""
    settings = shop(tmp_path, TABLES)
    drop(tmp_path, "2026-11-21", "orders/a=1/b=1/part-0.parquet", "lines/part-0.parquet")
    before, since = look_at(settings, "2026-11-21"), max(changed_batches(settings).values())
    assert not before.missing
    after_a_tick()
    drop(tmp_path, "2026-11-21", "orders/a=1/b=2/part-0.parquet")
    assert list(changed_batches(settings, since)) == ["2026-11-21"]
    assert look_at(settings, "2026-11-21").signature != before.signature


def test_a_role_without_files_is_told(tmp_path: Path) -> None:
    """Half a drop: the sentence says which half is missing."""
    drop(tmp_path, "2026-11-21", "orders.csv")
    missing = look_at(shop(tmp_path), "2026-11-21").missing
    assert missing.startswith("exports.line_items: no file fits {batch}/lines.csv")


def test_which_batch_is_later_is_only_said_of_days(tmp_path: Path) -> None:
    """`sunday` sorts after `monday` and tells nothing; without batch folders a name is what somebody typed."""
    settings = shop(tmp_path)
    assert is_later(settings, "2026-11-22", "2026-11-21")
    assert is_later(settings, "20261122T0215", "20261121")
    assert not is_later(settings, "2026-11-21", "2026-11-21")
    assert not is_later(settings, "sunday", "monday")
    flat = shop(tmp_path, 'orders: "in/orders.csv"')
    assert not has_batch_folders(flat)
    assert not is_later(flat, "2026-11-22", "2026-11-21")
