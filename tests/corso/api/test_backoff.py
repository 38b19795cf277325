"""Trying again: how long the waits are, and how many retries all reads together may make."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corso.api.backoff import BUDGET, CAP_S, RETRY_COST, SUCCESS_WORTH, RetryBudget, full_jitter_s


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_a_wait_is_anything_up_to_a_doubling_bound(failures: int, dice: float) -> None:
    """Half a second, one, two, four, and a minute at the most."""
    assert full_jitter_s(failures, lambda: 1.0) == min(CAP_S, 0.5 * 2.0 ** min(failures, 20))
    assert 0 <= full_jitter_s(failures, lambda: dice) <= full_jitter_s(failures, lambda: 1.0) <= CAP_S


def test_an_api_that_answers_nothing_gets_a_hundred_retries() -> None:
    """However many ask, and for however long."""
    budget = RetryBudget()
    assert sum(budget.takes() for _ in range(10_000)) == 100


@given(st.lists(st.sampled_from(["retry", "first try", "after retries"]), max_size=500))
def test_the_budget_is_what_was_taken_and_given_back(events: list[str]) -> None:
    """Never below nothing, never more than at first; a retry is granted exactly where there is enough for it."""
    budget, expected = RetryBudget(), BUDGET
    for event in events:
        match event:
            case "retry":
                enough = expected >= RETRY_COST
                assert budget.takes() == enough
                expected -= RETRY_COST * enough
            case "first try":
                budget.succeeded(retried=False)
                expected = min(BUDGET, expected + SUCCESS_WORTH)
            case _:
                budget.succeeded(retried=True)
                expected = min(BUDGET, expected + RETRY_COST)
        assert budget.left == expected
        assert 0 <= budget.left <= BUDGET


@given(st.integers(1, 300), st.integers(0, 1_500))
def test_retries_beyond_the_first_hundred_are_earned(gap: int, reads: int) -> None:
    """Among successes at the first try, one retry that fails costs five of them."""
    budget = RetryBudget()
    granted = 0
    for number in range(reads):
        if number % gap:
            budget.succeeded(retried=False)
        else:
            granted += budget.takes()
    assert granted * RETRY_COST <= BUDGET + reads * SUCCESS_WORTH


@pytest.mark.parametrize("every", [2, 5, 10])
def test_an_api_that_fails_now_and_then_never_uses_it_up(every: int) -> None:
    """Every second read needs a second try: each of these gives back what it took."""
    budget = RetryBudget()
    for number in range(10_000):
        retried = number % every == 0
        if retried:
            assert budget.takes()
        budget.succeeded(retried=retried)
    assert budget.left >= BUDGET - RETRY_COST
