"""The analyst's way, by the command: a workbook edited and dropped back, and a certificate that a second person checks."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl
import pytest

from tests.damage import Damaged
from tests.export_factories import line_text, order_text
from tests.loader_process import Shop
from tests.sandbox_process import RunningSandbox, running_sandbox

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def reconciled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, RunningSandbox]]:
    """Load three orders, rename one behind the loader's back, reconcile."""
    folder = tmp_path_factory.mktemp("sign-off")
    database = folder / "sandbox.db"
    with running_sandbox("--limit", "0", db=database) as sandbox:
        shop = Shop(folder / "shop", sandbox)
        shop.export([order_text(number) for number in (1, 2, 3)], [line_text(number) for number in (1, 2, 3)])
        shop.configure()
        assert shop.run("run").code == 0
    Damaged.of(database, {"o-2": "renamed"})
    with running_sandbox("--limit", "0", db=database) as sandbox:
        shop.sandbox = sandbox
        shop.configure("reconcile: {mode: listing}")
        assert shop.run("reconcile").code == 1
        yield shop, sandbox


def write_into(path: Path, **cells: Any) -> None:
    """Edit the first finding of a workbook, as an analyst does."""
    book = openpyxl.load_workbook(path)
    sheet = book["Findings"]
    header = [cell.value for cell in sheet[1]]
    for name, value in cells.items():
        sheet.cell(2, header.index(name) + 1).value = value
    book.save(path)


def the_finding(shop: Shop) -> dict[str, Any]:
    """Return the only finding."""
    (row,) = pl.read_parquet(shop.reports() / "reconciliation.parquet").to_dicts()
    return row


def test_a_workbook_dropped_back_is_taken_up_and_what_cannot_be_is_kept_and_named(
    reconciled: tuple[Shop, RunningSandbox],
) -> None:
    """Edited in place, as a copy in `review`, and as a file that is no workbook: nothing is lost in any of them."""
    shop, _ = reconciled
    folder = shop.reports()
    stale = shop.folder / "stale.xlsx"
    shutil.copy(folder / "reconciliation.xlsx", stale)
    write_into(folder / "reconciliation.xlsx", owner="Kim", signed_off_by="Ann Lee")
    answer = shop.run("reconcile")
    assert answer.code == 1, answer.said  # what is signed off is still not equal
    row = the_finding(shop)
    assert (row["owner"], row["signed_off_by"], row["kind"]) == ("Kim", "Ann Lee", "different")
    assert "Ann Lee" not in answer.said

    write_into(stale, owner="Bo")
    (folder / "review").mkdir()
    shutil.copy(stale, folder / "review" / "from Bo.xlsx")
    (folder / "reconciliation.xlsx").write_bytes(b"half of a file")
    answer = shop.run("reconcile")
    assert answer.code == 1, answer.said
    assert the_finding(shop)["owner"] == "Kim"
    assert {path.name.rsplit("-", 1)[0] for path in (folder / "review").iterdir()} == {
        "from Bo.xlsx",
        "reconciliation",
    }
    page = (folder / "reconciliation.html").read_text(encoding="utf-8")
    assert "were changed here and elsewhere" in page
    assert "cannot be read as a workbook" in page
    assert openpyxl.load_workbook(folder / "reconciliation.xlsx")["Findings"].max_row == 2

    for path in (folder / "review").iterdir():
        path.unlink()
    write_into(folder / "reconciliation.xlsx", note="renamed by hand")
    shutil.copy(folder / "reconciliation.xlsx", folder / "review" / "mail.xlsx")
    assert shop.run("reconcile").code == 1
    assert the_finding(shop)["note"] == "renamed by hand"
    assert [path.name for path in (folder / "review").iterdir()] == ["taken"]
    review = (shop.folder / "work" / str(shop.store_id) / "review.csv").read_text(encoding="utf-8")
    assert review.count("Ann Lee") == review.count("renamed by hand") == 1


def test_a_certificate_is_checked_again_line_by_line(reconciled: tuple[Shop, RunningSandbox]) -> None:
    """Untouched it holds; any file, count or hash that is not what it was is said, and the exit code tells."""
    shop, _ = reconciled
    certificate = shop.reports() / "certificate.json"

    def verify(path: Path) -> Any:
        return shop.run("reconcile", "--verify", str(path), batch=None, CORSO_CLIENT_ID=None)

    good = verify(certificate)
    assert good.code == 0, good.said
    assert "WRONG" not in good.out
    assert "Right: all" in good.out
    assert json.loads(shop.run("reconcile", "--verify", str(certificate), "--json").out)["right"] is True

    content = json.loads(certificate.read_text(encoding="utf-8"))
    forged = shop.folder / "forged.json"
    content["reconciliation"] |= {"matched": 3, "different": 0}
    forged.write_text(json.dumps(content), encoding="utf-8")
    answer = verify(forged)
    assert answer.code == 1
    wrong = [line.strip() for line in answer.out.splitlines() if "WRONG" in line]
    assert [line.split(":")[0] for line in wrong] == [
        "WRONG  the certificate's own SHA-256",
        "WRONG  orders matched, compared again",
        "WRONG  orders different, compared again",
    ]

    for damaged, said in (
        (shop.exports / "orders.csv", "input in/orders.csv"),
        (shop.reports() / "results.csv", "output results.csv"),
    ):
        before = damaged.read_bytes()
        damaged.write_bytes(before + b"\n")
        answer = verify(certificate)
        damaged.write_bytes(before)
        assert answer.code == 1, answer.said
        assert f"WRONG  {said}" in answer.out

    table = shop.reports() / "tables" / "corso_orders.parquet"
    kept = table.read_bytes()
    pl.read_parquet(table).head(2).write_parquet(table)
    answer = verify(certificate)
    table.write_bytes(kept)
    assert answer.code == 1
    assert "WRONG  orders missing, compared again: certified 0, found 1" in answer.out
    assert "WRONG  money USD 2026-11" in answer.out
    assert verify(certificate).code == 0


def test_what_is_no_certificate_is_a_usage_error(reconciled: tuple[Shop, RunningSandbox]) -> None:
    """Missing, something else, of another store, of a newer version: one sentence, exit code 2."""
    shop, _ = reconciled
    good = json.loads((shop.reports() / "certificate.json").read_text(encoding="utf-8"))
    path = shop.folder / "other.json"
    cases = {
        "is not there": None,
        "is no certificate": "{}",
        "is of store 1": json.dumps(good | {"store_id": 1}),
        "use a newer corso-loader": json.dumps(good | {"format": 2}),
    }
    for said, text in cases.items():
        if text is not None:
            path.write_text(text, encoding="utf-8")
        answer = shop.run("reconcile", "--verify", str(path), batch=None)
        assert answer.code == 2, answer.said
        assert said in answer.sentence
