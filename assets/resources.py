"""Classes of resources; their instances, and which environment variables feed them, are in `pipelines.definitions`.

https://docs.dagster.io/guides/build/external-resources
"""

from datetime import datetime
from functools import cache
from pathlib import Path

import dagster as dg

from corso.stages.batch import Batch, ProgressWatch
from corso.stages.landing import Landing


@cache
def _landing_at(path: str) -> Landing:
    # Dagster makes a resource anew for each look of a sensor; what was read of 200 loader.yaml stays.
    return Landing(Path(path))


class LoaderFile(dg.ConfigurableResource["LoaderFile"]):
    """The loader.yaml that a run works by, or the folder of stores with one each; read anew when one has changed."""

    path: str
    """Path of a loader.yaml, or of a folder of stores (`corso.stages.landing`)."""

    @property
    def landing(self) -> Landing:
        """The stores that are served."""
        return _landing_at(self.path)

    @property
    def resolved_landing(self) -> Landing:
        """The same outside a run, where Dagster has not put the variable's value in its place."""
        path = self.path
        return _landing_at((path.get_value() or "") if isinstance(path, dg.EnvVar) else path)

    def batch(self, key: str, *, whole_listing: bool = False) -> Batch:
        """Return the batch of a partition; `whole_listing`: to be read back by the whole listing. Raises SettingsError."""
        batch = self.landing.batch(key)
        return batch.read_by_whole_listing() if whole_listing else batch


class ApiConfig(dg.Config):
    """How one run of an asset talks to the API."""

    until: str | None = None
    """When it has to be over, in ISO 8601 with an offset: nothing is asked from then on, and the run parks."""

    @property
    def ends(self) -> datetime | None:
        """The moment of `until`."""
        return datetime.fromisoformat(self.until) if self.until else None


class ReadBackConfig(ApiConfig):
    """How one run reads Corso back."""

    whole_listing: bool = False
    """Read the store's whole listing, whatever would be cheaper: it shows what no batch asks for."""


class Progress:
    """Where stages tell how far they are; the command gives it a progress bar."""

    def __init__(self, watch: ProgressWatch) -> None:
        self.watch = watch
