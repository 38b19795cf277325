"""A bucket is listed, fetched and put to, and all that goes wrong is a sentence; on a real server."""

import os
from pathlib import Path

import pytest

from corso.errors import SettingsError, Stopped
from corso.storage import bucket as module
from corso.storage.address import BucketAddress
from corso.storage.bucket import Bucket, fetched
from tests.fake_bucket import FakeBucket
from tests.s3_server import BUCKET, S3Server, s3_server

pytestmark = pytest.mark.slow


def bucket_of(tmp_path: Path) -> Bucket:
    """Return a bucket of the test's own."""
    return Bucket(BucketAddress(BUCKET, f"unit/{tmp_path.name}"))


def files_of(tmp_path: Path, names: dict[str, bytes]) -> dict[str, Path]:
    """Write files to be put."""
    paths = {name: tmp_path / name.replace("/", "_") for name in names}
    for name, content in names.items():
        paths[name].write_bytes(content)
    return paths


NAMES = {
    "a.json": b"{}",
    "b/1.parquet": b"one",
    "b/2.parquet": b"two",
    "work/x": b"x",
    "work/y/z": b"z",
    "zoë & co/Größe.csv": b"\x00\xff",
}


@pytest.mark.usefixtures("s3")
def test_the_fake_answers_as_a_server_does(tmp_path: Path) -> None:
    """The same is put, listed, fetched and taken away in both, with the same answers."""
    real, fake = bucket_of(tmp_path), FakeBucket().as_bucket()
    given = files_of(tmp_path, NAMES)
    assert real.put(given) == fake.put(given)
    etags = [{name: found.etag for name, found in each.objects().items()} for each in (real, fake)]
    assert etags[0] == etags[1]
    for each in (real, fake):
        assert {name: found.size for name, found in each.objects().items()} == {
            name: len(content) for name, content in NAMES.items()
        }
        assert list(each.objects("b/")) == ["b/1.parquet", "b/2.parquet"]
        assert list(each.objects(without="work/")) == [
            "a.json",
            "b/1.parquet",
            "b/2.parquet",
            "zoë & co/Größe.csv",
        ]
        folders, found = each.children()
        assert (folders, list(found)) == (["b", "work", "zoë & co"], ["a.json"])
        assert list(each.children("work/")[1]) == ["x"]
        each.fetch({name: tmp_path / "back" / name for name in NAMES})
        assert {name: (tmp_path / "back" / name).read_bytes() for name in NAMES} == NAMES
        with pytest.raises(FileNotFoundError):
            each.fetch({"not/there": tmp_path / "nothing"})
        with pytest.raises(FileNotFoundError):
            each.read("not/there")
        each.delete(["a.json", "work/x", "not/there"])
        assert each.write("a.json", b"[]") == "d751713988987e9331980363e24189ce"
        assert each.read("a.json") == b"[]"
        assert "work/x" not in each.objects()


@pytest.mark.usefixtures("s3")
def test_a_long_listing_is_read_page_by_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is to be left out is skipped, and what comes behind it is not."""
    bucket = bucket_of(tmp_path)
    empty = tmp_path / "empty"
    empty.touch()
    names = [f"{folder}/{number}" for folder in ("in", "work", "x") for number in range(7)]
    bucket.put(dict.fromkeys(names, empty))
    monkeypatch.setattr(module, "_PER_LISTING", 3)
    assert list(bucket.objects()) == names
    assert list(bucket.objects(without="work/")) == names[:7] + names[14:]
    assert list(bucket.children("x/")[1]) == [str(number) for number in range(7)]


@pytest.mark.usefixtures("s3")
def test_a_large_file_is_put_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its ETag is the one that a listing tells."""
    monkeypatch.setattr(module, "_IN_ONE_PUT", 1000)
    bucket = bucket_of(tmp_path)
    large = tmp_path / "large"
    large.write_bytes(os.urandom(200_000))
    etags = bucket.put({"large": large})
    assert bucket.objects()["large"].etag == etags["large"]
    assert bucket.read("large") == large.read_bytes()
    assert fetched(Path(str(bucket.address / "large"))).read_bytes() == large.read_bytes()


def test_what_goes_wrong_at_first_is_the_configurations(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence (exit code 2) that names the bucket and what to do, and no secret."""
    wrong = {
        "AWS_ACCESS_KEY_ID": "access key is not known there: see AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY": "secret does not fit the access key: see AWS_SECRET_ACCESS_KEY",
        "AWS_PROFILE": "there is no such profile: see AWS_PROFILE",
    }
    for variable, sentence in wrong.items():
        with monkeypatch.context() as changed:
            changed.setenv(variable, "invented-and-wrong")
            with pytest.raises(SettingsError, match=rf"^s3://shop: .*{sentence}") as told:
                Bucket(BucketAddress(BUCKET)).objects()
        assert told.value.exit_code == 2
        assert "invented" not in str(told.value)
    with pytest.raises(SettingsError, match=r"s3://no-such-bucket: there is no such bucket: make it"):
        Bucket(BucketAddress("no-such-bucket")).objects()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{s3.port + 1}")
    with pytest.raises(SettingsError, match=r"it does not answer .*: is AWS_ENDPOINT_URL right"):
        Bucket(BucketAddress(BUCKET)).objects()


def test_what_goes_wrong_later_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It had answered: the same command goes on (exit code 3)."""
    monkeypatch.setattr(module, "_REPEATED_LATER", 1)
    with s3_server() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        bucket = bucket_of(tmp_path)
        bucket.objects()
    sentence = r"it does not answer .*; what was kept there is whole, and the same command goes on with it$"
    with pytest.raises(Stopped, match=sentence):
        bucket.write("x", b"x")


def test_without_the_extra_one_sentence_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """s3fs is no dependency of those who keep all on disk."""
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    with pytest.raises(SettingsError, match=r"is missing: pip install 'corso-loader\[s3\]'"):
        Bucket(BucketAddress(BUCKET)).objects()
