"""A profile: how one platform's export becomes the canonical tables, as data.

Profiles are YAML files; the built-in ones lie in `profiles/`, a merchant's own is named by its path in
loader.yaml. The models below are the whole vocabulary, each word with its line.
"""

import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pandera.polars as pa
import pydantic
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from corso.errors import SettingsError
from corso.settings import line_of, nearest, parse_yaml_file
from schemas.fulfillments import FULFILLMENTS
from schemas.line_items import LINE_ITEMS
from schemas.orders import ORDERS

TableName = Literal["orders", "line_items", "fulfillments"]

TABLES: Mapping[TableName, pa.DataFrameSchema] = {
    "orders": ORDERS,
    "line_items": LINE_ITEMS,
    "fulfillments": FULFILLMENTS,
}
"""The canonical tables by name."""

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Headers = Annotated[tuple[str, ...], BeforeValidator(_listed)]
"""One header or several; of several the first that has a value."""


class Rule(_Section):
    """How one canonical column is filled: one source, then what is done to it.

    Headers match without regard to case, spaces and underscores. `join.header` names a joined file's column.
    """

    from_: Headers = Field(default=(), alias="from")
    """The value of a header."""
    order: Headers = ()
    """The value that a header has on the first row of the order."""
    constant: str | None = None
    """The same text for every row."""
    template: str | None = None
    """Text with {header} placeholders; empty where one of them is. {row_in_order} counts the order's rows."""
    sum: tuple[str, ...] = ()
    """Amounts to add up; a header after a minus is subtracted. Empty where all are."""
    first_word: Headers = ()
    """A full name's first word."""
    other_words: Headers = ()
    """A full name without its first word."""
    strip: str = ""
    """Characters to take off both ends, e.g. the apostrophe that keeps a spreadsheet from eating zeros."""
    map: dict[str, str] = {}
    """Value -> value; others stay."""
    where: str | None = None
    """Only on rows where this header has a value."""

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        given = [name for name in _SOURCES if getattr(self, name) not in {(), None}]
        if len(given) != 1:
            message = f"needs exactly one of {', '.join(name.rstrip('_') for name in _SOURCES)}"
            raise ValueError(message)
        return self


_SOURCES = ("from_", "order", "constant", "template", "sum", "first_word", "other_words")


def _shorthand(value: Any) -> Any:
    return {"from": value} if isinstance(value, str | list) else value


class Join(_Section):
    """Another file whose columns are wanted beside a table's own."""

    file: str
    """The file role; also the prefix of its columns, `role.header`."""
    on: str
    """The header that both files share."""
    totals: dict[str, str] = {}
    """New column -> header whose amounts are added up over the file's rows; without totals the first row counts."""


class Table(_Section):
    """One canonical table."""

    file: str
    """The file role that its rows come from."""
    rows: Literal["all", "first_of_order"] = "all"
    """All rows of the file, or the first of each order."""
    filled: str | None = None
    """Only rows where this header has a value."""
    join: tuple[Join, ...] = ()
    """Other files' columns."""
    by_name: bool = False
    """Fill every canonical column from the header of the same name (or of the API's spelling)."""
    columns: dict[str, Annotated[Rule, BeforeValidator(_shorthand)]] = {}
    """Canonical column -> how it is filled."""


class FileForm(_Section):
    """How a file role's CSV files are laid out."""

    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    """What parts the columns."""
    encoding: str = "utf-8"
    """Python's name of the encoding."""
    optional: bool = False
    """Whether a batch may go without this file."""
    order_starts_with: str | None = None
    """In files with several rows an order: the header that has a value on an order's first row only."""
    needs: tuple[str, ...] = ()
    """Headers without which the file is not of this profile."""


class Profile(_Section):
    """A whole profile."""

    name: str
    """What loader.yaml and reports call it."""
    title: str
    """The platform and the kind of export, in words."""
    files: dict[str, FileForm]
    """File role -> its form; the roles are the keys under `exports:` in loader.yaml."""
    tables: dict[TableName, Table]
    """The canonical tables that it fills."""

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        for needed in ("orders", "line_items"):
            if needed not in self.tables:
                message = f"tables: {needed} is needed"
                raise ValueError(message)
        for name, table in self.tables.items():
            for role in (table.file, *(join.file for join in table.join)):
                if role not in self.files:
                    message = (
                        f"tables.{name}: no file role {role!r} under files; {nearest(role, list(self.files))}"
                    )
                    raise ValueError(message)
            known = [column for column in TABLES[name].columns if column not in {"file", "line"}]
            for column in table.columns:
                if column not in known:
                    message = f"tables.{name}: unknown column {column!r}; {nearest(column, known)}"
                    raise ValueError(message)
        return self


def placeholders(template: str) -> list[str]:
    """Return the names between braces."""
    return _PLACEHOLDER.findall(template)


def literal_parts(template: str) -> list[str]:
    """Return the text around the placeholders: one part more than there are placeholders."""
    return _PLACEHOLDER.split(template)[::2]


def built_in_profiles() -> dict[str, Profile]:
    """Return the profiles that come with the program, by name."""
    folder = resources.files("corso.extract") / "profiles"
    found = [_read(Path(str(entry))) for entry in folder.iterdir() if entry.name.endswith(".yaml")]
    return {profile.name: profile for profile in sorted(found, key=lambda profile: profile.name)}


def load_profile(name: str, home: Path) -> Profile:
    """Return the built-in profile of this name, or read the file of this path (relative to `home`).

    Raises SettingsError with the nearest known name, or with the file, line and key that is wrong.
    """
    if name.endswith((".yaml", ".yml")):
        return _read(home / name)
    profiles = built_in_profiles()
    if name not in profiles:
        message = f"exports.profile: no profile {name!r}; {nearest(name, list(profiles))} (a profile file's name ends in .yaml)"
        raise SettingsError(message)
    return profiles[name]


def _read(path: Path) -> Profile:
    node, data = parse_yaml_file(path)
    try:
        return Profile.model_validate(data)
    except pydantic.ValidationError as error:
        problems = [
            f"{path}:{line_of(node, tuple(problem['loc']))}: {'.'.join(map(str, problem['loc']))}: "
            f"{problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors()
        ]
        raise SettingsError("\n".join(problems)) from None
