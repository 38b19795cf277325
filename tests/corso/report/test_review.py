"""Findings have a life, and what people say of them is never lost."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl
import pytest
from comparing import Found, compared
from factories import NOW, Row, line_row, order_row, record_of
from report_factories import facts, finding, findings_frame

from corso.errors import UsageError
from corso.report.life import Earlier
from corso.report.returned import SHEET, read_returned, take_up
from corso.report.review import REVIEWS, drop_fallen, read_reviews, reviewed, write_reviews
from corso.report.workbook import write_workbook

TOMORROW = NOW + timedelta(days=1)
NOBODY = pl.DataFrame(schema=REVIEWS)


def renamed(name: str = "#9", **also: Any) -> Found:
    """Compare an order with its record, which has another name."""
    order, line = order_row(), line_row()
    return compared([order], [line], [record_of(order, [line], orderName=name)], **also)


def well(**also: Any) -> Found:
    """Compare an order with its equal record."""
    order, line = order_row(), line_row()
    return compared([order], [line], [record_of(order, [line])], **also)


def after(found: Found, **also: Any) -> Earlier:
    """Return what the next reconciliation knows."""
    return Earlier(open=found.findings.lazy(), healed=found.healed.lazy(), **also)


def test_a_finding_grows_older_heals_and_comes_back_as_the_same() -> None:
    """Its id and its first day stay; it is healed from the first reconciliation on that does not find it."""
    first = renamed()
    assert first.findings.select("first_seen", "age_days").row(0) == (NOW, 0)
    second = renamed(earlier=after(first), now=NOW + timedelta(days=3, hours=23))
    assert second.findings.select("first_seen", "age_days").row(0) == (NOW, 3)
    third = well(earlier=after(second), now=NOW + timedelta(days=5))
    assert third.findings.is_empty()
    assert third.healed.select("finding_id", "first_seen", "healed_at").rows() == [
        (first.findings["finding_id"][0], NOW, NOW + timedelta(days=5))
    ]
    still = well(earlier=after(third), now=NOW + timedelta(days=6))
    assert still.healed["healed_at"].to_list() == [NOW + timedelta(days=5)]
    back = renamed(earlier=after(still), now=NOW + timedelta(days=7))
    assert back.findings.select("finding_id", "first_seen", "age_days").row(0) == (
        first.findings["finding_id"][0],
        NOW,
        7,
    )
    assert back.healed.is_empty()


def test_foreign_records_that_look_ups_do_not_see_are_neither_open_nor_healed() -> None:
    """They are kept aside with their first day, until a listing shows them again, or shows that they went."""
    order, line = order_row(), line_row()
    mine, live = record_of(order, [line]), record_of(order_row(9), [line_row(9)], 9)
    listed = compared([order], [line], [mine, live])
    looked_up = compared([order], [line], [mine], earlier=after(listed), reads_whole_store=False)
    assert looked_up.findings.is_empty()
    assert looked_up.healed.is_empty()
    assert looked_up.counts["foreign"] == 0
    known = Earlier(open=pl.concat([looked_up.findings, looked_up.unseen]).lazy())
    again = compared([order], [line], [mine, live], earlier=known, now=TOMORROW)
    assert again.findings.select("kind", "age_days").rows() == [("foreign", 1)]
    gone = compared([order], [line], [mine], earlier=known, now=TOMORROW)
    assert gone.healed["kind"].to_list() == ["foreign"]


def test_a_finding_of_another_batch_keeps_its_first_day() -> None:
    """Foreign records are found every night; a batch of its own does not make them young."""
    seen = renamed().findings.lazy().select("source_order_id", "finding_id", "first_seen")
    tomorrow = renamed(earlier=Earlier(elsewhere=seen), now=TOMORROW)
    assert tomorrow.findings.select("first_seen", "age_days").row(0) == (NOW, 1)
    assert tomorrow.healed.is_empty()


def test_findings_of_an_older_version_are_read() -> None:
    """They have no age, no review and no seal."""
    old = renamed().findings.drop("age_days", "owner", "note", "seal", "source_fulfillment_id")
    again = renamed(earlier=Earlier(open=old.lazy()), now=TOMORROW)
    assert again.findings["age_days"].to_list() == [1]


def edited(found: pl.DataFrame, tmp_path: Path, **cells: Any) -> pl.DataFrame:
    """Write the workbook, edit cells of the first finding as an analyst does, and read it back."""
    path = tmp_path / "reconciliation.xlsx"
    for name in ("results.csv", "quarantine.csv"):
        (tmp_path / name).write_text("id,outcome\n1,created\n", encoding="utf-8")
    report = facts()
    report = type(report)(**vars(report) | {"findings": found})
    write_workbook(report, tmp_path / "results.csv", tmp_path / "quarantine.csv", path)
    book = openpyxl.load_workbook(path)
    sheet = book[SHEET]
    header = [cell.value for cell in sheet[1]]
    for name, value in cells.items():
        sheet.cell(2, header.index(name) + 1).value = value
    book.save(path)
    return read_returned(path)


def signed(found: Found, tmp_path: Path, reviews: pl.DataFrame = NOBODY, **cells: Any) -> pl.DataFrame:
    """Take an edited workbook up and return the review."""
    cells = cells or {"owner": "Kim", "note": "as agreed", "signed_off_by": "Ann Lee"}
    taken = take_up(edited(found.findings, tmp_path, **cells), reviews, found.findings["finding_id"], NOW)
    assert (taken.rows, taken.is_whole) == (1, True)
    return taken.reviews


def test_what_is_written_into_the_workbook_stands_in_the_next_report(tmp_path: Path) -> None:
    """Owner, note and sign-off go from the sheet into review.csv and from there onto the finding."""
    first = renamed()
    write_reviews(signed(first, tmp_path), tmp_path / "review.csv")
    kept = read_reviews(tmp_path / "review.csv")
    again = renamed(earlier=after(first, reviews=kept), now=TOMORROW)
    assert again.findings.select("owner", "note", "signed_off_by", "signed_off_at", "fallen_sign_off").row(
        0
    ) == ("Kim", "as agreed", "Ann Lee", NOW, None)
    assert "order_name" in (tmp_path / "review.csv").read_text(encoding="utf-8")
    assert (tmp_path / "review.csv").stat().st_mode & 0o077 == 0


def test_a_sign_off_falls_with_the_value_it_was_given_for_and_the_rest_stays(tmp_path: Path) -> None:
    """What was signed was another name; owner and note are still true, and the finding says whose sign-off fell."""
    first = renamed("#9")
    reviews = signed(first, tmp_path)
    other = renamed("#10", earlier=after(first, reviews=reviews), now=TOMORROW)
    row = other.findings.row(0, named=True)
    assert (row["owner"], row["signed_off_by"], row["signed_off_at"]) == ("Kim", None, None)
    assert row["fallen_sign_off"] == (
        "The sign-off of Ann Lee (2026-11-22) fell: the finding says something else since."
    )
    drop_fallen(other.findings, reviews, tmp_path / "review.csv")
    kept = read_reviews(tmp_path / "review.csv")
    assert kept["signed_off_by"].to_list() == [None]
    again = renamed("#9", earlier=after(other, reviews=kept), now=TOMORROW)
    assert again.findings.select("signed_off_by", "fallen_sign_off").row(0) == (None, row["fallen_sign_off"])
    anew = renamed("#9", earlier=after(again, reviews=signed(again, tmp_path, kept, signed_off_by="Bo")))
    assert anew.findings.select("owner", "signed_off_by", "fallen_sign_off").row(0) == ("Kim", "Bo", None)


def test_a_healed_finding_keeps_its_review(tmp_path: Path) -> None:
    """It may come back, and then it is known who looks after it."""
    first = renamed()
    reviews = signed(first, tmp_path)
    healed = well(earlier=after(first, reviews=reviews))
    back = renamed(earlier=after(healed, reviews=reviews))
    assert back.findings["signed_off_by"].to_list() == ["Ann Lee"]


def test_an_unedited_copy_says_nothing_however_old_it_is(tmp_path: Path) -> None:
    """A copy from before somebody wrote a note does not take the note away."""
    first = renamed()
    stale = edited(first.findings, tmp_path)
    reviews = signed(first, tmp_path)
    taken = take_up(stale, reviews, first.findings["finding_id"], TOMORROW)
    assert (taken.rows, taken.conflicts) == (0, ())
    assert taken.reviews.equals(reviews)


def test_two_who_write_of_one_finding_are_a_conflict_that_is_told(tmp_path: Path) -> None:
    """Both had the same workbook; the first one stays, the second is named and not dropped silently."""
    first = renamed()
    reviews = signed(first, tmp_path, note="mine")
    second = edited(first.findings, tmp_path, note="no, mine")
    taken = take_up(second, reviews, first.findings["finding_id"], TOMORROW)
    id_ = first.findings["finding_id"][0]
    assert (taken.rows, taken.conflicts, taken.is_whole) == (0, (id_,), False)
    assert taken.reviews["note"].to_list() == ["mine"]
    (said,) = taken.sentences("review/copy.xlsx")
    assert id_ in said
    assert "no, mine" not in said
    same = take_up(edited(first.findings, tmp_path, note="mine"), reviews, first.findings["finding_id"], NOW)
    assert (same.rows, same.is_whole) == (0, True)


def test_what_was_written_can_be_taken_back(tmp_path: Path) -> None:
    """An emptied cell is an edit like any other."""
    first = renamed()
    reviews = signed(first, tmp_path)
    again = renamed(earlier=after(first, reviews=reviews))
    taken = take_up(
        edited(again.findings, tmp_path, note=None, signed_off_by=None),
        reviews,
        again.findings["finding_id"],
        TOMORROW,
    )
    assert taken.reviews.select("owner", "note", "signed_off_by", "signed_off_at", "signed_state").row(0) == (
        "Kim",
        None,
        None,
        None,
        None,
    )


def test_rows_without_a_seal_or_of_another_batch_are_told(tmp_path: Path) -> None:
    """A damaged seal, or a workbook in the wrong folder: nothing is taken up, and it is said."""
    first = renamed()
    damaged = edited(first.findings, tmp_path, note="x", seal="gone")
    taken = take_up(damaged, NOBODY, first.findings["finding_id"], NOW)
    assert (taken.rows, taken.unsealed, taken.is_whole) == (0, 1, False)
    strange = take_up(edited(first.findings, tmp_path, note="x"), NOBODY, pl.Series([], dtype=pl.String), NOW)
    assert (strange.rows, strange.strangers) == (0, 1)
    assert len([*taken.sentences("a.xlsx"), *strange.sentences("b.xlsx")]) == 2


@pytest.mark.parametrize("content", [b"", b"no workbook", b"PK\x03\x04 half of one"])
def test_an_unreadable_workbook_is_an_error_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    """The stage above keeps the file and goes on."""
    path = tmp_path / "reconciliation.xlsx"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"reconciliation\.xlsx cannot be read as a workbook"):
        read_returned(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("finding_id,note\n1,x\n", "the column source_order_id is missing"),
        (",".join(REVIEWS) + "\n" + "a," * 9 + "\n", "cannot be read"),
        (",".join(REVIEWS) + "\n" + ("a" + "," * 9 + "\n") * 2, "stands there twice"),
    ],
)
def test_a_review_that_cannot_be_read_stops_the_run_in_a_sentence(
    tmp_path: Path, text: str, said: str
) -> None:
    """Going on would write it anew, and lose what people said."""
    (tmp_path / "review.csv").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=said):
        read_reviews(tmp_path / "review.csv")


def test_hostile_notes_are_harmless_in_the_file_and_come_back_as_they_were(tmp_path: Path) -> None:
    """A note may begin like a formula, hold commas, quotes and line breaks."""
    notes = ["=cmd()|'/C calc'!A1", '"quoted", and\nbroken', "+1 more", "'", "Für Oma 🍵"]
    rows: list[Row] = [
        dict.fromkeys(REVIEWS) | {"finding_id": f"{number:016x}", "note": note}
        for number, note in enumerate(notes)
    ]
    write_reviews(pl.DataFrame(rows, schema=REVIEWS), tmp_path / "review.csv")
    assert read_reviews(tmp_path / "review.csv")["note"].to_list() == notes
    assert "\n0000000000000000,,,,,'=cmd" in (tmp_path / "review.csv").read_text(encoding="utf-8")


def test_the_money_of_an_order_may_move_between_its_findings_without_a_sign_off_falling() -> None:
    """It stands on the order's first finding, which is another one when that heals."""
    rows = [finding(1), finding(1, finding_id="b", field="notes", source_money=None, corso_money=None)]
    before = reviewed(findings_frame(rows), NOBODY)
    moved = reviewed(
        findings_frame([rows[1] | {"source_money": Decimal(27), "corso_money": Decimal(27)}]), NOBODY
    )
    assert before["seal"][1] == moved["seal"][0]


def test_a_changed_amount_of_a_whole_order_is_another_state() -> None:
    """Who signed a missing order of 27.00 did not sign one of 28.00."""
    missing = finding(1, kind="missing", cause="unexplained", field=None, source_value=None, corso_value=None)
    seals = [
        reviewed(findings_frame([missing | {"source_money": Decimal(amount)}]), NOBODY)["seal"][0]
        for amount in (27, 28)
    ]
    assert seals[0] != seals[1]
