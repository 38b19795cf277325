"""Where Corso's credentials come from: both from one place, and which place comes first."""

from dataclasses import replace
from pathlib import Path

import pytest

from corso.errors import SettingsError
from corso.settings import Credentials, Settings
from corso.stages.examination import examine
from corso.stages.landing import Landing
from tests.export_factories import loader_settings

EXPORTS = 'orders: "{batch}/orders.csv"'
OWN, SHARED = Credentials("own", "own-secret"), Credentials("shared", "shared-secret")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return a store's settings, with nothing set anywhere."""
    monkeypatch.chdir(tmp_path)
    for name in ("CORSO_CLIENT_ID", "CORSO_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "north").mkdir()
    return loader_settings(tmp_path / "north", EXPORTS)


def set_own(settings: Settings, text: str = "CORSO_CLIENT_ID=own\nCORSO_CLIENT_SECRET=own-secret\n") -> None:
    """Write the store's own `.env`."""
    path = settings.home / ".env"
    path.touch(mode=0o600)
    path.write_text(text)


def set_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the environment's."""
    monkeypatch.setenv("CORSO_CLIENT_ID", SHARED.client_id)
    monkeypatch.setenv("CORSO_CLIENT_SECRET", SHARED.client_secret)


def test_of_a_folder_of_stores_each_has_its_own_and_the_others_the_environments(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment is that of all stores; by hand, for one loader.yaml, it comes first, and `doctor` says so."""
    landing = Landing(settings.home.parent)
    set_shared(monkeypatch)
    assert landing.settings("north").credentials() == SHARED
    set_own(settings)
    assert landing.settings("north").credentials() == OWN
    assert settings.credentials() == SHARED
    remarks = {each.about: each for each in examine(settings, None, offline=True)}
    told = remarks["credentials"]
    assert told.level == "look"
    assert told.sentence.startswith(
        f"those of the environment are used, and {settings.home / '.env'} has others"
    )
    assert "shared" not in told.sentence


def test_doctor_names_the_place(settings: Settings) -> None:
    """And no value."""
    set_own(settings)
    (told,) = [each for each in examine(settings, None, offline=True) if each.about == "credentials"]
    assert (told.level, told.sentence.endswith(f"are set, by {settings.home / '.env'}")) == ("good", True)


@pytest.mark.parametrize("is_one_of_many", [True, False])
def test_an_id_and_a_secret_of_two_places_are_not_put_together(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, *, is_one_of_many: bool
) -> None:
    """They would be those of two accounts; the place that has one alone is named."""
    settings = replace(settings, is_one_of_many=is_one_of_many)
    set_own(settings, "CORSO_CLIENT_ID=own\n")
    monkeypatch.setenv("CORSO_CLIENT_SECRET", SHARED.client_secret)
    place = str(settings.home / ".env") if is_one_of_many else "the environment"
    with pytest.raises(SettingsError, match="put both there") as refused:
        settings.credentials()
    assert place in str(refused.value)
    assert not settings.has_credentials


def test_an_empty_variable_is_none(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a composition sets it where nobody gave a value."""
    set_own(settings)
    monkeypatch.setenv("CORSO_CLIENT_ID", "")
    monkeypatch.setenv("CORSO_CLIENT_SECRET", "")
    assert settings.credentials() == OWN
