"""Folders that belong to another user, also where the tests run as root, who may look into all.

Import it as `from tests.locked_folders import lock`.
"""

import os
from pathlib import Path

import pytest


def lock(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the system refuse to tell of anything below a folder."""
    really = os.stat

    def refused(path: Path, **kept: bool) -> os.stat_result:
        if folder in Path(path).parents:
            raise PermissionError(13, "Permission denied", str(path))
        return really(path, **kept)

    monkeypatch.setattr(Path, "stat", refused)
