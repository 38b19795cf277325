"""Report files appear whole or not at all, and for their owner only: they hold personal data."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corso.machine_errors import machines_error

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
    except BaseException as error:
        told = machines_error(error)
        if isinstance(told, OSError) and told.errno is not None and told.filename is None:
            # A write that the disk refuses names no file.
            raise type(told)(told.errno, told.strerror, str(path)) from error
        raise
    finally:
        draft.unlink(missing_ok=True)
