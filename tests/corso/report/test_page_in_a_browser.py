"""The page in a real browser: what an analyst does with it works, for everybody, and nothing leaves it."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from axe_playwright_python.sync_playwright import Axe
from factories import NOW, summary_of
from playwright.sync_api import Browser, Page, expect, sync_playwright
from report_factories import (
    certificate,
    facts,
    finding,
    findings_frame,
    many_findings,
    money_row,
    months_frame,
)

from corso.report.facts import ReportFacts
from corso.report.opened import OpenedOrder
from corso.report.page.writing import render_html
from schemas.reconciliation import HEALED

CHROMIUM = shutil.which("chromium")
HOSTILE = "<img src=x onerror=alert(1)></script>\u202e=cmd()\x07"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs a real browser: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Chromium once."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Any]:
    """Give a function that opens a report; after the test nothing was asked of a network and nothing was logged."""
    asked: list[str] = []
    logged: list[str] = []
    path = tmp_path / "reconciliation.html"
    contexts = []

    def open_page(report: ReportFacts, **context: Any) -> Page:
        render_html(report, path)
        contexts.append(browser.new_context(**context))
        page = contexts[-1].new_page()
        page.set_default_timeout(5_000)
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: logged.append(message.text))
        page.on("pageerror", lambda error: logged.append(str(error)))
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]", state="attached")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert set(asked) == {path.as_uri()}
    assert logged == []


def whole_report() -> ReportFacts:
    """Return a report that has every section: all kinds of findings, pictures, healed ones, a certificate."""
    rows = many_findings(280)
    return facts(
        findings=rows,
        summary=summary_of(accepted=3, money=(money_row("81.00", "80.00", source="90.00"),)),
        orders_by_month=months_frame(),
        healed=rows.head(2).with_columns(healed_at=pl.lit(NOW)).select(list(HEALED.columns)),
        files=[("in/orders.csv", "a" * 64, 3)],
        notes=["Read back by listing."],
        certificate=certificate(),
        opened=[order_opened(rows["source_order_id"][3])],
    )


def order_opened(order_id: str) -> OpenedOrder:
    """Return an order with one field that differs."""
    return OpenedOrder(
        order_id,
        "created",
        ("400: the total does not add up",),
        ("export", "sent", "700003"),
        (
            ("order", None, "order_name", "#1", "#1", "#1"),
            ("order", None, "total_money", "27", "27.00", "28.00"),
            ("line", "1", "line_items.price", "10", "10.00", "10.00"),
        ),
    )


def rows_of(page: Page) -> Any:
    """Return the findings that are shown."""
    return page.locator("#table tbody tr.row")


def column(page: Page, title: str) -> list[str]:
    """Return what the cells of a column say, the small print left out."""
    cells = page.locator(f'#table td[data-name="{title}"]')
    return [text.split("\n")[0] for text in cells.all_inner_texts()]


def test_findings_are_filtered_and_the_count_is_told(opened: Any) -> None:
    """Each filter leaves the findings that are so, together with the others; clearing brings all back."""
    page = opened(whole_report())
    told = page.locator("#told")
    expect(told).to_have_text("280 findings, 1 to 50 shown")
    page.get_by_label("Cause", exact=True).select_option(label="rejected (40)")
    expect(told).to_have_text("40 of 280 findings")
    assert set(column(page, "Cause")) == {"rejected"}
    page.get_by_label("Currency", exact=True).select_option(label="EUR (56)")
    expect(told).to_have_text("8 of 280 findings")
    page.get_by_role("button", name="Clear the filters").click()
    expect(told).to_have_text("280 findings, 1 to 50 shown")
    for name, choice, count in (
        ("What", "missing (120)", 120),
        ("Field", "total_money (16)", 16),
        ("Month", "2022-01 (5)", 5),
        ("Owner", "nobody (168)", 168),
        ("Sign-off", "signed off (28)", 28),
        ("Step of the money", "duplicate (40)", 40),
    ):
        page.get_by_label(name, exact=True).select_option(label=choice)
        expect(told).to_have_text(re.compile(rf"^{count} of 280 findings"))
        page.get_by_role("button", name="Clear the filters").click()


def test_search_finds_orders_values_and_places(opened: Any) -> None:
    """Every word has to be there, in any part of a finding, whatever its case."""
    page = opened(whole_report())
    search = page.get_by_role("searchbox")
    for words, count in (
        ("4501231000007", 1),
        ("in/orders.csv:281", 1),
        ("MISSING rejected kim", 8),
        ("no such thing", 0),
    ):
        search.fill(words)
        expect(page.locator("#told")).to_have_text(re.compile(rf"^{count} of 280 findings"))
    expect(page.locator("#table tbody")).to_have_text("No finding is like that.")


def test_columns_sort_numbers_as_numbers_and_empty_cells_last(opened: Any) -> None:
    """By the keyboard, too; the head says which way."""
    rows = [
        finding(n, source_money=money, corso_money=None, kind="missing")
        for n, money in ((1, 9), (2, 100), (3, None))
    ]
    page = opened(facts(rows))
    head = page.get_by_role("columnheader", name="Apart")
    head.get_by_role("button").press("Enter")
    assert column(page, "Apart") == ["9.00", "100.00", ""]
    assert head.get_attribute("aria-sort") == "ascending"
    head.get_by_role("button").press("Enter")
    assert column(page, "Apart") == ["100.00", "9.00", ""]
    assert head.get_attribute("aria-sort") == "descending"


def test_findings_are_paged(opened: Any) -> None:
    """The last page holds the rest."""
    page = opened(whole_report())
    assert rows_of(page).count() == 50
    page.get_by_role("button", name="Last page").click()
    expect(page.locator("#pages")).to_contain_text("Page 6 of 6")
    assert rows_of(page).count() == 30
    assert page.get_by_role("button", name="Next page").is_disabled()
    page.get_by_role("button", name="First page").click()
    page.get_by_label("Findings a page").select_option("500")
    assert rows_of(page).count() == 280


def test_a_finding_opens_with_its_order_side_by_side(opened: Any) -> None:
    """What differs comes first; the whole order is one step away; another order says where it is told."""
    page = opened(whole_report())
    page.get_by_role("searchbox").fill("4501231000003")
    page.locator("#table .open").press("Enter")
    side = page.locator("tr.opened")
    expect(side).to_contain_text("Decide which side is right.")
    expect(side).to_contain_text("400: the total does not add up")
    assert side.locator("thead").first.inner_text().strip().split("\t") == [
        "Field",
        "In the export",
        "Sent",
        "Corso 700003",
    ]
    assert page.locator("#table .open").get_attribute("aria-expanded") == "true"
    assert page.evaluate("document.activeElement.className") == "open"
    page.get_by_role("searchbox").fill("4501231000010")
    page.locator("#table .open").click()
    expect(page.locator("tr.opened")).to_contain_text("corso-loader trace -c loader.yaml 4501231000010")
    page.locator("#table .open").click()
    assert page.locator("tr.opened").count() == 0


def test_the_fields_that_differ_are_marked(opened: Any) -> None:
    """By the findings of the order, line by line, not by comparing texts: tolerances hold here, too."""
    rows = [
        finding(3, source_order_id="o-3", field="total_money"),
        finding(4, source_order_id="o-3", field="line_items.price", source_line_item_id="2"),
    ]
    page = opened(facts(rows, opened=[order_opened("o-3")]))
    page.locator("#table .open").first.click()
    assert page.locator("tr.apart").first.inner_text().split("\t") == ["total_money", "27", "27.00", "28.00"]
    assert page.locator("tr.opened table").first.locator("tbody tr").count() == 1
    page.get_by_text("All 3 fields of the order").click()
    assert page.locator("tr.opened table").nth(1).locator("tbody tr").count() == 3


def test_pictures_and_tables_lead_to_their_findings(opened: Any) -> None:
    """A step of the money bridge and a cause are links that set the filters; the address can be passed on."""
    page = opened(whole_report())
    page.locator("#causes").get_by_role("link", name="rejected").click()
    expect(page.locator("#told")).to_have_text("40 of 280 findings")
    assert page.url.endswith("#kind=missing&cause=rejected")


def test_an_address_with_filters_opens_filtered(browser: Browser, tmp_path: Path) -> None:
    """A view can be passed on."""
    path = tmp_path / "reconciliation.html"
    render_html(whole_report(), path)
    page = browser.new_page()
    page.goto(f"{path.as_uri()}#step=not_sent&currency=USD")
    expect(page.locator("#told")).to_have_text("32 of 280 findings")
    assert page.get_by_label("Step of the money").input_value() == "=not_sent"
    page.close()


def test_hostile_text_does_nothing_in_the_findings(opened: Any) -> None:
    """It is shown as text, in the table, in the filters and in the opened order."""
    row = finding(
        1,
        source_order_id=HOSTILE,
        source_value=HOSTILE,
        corso_value="x" * 1_000_000,
        owner=HOSTILE,
        note=HOSTILE,
    )
    order = OpenedOrder(
        HOSTILE, None, (), ("export", "sent"), (("order", None, "order_name", HOSTILE, None),)
    )
    page = opened(facts(findings=findings_frame([row, finding(2)]), opened=[order]))
    page.locator("#table .open").first.click()
    assert page.locator("main img, tr img").count() == 0
    assert "<img src=x onerror=alert(1)></script>\ufffd=cmd()\u2407" in column(page, "Source says")[0]
    assert len(column(page, "Corso says")[0]) < 200


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_everybody_can_read_it(opened: Any, scheme: str, width: int) -> None:
    """axe-core finds no fault, serious or not: names, roles, contrast, tables, landmarks; also with a finding opened."""
    # axe has to run in the page, whose own rules allow no script but its own.
    page = opened(
        whole_report(), color_scheme=scheme, viewport={"width": width, "height": 900}, bypass_csp=True
    )
    page.locator("#table .open").nth(3).click()
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    found = Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []


def test_a_phone_shows_all_without_scrolling_sideways(opened: Any) -> None:
    """Findings are cards there, each value with its name."""
    page = opened(whole_report(), viewport={"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    cell = rows_of(page).first.locator('td[data-name="Cause"]')
    assert (
        page.evaluate("cell => getComputedStyle(cell, '::before').content", cell.element_handle())
        == '"Cause"'
    )
    frame = page.locator("#frame").bounding_box()
    card = rows_of(page).first.bounding_box()
    assert card["width"] <= frame["width"] <= 390


def test_dark_is_dark_and_light_is_light(opened: Any) -> None:
    """By what the system prefers."""
    shades = []
    for scheme in ("light", "dark"):
        page = opened(whole_report(), color_scheme=scheme)
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        shades.append(sum(map(int, re.findall(r"\d+", colour)[:3])))
    assert shades[0] > 600
    assert shades[1] < 150


def test_it_prints_without_controls_and_with_more_findings(opened: Any, tmp_path: Path) -> None:
    """Five hundred of those that are filtered; no menu, no filter, no pages."""
    page = opened(facts(findings=many_findings(700)))
    pdf = tmp_path / "page.pdf"
    page.pdf(path=pdf, format="A4")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes())) > 5
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert rows_of(page).count() == 500
    assert page.locator("section > details:not([open])").count() == 0
    for hidden in ("nav", "#tools", "#pages"):
        assert not page.locator(hidden).first.is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert rows_of(page).count() == 50


def test_the_verdict_and_the_pictures_need_no_script(browser: Browser, tmp_path: Path) -> None:
    """A viewer that runs none shows them, and says where the findings are."""
    path = tmp_path / "reconciliation.html"
    render_html(whole_report(), path)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.locator("h1").is_visible()
    assert page.locator(".months svg").first.is_visible()
    assert page.locator(".fall svg").first.is_visible()
    assert "use reconciliation.xlsx" in page.locator("#findings").inner_text()
    context.close()


def test_a_hundred_thousand_findings_are_painted_in_two_seconds_and_filtered_in_one(opened: Any) -> None:
    """The first paint is that of the verdict; the page answers soon after."""
    page = opened(facts(findings=many_findings(100_000)))
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert paint < 2000
    expect(page.locator("#told")).to_have_text("100,000 findings, 1 to 50 shown")
    spent = page.evaluate(
        """() => { const begin = performance.now(); const select = document.getElementById('by-cause');
        select.value = '=rejected'; select.dispatchEvent(new Event('change')); return performance.now() - begin; }"""
    )
    assert spent < 1000
    expect(page.locator("#told")).to_have_text(re.compile("^14,286 of 100,000 findings"))
