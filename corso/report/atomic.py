"""Report files appear whole or not at all, and for their owner only: they hold personal data."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OWNER_ONLY = 0o600


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to; when the block ends well, what was written takes the place of `path`.

    A reader sees the old file or the new one. When the block raises, the old one stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    os.close(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, OWNER_ONLY))
    try:
        yield draft
        draft.chmod(OWNER_ONLY)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
