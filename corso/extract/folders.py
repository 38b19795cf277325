"""Which files a folder means, and which of those that fit a pattern: a table's data, as Spark, Hive and DuckDB write it.

A table may be cut into folders called `name=value` (partitions), one in another. What hides (`.part-0.crc`) and what tells of the writing
(`_SUCCESS`) is no data. Other folders are not looked into: an archive, or the workdir, may lie beside the exports.
"""

from collections.abc import Iterable
from glob import has_magic
from pathlib import Path

SUFFIXES = frozenset({".csv", ".txt", ".tsv", ".tab", ".parquet", ".pq", ".gz"})
"""What an export's name ends in, where a whole folder is given."""
_MOST_SHOWN = 3


def files_in(folder: Path) -> list[Path]:
    """Return the export files of a folder and of its partitions, sorted."""
    found: list[Path] = []
    for path in folder.iterdir():
        if path.name.startswith((".", "~")):
            continue
        if path.is_dir():
            found += files_in(path) if is_of_a_table(path.name) else []
        elif _ends_like_an_export(path.name) and path.is_file():
            found.append(path)
    return sorted(found)


def files_of(hits: Iterable[str | Path], pattern: str) -> list[Path]:
    """Return the files that a pattern means by what fits it, sorted.

    A folder counts where the pattern's last part is its name, or where it is called like a partition or a file (`orders.parquet`).
    """
    last = Path(pattern).name
    found: set[Path] = set()
    for path in map(Path, hits):
        if path.is_file():
            found.update([path] if last.startswith("_") or not _tells_of_the_writing(path.name) else ())
        elif path.is_dir():
            found.update(files_in(path) if not has_magic(last) or is_of_a_table(path.name) else ())
    return sorted(found)


def is_of_a_table(name: str) -> bool:
    """Say whether a folder is called like a part of a table, or like a file: it belongs to what it lies in."""
    return "=" in name or _ends_like_an_export(name)


def without_exports(folder: Path) -> str:
    """Return what is said of a folder that has no export file."""
    there = sorted(path for path in folder.iterdir() if not path.name.startswith((".", "~")))
    names = [path.name for path in there if path.is_file()]
    more = ", …" if len(names) > _MOST_SHOWN else ""
    holds = f"it holds {', '.join(names[:_MOST_SHOWN])}{more}" if names else "it holds no file"
    if any(path.is_dir() for path in there):
        holds += ", and folders, which are looked into only where they are called name=value: name the one that is meant"
    return f"no export file in this folder (CSV, TXT, TSV, Parquet, or one of them as .gz); {holds}"


def _ends_like_an_export(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES


def _tells_of_the_writing(name: str) -> bool:
    # _orders.csv is somebody's orders.
    return name.startswith("_") and not _ends_like_an_export(name)
