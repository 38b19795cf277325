"""The folder of the Dagster instance that the verbs and the web UI share. Dagster itself is not imported here."""

import os
from pathlib import Path

from corso.settings import Settings
from pipelines.instance import RUN_SETTINGS

_INSTANCE = """\
# Made by corso-loader; yours to change.
telemetry: {enabled: false}
nux: {enabled: false}
"""


def dagster_home(settings: Settings) -> Path:
    """Return the folder of the Dagster instance: DAGSTER_HOME, else `dagster` in the workdir."""
    return Path(os.environ.get("DAGSTER_HOME") or settings.workdir / "dagster").absolute()


def prepare_home(settings: Settings) -> Path:
    """Make the instance's folder if there is none, and make it Dagster's home in this process."""
    home = dagster_home(settings)
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        (home / "dagster.yaml").write_text(_INSTANCE + RUN_SETTINGS, encoding="utf-8")
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
    return home
