"""The page in a real browser: it needs no network, logs no error, and finding and sorting work."""

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright
from report_factories import facts, finding

from corso.report.html import render_html

CHROMIUM = shutil.which("chromium")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs a real browser: apt-get install chromium")
def test_the_page_is_whole_without_a_network(tmp_path: Path) -> None:
    """Opening it asks for one file, itself; nothing is logged; the filter leaves the findings it should."""
    hostile = finding(3, source_value="<img src=x onerror=alert(1)>")
    render_html(facts([finding(1), finding(2, field="shipping_title"), hostile]), tmp_path / "page.html")
    requests: list[str] = []
    logged: list[str] = []

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: logged.append(message.text))
        page.on("pageerror", lambda error: logged.append(str(error)))
        page.goto((tmp_path / "page.html").as_uri())
        rows = page.locator("#findings tbody tr:visible")
        before = rows.count()
        page.fill("#find", "shipping_title")
        after = rows.count()
        browser.close()

    assert requests == [(tmp_path / "page.html").as_uri()]
    assert logged == []
    assert (before, after) == (3, 1)
