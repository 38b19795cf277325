"""profiles: the built-in profiles, to copy and edit, and the vocabulary that they are written in."""

import inspect
import json
import types
import typing
from collections.abc import Iterator
from importlib import resources
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from corso.errors import UsageError
from corso.extract import profile as vocabulary_module
from corso.extract.profile import Profile, built_in_profiles
from corso.settings import nearest
from pipelines.field_texts import field_texts
from pipelines.output import program, say, say_next

_INTRODUCTION = """\
# The vocabulary of profiles

A profile is a YAML file that says how one platform's export becomes the canonical tables `orders`, `line_items` and
`fulfillments`. `corso-loader profiles NAME` prints a built-in one, to copy and edit; `exports.profile` in loader.yaml
takes a built-in name or the path of a file that ends in .yaml. A mistake is named with its line and the nearest right word.

Headers match without regard to case, spaces, underscores, dots and dashes. `corso-loader profiles --vocabulary` prints
this page.
"""
_SECTIONS = (
    "Profile",
    "FileForm",
    "Amounts",
    "Table",
    "Rule",
    "Join",
    "Unpack",
    "MoneyPolicy",
    "Moved",
)
_PLACES = {
    "Profile": "the file itself",
    "FileForm": "files.ROLE",
    "Amounts": "files.ROLE.amounts",
    "Table": "tables.orders, tables.line_items, tables.fulfillments",
    "Rule": "tables.TABLE.columns.COLUMN; a header alone, or a list of headers, is short for `from`",
    "Join": "tables.TABLE.join",
    "Unpack": "tables.TABLE.unpack",
    "MoneyPolicy": "money",
    "Moved": "money.moved",
}


def show_profiles(name: str | None, *, vocabulary: bool, schema: bool) -> int:
    """List the built-in profiles, or print one, the vocabulary (Markdown) or its JSON Schema (for editors)."""
    if schema:
        say(json.dumps(Profile.model_json_schema(by_alias=True), indent=1))
    elif vocabulary:
        say("\n".join(vocabulary_page()))
    elif name:
        say(_text_of(name).rstrip("\n"))
    else:
        profiles = built_in_profiles().values()
        width = max(len(profile.name) for profile in profiles)
        for profile in profiles:
            say(f"{profile.name:{width}}  {profile.title} (files: {', '.join(profile.files)})")
        say_next(
            f"{program()} profiles NAME > my-profile.yaml   (one to copy and edit: docs/writing_a_profile.md)"
        )
    return 0


def _text_of(name: str) -> str:
    folder = resources.files("corso.extract") / "profiles"
    if name not in built_in_profiles():
        message = f"no profile {name!r}; {nearest(name, list(built_in_profiles()))}"
        raise UsageError(message)
    return (folder / f"{name}.yaml").read_text(encoding="utf-8")


def vocabulary_page() -> Iterator[str]:
    """Yield the lines of the page: every section with every word of it."""
    yield _INTRODUCTION
    said = field_texts(vocabulary_module)
    for section in _SECTIONS:
        model: type[BaseModel] = getattr(vocabulary_module, section)
        yield f"## {_PLACES[section]}\n"
        yield f"{' '.join((inspect.getdoc(model) or '').split())}\n"
        yield "| word | value | default | meaning |\n|---|---|---|---|"
        for field_name, field in model.model_fields.items():
            cells = (
                f"`{field.alias or field_name}`",
                _kind(field.annotation),
                _default(field),
                said[section, field_name],
            )
            yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
        yield ""


def _kind(annotation: Any) -> str:
    """Return in words what may stand there."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "a section, see below"
    if origin is typing.Literal:
        return ", ".join(f"`{each}`" for each in arguments)
    kinds = [_kind(each) for each in arguments if each not in {type(None), ...}]
    if origin in {typing.Union, types.UnionType}:
        return " or ".join(kinds)
    forms = {typing.Annotated: "{}", tuple: "list of {}", dict: "{} -> {}"}
    if origin in forms:
        return forms[origin].format(*kinds)
    return {str: "text", int: "number", bool: "true or false"}.get(annotation, "")


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "needed"
    if value in ((), {}, None, "") or isinstance(value, BaseModel):
        return ""
    return f"`{json.dumps(value) if isinstance(value, bool | str) else value}`"
