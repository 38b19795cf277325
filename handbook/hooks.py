"""What MkDocs calls while it builds the site: adds the pages that are made from the code.

https://www.mkdocs.org/user-guide/configuration/#hooks
"""

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from handbook.api_page import api_page
from handbook.command_page import command_page
from handbook.settings_page import settings_page

PAGES = {
    "reference/configuration.md": settings_page,
    "reference/command.md": command_page,
    "reference/api.md": api_page,
}
"""Page -> what makes it."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the made pages to those of docs/."""
    for path, make in PAGES.items():
        files.append(File.generated(config, path, content=make()))
    return files
