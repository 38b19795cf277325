"""Keys that stand twice in a YAML file: the second would silently replace the first."""

from pathlib import Path

import pytest

from corso.errors import SettingsError
from corso.settings import parse_yaml_file, read_settings


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("limits: {share: 0.5}\nstore: {id: 1}\nlimits: {max_in_flight: 4}\n", "3: the key 'limits' stands here a second time, first on line 1"),
        ("store:\n  id: 1\n  id: 2\n", "3: the key 'id' stands here a second time, first on line 2"),
        ("a:\n- b: {c: 1,\n    c: 2}\n", "3: the key 'c' stands here a second time, first on line 2"),
    ],
)  # fmt: skip
def test_a_key_that_stands_twice_is_named_with_both_lines(tmp_path: Path, text: str, told: str) -> None:
    """At the top, in a section, and in a list's mapping."""
    path = tmp_path / "loader.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as raised:
        read_settings(path)
    assert str(raised.value) == f"{path}:{told}"


def test_the_same_key_may_stand_in_several_mappings_also_by_an_anchor(tmp_path: Path) -> None:
    """A text and a number are two keys; what is merged in is no repetition; an anchor within itself ends."""
    path = tmp_path / "own.yaml"
    path.write_text(
        "a: &a {x: 1, '1': b, 1: c}\nb: *a\nc: {<<: *a, x: 2}\nd: &d [*d, {x: 1}]\n", encoding="utf-8"
    )
    _, data = parse_yaml_file(path)
    assert data["b"] == {"x": 1, "1": "b", 1: "c"}
    assert data["c"]["x"] == 2
