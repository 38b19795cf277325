"""loader.yaml as frozen values, and the credentials beside it.

Every key has its line; unknown keys are errors that name the nearest known key and the line they stand on.
Secrets never stand in loader.yaml: they come from the environment or from a `.env` file.
"""

import difflib
import os
import re
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import time
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import urlsplit

import pydantic
import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ByteSize, ConfigDict, Field, model_validator

from corso.calendar import EVERY_DAY, Calendar, Days, Span
from corso.database import DatabaseUrl, LedgerPlace, SharedLedger
from corso.errors import SettingsError
from corso.scrubbing import passwords_of, remember_secret
from corso.storage.address import BucketAddress, is_in_a_bucket
from corso.storage.outline import outline_at

DRAFT_STORE_ID = 0
"""What stands in a loader.yaml that `inspect` wrote: nobody's store, to which nothing is sent."""

BATCH_PLACEHOLDER = "{batch}"
"""Stands in an export's path for the name of the batch's folder."""

_FAST_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's parser where PyYAML was built with it: it takes a tenth of the time, which a dozen profiles make felt."""

_TIME_OF_DAY = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")

_BATCH_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
NAME_RULE = "use letters, digits, dot, dash and underscore (up to 100, not starting with a dot)"
"""How batches, and folders of stores, may be named."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _known_zone(name: str) -> str:
    if name not in zoneinfo.available_timezones():
        near = difflib.get_close_matches(name, zoneinfo.available_timezones(), 1, 0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        message = f"unknown time zone {name!r}{hint}"
        raise ValueError(message)
    return name


def _as_written(value: Any) -> Any:
    """Take a bare number in YAML for the text that it is."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


class Store(_Section):
    """Whose orders these are."""

    id: int
    """Corso's id of the store; sent with every order."""
    time_zone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
    """IANA name; the zone of date-times that carry no offset, and of the months in the report."""
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None
    """ISO 4217; the report's currency for orders that name none."""
    fulfillment_locations: dict[str, int] = {}
    """The export's name of a warehouse -> Corso's number of it; `default` where the export names none."""


def _known_encoding(name: str) -> str:
    try:
        "a".encode(name)
    except (LookupError, UnicodeError):
        message = f"unknown encoding {name!r}; e.g. utf-8, utf-16, cp1252, latin-1"
        raise ValueError(message) from None
    return name


def _one_character(delimiter: Any) -> Any:
    """Take `tab` and a backslash that YAML left alone for the tab that is meant."""
    if delimiter in {"tab", "\\t"}:
        return "\t"
    if isinstance(delimiter, str) and (len(delimiter) != 1 or delimiter in '"\r\n\0'):
        message = f'{delimiter!r} cannot part columns: one character is needed, e.g. ";" or "\\t"'
        raise ValueError(message)
    return delimiter


Delimiter = Annotated[str, BeforeValidator(_one_character)]
"""What parts the columns of a CSV file; `tab` is one."""
Encoding = Annotated[str, AfterValidator(_known_encoding)]
"""Python's name of a text encoding."""


class RoleFiles(_Section):
    """One role's files, and how they are laid out where they differ from what the profile says."""

    files: Annotated[tuple[str, ...], Field(min_length=1)]
    """Their paths or globs, relative to loader.yaml; a folder's path means the files in it and in its partitions (`name=value`)."""
    delimiter: Delimiter | None = None
    """What parts the columns."""
    encoding: Encoding | None = None
    """Python's name of the encoding, e.g. cp1252 or utf-16."""
    duplicate_headers: Literal["refuse", "number"] | None = None
    """Whether a header that stands there twice is refused, or the second one called `Header 2`."""
    skip_lines: Annotated[int, Field(ge=0)] | None = None
    """Lines before the header, e.g. a title."""
    skip_rows: Annotated[int, Field(ge=0)] | None = None
    """Rows behind the header that describe the columns."""


def _role_files(value: Any) -> Any:
    """Read `orders: "in/*.csv"` and `orders: [a.csv, b.csv]` as their long form, `orders: {files: …}`."""
    if isinstance(value, dict) and "files" not in value:
        return value
    given = value["files"] if isinstance(value, dict) else value
    paths = [given] if isinstance(given, str) else given
    if not isinstance(paths, list) or not paths or not all(isinstance(path, str) for path in paths):
        message = "must be a path, a glob, a list of them, or {files: one of these, delimiter: …}"
        raise ValueError(message)
    return {**value, "files": paths} if isinstance(value, dict) else {"files": paths}


class Exports(BaseModel):
    """Where the export files are and which profile reads them; one key for each file role of the profile."""

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, Annotated[RoleFiles, BeforeValidator(_role_files)]]

    profile: str = "canonical"
    """A built-in profile's name, or the path of a profile file."""

    @property
    def roles(self) -> dict[str, list[str]]:
        """File role -> its path patterns, as written."""
        return {role: list(given.files) for role, given in self.__pydantic_extra__.items()}

    @property
    def forms(self) -> dict[str, dict[str, Any]]:
        """File role -> how its files are laid out, as far as loader.yaml says it: fields of a CsvForm."""
        return {
            role: {key: value for key, value in given if key != "files" and value is not None}
            for role, given in self.__pydantic_extra__.items()
        }


ENVIRONMENTS = {
    "production": (
        "https://api.corso.com/v1",
        "https://auth.corso.com/oauth/token",
        "api.corso.com",
    ),
    "staging": (
        "https://api.stg.corso.com/v1",
        "https://auth.stg.corso.com/oauth/token",
        "api.stg.corso.com",
    ),
    "sandbox": (
        "http://127.0.0.1:8787/v1",
        "http://127.0.0.1:8787/oauth/token",
        "sandbox",
    ),
}
"""Environment -> (base URL, token URL, audience), as Corso's reference documents them."""


class Corso(_Section):
    """Which Corso API to talk to, and how."""

    environment: Literal["sandbox", "staging", "production", "custom"] = "sandbox"
    """`custom` needs base_url and token_url; the others know theirs."""
    base_url: str = ""
    """The API's root, with its version."""
    token_url: str = ""
    """Where the OAuth 2 token comes from."""
    audience: str = ""
    """The token's audience."""
    token_encoding: Literal["json", "form"] = "json"  # noqa: S105  (no password)
    """How the token request's body is encoded; Corso's pages disagree, the current one shows JSON."""
    timeout_s: float = Field(default=30.0, gt=0)
    """Seconds in which nothing moves before a request's outcome counts as unknown; an answer as a whole gets ten times that."""
    ca_file: Path | None = None
    """Certificates (PEM) of authorities that are trusted beside the usual ones, e.g. of a company's proxy; relative to
    loader.yaml. SSL_CERT_FILE in the environment takes the place of the usual ones."""

    @model_validator(mode="after")
    def _urls_are_safe(self) -> Self:
        known = ENVIRONMENTS.get(self.environment, ("", "", ""))
        for name, default in zip(("base_url", "token_url", "audience"), known, strict=True):
            if not getattr(self, name):
                object.__setattr__(self, name, default)
        for name in ("base_url", "token_url"):
            url = getattr(self, name)
            if not url:
                message = f"corso.{name} is needed for environment: custom"
                raise ValueError(message)
            parts = urlsplit(url)
            if parts.scheme not in {"http", "https"} or not parts.hostname:
                message = f"corso.{name} must be an http(s) URL"
                raise ValueError(message)
            if parts.username or parts.password or parts.query:
                message = f"corso.{name} must not carry credentials or a query"
                raise ValueError(message)
            if parts.scheme == "http" and not is_this_machine(parts.hostname):
                message = (
                    f"corso.{name}: http:// to {parts.hostname} would send the credentials in clear; "
                    "use https:// (http:// is for this machine only)"
                )
                raise ValueError(message)
        object.__setattr__(self, "base_url", self.base_url.rstrip("/"))
        return self


def is_this_machine(host: str) -> bool:
    """Say whether a host is surely this machine. By its address, as 127.example.com is anybody's."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class Limits(_Section):
    """How hard to use the API."""

    share: float = Field(default=0.8, gt=0, le=1)
    """The part of the API's quota that the loader may use; the rest is the shop's live traffic."""
    calendar: tuple[Span, ...] = ()
    """Shares for some hours of some days, in the store's time zone; the first span that covers a moment wins, `share`
    holds at all other times."""
    max_in_flight: int = Field(default=64, ge=1, le=1024)
    """Requests under way at once, at the most."""
    requests_per_second: float | None = Field(default=None, gt=0)
    """The rate to start from where the API sends no RateLimit headers."""
    patience_s: float = Field(default=900.0, gt=0)
    """The longest wait the API may ask for before the run parks (exit code 75)."""
    outage_s: float = Field(default=60.0, ge=0)
    """Seconds of an outage of the API that a run sits out, asking now and then, before it stops (exit code 3)."""
    memory: ByteSize = Field(default=ByteSize(1536 << 20), ge=256 << 20)
    """About as much memory as a run may take, e.g. 2GiB: it decides how many orders are worked on at once."""


class Validation(_Section):
    """When too much is wrong with a batch."""

    max_quarantined: float = Field(default=0.05, ge=0, le=1)
    """The part of the source orders that may be quarantined before the upload is refused."""


class Upload(_Section):
    """How orders are sent."""

    canary: int = Field(default=20, ge=0)
    """Orders that are sent, read back and compared before the rest goes; 0 for none."""
    max_rejected: float = Field(default=0.02, ge=0, le=1)
    """The part of the operations that the API may reject before the run stops."""
    listing_delay_s: float = Field(default=2.0, ge=0)
    """Seconds after which a request whose answer was lost is carried out and visible to look-ups, or never will be
    (assumed: Corso documents none)."""
    when_unverifiable: Literal["keep", "resend"] = "keep"
    """What to do with a create whose answer was lost, where the API offers no way to look it up: keep it unknown, or
    send it again (safe only with an API that refuses duplicates)."""
    cancel_with_delete: bool = True
    """Cancel orders by DELETE (documented); false sends an update with the cancellation fields instead."""


class Reconcile(_Section):
    """How Corso is read back and compared."""

    ignore: tuple[str, ...] = ()
    """Canonical columns that are not compared, e.g. notes or line_items.vendor."""
    mode: Literal["auto", "listing", "lookup"] = "auto"
    """Read the whole listing, look every order up, or whichever costs the fewest requests and the API allows."""
    fulfillment_requests: int = Field(default=1_000, ge=0)
    """Requests, one an order, that one reconciliation may spend on reading fulfillments back; the orders whose fulfillments
    were never read, or longest ago, come first. 0 reads none."""


def _database_without_password(text: str) -> str:
    if DatabaseUrl.parse(text).has_password:
        message = (
            "must not carry a password: put the whole URL into CORSO_LEDGER_URL, or the password where PostgreSQL's own "
            "programs look for it (PGPASSWORD, ~/.pgpass)"
        )
        raise ValueError(message)
    return text


class LedgerSettings(_Section):
    """Where the record of every operation is kept."""

    url: Annotated[str, AfterValidator(_database_without_password)] | None = None
    """A PostgreSQL database that many stores and workers share: postgresql://user@host:5432/name, never with a password;
    CORSO_LEDGER_URL wins. By default the file ledger.sqlite in the workdir."""


def _time_of_day(written: Any) -> Any:
    """Read `07:30`; YAML takes 10:30 without quotes for a number to the base of 60, which is the minutes of the day."""
    if isinstance(written, time) or written is None:
        return written
    text = f"{written // 60}:{written % 60:02}" if isinstance(written, int) else str(written)
    found = _TIME_OF_DAY.fullmatch(text)
    if found is None:
        message = f'{written!r} is no time of day; write it as "07:30"'
        raise ValueError(message)
    return time(int(found[1]), int(found[2]))


class Nightly(_Section):
    """The load that nobody watches (docs/nightly.md)."""

    markers: tuple[str, ...] = ("_COMPLETE", "_SUCCESS")
    """Files that say that a batch's folder, or a table's, is complete; they count where they are newer than the export files below them."""
    quiet_s: float = Field(default=60.0, ge=0)
    """Without a marker: seconds that the sizes and times of a batch's files have to stay as they are."""
    due_by: Annotated[time | None, BeforeValidator(_time_of_day)] = None
    """The time of day, in the store's zone, by which the last night's batch has to be loaded; nobody waits if left out."""
    days: Days = EVERY_DAY
    """The days on whose morning a batch is due."""


class Report(_Section):
    """What the report shows."""

    personal_data: Literal["mask", "show"] = "mask"
    """Whether reconciliation.html veils names, addresses, e-mail, phones and notes. The other files are their owner's only,
    and never veiled."""


def _fallback_rules(value: Any) -> list[Any]:
    """Take one rule for a list of one."""
    rules = [_fallback_rule(rule) for rule in (value if isinstance(value, list | tuple) else [value])]
    if not rules:
        message = "an empty list is no rule"
        raise ValueError(message)
    return rules


def _fallback_rule(rule: Any) -> Any:
    written = {kind: _as_written(text) for kind, text in rule.items()} if isinstance(rule, dict) else rule
    texts = list(written.values()) if isinstance(rule, dict) else [_as_written(rule)]
    if not all(isinstance(text, str) for text in texts):
        message = 'a rule is text, in quotes where YAML would read it as something else, or {where_country_has_none: "text"}'
        raise ValueError(message)
    return written if isinstance(rule, dict) else texts[0]


FallbackRules = Annotated[tuple[str | dict[str, str], ...], BeforeValidator(_fallback_rules)]
"""What it says is checked in `corso.extract.fallbacks`, which knows the columns."""


def _listed_paths(value: Any) -> Any:
    """Read one path or glob as a list of one."""
    paths = [value] if isinstance(value, str) else value
    if not isinstance(paths, list | tuple) or not all(isinstance(path, str) and path for path in paths):
        message = "must be a path, a glob or a list of them"
        raise ValueError(message)
    return paths


def _path_or_address(value: Any) -> Any:
    """Read `s3://bucket/prefix` as the address that it is."""
    return BucketAddress.parse(value) if isinstance(value, str) and is_in_a_bucket(value) else value


class Loader(_Section):
    """The whole of loader.yaml."""

    store: Store
    exports: Exports
    corso: Corso = Corso()
    fallbacks: dict[str, FallbackRules] = {}
    """`table.column` (or `orders.<address>`) -> the rule that fills it where the export has nothing, or several, of
    which the first that gives a value is used; each use is counted. docs/fallbacks.md has the forms."""
    corrections: Annotated[tuple[str, ...], BeforeValidator(_listed_paths)] = ()
    """Copies of quarantine.csv with edited cells, which are put over the export: paths or globs, relative to loader.yaml,
    `{batch}` allowed. None of them needs to be there. docs/corrections.md describes the loop."""
    limits: Limits = Limits()
    validation: Validation = Validation()
    upload: Upload = Upload()
    reconcile: Reconcile = Reconcile()
    report: Report = Report()
    ledger: LedgerSettings = LedgerSettings()
    nightly: Nightly = Nightly()
    workdir: Annotated[Path | BucketAddress, BeforeValidator(_path_or_address)] = Path("work")
    """Where tables, reports and the ledger go; relative to loader.yaml. `s3://bucket/prefix`, too, where the ledger is on a
    server (docs/object_store.md)."""

    @property
    def calendar(self) -> Calendar:
        """Which share of the quota is the loader's at which time."""
        return Calendar(self.limits.calendar, self.limits.share, zoneinfo.ZoneInfo(self.store.time_zone))


@dataclass(frozen=True)
class Credentials:
    """Corso's client id and secret; the secret is never shown."""

    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True)
class Settings:
    """A loader.yaml that was read: its values and where it stands."""

    path: Path
    loader: Loader
    found_in: BucketAddress | None = None
    """The folder in a bucket that `path` was fetched from, where it was."""
    is_one_of_many: bool = False
    """Whether it is a store of a folder of stores: its own `.env` comes before the environment, which is that of all."""

    @property
    def source(self) -> Path | BucketAddress:
        """Where loader.yaml stands, as people and other programs are told it."""
        return self.found_in / self.path.name if self.found_in else self.path

    @property
    def home(self) -> Path:
        """The folder that relative paths are relative to."""
        return self.path.parent

    @property
    def workdir(self) -> Path:
        """The folder of everything that is produced; where that is kept in a bucket, what stands for it on this machine."""
        kept_in = self.kept_in
        return kept_in.working_folder() if kept_in else self.home / str(self.loader.workdir)

    @property
    def kept_in(self) -> BucketAddress | None:
        """The place in a bucket where everything that is produced is kept; None where that is on disk."""
        given = self.loader.workdir
        if isinstance(given, BucketAddress):
            return given
        return self.found_in / given.as_posix() if self.found_in and not given.is_absolute() else None

    @property
    def ca_file(self) -> Path | None:
        """The file of `corso.ca_file`."""
        return self.home / self.loader.corso.ca_file if self.loader.corso.ca_file else None

    def check_store_is_named(self) -> None:
        """Raise SettingsError where `store.id` is what `inspect` wrote: Corso is asked nothing about that store."""
        if self.loader.store.id == DRAFT_STORE_ID:
            message = (
                f"{self.path.name}: store.id is still {DRAFT_STORE_ID}, as `inspect` wrote it: put Corso's number of the "
                "store there"
            )
            raise SettingsError(message)

    @property
    def store_dir(self) -> Path:
        """The folder of one store's batches."""
        return self.workdir / str(self.loader.store.id)

    def batch_dir(self, batch: str) -> Path:
        """Return the folder of one batch's tables and reports."""
        return self.store_dir / batch

    @property
    def ledger(self) -> LedgerPlace:
        """Where the ledger is: the database of CORSO_LEDGER_URL, else that of `ledger.url`, else a file in the workdir.

        The file is one for all stores and batches below a workdir. Raises SettingsError, which says nothing of the URL.
        """
        url = self._database("CORSO_LEDGER_URL")
        if url is None and self.loader.ledger.url is not None:
            url = DatabaseUrl.parse(self.loader.ledger.url)
        if url is None and self.kept_in is not None:
            message = (
                f"workdir is {self.kept_in}, and a bucket cannot hold a ledger: set CORSO_LEDGER_URL to a PostgreSQL database "
                "that all workers share"
            )
            raise SettingsError(message)
        if url is None:
            return self.workdir / "ledger.sqlite"
        return SharedLedger(url, self.store_dir / "ledger.mark")

    @property
    def dagster_database(self) -> DatabaseUrl | None:
        """Where Dagster keeps its runs: the database of CORSO_DAGSTER_URL, else files. Raises SettingsError."""
        return self._database("CORSO_DAGSTER_URL")

    def credentials(self) -> Credentials:
        """Read CORSO_CLIENT_ID and CORSO_CLIENT_SECRET, both from one place: the first that has any of them.

        The environment comes before `.env` beside loader.yaml, and that before `.env` in the current folder; where many
        stores share the environment, a store's own `.env` comes first. Raises SettingsError.
        """
        place, found = self._found_credentials()
        missing = [name for name, value in found.items() if not value]
        if len(missing) == 1:
            message = f"{missing[0]} not set, though {place} has the other: put both there, or both elsewhere"
            raise SettingsError(message)
        if missing:
            message = f"{' and '.join(missing)} not set: put them in the environment or in a .env file beside {self.path.name}"
            if self.loader.corso.environment == "sandbox":
                message += "; for the sandbox both are `sandbox`"
            raise SettingsError(message)
        remember_secret(found["CORSO_CLIENT_SECRET"])
        return Credentials(found["CORSO_CLIENT_ID"], found["CORSO_CLIENT_SECRET"])

    @property
    def has_credentials(self) -> bool:
        """Whether `credentials` would find both; not where a `.env` file cannot be read."""
        try:
            return all(self._found_credentials()[1].values())
        except SettingsError:
            return False

    @property
    def credentials_place(self) -> str:
        """From where `credentials` has them, as people are told it."""
        return self._found_credentials()[0]

    @property
    def has_other_credentials(self) -> bool:
        """Whether the `.env` beside loader.yaml has credentials that those of the environment hide."""
        (_, chosen), own = self._found_credentials(), self._own_variables()
        return any(own.get(name) and own[name] != value for name, value in chosen.items())

    def _found_credentials(self) -> tuple[str, dict[str, str]]:
        """Return the first place that has any of the two, and what it has."""
        environment = ("the environment", os.environ)
        own = (str((self.found_in or self.home) / ".env"), self._own_variables())
        first = [own, environment] if self.is_one_of_many else [environment, own]
        names = ("CORSO_CLIENT_ID", "CORSO_CLIENT_SECRET")
        for place, values in [*first, (str(Path(".env").absolute()), _read_dotenv(Path(".env")))]:
            found = {name: values.get(name, "") for name in names}
            if any(found.values()):
                return place, found
        return "", dict.fromkeys(names, "")

    def _own_variables(self) -> dict[str, str]:
        return _read_dotenv(self.home / ".env")

    def _database(self, variable: str) -> DatabaseUrl | None:
        text = self._variables(variable)[variable]
        for password in passwords_of(text):
            remember_secret(password)
        try:
            return DatabaseUrl.parse(text) if text else None
        except ValueError as error:
            message = f"{variable} {error}"
            raise SettingsError(message) from None

    def _variables(self, *names: str) -> dict[str, str]:
        values = {
            **_read_dotenv(Path(".env")),
            **self._own_variables(),
            **os.environ,
        }
        return {name: values.get(name, "") for name in names}


def read_settings(path: Path) -> Settings:
    """Read and check a loader.yaml, of this machine or `s3://…`.

    Raises SettingsError with the file, the line, the key and the nearest known key.
    """
    if is_in_a_bucket(path):
        return _read_from_bucket(path)
    path = path.absolute()
    try:
        is_there = path.exists()
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror})"
        raise SettingsError(message) from None
    if not is_there:
        message = f"{path}: no such file; name another with -c, or make one: corso-loader inspect EXPORTS --write loader.yaml"
        raise SettingsError(message)
    node, data = _parse(path)
    # A heading whose keys are all comments, as `inspect` writes `fallbacks:`, says nothing.
    data = {key: value for key, value in data.items() if value is not None or key not in Loader.model_fields}
    try:
        loader = Loader.model_validate(data)
    except pydantic.ValidationError as error:
        lines = [_explain(path, node, problem) for problem in error.errors()]
        raise SettingsError("\n".join(lines)) from None
    return Settings(path, loader)


def _read_from_bucket(path: Path) -> Settings:
    try:
        address = BucketAddress.parse(str(path))
    except ValueError as error:
        raise SettingsError(str(error)) from None
    outline = outline_at(address.parent)
    outline.look()
    local = outline.folder / address.name
    try:
        settings = replace(read_settings(local), found_in=address.parent)
    except SettingsError as error:
        raise SettingsError(str(error).replace(str(local), str(address))) from None
    kept_in = settings.kept_in
    if kept_in is not None and kept_in.is_below(address.parent):
        # What is produced is no export.
        outline.leave_out(kept_in.prefix.removeprefix(f"{address.parent.prefix}/"))
    return settings


def check_batch_name(name: str) -> str:
    """Return `name` if it can be a folder's name, else raise SettingsError."""
    if not _BATCH_NAME.match(name):
        message = f"batch {name!r}: {NAME_RULE}"
        raise SettingsError(message)
    return name


def parse_yaml_file(path: Path) -> tuple[yaml.Node | None, Any]:
    """Read a YAML file twice: as nodes (which know their lines) and as plain data.

    Raises SettingsError with file and line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        message = f"{path}: no such file"
        raise SettingsError(message) from None
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path}: cannot be read ({error})"
        raise SettingsError(message) from None
    try:
        node, data = _parse_yaml(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"{mark.line + 1}" if mark else "?"
        problem = getattr(error, "problem", None) or "not valid YAML"
        message = f"{path}:{line}: {problem}"
        raise SettingsError(message) from None
    if repeated := next(_repeated_keys(node), None):
        first, second = (key.start_mark.line + 1 for key in repeated)
        message = (
            f"{path}:{second}: the key {repeated[1].value!r} stands here a second time, first on line {first}"
        )
        raise SettingsError(message)
    return node, data


def _parse_yaml(text: str) -> tuple[yaml.Node | None, Any]:
    try:
        return yaml.compose(text, Loader=_FAST_YAML), yaml.load(text, Loader=_FAST_YAML)  # noqa: S506  (a safe loader)
    except yaml.YAMLError:
        # Python's parser names the character or the word that it stumbled over.
        return yaml.compose(text, Loader=yaml.SafeLoader), yaml.safe_load(text)


def _repeated_keys(root: yaml.Node | None) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """Yield keys that stand twice in one mapping, which YAML forbids (1.2, 3.2.1.3): PyYAML takes the last one and says nothing."""
    nodes, seen = [root], set()
    for node in nodes:
        if id(node) in seen or not isinstance(node, yaml.CollectionNode):
            continue
        # What an anchor names may stand within itself.
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            nodes += node.value
            continue
        keys: dict[tuple[str, str], yaml.Node] = {}
        for key, value in node.value:
            nodes.append(value)
            if isinstance(key, yaml.ScalarNode) and keys.setdefault((key.tag, key.value), key) is not key:
                yield keys[key.tag, key.value], key


def _parse(path: Path) -> tuple[yaml.Node | None, Any]:
    node, data = parse_yaml_file(path)
    if not isinstance(data, dict):
        message = f"{path}:1: expected keys such as store: and exports:"
        raise SettingsError(message)
    return node, data


def line_of(node: yaml.Node | None, location: tuple[int | str, ...]) -> int:
    """Return the line (from 1) on which the key at `location` stands, or its nearest parent's."""
    line = 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    line, node = key.start_mark.line + 1, value
                    break
            else:
                return line
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


def nearest(name: str, known: list[str]) -> str:
    """Return the sentence that names the nearest of `known`, or lists them."""
    near = difflib.get_close_matches(name, known, 1, 0.4)
    return f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"


_SECRETS = ("client_id", "client_secret", "secret", "password", "token", "access_token", "api_key")
"""What somebody may write into loader.yaml by a guess."""


def _explain(path: Path, node: yaml.Node | None, problem: Any) -> str:
    location = tuple(problem["loc"])
    dotted = ".".join(str(part) for part in location)
    place = f"{path}:{line_of(node, location)}"
    if problem["type"] == "extra_forbidden":
        if location[-1] in _SECRETS:
            return f"{place}: {dotted!r} does not belong here: secrets come from the environment or .env (CORSO_CLIENT_ID, CORSO_CLIENT_SECRET)"
        known = list(_model_at(location[:-1]).model_fields)
        return f"{place}: unknown key {dotted!r}; {nearest(str(location[-1]), known)}"
    if problem["type"] == "missing":
        return f"{place}: {dotted!r} is needed"
    text = problem["msg"].removeprefix("Value error, ")
    return f"{place}: {dotted}: {text}" if dotted else f"{place}: {text}"


def _model_at(location: tuple[int | str, ...]) -> type[BaseModel]:
    model: type[BaseModel] = Loader
    for part in location:
        if isinstance(part, int):
            continue  # a place in a list: the list's field has said what stands in it
        if model is Exports and part not in model.model_fields:
            model = RoleFiles
            continue
        annotation = model.model_fields[part].annotation
        for inner in (annotation, *get_args(annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                model = inner
    return model


def _read_dotenv(path: Path) -> dict[str, str]:
    try:
        # Editors on Windows begin a file with a mark, which would hide the first variable.
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return {}
    except OSError as error:
        if not os.access(path.parent, os.X_OK):
            # Somebody else's current folder, from which the loader was started by the path of its loader.yaml.
            return {}
        message = f"{path.absolute()}: cannot be read ({error.strerror})"
        raise SettingsError(message) from None
    except UnicodeDecodeError:
        message = f"{path.absolute()}: is not written in UTF-8; save it as UTF-8 text"
        raise SettingsError(message) from None
    pairs = (line.strip().removeprefix("export ").partition("=") for line in lines)
    return {
        key.strip(): value.strip().strip("'\"")
        for key, mark, value in pairs
        if mark and not key.startswith("#")
    }
