"""A bucket in memory, for tests of what is kept in one; `tests/corso/storage/test_bucket.py` holds it against a real server.

It may die in the middle of whatever changes it: after so many objects were put or taken away.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from corso.errors import Stopped
from corso.storage.address import BucketAddress
from corso.storage.bucket import Bucket, Found

_BEGAN = datetime(2026, 11, 22, tzinfo=UTC)


@dataclass
class FakeBucket:
    """A bucket with `Bucket`'s methods."""

    address: BucketAddress = field(default_factory=lambda: BucketAddress("shop", "work"))
    content: dict[str, bytes] = field(default_factory=dict)
    changed: dict[str, datetime] = field(default_factory=dict)
    dies_after: int | None = None
    """So many more changes are carried out; then each one fails."""
    changes: int = 0
    before_write: Callable[[str], None] = lambda _name: None
    """Called before a name is written to, to do what another process does in that moment."""
    fetched: list[str] = field(default_factory=list)

    def as_bucket(self) -> Bucket:
        """Return it as what it stands for."""
        return cast("Bucket", self)

    def objects(self, below: str = "", *, without: str = "") -> dict[str, Found]:
        """See `Bucket.objects`."""
        names = (name for name in sorted(self.content) if name.startswith(below))
        return {name: self._found(name) for name in names if not (without and name.startswith(without))}

    def children(self, below: str = "") -> tuple[list[str], dict[str, Found]]:
        """See `Bucket.children`."""
        rest = {name.removeprefix(below): name for name in sorted(self.content) if name.startswith(below)}
        folders = sorted({short.partition("/")[0] for short in rest if "/" in short})
        return folders, {short: self._found(name) for short, name in rest.items() if "/" not in short}

    def fetch(self, wanted: Mapping[str, Path]) -> None:
        """See `Bucket.fetch`."""
        for name, path in wanted.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.read(name))
            self.fetched.append(name)

    def read(self, name: str) -> bytes:
        """See `Bucket.read`."""
        if name not in self.content:
            raise FileNotFoundError(name)
        return self.content[name]

    def put(self, given: Mapping[str, Path]) -> dict[str, str]:
        """See `Bucket.put`."""
        return {name: self.write(name, path.read_bytes()) for name, path in given.items()}

    def write(self, name: str, content: bytes) -> str:
        """See `Bucket.write`."""
        self.before_write(name)
        self._count()
        self.content[name] = content
        self.changed[name] = _BEGAN + timedelta(seconds=self.changes)
        return self._found(name).etag

    def delete(self, names: Iterable[str]) -> None:
        """See `Bucket.delete`."""
        for name in list(names):
            self._count()
            self.content.pop(name, None)

    def _count(self) -> None:
        if self.dies_after is not None:
            if self.dies_after == 0:
                message = "the bucket does not answer"
                raise Stopped(message)
            self.dies_after -= 1
        self.changes += 1

    def _found(self, name: str) -> Found:
        content = self.content[name]
        etag = hashlib.md5(content, usedforsecurity=False).hexdigest()
        return Found(len(content), etag, self.changed[name])
