"""The handbook: what is said is there, what is there is said, and links lead somewhere."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import dagster as dg
import pytest
import yaml
from playwright.sync_api import sync_playwright

from assets import checks
from assets.freshness import CHECK
from corso import errors
from corso.settings import Loader
from handbook.command_page import command_page
from handbook.reference import DOCS, PAGES
from handbook.settings_page import EXAMPLES, VARIABLES, keys, settings_page
from tests.handbook.documented_commands import PROJECT

WRITTEN = [
    *(PROJECT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((PROJECT / "docs").rglob("*.md")),
]
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_CHECK = re.compile(r"^### (\w+)$", re.MULTILINE)
_VARIABLE = re.compile(r"\b(?:CORSO_[A-Z_]+[A-Z]|DAGSTER_HOME|NO_COLOR)\b")


def anchors(page: str) -> set[str]:
    """Return the anchors that a page's headings make."""
    heads = re.findall(r"^#+ (.+)$", _CODE.sub(lambda code: code[0].strip("`"), page), re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", head.lower())).strip("-") for head in heads}


def dead_links(path: Path) -> Iterator[str]:
    """Yield the links of a page that lead nowhere."""
    for link in _LINK.findall(_CODE.sub("", path.read_text(encoding="utf-8"))):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists():
            yield link
            continue
        page = target.read_text(encoding="utf-8") if target.suffix == ".md" else ""
        if anchor and anchor not in anchors(page):
            yield link


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.relative_to(PROJECT).as_posix())
def test_links_anchors_and_pictures_lead_somewhere(page: Path) -> None:
    """Those within the project; others may be away for a day."""
    assert list(dead_links(page)) == []


def test_a_dead_link_is_seen(tmp_path: Path) -> None:
    """Of each kind."""
    page = tmp_path / "page.md"
    page.write_text("# A b\n[a](#a-b) [b](#c) ![c](no.png) [d](page.md#a-b) `[e](no.md)`", encoding="utf-8")
    assert list(dead_links(page)) == ["#c", "no.png"]


CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `scripts/docs` does, without a warning."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "NO_MKDOCS_2_WARNING": "1"},
    )
    assert (built.returncode, built.stderr) == (0, "")
    return folder


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs a real browser: apt-get install chromium")
def test_the_site_is_read_opened_as_files_its_search_too(site: Path) -> None:
    """In a real browser: nothing is fetched from elsewhere."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto((site / "profiles" / "shopify.html").as_uri())
        # By the keys: it is their going up that is listened to.
        page.locator(".md-search__input").press_sequentially("quarantined")
        page.locator(".md-search-result__item").first.wait_for(timeout=60_000)
        browser.close()
    assert not [url for url in asked if url.startswith("http")]


@pytest.mark.slow
def test_the_site_fetches_nothing_and_its_search_knows_every_page(site: Path) -> None:
    """No script, picture or style from elsewhere."""
    for page in site.rglob("*.html"):
        fetched = re.findall(
            r"<(?:script|img|iframe)[^>]+src=\"?(https?:[^\" >]+)", page.read_text(encoding="utf-8")
        )
        fetched += re.findall(
            r"<link[^>]+rel=\"?stylesheet\"?[^>]+href=\"?(https?:[^\" >]+)", page.read_text(encoding="utf-8")
        )
        assert fetched == [], page
    index = (site / "search" / "search_index.json").read_text(encoding="utf-8")
    assert [page for page in PAGES if page.replace(".md", ".html") not in index] == []


@pytest.mark.parametrize("name", PAGES)
def test_the_references_are_as_the_code_has_them(name: str) -> None:
    """`.venv/bin/python -m handbook.reference` writes them anew."""
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name]()


def test_every_page_has_its_place_in_the_navigation() -> None:
    """What no menu shows is found by its searchers only."""
    text = (PROJECT / "mkdocs.yml").read_text(encoding="utf-8")
    there = {path.relative_to(PROJECT / "docs").as_posix() for path in (PROJECT / "docs").rglob("*.md")}
    assert [page for page in sorted(there) if f": {page}\n" not in text] == []


def test_every_setting_has_its_line_and_an_example_that_is_read() -> None:
    """A key without a docstring or an example is named."""
    page = settings_page()
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    assert [row[0] for row in rows if len(row) == 5 and not row[3].strip()] == []
    assert set(keys()) - {"limits.calendar.SPAN"} == EXAMPLES.keys()
    for key, written in EXAMPLES.items():
        Loader.model_validate(whole_of(key, written))


def whole_of(key: str, written: str) -> dict[str, Any]:
    """Return a loader.yaml that has one key, as `written`."""
    value = yaml.safe_load(written)
    *path, name = key.split(".")
    section = {name: value}
    whole: dict[str, Any] = {"store": {"id": 1}, "exports": {}}
    if key.startswith("limits.calendar.SPAN."):
        return whole | {"limits": {"calendar": [{"share": 0.5} | section]}}
    if key.startswith("exports.ROLE."):
        return whole | {"exports": {"orders": {"files": "x.csv"} | section}}
    return whole | ({path[0]: whole.get(path[0], {}) | section} if path else section)


def test_every_environment_variable_that_the_code_reads_is_told() -> None:
    """And none that it does not."""
    code = [path for room in ("corso", "assets", "pipelines") for path in (PROJECT / room).rglob("*.py")]
    read = {name for path in code for name in _VARIABLE.findall(path.read_text(encoding="utf-8"))}
    assert read == VARIABLES.keys()


def test_the_runbook_knows_every_check_and_every_exit_code() -> None:
    """By their names in the code."""
    page = (PROJECT / "docs" / "runbook.md").read_text(encoding="utf-8")
    named = {name for name, each in vars(checks).items() if isinstance(each, dg.AssetChecksDefinition)} | {
        CHECK
    }
    assert set(_CHECK.findall(page)) == named
    raised = {
        each.exit_code
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, errors.CorsoError)
    }
    assert {int(code) for code in re.findall(r"^### Exit code (\d+)$", page, re.MULTILINE)} == raised | {0, 1}


def test_the_reference_has_every_verb() -> None:
    """With its options and its examples."""
    page = command_page()
    for heading in ("## plan", "## ledger move", "## sandbox"):
        assert f"\n{heading}\n" in page
    assert "`--offline`" in page
    assert "corso-loader run --until 06:00" in page
