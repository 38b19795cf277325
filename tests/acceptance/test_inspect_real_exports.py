"""Real exports, where they lie beside the project: inspection names the right profile and what each order lacks.

None of them is part of the project; where they are absent these tests skip.
"""

import contextlib
import io
from pathlib import Path

import pytest

from corso.errors import ExportError
from corso.extract.profile import built_in_profiles
from corso.stages.inspection.inspecting import inspect_files
from pipelines.inspecting import inspect

PROJECT = Path(__file__).resolve().parents[2]
EXAMPLES = PROJECT.parent / "shared" / "examples"
OLIST = str(PROJECT / "docs" / "profiles" / "olist.yaml")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the real exports (../shared/examples) are not here"),
]

CASES = {
    # folder: the profile, orders, accepted as they stand, with what is in the files, with made-up values, too
    "amazon-order-report": ("amazon", 3, 0, 3, 3),
    "etsy-items": ("etsy", 5, 0, 0, 4),
    "magento-basic": ("magento", 2, 0, 0, 0),
    "shopify-admin-devstore": ("shopify", 2, 0, 2, 2),
    "shopify-admin-fake": ("shopify", 3, 0, 3, 3),
    "shopify-warehouse-gql": ("shopify-warehouse", 9, 0, 0, 0),
    "tiktok-orders": ("tiktok", 4, 0, 3, 3),
    "woo-fake": ("woocommerce", 25, 0, 25, 25),
}


@pytest.mark.parametrize("name", CASES)
def test_a_real_export_gets_its_platforms_profile(name: str, tmp_path: Path) -> None:
    """And the numbers of orders that would be accepted, with and without what is proposed."""
    profile, orders, bare, with_own, with_all = CASES[name]
    if profile not in built_in_profiles():
        pytest.skip(f"there is no built-in profile {profile!r} yet")

    found = inspect_files([EXAMPLES / name], tmp_path)

    assert found.profile == profile
    assert not found.is_tied
    assert not found.failure
    assert found.counts is not None
    assert found.trial is not None
    assert found.counts.orders == found.trial.tried == orders
    trial = found.trial
    assert (trial.accepted, trial.accepted_with_own, trial.accepted_with_all) == (bare, with_own, with_all)


def test_the_olist_tables_are_read_by_their_own_profile(tmp_path: Path) -> None:
    """11 of 1,500 orders have no lines, 8 were paid another amount than their lines add up to; streets are in no table."""
    found = inspect_files([EXAMPLES / "olist-half"], tmp_path, OLIST, "America/Sao_Paulo")

    assert found.profile == "olist"
    assert found.counts is not None
    assert found.trial is not None
    assert (found.counts.orders, found.counts.orders_without_lines) == (1500, 11)
    assert (found.trial.accepted, found.trial.accepted_with_own, found.trial.accepted_with_all) == (
        0,
        0,
        1481,
    )
    reasons = {reason.column: reason.orders for reason in found.trial.reasons}
    assert (reasons["orders.source_order_id"], reasons["orders.total_money"]) == (11, 8)


def test_a_layout_that_no_platform_has_is_said_to_be_unknown(tmp_path: Path) -> None:
    """With a profile to fill in that has every header."""
    found = inspect_files([EXAMPLES / "generic-flat"], tmp_path)
    with contextlib.redirect_stdout(io.StringIO()):
        code = inspect([EXAMPLES / "generic-flat"], tmp_path / "loader.yaml", None, None, as_json=False)

    assert found.profile is None
    assert code == 1
    text = (tmp_path / "profile.yaml").read_text(encoding="utf-8")
    assert all(f'"{header}"' in text for header in found.files[0].ignored)


def test_a_folder_of_other_things_is_one_sentence(tmp_path: Path) -> None:
    """The API's JSON is no export."""
    with pytest.raises(ExportError, match="no export file in this folder"):
        inspect_files([EXAMPLES / "shopify-api-json"], tmp_path)
