"""summary.json: its fixed keys, the identities between its numbers, and the exit code."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from factories import summary_of

from corso.report.summary import MoneyRow, Requests, Stage, Summary, exit_code_of, identities
from corso.report.verdict import verdict


def test_the_keys_are_those_that_other_programs_read(tmp_path: Path) -> None:
    """An added or renamed key breaks them."""
    row = MoneyRow(
        currency="USD",
        month="2026-11",
        source=Decimal("1.0000"),
        accepted=Decimal("1.2300"),
        corso=Decimal("1.2345"),
        difference=Decimal("-0.0045"),
    )
    path = tmp_path / "new" / "summary.json"
    Summary(store_id=9359, batch="2026-11-22", money=(row,)).write(path)
    assert json.loads(path.read_text()) == {
        "store_id": 9359,
        "batch": "2026-11-22",
        "exit_code": 1,
        "source": {"orders": 0, "line_items": 0, "fulfillments": 0},
        "accepted": {"orders": 0, "line_items": 0, "fulfillments": 0},
        "quarantined": {"orders": 0, "line_items": 0, "fulfillments": 0},
        "plan": {"create": 0, "update": 0, "cancel": 0, "unchanged": 0},
        "outcome": {
            "created": 0,
            "updated": 0,
            "cancelled": 0,
            "unchanged": 0,
            "rejected": 0,
            "unknown": 0,
            "not_sent": 0,
        },
        "fulfillments": {
            "created": 0,
            "unchanged": 0,
            "changed_but_fixed": 0,
            "rejected": 0,
            "unknown": 0,
            "not_sent": 0,
        },
        "reconciliation": {
            "matched": 0,
            "missing": 0,
            "different": 0,
            "duplicated": 0,
            "foreign": 0,
            "unexplained": 0,
        },
        "requests": {"sent": 0, "throttled": 0, "retried": 0, "seconds": 0.0, "quota_share": None},
        "money": [
            {
                "currency": "USD",
                "month": "2026-11",
                "source": "1.00",
                "accepted": "1.23",
                "corso": "1.2345",
                "difference": "-0.0045",
            }
        ],
    }


def test_what_was_written_is_read_back_and_no_draft_stays(tmp_path: Path) -> None:
    """For its owner only: the counts are a merchant's business."""
    path = tmp_path / "summary.json"
    summary = summary_of(accepted=3, requests=Requests(seconds=1.5, quota_share=0.25))
    summary.write(path)
    assert Summary.read(path) == summary
    assert [file.name for file in tmp_path.iterdir()] == ["summary.json"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_batch_that_is_wholly_in_corso_breaks_no_identity_and_exits_with_0() -> None:
    """Foreign records alone need no look."""
    summary = summary_of(accepted=3, reconciliation={"matched": 3, "foreign": 9})
    assert identities(summary) == []
    assert exit_code_of(summary) == 0
    assert (
        verdict(summary)
        == "All good: all 3 source orders are in Corso and equal, none twice, and the money ties to the cent."
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"source": {"orders": 4}}, "source orders 4 = accepted 3 + quarantined 0"),
        ({"quarantined": {"line_items": 1}}, "source line_items 0 = accepted 0 + quarantined 1"),
        ({"outcome": {"created": 2}}, "accepted orders 3 = the sum of outcome 2"),
        (
            {"reconciliation": {"matched": 1, "missing": 1}},
            "accepted orders 3 = matched 1 + missing 1 + different 0 + duplicated 0",
        ),
    ],
)
def test_every_broken_identity_is_named_with_its_numbers(changes: dict[str, Any], said: str) -> None:
    """A batch whose numbers do not add up is never green."""
    summary = summary_of(accepted=3, **changes)
    assert identities(summary) == [said]
    assert exit_code_of(summary) == 1
    assert said in verdict(summary)


@pytest.mark.parametrize(
    ("stage", "changes", "code"),
    [
        ("plan", {"outcome": {"not_sent": 3}, "reconciliation": {}}, 0),
        ("upload", {"outcome": {"not_sent": 3}, "reconciliation": {}}, 1),
        ("upload", {"reconciliation": {}}, 0),
        ("upload", {"outcome": {"created": 2, "unknown": 1}}, 1),
        ("reconcile", {"reconciliation": {}}, 1),
        ("reconcile", {"outcome": {"created": 2, "rejected": 1}}, 1),
        ("reconcile", {"reconciliation": {"matched": 2, "different": 1}}, 1),
        ("reconcile", {"reconciliation": {"matched": 2, "duplicated": 1}}, 1),
        ("reconcile", {"reconciliation": {"matched": 3, "unexplained": 1}}, 1),
        ("reconcile", {"fulfillments": {"changed_but_fixed": 1}}, 1),
        ("reconcile", {"fulfillments": {"not_sent": 1}}, 1),
        ("reconcile", {"fulfillments": {"created": 1, "unchanged": 1}}, 0),
    ],
)
def test_the_exit_code_is_1_where_somebody_needs_to_look(
    stage: Stage, changes: dict[str, Any], code: int
) -> None:
    """The table of section "the face": 0 is for a batch that is wholly there."""
    assert exit_code_of(summary_of(accepted=3, **changes), stage) == code


def test_the_verdict_counts_every_order_once() -> None:
    """A rejected order is missing too; the sentence counts it as one."""
    summary = summary_of(
        accepted=1000,
        quarantined={"orders": 5},
        source={"orders": 1005},
        outcome={"created": 990, "rejected": 10},
        reconciliation={"matched": 988, "missing": 10, "different": 2, "unexplained": 1},
        fulfillments={"rejected": 1},
    )
    assert verdict(summary) == (
        "Needs a look: 17 of 1,005 source orders are not in Corso and equal: 5 quarantined, 10 missing, 2 different; "
        "1 fulfillment rejected; 1 finding unexplained."
    )
    before = summary.model_copy(update={"reconciliation": summary_of().reconciliation})
    assert verdict(before, stage="upload").startswith(
        "Needs a look: 15 of 1,005 source orders are not in Corso: 5 quarantined, 10 rejected; "
    )


@pytest.mark.parametrize("stage", ["plan", "upload", "reconcile"])
def test_line_items_that_are_quarantined_alone_are_named(stage: Stage) -> None:
    """A line of no order is nobody's but somebody has to look at it; nothing is said to be in Corso for that."""
    found = {"reconciliation": {}, "outcome": {"not_sent": 3}} if stage == "plan" else {}
    summary = summary_of(
        accepted=3, source={"orders": 3, "line_items": 2}, quarantined={"line_items": 2}, **found
    )
    assert verdict(summary, stage=stage) == "Needs a look: 2 line items quarantined, though no order is."


def test_the_verdict_of_an_earlier_stage_promises_nothing_that_was_not_looked_at() -> None:
    """After plan and upload, Corso was not read back."""
    planned = summary_of(accepted=1, outcome={"not_sent": 1}, reconciliation={})
    assert verdict(planned, stage="plan") == "Planned: the 1 source order is ready to be sent."
    sent = summary_of(accepted=2, reconciliation={})
    assert (
        verdict(sent, stage="upload")
        == "Uploaded: all 2 source orders are accepted by Corso; not compared with Corso yet."
    )
