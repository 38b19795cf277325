"""docs/reference/: the pages that are made from the code, kept beside the others so that links lead there without a site, too.

`.venv/bin/python -m handbook.reference` writes them anew; a test holds them against the code.
"""

from pathlib import Path

from handbook.api_page import api_page
from handbook.command_page import command_page
from handbook.settings_page import settings_page

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = {
    "reference/configuration.md": settings_page,
    "reference/command.md": command_page,
    "reference/api.md": api_page,
}
"""Page below DOCS -> what makes it."""


def write_pages() -> None:
    """Write the pages as the code has them now."""
    for name, make in PAGES.items():
        path = DOCS / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    write_pages()
