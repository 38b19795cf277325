"""Inspection: which profile fits some export files, what they hold, and what is missing, before anything is set up."""

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from corso.errors import ExportError
from corso.extract.files import ExportFile
from corso.extract.headers import normal
from corso.extract.mapping import map_exports, used_headers
from corso.extract.profile import TABLES, Profile, TableName, built_in_profiles
from corso.extract.roles import missing_headers
from corso.extract.text import CsvForm, read_header, read_rows
from corso.extract.validate import check_bucket
from corso.report.results import problems_by_frequency
from corso.settings import Store
from corso.stages.preparing import original_fields

_MOST_ORDERS = 50_000
"""So many orders are tried out at the most; the counts say so."""
_ROLE_WORDS = {
    "line": "line_items",
    "item": "line_items",
    "fulfil": "fulfillments",
    "shipment": "fulfillments",
}


@dataclass(frozen=True)
class FileFacts:
    """One file as it stands."""

    path: Path
    role: str
    """The file role that its headers fit best; empty where no profile knows them."""
    rows: int
    faulty_rows: int
    """Rows that cannot be trusted as a whole (ragged, unclosed quote)."""
    understood: list[str]
    """Headers that the profile uses."""
    ignored: list[str]
    """Headers that it does not."""


@dataclass(frozen=True)
class Inspection:
    """What was found out about some files."""

    profile: str | None
    """The profile that fits, or None."""
    why: str
    """Why it fits, or what speaks against every profile."""
    files: list[FileFacts]
    dates: dict[str, list[str]]
    """Column -> forms of its date-times, digits as 9, the most frequent first."""
    empty_columns: list[str]
    """`table.column` of canonical columns that Corso needs and no row fills."""
    orders: int
    accepted: int
    """Orders that would be accepted as the files stand."""
    problems: list[dict[str, Any]]
    """Broken rules by frequency."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def inspect_files(paths: Sequence[Path], scratch: Path) -> Inspection:
    """Find the profile that fits, try it on the files, and say what came of it.

    Raises ExportError for a file that cannot be read.
    """
    files = [ExportFile(path, path.name) for path in paths]
    headers = {file: read_header(file, CsvForm(delimiter=_delimiter(file))) for file in files}
    profile, roles, why = _fitting_profile(headers)
    facts = [_file_facts(file, own, profile, roles.get(file, ""), scratch) for file, own in headers.items()]
    nothing: tuple[dict[str, list[str]], list[str], int, int, list[dict[str, Any]]] = ({}, [], 0, 0, [])
    tried = _try(profile, roles, scratch) if profile and _is_complete(profile, roles) else nothing
    return Inspection(profile.name if profile else None, why, facts, *tried)


def roles_of(inspection: Inspection) -> dict[str, list[Path]]:
    """Return file role -> files, for a loader.yaml."""
    roles: dict[str, list[Path]] = {}
    for file in inspection.files:
        roles.setdefault(file.role or "orders", []).append(file.path)
    return roles


def _delimiter(file: ExportFile) -> str:
    if file.path.suffix.lower() in {".parquet", ".pq"} or not file.path.is_file():
        return ","
    opened = gzip.open if file.path.suffix.lower() == ".gz" else open
    try:
        with opened(file.path, "rb") as stream:
            head = stream.readline(1 << 20)
    except (OSError, EOFError):
        return ","  # reading the header says what is wrong
    return max(",;\t|", key=lambda mark: (head.count(mark.encode()), mark == ","))


def _fitting_profile(
    headers: Mapping[ExportFile, list[str]],
) -> tuple[Profile | None, dict[ExportFile, str], str]:
    """Return the built-in profile that every file fits, the role of each file in it, and the reason."""
    best: tuple[int, Profile, dict[ExportFile, str]] | None = None
    for profile in built_in_profiles().values():
        roles = {file: role for file, own in headers.items() if (role := _role_in(profile, file, own))}
        if len(roles) < len(headers):
            continue
        known = sum(len(_understood(profile, roles[file], own)) for file, own in headers.items())
        if best is None or known > best[0]:
            best = (known, profile, roles)
    if best is None:
        return (
            None,
            {},
            "no built-in profile knows these headers; write a profile of your own (docs/profiles shows one)",
        )
    known, profile, roles = best
    count = sum(map(len, headers.values()))
    missing = [
        role for role, form in profile.files.items() if role not in roles.values() and not form.optional
    ]
    why = f"{profile.title}: {known} of {count} columns are understood"
    return profile, roles, f"{why}; still missing: the file of {' and '.join(missing)}" if missing else why


def _role_in(profile: Profile, file: ExportFile, headers: list[str]) -> str | None:
    """Return the role whose needed headers are there; of several the one that the file's own columns or name tell."""
    fitting = [role for role, form in profile.files.items() if not missing_headers(form, headers)]
    if not fitting:
        return None
    named = next((role for word, role in _ROLE_WORDS.items() if word in file.name.lower()), None)
    return max(fitting, key=lambda role: (len(_understood(profile, role, headers)), role == named))


def _understood(profile: Profile, role: str, headers: list[str]) -> list[str]:
    used = used_headers(profile, role, headers)
    return [header for header in headers if normal(header) in used]


def _file_facts(
    file: ExportFile, headers: list[str], profile: Profile | None, role: str, scratch: Path
) -> FileFacts:
    form = CsvForm(delimiter=_delimiter(file))
    counts = read_rows(file, form, scratch).select(
        pl.len().alias("rows"), faulty=pl.col("__fault").is_not_null().sum()
    )
    rows, faulty = counts.collect().row(0)
    understood = _understood(profile, role, headers) if profile else []
    return FileFacts(
        file.path, role, rows, faulty, understood, [name for name in headers if name not in understood]
    )


def _is_complete(profile: Profile, roles: Mapping[ExportFile, str]) -> bool:
    return all(form.optional or role in roles.values() for role, form in profile.files.items())


def _try(
    profile: Profile, roles: Mapping[ExportFile, str], scratch: Path
) -> tuple[dict[str, list[str]], list[str], int, int, list[dict[str, Any]]]:
    by_role: dict[str, list[ExportFile]] = {}
    for file, role in roles.items():
        by_role.setdefault(role, []).append(file)
    lazy = map_exports(profile, by_role, scratch)
    orders = lazy["orders"].head(_MOST_ORDERS).collect()
    raw: dict[TableName, pl.DataFrame] = {"orders": orders}
    for name in ("line_items", "fulfillments"):
        raw[name] = (
            lazy[name]
            .join(orders.lazy().select("source_order_id"), on="source_order_id", how="semi")
            .collect()
        )
    if orders.is_empty():
        message = "the files hold no order"
        raise ExportError(message)
    checked = check_bucket(raw, Store(id=0), [], original_fields(lazy))
    accepted = checked.accepted["orders"].height
    problems = problems_by_frequency(checked.quarantine.lazy()).drop("file", "line").to_dicts()
    return _date_forms(raw), _empty(raw), orders["source_order_id"].n_unique(), accepted, problems


def _date_forms(raw: Mapping[TableName, pl.DataFrame]) -> dict[str, list[str]]:
    forms = {}
    for name, frame in raw.items():
        for column in frame.columns:
            if column.endswith("_on") and frame[column].count():
                shapes = frame[column].drop_nulls().str.replace_all(r"\d", "9").value_counts(sort=True)
                forms[f"{name}.{column}"] = shapes[column].head(3).to_list()
    return forms


def _empty(raw: Mapping[TableName, pl.DataFrame]) -> list[str]:
    return [
        f"{name}.{column}"
        for name, frame in raw.items()
        for column, declared in TABLES[name].columns.items()
        if not declared.nullable and frame.height and not frame[column].count()
    ]
