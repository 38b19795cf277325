"""The workbook in a real spreadsheet program: what it shows is what was written, and nothing was reckoned or guessed."""

import csv
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest
from factories import summary_of
from report_factories import facts, finding, findings_frame, many_findings, money_row

from corso.report.facts import ReportFacts
from corso.report.workbook import write_workbook

SOFFICE = shutil.which("soffice")
HOSTILE = [
    "=1+1",
    "=HYPERLINK(A1)",
    "{=A1}",
    "+1-1",
    "@SUM(A1)",
    "00123",
    "9.2E+11",
    "2026-11-22",
    "1e5",
    "TRUE",
    "=cmd|'/C calc'!A1",
]
ALL_SHEETS = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,false,false,false,false,-1"
"""LibreOffice's filter: commas, quotes, UTF-8, cells not as shown but as they are, every sheet a file."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(SOFFICE is None, reason="needs LibreOffice: apt-get install libreoffice-calc"),
]


def sheets_of(
    report: ReportFacts, folder: Path, results: str, quarantine: str = "file,line\n"
) -> dict[str, list[list[str]]]:
    """Write the workbook, let LibreOffice open it and save each sheet; return the rows by sheet."""
    (folder / "results.csv").write_text(results)
    (folder / "quarantine.csv").write_text(quarantine)
    path = folder / "reconciliation.xlsx"
    write_workbook(report, folder / "results.csv", folder / "quarantine.csv", path)
    assert SOFFICE is not None
    home = f"-env:UserInstallation={(folder / 'profile').as_uri()}"
    command = [
        SOFFICE,
        home,
        "--headless",
        "--convert-to",
        ALL_SHEETS,
        "--outdir",
        str(folder / "out"),
        str(path),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    sheets = {}
    for file in (folder / "out").glob("*.csv"):
        with file.open(encoding="utf-8", newline="") as stream:
            sheets[file.stem.removeprefix("reconciliation-")] = list(csv.reader(stream))
    return sheets


def test_text_stays_text_numbers_are_numbers_and_no_formula_runs(tmp_path: Path) -> None:
    """Ids and postal codes keep their zeros, long digits their form; what looks like a formula is its own text."""
    rows = [
        finding(number, source_value=text, source_money=Decimal("1234.5"))
        for number, text in enumerate(HOSTILE, 1)
    ]
    results = "id,zip\n" + "".join(f"{number},0210{number}\n" for number in range(3))
    report = facts(rows, summary=summary_of(accepted=3, money=(money_row("81.00", "81.00"),)))
    sheets = sheets_of(report, tmp_path, results)
    assert set(sheets) == {"Summary", "Money", "Findings", "Quarantine", "Results"}
    head, *findings = sheets["Findings"]
    assert [row[head.index("source_value")] for row in findings] == HOSTILE
    assert {row[head.index("source_money")] for row in findings} == {"1234.5"}
    assert {row[head.index("first_seen")][:10] for row in findings} == {"2026-11-22"}
    assert sheets["Results"][1:] == [["0", "02100"], ["1", "02101"], ["2", "02102"]]
    assert sheets["Money"][1][:3] == ["USD", "2026-11", "81"]
    assert sheets["Summary"][1][0] == "Verdict"


def test_every_row_is_there(tmp_path: Path) -> None:
    """Twenty thousand findings, as many results."""
    results = "id\n" + "".join(f"{number:08}\n" for number in range(20_000))
    sheets = sheets_of(facts(findings=many_findings(20_000)), tmp_path, results, "file,line\na.csv,2\n")
    assert {name: len(rows) - 1 for name, rows in sheets.items() if name not in {"Summary", "Money"}} == {
        "Findings": 20_000,
        "Results": 20_000,
        "Quarantine": 1,
    }
    head, *findings = sheets["Findings"]
    assert len({row[head.index("finding_id")] for row in findings}) == 20_000


def test_nothing_found_is_a_workbook_too(tmp_path: Path) -> None:
    """Heads without rows."""
    sheets = sheets_of(facts(findings=findings_frame([])), tmp_path, "id\n")
    assert len(sheets["Findings"]) == 1
