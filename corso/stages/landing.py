"""The landing: where stores drop their exports. One store with its loader.yaml, or a folder of stores with one each.

```
landing/<store>/loader.yaml
landing/<store>/<batch>/orders.csv …
```

It may be in a bucket: `s3://bucket/landing`, or `s3://bucket/landing/<store>/loader.yaml`.

Of one store, a batch is known by its name; of many, by `<store>/<batch>`, which no batch's name can be.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

from corso.errors import CorsoError, SettingsError
from corso.extract.files import is_batch_name
from corso.settings import DRAFT_STORE_ID, Settings, check_batch_name, read_settings
from corso.stages.batch import Batch, batches_of
from corso.storage.address import BucketAddress, is_in_a_bucket
from corso.storage.bucket import bucket_at
from corso.storage.outline import look_at_all, outline_at

BETWEEN = "/"
"""Parts the store's name from the batch's."""

LOADER_FILE = "loader.yaml"


@dataclass(frozen=True)
class _Read:
    version: tuple[int, int, int]
    settings: Settings | SettingsError


@dataclass(frozen=True)
class Landing:
    """The stores below a path: that of a loader.yaml, or of a folder of stores."""

    path: Path
    _read: dict[Path, _Read] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def address(self) -> BucketAddress | None:
        """Where it is in a bucket; None where it is on disk. Raises SettingsError."""
        if not is_in_a_bucket(self.path):
            return None
        try:
            return BucketAddress.parse(str(self.path))
        except ValueError as error:
            raise SettingsError(str(error)) from None

    @property
    def is_one_store(self) -> bool:
        """Whether there is one store, and batches go by their own names."""
        if self.address:
            return self.address.name.endswith((".yaml", ".yml"))
        return not self.path.is_dir()

    def stores(self) -> dict[str, Path]:
        """Return store -> its loader.yaml, by name. The one store has no name: ''. Raises SettingsError and Stopped.

        A folder that cannot be looked into is a store whose `settings` say so: one that was served must not go silent.
        """
        if self.is_one_store:
            return {"": self.path}
        if self.address:
            names = [name for name in bucket_at(self.address).children()[0] if is_batch_name(name)]
            # Beforehand and at once: each store's settings ask for its own.
            look_at_all(self.address / name for name in names)
        else:
            names = sorted(entry.name for entry in os.scandir(self.path) if _may_be(entry.is_dir))
        paths = {name: self._file_of(name) for name in names if is_batch_name(name)}
        return {name: path for name, path in paths.items() if _may_be(path.is_file)}

    def misnamed(self) -> list[str]:
        """Return the folders on disk that hold a loader.yaml and whose names no store can have; hidden ones aside."""
        if self.address or self.is_one_store:
            return []
        odd = [entry for entry in os.scandir(self.path) if not is_batch_name(entry.name)]
        return sorted(
            entry.name
            for entry in odd
            if not entry.name.startswith(".") and os.access(Path(entry.path) / LOADER_FILE, os.F_OK)
        )

    def settings(self, store: str) -> Settings:
        """Return a store's settings; a loader.yaml is read again when it has changed. Raises SettingsError, Stopped."""
        if self.address:
            outline_at(self.address / store if store else self.address.parent).look()
        path = self._file_of(store)
        try:
            found = path.stat()
            version = (found.st_ino, found.st_size, found.st_mtime_ns)
        except OSError:
            version = (0, 0, 0)
        known = self._read.get(path)
        if known is None or known.version != version:
            source = self.path / store / LOADER_FILE if store else self.path
            read = _settings_or_error(source, is_one_of_many=bool(store))
            known = self._read[path] = _Read(version, read)
        if isinstance(known.settings, SettingsError):
            raise SettingsError(str(known.settings))
        return known.settings

    def twins(self) -> dict[str, str]:
        """Return store -> what is wrong, of those whose loader.yaml name the same store of the same Corso.

        They would write over each other's orders. One that cannot be read is nobody's twin; it says so itself.
        """
        named = defaultdict[tuple[str, int], list[str]](list)
        for store in self.stores():
            with suppress(CorsoError, OSError):
                loader = self.settings(store).loader
                if loader.store.id != DRAFT_STORE_ID:
                    named[loader.corso.base_url, loader.store.id].append(store)
        alike = {key: stores for key, stores in named.items() if len(stores) > 1}
        return {store: _said_of_twins(*key, stores) for key, stores in alike.items() for store in stores}

    def _file_of(self, store: str) -> Path:
        """Return a store's loader.yaml as a file of this machine."""
        if self.address is None:
            return self.path / store / LOADER_FILE if store else self.path
        if store:
            return outline_at(self.address / store).folder / LOADER_FILE
        return outline_at(self.address.parent).folder / self.address.name

    def key(self, store: str, batch: str) -> str:
        """Return by what a batch is known."""
        return f"{store}{BETWEEN}{batch}" if store else batch

    def split(self, key: str) -> tuple[str, str]:
        """Return store and batch of a key. Raises SettingsError."""
        store, _, batch = key.rpartition(BETWEEN)
        if bool(store) == self.is_one_store or (store and not is_batch_name(store)):
            message = (
                f"batch {key!r}: {self.address or self.path} is one store's loader.yaml, so a batch has no store before its name"
                if store
                else f"batch {key!r}: {self.address or self.path} is a folder of stores, so a batch is named <store>/<batch>"
            )
            raise SettingsError(message)
        return store, check_batch_name(batch)

    def batch(self, key: str) -> Batch:
        """Return the batch of a key. Raises SettingsError."""
        store, name = self.split(key)
        return Batch(self.settings(store), name)

    def planned_since(self, store: str, since: datetime) -> list[str]:
        """Return the store's batches that were planned since then, by name. Raises SettingsError."""
        planned = {
            batch.name: batch.table_written_at("upload_plan") for batch in batches_of(self.settings(store))
        }
        return sorted(name for name, at in planned.items() if at is not None and at >= since.timestamp())

    def shown(self, store: str) -> str:
        """Return what people call a store: its folder's name, or of the one store Corso's number."""
        if store:
            return store
        try:
            return str(self.settings(store).loader.store.id)
        except SettingsError:
            return self.path.parent.name or str(self.path)


def _may_be(is_it: Callable[[], bool]) -> bool:
    """Say whether it is so; where the system does not let us look, it may be."""
    try:
        return is_it()
    except OSError:
        return True


def _said_of_twins(base_url: str, store_id: int, stores: Sequence[str]) -> str:
    return (
        f"the folders {', '.join(stores)} are one store, {store_id} of {base_url}, and would write over each other's orders: put "
        "each store's own number into its loader.yaml, or move the copy out of the landing; until then none of them is started"
    )


def _settings_or_error(path: Path, *, is_one_of_many: bool) -> Settings | SettingsError:
    try:
        return replace(read_settings(path), is_one_of_many=is_one_of_many)
    except SettingsError as error:
        return error
