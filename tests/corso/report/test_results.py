"""results.csv and quarantine.csv: every order once, in the merchant's own columns, harmless in a spreadsheet."""

import csv
from pathlib import Path

import polars as pl
import pytest
from factories import (
    filled_frame,
    outcome_row,
    outcomes_frame,
    quarantine_frame,
    quarantine_row,
    raw_orders_frame,
)
from hypothesis import given
from hypothesis import strategies as st

from corso.report.results import (
    as_they_were,
    harmless,
    problems_by_frequency,
    reasons_by_frequency,
    write_quarantine,
    write_results,
)
from schemas.quarantine import OF_ANOTHER_ROW


def rows_of(path: Path) -> list[list[str]]:
    """Read a CSV file as any program would."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_every_source_order_is_there_once_with_its_outcome(tmp_path: Path) -> None:
    """The first row of an order counts; rows without an id are orders of their own; nothing is left out."""
    ids = ["o-1", "o-2", "o-1", None, None, "o-3", "o-4"]
    originals = [{"b": f"{number}", "a": id_} for number, id_ in enumerate(ids)]
    quarantined = [
        quarantine_row(2, line=3, reasons=OF_ANOTHER_ROW, problems=[]),
        quarantine_row(2, "line_items", line=9, reasons="sku is missing"),
        quarantine_row(2, "line_items", line=10, reasons="sku is missing"),
        quarantine_row(None, line=5, reasons="has no id"),
        quarantine_row(None, line=6, reasons="has no id either"),
        quarantine_row(1, line=4, kind="repeated", reasons="is an exact repetition"),
    ]
    outcomes = [
        outcome_row(1, corso_order_id="77"),
        outcome_row(3, outcome="rejected", corso_order_id=None, reason="400"),
    ]
    path = tmp_path / "results.csv"
    write_results(
        raw_orders_frame(originals, ids).lazy(),
        quarantine_frame(quarantined).lazy(),
        outcomes_frame(outcomes).lazy(),
        filled_frame({}).lazy(),
        path,
        tmp_path / "scratch",
    )
    assert rows_of(path) == [
        ["b", "a", "outcome", "corso_order_id", "reason"],
        ["0", "o-1", "created", "77", ""],
        ["1", "o-2", "quarantined", "", "sku is missing"],
        ["3", "", "quarantined", "", "has no id"],
        ["4", "", "quarantined", "", "has no id either"],
        ["5", "o-3", "rejected", "", "400"],
        ["6", "o-4", "unaccounted", "", ""],
    ]
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_order_has_the_id_of_the_record_that_was_read_back(tmp_path: Path) -> None:
    """One that was made again has another; where its own is there, or nothing was read, it is the one that the ledger has."""
    ids = ["o-1", "o-2", "o-3"]
    path = tmp_path / "results.csv"
    listed = [("o-1", "5000"), ("o-2", "5001"), ("o-2", "2"), ("o-9", "9")]
    write_results(
        raw_orders_frame([{"a": each} for each in ids], ids).lazy(),
        quarantine_frame([]).lazy(),
        outcomes_frame([outcome_row(number, corso_order_id=str(number)) for number in (1, 2, 3)]).lazy(),
        filled_frame({}).lazy(),
        path,
        tmp_path / "scratch",
        listed=pl.LazyFrame(listed, schema=["source_order_id", "corso_order_id"], orient="row"),
    )
    assert [row[2] for row in rows_of(path)[1:]] == ["5000", "2", "3"]


def test_what_fallbacks_filled_stands_behind_the_reason(tmp_path: Path) -> None:
    """In the order of loader.yaml, with the number where it is more than one; columns and other orders stay."""
    outcomes = [
        outcome_row(1),
        outcome_row(2, outcome="rejected", corso_order_id=None, reason="400"),
        outcome_row(3),
    ]
    filled = {
        "o-1": [("orders.customer_email", 1), ("line_items.sku", 3)],
        "o-2": [("orders.shipping_address", 1)],
    }
    ids = ["o-1", "o-2", "o-3", "o-4"]
    path = tmp_path / "results.csv"
    write_results(
        raw_orders_frame([{"id": each} for each in ids], ids).lazy(),
        quarantine_frame([quarantine_row(4, reasons="sku is missing")]).lazy(),
        outcomes_frame(outcomes).lazy(),
        filled_frame(filled).lazy(),
        path,
        tmp_path / "scratch",
    )
    assert rows_of(path) == [
        ["id", "outcome", "corso_order_id", "reason"],
        ["o-1", "created", "1", "filled by fallback: orders.customer_email, line_items.sku (3)"],
        ["o-2", "rejected", "", "400; filled by fallback: orders.shipping_address"],
        ["o-3", "created", "3", ""],
        ["o-4", "quarantined", "", "sku is missing"],
    ]


def test_an_original_column_named_like_ours_is_renamed(tmp_path: Path) -> None:
    """Ours keep their names: programs read them."""
    original = {"outcome": "x", "original_outcome": "y", "^re.*$": "z", "=f()": "1"}
    path = tmp_path / "results.csv"
    write_results(
        raw_orders_frame([original], ["o-1"]).lazy(),
        quarantine_frame([]).lazy(),
        outcomes_frame([outcome_row()]).lazy(),
        filled_frame({}).lazy(),
        path,
        tmp_path / "scratch",
    )
    assert rows_of(path) == [
        [
            "original_original_outcome",
            "original_outcome",
            "^re.*$",
            "'=f()",
            "outcome",
            "corso_order_id",
            "reason",
        ],
        ["x", "y", "z", "1", "created", "1", ""],
    ]


@given(
    ids=st.lists(st.sampled_from([None, "", "o-1", "o-2", "o-3", "o-10", "ö"]), max_size=12),
    states=st.fixed_dictionaries(
        {each: st.sampled_from(["created", "refused", "both", "none"]) for each in ("o-1", "o-2", "o-3", "ö")}
    ),
    is_in_order=st.booleans(),
    orders_per_range=st.integers(1, 4),
    rows_at_once=st.integers(1, 4),
)
def test_the_file_is_the_same_however_much_is_in_memory(
    tmp_path_factory: pytest.TempPathFactory,
    ids: list[str | None],
    states: dict[str, str],
    *,
    is_in_order: bool,
    orders_per_range: int,
    rows_at_once: int,
) -> None:
    """Ranges of orders, slices of rows, and rows that do not stand in the order of their lines."""
    folder = tmp_path_factory.mktemp("results")
    raw = raw_orders_frame([{"at": str(number)} for number in range(len(ids))], ids)
    if not is_in_order:
        raw = raw.reverse()
    refused = [
        quarantine_row(source_order_id=each, line=2, reasons=f"bad {each}")
        for each, state in states.items()
        if state in {"refused", "both"}
    ]
    refused += [
        quarantine_row(source_order_id=None, line=number + 2, reasons="no id")
        for number, each in enumerate(ids)
        if each is None
    ]
    outcomes = [
        outcome_row(source_order_id=each) for each, state in states.items() if state in {"created", "both"}
    ]
    write_results(
        raw.lazy(),
        quarantine_frame(refused).lazy(),
        outcomes_frame(outcomes).lazy(),
        filled_frame({"o-2": [("orders.notes", 1)]}).lazy(),
        folder / "results.csv",
        folder / "scratch",
        orders_per_range=orders_per_range,
        rows_at_once=rows_at_once,
    )
    expected, seen = [], set()
    for number, each in enumerate(ids):
        if each is not None and each in seen:
            continue
        seen.add(each)
        state = states.get(each or "", "none")
        ended = {
            "refused": ("quarantined", "", f"bad {each}"),
            "none": ("unaccounted", "", ""),
        }.get(state, ("created", "1", ""))
        outcome, corso_id, reason = ("quarantined", "", "no id") if each is None else ended
        filled = "filled by fallback: orders.notes" if each == "o-2" else ""
        expected.append(
            [str(number), outcome, corso_id, "; ".join(said for said in (reason, filled) if said)]
        )
    assert rows_of(folder / "results.csv")[1:] == expected


def test_an_empty_batch_still_has_headers(tmp_path: Path) -> None:
    """A program that reads the files finds their columns."""
    write_results(
        raw_orders_frame([], []).lazy(),
        quarantine_frame([]).lazy(),
        outcomes_frame([]).lazy(),
        filled_frame({}).lazy(),
        tmp_path / "r.csv",
        tmp_path / "scratch",
    )
    write_quarantine(quarantine_frame([]).lazy(), tmp_path / "q.csv", tmp_path / "scratch")
    write_quarantine(quarantine_frame([]).drop("original").lazy(), tmp_path / "n.csv", tmp_path / "scratch")
    assert rows_of(tmp_path / "r.csv") == [["id", "outcome", "corso_order_id", "reason"]]
    assert rows_of(tmp_path / "q.csv") == [["id", "total", "file", "line", "reasons"]]
    assert rows_of(tmp_path / "n.csv") == [["file", "line", "reasons"]]


def test_a_line_that_is_a_row_of_several_tables_is_quarantined_once(tmp_path: Path) -> None:
    """A platform's one row holds the order and a line; its reasons are joined."""
    rows = [
        quarantine_row(2, "line_items", file="b.csv", line=2, reasons="sku is missing"),
        quarantine_row(2, "orders", file="b.csv", line=2, reasons="total is wrong"),
        quarantine_row(3, "orders", file="a.csv", line=10, reasons=""),
        quarantine_row(4, "orders", file="a.csv", line=9, reasons="x"),
    ]
    path = tmp_path / "quarantine.csv"
    write_quarantine(quarantine_frame(rows).lazy(), path, tmp_path / "scratch")
    assert [row[2:] for row in rows_of(path)[1:]] == [
        ["a.csv", "9", "x"],
        ["a.csv", "10", ""],
        ["b.csv", "2", "sku is missing; total is wrong"],
    ]


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=cmd()|' /C calc'!A0", "'=cmd()|' /C calc'!A0"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("+A1", "'+A1"),
        ("-2+cmd()", "'-2+cmd()"),
        ("'=1", "''=1"),
        ("-12.50", "-12.50"),
        ("+12025550123", "+12025550123"),
        ("+1 (202) 555-0123", "+1 (202) 555-0123"),
        ("-1.5e-3", "-1.5e-3"),
        ("'quoted'", "'quoted'"),
        ("a=b", "a=b"),
        ("", ""),
        (None, None),
    ],
)
def test_a_cell_that_looks_like_a_formula_gets_an_apostrophe(cell: str | None, written: str | None) -> None:
    """Numbers and phones stay numbers and phones."""
    assert pl.Series([cell], dtype=pl.String).to_frame("c").select(harmless(pl.col("c"))).item() == written


@pytest.mark.slow
@given(st.lists(st.text(st.sampled_from("'=+-@\t\r\n1a. (e"), max_size=6), min_size=1))
def test_the_apostrophe_can_be_taken_away_again(cells: list[str]) -> None:
    """Nothing of the merchant's text is lost."""
    frame = pl.DataFrame({"c": cells})
    assert frame.select(as_they_were(harmless(pl.col("c"))))["c"].to_list() == cells


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    """A reader never finds half a file."""
    path = tmp_path / "quarantine.csv"
    path.write_text("old")
    broken = (
        quarantine_frame([quarantine_row()]).lazy().with_columns(reasons=pl.col("reasons").cast(pl.Int64))
    )
    with pytest.raises(pl.exceptions.PolarsError):
        write_quarantine(broken, path, tmp_path / "scratch")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["quarantine.csv"]


@given(
    rows=st.lists(
        st.tuples(st.sampled_from(["a.csv", "b.csv", "ä.csv"]), st.integers(1, 9), st.sampled_from("xyz")),
        max_size=20,
    ),
    rows_at_once=st.integers(1, 25),
)
def test_the_quarantine_is_the_same_however_much_is_in_memory(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int, str]], rows_at_once: int
) -> None:
    """In the order of files and lines, each line once, whatever the order of the rows."""
    folder = tmp_path_factory.mktemp("quarantine")
    refused = [quarantine_row(1, file=file, line=line, reasons=reason) for file, line, reason in rows]
    path = folder / "quarantine.csv"
    write_quarantine(quarantine_frame(refused).lazy(), path, folder / "scratch", rows_at_once=rows_at_once)
    expected: dict[tuple[str, int], list[str]] = {}
    for file, line, reason in rows:
        reasons = expected.setdefault((file, line), [])
        reasons += [] if reason in reasons else [reason]
    assert [row[2:] for row in rows_of(path)[1:]] == [
        [file, str(line), "; ".join(reasons)] for (file, line), reasons in sorted(expected.items())
    ]


def test_problems_are_counted_by_rule_with_one_place_to_look() -> None:
    """Rows and orders, the most frequent first; repetitions are not problems."""
    other = {
        "rule": "sku_is_there",
        "column": "sku",
        "value": None,
        "sentence": "is missing",
        "remedy": "fill it",
    }
    rows = [
        quarantine_row(1, "line_items", problems=[other]),
        quarantine_row(3),
        quarantine_row(2),
        quarantine_row(4, kind="repeated"),
    ]
    found = problems_by_frequency(quarantine_frame(rows).lazy())
    assert found.select("rule", "rows", "orders", "file", "line").rows() == [
        ("money_adds_up", 2, 2, "orders.csv", 3),
        ("sku_is_there", 1, 1, "line_items.csv", 2),
    ]


def test_reasons_are_counted_for_what_is_not_settled() -> None:
    """Created orders need no reason."""
    rows = [
        outcome_row(1),
        outcome_row(2, outcome="rejected", reason="400"),
        outcome_row(3, outcome="rejected", reason="400"),
        outcome_row(4, outcome="not_sent"),
    ]
    assert reasons_by_frequency(outcomes_frame(rows).lazy()).rows() == [
        ("rejected", "400", 2),
        ("not_sent", "", 1),
    ]
