"""Where the ledger is: a file in the workdir, or the database that loader.yaml or the environment names. Never a secret."""

from pathlib import Path

import pytest

from corso.database import DatabaseUrl, SharedLedger
from corso.errors import SettingsError
from corso.settings import Settings, read_settings
from tests.loader_process import STORE_ID, Shop

URL = "postgresql://loader@db.example:5433/corso?sslmode=require"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let neither the machine's environment nor its folders name a database."""
    monkeypatch.delenv("CORSO_LEDGER_URL", raising=False)
    monkeypatch.delenv("CORSO_DAGSTER_URL", raising=False)
    monkeypatch.chdir(tmp_path)


def settings(folder: Path, *lines: str) -> Settings:
    """Read a shop's loader.yaml with these lines."""
    return read_settings(Shop(folder).configure("\n".join(lines)))


def test_by_default_it_is_a_file_in_the_workdir(tmp_path: Path) -> None:
    """One for all stores below it."""
    assert settings(tmp_path).ledger == tmp_path / "work" / "ledger.sqlite"
    assert settings(tmp_path).dagster_database is None


def test_loader_yaml_names_a_database(tmp_path: Path) -> None:
    """The mark of the store stays in its folder."""
    place = settings(tmp_path, f'ledger: {{url: "{URL}"}}').ledger
    assert isinstance(place, SharedLedger)
    assert str(place) == str(place.url) == "db.example:5433/corso"
    assert place.mark == tmp_path / "work" / str(STORE_ID) / "ledger.mark"
    assert place.url.spoken_by("psycopg") == URL.replace("postgresql:", "postgresql+psycopg:")


def test_the_environment_wins_and_may_hold_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over `.env`, which wins over loader.yaml; whatever shows the place shows no password."""
    (tmp_path / ".env").write_text("CORSO_LEDGER_URL=postgres://loader:hush@env.example/corso\n")
    place = settings(tmp_path, f'ledger: {{url: "{URL}"}}').ledger
    assert str(place) == "env.example/corso"
    assert "hush" not in repr(place)
    monkeypatch.setenv("CORSO_LEDGER_URL", "postgresql+psycopg://loader:hush@shell.example/corso")
    place = settings(tmp_path).ledger
    assert isinstance(place, SharedLedger)
    assert place.url.spoken_by("psycopg2") == "postgresql+psycopg2://loader:hush@shell.example/corso"


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("postgresql://loader:hush@db.example/corso", "must not carry a password: put the whole URL into CORSO_LEDGER_URL"),
        ("postgresql://db.example/corso?user=a&password=hush", "must not carry a password"),
        ("mysql://hush@db.example/corso", "must be the URL of a PostgreSQL database: postgresql://"),
        ("hush", "must be the URL of a PostgreSQL database"),
        ("postgresql://loader:hush@db.example:port/corso", "is no URL: characters such as"),
        ("postgresql://loader:hush@[db.example/corso", "is no URL"),
    ],
)  # fmt: skip
def test_what_is_no_such_url_is_one_sentence_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, sentence: str
) -> None:
    """The key and its line where it stands in loader.yaml, the variable where it stands there."""
    with pytest.raises(SettingsError, match=r"loader.yaml:4: ledger.url: ") as raised:
        _ = settings(tmp_path, f'ledger: {{url: "{url}"}}').ledger
    assert sentence in str(raised.value)
    assert "hush" not in str(raised.value)
    if "password" in sentence:
        return
    for variable in ("CORSO_LEDGER_URL", "CORSO_DAGSTER_URL"):
        monkeypatch.setenv(variable, url)
        with pytest.raises(SettingsError, match=rf"^{variable} ") as raised:
            _ = (settings(tmp_path).ledger, settings(tmp_path).dagster_database)
        assert "hush" not in str(raised.value)
        monkeypatch.delenv(variable)


def test_a_url_without_a_host_is_this_machine() -> None:
    """As PostgreSQL's own programs have it."""
    assert DatabaseUrl.parse("postgresql:///corso").name == "localhost/corso"


def test_who_writes_a_secret_into_loader_yaml_is_told_where_it_belongs(tmp_path: Path) -> None:
    """And the secret is not repeated."""
    with pytest.raises(SettingsError) as refused:
        settings(tmp_path, "upload: {client_secret: hunter2}")
    assert "'upload.client_secret' does not belong here: secrets come from the environment or .env" in str(
        refused.value
    )
    assert "hunter2" not in str(refused.value)
