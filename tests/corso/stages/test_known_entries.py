"""What a plan asks the ledger: about its own orders, on both databases."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest

from corso.delivery.ledger import Change, Key, Ledger, key_of
from corso.delivery.states import State
from corso.extract.plan import KNOWN_COLUMNS
from corso.stages.known_entries import known_entries
from schemas.wire import Operation
from tests.fake_corso import ODD_IDS, STORE_ID, opened
from tests.ledger_places import place_of

_IDS = [each for each in ODD_IDS if "\0" not in each]


def accepted(ledger: Ledger, ids: list[str]) -> None:
    """Have the ledger hold orders of these ids, each with a fulfillment."""
    sent = [Operation("create_order", each, "", None, b"{}", "hash") for each in ids]
    sent += [Operation("create_fulfillment", each, f"f {each}", "7", b"{}", "hash") for each in ids]
    ledger.plan(sent, "b1")
    ledger.start(sent)
    ledger.settle([Change(key_of(each), State.ACCEPTED, corso_id="7", held_hash="held") for each in sent])


def as_rows(ids: list[str]) -> list[tuple[str | None, ...]]:
    """Return what is to be known of such orders."""
    return sorted((each, own, "7", "held", "") for each in ids for own in ("", f"f {each}"))


@pytest.mark.usefixtures("each_database")
@pytest.mark.parametrize("at_once", [1, 3, 50_000])
def test_what_is_known_of_some_orders_is_found_in_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """With their fulfillments, whatever their ids hold; of others nothing, nor of another store's."""
    monkeypatch.setattr("corso.stages.known_entries._ORDERS_AT_ONCE", at_once)
    with opened(tmp_path) as ledger:
        accepted(ledger, [*_IDS, "not asked for"])
        found = known_entries(ledger, pl.Series([*_IDS, *_IDS, "unknown"], dtype=pl.String))
    assert found.schema == KNOWN_COLUMNS
    assert sorted(found.rows()) == as_rows(_IDS)
    with Ledger.open(place_of(tmp_path, 1), 1) as other:
        assert known_entries(other, pl.Series(_IDS, dtype=pl.String)).is_empty()


@pytest.mark.usefixtures("each_database")
def test_what_was_planned_only_is_known_without_a_number_of_corso(tmp_path: Path) -> None:
    """A null is a null, not a text."""
    with opened(tmp_path) as ledger:
        ledger.plan([Operation("create_order", "o-1", "", None, b"{}", "hash")], "b1")
        assert known_entries(ledger, pl.Series(["o-1"], dtype=pl.String)).rows() == [
            ("o-1", "", None, None, "")
        ]
        assert Key("o-1") in ledger.entries_of([Key("o-1")])


def test_an_id_may_hold_a_zero_byte(tmp_path: Path) -> None:
    """In a file, which can keep it."""
    with opened(tmp_path) as ledger:
        accepted(ledger, ODD_IDS)
        assert sorted(known_entries(ledger, pl.Series(ODD_IDS)).rows()) == as_rows(ODD_IDS)


def test_of_no_ledger_and_no_order_nothing_is_known(tmp_path: Path) -> None:
    """The frame has its columns all the same."""
    with Ledger.read(tmp_path / "ledger.sqlite", 1) as ledger:
        for ids in ([], ["o-1"]):
            assert known_entries(ledger, pl.Series(ids, dtype=pl.String)).equals(
                pl.DataFrame(schema=KNOWN_COLUMNS)
            )


def test_parts_of_a_plan_ask_side_by_side(tmp_path: Path) -> None:
    """Each from a thread of its own; also where there is no ledger yet."""
    with opened(tmp_path) as ledger:
        accepted(ledger, _IDS)
    for path, expected in ((place_of(tmp_path), as_rows(_IDS)), (tmp_path / "none.sqlite", [])):
        with Ledger.read(path, STORE_ID) as ledger, ThreadPoolExecutor(2) as pool:
            found = list(
                pool.map(
                    lambda _, asked=ledger: known_entries(asked, pl.Series(_IDS, dtype=pl.String)), range(8)
                )
            )
        assert [sorted(each.rows()) for each in found] == [expected] * 8
