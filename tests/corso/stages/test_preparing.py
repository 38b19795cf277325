"""Preparing: whatever an export holds, each of its rows is accounted for."""

import pytest
from hypothesis import HealthCheck, given, settings

from tests.mutated_exports import Mutated, is_accounted_for, mutated, samples


@pytest.mark.parametrize("sample", samples())
@pytest.mark.slow
def test_a_sample_as_it_is(tmp_path_factory: pytest.TempPathFactory, sample: str) -> None:
    """What is changed below is accounted for when it is not."""
    is_accounted_for(Mutated(sample, ()), tmp_path_factory.mktemp("as-it-is"))


@given(mutated())
@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@pytest.mark.slow
def test_a_changed_export_is_refused_or_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, export: Mutated
) -> None:
    """`scripts/bench fuzz` tries many more."""
    is_accounted_for(export, tmp_path_factory.mktemp("changed"))
