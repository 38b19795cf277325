"""An outline: what lies below an address, as a folder of this process's own.

Its files have the names, sizes and modification times of the objects and nothing in them (they are holes, which take no room on
the disk), so that a glob, a sum of sizes or a look for what is new is the file system's. When a file was first seen as it is
(`changed_ns`) all processes of this machine agree on: each has an outline of its own, drawn at another time. What is to be read is
fetched first (`bring`), settings at once.
"""

import fcntl
import json
import os
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from corso.errors import Stopped
from corso.storage.address import BucketAddress
from corso.storage.bucket import Found, bucket_at

_RECORD = ".outline.json"
_FIRST_SEEN = "first_seen.json"
"""Of all outlines of an address: name -> size, ETag and time of modification, and when an object was first seen with these."""
_FRESH_S = 2.0
"""So old may a look be that is not made again: a verb asks a dozen times."""
_AT_ONCE = 16
_SETTINGS = (".yaml", ".yml", ".env")
"""What is always fetched: loader.yaml, profiles, credentials."""

_Told = tuple[int, str, int]
"""Size, ETag, time of modification (ns)."""


class Outline:
    """The outline of an address; `outline_at` gives the process's one."""

    def __init__(self, address: BucketAddress) -> None:
        self.address = address
        self.folder = address.working_folder()
        self._bucket = bucket_at(address)
        self._told: dict[str, _Told] = {}
        self._whole: set[str] = set()
        """What has its content."""
        self._first_seen: dict[str, tuple[_Told, int]] = {}
        self._without = ""
        self._looked_at = -_FRESH_S
        self._turn = threading.RLock()

    def leave_out(self, name: str) -> None:
        """See nothing of what lies below a name, from the next look on, in later processes, too."""
        self._without = f"{name}/"

    def look(self) -> None:
        """Make the outline what the bucket is now, or was two seconds ago. Raises SettingsError and Stopped."""
        with self._turn:
            if time.monotonic() - self._looked_at < _FRESH_S:
                return
            if not self._told:
                self._read_record()
            there = self._bucket.objects(without=self._without)
            for name in self._drawn():
                if name not in there:
                    self._forget(name)
            for name, found in there.items():
                self._draw(name, found)
            self._agree_on_first_seen(time.time_ns())
            self._write_record()
            self._bring([name for name in there if name.endswith(_SETTINGS)])
            self._looked_at = time.monotonic()

    def bring(self, paths: Iterable[Path]) -> None:
        """Fetch the content of files of the outline. Raises Stopped, also where one has just changed."""
        with self._turn:
            self._bring([path.relative_to(self.folder).as_posix() for path in paths])

    def etag(self, path: Path) -> str:
        """Return what tells a file's content from every other."""
        return self._told.get(path.relative_to(self.folder).as_posix(), (0, "", 0))[1]

    def changed_ns(self, path: Path) -> int:
        """Return when a file was first seen as it is, by any outline of this machine (POSIX, ns); -1 where it is none of the bucket's."""
        name = path.relative_to(self.folder).as_posix()
        return self._first_seen[name][1] if name in self._first_seen else -1

    def _agree_on_first_seen(self, now_ns: int) -> None:
        """Take over when others saw first what is drawn; what nobody has seen yet was seen now."""
        if {name: told for name, (told, _) in self._first_seen.items()} == self._told:
            return
        path = self.address.machine_folder() / _FIRST_SEEN
        with _alone(path):
            seen = _read_first_seen(path)
            self._first_seen = {
                name: (told, seen[name][1] if name in seen and seen[name][0] == told else now_ns)
                for name, told in self._told.items()
            }
            if self._first_seen != seen:
                draft = path.with_name(f"{path.name}.new")
                draft.write_text(json.dumps(self._first_seen), encoding="utf-8")
                draft.replace(path)

    def _bring(self, names: Iterable[str]) -> None:
        wanted = {name: self.folder / name for name in names if name not in self._whole}
        drafts = {name: path.with_name(f".{path.name}.fetched") for name, path in wanted.items()}
        try:
            self._bucket.fetch(drafts)
        except FileNotFoundError as error:
            raise self._changed() from error
        for name, path in wanted.items():
            size, _, modified_ns = self._told[name]
            if drafts[name].stat().st_size != size:
                raise self._changed()
            drafts[name].chmod(0o600)
            os.utime(drafts[name], ns=(modified_ns, modified_ns))
            drafts[name].replace(path)
            self._whole.add(name)
        if wanted:
            self._write_record()

    def _changed(self) -> Stopped:
        self._looked_at = -_FRESH_S
        return Stopped(f"{self.address}: files changed while they were read; run the same command again")

    def _draw(self, name: str, found: Found) -> None:
        told = (found.size, found.etag, found.modified_ns)
        path = self.folder / name
        if self._told.get(name) == told and path.exists():
            return
        self._forget(name)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with path.open("wb") as file:
            path.chmod(0o600)
            file.truncate(found.size)
        os.utime(path, ns=(found.modified_ns, found.modified_ns))
        self._told[name] = told

    def _forget(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)
        self._told.pop(name, None)
        self._whole.discard(name)

    def _read_record(self) -> None:
        try:
            kept = json.loads((self.folder / _RECORD).read_bytes())
            self._without = self._without or str(kept["without"])
            self._told = {name: (size, etag, at) for name, (size, etag, at) in kept["told"].items()}
            self._whole = set(kept["whole"])
        except (OSError, ValueError, KeyError, TypeError):
            # Drawn anew; what is left of an older one is not believed.
            self._told, self._whole = {}, set()

    def _drawn(self) -> list[str]:
        paths = (path.relative_to(self.folder) for path in self.folder.rglob("*") if not path.is_dir())
        hidden = (_RECORD, ".lock")
        return [path.as_posix() for path in paths if path.as_posix() not in hidden]

    def _write_record(self) -> None:
        draft = self.folder / f"{_RECORD}.new"
        draft.write_text(
            json.dumps({"told": self._told, "whole": sorted(self._whole), "without": self._without}),
            encoding="utf-8",
        )
        draft.replace(self.folder / _RECORD)


def _read_first_seen(path: Path) -> dict[str, tuple[_Told, int]]:
    try:
        kept = json.loads(path.read_bytes())
        return {name: ((size, etag, at), seen) for name, ((size, etag, at), seen) in kept.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        # Seen anew: what is looked for is what is new, and whoever asks knows what was done already.
        return {}


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let no other process change a file meanwhile."""
    with path.with_name(f".{path.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


_OUTLINES: dict[tuple[int, BucketAddress], Outline] = {}


def outline_at(address: BucketAddress) -> Outline:
    """Return this process's outline of an address."""
    key = (os.getpid(), address)
    if key not in _OUTLINES:
        _OUTLINES[key] = Outline(address)
    return _OUTLINES[key]


def outline_of(path: Path) -> Outline | None:
    """Return the outline that a file of this machine belongs to; None for one that is a file and nothing else."""
    mine = (outline for (process, _), outline in _OUTLINES.items() if process == os.getpid())
    return next((outline for outline in mine if path.is_relative_to(outline.folder)), None)


def look_at_all(addresses: Iterable[BucketAddress]) -> None:
    """Look at many addresses, some at a time. Raises SettingsError and Stopped."""
    outlines = [outline_at(address) for address in addresses]
    with ThreadPoolExecutor(_AT_ONCE, "outline") as pool:
        list(pool.map(Outline.look, outlines))
