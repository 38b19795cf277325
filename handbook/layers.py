"""ARCHITECTURE.md's picture of who imports whom, drawn from the imports that are there.

`python -m handbook.layers` writes it into ARCHITECTURE.md; a test fails while the two differ. What may be imported is
import-linter's to say (`pyproject.toml`); this only draws what is.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import grimp

ROOTS = ("schemas", "corso", "assets", "pipelines", "sandbox", "handbook")
PAGE = Path(__file__).resolve().parents[1] / "ARCHITECTURE.md"
_PLACE = re.compile(r"(<!-- drawn by handbook\.layers -->\n).*?(<!-- end -->)", re.DOTALL)


def rooms() -> dict[str, set[str]]:
    """Return room -> the rooms that its modules import. Inside corso each package or module is a room of its own."""
    graph = grimp.build_graph(*ROOTS, cache_dir=None)
    found: dict[str, set[str]] = {}
    for module in sorted(graph.modules):
        mine = found.setdefault(_room(module), set())
        mine |= {_room(other) for other in graph.find_modules_directly_imported_by(module)}
    return {room: others - {room} for room, others in found.items() if room != "corso"}


def picture(imports: Mapping[str, set[str]]) -> str:
    """Return the picture: a room stands below all that import it; arrows that others imply are left out."""
    level: dict[str, int] = {}
    below = {room: _reached(room, imports) for room in imports}
    for room in sorted(imports, key=lambda each: len(below[each])):
        level[room] = 1 + max((level[other] for other in imports[room]), default=-1)
    lines = []
    for height in sorted(set(level.values()), reverse=True):
        of_it = sorted(room for room in level if level[room] == height)
        lines.append(" | ".join(of_it))
    told = [
        f"{room:15} > {', '.join(nearest)}"
        for room in sorted(imports, key=lambda each: (-level[each], each))
        if (nearest := sorted(_nearest(room, imports, below)))
    ]
    return "\n".join(["```", *lines, "", *told, "```", ""])


def redrawn(text: str) -> str:
    """Return ARCHITECTURE.md's text with the picture of now."""
    return _PLACE.sub(lambda place: f"{place[1]}{picture(rooms())}{place[2]}", text)


def _room(module: str) -> str:
    first, *rest = module.split(".")
    return f"corso.{rest[0]}" if first == "corso" and rest else first


def _reached(room: str, imports: Mapping[str, set[str]]) -> set[str]:
    """Return all rooms below one. Raises ValueError where rooms import each other."""
    found: set[str] = set()
    waiting = list(imports[room])
    while waiting:
        other = waiting.pop()
        if other == room:
            message = f"{room} imports itself by way of others"
            raise ValueError(message)
        if other not in found:
            found.add(other)
            waiting += imports[other]
    return found


def _nearest(room: str, imports: Mapping[str, set[str]], below: Mapping[str, set[str]]) -> Iterator[str]:
    for other in imports[room]:
        if not any(other in below[between] for between in imports[room] - {other}):
            yield other


if __name__ == "__main__":
    PAGE.write_text(redrawn(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"drew {PAGE.name}\n")
