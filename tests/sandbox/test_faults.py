"""The draw: which request meets which fault, how often, and that it repeats."""

from collections import Counter
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.faults import Fault, FaultPlan, Faults, Kind

EVERY_KIND = dict.fromkeys((kind.replace("-", "_") for kind in get_args(Kind)), 0.05)


def drawn(faults: Faults, methods: list[str]) -> list[Fault | None]:
    """Return what these requests meet."""
    plan = FaultPlan(faults)
    return [plan.draw(method) for method in methods]


@given(seed=st.integers(), methods=st.lists(st.sampled_from(["GET", "POST", "DELETE"]), max_size=50))
def test_the_same_seed_and_requests_meet_the_same_faults(seed: int, methods: list[str]):
    """Down to the variety of each."""
    faults = Faults(seed=seed, **EVERY_KIND)
    assert drawn(faults, methods) == drawn(faults, methods)


def test_another_seed_meets_other_faults():
    """Or it would be no seed."""
    assert drawn(Faults(seed=1, **EVERY_KIND), ["GET"] * 50) != drawn(
        Faults(seed=2, **EVERY_KIND), ["GET"] * 50
    )


def test_faults_come_as_often_as_told():
    """Each in its share of 10,000 requests, and half of the requests meet none."""
    found = drawn(Faults(**EVERY_KIND), ["POST"] * 10_000)
    counts = Counter(fault.kind if fault else None for fault in found)
    assert 4_800 < counts.pop(None) < 5_200
    assert counts.keys() == set(get_args(Kind))
    assert all(400 < count < 600 for count in counts.values())


def test_the_varieties_of_a_fault_come_equally_often():
    """The place within a fault's share is spread from 0 to 1."""
    plan = FaultPlan(Faults(error_before=0.5, garble=0.5))
    varieties = Counter(fault.pick(9) for fault in (plan.draw("GET") for _ in range(9_000)) if fault)
    assert varieties.keys() == set(range(9))
    assert all(800 < count < 1_200 for count in varieties.values())


@given(place=st.floats(0, 1), varieties=st.integers(1, 20))
def test_a_variety_is_always_one_that_there_is(place: float, varieties: int):
    """Also where the place was rounded up to 1."""
    assert 0 <= Fault("garble", place).pick(varieties) < varieties


def test_a_probability_of_one_hits_every_request():
    """So that a test of one fault needs no luck."""
    assert all(fault and fault.kind == "stall" for fault in drawn(Faults(stall=1.0), ["GET"] * 1_000))


def test_reads_are_spared_and_draw_nothing_where_only_writes_are_meant():
    """So the faults of the writes do not depend on how many reads come between."""
    faults = Faults(on="writes", **EVERY_KIND)
    writes = drawn(faults, ["POST", "DELETE"] * 50)
    mixed = drawn(faults, ["POST", "GET", "DELETE", "HEAD"] * 50)
    assert mixed[::2] == writes
    assert set(mixed[1::2]) == {None}
    assert any(writes)


def test_after_the_limit_there_are_no_faults():
    """A run surely ends."""
    plan = FaultPlan(Faults(drop_answer=1.0, limit=3))
    assert [bool(plan.draw("POST")) for _ in range(5)] == [True, True, True, False, False]
    assert plan.injected == {"drop-answer": 3}
    assert drawn(Faults(drop_answer=1.0, limit=0), ["POST"]) == [None]


def test_token_errors_are_counted_apart():
    """They use up nothing of the limit."""
    plan = FaultPlan(Faults(token_errors=1.0, garble=1.0, limit=1))
    assert all(plan.draw_token_error() for _ in range(5))
    assert plan.draw("GET") is not None
    assert plan.injected == {"token-errors": 5, "garble": 1}
    assert not any(FaultPlan(Faults()).draw_token_error() for _ in range(5))


@pytest.mark.parametrize(
    "shares",
    [{"slow": 0.7, "stall": 0.31}, {"garble": 1.5}, {"truncate": -0.1}, {"token_errors": float("nan")}],
)
def test_probabilities_that_do_not_fit_are_refused(shares: dict[str, float]):
    """By name."""
    with pytest.raises(ValueError, match="--" + next(iter(shares)).replace("_", "-")):
        Faults(**shares)


def test_probabilities_may_add_up_to_one_as_people_add():
    """Although binary floats do not add so."""
    Faults(**dict.fromkeys(EVERY_KIND, 0.1), token_errors=1.0)
    Faults(slow=0.7, stall=0.2, garble=0.1)
