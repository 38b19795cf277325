"""How long the API asked to be left alone, kept as pause.json in the store's folder: the next process waits it out, too."""

from contextlib import suppress
from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from corso.report.atomic import replacing
from corso.settings import Settings


class StoredPause(BaseModel):
    """pause.json."""

    model_config = ConfigDict(frozen=True)

    base_url: str
    until: AwareDatetime


class PauseFile:
    """The pause of one store's API (`corso.api.limiter.KeptPause`)."""

    def __init__(self, settings: Settings) -> None:
        """Name the file; nothing is read yet."""
        self._path = settings.store_dir / "pause.json"
        self._base_url = settings.loader.corso.base_url

    def read(self) -> datetime | None:
        """Return until when this API asked to wait; None where it did not, or what was kept cannot be read."""
        try:
            stored = StoredPause.model_validate_json(self._path.read_bytes())
        except (OSError, ValidationError):
            return None
        return stored.until if stored.base_url == self._base_url else None

    def keep(self, until: datetime) -> None:
        """Keep it. Where the disk does not take it, the next process is told by the API again.

        Before the first run there is no folder, and looking at the API does not make one.
        """
        if not self._path.parent.is_dir():
            return
        stored = StoredPause(base_url=self._base_url, until=until)
        with suppress(OSError), replacing(self._path) as draft:
            draft.write_text(stored.model_dump_json() + "\n", encoding="utf-8")
