"""What of the canonical columns some files fill, by a profile: which header feeds which column, and what nothing feeds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from corso.extract.headers import normal
from corso.extract.layouts import PART, spread_numbers
from corso.extract.profile import TABLES, Join, Profile, Rule, Table, TableName
from corso.extract.roles import named
from corso.extract.used_headers import canonical_columns
from corso.stages.inspection.facts import Missing
from schemas.fields import MONEY, dtypes

_OF_THE_STORE = "fulfillment_location_id"
"""Comes from store.fulfillment_locations where the files have nothing."""
_NEEDED_OF_A_CUSTOMER = ("customer_source_customer_id", "customer_first_name", "customer_last_name")
"""Corso refuses a customer without one of them; an order without any customer it takes."""


@dataclass(frozen=True)
class Sources:
    """A profile, and the headers of the files that have a role in it."""

    profile: Profile
    headers: Mapping[str, Sequence[str]]
    """File role -> the headers of its files together, as they spell them."""

    def missing(self) -> list[Missing]:
        """Return the canonical columns that nothing fills, in the tables' order, those that Corso needs first."""
        found = [
            missing
            for name, table in self.profile.tables.items()
            if table.file in self.headers
            for missing in self._missing_of(name, table)
        ]
        return sorted(found, key=lambda missing: not missing.is_needed)

    def needed(self) -> tuple[int, int]:
        """Return how many of the columns without which Corso refuses an order, or its customer, are filled, and of how many."""
        names = [
            (name, column)
            for name in self.profile.tables
            if name != "fulfillments" or self.profile.tables[name].file in self.headers
            for column in (*_needed_columns(name), *(_NEEDED_OF_A_CUSTOMER if name == "orders" else ()))
        ]
        lacking = {missing.column for missing in self.missing() if missing.is_needed}
        there = [
            column
            for name, column in names
            if f"{name}.{column}" not in lacking and self.profile.tables[name].file in self.headers
        ]
        return len(there), len(names)

    def headers_of(self, role: str, column: str) -> list[str]:
        """Return the headers of a role's files, as they spell them, that a canonical column (`table.column`) reads."""
        return [header for header, columns in self._feeds(role).items() if column in columns]

    def headers_of_type(self, role: str, dtype: pl.DataType) -> list[str]:
        """Return the headers of a role's files that feed a column of this type, and amounts that are moved."""
        types = {
            f"{name}.{column}": own
            for name, schema in TABLES.items()
            for column, own in dtypes(schema).items()
        }
        found = [
            header
            for header, columns in self._feeds(role).items()
            if any(types[column] == dtype for column in columns)
        ]
        if dtype == MONEY and self.profile.tables["orders"].file == role:
            moved = [each.removeprefix("-") for moved in self.profile.money.moved for each in moved.amounts]
            found += [own for each in moved if (own := self._find(role, each))]
        return list(dict.fromkeys(found))

    def _feeds(self, role: str) -> dict[str, set[str]]:
        """Return header -> the `table.column`s whose value it may become."""
        feeds: dict[str, set[str]] = {}
        for name, table in self.profile.tables.items():
            for column in canonical_columns(name):
                for header in _value_headers(table, column):
                    for own in self._meant(role, table, header):
                        feeds.setdefault(own, set()).add(f"{name}.{column}")
        return feeds

    def _find(self, role: str, header: str) -> str | None:
        """Return a header as the files of a role spell it; None if they have it not."""
        names, name = self._names.get(role, {}), normal(header)
        return names.get(name) or names.get(self.profile.files[role].other_names.get(name, ""))

    @cached_property
    def _names(self) -> dict[str, dict[str, str]]:
        return {role: named(self.profile.files[role], own) for role, own in self.headers.items()}

    def _meant(self, role: str, table: Table, header: str) -> list[str]:
        """Return the headers of `role` that a table's rule means with `header`, in its own file or in a joined one."""
        join, rest = _joined(table, header)
        if (join.file if join else table.file) != role:
            return []
        if join:
            headers = [each.removeprefix("-") for each in join.totals.get(rest, (rest,))]
        else:
            numbers = spread_numbers(header, self.headers[role]) if "{n}" in header else []
            headers = [header.replace("{n}", str(number)) for number in numbers] or [header]
        return [own for each in headers if (own := self._find(role, each))]

    def _missing_of(self, name: TableName, table: Table) -> Iterator[Missing]:
        needed = _needed_columns(name)
        for column in canonical_columns(name):
            rule = table.columns.get(column)
            reads = ""
            if rule is None:
                if table.by_name and not self._find(table.file, column):
                    reads = column
                elif table.by_name or column not in {*needed, *_NEEDED_OF_A_CUSTOMER}:
                    continue
            elif any(self._is_there(table, each) for each in rule.chain):
                continue
            else:
                reads = " or ".join(dict.fromkeys(_own_headers(rule)))
            if column == "tax" and self.profile.money.line_tax == "shared":
                continue
            if column != _OF_THE_STORE:
                yield Missing(f"{name}.{column}", reads, column in needed or column in _NEEDED_OF_A_CUSTOMER)

    def _is_there(self, table: Table, rule: Rule) -> bool:
        """Say whether a rule can give a value, by the headers that there are."""
        own = _own_headers(rule)
        where = (
            rule.where if isinstance(rule.where, dict) else dict.fromkeys(filter(None, [rule.where]), ("",))
        )
        if not all(self._has(table, header) for header, words in where.items() if words):
            return False
        if rule.constant is not None:
            return True
        there = [self._has(table, header) for header in own]
        return all(there) if rule.template is not None or rule.divide else any(there)

    def _has(self, table: Table, header: str) -> bool:
        if header == "row_in_order":
            return True
        if header.startswith(PART) and table.unpack:
            return any(self._find(table.file, cell) for form in table.unpack.chain for cell in form.from_)
        if "{n}" in header:
            return bool(spread_numbers(header, self.headers.get(table.file, ())))
        join, _ = _joined(table, header)
        return bool(self._meant(join.file if join else table.file, table, header))


def _joined(table: Table, header: str) -> tuple[Join | None, str]:
    """Return the join that a header belongs to, and its name in the joined file."""
    prefix, _, rest = header.partition(".")
    return next((each for each in table.join if each.prefix == prefix and rest), None), rest


def _needed_columns(name: TableName) -> list[str]:
    columns = TABLES[name].columns
    return [
        column
        for column in canonical_columns(name)
        if (not columns[column].nullable or column == "source_order_id") and column != _OF_THE_STORE
    ]


def _own_headers(rule: Rule) -> tuple[str, ...]:
    """Return the headers that a rule takes its value from, without its condition and what stands in for it."""
    return rule.model_copy(update={"where": None, "or_else": None}).headers


def _value_headers(table: Table, column: str) -> list[str]:
    rule = table.columns.get(column)
    if rule is None:
        return [column] if table.by_name else []
    # What an amount is divided by is none.
    return [
        header for each in rule.chain for header in (each.divide[:1] if each.divide else _own_headers(each))
    ]
