"""Which files are meant: a file, a folder's export files, or those that fit a pattern (`corso.extract.folders`)."""

from collections.abc import Iterable, Sequence
from glob import glob, has_magic
from pathlib import Path

from corso.errors import ExportError
from corso.extract.files import ExportFile
from corso.extract.folders import files_in, files_of, without_exports


def export_files(paths: Sequence[Path]) -> list[ExportFile]:
    """Return the files that some paths mean, each once, in the order of the paths.

    A file that is named and not there is among them: opening it says so. Raises ExportError for a folder or a pattern
    without any export file.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        for each in _meant(path):
            found.setdefault(each.resolve(), each)
    return [ExportFile(path, name) for path, name in zip(found.values(), _names(found.values()), strict=True)]


def _meant(path: Path) -> list[Path]:
    if path.is_dir():
        return _of_folder(path)
    if path.exists() or not has_magic(str(path)):
        return [path]
    files = files_of(glob(str(path), recursive=True), path.name)  # noqa: PTH207  (Path.glob takes no absolute pattern)
    if not files:
        message = f"no file fits {path}"
        raise ExportError(message)
    return files


def _of_folder(folder: Path) -> list[Path]:
    files = files_in(folder)
    if not files:
        message = f"{folder}: {without_exports(folder)}"
        raise ExportError(message)
    return files


def _names(paths: Iterable[Path]) -> list[str]:
    """Return what each file is called on the screen: its name alone, where no other one has it."""
    listed = list(paths)
    names = [path.name for path in listed]
    return [
        name if names.count(name) == 1 else path.as_posix() for path, name in zip(listed, names, strict=True)
    ]
