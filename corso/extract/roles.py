"""All files of one role as one table of text, and which of its rows belong to one order."""

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from corso.errors import ExportError
from corso.extract.correcting import Settled, settle, use_of, written_names
from corso.extract.corrections import NO_CORRECTIONS, Corrections
from corso.extract.files import ExportFile, is_parquet
from corso.extract.forms import entry
from corso.extract.headers import normal, said_of
from corso.extract.profile import FileForm, Profile
from corso.extract.recognition import OrderHeaders
from corso.extract.text import FAULT, LINE, CsvForm, form_of, other_layout, read_header, read_rows
from corso.extract.used_headers import used_headers
from schemas.corrections import CorrectionsUse
from schemas.raw import ORIGINAL

ROW = "\0row_in_order"
"""A row's number among the rows of its order, from 1."""
ORDER = "\0order"
"""The same on all rows of an order, whatever it is; less than 0 on rows that say their order's name alone (`order_of_a_name`)."""
FILE = "\0file"
NOBODYS = "\0nobodys"
_NOT_BELOW_ITS_ORDER = "does not stand below the first row of its order, as in a file that was sorted or cut"

NOTHING_CORRECTED = Settled()


@dataclass(frozen=True)
class Role:
    """All rows of one file role, and its headers in their order."""

    name: str
    form: FileForm
    rows: pl.LazyFrame
    names: Mapping[str, str]
    """Header as `normal` writes it and the profile names it -> as the files spell it; in the files' order."""
    marks_nobodys: bool = False
    """Whether NOBODYS says of each row whether no table takes it."""
    corrected: Settled = NOTHING_CORRECTED
    """What corrections changed in the rows."""
    files: int = 1
    """How many files its rows come from."""

    @property
    def headers(self) -> list[str]:
        """The headers as the files spell them, in their order."""
        return list(self.names.values())

    @property
    def original(self) -> list[pl.Expr]:
        """A row as it stands in the export, whatever was corrected in it: one column a header (`schemas.raw`)."""
        return [pl.col(self.corrected.exported(header)).alias(ORIGINAL + header) for header in self.headers]

    def find(self, header: str) -> str | None:
        """Return a header as the files spell it; None if they have it not."""
        name = normal(header)
        return self.names.get(name) or self.names.get(self.form.other_names.get(name, ""))

    def find_any(self, headers: Sequence[str]) -> str | None:
        """Return the first of these headers that the files have."""
        return next(filter(None, map(self.find, headers)), None)


def read_roles(
    profile: Profile,
    files: Mapping[str, Sequence[ExportFile]],
    scratch: Path,
    forms: Mapping[str, Mapping[str, Any]],
    corrections: Corrections = NO_CORRECTIONS,
) -> dict[str, Role]:
    """Return the roles of a profile that have files; `forms`: role -> how they are laid out in another way.

    Raises ExportError: a role without files, an unknown role, headers that the profile needs are not there, corrections
    that disagree.
    """
    for role in files:
        if role not in profile.files:
            message = f"exports.{role}: profile {profile.name!r} reads no such file; it knows {', '.join(profile.files)}"
            raise ExportError(message)
    for role, form in profile.files.items():
        if role not in files and not form.optional:
            message = f"exports.{role}: profile {profile.name!r} needs this file"
            raise ExportError(message)
    read = {
        role: _read_files(profile, role, files[role], csv_form(form, forms.get(role, {})), scratch)
        for role, form in profile.files.items()
        if role in files
    }
    settled = _settle(profile, read, corrections) if corrections.tables else {}
    return {role: _grouped(role, each, settled.get(role, NOTHING_CORRECTED)) for role, each in read.items()}


def said_of_corrections(
    profile: Profile,
    roles: Mapping[str, Role],
    files: Mapping[str, Sequence[ExportFile]],
    corrections: Corrections,
) -> CorrectionsUse:
    """Return what was made of the corrections in the roles; `files`: those of the roles."""
    headers = {role: each.headers for role, each in roles.items()}
    settled = [role.corrected for role in roles.values()]
    return use_of(
        corrections, settled, written_names(_of_tables(profile, headers)), _paths_by_name(files.values())
    )


def missing_headers(form: FileForm, headers: Sequence[str]) -> list[str]:
    """Return the headers that files of this form need and these do not have."""
    there = set(named(form, headers))
    named_by = filter(None, [form.order_named_by])
    needed = (*form.needs, form.order_key, form.order_starts_with, *((header,) for header in named_by))
    return [each[0] for each in needed if each and there.isdisjoint(map(normal, each))]


def csv_form(form: FileForm, overrides: Mapping[str, Any]) -> CsvForm:
    """Return how a role's files are laid out: as the profile says, but for what loader.yaml says."""
    own = CsvForm(form.delimiter, form.encoding, form.duplicate_headers, form.skip_lines, form.skip_rows)
    return form_of(own, overrides)


def named(form: FileForm, headers: Sequence[str], apart: Container[str] = ()) -> dict[str, str]:
    """Return a file's headers by the names that the profile has for them, as `normal` writes them, in their order.

    `apart`: names, as `normal` writes them, that several headers have and nobody reads: these are called as they are spelled.
    """
    own = {normal(header) for header in headers}
    names: dict[str, str] = {}
    for header in headers:
        if normal(header) in apart:
            names[header] = header
            continue
        name = form.other_names.get(normal(header), "")
        names[normal(header) if not name or name in own or name in names else name] = header
    return names


@dataclass(frozen=True)
class _Files:
    """The files of one role as they stand."""

    form: FileForm
    names: Mapping[str, str]
    frames: Sequence[tuple[ExportFile, pl.LazyFrame]]


def _read_files(
    profile: Profile, role: str, files: Sequence[ExportFile], layout: CsvForm, scratch: Path
) -> _Files:
    form = profile.files[role]
    own = [(file, read_header(file, layout)) for file in files]
    for file, each in own:
        _check_alike(profile, role, file, each)
        _check_needed(role, form, file, each, layout)
    apart = {name for _, each in own for name in _alike(each)}
    headers: dict[str, str] = {}
    parts = [(file, named(form, each, apart)) for file, each in own]
    for _, names in parts:
        for name, header in names.items():
            headers.setdefault(name, header)
    return _Files(
        form,
        headers,
        [
            (
                file,
                _without_descriptions(
                    _read_file(file, names, headers=headers, layout=layout, scratch=scratch), form, headers
                ),
            )
            for file, names in parts
        ],
    )


def _settle(profile: Profile, read: Mapping[str, _Files], corrections: Corrections) -> dict[str, Settled]:
    """Return what the corrections change in each role; a file of which there are two by one name is left alone."""
    paths = _paths_by_name([file for file, _ in each.frames] for each in read.values())
    written = written_names(
        _of_tables(profile, {role: list(each.names.values()) for role, each in read.items()})
    )
    settled = {}
    for role, each in read.items():
        frames = {file.name: rows for file, rows in each.frames if paths[file.name] == 1}
        empty = Role(role, each.form, pl.LazyFrame(), each.names)
        settled[role] = settle(corrections, frames, empty.headers, _order_headers(profile, empty), written)
    return settled


def _of_tables(profile: Profile, headers: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the headers of all files whose rows are rows of a table: the columns of quarantine.csv but for ours."""
    read = [headers[table.file] for table in profile.tables.values() if table.file in headers]
    return list(dict.fromkeys(header for own in read for header in own))


def _paths_by_name(files: Iterable[Sequence[ExportFile]]) -> dict[str, int]:
    paths = {(file.name, file.path) for group in files for file in group}
    return dict(Counter(name for name, _ in paths))


def _order_headers(profile: Profile, role: Role) -> OrderHeaders:
    """Return the headers that say which order a row is of."""

    def those_of(*columns: str) -> list[str]:
        wanted: list[str] = []
        for table in (each for each in profile.tables.values() if each.file == role.name):
            for column in columns:
                rule = table.columns.get(column)
                wanted += rule.headers if rule else [column] if table.by_name else []
        return wanted

    def there(headers: Sequence[str]) -> list[str]:
        return list(dict.fromkeys(own for header in headers if (own := role.find(header))))

    ids, names = those_of("source_order_id"), those_of("order_name", "order_number")
    return OrderHeaders(there([*role.form.order_key, *ids]), there(names))


def _grouped(role: str, files: _Files, corrected: Settled) -> Role:
    """Return a role with its corrected rows, numbered within their orders."""
    form, headers = files.form, files.names
    frames = [corrected.applied(rows, file.name) for file, rows in files.frames]
    if form.order_starts_with:
        starts = [headers[normal(each)] for each in form.order_starts_with if normal(each) in headers]
        name = headers[normal(form.order_named_by)] if form.order_named_by else None
        frames = [_rows_under_a_start(frame, starts, name, number) for number, frame in enumerate(frames)]
    if form.order_key:
        key = next(headers[normal(name)] for name in form.order_key if normal(name) in headers)
        frames = [_rows_of_a_key(frame, key, number) for number, frame in enumerate(frames)]
    return Role(role, form, pl.concat(frames), headers, corrected=corrected, files=len(frames))


def _alike(headers: Sequence[str]) -> list[str]:
    """Return the names, as `normal` writes them, that more than one of a file's headers has."""
    return [name for name, count in Counter(map(normal, headers)).items() if count > 1]


def _check_alike(profile: Profile, role: str, file: ExportFile, headers: Sequence[str]) -> None:
    """Raise ExportError where it cannot be told which of two headers the profile reads; others may be as alike as they like."""
    alike = _alike(headers)
    used = used_headers(profile, role, headers) if alike else set()
    if twice := [name for name in alike if name in used]:
        both = " and ".join(repr(header) for header in headers if normal(header) == twice[0])
        message = (
            f"{file.name}:1: two columns have the same name but for case, spaces and underscores ({both}): take one of "
            "them out, or rename it"
        )
        if not is_parquet(file.path):
            message += f"; to have the first one read, {entry(file, duplicate_headers='number')}"
        raise ExportError(message)


def _check_needed(
    role: str, form: FileForm, file: ExportFile, headers: Sequence[str], layout: CsvForm
) -> None:
    if missing := missing_headers(form, headers):
        message = f"{file.name}:1: exports.{role} needs the column {missing[0]!r}; {said_of(headers)}"
        if found := other_layout(file, layout):
            message += f". It seems that {found}"
        raise ExportError(message)


def _read_file(
    file: ExportFile, names: Mapping[str, str], *, headers: Mapping[str, str], layout: CsvForm, scratch: Path
) -> pl.LazyFrame:
    """Return one file's rows with the columns of all files of its role."""
    rows = read_rows(file, layout, scratch).rename({own: headers[name] for name, own in names.items()})
    absent = [pl.lit(None, pl.String).alias(own) for name, own in headers.items() if name not in names]
    return rows.with_columns(pl.lit(file.name).alias(FILE), *absent).select(
        FILE, LINE, FAULT, *headers.values()
    )


def _without_descriptions(rows: pl.LazyFrame, form: FileForm, headers: Mapping[str, str]) -> pl.LazyFrame:
    """Leave out the rows that describe the columns, as far as they are told by what stands in them."""
    said = {
        headers[normal(name)]: texts for name, texts in form.descriptions.items() if normal(name) in headers
    }
    if not said:
        return rows
    describes = pl.all_horizontal(
        pl.col(own).str.strip_chars().str.to_lowercase().is_in([text.lower() for text in texts])
        for own, texts in said.items()
    )
    return rows.filter(~describes.fill_null(value=False))


def _rows_under_a_start(
    rows: pl.LazyFrame, starts: Sequence[str], name: str | None, file_number: int
) -> pl.LazyFrame:
    index = pl.int_range(pl.len(), dtype=pl.Int64)
    begins = pl.any_horizontal(pl.col(start).is_not_null() for start in starts)
    head = pl.when(begins).then(index).forward_fill()
    order, row = head + (file_number << 40), index - head + 1
    if name is None:
        return rows.with_columns(order.alias(ORDER), row.alias(ROW))
    own = order_of_a_name(name)
    above = pl.when(begins).then(own).forward_fill()
    is_apart = pl.col(FAULT).is_null() & pl.col(name).is_not_null() & own.ne_missing(above)
    return rows.with_columns(
        pl.when(is_apart).then(own).otherwise(order).alias(ORDER),
        pl.when(~is_apart).then(row).alias(ROW),
        pl.when(is_apart).then(pl.lit(_NOT_BELOW_ITS_ORDER)).otherwise(FAULT).alias(FAULT),
    )


def order_of_a_name(name: str) -> pl.Expr:
    """Return what stands for an order of which a row says the name alone: less than 0, unlike other orders' ORDER."""
    return -(pl.col(name).hash() // 4).cast(pl.Int64) - 1


def _rows_of_a_key(rows: pl.LazyFrame, key: str, file_number: int) -> pl.LazyFrame:
    # Each file is counted by itself: in two that overlap the rows of an order are the same rows, not more of them.
    number = pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over(pl.col(key).str.strip_chars())
    # Rows without the key belong to nobody, and none may stand for another.
    return rows.with_columns(
        pl.concat_str(pl.lit(f"{file_number} "), pl.col(key).str.strip_chars()).alias(ORDER),
        pl.when(pl.col(key).is_null()).then(1).otherwise(number).alias(ROW),
    )
