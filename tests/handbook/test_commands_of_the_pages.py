"""Every command that README, CONTRIBUTING and docs/ show is run, in order, as a reader would, against the sandbox."""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.handbook.documented_commands import (
    NOT_RUN,
    PROJECT,
    Ran,
    blocks,
    pages,
    pointed_at,
    reason_not_to_run,
    run_page,
    runnable,
)
from tests.loader_process import environment
from tests.sandbox_process import SandboxAddresses, sandbox_on_a_thread

pytestmark = pytest.mark.slow

FIRST = PROJECT / "docs" / "first_migration.md"
LONG = {"docs/going_live.md"}
"""Pages that load a store several times."""
OTHERS = [
    pytest.param(page, id=page.relative_to(PROJECT).as_posix(), marks=pytest.mark.long)
    if page.relative_to(PROJECT).as_posix() in LONG
    else pytest.param(page, id=page.relative_to(PROJECT).as_posix())
    for page in pages()
    if page != FIRST and runnable(page)
]


@dataclass(frozen=True)
class Migrated:
    """The checkout in which somebody followed the first page."""

    checkout: Path
    sandbox: SandboxAddresses
    ran: list[Ran]

    def reader(self, **changes: str | None) -> dict[str, str]:
        """Return the environment of a reader's terminal."""
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        own = environment(
            CORSO_CLIENT_ID=None, CORSO_CLIENT_SECRET=None, PATH=programs, HOME=str(self.checkout)
        )
        return {key: value for key, value in own.items() if value is not None} | {
            k: v for k, v in changes.items() if v
        }


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Migrated]:
    """Follow docs/first_migration.md from its first line to its last."""
    checkout = tmp_path_factory.mktemp("checkout")
    shutil.copytree(PROJECT / "data" / "samples", checkout / "data" / "samples")
    with sandbox_on_a_thread() as sandbox:
        followed = Migrated(checkout, sandbox, [])
        followed.ran.extend(run_page(FIRST, checkout, followed.reader(), sandbox.base_url))
        yield followed


def wrong(ran: list[Ran]) -> list[str]:
    """Name the commands that did not end as a page means them to: 0, or 1 where something needs a look."""
    told = []
    for each in ran:
        place = f"{each.block.page}:{each.block.line}: {each.command}"
        if each.code not in {0, 1} or "Traceback" in each.said:
            told.append(f"{place}\nended with {each.code}:\n{each.said}")
        elif not each.is_as_shown:
            told.append(f"{place}\nthe page shows\n{each.shown}\nit says\n{each.said}")
    return told


def test_the_first_migration_goes_as_its_page_says(migrated: Migrated) -> None:
    """And what it says is there, is there."""
    assert wrong(migrated.ran) == []
    page = FIRST.read_text(encoding="utf-8")
    said = "".join(each.said for each in migrated.ran)
    assert [
        text
        for text in re.findall(r"^```text\n(.*?)\n```", page, re.MULTILINE | re.DOTALL)
        if text not in said
    ] == []
    assert list((migrated.checkout / "my-store" / "work" / "9359").glob("*/reconciliation.html"))


@pytest.mark.parametrize("page", OTHERS)
def test_the_commands_of_a_page_work(page: Path, migrated: Migrated, tmp_path: Path) -> None:
    """In a copy of the store that was loaded, with the samples beside it."""
    folder = tmp_path / "my-store"
    shutil.copytree(
        migrated.checkout / "my-store", folder, ignore=shutil.ignore_patterns("dagster", "sandbox.sqlite")
    )
    shutil.copytree(PROJECT / "data" / "samples", folder / "data" / "samples")
    assert wrong(run_page(page, folder, migrated.reader(), migrated.sandbox.base_url)) == []


def test_everything_that_is_not_run_says_why_and_is_there() -> None:
    """A reason that no page needs any more goes."""
    shown = [command for page in pages() for block in blocks(page) for command, _ in block.commands]
    assert shown
    used = {reason_not_to_run(command) for command in shown} - {None}
    assert set(NOT_RUN.values()) - used == set()


def test_a_page_that_names_production_sends_to_the_sandbox() -> None:
    """Whatever it says."""
    assert "corso.com" not in pointed_at("corso: {environment: production}", "http://127.0.0.1:1/v1")
