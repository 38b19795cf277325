"""How an export file is laid out, what its rows look like once read, and what to write where the layout is another.

A profile says how a platform's files are laid out; loader.yaml may say it otherwise for one role
(`corso.settings.RoleFiles`). Nothing is guessed while loading: `corso.extract.sniffing` only finds out what to say.
"""

import codecs
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from corso.extract.files import ExportFile

# Names that begin with NUL stand beside an export's columns: no header has one.
LINE = "\0line"
"""The line on which a row begins, from 1 (the header is line 1); in Parquet the row's number, from 1."""
FAULT = "\0fault"
"""Null, or why the row as a whole cannot be trusted."""

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
"""The usual delimiters, and what a sentence calls them."""


@dataclass(frozen=True)
class CsvForm:
    """How the text of a CSV file is laid out. Nothing of it matters for Parquet."""

    delimiter: str = ","
    """What parts the columns: one character."""
    encoding: str = "utf-8"
    """Python's name of the encoding; a byte order mark is taken off, whatever the encoding."""
    duplicate_headers: Literal["refuse", "number"] = "refuse"
    """Whether a header that stands there twice is refused, or the second one called `Header 2`."""
    skip_lines: int = 0
    """Lines before the header, e.g. a title; blank lines before it need not be told."""
    skip_rows: int = 0
    """Rows behind the header that describe the columns and are no data."""
    encoding_is_sure: bool = True
    """False where the encoding is a suspicion only: the bytes allow of it, and of others."""

    @property
    def codec(self) -> str:
        """The encoding's name with which the text is opened."""
        name = codecs.lookup(self.encoding).name
        return "utf-8-sig" if name == "utf-8" else name

    @property
    def is_utf8(self) -> bool:
        """Whether the text is UTF-8, however the encoding is spelled."""
        return self.codec == "utf-8-sig"


def form_of(profile_form: CsvForm, overrides: Mapping[str, Any]) -> CsvForm:
    """Return how a role's files are laid out: as the profile says, but for what loader.yaml says.

    `overrides`: fields of CsvForm, as `corso.settings.Exports.forms` has them for a role.
    """
    return replace(profile_form, **overrides)


def entry(file: ExportFile, **changes: str | int) -> str:
    """Return what to do with loader.yaml, so that this file's role is read otherwise."""
    patterns = file.patterns or (file.name,)
    files = json.dumps(patterns[0] if len(patterns) == 1 else list(patterns), ensure_ascii=False)
    keys = "".join(
        f", {key}: {json.dumps(value) if key == 'delimiter' else value}" for key, value in changes.items()
    )
    return f"in loader.yaml, under exports, write {file.role or 'the role'}: {{files: {files}{keys}}}"


def delimiter_in_words(delimiter: str) -> str:
    """Return what a sentence calls a delimiter."""
    return DELIMITERS.get(delimiter, repr(delimiter))
