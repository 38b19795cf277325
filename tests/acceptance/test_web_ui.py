"""Dagster's web UI in a real browser: what an operator does there, and what becomes of it.

CORSO_SCREENSHOTS=docs has the test keep what it sees (`scripts/screenshots`).
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dagster as dg
import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from assets.run_tags import PARTITION_TAG
from tests.loader_process import Shop, environment, good_orders
from tests.nights import FILES, Nights
from tests.sandbox_process import running_sandbox

CHROMIUM = shutil.which("chromium")
_ROOT = Path(__file__).resolve().parents[2]
_PATIENCE_S = 180
_GROUPS = ("extract", "validate", "plan", "upload", "read_back", "reconcile")
_CHECKS = {
    "quarantined_orders": ["accepted_tables_satisfy_the_contract", "every_row_is_accounted_for"],
    "uploaded_fulfillments": ["every_operation_is_settled"],
    "reconciliation_report": ["money_ties_to_the_cent"],
}

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.skipif(CHROMIUM is None, reason="needs a real browser: apt-get install chromium"),
]


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Start Chromium."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


class Operator:
    """Somebody with a browser, who clicks."""

    def __init__(self, page: Page, root_url: str, photographs: Path) -> None:
        self.page = page
        self._root_url = root_url
        self._photographs = photographs
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)

    def open(self, path: str) -> None:
        """Open a page of the UI."""
        self.page.goto(f"{self._root_url}/{path}")

    def button(self, name: str | re.Pattern[str]) -> Locator:
        """Find a button by what it says."""
        return self.page.get_by_role("button", name=name)

    def photograph(
        self, name: str, *, left: int = 241, top: int = 0, width: int = 999, height: int = 700
    ) -> None:
        """Keep a part of what is seen; the navigation at the left is left out."""
        # Texts of tables and plots come a moment after their places.
        self.page.wait_for_timeout(1_500)
        part = {"x": left, "y": top, "width": width, "height": height}
        self.page.screenshot(path=self._photographs / f"dagster-{name}.png", clip=part)  # type: ignore[arg-type]

    def open_launcher(self) -> None:
        """Go to the job by the navigation, and have it ask for partitions."""
        self.open("jobs")
        self.page.get_by_role("link", name="load_batch").first.click()
        self.button("Materialize all").first.click()
        expect(self.page.get_by_text("Partition selection")).to_be_visible()

    def choose(self, partition: str) -> None:
        """Choose one of the partitions that are offered."""
        self.page.get_by_text("Select a partition or create one").click()
        self.page.get_by_role("menuitem", name=partition).or_(
            self.page.locator(".bp5-menu-item, .bp6-menu-item", has_text=partition)
        ).first.click()
        self.page.keyboard.press("Escape")

    def launch(self, said: str) -> None:
        """Click the button that says so."""
        self.button(said).click()
        expect(self.page.get_by_text("Partition selection")).to_be_hidden()


@contextmanager
def web_ui(shop: Shop, home: Path) -> Iterator[str]:
    """Run `corso-loader ui`, which is web server and daemon; yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "pipelines.cli", "ui", "-c", str(shop.config), "--port", str(port)]
    told = environment(DAGSTER_HOME=str(home), PYTHONPATH=str(_ROOT), TZ="UTC")
    log = home.with_name("ui.log")
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, cwd=_ROOT, env=told, stdout=output, stderr=output, start_new_session=True
        ) as process,
    ):
        try:
            wait_for("the UI", lambda: "Serving dagster-webserver" in log.read_text(), log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def wait_for(what: str, happened: Callable[[], bool], log: Path) -> None:
    """Wait until something has happened; fail the test where it does not."""
    deadline = time.monotonic() + _PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline, f"{what}: not in {_PATIENCE_S} s; {log.read_text()[-3000:]}"
        time.sleep(0.5)


def test_an_operator_loads_looks_and_cancels_in_the_web_ui(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One batch by its name, the others as a backfill; checks and plots say what the reports say; a cancelled run ends in order."""
    photographs = Path(os.environ.get("CORSO_SCREENSHOTS") or tmp_path)
    home, db = tmp_path / "home", tmp_path / "corso.sqlite"
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with running_sandbox("--limit", "0", "--latency", "0.3", db=db) as sandbox:
        shop = Shop(tmp_path / "north", sandbox, files=FILES)
        shop.configure("limits: {max_in_flight: 3}\nupload: {canary: 2, listing_delay_s: 0.5}")
        nights = Nights(shop.folder)
        batches = ["2026-11-21", "2026-11-22", "2026-11-23"]
        for batch in batches:
            nights.drop(batch, nights.texts())
        with web_ui(shop, home) as url, dg.DagsterInstance.from_config(str(home)) as instance:
            context = browser.new_context(
                viewport={"width": 1240, "height": 800}, color_scheme="light", timezone_id="UTC"
            )
            operator = Operator(context.new_page(), url, photographs)
            log = home.with_name("ui.log")

            def ended(batch: str) -> list[str]:
                runs = instance.get_runs(dg.RunsFilter(tags={PARTITION_TAG: batch}))
                return [run.status.value for run in runs if run.is_finished]

            load_one(operator, batches[0])
            wait_for("the first batch", lambda: ended(batches[0]) == ["SUCCESS"], log)
            see_the_graph(operator)
            assert sandbox.counts()["orders"] == shop.summary(batches[0])["outcome"]["created"] > 0
            load_what_is_missing(operator)
            wait_for(
                "the others",
                lambda: [ended(batch) for batch in batches[1:]] == [["SUCCESS"], ["SUCCESS"]],
                log,
            )
            summaries = [shop.summary(batch) for batch in batches]
            assert sandbox.counts()["orders"] == sum(each["outcome"]["created"] for each in summaries)
            assert all(each["exit_code"] == 0 for each in summaries)
            see_the_checks(operator)
            see_the_figures(operator, summaries[-1])

            drop_much(shop, "2026-11-24")
            before = sandbox.counts()["orders"]
            add_and_load(operator, "2026-11-24")
            wait_for("some orders", lambda: sandbox.counts()["orders"] > before + 5, log)
            cancel(operator)
            wait_for("its end", lambda: ended("2026-11-24") == ["CANCELED"], log)
            see_the_cancelled_run(operator)
            summary = shop.summary("2026-11-24")
            assert summary["exit_code"] == 130
            assert summary["outcome"]["unknown"] == 0
            assert summary["outcome"]["created"] == sandbox.counts()["orders"] - before < 1000
        assert sandbox.stop() == 0


def see_the_graph(operator: Operator) -> None:
    """Open all groups; every asset of the road is there."""
    page = operator.page
    page.set_viewport_size({"width": 2240, "height": 1300})
    for group in _GROUPS:
        # Opened anew it fits the window; what is outside of that is not there to be clicked.
        operator.open("asset-groups")
        page.locator(f'foreignObject.group [data-tooltip="{group}"]').first.click()
    operator.open("asset-groups")
    for asset in (
        "raw_orders",
        "accepted_orders",
        "upload_plan",
        "uploaded_orders",
        "corso_orders",
        "reconciliation",
    ):
        expect(page.get_by_text(asset, exact=True).first).to_be_visible()
    operator.photograph("graph", left=560, top=150, width=1634, height=1040)
    page.set_viewport_size({"width": 1240, "height": 800})


def load_one(operator: Operator, batch: str) -> None:
    """Launch the job for one batch, which is offered though nothing ran yet."""
    operator.open_launcher()
    operator.choose(batch)
    expect(operator.button("Launch 1 run")).to_be_enabled()
    operator.photograph("launch", left=270, top=100, width=700, height=490)
    operator.launch("Launch 1 run")


def load_what_is_missing(operator: Operator) -> None:
    """A backfill over all batches that were never loaded."""
    operator.open_launcher()
    operator.button("Missing").first.click()
    operator.button(re.compile(r"^(Launch backfill|Launch 2 runs)")).click()


def see_the_checks(operator: Operator) -> None:
    """Every check has passed for the batch that was loaded last."""
    page = operator.page
    for asset, checks in _CHECKS.items():
        operator.open(f"assets/{asset}?view=checks")
        for check in checks:
            operator.open(f"assets/{asset}?view=checks&checkDetail={check}")
            expect(page.get_by_text("Passed", exact=True).first).to_be_visible()
        assert "Failed" not in page.inner_text("body")
    operator.open("assets/quarantined_orders?view=checks&checkDetail=every_row_is_accounted_for")
    expect(page.get_by_text("line items, rows not accounted for").first).to_be_visible()
    operator.photograph("checks", height=580)


def see_the_figures(operator: Operator, summary: dict[str, dict[str, int]]) -> None:
    """The metadata is what the report says, and a line over the batches."""
    page = operator.page
    operator.open("assets/uploaded_orders?view=overview")
    for outcome, count in summary["outcome"].items():
        row = page.get_by_role("row").filter(has_text=re.compile(rf"^{outcome.replace('_', ' ')}"))
        expect(
            row.or_(page.locator("tr", has=page.get_by_text(outcome.replace("_", " "), exact=True))).first
        ).to_contain_text(str(count))
    operator.button("Plots").or_(page.get_by_text("Plots", exact=True)).first.click()
    expect(page.locator("canvas").first).to_be_visible()
    page.get_by_text("Description", exact=True).first.click()
    operator.photograph("plots")


def drop_much(shop: Shop, batch: str) -> None:
    """Deliver a batch that takes a while."""
    shop.export(good_orders(range(5000, 6000)))
    folder = shop.folder / batch
    shop.exports.rename(folder)
    (folder / "line_items.csv").rename(folder / "lines.csv")
    (folder / "_COMPLETE").touch()


def add_and_load(operator: Operator, batch: str) -> None:
    """A batch that came since: its name is typed in, and it is the one that was never loaded."""
    operator.open_launcher()
    operator.page.get_by_text("Add a partition").click()
    operator.page.get_by_placeholder("name").fill(batch)
    operator.button("Save").click()
    expect(operator.page.get_by_placeholder("name")).to_be_hidden()
    operator.open_launcher()
    operator.button("Missing").first.click()
    expect(operator.page.get_by_text("1 partition", exact=True)).to_be_visible()
    operator.button(re.compile("^Launch")).click()
    expect(operator.page.get_by_text("Partition selection")).to_be_hidden()


def cancel(operator: Operator) -> None:
    """Terminate the run that is going on."""
    page = operator.page
    operator.open("runs")
    page.get_by_text("View", exact=True).first.click()
    operator.button("Terminate").first.click()
    operator.button("Terminate 1 run").or_(
        page.get_by_role("dialog").get_by_role("button", name=re.compile("Terminate"))
    ).last.click()


def see_the_cancelled_run(operator: Operator) -> None:
    """It says that it was cancelled."""
    page = operator.page
    expect(page.get_by_text("Canceled").first).to_be_visible()
