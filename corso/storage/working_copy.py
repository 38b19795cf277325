"""A working copy: a folder of this machine that stands for a prefix of a bucket. The bucket is what counts.

What begins to use a copy takes up the state of the bucket (`take_up`): one listing, and files that are not as they were when
they were last equal to it, left by a process that was killed, are forgotten. A file is fetched when it is asked for, used at
the disk's speed, and put back by `publish`, which puts what changed. Files and folders whose names begin with a dot are nobody
else's business and stay here.

`PlainCopy` keeps files under their own names, for people to find: one changed file after the other. `VersionedCopy` keeps
files that only make sense together: each change is an object of its own, and a manifest says which ones are the state. A
reader has one state or the next, whoever is killed while publishing, and of two writers one finds out that it is not alone.
"""

import fcntl
import json
import os
import secrets
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from corso.errors import LeaseLost, Stopped
from corso.storage.bucket import Bucket, Found

_RECORD, _LOCK = ".kept.json", ".kept.lock"
_TRIES = 5
"""What was superseded may be taken away while somebody reads: the next state is read then."""

_BESIDE_A_DATABASE = ("-wal", "-shm")
"""What SQLite has beside an open file; whoever publishes one has put all into the file itself."""

MANIFESTS = ".state/"
"""Below the prefix of a versioned copy."""


class Kept(NamedTuple):
    """A file as it is in the bucket."""

    key: str
    """Its object, relative to the bucket's prefix."""
    version: str
    """Tells this content from every other of the file: an ETag, or the key where that is never used again."""
    size: int
    modified_ns: int


class _Local(NamedTuple):
    """What tells that a local file was not written since."""

    size: int
    modified_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> "_Local":
        found = path.stat()
        return cls(found.st_size, found.st_mtime_ns, found.st_ino)


class _Copy(ABC):
    """What both kinds do."""

    def __init__(self, bucket: Bucket, prefix: str, folder: Path) -> None:
        self.folder = folder
        self._bucket = bucket
        self._prefix = prefix
        """With its slash at the end."""
        self._kept: dict[str, Kept] = {}
        self._record: dict[str, tuple[str, _Local]] = {}
        """Name -> the version that the local file is, and how that file was then."""
        self._settled: set[str] = set()
        """What was asked for since the state was taken up: from then on the local files are right, and so is their absence."""

    def take_up(self) -> None:
        """Make the bucket's state the local one. Raises SettingsError and Stopped."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._alone():
            self._kept = self._listed()
            self._settled = set()
            for name in self._local():
                kept = self._kept.get(name)
                if kept is None or not self._is_as(name, kept):
                    (self.folder / name).unlink()
                    self._record.pop(name, None)

    def fetch(self, name: str) -> Path:
        """Return where a file or a folder is on this machine, fetched if it is not there; perhaps there is none."""
        if name not in self._settled:
            with self._alone():
                self._fetch([name])
                self._settled.add(name)
        return self.folder / name

    def fetch_all(self) -> None:
        """Fetch every file."""
        with self._alone():
            self._fetch(sorted(self._kept))
            self._settled |= {*self._kept}

    def modified_ns(self, name: str) -> int | None:
        """Return when a file of the state was written; None where there is none. A folder: its latest file."""
        return max((self._kept[each].modified_ns for each in _of(name, self._kept)), default=None)

    @abstractmethod
    def _listed(self) -> dict[str, Kept]:
        """Read what is in the bucket."""

    def _fetch(self, names: Sequence[str]) -> None:
        for _ in range(_TRIES):
            asked = [each for name in names for each in _of(name, self._kept)]
            wanted = {each: self._kept[each] for each in asked if not self._is_right(each)}
            drafts = {each: self._draft(each) for each in wanted}
            try:
                self._bucket.fetch({kept.key: drafts[each] for each, kept in wanted.items()})
            except FileNotFoundError:
                # Taken away since it was listed: by a person, or as somebody has published what supersedes it.
                self._kept = self._listed()
                continue
            if any(drafts[each].stat().st_size != kept.size for each, kept in wanted.items()):
                # Put anew since it was listed, by a person.
                self._kept = self._listed()
                continue
            for each, kept in wanted.items():
                self._put_here(each, kept, drafts[each])
            return
        message = f"{self._bucket.address / self._prefix}: changes faster than it can be read; try again"
        raise Stopped(message)

    def _put_here(self, name: str, kept: Kept, draft: Path) -> None:
        draft.chmod(0o600)
        os.utime(draft, ns=(kept.modified_ns, kept.modified_ns))
        path = self.folder / name
        draft.replace(path)
        self._record[name] = (kept.version, _Local.of(path))

    def _draft(self, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return path.with_name(f".{path.name}.{os.getpid()}.fetched")

    def _is_here(self, name: str) -> bool:
        return (self.folder / name).exists()

    def _is_right(self, name: str) -> bool:
        """Say whether the local file is to be left: it is this state's, or was written here since."""
        version, local = self._record.get(name, ("", None))
        is_older = version != self._kept[name].version and self._is_here(name)
        return self._is_here(name) and not (is_older and _Local.of(self.folder / name) == local)

    def _is_as(self, name: str, kept: Kept) -> bool:
        """Say whether the local file is this content."""
        version, local = self._record.get(name, ("", None))
        path = self.folder / name
        return version == kept.version and path.exists() and _Local.of(path) == local

    def _changed(self) -> list[str]:
        """Return the local files that are not as they are in the bucket."""
        return [
            name
            for name in self._local()
            if (kept := self._kept.get(name)) is None or not self._is_as(name, kept)
        ]

    def _gone(self) -> list[str]:
        """Return the files of the bucket that were here and are not any more."""
        asked = {name for of in self._settled for name in _of(of, self._kept)}
        return [name for name in sorted(asked) if not self._is_here(name)]

    def _local(self) -> list[str]:
        return sorted(_names_below(self.folder))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes of this machine from the copy, and read and write what is known of its files."""
        descriptor = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self._record = _record_in(self.folder / _RECORD)
            try:
                yield
            finally:
                _write_whole(self.folder / _RECORD, json.dumps(self._record))
        finally:
            os.close(descriptor)


class PlainCopy(_Copy):
    """Files that are found in the bucket under their own names."""

    def __init__(
        self,
        bucket: Bucket,
        prefix: str,
        folder: Path,
        *,
        is_flat: bool = False,
        without: Collection[str] = (),
    ) -> None:
        super().__init__(bucket, prefix, folder)
        self._is_flat = is_flat
        """Whether what lies in folders is not its own."""
        self._without = without
        """Folders that are another copy's."""

    def publish(
        self,
        *,
        last: Collection[str] = (),
        alone: Collection[str] = (),
        edited: Mapping[str, str] = MappingProxyType({}),
        only: Collection[str] = (),
    ) -> None:
        """Put what changed, and take away what is gone; `last`: names that are put when all else is there.

        `only` puts nothing but these.
        `edited`: files that people edit in the bucket -> the folder into which their edits go, should such a file have
        changed there since it was fetched or put. `alone`: files that may not have changed there; then nothing is put, and
        Stopped is raised.
        """
        with self._alone():
            changed = [name for name in self._changed() if _is_meant(name, (), only)]
            gone = [name for name in self._gone() if _is_meant(name, (), only)]
            if not changed and not gone:
                return
            now = self._listed()
            theirs = {
                name for name, kept in now.items() if kept.version != self._kept.get(name, kept).version
            }
            if overtaken := [name for name in changed if name in theirs and name in alone]:
                message = f"{self._bucket.address / self._prefix}/{overtaken[0]} was changed by another run meanwhile: run the same command again"
                raise Stopped(message)
            for name, folder in edited.items():
                if name in theirs and name in changed:
                    rescued = f"{folder}/{now[name].version[:8]}-{name}"
                    self._bucket.fetch({now[name].key: self.folder / rescued})
                    changed.append(rescued)
            self._put([name for name in changed if name not in last])
            for name in last:
                self._put([each for each in changed if each == name])
            taken = [name for name in gone if name not in theirs]
            self._bucket.delete(self._kept[name].key for name in taken)
            for name in gone:
                self._forget(name)

    def _put(self, names: Collection[str]) -> None:
        before = {name: _Local.of(self.folder / name) for name in names}
        etags = self._bucket.put({self._prefix + name: self.folder / name for name in names})
        for name in names:
            key, local = self._prefix + name, before[name]
            self._kept[name] = Kept(key, etags[key], local.size, local.modified_ns)
            self._record[name] = (etags[key], local)

    def _forget(self, name: str) -> None:
        del self._kept[name]
        self._record.pop(name, None)

    def _listed(self) -> dict[str, Kept]:
        if self._is_flat:
            found: Mapping[str, Found] = self._bucket.children(self._prefix)[1]
        else:
            own = [f"{self._prefix}{folder}/" for folder in self._without]
            below = self._bucket.objects(self._prefix, without=own[0] if own else "")
            found = {name.removeprefix(self._prefix): each for name, each in below.items()}
        return {
            name: Kept(self._prefix + name, each.etag, each.size, each.modified_ns)
            for name, each in found.items()
            if not _is_hidden(name)
        }

    def _local(self) -> list[str]:
        names = super()._local()
        if self._is_flat:
            return [name for name in names if "/" not in name]
        return [name for name in names if name.partition("/")[0] not in self._without]


class _Manifest(BaseModel):
    """What one state consists of."""

    model_config = ConfigDict(frozen=True)

    files: dict[str, Kept]


class VersionedCopy(_Copy):
    """Files of which a reader has one state or the next.

    A manifest's name is `<generation>-<number>`: each writer has a generation of its own, greater than those before, and the
    greatest name is the state. What a writer of an older generation still publishes (its machine slept, its lock was taken
    over) is the state of nobody, and it finds that out before it takes anything away.
    """

    def __init__(self, bucket: Bucket, prefix: str, folder: Path) -> None:
        super().__init__(bucket, prefix, folder)
        self._generation = 0
        """Of this writer; 0 before it has published."""
        self._number = 0
        self._state = ""
        """The manifest that is the state, as far as is known."""

    def publish(
        self, *, without: Collection[str] = (), only: Collection[str] = (), claims: bool = False
    ) -> None:
        """Put what changed, then the manifest that makes it valid.

        `without` leaves folders as they are in the bucket; `only` puts nothing but them; `claims`: the state becomes this
        writer's even where nothing changed, so that it may `purge`. Raises LeaseLost where another one has published since
        the state was taken up.
        """
        with self._alone():
            changed = [name for name in self._changed() if _is_meant(name, without, only)]
            # What was written over, or taken away, need not have been fetched before.
            written = {_first(name) for name in changed} | {_first(name) for name in self._settled}
            gone = [
                name
                for name in self._kept
                if _first(name) in written and not self._is_here(name) and _is_meant(name, without, only)
            ]
            is_claimed = claims and bool(self._kept) and not self._generation
            if not changed and not gone and not is_claimed:
                return
            self._check_is_alone()
            generation = self._generation or _generation_of(self._state) + 1
            local = {name: _Local.of(self.folder / name) for name in changed}
            place = f"{self._prefix}{generation:08}-{self._number + 1:05}-{secrets.token_hex(3)}"
            keys = {name: f"{place}/{name}" for name in changed}
            self._bucket.put({keys[name]: self.folder / name for name in changed})
            left = {name: kept for name, kept in self._kept.items() if name not in gone}
            new = {name: Kept(keys[name], keys[name], of.size, of.modified_ns) for name, of in local.items()}
            before, is_first = self._state, not self._generation
            self._generation = generation
            self._write_manifest(left | new)
            if is_first:
                self._check_was_not_overtaken(before)
            for name in changed:
                self._record[name] = (keys[name], local[name])

    def purge(self) -> None:
        """Take away what no reader needs any more, if this writer has published. Raises LeaseLost where another one has."""
        if not self._generation:
            return
        with self._alone():
            there = self._bucket.objects(self._prefix)
            if (state := _greatest(self._manifests_among(there))) != self._state:
                raise self._lost(state)
            self._bucket.delete(self._not_needed(there))

    def has_superseded(self) -> bool:
        """Say whether there is anything but the state that was taken up: a writer is at work, or was killed."""
        return bool(self._not_needed(self._bucket.objects(self._prefix)))

    def _not_needed(self, there: Iterable[str]) -> list[str]:
        needed = {kept.key for kept in self._kept.values()} | {f"{self._prefix}{MANIFESTS}{self._state}"}
        return [name for name in there if name not in needed]

    def _check_is_alone(self) -> None:
        state = _greatest(self._manifests_there())
        if state != self._state:
            raise self._lost(state)

    def _check_was_not_overtaken(self, before: str) -> None:
        """See that nobody published between the last look and this writer's first manifest.

        Such a one may have taken away what it superseded, which this manifest still names: its state is put on top again.
        """
        others = _greatest(name for name in self._manifests_there() if name != self._state)
        if others != before:
            self._write_manifest(self._read_manifest(others))
            raise self._lost(others)

    def _listed(self) -> dict[str, Kept]:
        for _ in range(_TRIES):
            self._state = _greatest(self._manifests_there())
            if not self._state:
                return {}
            try:
                return self._read_manifest(self._state)
            except FileNotFoundError:
                continue
        message = f"{self._bucket.address / self._prefix}: changes faster than it can be read; try again"
        raise Stopped(message)

    def _manifests_there(self) -> Iterator[str]:
        return self._manifests_among(self._bucket.objects(self._prefix + MANIFESTS))

    def _manifests_among(self, names: Iterable[str]) -> Iterator[str]:
        start = self._prefix + MANIFESTS
        return (name.removeprefix(start) for name in names if name.startswith(start))

    def _read_manifest(self, name: str) -> dict[str, Kept]:
        # What is in a manifest never changes: one that is here need not be fetched.
        path = self.folder / ".state" / name
        if not path.exists():
            content = self._bucket.read(f"{self._prefix}{MANIFESTS}{name}")
            shutil.rmtree(path.parent, ignore_errors=True)
            path.parent.mkdir(mode=0o700)
            _write_whole(path, content.decode())
        return dict(_Manifest.model_validate_json(path.read_bytes()).files)

    def _write_manifest(self, files: dict[str, Kept]) -> None:
        name = f"{self._generation:08}-{self._number + 1:05}.json"
        self._bucket.write(
            f"{self._prefix}{MANIFESTS}{name}", _Manifest(files=files).model_dump_json().encode()
        )
        self._kept, self._number, self._state = files, self._number + 1, name

    def _lost(self, other: str) -> LeaseLost:
        message = f"{self._bucket.address / self._prefix}: another loader has changed it meanwhile ({other}): this one may not write any more; run the same command again"
        return LeaseLost(message)


def _greatest(manifests: Iterable[str]) -> str:
    """Return the name of the state's manifest; empty where there is none."""
    return max(manifests, default="")


def _generation_of(manifest: str) -> int:
    return int(manifest.partition("-")[0] or 0)


def used_at(folder: Path) -> float:
    """Return when a folder was used last as a copy, or as one of its folders (POSIX seconds); now, where it is none."""
    used = [
        path.stat().st_mtime for path in (folder / _RECORD, *folder.glob(f"*/{_RECORD}")) if path.exists()
    ]
    return max(used, default=time.time())


def _of(name: str, names: Collection[str]) -> list[str]:
    return [each for each in names if each == name or each.startswith(f"{name}/")]


def _first(name: str) -> str:
    return name.partition("/")[0]


def _is_meant(name: str, without: Collection[str], only: Collection[str]) -> bool:
    return _first(name) in only if only else _first(name) not in without


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _names_below(folder: Path, before: str = "") -> Iterator[str]:
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.name.endswith(_BESIDE_A_DATABASE):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _names_below(Path(entry.path), f"{before}{entry.name}/")
        else:
            yield before + entry.name


def _record_in(path: Path) -> dict[str, tuple[str, _Local]]:
    try:
        kept = json.loads(path.read_bytes())
        return {name: (version, _Local(*local)) for name, (version, local) in kept.items()}
    except (OSError, ValueError, TypeError):
        return {}


def _write_whole(path: Path, text: str) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)
