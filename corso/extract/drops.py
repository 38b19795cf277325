"""Drops: what lies in a store's batch folders, told by names, sizes and times alone. No file is opened.

A drop is complete when markers (`nightly.markers`) say so, each of the files that lie beside and below it and are not newer; where they do
not, its files have to stay as they are for `nightly.quiet_s`, which takes two looks. A look at everything is one call
to the system for each folder and file, so that a year of batches of 200 stores can be looked at every minute.
"""

import os
import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from glob import escape, has_magic
from hashlib import sha256
from pathlib import Path

from corso.errors import ExportError
from corso.extract.files import (
    batch_folders,
    files_there,
    find_corrections,
    find_exports,
    is_batch_name,
    local_pattern,
)
from corso.settings import BATCH_PLACEHOLDER, Settings
from corso.storage.outline import Outline, outline_of

_BY_DATE = re.compile(r"\d{4}-?\d{2}-?\d{2}(?!\d)")


@dataclass(frozen=True)
class Drop:
    """One batch's files as they are now."""

    batch: str
    signature: str
    """Of the names, sizes and modification times of its export and corrections files; 16 hexadecimal digits."""
    marked: bool
    """Whether markers say that it is complete."""
    missing: str = ""
    """Which role has no file yet, in a sentence; empty where none is missing."""
    empty: bool = False
    """Whether there is no export file at all: perhaps the folder is no batch."""


def has_batch_folders(settings: Settings) -> bool:
    """Say whether the store's paths hold `{batch}`: only then can its batches be told apart as they arrive."""
    return any(BATCH_PLACEHOLDER in pattern for pattern in _patterns(settings))


def is_later(settings: Settings, batch: str, than: str) -> bool:
    """Say whether a batch is surely later than another: both are folders that are named after a day, and sort after it."""
    by_date = _BY_DATE.match(batch) and _BY_DATE.match(than)
    return bool(by_date) and has_batch_folders(settings) and batch > than


def changed_batches(settings: Settings, since_ns: int = -1, *, also: Container[str] = ()) -> dict[str, int]:
    """Return batch -> when it changed last, of the batches that changed after `since_ns`, and those in `also`; by name.

    Times are those of the files' status (ctime, nanoseconds): a file that is moved into place, or copied with its old
    modification time, counts as a change. A folder that is moved into place as a whole leaves those of its files as they
    were, so its own counts, too: whatever comes or goes in it costs a look, and `Drop.signature` tells whether it is another
    drop. In a bucket, when this machine first saw the files as they are.
    """
    newest: dict[str, int] = {}
    outline = outline_of(settings.home)

    def changed(path: Path, batch: str) -> int:
        if outline:
            return outline.changed_ns(path)
        named = [folder for folder in path.parents if batch in str(folder)]
        return max(each.stat().st_ctime_ns for each in (path, *named))

    folders, others = _folders(settings)
    for folder in folders:
        if is_batch_name(folder.name):
            newest[folder.name] = max(newest.get(folder.name, -1), _changed_in(folder, outline))
    if others:
        for name in batch_folders(settings):
            changes = [changed(path, name) for path in files_there(settings, name)]
            newest[name] = max([newest.get(name, -1), *changes])
    if any(BATCH_PLACEHOLDER in pattern for pattern in settings.loader.corrections):
        for name, so_far in newest.items():
            corrections = find_corrections(settings, name, of_it_alone=True)
            changes = [changed(file.path, name) for file in corrections]
            newest[name] = max([so_far, *changes])
    return {name: newest[name] for name in sorted(newest) if newest[name] > since_ns or name in also}


def misnamed_batches(settings: Settings) -> list[str]:
    """Return the folders that hold export files where batches lie, and whose names no batch can have; hidden ones aside."""
    folders, _ = _folders(settings)
    return sorted(
        folder.name
        for folder in folders
        if not is_batch_name(folder.name)
        and not folder.name.startswith(".")
        and files_there(settings, escape(folder.name))
    )


def look_at(settings: Settings, batch: str) -> Drop:
    """Return one batch's drop as it is now."""
    missing = ""
    try:
        find_exports(settings, batch)
    except ExportError as error:
        missing = str(error)
    exports = files_there(settings, batch)
    corrections = [file.path for file in find_corrections(settings, batch, of_it_alone=True)]
    marked = _are_marked(settings, batch, exports)
    return Drop(batch, _signature(settings.home, {*exports, *corrections}), marked, missing, not exports)


def _are_marked(settings: Settings, batch: str, exports: Sequence[Path]) -> bool:
    """Say whether a marker vouches for each file: one in its folder, or above it up to the batch's, that is not older than what it vouches for.

    A table in many files has its marker above them, and one that is whole says nothing of another that is still written.
    """
    folders = {path: _folders_up_to(settings.home, path, batch) for path in exports}
    newest: dict[Path, int] = {}
    for path, above in folders.items():
        changed = path.stat().st_mtime_ns
        newest |= {folder: max(newest.get(folder, 0), changed) for folder in above}
    marks = {folder: [folder / name for name in settings.loader.nightly.markers] for folder in newest}
    vouched = {
        folder
        for folder, beside in marks.items()
        if any(mark.is_file() and mark.stat().st_mtime_ns >= newest[folder] for mark in beside)
    }
    return bool(exports) and all(vouched.intersection(above) for above in folders.values())


def _folders_up_to(home: Path, path: Path, batch: str) -> Sequence[Path]:
    """Return a file's folder and those above it, as far as the one below `home` that is called after the batch; else the first alone."""
    above = path.parents
    named = [number for number, folder in enumerate(above) if home in folder.parents and batch in folder.name]
    return above[: max(named, default=0) + 1]


def _patterns(settings: Settings) -> list[str]:
    return [pattern for patterns in settings.loader.exports.roles.values() for pattern in patterns]


def _folders(settings: Settings) -> tuple[list[os.DirEntry[str]], bool]:
    """Return the folders that may be batches, and whether some batches have to be found in another way.

    A path like `in/{batch}/orders*.csv` has its batches in one folder, which is read once.
    """
    parents: set[Path] = set()
    others = False
    for pattern in _patterns(settings):
        before, placeholder, after = local_pattern(settings, pattern).partition(BATCH_PLACEHOLDER)
        if not placeholder:
            continue
        is_folder = after.startswith("/") and (not before or before.endswith("/"))
        if is_folder and not has_magic(before):
            parents.add(settings.home / before)
        else:
            others = True
    work = os.path.normpath(settings.workdir.absolute())
    folders = [
        entry
        for parent in sorted(parents)
        if parent.is_dir()
        for entry in os.scandir(parent)
        if entry.is_dir() and os.path.normpath(entry.path) != work
    ]
    return folders, others


def _changed_in(folder: os.DirEntry[str], outline: Outline | None) -> int:
    """Return when a folder or what is below it changed last; -1 where it is drawn from a bucket and has no file."""
    newest = -1 if outline else _status_changed_ns(folder)
    for entry in os.scandir(folder.path):
        if entry.is_dir():
            changed = _changed_in(entry, outline)
        else:
            changed = outline.changed_ns(Path(entry.path)) if outline else _status_changed_ns(entry)
        newest = max(newest, changed)
    return newest


def _status_changed_ns(entry: os.DirEntry[str]) -> int:
    """Return when an entry changed last; of a link, it or what it leads to. One call to the system where it is none."""
    return max(entry.stat(follow_symlinks=False).st_ctime_ns, entry.stat().st_ctime_ns)


def _signature(home: Path, paths: set[Path]) -> str:
    digest = sha256()
    for path in sorted(paths):
        found = path.stat()
        name = f"{os.path.relpath(path, home)}\0{found.st_size}\0{found.st_mtime_ns}"
        # A bucket tells times by the second, and content by its ETag.
        etag = f"\0{outline.etag(path)}" if (outline := outline_of(path)) else ""
        digest.update(f"{name}{etag}\n".encode())
    return digest.hexdigest()[:16]
