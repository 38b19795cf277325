"""The built-in profiles can be listed, copied and edited, and every word of theirs is explained."""

import json
from pathlib import Path

import pytest
import yaml

from corso.errors import UsageError
from corso.extract.profile import built_in_profiles, load_profile
from pipelines.profiles import show_profiles, vocabulary_page

PAGE = Path(__file__).parents[2] / "docs/profiles/vocabulary.md"


def printed(capsys: pytest.CaptureFixture[str], name: str | None = None, **flags: bool) -> str:
    """Return what the command prints."""
    assert (
        show_profiles(name, vocabulary=flags.get("vocabulary", False), schema=flags.get("schema", False)) == 0
    )
    return capsys.readouterr().out


def test_every_built_in_profile_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """By name, what it reads, and the roles that loader.yaml fills."""
    lines = printed(capsys).partition("Next: ")[0].splitlines()
    assert [line.split()[0] for line in lines] == sorted(built_in_profiles())
    assert any("shopify " in line and "(files: orders" in line for line in lines)


def test_a_profile_that_was_printed_is_a_profile(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """`profiles NAME > mine.yaml` gives a copy that works as it is."""
    for name, profile in built_in_profiles().items():
        (tmp_path / "mine.yaml").write_text(printed(capsys, name))
        assert load_profile("mine.yaml", tmp_path) == profile


def test_an_unknown_profile_is_refused_with_the_nearest() -> None:
    """One sentence."""
    with pytest.raises(UsageError, match="no profile 'shopfy'; did you mean 'shopify'"):
        show_profiles("shopfy", vocabulary=False, schema=False)


def test_the_page_of_the_vocabulary_is_up_to_date() -> None:
    """`corso-loader profiles --vocabulary > docs/profiles/vocabulary.md` writes it; every word has its line."""
    page = "\n".join(vocabulary_page())
    assert PAGE.read_text(encoding="utf-8").rstrip("\n") == page.rstrip("\n")
    assert "|  |\n" not in page, "a word is not explained"


def test_the_json_schema_knows_the_words(capsys: pytest.CaptureFixture[str]) -> None:
    """An editor that checks YAML by it accepts the keys of the built-in profiles."""
    schema = json.loads(printed(capsys, schema=True))
    for name in built_in_profiles():
        assert set(yaml.safe_load(printed(capsys, name))) <= set(schema["properties"])
    assert "from" in schema["$defs"]["Rule"]["properties"]
