"""What tests of several rooms ask for."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests import ledger_places
from tests.postgres_server import HOW_TO_INSTALL, PostgresServer, server_programs

# Of the suite no test asserts a time: on a busy machine one example takes as long as it takes.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


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
