"""One store or many: by what a batch is known, and that 200 loader.yaml are not read every minute."""

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from corso.errors import SettingsError
from corso.stages import landing as module
from corso.stages.landing import Landing
from tests.export_factories import loader_settings
from tests.locked_folders import lock

EXPORTS = 'orders: "{batch}/orders.csv"'


def landing_of(folder: Path, *stores: str) -> Landing:
    """Make a landing with these stores."""
    for store in stores:
        (folder / store).mkdir(parents=True)
        loader_settings(folder / store, EXPORTS)
    return Landing(folder)


def test_of_one_store_a_batch_goes_by_its_own_name(tmp_path: Path) -> None:
    """As the command calls it."""
    landing = Landing(loader_settings(tmp_path, EXPORTS).path)
    assert (landing.stores(), landing.shown("")) == ({"": tmp_path / "loader.yaml"}, "9359")
    assert landing.key("", "2026-11-22") == "2026-11-22"
    assert landing.batch("2026-11-22").folder == tmp_path / "work" / "9359" / "2026-11-22"


def test_of_many_stores_a_batch_goes_by_store_and_name(tmp_path: Path) -> None:
    """Folders without a loader.yaml and hidden ones are no stores."""
    landing = landing_of(tmp_path, "north", "south", ".trash")
    (tmp_path / "empty").mkdir()
    assert list(landing.stores()) == ["north", "south"]
    assert landing.key("north", "2026-11-22") == "north/2026-11-22"
    assert landing.split("north/2026-11-22") == ("north", "2026-11-22")
    assert landing.batch("north/2026-11-22").tables.is_relative_to(tmp_path / "north")


def test_a_store_whose_folders_name_is_not_taken_is_found(tmp_path: Path) -> None:
    """Nobody serves it; hidden folders and those without a loader.yaml are not meant."""
    landing = landing_of(tmp_path, "north", "store two", "süd", ".trash")
    (tmp_path / "old papers").mkdir()
    assert (list(landing.stores()), landing.misnamed()) == (["north"], ["store two", "süd"])
    assert Landing(tmp_path / "north" / "loader.yaml").misnamed() == []


def test_a_folder_that_cannot_be_looked_into_is_a_store_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so by itself, and the others are served."""
    landing = landing_of(tmp_path, "north", "south")
    lock(tmp_path / "north", monkeypatch)
    assert list(landing.stores()) == ["north", "south"]
    with pytest.raises(SettingsError, match=r"north/loader\.yaml: cannot be read \(Permission denied\)$"):
        landing.settings("north")
    assert landing.settings("south").home == tmp_path / "south"


@pytest.mark.parametrize("key", ["2026-11-22", "../x/2026-11-22", "north/..", "a/b/c"])
def test_a_key_that_is_none_is_refused(tmp_path: Path, key: str) -> None:
    """No partition leads out of the landing."""
    with pytest.raises(SettingsError, match="batch '"):
        landing_of(tmp_path, "north").batch(key)


def test_one_store_refuses_a_batch_with_a_store(tmp_path: Path) -> None:
    """It says what CORSO_LOADER_CONFIG names."""
    landing = Landing(loader_settings(tmp_path, EXPORTS).path)
    with pytest.raises(SettingsError, match=r"is one store's loader\.yaml"):
        landing.batch("north/2026-11-22")


def test_a_loader_yaml_is_read_again_when_it_changed_and_only_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also a broken one: its sentence stays the same."""
    landing = landing_of(tmp_path, "north")
    reads: list[Path] = []
    really = module.read_settings

    def counted(path: Path) -> object:
        reads.append(path)
        return really(path)

    monkeypatch.setattr(module, "read_settings", counted)
    path = tmp_path / "north" / "loader.yaml"
    for text, count in ((None, 1), (None, 1), ("store: {id: one}", 2), (None, 2)):
        if text:
            path.write_text(text, encoding="utf-8")
        with suppress(SettingsError):
            landing.settings("north")
        assert len(reads) == count
    path.unlink()
    with pytest.raises(SettingsError, match="no such file"):
        landing.settings("north")


def test_the_batches_that_were_planned_lately_are_found(tmp_path: Path) -> None:
    """By their plans, which a later comparison does not touch."""
    landing = landing_of(tmp_path, "north")
    for batch, age_s in (("2026-11-20", 10**9), ("2026-11-21", 0)):
        plan = landing.batch(f"north/{batch}").table("upload_plan")
        plan.parent.mkdir(parents=True)
        plan.touch()
        os.utime(plan, (plan.stat().st_mtime - age_s,) * 2)
    assert landing.planned_since("north", datetime(2020, 1, 1, tzinfo=UTC)) == ["2026-11-21"]


def test_two_folders_that_are_one_store_are_twins(tmp_path: Path) -> None:
    """By Corso's number and the address; a store that cannot be read, or has no number yet, is nobody's twin."""
    landing = landing_of(tmp_path, "copy", "north", "south", "east", "draft", "other")
    for store, number in (("south", 77), ("draft", 0), ("other", 0)):
        path = tmp_path / store / "loader.yaml"
        path.write_text(path.read_text().replace("9359", str(number)))
    (tmp_path / "east" / "loader.yaml").write_text("stor: {}\n")
    twins = landing.twins()
    assert list(twins) == ["copy", "north"]
    assert twins["copy"].startswith("the folders copy, north are one store, 9359 of http")
    assert Landing(tmp_path / "north" / "loader.yaml").twins() == {}
