"""The tally: what is counted is all there is, and no verdict is passed on what nobody has looked up."""

from fractions import Fraction
from random import Random
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corso.delivery.ledger import Key
from corso.delivery.states import State
from corso.delivery.tally import RECENT_ENDS, RECENT_REJECTS, REJECTS_ALWAYS_ALLOWED, Tally
from corso.errors import Stopped

End = Literal["accepted", "rejected", "unknown", "refused"]
A_MILLION = 1_000_000
"""So many that the rule of the whole is silent in a test."""


def noted(tally: Tally, *ends: End) -> list[Key]:
    """Note operations that ended so; return their keys."""
    keys = [Key(f"o-{tally.done + number}") for number in range(len(ends))]
    for key, end in zip(keys, ends, strict=True):
        tally.note(key, State.UNKNOWN if end == "refused" else State(end), refused=end == "refused")
    return keys


def why(tally: Tally) -> str:
    """Return why the run stops, or nothing."""
    return str(tally.verdict or "")


@pytest.mark.parametrize(
    ("total", "max_rejected", "allowed"),
    [
        (3, 0.0, REJECTS_ALWAYS_ALLOWED),
        (1000, 0.02, 20),
        (1000, 0.0109, 10),
        # As floating-point numbers both are a hair below 29 and 58.
        (100, 0.29, 29),
        (100, 0.58, 58),
    ],
)
def test_the_part_of_the_whole_that_may_be_rejected(total: int, max_rejected: float, allowed: int) -> None:
    """upload.max_rejected to the digit, and never fewer than ten."""
    tally = Tally.of(total, max_rejected)
    # Accepted ones between them keep the rule of the last ones silent.
    for _ in range(allowed):
        noted(tally, "rejected", "accepted", "accepted")
    assert tally.verdict is None
    noted(tally, "rejected")
    assert why(tally) == (
        f"the API rejected {allowed + 1} of {3 * allowed + 1} operations; upload.max_rejected allows {allowed}"
    )


@pytest.mark.parametrize(
    ("max_rejected", "allowed"), [(0.01, RECENT_REJECTS), (0.5, RECENT_REJECTS), (0.58, 29), (0.9, 45)]
)
def test_the_part_of_the_last_ones_that_may_be_rejected(max_rejected: float, allowed: int) -> None:
    """More than half of fifty stop the run, unless the user allows a larger part anyway."""
    tally = Tally.of(A_MILLION, max_rejected)
    noted(tally, *["accepted"] * 200, *["rejected"] * allowed)
    assert tally.verdict is None
    noted(tally, "rejected")
    assert isinstance(tally.verdict, Stopped)
    assert why(tally) == f"the API rejected {allowed + 1} of the last 50 operations; {allowed} are allowed"


def test_rejects_that_are_past_are_no_reason_to_stop() -> None:
    """The rule of the last ones looks back on fifty and no further."""
    tally = Tally.of(A_MILLION, 0.02)
    for _ in range(10):
        noted(tally, *["rejected"] * RECENT_REJECTS, *["accepted"] * (RECENT_ENDS - RECENT_REJECTS))
        assert tally.verdict is None


def test_a_look_up_does_not_make_the_memory_longer() -> None:
    """What is looked up keeps its place among the last fifty."""
    tally = Tally.of(A_MILLION, 0.02)
    noted(tally, *["rejected"] * 20, "refused")
    tally.note_looked_up(set())
    noted(tally, *["accepted"] * 49, *["rejected"] * 20)
    assert tally.verdict is None


def test_what_is_unknown_is_no_reject() -> None:
    """Time-outs are the breaker's business."""
    tally = Tally.of(100, 0.0)
    noted(tally, *["unknown"] * 100)
    assert (tally.verdict, tally.must_look_up) == (None, False)


def test_too_many_refused_of_the_whole_are_to_be_looked_up() -> None:
    """Rejected and refused count together: the refused may all be rejects."""
    tally = Tally.of(100, 0.0)
    noted(tally, *["rejected"] * 5, *["refused"] * 5)
    assert not tally.must_look_up
    noted(tally, "refused")
    assert (tally.must_look_up, tally.verdict) == (True, None)


def test_too_many_refused_of_the_last_ones_are_to_be_looked_up() -> None:
    """Long before they are too many of the whole."""
    tally = Tally.of(A_MILLION, 0.02)
    noted(tally, *["accepted"] * 100, *["rejected", "refused"] * 12, "rejected")
    assert not tally.must_look_up
    noted(tally, "refused")
    assert (tally.must_look_up, tally.verdict) == (True, None)


@pytest.mark.parametrize("total", [100, A_MILLION])
def test_what_was_refused_and_is_there_does_not_count_as_a_reject(total: int) -> None:
    """By neither rule; a store that has it all already can be gone through to its end."""
    tally = Tally.of(total, 0.0)
    for _ in range(20):
        noted(tally, *["refused"] * 30)
        assert tally.must_look_up
        tally.note_looked_up(set())
        assert (tally.must_look_up, tally.verdict, tally.rejected) == (False, None, 0)
    assert tally.done == 600


def test_what_was_refused_and_is_not_there_is_a_reject() -> None:
    """The verdict follows at once; what others looked up at the same time does not enter."""
    tally = Tally.of(A_MILLION, 0.0)
    keys = noted(tally, *["refused"] * 11)
    tally.note_looked_up({*keys, Key("of an earlier run")})
    assert (tally.rejected, tally.unknown, tally.refused) == (11, 0, set())
    assert why(tally) == "the API rejected 11 of 11 operations; upload.max_rejected allows 10"


def test_rejects_found_by_looking_up_count_among_the_last_ones() -> None:
    """Both halves of thirty refused: those that are there are forgotten, the others not."""
    tally = Tally.of(A_MILLION, 0.02)
    keys = noted(tally, *["refused"] * 30)
    tally.note_looked_up(set(keys[:15]))
    noted(tally, *["rejected"] * 10)
    assert tally.verdict is None
    noted(tally, "rejected")
    assert "26 of the last 41" in why(tally)


ENDS: st.SearchStrategy[End] = st.sampled_from(["accepted", "rejected", "unknown", "refused"])
RUNS = st.lists(st.tuples(st.lists(ENDS, max_size=60), st.randoms(use_true_random=False)), max_size=6)
"""Some operations end, then the refused are looked up and some of them are rejects; and so on."""


@given(RUNS, st.integers(0, 400), st.sampled_from([0.0, 0.02, 0.29, 0.6, 1.0]))
def test_what_is_counted_is_all_there_is(
    run: list[tuple[list[End], Random]],
    total: int,
    max_rejected: float,
) -> None:
    """No operation is lost or counted twice, none is judged before it was looked up."""
    tally = Tally.of(total, max_rejected)
    sent: list[str] = []
    for ends, chance in run:
        for end in ends:
            noted(tally, end)
            sent.append(end)
            assert tally.accepted + tally.rejected + tally.unknown == tally.done == len(sent)
            assert len(tally.refused) <= tally.unknown
            assert not (tally.refused and tally.verdict)
            assert tally.refused or not tally.must_look_up
        rejects = {key for key in tally.refused if chance.random() < 0.5}
        before = tally.rejected
        tally.note_looked_up(rejects)
        assert (tally.rejected, tally.refused) == (before + len(rejects), set())
        assert tally.done == len(sent)
        assert not tally.must_look_up
    assert tally.accepted == sent.count("accepted")


@given(st.lists(ENDS, max_size=200), st.integers(1, 400), st.integers(0, 100))
def test_the_verdict_is_the_rule_as_it_is_written(ends: list[End], total: int, per_cent: int) -> None:
    """More than max_rejected of the whole (ten are always allowed), or of the last fifty (25 are)."""
    tally = Tally.of(total, per_cent / 100)
    noted(tally, *ends)
    part = Fraction(per_cent, 100)
    suspects = [end in {"rejected", "refused"} for end in ends]
    too_many = sum(suspects) > max(10, part * total) or sum(suspects[-50:]) > max(25, part * 50)
    refused = "refused" in ends
    assert tally.must_look_up == (too_many and refused)
    assert (tally.verdict is not None) == (too_many and not refused)
    if per_cent == 100 and len(ends) <= total:
        assert not too_many
