"""The page and the workbook: the verdict first, nothing from the data runs, personal data stays in the workbook."""

import base64
import errno
import hashlib
import re
import tracemalloc
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl
import pytest
from factories import NOW, summary_of
from hypothesis import given
from hypothesis import strategies as st
from report_factories import facts, finding, findings_frame, many_findings, money_row

import corso.report.page.embedded
import corso.report.page.writing
import corso.report.workbook
from corso.report.bridge import money_bridge
from corso.report.facts import ReportFacts
from corso.report.masking import is_personal, masked_text, masked_texts, masked_values, shown, shown_values
from corso.report.page.writing import page, render_html
from corso.report.tables import CAUSE_WORDS, by_cause, by_field
from corso.report.tolerances import TOLERANCES
from corso.report.verdict import judge
from corso.report.workbook import FINDING_COLUMNS, write_workbook
from schemas.fields import dtypes
from schemas.filled_values import FallbackUse, RuleUse
from schemas.orders import ORDERS
from schemas.reconciliation import CAUSES, FINDINGS

HOSTILE = "<script>alert('x')</script>=cmd()\u202e\x07"


def workbook_of(
    report: ReportFacts, folder: Path, results: str = "id,outcome\n", quarantine: str = "file,line\n"
) -> Any:
    """Write the workbook and open it."""
    (folder / "results.csv").write_text(results)
    (folder / "quarantine.csv").write_text(quarantine)
    path = folder / "reconciliation.xlsx"
    write_workbook(report, folder / "results.csv", folder / "quarantine.csv", path)
    return openpyxl.load_workbook(path)


def cells(sheet: Any) -> list[tuple[Any, ...]]:
    """Return a sheet's values, row by row."""
    return [tuple(row) for row in sheet.iter_rows(values_only=True)]


def test_the_page_says_the_verdict_first_and_each_part_of_the_promise() -> None:
    """What an analyst signs stands at the top."""
    text = page(facts())
    heading = re.search(r"<h1[^>]*>(.*?)</h1>", text)
    assert heading is not None
    assert heading[1] == judge(facts().summary).sentence
    assert text.count('class="kept"') == 3
    assert text.index("<h1") < text.index("<h2")


def test_the_page_asks_no_network_and_runs_its_own_script_only() -> None:
    """One script that runs and one style sheet, each allowed by its hash; no address of anything outside."""
    text = page(facts([finding()]))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    for directive, element in (("style-src", "style"), ("script-src", "script")):
        parts = re.findall(rf"<{element}>(.*?)</{element}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(parts[0].encode()).digest()).decode()
        assert len(parts) == 1
        assert f"{directive} 'sha256-{digest}';" in policy[1]
    assert "default-src 'none'" in policy[1]
    assert "require-trusted-types-for 'script'" in policy[1]
    assert not re.search(r"(src|href)=\"(?!data:,\"|#)", text)
    assert "http://" not in text
    assert "https://" not in text


def test_hostile_text_is_shown_and_does_nothing() -> None:
    """Escaped wherever data goes, control characters made visible."""
    row = finding(
        source_order_id=HOSTILE, field="order_name", source_value=HOSTILE, corso_value=HOSTILE, file=HOSTILE
    )
    report = facts(
        [row],
        notes=[HOSTILE],
        stopped=HOSTILE,
        profile=HOSTILE,
        environment=HOSTILE,
        fallbacks_used=[FallbackUse(HOSTILE, 1, (RuleUse(HOSTILE, 1, 1),))],
        files=[(HOSTILE, "abc", 1)],
        ignored=[HOSTILE],
        reasons=pl.DataFrame({"outcome": ["rejected"], "reason": [HOSTILE], "orders": [1]}),
        problems=pl.DataFrame([
            dict.fromkeys(("table", "rule", "column", "sentence", "remedy", "file"), HOSTILE)
            | {"rows": 1, "orders": 1, "line": 1}
        ]),
    )  # fmt: skip
    text = page(report)
    assert "<script>alert" not in text
    assert text.count("<script") == 4
    assert text.count("</script>") == 4
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;=cmd()\ufffd\u2407" in text
    assert "\\u003cscript>alert('x')\\u003c/script>=cmd()\ufffd\u2407" in text


def test_fallbacks_are_shown_rule_by_rule_in_page_and_workbook(tmp_path: Path) -> None:
    """Values of accepted orders first, then those of all rows; one that filled nothing is there too."""
    uses = [
        FallbackUse("line_items.sku", 35, (RuleUse("{variant_id}", 30, 31), RuleUse("none", 8, 8))),
        FallbackUse("orders.notes", 0, (RuleUse("x", 0, 0),)),
    ]
    report = facts(fallbacks_used=uses)
    section = page(report).split("<h3>Fallbacks used</h3>")[1].split("</table>")[0]
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in section.split("<tr>")[2:]]
    assert rows == [
        ["<code>line_items.sku</code>", "<code>{variant_id}</code>", "30", "35", "31"],
        ["", "<code>none</code>", "8", "", "8"],
        ["<code>orders.notes</code>", "<code>x</code>", "0", "0", "0"],
    ]
    summary = cells(workbook_of(report, tmp_path)["Summary"])
    assert (
        "Fallback line_items.sku",
        "38 line items of 35 orders: 30 by {variant_id}, 8 by none (1 more in rows that are not loaded)",
    ) in summary
    assert ("Fallback orders.notes", "nothing") in summary


def test_personal_data_is_masked_on_the_page_by_the_name_of_its_column() -> None:
    """The page is passed around; a customer must not be."""
    rows = [
        finding(1, field="customer_email", source_value="ann@example.com", corso_value="bob@example.com"),
        finding(2, field="shipping_address_line1", source_value="12 Elm Street", corso_value=None),
        finding(3, field="notes", source_value="ring Ann", corso_value="ring Bob"),
    ]
    reasons = pl.DataFrame(
        {"outcome": ["rejected"], "reason": ["400: ann@example.com, +12025550123 is bad"], "orders": [1]}
    )
    text = page(facts(rows, reasons=reasons))
    for secret in ("ann@", "bob@", "example.com", "Elm", "ring Ann", "ring Bob", "2025550123"):
        assert secret not in text
    assert "a•••@•••" in text


@pytest.mark.parametrize(
    ("field", "personal"),
    [
        ("customer_email", True),
        ("customer_phone", True),
        ("customer_currency_code", False),
        ("customer_source_customer_id", False),
        ("billing_address_postal_code", True),
        ("shipping_address_latitude", True),
        ("shipping_address_country_code", False),
        ("notes", True),
        ("line_items.name", False),
        ("total_money", False),
        (None, False),
    ],
)  # fmt: skip
def test_which_columns_are_personal(field: str | None, personal: bool) -> None:
    """Names, addresses, e-mail, phones and notes; not ids, codes and money."""
    assert is_personal(field) is personal


def veiled(value: str | None, field: str) -> str | None:
    """Return what masking makes of one value."""
    frame = pl.DataFrame({"field": [field], "value": [value]}, schema_overrides={"value": pl.String})
    shown_ = masked_values(frame, "field", "value").select(shown_values(pl.col("value")))
    return str(shown_.item()) if shown_.item() is not None else None


@pytest.mark.parametrize(
    ("field", "value", "is_shown"),
    [
        ("source_created_on", "2026-11-20T17:30:00+00:00", True),
        ("source_created_on", "20/11/2026 5:30 PM", True),
        ("source_created_on", "Nov 3, 2025 12:00:00 UTC", True),
        ("total_money", "$ 1.234,50 USD", True),
        ("source_created_on", "Ann Lee", False),
        ("line_items.quantity", "1 Main St", False),
        ("total_money", "Marianne", False),
        ("sku", "Ann Lee", True),
    ],
)
def test_what_stands_in_a_column_of_dates_or_numbers_and_is_none_is_masked(
    field: str, value: str, is_shown: bool
) -> None:
    """In a row that has slipped by a column a name stands where a date should be."""
    frame = pl.DataFrame({"field": [field], "value": [value]})
    shown_ = masked_values(frame, "field", "value")["value"].item()
    assert shown_ == (value if is_shown else f"{value[0]}•••")


def test_masking_keeps_nothing_but_the_first_letter() -> None:
    """And what is not there stays not there."""
    assert veiled("Ann", "customer_first_name") == "A•••"
    assert veiled("ann@example.com", "customer_email") == "a•••@•••"
    assert veiled(None, "notes") is None
    assert veiled("", "notes") == "•••"
    assert veiled("x" * 1_000_000, "order_name") == "x" * 160 + "… (1000000 characters)"
    assert masked_text("order 12, call +1 202 555-0123") == "order 12, call •••"
    assert masked_text("seen 2026-11-22 03:00, 12 345 678 9") == "seen 2026-11-22 03:00, •••"
    assert shown("a\x00b") == "a␀b"


@given(st.text(max_size=400))
def test_a_column_is_shown_as_a_single_text_is(text: str) -> None:
    """Two ways, one result: control characters, marks of direction, length."""
    assert pl.DataFrame({"text": [text]}).select(shown_values(pl.col("text"))).item() == shown(text)


@given(st.from_regex(r"([a-z]{0,3}[ @.+()-]?\d{0,4}[ -]?){0,6}(2026-11-2\d)? ?\d{0,9}", fullmatch=True))
def test_a_column_of_free_text_is_veiled_as_a_single_text_is(text: str) -> None:
    """Two ways, one result."""
    frame = pl.DataFrame({"text": [text]})
    assert frame.select(masked_texts(pl.col("text"))).item() == masked_text(text)


def test_personal_data_is_shown_where_the_merchant_wants_it() -> None:
    """`report.personal_data: show`: the page is then for its owner only; hostile text is harmless all the same."""
    rows = [finding(1, field="customer_email", source_value="ann@example.com", corso_value=HOSTILE)]
    text = page(facts(rows, personal=True))
    assert "ann@example.com" in text
    assert "masked on this page" not in text
    assert "<script>alert" not in text


def test_the_page_says_how_many_findings_are_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred thousand on the page, the rest in the workbook."""
    monkeypatch.setattr(corso.report.page.embedded, "FINDINGS_ON_PAGE", 2)
    monkeypatch.setattr(corso.report.page.writing, "FINDINGS_ON_PAGE", 2)
    text = page(facts([finding(number) for number in range(1, 6)]))
    assert (
        "The first 2 of 5, the gravest first; 3 more are in reconciliation.xlsx and reconciliation.parquet."
        in text
    )
    assert '"rows":2' in text


def test_the_page_names_every_tolerance_and_what_is_not_compared() -> None:
    """What counts as equal is part of what is signed."""
    text = page(facts(ignored=("notes", "line_items.vendor")))
    for rule in TOLERANCES:
        assert rule.name in text
    assert "By reconcile.ignore: notes, line_items.vendor." in text


def test_a_batch_without_anything_has_a_page(tmp_path: Path) -> None:
    """Zero orders divide no bar by zero."""
    path = tmp_path / "reconciliation.html"
    render_html(facts(summary=summary_of()), path)
    assert "all 0 source orders" in path.read_text(encoding="utf-8")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_page_before_reconciling_claims_nothing() -> None:
    """After upload, whether Corso holds the orders is not known."""
    text = page(facts(summary=summary_of(accepted=3, reconciliation={}), stage="upload"))
    assert text.count('class="unknown"') == 2
    assert "Found in Corso" not in text


def test_every_cause_has_its_words() -> None:
    """The page explains each."""
    assert set(CAUSE_WORDS) == set(CAUSES)
    assert set(ORDERS.columns) >= {"customer_email", "notes"}


def test_the_money_is_followed_through_its_causes() -> None:
    """Source - quarantined - rejected - unknown - not sent = Corso; what is then apart has a name."""
    rows = [
        finding(1, kind="missing", cause="quarantined", source_money=Decimal(10), corso_money=None),
        finding(2, kind="missing", cause="rejected", source_money=Decimal(20), corso_money=None),
        finding(3, kind="different", cause="not_sent", source_money=Decimal(30), corso_money=Decimal(25)),
        finding(4, kind="duplicated", cause="duplicate", source_money=Decimal(7), corso_money=Decimal(7)),
        finding(4, kind="duplicated", cause="duplicate", source_money=None, corso_money=Decimal(7)),
        finding(5, kind="foreign", cause="foreign", source_money=None, corso_money=Decimal(1000)),
    ]
    bridge = money_bridge([money_row("100", "82", source="110")], findings_frame(rows))
    assert bridge.drop("currency", "month").row(0, named=True) == {
        "source": Decimal(110),
        "quarantined": Decimal(10),
        "rejected": Decimal(20),
        "unknown": Decimal(0),
        "not_sent": Decimal(5),
        "expected": Decimal(75),
        "corso": Decimal(82),
        "difference": Decimal(-7),
        "changed": Decimal(0),
        "duplicate": Decimal(-7),
        "unexplained": Decimal(0),
        "foreign": Decimal(1000),
        "corso_with_foreign": Decimal(1082),
    }


def test_money_that_is_explained_ties_and_money_that_is_not_does_not() -> None:
    """A rejected order's total is rightly not in Corso; a changed one's is off."""
    rejected = findings_frame(
        [finding(kind="missing", cause="rejected", source_money=Decimal(5), corso_money=None)]
    )
    summary = summary_of(accepted=3, money=(money_row("81", "76"),))
    part = judge(summary, rejected).promise[2]
    assert part.kept
    assert (
        part.sentence
        == "the money ties to the cent, once quarantined, rejected, unknown and not sent are taken off"
    )
    apart = judge(summary, findings_frame([])).promise[2]
    assert (apart.kept, apart.sentence) == (False, "the money does not tie: it is off by 5.00 USD")
    both_ways = summary_of(accepted=3, money=(money_row("81", "76"), money_row("81", "86", month="2026-12")))
    assert judge(both_ways).promise[2].sentence == "the money does not tie: it is off by 10.00 USD"


def test_findings_are_counted_by_cause_and_by_field() -> None:
    """One line a cause, one line a field, with which side is empty."""
    rows = [
        finding(1),
        finding(1, field="notes", source_value=None),
        finding(2, corso_value=None),
        finding(3, kind="foreign", cause="foreign", field=None),
    ]
    frame = findings_frame(rows)
    assert by_cause(frame).rows() == [("different", "changed_in_corso", 3, 2), ("foreign", "foreign", 1, 1)]
    assert by_field(frame).rows() == [("order_name", 2, 1, 0, 1), ("notes", 1, 0, 1, 0)]


def test_the_workbook_has_its_sheets_with_real_numbers_and_dates_and_text_as_text(tmp_path: Path) -> None:
    """Money can be summed, ids and postal codes keep their zeros, headers are frozen and filtered."""
    row = finding(source_order_id="00123", source_value="0123")
    book = workbook_of(facts([row]), tmp_path, results="id,zip,outcome\n007,02101,created\n")
    assert book.sheetnames == ["Summary", "Money", "Findings", "Quarantine", "Results"]
    header, first = cells(book["Findings"])
    assert sorted(header) == sorted(dtypes(FINDINGS))
    assert list(header)[: len(FINDING_COLUMNS)] == [name for name in FINDING_COLUMNS if name in header]
    values = dict(zip(header, first, strict=True))
    assert (values["source_order_id"], values["source_value"]) == ("00123", "0123")
    assert (values["source_money"], values["line"], values["age_days"]) == (27, 2, 0)
    assert abs(values["first_seen"] - NOW.replace(tzinfo=None)) < timedelta(milliseconds=1)
    assert cells(book["Results"]) == [("id", "zip", "outcome"), ("007", "02101", "created")]
    for name in ("Money", "Findings", "Quarantine", "Results"):
        assert book[name].freeze_panes == "A2"
        assert book[name].auto_filter.ref.startswith("A1:")
    assert cells(book["Money"])[1][:3] == ("USD", "2026-11", 81)
    assert cells(book["Summary"])[1] == ("Verdict", judge(facts().summary).sentence)
    assert (tmp_path / "reconciliation.xlsx").stat().st_mode & 0o777 == 0o600


def test_amounts_counts_and_instants_of_the_export_are_real_where_they_are_written_plainly(
    tmp_path: Path,
) -> None:
    """A spreadsheet sums them; what is written otherwise, and every id, stays as the export has it."""
    long = "12345678901234.25"
    results = f"""source_order_id,Total Money,sourceCreatedOn,grams,zip
007,12.50,2026-01-31T10:00:00+02:00,300,02101
008,"1,234.50",2026-01-31 10:00,much,5
009,-0.10,,007,6
010,{long},2026-01-31T10:00:00Z,1,7
"""
    sheet = cells(workbook_of(facts(), tmp_path, results=results)["Results"])
    assert [row[1] for row in sheet[1:]] == [12.5, "1,234.50", -0.1, long]
    assert [row[2] and str(row[2]) for row in sheet[1:]] == [
        "2026-01-31 08:00:00", "2026-01-31 10:00", None, "2026-01-31 10:00:00",
    ]  # fmt: skip
    assert [row[3] for row in sheet[1:]] == [300, "much", "007", 1]
    assert [(row[0], row[4]) for row in sheet[1:3]] == [("007", "02101"), ("008", "5")]


def test_page_and_sheet_say_the_steps_of_the_money_with_the_same_signs(tmp_path: Path) -> None:
    """What is there more than once adds to what is expected, what was rejected is taken off; a row adds up."""
    rows = [
        finding(1, kind="missing", cause="rejected", source_money=Decimal(20), corso_money=None),
        finding(2, kind="duplicated", cause="duplicate", source_money=Decimal(7), corso_money=Decimal(7)),
        finding(2, kind="duplicated", cause="duplicate", source_money=None, corso_money=Decimal(7)),
    ]
    report = replace(
        facts(rows), summary=summary_of(accepted=4).model_copy(update={"money": (money_row("100", "87"),)})
    )
    header, first = cells(workbook_of(report, tmp_path)["Money"])
    said = dict(zip(header, first, strict=True))
    assert (said["Rejected"], said["= Expected in Corso"], said["Duplicates"], said["= In Corso"]) == (
        -20,
        80,
        7,
        87,
    )
    text = page(report)
    table = text[text.index('<table class="grid money">') :]
    assert "\u221220.00</a>" in table
    assert "+7.00</a>" in table
    assert "+7.00" in text[: text.index('<table class="grid money">')]


def test_the_analysts_columns_are_marked_and_say_what_belongs_there(tmp_path: Path) -> None:
    """Owner, note and signed_off_by, and no other; what was written before stands in them; the seal is out of sight."""
    book = workbook_of(facts([finding(owner="Kim", note="asked"), finding(2)]), tmp_path)
    sheet = book["Findings"]
    header = cells(sheet)[0]
    theirs = {"owner", "note", "signed_off_by"}
    marked = {cell.value for cell in sheet[1] if cell.fill.fgColor.rgb == "FFFFD966"}
    assert marked == theirs
    hinted = {
        header[next(iter(each.sqref.ranges)).min_col - 1] for each in sheet.data_validations.dataValidation
    }
    assert hinted == theirs
    assert all(each.prompt and each.showInputMessage for each in sheet.data_validations.dataValidation)
    assert cells(sheet)[1][header.index("owner")] == "Kim"
    hidden = {
        header[sheet[f"{letter}1"].column - 1]
        for letter, each in sheet.column_dimensions.items()
        if each.hidden
    }
    assert hidden <= {"seal"}


def test_an_amount_with_more_digits_than_a_number_holds_is_text(tmp_path: Path) -> None:
    """A spreadsheet would round it to fifteen digits, and say nothing."""
    exact = "123456789012345678.25"
    book = workbook_of(facts([finding(source_money=Decimal(exact))]), tmp_path)
    header, first = cells(book["Findings"])
    assert dict(zip(header, first, strict=True))["source_money"] == exact


@pytest.mark.slow
def test_a_workbook_for_which_there_is_no_room_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library has a class of its own for what the disk refuses."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("zipfile.ZipFile.write", refuse)
    with pytest.raises(OSError, match=r"No space left on device: '.*reconciliation\.xlsx'"):
        workbook_of(facts(), tmp_path)
    assert {each.name for each in tmp_path.iterdir()} == {"results.csv", "quarantine.csv"}


def test_many_findings_take_no_more_memory_than_few(tmp_path: Path) -> None:
    """Rows are written from the top and forgotten; beyond them there is the frame that they are read from."""
    (tmp_path / "results.csv").write_text("id\n")
    (tmp_path / "quarantine.csv").write_text("file\n")
    peaks = []
    for number in (2_000, 12_000):
        report = facts(findings=many_findings(number))
        tracemalloc.start()
        write_workbook(report, tmp_path / "results.csv", tmp_path / "quarantine.csv", tmp_path / "r.xlsx")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0] + 1_000_000
    with closing(openpyxl.load_workbook(tmp_path / "r.xlsx", read_only=True)) as book:
        assert sum(1 for _ in book["Findings"].iter_rows()) == 12_001


def test_nothing_in_the_workbook_becomes_a_formula_or_a_link(tmp_path: Path) -> None:
    """Also what results.csv had to make harmless: there the apostrophe goes again."""
    hostile = ["=cmd()", "{=A1}", "http://evil.example", "mailto:x@y.z", "+A1", "@x"]
    results = "id\n" + "".join(f"'{value}\n" if value[0] in "=+@" else f"{value}\n" for value in hostile)
    book = workbook_of(facts([finding(source_value=value) for value in hostile]), tmp_path, results=results)
    assert [row[0] for row in cells(book["Results"])[1:]] == hostile
    column = cells(book["Findings"])[0].index("source_value")
    assert [row[column] for row in cells(book["Findings"])[1:]] == hostile
    for sheet in book:
        for row in sheet.iter_rows():
            assert all(cell.data_type != "f" and cell.hyperlink is None for cell in row)


def test_a_cell_holds_what_a_cell_can_hold(tmp_path: Path) -> None:
    """A megabyte is cut, not lost with a warning."""
    book = workbook_of(facts([finding(source_value="x" * 1_000_000)]), tmp_path)
    column = cells(book["Findings"])[0].index("source_value")
    assert len(cells(book["Findings"])[1][column]) == 32_767


def test_a_sheet_that_is_cut_says_where_the_rest_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A spreadsheet has an end; results.csv has none."""
    monkeypatch.setattr(corso.report.workbook, "MAX_ROWS", 2)
    book = workbook_of(facts(), tmp_path, results="id\n1\n2\n3\n")
    assert len(cells(book["Results"])) == 3
    assert ("Sheet Results", "the first 2 of 3 rows; all of them are in results.csv") in cells(
        book["Summary"]
    )
