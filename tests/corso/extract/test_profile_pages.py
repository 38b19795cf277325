"""The pages of docs/profiles: what they offer to paste is read without complaint, and every profile has one."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from profile_samples import PROJECT

from corso.extract.fallbacks import read_fallbacks
from corso.extract.profile import built_in_profiles, load_profile
from corso.settings import read_settings

PAGES = PROJECT / "docs" / "profiles"
OWN = ("shopify", "shopify-warehouse", "prestashop", "squarespace", "amazon", "tiktok", "walmart", "olist")
BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[dict[str, Any]]:
    """Return the parts of a loader.yaml that a page offers to paste."""
    found = [yaml.safe_load(text) for text in BLOCK.findall((PAGES / f"{page}.md").read_text("utf-8"))]
    return [block for block in found if isinstance(block, dict) and block.keys() & {"exports", "fallbacks"}]


@pytest.mark.parametrize("page", OWN)
def test_what_a_page_offers_to_paste_is_read(tmp_path: Path, page: str) -> None:
    """As loader.yaml, with its fallbacks; and the file roles are those of the profile."""
    assert blocks(page)
    for block in blocks(page):
        store = {"store": {"id": 1, "time_zone": "America/New_York"}}
        exports = {"exports": {"profile": page, "orders": "x.csv"}}
        (tmp_path / "loader.yaml").write_text(yaml.safe_dump(store | exports | block), encoding="utf-8")
        loader = read_settings(tmp_path / "loader.yaml").loader
        read_fallbacks(loader.fallbacks)
        named = f"{PAGES / page}.yaml" if loader.exports.profile.endswith(".yaml") else loader.exports.profile
        assert loader.exports.roles.keys() <= load_profile(named, tmp_path).files.keys() or page == "olist"


@pytest.mark.parametrize("page", OWN)
def test_a_page_says_where_each_amount_goes(page: str) -> None:
    """By the name that the report has for it."""
    profile = built_in_profiles().get(page) or load_profile(f"{page}.yaml", PAGES)
    text = (PAGES / f"{page}.md").read_text("utf-8").lower()
    assert [each.kind for each in profile.money.moved if f"*{each.kind.lower()}*" not in text] == []
