"""What the report costs with many findings: writing it, and using the page in a browser.

scripts/bench report [FINDINGS] [ROUNDS]

The page and the workbook are each written by a process of its own, with made-up findings of every kind, as many rows in
results.csv, and a tenth in quarantine.csv; beside them a process that only makes the findings. Chromium (Debian's) then opens
the page ROUNDS times, anew each time; medians.
"""

import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import polars as pl
from playwright.sync_api import Page, expect, sync_playwright

from benchmarks.measured_process import run

_TESTS = Path(__file__).parent.parent / "tests"
_TIMED = """async (act) => { const begin = performance.now(); act(); await new Promise(requestAnimationFrame);
await new Promise((done) => setTimeout(done)); return performance.now() - begin; }"""


def write(what: str, findings: int, folder: Path) -> None:
    """Make the findings, and write what was asked for: nothing, page or workbook."""
    sys.path.insert(0, str(_TESTS))
    from report_factories import facts, many_findings, months_frame  # noqa: PLC0415  (the tests' folder)

    from corso.report.page.writing import render_html  # noqa: PLC0415
    from corso.report.workbook import write_workbook  # noqa: PLC0415

    report = facts(findings=many_findings(findings), orders_by_month=months_frame())
    if what == "page":
        render_html(report, folder / "page.html")
    if what == "workbook":
        write_workbook(report, folder / "results.csv", folder / "quarantine.csv", folder / "book.xlsx")


def write_tables(rows: int, folder: Path) -> None:
    """Write results.csv and quarantine.csv."""
    at = pl.int_range(rows, eager=True).alias("at").to_frame()
    order = at.select(
        source_order_id=pl.format("450123{}", pl.col("at") + 1_000_000),
        postal_code=pl.lit("02101"),
        total=pl.lit("27.00"),
        name=pl.lit("Blue mug"),
    )
    results = order.with_columns(outcome=pl.lit("created"), corso_order_id=pl.lit("7"), reason=pl.lit(""))
    results.write_csv(folder / "results.csv")
    reasons = order.head(rows // 10).with_columns(file=pl.lit("a.csv"), line=pl.lit(2), reasons=pl.lit("bad"))
    reasons.write_csv(folder / "quarantine.csv")


def measure_writing(findings: int, folder: Path) -> None:
    """Print what each process took."""
    print("| writing | CPU s | wall s | peak MiB | file, MiB |\n|---|---|---|---|---|")
    for what, file in (("nothing", None), ("page", "page.html"), ("workbook", "book.xlsx")):
        command = [sys.executable, __file__, f"--write={what}", str(findings), folder]
        took = run(command, output=folder / "out", errors=folder / "errors")
        if took.code:
            raise SystemExit((folder / "errors").read_text())
        size = f"{(folder / file).stat().st_size / 2**20:.1f}" if file else ""
        print(f"| {what} | {took.cpu_s:.1f} | {took.wall_s:.1f} | {took.peak_mib:.0f} | {size} |")


def _timed(act: str) -> str:
    return f"({_TIMED})(() => {{ {act} }})"


def use(page: Page, address: str) -> dict[str, float]:
    """Open the page and use it; return what each step took, in milliseconds."""
    page.goto(address)
    page.wait_for_selector("html[data-ready]", state="attached")
    search = "const box = document.getElementById('find'); box.value = '@example.com kim'; box.dispatchEvent(new Event('input'));"
    took = {
        "first contentful paint": page.evaluate(
            "performance.getEntriesByName('first-contentful-paint')[0].startTime"
        ),
        "the findings are there": page.evaluate("performance.getEntriesByName('findings')[0].startTime"),
        "filter by cause": page.evaluate(
            _timed(
                "const by = document.getElementById('by-cause'); by.value = '=rejected'; by.dispatchEvent(new Event('change'));"
            )
        ),
        "sort by amount": page.evaluate(_timed("document.querySelectorAll('#table th button')[6].click();")),
        "clear": page.evaluate(_timed("document.getElementById('clear').click();")),
        "next page": page.evaluate(_timed("document.querySelectorAll('#pages button')[2].click();")),
        "open a finding": page.evaluate(_timed("document.querySelector('.open').click();")),
    }
    page.evaluate(f"{search} 0")
    expect(page.locator("#told")).to_contain_text(" of ", timeout=30_000)
    took["search, the wait for the last key included"] = page.evaluate(
        "performance.getEntriesByName('found').at(-1).duration + 150"
    )
    return took


def measure_page(file: Path, rounds: int) -> None:
    """Print the medians."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print("No Chromium here: apt-get install chromium")
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        times: list[dict[str, float]] = []
        for _ in range(rounds):
            context = browser.new_context(viewport={"width": 1280, "height": 900})
            times.append(use(context.new_page(), file.as_uri()))
            context.close()
        browser.close()
    print("\n| in the browser | ms, median | ms, worst |\n|---|---|---|")
    for step in times[0]:
        of_step = [each[step] for each in times]
        print(f"| {step} | {statistics.median(of_step):,.0f} | {max(of_step):,.0f} |")


def main() -> None:
    """Write, open, print."""
    if len(sys.argv) > 1 and sys.argv[1].startswith("--write="):
        write(sys.argv[1].partition("=")[2], int(sys.argv[2]), Path(sys.argv[3]))
        return
    findings = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_tables(findings, folder)
        print(f"{findings:,} findings\n")
        measure_writing(findings, folder)
        measure_page(folder / "page.html", rounds)


if __name__ == "__main__":
    main()
