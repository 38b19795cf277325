"""What tests of several rooms ask for."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import ledger_places
from tests.postgres_server import HOW_TO_INSTALL, PostgresServer, server_programs
from tests.s3_server import S3Server, s3_server

# Of the suite no test asserts a time: on a busy machine one example takes as long as it takes.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have those begin first that may take longest: else one of them goes on by itself when all others are done."""
    items.sort(key=lambda item: -max([0, *(mark.args[0] for mark in item.iter_markers("timeout"))]))


@pytest.fixture(autouse=True)
def _no_instance_of_an_earlier_test() -> Iterator[None]:
    """Have Dagster forget the instance of the test before, which is gone: it keeps the last one's storage for itself."""
    left = sys.modules.get("dagster._core.storage.defs_state.base")
    if left is None:
        yield
        return
    with left.set_defs_state_storage(None):
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Run a PostgreSQL server, where one is installed."""
    if server_programs() is None:
        pytest.skip(HOW_TO_INSTALL)
    with PostgresServer() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def each_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """Have the test's ledgers in files, then on a server."""
    if request.param == "sqlite":
        yield request.param
        return
    with ledger_places.on(request.getfixturevalue("postgres")):
        yield request.param


@pytest.fixture(scope="session")
def _one_s3_server() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def s3(_one_s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """Lead this process to an S3 server, with a scratch folder of the test's own."""
    for name, value in {**_one_s3_server.environment, "CORSO_SCRATCH": str(tmp_path / "scratch")}.items():
        monkeypatch.setenv(name, value)
    return _one_s3_server
