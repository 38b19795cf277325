"""docs/licences.md: which packages the program is made of, by which extra they come, and under which licences.

Read from what is installed (pip-licenses), for the packages of requirements.lock. A test holds the page against it, and
each licence against those that we take. `python -m handbook.licences` writes the page.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).resolve().parents[1]
PAGE = PROJECT / "docs" / "licences.md"
OURS = "corso-loader"
LONE = "dev"
"""The extra of what only developers need."""

TAKEN = frozenset(
    {
        "0BSD", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "ISC", "LGPL-2.1-only", "LGPL-3.0-only", "LGPL",
        "MIT", "MIT-0", "MPL-2.0", "PSF-2.0",
    }
)  # fmt: skip
"""Licences that we take: permissive ones, and those that ask something of changed copies only, which we do not make."""

_SPELLINGS = {
    "Apache Software License": "Apache-2.0",
    "Apache": "Apache-2.0",
    "BSD License": "BSD",
    "3-Clause BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "GNU Library or Lesser General Public License (LGPL)": "LGPL",
}
_SAID_ELSEWHERE = {"axe-playwright-python": "MIT"}
"""Packages whose metadata tell none -> what the licence file in the package says."""
_PINNED = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)", re.MULTILINE)
_ALSO = frozenset({"DFSG approved"})
"""No licence, though it stands among them."""


@dataclass(frozen=True, order=True)
class Package:
    """One package of the lock that is installed here."""

    name: str
    version: str
    licence: str
    needed_by: tuple[str, ...]
    """`core`, or the extras that bring it."""

    @property
    def is_taken(self) -> bool:
        """Whether we take its licence: one of several to choose from, or all that hold together."""
        choices = [choice.split(" AND ") for choice in self.licence.split(" OR ")]
        return any(all(part.strip("() ") in TAKEN for part in parts) for parts in choices)


def pinned(lock: str) -> dict[str, str]:
    """Return canonical name -> version of what a lock file pins."""
    return {canonicalize_name(name): version for name, version in _PINNED.findall(lock)}


def pinned_by_python(lock: str) -> set[str]:
    """Return the canonical names of what a lock file pins for some Pythons only: the page has those of the one that wrote it."""
    return {
        canonicalize_name(name) for name in re.findall(r"(?m)^([\w.-]+)==\S+ ; .*python_full_version", lock)
    }


def packages() -> list[Package]:
    """Return the packages of the lock that are installed here, by name."""
    lock = pinned((PROJECT / "requirements.lock").read_text(encoding="utf-8"))
    ways = _needed_by()
    return sorted(
        Package(name, row["Version"], spelt(name, row["License"]), ways.get(name, (LONE,)))
        for row in _told()
        if (name := canonicalize_name(row["Name"])) in lock
    )


def spelt(name: str, told: str) -> str:
    """Return a licence as SPDX spells it; several that a package's metadata list hold together."""
    told = _SAID_ELSEWHERE.get(name, told) if told == "UNKNOWN" else told
    parts = [part.strip() for part in told.split(";")]
    return " AND ".join(_SPELLINGS.get(part, part) for part in parts if part not in _ALSO)


def page(rows: Iterable[Package]) -> str:
    """Return docs/licences.md."""
    lines = [
        "# Licences",
        "",
        "What requirements.lock pins, by which extra it comes, and under which licence. `core` is what `pip install",
        "corso-loader` brings. All are used as they are: nothing is changed, nothing is linked into a program of ours. Made by",
        "`python -m handbook.licences`; a test refuses a licence that we do not take.",
        "",
        "| package | version | licence | comes by |",
        "|---|---|---|---|",
    ]
    lines += [f"| {row.name} | {row.version} | {row.licence} | {', '.join(row.needed_by)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _told() -> list[dict[str, str]]:
    command = [
        str(Path(sys.executable).with_name("pip-licenses")),
        "--format=json",
        "--from=mixed",
        "--with-system",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  (our own command)
    rows: list[dict[str, str]] = json.loads(done.stdout)
    return rows


def _needed_by() -> dict[str, tuple[str, ...]]:
    """Return package -> `core`, or the extras that bring it; of the extras `dev` only where no other does."""
    extras = metadata.metadata(OURS).get_all("Provides-Extra") or []
    core = _closure([""])
    found: dict[str, tuple[str, ...]] = dict.fromkeys(core, ("core",))
    for extra in sorted(extras, key=lambda each: (each == LONE, each)):
        for name in _closure([extra]) - core:
            so_far = found.get(name, ())
            if extra != LONE or not so_far:
                found[name] = (*so_far, extra)
    return found


def _closure(extras: Iterable[str]) -> set[str]:
    """Return all that our own package wants with these extras, and what that wants in turn."""
    seen: dict[str, set[str]] = {}
    todo: list[tuple[str, str]] = [(OURS, extra) for extra in extras]
    while todo:
        name, extra = todo.pop()
        if extra in seen.setdefault(name, set()):
            continue
        seen[name].add(extra)
        for wanted in _requirements(name):
            if wanted.marker is None or wanted.marker.evaluate(_environment(extra)):
                other = canonicalize_name(wanted.name)
                todo += [(other, ""), *((other, each) for each in wanted.extras)]
    return set(seen) - {OURS}


def _environment(extra: str) -> Mapping[str, str]:
    return {"extra": extra}


def _requirements(name: str) -> list[Requirement]:
    try:
        return [Requirement(text) for text in metadata.requires(name) or []]
    except metadata.PackageNotFoundError:
        return []


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(packages()), encoding="utf-8")


if __name__ == "__main__":
    main()
