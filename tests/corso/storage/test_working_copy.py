"""Working copies: what one machine publishes another has, whole, whoever is killed in between."""

from pathlib import Path

import pytest

from corso.errors import LeaseLost, Stopped
from corso.storage.working_copy import PlainCopy, VersionedCopy
from tests.fake_bucket import FakeBucket


def tables(bucket: FakeBucket, folder: Path) -> VersionedCopy:
    """Return a machine's copy of a batch's tables, with the bucket's state taken up."""
    copy = VersionedCopy(bucket.as_bucket(), "9359/b/tables/", folder)
    copy.take_up()
    return copy


def plain(bucket: FakeBucket, folder: Path, *, is_flat: bool = False) -> PlainCopy:
    """Return a machine's copy of a batch's reports."""
    copy = PlainCopy(bucket.as_bucket(), "9359/b/", folder, is_flat=is_flat, without=["tables"])
    copy.take_up()
    return copy


def write(copy: VersionedCopy | PlainCopy, **files: str) -> None:
    """Write files of these names and contents; `_` stands for the slash."""
    for name, content in files.items():
        path = copy.folder / name.replace("_", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def read(copy: VersionedCopy | PlainCopy, name: str) -> dict[str, str]:
    """Fetch a file or folder and return what is in it."""
    path = copy.fetch(name)
    if path.is_file():
        return {name: path.read_text()}
    return {f"{name}/{each.name}": each.read_text() for each in sorted(path.glob("[!.]*"))}


def test_what_is_published_is_what_another_machine_fetches(tmp_path: Path) -> None:
    """With the times at which it was written, for its owner only."""
    bucket = FakeBucket()
    one = tables(bucket, tmp_path / "one")
    write(one, orders_0="first", orders_1="second", facts="{}")
    one.publish()
    two = tables(bucket, tmp_path / "two")
    assert read(two, "orders") == {"orders/0": "first", "orders/1": "second"}
    assert not (two.folder / "facts").exists(), "nobody asked for it"
    assert two.fetch("facts").stat().st_mtime_ns == (one.folder / "facts").stat().st_mtime_ns
    assert two.modified_ns("orders") == max(
        path.stat().st_mtime_ns for path in (one.folder / "orders").iterdir()
    )
    assert two.fetch("facts").stat().st_mode & 0o777 == 0o600
    assert not two.fetch("nothing").exists()
    assert two.modified_ns("nothing") is None


def test_only_what_differs_goes_over_the_network(tmp_path: Path) -> None:
    """Neither is put or fetched twice what is there already, nor by the next process in the same folder."""
    bucket = FakeBucket()
    one = tables(bucket, tmp_path / "one")
    write(one, orders_0="first", orders_1="second")
    one.publish()
    changes = bucket.changes
    one.publish()
    assert bucket.changes == changes
    again = tables(bucket, tmp_path / "one")
    write(again, orders_1="other")
    again.publish()
    assert bucket.changes == changes + 2, "one part and the manifest"
    two = tables(bucket, tmp_path / "two")
    two.fetch("orders")
    bucket.fetched.clear()
    three = tables(bucket, tmp_path / "two")
    assert read(three, "orders") == {"orders/0": "first", "orders/1": "other"}
    assert bucket.fetched == []


def test_what_a_killed_process_left_is_forgotten(tmp_path: Path) -> None:
    """The bucket is what counts: what was changed, written or half fetched, and not published, is not taken for its state."""
    bucket = FakeBucket()
    one = tables(bucket, tmp_path / "one")
    write(one, orders_0="first", facts="{}")
    one.publish()
    write(one, orders_0="changed", plan="never published")
    (one.folder / "facts").unlink()
    after = tables(bucket, tmp_path / "one")
    assert read(after, "orders") == {"orders/0": "first"}
    assert not after.fetch("plan").exists()
    assert read(after, "facts") == {"facts": "{}"}


def test_a_table_that_was_written_anew_keeps_no_part_of_the_old_one(tmp_path: Path) -> None:
    """Also where the old one was never fetched by who replaces it; and one that was removed is gone."""
    bucket = FakeBucket()
    one = tables(bucket, tmp_path / "one")
    write(one, orders_0="a", orders_1="b", orders_2="c", cells="x")
    one.publish()
    two = tables(bucket, tmp_path / "two")
    write(two, orders_0="new")
    two.fetch("cells").unlink()
    two.publish()
    assert not two.fetch("cells").exists()
    reader = tables(bucket, tmp_path / "three")
    assert read(reader, "orders") == {"orders/0": "new"}
    assert not reader.fetch("cells").exists()
    two.purge()
    assert len(bucket.content) == 2, "the part and its manifest"


@pytest.mark.parametrize("changes", range(4))
def test_a_reader_has_one_state_or_the_next(tmp_path: Path, changes: int) -> None:
    """However far its writer came with three parts and the manifest; the next writer clears up."""
    bucket = FakeBucket()
    one = tables(bucket, tmp_path / "one")
    write(one, orders_0="old", orders_1="old")
    one.publish()
    two = tables(bucket, tmp_path / "two")
    write(two, orders_0="new", orders_1="new", orders_2="new")
    bucket.dies_after = changes
    with pytest.raises(Stopped):
        two.publish()
    bucket.dies_after = None
    reader = tables(bucket, tmp_path / "reader")
    assert set(read(reader, "orders").values()) == {"old"}
    # The same process may try again; another machine may as well.
    after = two if changes % 2 else tables(bucket, tmp_path / "three")
    write(after, orders_0="new", orders_1="new", orders_2="new")
    after.publish()
    after.purge()
    assert set(read(tables(bucket, tmp_path / "last"), "orders").values()) == {"new"}
    assert len(bucket.content) == 4


def test_of_two_writers_one_finds_out_that_it_is_not_alone(tmp_path: Path) -> None:
    """A machine that slept, and whose lock was taken over, changes nothing any more and takes nothing away."""
    bucket = FakeBucket()
    slept, other = tables(bucket, tmp_path / "one"), tables(bucket, tmp_path / "two")
    write(slept, orders_0="of the one that slept")
    slept.publish()
    other.take_up()
    write(other, orders_0="of the other")
    other.publish()
    with pytest.raises(LeaseLost, match="another loader has changed it meanwhile"):
        slept.purge()
    write(slept, orders_0="late")
    with pytest.raises(LeaseLost):
        slept.publish()
    assert read(tables(bucket, tmp_path / "three"), "orders") == {"orders/0": "of the other"}


def test_what_is_published_in_the_moment_of_a_takeover_is_not_lost(tmp_path: Path) -> None:
    """The former writer comes in between the look and the manifest, and clears up: its state stands, and the other stops."""
    bucket = FakeBucket()
    former = tables(bucket, tmp_path / "one")
    write(former, orders_0="old", plan="old")
    former.publish()
    following = tables(bucket, tmp_path / "two")
    write(following, facts="new")

    def meanwhile(name: str) -> None:
        if ".state/" in name:
            bucket.before_write = lambda _name: None
            write(former, orders_0="late")
            former.publish()
            former.purge()

    bucket.before_write = meanwhile
    with pytest.raises(LeaseLost):
        following.publish()
    reader = tables(bucket, tmp_path / "three")
    assert read(reader, "orders") == {"orders/0": "late"}
    assert read(reader, "plan") == {"plan": "old"}
    with pytest.raises(LeaseLost):
        former.purge()


def test_a_reader_whose_state_was_taken_away_reads_the_next_one(tmp_path: Path) -> None:
    """Not a mixture of both."""
    bucket = FakeBucket()
    writer = tables(bucket, tmp_path / "one")
    write(writer, orders_0="old", orders_1="old")
    writer.publish()
    reader = tables(bucket, tmp_path / "two")
    write(writer, orders_0="new", orders_1="new")
    writer.publish()
    writer.purge()
    assert set(read(reader, "orders").values()) == {"new"}


def test_a_checkpoint_is_published_when_it_says_so(tmp_path: Path) -> None:
    """And what a database has beside its file never is, nor what begins with a dot."""
    bucket = FakeBucket()
    one = tables(bucket, tmp_path / "one")
    write(one, facts="{}", back_db="half written")
    write(one, **{"back_db-wal": "x", "back_.part": "x", ".lock": "x"})
    one.publish(without=["back"])
    assert read(tables(bucket, tmp_path / "two"), "back") == {}
    write(one, back_db="whole", facts="later")
    one.publish(only=["back"])
    there = tables(bucket, tmp_path / "three")
    assert (read(there, "back"), read(there, "facts")) == ({"back/db": "whole"}, {"facts": "{}"})


def test_reports_are_put_under_their_own_names_and_the_summary_last(tmp_path: Path) -> None:
    """Whoever finds a new summary finds the files that it speaks of."""
    bucket = FakeBucket()
    one = plain(bucket, tmp_path / "one")
    write(one, **{"summary.json": "{}", "results.csv": "a", "tables_orders": "not its own"})
    written: list[str] = []
    bucket.before_write = written.append
    one.publish(last=["summary.json"])
    assert written == ["9359/b/results.csv", "9359/b/summary.json"]
    two = plain(bucket, tmp_path / "two")
    assert read(two, "results.csv") == {"results.csv": "a"}


def test_the_files_of_a_store_are_not_those_of_its_batches(tmp_path: Path) -> None:
    """One copy has what lies in the folder itself."""
    bucket = FakeBucket()
    bucket.write("9359/b/quota.json", b"{}")
    bucket.write("9359/b/2026-11-22/summary.json", b"{}")
    store = plain(bucket, tmp_path, is_flat=True)
    store.fetch_all()
    assert [path.name for path in tmp_path.glob("[!.]*")] == ["quota.json"]
    write(store, **{"2026-11-22_summary.json": "local", "review.csv": "x"})
    store.publish()
    assert bucket.content["9359/b/2026-11-22/summary.json"] == b"{}"
    assert bucket.content["9359/b/review.csv"] == b"x"


def test_a_workbook_that_people_edited_meanwhile_is_kept(tmp_path: Path) -> None:
    """In the folder from which the next reconciliation takes it up."""
    bucket = FakeBucket()
    one = plain(bucket, tmp_path / "one")
    write(one, **{"book.xlsx": "ours"})
    one.publish()
    bucket.write("9359/b/book.xlsx", b"with a person's words")
    write(one, **{"book.xlsx": "ours, later"})
    one.publish(edited={"book.xlsx": "review"})
    assert bucket.content["9359/b/book.xlsx"] == b"ours, later"
    (kept,) = [name for name in bucket.content if name.startswith("9359/b/review/")]
    assert bucket.content[kept] == b"with a person's words"


def test_what_another_run_changed_is_not_overwritten(tmp_path: Path) -> None:
    """What people signed: nothing of this publication counts then."""
    bucket = FakeBucket()
    bucket.write("9359/b/review.csv", b"before")
    one = plain(bucket, tmp_path / "one", is_flat=True)
    one.fetch_all()
    bucket.write("9359/b/review.csv", b"of another batch")
    write(one, **{"review.csv": "of this one", "quota.json": "{}"})
    with pytest.raises(
        Stopped, match=r"9359/b/review\.csv was changed by another run meanwhile: run the same"
    ):
        one.publish(alone=["review.csv"])
    assert bucket.content == {"9359/b/review.csv": b"of another batch"}


def test_what_was_moved_away_is_taken_away_unless_somebody_put_it_anew(tmp_path: Path) -> None:
    """A returned workbook that was taken up does not come back; one that came since is not lost."""
    bucket = FakeBucket()
    for name in ("taken", "anew"):
        bucket.write(f"9359/b/review/{name}", b"edited")
    one = plain(bucket, tmp_path / "one")
    for path in one.fetch("review").iterdir():
        path.unlink()
    bucket.write("9359/b/review/anew", b"edited once more")
    bucket.write("9359/b/review/later", b"of somebody else")
    one.publish()
    assert set(bucket.content) == {"9359/b/review/anew", "9359/b/review/later"}


def test_a_file_that_was_put_anew_since_it_was_listed_is_fetched_as_it_is_now(tmp_path: Path) -> None:
    """Its length tells."""
    bucket = FakeBucket()
    bucket.write("9359/b/book.xlsx", b"short")
    one = plain(bucket, tmp_path)
    bucket.write("9359/b/book.xlsx", b"longer than before")
    assert read(one, "book.xlsx") == {"book.xlsx": "longer than before"}
