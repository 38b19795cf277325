"""A profile: how one platform's export becomes the canonical tables, as data.

Profiles are YAML files; the built-in ones lie in `profiles/`, a merchant's own is named by its path in
loader.yaml. The models below are the whole vocabulary, each word with its line.
"""

import codecs
import re
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pandera.polars as pa
import pydantic
import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from corso.errors import SettingsError
from corso.extract.cells import Decimal, quarrels
from corso.extract.headers import normal
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


def _shorthand(value: Any) -> Any:
    return {"from": value} if isinstance(value, str | list) else value


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
    """Text with {header} placeholders; empty where one of them is. {row_in_order} counts the order's lines."""
    sum: tuple[str, ...] = ()
    """Amounts to add up; a header after a minus is subtracted, and `Price * Qty` is a product. Empty where all are."""
    divide: tuple[str, ...] = ()
    """Two headers: an amount, and by what it is divided; rounded to four decimals. Empty where either is, or zero."""
    first_word: Headers = ()
    """A full name's first word."""
    other_words: Headers = ()
    """A full name without its first word."""
    first_line: Headers = ()
    """The first line of a text that has several, e.g. of a street."""
    other_lines: Headers = ()
    """A text's lines but the first, in one line, with commas between them."""
    strip: str = ""
    """Characters to take off both ends, e.g. the apostrophe that keeps a spreadsheet from eating zeros."""
    map: dict[str, str] = {}
    """Value -> value; others stay."""
    where: str | dict[str, Headers] | None = None
    """Only on rows where this header has a value, or one of these values (without regard to case); `[]`: has none."""
    or_else: Annotated["Rule", BeforeValidator(_shorthand)] | None = None
    """What fills the column where this rule gives nothing."""

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        given = [name for name in _SOURCES if getattr(self, name) not in {(), None}]
        if len(given) != 1:
            message = f"needs exactly one of {', '.join(name.rstrip('_') for name in _SOURCES)}"
            raise ValueError(message)
        if self.divide and len(self.divide) != _A_FRACTION:
            message = "divide needs two headers: an amount, and by what it is divided"
            raise ValueError(message)
        return self

    @property
    def chain(self) -> tuple["Rule", ...]:
        """The rule and those that stand in for it, in their order."""
        return (self, *(self.or_else.chain if self.or_else else ()))

    @property
    def sources(self) -> tuple[str, ...]:
        """Every header of a row whose value the rule takes, but not those of its conditions."""
        return (
            *self.from_,
            *self.first_word,
            *self.other_words,
            *self.first_line,
            *self.other_lines,
            *(header for each in (*self.sum, *self.divide) for header in factors(each)),
            *placeholders(self.template or ""),
            *(self.or_else.sources if self.or_else else ()),
        )

    @property
    def headers(self) -> tuple[str, ...]:
        """Every header that the rule reads, with the prefix of a joined file or a cell's part, if any."""
        conditions = [
            header
            for each in self.chain
            for header in ([each.where] if isinstance(each.where, str) else each.where or ())
        ]
        return (*self.sources, *(header for each in self.chain for header in each.order), *conditions)


_SOURCES = (
    "from_", "order", "constant", "template", "sum", "divide",
    "first_word", "other_words", "first_line", "other_lines",
)  # fmt: skip
_A_FRACTION = 2


class Join(_Section):
    """Another file whose columns are wanted beside a table's own."""

    file: str
    """The file role; also the prefix of its columns, `role.header`."""
    as_: str = Field(default="", alias="as")
    """Another prefix, where a file is joined twice, e.g. for the billing and the shipping address."""
    by: str
    """The header that both files share."""
    also_called: str | None = None
    """What the joined file calls it, where it does so differently."""
    where: dict[str, Headers] = {}
    """Only the file's rows where these headers have one of these values (without regard to case); `[]`: have none."""
    except_: dict[str, Headers] = Field(default={}, alias="except")
    """Not the rows where these headers have one of these values (`[]`: none); all others stay, whatever stands there."""
    totals: dict[str, Headers] = {}
    """New column -> headers whose amounts are added up over the file's rows; one after a minus is subtracted, and
    `Price * Qty` is a product of each row.

    Without totals the first row counts. A table's own file may be joined, for the totals of an order's rows or to see whether
    there is one of a kind; of several files each is taken by itself, for two that overlap hold the same order twice. In totals of
    another's a row that stands in several of its files counts once.
    """
    without_rows: Literal["nothing", "zero"] = "nothing"
    """What the totals are of a row for which the file has none; without the file they are nothing."""

    @property
    def prefix(self) -> str:
        """What the names of its columns begin with, before the dot."""
        return self.as_ or self.file


class Unpack(_Section):
    """A cell that holds several lines of an order; their parts are called `item.<name>`."""

    from_: Headers = Field(alias="from")
    """The header of the cell."""
    form: Literal["named", "in_order", "json"]
    """`named`: each part stands behind its name (`Product Qty: 1`). `in_order`: parts in a fixed order
    (`SKU:2:9.99`). `json`: an array of objects (or one object)."""
    parts: tuple[str, ...] = ()
    """The parts' names; in JSON every key is a part."""
    between_items: str = "|"
    """What parts the lines. A named line begins with the first name again, so that a text may hold the mark."""
    between_parts: str = ", "
    """What parts the parts of a line."""
    after_name: str = ": "
    """What stands between a part's name and its value."""
    optional: bool = False
    """Whether files may go without the cell, and so without any line."""
    or_else: "Unpack | None" = None
    """How lines are read where the cell does not begin as this form does: JSON with a bracket, `named` with the first
    name; `in_order` begins anyhow."""

    @model_validator(mode="after")
    def _has_parts(self) -> Self:
        if self.form != "json" and not self.parts:
            message = f"{self.form} needs the names of the parts"
            raise ValueError(message)
        return self

    @property
    def chain(self) -> tuple["Unpack", ...]:
        """The form and those that stand in for it, in their order."""
        return (self, *(self.or_else.chain if self.or_else else ()))


class Table(_Section):
    """One canonical table."""

    file: str
    """The file role that its rows come from."""
    rows: Literal["all", "first_of_order"] = "all"
    """All rows of the file, or the first of each order."""
    first_of: Headers = ()
    """Of rows that have the same values in these headers only the first, e.g. of an order's rows with one tracking number."""
    filled: str | None = None
    """Only rows where this header has a value. With `spread`, with the line's number: `Product Item {n} Name`. Of line items
    also those where it has none but another header of the line alone (of its name, quantity, price, tax, SKU, product or
    variant) says something, which a blank or a zero does not: that is a damaged line, and quarantines its order.
    """
    where: dict[str, Headers] = {}
    """Only rows (or lines of a cell) where these headers have one of these values (without regard to case); `[]`: none."""
    except_: dict[str, Headers] = Field(default={}, alias="except")
    """Not the rows (or lines) where these headers have one of these values (`[]`: none); all others stay, whatever stands there."""
    spread: str | None = None
    """Lines side by side in one row: a header with {n}; each number that the file has may be a line, and is one where
    `filled`, else this header, has a value. Rules say {n}, too."""
    unpack: Unpack | None = None
    """Lines in one cell."""
    join: tuple[Join, ...] = ()
    """Other files' columns."""
    by_name: bool = False
    """Fill every canonical column from the header of the same name (or of the API's spelling)."""
    columns: dict[str, Annotated[Rule, BeforeValidator(_shorthand)]] = {}
    """Canonical column -> how it is filled."""


def _known_encoding(name: str) -> str:
    try:
        codecs.lookup(name)
    except LookupError:
        message = f"unknown encoding {name!r}; e.g. utf-8, utf-16, cp1252, latin-1"
        raise ValueError(message) from None
    return name


class Amounts(_Section):
    """How amounts are written, beside plain digits: with a currency's mark, thousands in groups, brackets."""

    decimal: Decimal = "."
    """What stands before the decimals."""


class FileForm(_Section):
    """How a file role's files are laid out."""

    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    """What parts the columns."""
    encoding: Annotated[str, AfterValidator(_known_encoding)] = "utf-8"
    """Python's name of the encoding."""
    optional: bool = False
    """Whether a batch may go without this file."""
    duplicate_headers: Literal["refuse", "number"] = "refuse"
    """Whether a header that stands there twice is refused, or the second one called `Header 2`."""
    skip_lines: Annotated[int, Field(ge=0)] = 0
    """Lines before the header."""
    skip_rows: Annotated[int, Field(ge=0)] = 0
    """Rows behind the header that describe the columns."""
    descriptions: dict[str, Headers] = {}
    """Where only some files have such a row: header -> what stands there in it (without regard to case)."""
    amounts: Amounts | None = None
    """How amounts and numbers are written; without it, with digits and a decimal point alone."""
    dates: tuple[str, ...] = ()
    """How dates and times are written, beside ISO 8601 (strftime's codes, tried in turn), e.g. "%m/%d/%Y %I:%M %p"."""
    times_are_utc: bool = False
    """Whether times without an offset are UTC; else they are the store's (store.time_zone)."""
    order_starts_with: Headers = ()
    """In files with several rows an order: headers that have a value on an order's first row only; one of them is enough."""
    order_named_by: str | None = None
    """Beside order_starts_with: the header that has the order's name on each of its rows. A row that stands under another order's,
    as in a file that was sorted or cut, quarantines its order.
    """
    order_key: Headers = ()
    """In files with several rows an order: the header that has the same value on all of them."""
    needs: tuple[Headers, ...] = ()
    """Headers without which the file is not of this profile; of a list one is enough."""
    also_called: dict[str, Headers] = {}
    """Header -> what other versions of the export call it; everything else here names the header alone."""

    @model_validator(mode="after")
    def _is_plain(self) -> Self:
        if self.order_starts_with and self.order_key:
            message = "order_starts_with and order_key are two ways to say the same; give one"
            raise ValueError(message)
        if self.order_named_by and not self.order_starts_with:
            message = "order_named_by goes with order_starts_with"
            raise ValueError(message)
        if pair := quarrels(self.dates):
            message = f"dates: {pair[0]!r} and {pair[1]!r} read the same text as different days; give one"
            raise ValueError(message)
        return self

    @property
    def other_names(self) -> dict[str, str]:
        """What other versions of the export call a header -> the header, both as `headers.normal` writes them."""
        return {normal(other): normal(name) for name, others in self.also_called.items() for other in others}

    @property
    def has_orders_of_several_rows(self) -> bool:
        """Whether it is said which rows belong to one order."""
        return bool(self.order_starts_with or self.order_key)


class Moved(_Section):
    """An amount of the export that Corso's order has no field for, and where it goes."""

    kind: str
    """What reports call it: discount, tip, duties, handling, gift card, refund, …"""
    from_: str = Field(default="", alias="from")
    """Its header; after a minus it is subtracted."""
    sum: tuple[str, ...] = ()
    """Instead of `from`: amounts that it is the sum of, e.g. the total less all that is known of it."""
    where: str | dict[str, Headers] | None = None
    """Only in orders where this header has a value, or one of these values; `[]`: has none."""
    into: Literal["subtotal", "shipping", "tax", "nothing"]
    """The amount of Corso's that it is added to. `nothing`: it changes no amount (it says how the order was paid or
    what was given back later), and is reported."""

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if bool(self.from_) == bool(self.sum):
            message = "needs exactly one of from, sum"
            raise ValueError(message)
        return self

    @property
    def amounts(self) -> tuple[str, ...]:
        """The headers that are added up; those after a minus are subtracted."""
        return self.sum or (self.from_,)

    @property
    def headers(self) -> tuple[str, ...]:
        """Every header that is read."""
        where = self.where if isinstance(self.where, dict) else filter(None, [self.where])
        return (*(header for each in self.amounts for header in factors(each)), *where)


class MoneyPolicy(_Section):
    """How the export's amounts become Corso's four, of which the total has to be the sum of the others."""

    prices_include_tax: Literal["no", "yes", "by_total"] = "no"
    """Whether the subtotal holds the tax, which Corso's does not. `by_total`: where subtotal and shipping alone are the
    total, it does; where they and the tax are, it does not; other orders are quarantined."""
    line_tax: Literal["as_exported", "shared"] = "as_exported"
    """`shared`: an order's tax is shared out over its lines by their amount, where none of them has one."""
    moved: tuple[Moved, ...] = ()
    """Amounts that go into others."""


AS_EXPORTED = MoneyPolicy()
"""Nothing is moved."""


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
    money: MoneyPolicy = AS_EXPORTED
    """How the amounts of an order add up."""

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        for needed in ("orders", "line_items"):
            if needed not in self.tables:
                message = f"{needed} is needed"
                raise _Misfit(message, "tables")
        for name, table in self.tables.items():
            for misfit in _misfits(name, table, self.files):
                raise misfit
        return self


class _Misfit(ValueError):
    """Two parts of a profile do not fit; `location` is the key at which the mistake stands."""

    def __init__(self, message: str, *location: str) -> None:
        super().__init__(message)
        self.location = location


def _misfits(name: TableName, table: Table, files: Mapping[str, FileForm]) -> Iterator[_Misfit]:
    place = ("tables", name)
    for role in (table.file, *(join.file for join in table.join)):
        if role not in files:
            yield _Misfit(f"no file role {role!r} under files; {nearest(role, list(files))}", *place, "file")
    prefixes = [join.prefix for join in table.join]
    if twice := next((prefix for prefix in prefixes if prefixes.count(prefix) > 1), None):
        yield _Misfit(f"two joins are called {twice!r}; call one of them otherwise with `as`", *place, "join")
    known = [column for column in TABLES[name].columns if column not in {"file", "line"}]
    for column in table.columns:
        if column not in known:
            yield _Misfit(f"unknown column {column!r}; {nearest(column, known)}", *place, "columns", column)
    if table.spread and "{n}" not in table.spread:
        yield _Misfit("needs {n} where the line's number stands", *place, "spread")
    if table.file in files and not files[table.file].has_orders_of_several_rows:
        yield from _rows_untold(name, table)


def _rows_untold(name: TableName, table: Table) -> Iterator[_Misfit]:
    """Yield what needs to know which rows are one order's, where the file does not say it."""
    place = ("tables", name)
    message = f"needs files.{table.file}.order_key or .order_starts_with, which tell an order's rows"
    if table.rows == "first_of_order":
        yield _Misfit(message, *place, "rows")
    for column, rule in table.columns.items():
        has_lines = table.spread or table.unpack
        counted = any("row_in_order" in placeholders(each.template or "") for each in rule.chain)
        if any(each.order for each in rule.chain) or (counted and not has_lines):
            yield _Misfit(message, *place, "columns", column)


def factors(part: str) -> tuple[str, ...]:
    """Return the headers of one part of a sum: that behind its minus, or those that are multiplied."""
    return tuple(header.strip() for header in part.removeprefix("-").split(" * "))


def placeholders(template: str) -> list[str]:
    """Return the names between braces."""
    return _PLACEHOLDER.findall(template)


def literal_parts(template: str) -> list[str]:
    """Return the text around the placeholders: one part more than there are placeholders."""
    return _PLACEHOLDER.split(template)[::2]


def built_in_profiles() -> dict[str, Profile]:
    """Return the profiles that come with the program, by name."""
    return {name: _read(path) for name, path in _built_in_files().items()}


def load_profile(name: str, home: Path) -> Profile:
    """Return the built-in profile of this name, or read the file of this path (relative to `home`).

    Raises SettingsError with the nearest known name, or with the file, line and key that is wrong.
    """
    if name.endswith((".yaml", ".yml")):
        return _read(home / name)
    files = _built_in_files()
    if name not in files:
        message = f"exports.profile: no profile {name!r}; {nearest(name, list(files))} (a profile file's name ends in .yaml)"
        raise SettingsError(message)
    return _read(files[name])


def _built_in_files() -> dict[str, Path]:
    """Return the files of the built-in profiles by their names, which are the profiles' own."""
    folder = resources.files("corso.extract") / "profiles"
    found = (Path(str(entry)) for entry in folder.iterdir())
    return {path.stem: path for path in sorted(found, key=lambda path: path.stem) if path.suffix == ".yaml"}


def _read(path: Path) -> Profile:
    node, data = parse_yaml_file(path)
    try:
        return Profile.model_validate(data)
    except pydantic.ValidationError as error:
        raise SettingsError("\n".join(_explain(path, node, each) for each in error.errors())) from None


def _explain(path: Path, node: yaml.Node | None, problem: Any) -> str:
    cause = problem.get("ctx", {}).get("error")
    location = tuple(part for part in problem["loc"] if part != "[key]") + getattr(cause, "location", ())
    text = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        text = f"unknown key; {nearest(str(location[-1]), _known_keys(location[:-1]))}"
    elif problem["loc"] and problem["loc"][-1] == "[key]":
        text = f"unknown table; {nearest(str(location[-1]), list(TABLES))}"
    dotted = ".".join(map(str, location))
    return f"{path}:{line_of(node, location)}: {f'{dotted}: ' if dotted else ''}{text}"


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    """Return the keys that may stand in the section at this place of a profile."""
    section: type[_Section] = Profile
    match location:
        case ("files", _):
            section = FileForm
        case ("tables", _):
            section = Table
        case ("tables", _, "columns", _, *deeper) if set(deeper) <= {"or_else"}:
            section = Rule
        case ("tables", _, "join", _):
            section = Join
        case ("tables", _, "unpack"):
            section = Unpack
        case ("files", _, "amounts"):
            section = Amounts
        case ("money",):
            section = MoneyPolicy
        case ("money", "moved", _):
            section = Moved
        case _:
            pass
    return [field.alias or name for name, field in section.model_fields.items()]
