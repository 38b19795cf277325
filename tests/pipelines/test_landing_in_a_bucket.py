"""A landing in a bucket: the sensor looks by listings, and sees what it would see on disk; on a real S3 server."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.run_tags import DROP_TAG
from corso.errors import SettingsError
from corso.extract.drops import look_at
from corso.extract.files import bring, find_exports
from corso.settings import read_settings
from corso.stages import nightly
from corso.stages.landing import Landing
from corso.storage import outline
from corso.storage.address import _own_folder
from tests.loader_process import STORE_ID, Shop
from tests.s3_server import BUCKET, S3Server, s3_server
from tests.sensor_looks import FILES, Night, drop

pytestmark = pytest.mark.slow


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """Return an instance of Dagster's."""
    home = tmp_path / "dagster"
    home.mkdir()
    with dg.instance_for_test(temp_dir=str(home)) as instance:
        yield instance


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    """Run a server that sees what is dropped into its folder."""
    with s3_server(sees_its_folder=True) as running:
        yield running


@pytest.fixture
def landing(server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in which the landing's bucket keeps it; each look is made anew."""
    monkeypatch.setattr(outline, "_FRESH_S", 0.0)
    for name, value in {**server.environment, "CORSO_SCRATCH": str(tmp_path / "scratch")}.items():
        monkeypatch.setenv(name, value)
    return server.bucket / tmp_path.name


def address(landing: Path) -> str:
    """Return the landing's address."""
    return f"s3://{BUCKET}/{landing.name}"


def shop(landing: Path, store: str, *batches: str, store_id: int = STORE_ID) -> Path:
    """Make a store with batches that are complete by their markers; return its folder."""
    made = Shop(landing / store, files=FILES, store_id=store_id)
    made.configure("nightly: {quiet_s: 0}")
    for batch in batches:
        drop(made.folder / batch, "_COMPLETE")
    return made.folder


def test_the_batches_of_all_stores_are_started_once(landing: Path, instance: dg.DagsterInstance) -> None:
    """In order; half a drop waits; one that is put anew is another one, though it is as long and as old."""
    north = shop(landing, "north", "2026-11-21", "2026-11-22")
    shop(landing, "south", "2026-11-22", store_id=1)
    (landing / "north" / "2026-11-23").mkdir()
    (landing / "north" / "2026-11-23" / "orders.csv").write_text("x")
    night = Night(instance, address(landing))
    assert night.look() == ["north/2026-11-21", "south/2026-11-22"]
    assert night.look() == []
    for key in ("north/2026-11-21", "south/2026-11-22"):
        night.end(key)
    assert night.look() == ["north/2026-11-22"]
    night.end("north/2026-11-22")
    assert night.look() == []
    assert "north/2026-11-23: exports.line_items: no file fits" in night.said
    assert address(landing) in night.said, "the merchant's folder is named, not this machine's"

    file = north / "2026-11-22" / "orders.csv"
    was = file.stat()
    file.write_text("y")
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert night.look() == ["north/2026-11-22"]


def test_another_process_starts_nothing_again(
    landing: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On another machine, without a cursor: the history knows what was loaded, and the drop is told by the same signature."""
    shop(landing, "north", "2026-11-21")
    first = Night(instance, address(landing))
    assert first.look() == ["north/2026-11-21"]
    signature = first.result.run_requests[0].tags[DROP_TAG]
    first.end("north/2026-11-21")
    monkeypatch.setattr(outline, "_OUTLINES", {})
    monkeypatch.setenv("CORSO_SCRATCH", str(tmp_path / "other"))
    second = Night(instance, address(landing))
    assert second.look() == []
    settings = Landing(Path(address(landing))).settings("north")
    assert look_at(settings, "2026-11-21").signature == signature


def test_processes_that_take_turns_miss_nothing(
    landing: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster's daemon starts one code server after the other; each draws the landing for itself, at another time."""
    # Else nothing of the last minute counts as settled.
    monkeypatch.setattr(nightly, "CLOCK_ALLOWANCE", timedelta(hours=-1))
    shop(landing, "north", "2026-11-21", "2026-11-22")
    night = Night(instance, address(landing))
    one, other = outline._OUTLINES, dict[Any, Any]()
    assert night.look() == ["north/2026-11-21"]
    night.end("north/2026-11-21")
    drawn_first = next(iter(one.values())).folder
    monkeypatch.setattr(outline, "_OUTLINES", other)
    _own_folder.cache_clear()
    assert night.look() == ["north/2026-11-22"]
    assert next(iter(other.values())).folder != drawn_first
    assert night.look() == []
    night.end("north/2026-11-22", dg.DagsterRunStatus.FAILURE)
    monkeypatch.setattr(outline, "_OUTLINES", one)
    assert night.look() == ["north/2026-11-22"], "its run was killed"
    night.end("north/2026-11-22")
    drop(landing / "north" / "2026-11-23", "_COMPLETE")
    monkeypatch.setattr(outline, "_OUTLINES", other)
    assert night.look() == ["north/2026-11-23"]


def test_what_is_produced_below_the_landing_is_not_looked_at(landing: Path) -> None:
    """The workdir's default lies in the store's own folder; its thousand files are neither listed nor drawn."""
    folder = shop(landing, "north", "2026-11-21")
    (folder / "work" / "9359" / "2026-11-21").mkdir(parents=True)
    (folder / "work" / "9359" / "2026-11-21" / "summary.json").write_text("{}")
    source = f"{address(landing)}/north/loader.yaml"
    for _ in range(2):
        settings = read_settings(Path(source))
        find_exports(settings, "2026-11-21")
    assert not (settings.home / "work").exists() or not list((settings.home / "work").rglob("*.json"))
    assert str(settings.kept_in) == f"{address(landing)}/north/work"
    assert str(settings.source) == source


def test_files_have_their_content_when_they_are_read_and_not_before(landing: Path) -> None:
    """A look at ten thousand files fetches none of them."""
    shop(landing, "north", "2026-11-21")
    drop(landing / "north" / "2026-11-22", text="a,b\n1,2\n" * 1000)
    settings = Landing(Path(address(landing))).settings("north")
    (file,) = find_exports(settings, "2026-11-22")["orders"]
    assert (file.path.stat().st_size, file.path.stat().st_blocks) == (8000, 0)
    assert file.name == "2026-11-22/orders.csv"
    bring([file])
    assert file.path.read_text() == "a,b\n1,2\n" * 1000
    assert file.path.stat().st_mtime_ns // 10**6 == (
        (landing / "north" / "2026-11-22" / "orders.csv").stat().st_mtime_ns // 10**6
    )


def test_settings_are_read_again_when_they_change(landing: Path) -> None:
    """And one that is broken is told of by its address and line; nobody else may read the credentials beside it."""
    folder = shop(landing, "north", "2026-11-21")
    (folder / ".env").write_text("CORSO_CLIENT_ID=a\nCORSO_CLIENT_SECRET=b\n")
    served = Landing(Path(address(landing)))
    settings = served.settings("north")
    assert (settings.home / ".env").stat().st_mode & 0o777 == 0o600
    assert settings.has_credentials
    loader = folder / "loader.yaml"
    loader.write_text(loader.read_text().replace("9359", "77"))
    assert served.settings("north").loader.store.id == 77
    loader.write_text("stor: {id: 1}\n")
    with pytest.raises(
        SettingsError, match=rf"(?s)^{address(landing)}/north/loader\.yaml:1: .*did you mean 'store'"
    ):
        served.settings("north")
    assert list(served.stores()) == ["north"]


def test_exports_in_a_bucket_are_found_from_a_loader_yaml_on_disk(landing: Path, tmp_path: Path) -> None:
    """Each path may be an address; what is missing is told with it."""
    shop(landing, "north", "2026-11-21")
    local = Shop(tmp_path / "here", files={k: f"{address(landing)}/north/{v}" for k, v in FILES.items()})
    settings = read_settings(local.configure())
    found = find_exports(settings, "2026-11-21")
    bring(file for files in found.values() for file in files)
    assert [file.path.read_text() for files in found.values() for file in files] == ["x", "x"]
    assert look_at(settings, "2026-11-21").marked


def test_a_folder_in_a_bucket_means_its_files(landing: Path, tmp_path: Path) -> None:
    """A table that is cut into partitions, with what tells of its writing."""
    table = landing / "tables" / "orders"
    for name in ("year=2026/part-0.parquet", "year=2026/_committed_1", "_SUCCESS", "old/part-0.parquet"):
        (table / name).parent.mkdir(parents=True, exist_ok=True)
        (table / name).write_text("x")
    local = Shop(tmp_path / "here", files={"orders": f"{address(landing)}/tables/orders"})
    (file,) = find_exports(read_settings(local.configure()), "x")["orders"]
    bring([file])
    assert file.name == "year=2026/part-0.parquet"
    assert file.path.read_text() == "x"
