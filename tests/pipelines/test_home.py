"""Where Dagster keeps its runs: in files, or in a PostgreSQL database that one variable names."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance

from corso.errors import SettingsError
from corso.settings import Settings, read_settings
from pipelines.home import URL_VARIABLE, prepare_home
from tests.loader_process import Shop
from tests.postgres_server import PostgresServer


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A shop's settings, in an environment of their own."""
    for name in ("DAGSTER_HOME", "DAGSTER_DISABLE_TELEMETRY", URL_VARIABLE):
        # Noted, so that what is set below is taken back.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return read_settings(Shop(tmp_path).configure())


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a database for Dagster."""
    postgres.execute("CREATE DATABASE dagster")
    yield postgres.url("dagster")
    postgres.execute("DROP DATABASE dagster WITH (FORCE)")


def test_by_default_runs_are_kept_in_files(settings: Settings) -> None:
    """And what the file says is nobody's business but its owner's."""
    file = prepare_home(settings) / "dagster.yaml"
    assert "postgres" not in file.read_text()
    file.write_text("telemetry: {enabled: false}\n")
    prepare_home(settings)
    assert file.read_text() == "telemetry: {enabled: false}\n"


@pytest.mark.slow
def test_one_variable_keeps_runs_on_a_server(
    settings: Settings, database: str, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where there were files before; the URL stands in no file; without the variable it is files again."""
    prepare_home(settings)
    monkeypatch.setenv(URL_VARIABLE, database)
    home = prepare_home(settings)
    with DagsterInstance.get() as instance:
        assert instance.get_runs() == []
    assert postgres.execute("SELECT count(*) FROM runs", database="dagster") == [(0,)]
    assert not [file for file in home.rglob("*") if file.is_file() and b"127.0.0.1" in file.read_bytes()]
    prepare_home(settings)
    monkeypatch.delenv(URL_VARIABLE)
    assert "postgres" not in (prepare_home(settings) / "dagster.yaml").read_text()


def test_a_file_that_says_something_else_is_not_overruled(
    settings: Settings, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs would go where nobody looks for them."""
    file = prepare_home(settings) / "dagster.yaml"
    file.write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv(URL_VARIABLE, database)
    with pytest.raises(
        SettingsError, match=rf"^{file}: does not use {URL_VARIABLE}, which is set: add `storage: "
    ):
        prepare_home(settings)
    file.write_text(f"storage: {{postgres: {{postgres_url: {{env: {URL_VARIABLE}}}}}}}\n")
    prepare_home(settings)


def test_a_database_that_does_not_answer_is_one_sentence(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its password."""
    monkeypatch.setenv(URL_VARIABLE, "postgresql+psycopg2://loader:hush@127.0.0.1:1/dagster")
    with pytest.raises(
        SettingsError, match=r"^127.0.0.1:1/dagster: Dagster's database cannot be used \("
    ) as raised:
        prepare_home(settings)
    assert "hush" not in str(raised.value)
    assert "\n" not in str(raised.value)
