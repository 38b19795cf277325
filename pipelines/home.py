"""The folder of the Dagster instance that the verbs and the web UI share, and where its runs are kept.

By default in files of that folder; where CORSO_DAGSTER_URL names a PostgreSQL database, there. Dagster itself is not
imported here.
"""

import os
from importlib.util import find_spec
from pathlib import Path

from corso.database import DatabaseUrl
from corso.errors import SettingsError
from corso.settings import Settings
from pipelines.instance import FILES_KEPT_OPEN, RUN_SETTINGS

URL_VARIABLE = "CORSO_DAGSTER_URL"
"""The URL itself stands in no file: it may hold a password."""

_TIMEOUT_S = 10

_SETTINGS = f"""\
# Made by corso-loader; yours to change.
telemetry: {{enabled: false}}
nux: {{enabled: false}}
{RUN_SETTINGS}"""
"""Written by versions that named no storage for files."""
_IN_FILES = f"""{_SETTINGS}\
{FILES_KEPT_OPEN}"""
_ON_SERVER = f"""{_SETTINGS}\
storage:
  postgres:
    postgres_url: {{env: {URL_VARIABLE}}}
"""


def dagster_home(settings: Settings) -> Path:
    """Return the folder of the Dagster instance: DAGSTER_HOME, else `dagster` in the workdir."""
    if home := os.environ.get("DAGSTER_HOME"):
        return Path(home).absolute()
    # A bucket holds no database; what stands for it here is one process's alone.
    where = settings.kept_in.machine_folder() if settings.kept_in else settings.workdir
    return (where / "dagster").absolute()


def prepare_home(settings: Settings) -> Path:
    """Make the instance's folder if there is none, and make it Dagster's home in this process.

    A dagster.yaml that was changed by hand is left alone. Raises SettingsError where it does not fit CORSO_DAGSTER_URL,
    and where that database does not answer: Dagster would say so in fifty lines.
    """
    home = dagster_home(settings)
    home.mkdir(parents=True, exist_ok=True)
    file = home / "dagster.yaml"
    _write_ours(file, _IN_FILES if settings.dagster_database is None else _ON_SERVER)
    if settings.dagster_database is not None:
        _check_uses(file)
        _check_answers(settings.dagster_database)
        # SQLAlchemy takes `postgresql://` for psycopg 3, which Dagster's storage cannot speak through.
        os.environ[URL_VARIABLE] = settings.dagster_database.spoken_by("psycopg2")
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
    return home


def _write_ours(file: Path, wanted: str) -> None:
    found = file.read_text(encoding="utf-8") if file.exists() else None
    if found == wanted or found not in {None, _IN_FILES, _ON_SERVER, _SETTINGS}:
        return
    # Whole: other loaders may be reading it.
    part = file.with_name(f"{file.name}.{os.getpid()}")
    part.write_text(wanted, encoding="utf-8")
    part.replace(file)


def _check_uses(file: Path) -> None:
    if URL_VARIABLE not in file.read_text(encoding="utf-8"):
        message = (
            f"{file}: does not use {URL_VARIABLE}, which is set: add `storage: {{postgres: {{postgres_url: {{env: "
            f"{URL_VARIABLE}}}}}}}`, or unset it"
        )
        raise SettingsError(message)


def _check_answers(database: DatabaseUrl) -> None:
    if find_spec("dagster_postgres") is None:
        message = f"{URL_VARIABLE}: what keeps Dagster's runs on PostgreSQL is missing: pip install 'corso-loader[postgres]'"
        raise SettingsError(message)
    # Where there is no such database nobody has this library.
    import psycopg2  # noqa: PLC0415

    try:
        psycopg2.connect(f"postgresql:{database.scheme_specific}", connect_timeout=_TIMEOUT_S).close()
    except psycopg2.OperationalError as error:
        reason = str(error).strip().partition("\n")[0]
        message = f"{database}: Dagster's database cannot be used ({reason}); mend this and run the same command again"
        raise SettingsError(message) from None
