"""Which export files make up a batch.

A path in loader.yaml is that of a file, of a folder of files or a glob, relative to loader.yaml. With `{batch}` in it, each folder that
fits is a batch of its own; without, all files that fit are one batch, named after the newest modification date among them.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from glob import escape, glob, has_magic
from itertools import takewhile
from pathlib import Path

from corso.errors import ExportError, SettingsError
from corso.extract.folders import files_in, files_of, is_of_a_table, without_exports
from corso.settings import BATCH_PLACEHOLDER, Settings, check_batch_name
from corso.storage.address import BucketAddress, is_in_a_bucket
from corso.storage.outline import Outline, outline_at, outline_of


@dataclass(frozen=True)
class ExportFile:
    """One export file of a batch."""

    path: Path
    name: str
    """How reports name it: its path relative to loader.yaml's folder where it lies below it; else its name, with its partitions."""
    role: str = ""
    """The file role that it has in loader.yaml."""
    patterns: tuple[str, ...] = ()
    """The role's paths as they stand in loader.yaml, for messages that say what to write there."""


def local_pattern(settings: Settings, pattern: str) -> str:
    """Return a path of loader.yaml as one of this machine; of what it means in a bucket there are outlines by then.

    Raises SettingsError and Stopped for the bucket.
    """
    if settings.found_in is not None:
        outline_at(settings.found_in).look()
    if not is_in_a_bucket(pattern):
        return pattern
    parts = pattern.removeprefix("s3:").strip("/").split("/")
    fixed = list(takewhile(lambda part: not has_magic(part) and BATCH_PLACEHOLDER not in part, parts[:-1]))
    try:
        outline = outline_at(BucketAddress.parse("s3://" + "/".join(fixed)))
    except ValueError as error:
        message = f"{settings.source}: {error}"
        raise SettingsError(message) from None
    outline.look()
    return str(Path(escape(str(outline.folder)), *parts[len(fixed) :]))


def bring(files: Iterable[ExportFile]) -> None:
    """Have the content of files at hand that lie in a bucket. Raises Stopped."""
    wanted: dict[Outline, list[Path]] = {}
    for file in files:
        if outline := outline_of(file.path):
            wanted.setdefault(outline, []).append(file.path)
    for outline, paths in wanted.items():
        outline.bring(paths)


def find_exports(settings: Settings, batch: str) -> dict[str, list[ExportFile]]:
    """Return file role -> the batch's files, sorted by path.

    Raises ExportError where a role's path fits no file.
    """
    found = {}
    for role, patterns in settings.loader.exports.roles.items():
        paths = sorted({path for pattern in patterns for path in _fitting(settings, pattern, batch)})
        if not paths:
            message = f"exports.{role}: no file fits {' or '.join(patterns)} (relative to {settings.source.parent}); {_there(settings, patterns[0], batch)}"
            raise ExportError(message)
        found[role] = [ExportFile(path, _shown(settings, path), role, tuple(patterns)) for path in paths]
    return found


def files_there(settings: Settings, batch: str) -> list[Path]:
    """Return those of the batch's export files that are there by now, sorted."""
    return sorted(
        {
            path
            for patterns in settings.loader.exports.roles.values()
            for pattern in patterns
            for path in _fitting(settings, pattern, batch)
        }
    )


def find_corrections(settings: Settings, batch: str, *, of_it_alone: bool = False) -> list[ExportFile]:
    """Return the batch's corrections files, sorted by path; none is needed.

    `of_it_alone` leaves out those that are meant for all batches, as their path does not hold `{batch}`.

    Raises ExportError for a file below the workdir: each plan writes quarantine.csv anew.
    """
    patterns = [
        pattern for pattern in settings.loader.corrections if BATCH_PLACEHOLDER in pattern or not of_it_alone
    ]
    paths = sorted({path for pattern in patterns for path in _fitting(settings, pattern, batch)})
    for path in paths:
        if path.resolve().is_relative_to(settings.workdir.resolve()):
            message = f"corrections: {_shown(settings, path)} lies in the workdir, where each plan writes it anew and the corrections would be lost; copy it to another folder"
            raise ExportError(message)
    return [ExportFile(path, _shown(settings, path), "corrections", tuple(patterns)) for path in paths]


def is_parquet(path: Path) -> bool:
    """Say whether a file is Parquet by its name; every other file is CSV by its content, whatever its name."""
    return path.suffix.lower() in {".parquet", ".pq"}


def default_batch(settings: Settings) -> str:
    """Return the batch that a command without --batch means: the newest.

    Raises ExportError where there are no files.
    """
    if batches := batch_folders(settings):
        return max(batches, key=lambda name: (batches[name], name))
    files = [file for files in find_exports(settings, "").values() for file in files]
    if not files:
        message = "exports: names no file"
        raise ExportError(message)
    newest = max(file.path.stat().st_mtime for file in files)
    return datetime.fromtimestamp(newest, UTC).strftime("%Y-%m-%d")


def batch_folders(settings: Settings) -> dict[str, float]:
    """Return batch -> its files' newest modification time (POSIX seconds), for paths that hold `{batch}`."""
    batches: dict[str, float] = {}
    for patterns in settings.loader.exports.roles.values():
        for pattern in patterns:
            if BATCH_PLACEHOLDER not in pattern:
                continue
            absolute = str(settings.home / local_pattern(settings, pattern))
            before, _, after = absolute.partition(BATCH_PLACEHOLDER)
            for hit in _glob(settings, local_pattern(settings, pattern).replace(BATCH_PLACEHOLDER, "*")):
                files = files_of([hit], absolute)
                if not files:
                    continue
                rest = hit[len(before) :]
                name = (
                    re.split(r"[/\\]", rest)[0] if after.startswith(("/", "\\")) else rest.removesuffix(after)
                )
                batches[name] = max(batches.get(name, 0.0), *(file.stat().st_mtime for file in files))
    return {name: newest for name, newest in batches.items() if is_batch_name(name)}


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def is_batch_name(name: str) -> bool:
    """Say whether a folder's name can be a batch's."""
    try:
        check_batch_name(name)
    except SettingsError:
        return False
    return True


def _fitting(settings: Settings, pattern: str, batch: str) -> list[Path]:
    pattern = local_pattern(settings, pattern).replace(BATCH_PLACEHOLDER, batch)
    here = settings.home / pattern
    if here.is_file():
        return [here]
    if here.is_dir():
        return files_in(here)
    return files_of(_glob(settings, pattern), pattern) if has_magic(pattern) else []


def _there(settings: Settings, pattern: str, batch: str) -> str:
    """Say what is there where no file fits: the files of the folder that like it best, or that there is no folder."""
    wanted = Path(local_pattern(settings, pattern).replace(BATCH_PLACEHOLDER, batch))
    if (settings.home / wanted).is_dir():
        return without_exports(settings.home / wanted)
    folder = settings.home / wanted.parent
    if has_magic(str(wanted.parent)):
        return f"see which folders fit {wanted.parent}"
    if not folder.is_dir():
        return f"there is no folder {_shown(settings, folder)}"
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    if not names:
        return f"the folder {_shown(settings, folder)} holds no file"
    near = get_close_matches(wanted.name, names, 3, 0.3) or names[:3]
    return f"the folder {_shown(settings, folder)} holds {', '.join(near)}{', …' if len(names) > len(near) else ''}"


def _glob(settings: Settings, pattern: str) -> list[str]:
    # Only the merchant's pattern is one: a folder above it may be called [2026].
    return glob(str(Path(escape(str(settings.home))) / pattern), recursive=True)  # noqa: PTH207  (Path.glob takes no absolute pattern)


def _shown(settings: Settings, path: Path) -> str:
    try:
        return path.resolve().relative_to(settings.home.resolve()).as_posix()
    except ValueError:
        # Partitions have files of the same names.
        parts = takewhile(is_of_a_table, (folder.name for folder in path.parents))
        return "/".join([*reversed(list(parts)), path.name])
