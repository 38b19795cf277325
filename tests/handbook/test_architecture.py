"""ARCHITECTURE.md says what is: the picture of the imports, and the tree."""

import re

import pytest

from handbook import layers

TREE = re.compile(r"## The tree\n(.*?)\n## ", re.DOTALL)


def text() -> str:
    """Return the page."""
    return layers.PAGE.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_picture_is_that_of_the_imports() -> None:
    """Draw it anew with `.venv/bin/python -m handbook.layers`, and see that you meant what changed."""
    assert "corso.delivery" in text()
    assert layers.redrawn(text()) == text()


def test_the_tree_names_every_module() -> None:
    """A file that nobody named has no place yet: write it where it belongs."""
    (tree,) = TREE.findall(text())
    named = set(re.findall(r"[a-z_]+", tree))
    project = layers.PAGE.parent
    modules = [
        path.relative_to(project)
        for room in ("schemas", "corso", "assets", "pipelines", "handbook")
        for path in sorted((project / room).rglob("*.py"))
        if path.stem != "__init__" and path.parent.name != "versions"
    ]
    assert [path.as_posix() for path in modules if path.stem not in named] == []


def test_every_package_says_what_belongs_there() -> None:
    """In its docstring, of a sentence at least."""
    project = layers.PAGE.parent
    packages = [path for room in layers.ROOTS for path in sorted((project / room).rglob("__init__.py"))]
    said = {path.relative_to(project).as_posix(): path.read_text(encoding="utf-8") for path in packages}
    assert [name for name, text in said.items() if not re.match(r'"""[^"]{30,}', text)] == []


def test_a_room_that_imports_itself_by_way_of_others_cannot_be_drawn() -> None:
    """It would stand below itself."""
    with pytest.raises(ValueError, match="imports itself"):
        layers.picture({"a": {"b"}, "b": {"a"}})


def test_a_room_stands_above_what_it_imports_and_implied_arrows_are_left_out() -> None:
    """Of three in a row."""
    assert layers.picture({"a": {"b", "c"}, "b": {"c"}, "c": set()}).splitlines()[1:] == [
        "a",
        "b",
        "c",
        "",
        "a               > b",
        "b               > c",
        "```",
    ]
