"""What was read back so far is on the disk, whole, and is used only where it is of the same reading."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from corso.errors import Stopped
from corso.report.drift import Drift
from corso.report.read_back import records_to_frame
from corso.stages.reading_back import checkpoint as checkpoints
from corso.stages.reading_back.checkpoint import LONGEST_PAUSE, NUMBER, Checkpoint
from corso.stages.reading_back.records import count_records, each_once
from schemas.listing import LISTING
from tests.factories import STORE_ID

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
READING = {"batch": "b", "way": "listing"}


def records(*ids: int | None, minute: int | None = 0) -> pl.DataFrame:
    """Return records of these ids, changed in some minute."""
    updated = None if minute is None else (NOW + timedelta(minutes=minute)).isoformat()
    return records_to_frame(
        [{"orderId": each, "updatedOn": updated, "notes": f"{minute}"} for each in ids], STORE_ID
    )


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Checkpoint]:
    """A checkpoint in which a lane has kept two pages."""
    with Checkpoint.open(tmp_path) as checkpoint:
        assert not checkpoint.begin(READING, NOW)
        checkpoint.keep("lane", records(1, 2), Drift(unknown={"a": 1}), NOW, {"after": "x"})
        checkpoint.keep("lane", records(3), Drift(unknown={"a": 2}), NOW, {"after": "y"})
        yield checkpoint


def test_what_was_kept_is_there_when_it_is_opened_again(kept: Checkpoint, tmp_path: Path) -> None:
    """Without being closed: that is what a kill leaves."""
    with Checkpoint.open(tmp_path) as again:
        assert again.begin(READING, NOW)
        assert again.fact("after") == "y"
        assert again.drift() == Drift(unknown={"a": 3})
        assert again.latest_ids("lane", 2) == ["1", "2", "3"]
        frame = each_once(again.parts()).collect()
        LISTING.validate(frame)
        assert frame["corso_order_id"].to_list() == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("reading", "later", "is_gone_on_with"),
    [
        (READING, timedelta(0), True),
        (READING, LONGEST_PAUSE, True),
        (READING, LONGEST_PAUSE + timedelta(seconds=1), False),
        (READING, -timedelta(hours=1), False),
        (READING | {"batch": "c"}, timedelta(0), False),
        (READING | {"last_attempt": 5}, timedelta(0), False),
    ],
)
def test_it_is_used_for_the_same_reading_and_not_after_long(
    kept: Checkpoint, reading: dict[str, Any], later: timedelta, is_gone_on_with: bool
) -> None:
    """Else it is emptied."""
    assert kept.begin(reading, NOW + later) == is_gone_on_with
    assert count_records(kept.parts()) == (3 if is_gone_on_with else 0)
    assert (kept.drift() == Drift()) == (not is_gone_on_with)


def test_many_pages_become_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are found again, in the order of reading, and a lane that begins again has none."""
    monkeypatch.setattr(checkpoints, "ROWS_PER_PART", 4)
    with Checkpoint.open(tmp_path) as checkpoint:
        for number in range(1, 10):
            checkpoint.keep(f"lane {number % 2}", records(number, number + 100), Drift(records=2), NOW)
        assert len(list(tmp_path.glob("*.parquet"))) == 4
    with Checkpoint.open(tmp_path) as checkpoint:
        assert checkpoint.latest_ids("lane 1", 3) == ["5", "105", "7", "107", "9", "109"]
        assert checkpoint.drift().records == 18
        checkpoint.drop("lane 1", {"begun": "again"})
        assert sorted(pl.scan_parquet(checkpoint.parts()).collect()["corso_order_id"]) == [
            "102", "104", "106", "108", "2", "4", "6", "8",
        ]  # fmt: skip
        assert checkpoint.fact("begun") == "again"


def test_a_part_that_a_kill_left_half_done_is_not_taken(kept: Checkpoint, tmp_path: Path) -> None:
    """It counts once the file beside it names it."""
    (tmp_path / "000000007.parquet").write_bytes(b"half of it")
    with Checkpoint.open(tmp_path) as again:
        assert count_records(again.parts()) == 3
    assert not (tmp_path / "000000007.parquet").exists()


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\x00" + b"x" * 2_000])
def test_one_that_is_damaged_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    """What it held is read again."""
    (tmp_path / "checkpoint.sqlite").write_bytes(content)
    with Checkpoint.open(tmp_path) as checkpoint:
        assert not checkpoint.begin(READING, NOW)
        checkpoint.keep("lane", records(1), Drift(), NOW)
        assert count_records(checkpoint.parts()) == 1


def test_what_the_disk_refuses_is_one_sentence(kept: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """And stops the run: nothing is asked that cannot be kept."""

    def full(*_given: Any) -> None:
        message = "database or disk is full"
        raise sqlite3.OperationalError(message)

    monkeypatch.setattr(checkpoints, "_set", full)
    with pytest.raises(Stopped, match=r"cannot be kept .*disk is full.*run the same command again"):
        kept.keep("lane", records(4), Drift(), NOW)
    monkeypatch.undo()
    assert count_records(kept.parts()) == 3


def test_who_was_asked_for_is_known(kept: Checkpoint) -> None:
    """With the answers: both are one commit."""
    kept.keep("looked up", records(4), Drift(), NOW, asked=["o-4", "o-5"])
    assert kept.was_asked(["o-3", "o-4", "o-5"]) == {"o-4", "o-5"}
    assert kept.count_asked() == 2


def test_it_is_gone_once_it_is_removed(kept: Checkpoint, tmp_path: Path) -> None:
    """Personal data does not lie about."""
    kept.remove()
    assert not tmp_path.exists()


def test_nobody_else_may_read_it(kept: Checkpoint, tmp_path: Path) -> None:
    """It holds what the tables hold."""
    kept.parts()
    assert {
        path.stat().st_mode & 0o077 for path in tmp_path.iterdir() if not path.name.endswith(("-wal", "-shm"))
    } == {0}


Read = tuple[int | None, int | None]


@pytest.mark.slow
@hypothesis_settings(max_examples=60, deadline=None)
@given(
    pages=st.lists(
        st.lists(st.tuples(st.none() | st.integers(0, 6), st.none() | st.integers(0, 3)), max_size=4),
        max_size=6,
    ),
    at_once=st.sampled_from([1, 2, 1000]),
    data=st.data(),
)
def test_each_record_is_there_once_in_its_newest_state(
    pages: list[list[Read]], at_once: int, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The one that Corso changed last, of several such the one that was read last; those without an id all of them."""
    folder = tmp_path_factory.mktemp("parts")
    parts, newest, nameless = [], {}, 0
    for number, page in enumerate(pages):
        rows = [
            {"orderId": each, "updatedOn": _text(minute), "notes": f"{number}.{row}"}
            for row, (each, minute) in enumerate(page)
        ]
        frame = records_to_frame(rows, STORE_ID).with_columns(pl.lit(number, pl.Int64).alias(NUMBER))
        frame.write_parquet(folder / f"{number}.parquet")
        parts.append(folder / f"{number}.parquet")
        for row, (each, minute) in enumerate(page):
            nameless += each is None
            rank = (-1 if minute is None else minute, number, row)
            if each is not None and rank >= newest.get(each, (rank, ""))[0]:
                newest[each] = (rank, f"{number}.{row}")
    if not parts:
        return
    frame = each_once(data.draw(st.permutations(parts)), at_once=at_once).collect()
    LISTING.validate(frame)
    named = frame.filter(pl.col("corso_order_id") != "")
    assert dict(named.select("corso_order_id", "notes").iter_rows()) == {
        str(each): note for each, (_, note) in newest.items()
    }
    assert (named.height, frame.height - named.height) == (len(newest), nameless)


def _text(minute: int | None) -> str | None:
    return None if minute is None else (NOW + timedelta(minutes=minute)).isoformat()
