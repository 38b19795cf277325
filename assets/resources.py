"""Classes of resources; their instances, and which environment variables feed them, are in `pipelines.definitions`.

https://docs.dagster.io/guides/build/external-resources
"""

from datetime import datetime
from pathlib import Path

import dagster as dg

from corso.settings import Settings, check_batch_name, read_settings
from corso.stages.batch import Batch, ProgressWatch


class LoaderFile(dg.ConfigurableResource[Settings]):
    """The loader.yaml that a run works by; read anew in every run."""

    path: str
    """Path of loader.yaml."""

    def settings(self) -> Settings:
        """Read it. Raises SettingsError."""
        return read_settings(Path(self.path))

    def batch(self, name: str) -> Batch:
        """Return one batch of its store."""
        return Batch(self.settings(), check_batch_name(name))


class ApiConfig(dg.Config):
    """How one run of an asset talks to the API."""

    until: str | None = None
    """When it has to be over, in ISO 8601 with an offset: nothing is asked from then on, and the run parks."""

    @property
    def ends(self) -> datetime | None:
        """The moment of `until`."""
        return datetime.fromisoformat(self.until) if self.until else None


class Progress:
    """Where stages tell how far they are; the command gives it a progress bar."""

    def __init__(self, watch: ProgressWatch) -> None:
        self.watch = watch
