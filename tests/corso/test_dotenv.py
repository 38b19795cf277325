"""`.env`: what is in it, and that one that cannot be read is an error that names it."""

from pathlib import Path

import pytest

from corso.errors import SettingsError
from corso.settings import Settings
from tests.export_factories import loader_settings

TEXT = 'CORSO_CLIENT_ID=mühle\nexport CORSO_CLIENT_SECRET="hush"\n'


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A store whose credentials are in no environment."""
    monkeypatch.delenv("CORSO_CLIENT_ID", raising=False)
    monkeypatch.delenv("CORSO_CLIENT_SECRET", raising=False)
    return loader_settings(tmp_path, 'orders: "{batch}/orders.csv"')


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_the_first_variable_is_found_behind_a_mark(settings: Settings, encoding: str) -> None:
    """Editors on Windows write one."""
    (settings.home / ".env").write_text(TEXT, encoding=encoding)
    found = settings.credentials()
    assert (found.client_id, found.client_secret) == ("mühle", "hush")


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_another_encoding_is_refused_by_the_files_name(settings: Settings, encoding: str) -> None:
    """Nothing of its content is told."""
    (settings.home / ".env").write_text(TEXT, encoding=encoding)
    with pytest.raises(SettingsError) as refused:
        settings.credentials()
    assert str(refused.value) == f"{settings.home / '.env'}: is not written in UTF-8; save it as UTF-8 text"
    assert not settings.has_credentials


def test_one_that_may_not_be_read_is_an_error(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taken as empty, it would be said that nothing is set."""

    def refuse(path: Path, **_: object) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.chdir(settings.home)
    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(SettingsError, match=r"/\.env: cannot be read \(Permission denied\)$"):
        settings.credentials()


def test_a_folder_of_that_name_holds_no_variables(settings: Settings) -> None:
    """Some keep their Python there."""
    (settings.home / ".env").mkdir()
    assert not settings.has_credentials
    with pytest.raises(SettingsError, match="CORSO_CLIENT_ID and CORSO_CLIENT_SECRET not set"):
        settings.credentials()
