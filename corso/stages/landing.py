"""The landing: where stores drop their exports. One store with its loader.yaml, or a folder of stores with one each.

```
landing/<store>/loader.yaml
landing/<store>/<batch>/orders.csv …
```

Of one store, a batch is known by its name; of many, by `<store>/<batch>`, which no batch's name can be.
"""

import os
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from corso.errors import SettingsError
from corso.extract.files import is_batch_name
from corso.settings import Settings, check_batch_name, read_settings
from corso.stages.batch import Batch, batches_of

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

    @property
    def is_one_store(self) -> bool:
        """Whether there is one store, and batches go by their own names."""
        return not self.path.is_dir()

    def stores(self) -> dict[str, Path]:
        """Return store -> its loader.yaml, by name. The one store has no name: ''."""
        if self.is_one_store:
            return {"": self.path}
        folders = sorted(entry.name for entry in os.scandir(self.path) if entry.is_dir())
        paths = {name: self.path / name / LOADER_FILE for name in folders if is_batch_name(name)}
        return {name: path for name, path in paths.items() if path.is_file()}

    def settings(self, store: str) -> Settings:
        """Return a store's settings; a loader.yaml is read again when it has changed. Raises SettingsError."""
        path = self.path / store / LOADER_FILE if store else self.path
        try:
            found = path.stat()
            version = (found.st_ino, found.st_size, found.st_mtime_ns)
        except OSError:
            version = (0, 0, 0)
        known = self._read.get(path)
        if known is None or known.version != version:
            known = self._read[path] = _Read(version, _settings_or_error(path))
        if isinstance(known.settings, SettingsError):
            raise SettingsError(str(known.settings))
        return known.settings

    def key(self, store: str, batch: str) -> str:
        """Return by what a batch is known."""
        return f"{store}{BETWEEN}{batch}" if store else batch

    def split(self, key: str) -> tuple[str, str]:
        """Return store and batch of a key. Raises SettingsError."""
        store, _, batch = key.rpartition(BETWEEN)
        if bool(store) == self.is_one_store or (store and not is_batch_name(store)):
            message = (
                f"batch {key!r}: {self.path} is one store's loader.yaml, so a batch has no store before its name"
                if store
                else f"batch {key!r}: {self.path} is a folder of stores, so a batch is named <store>/<batch>"
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


def _settings_or_error(path: Path) -> Settings | SettingsError:
    try:
        return read_settings(path)
    except SettingsError as error:
        return error
