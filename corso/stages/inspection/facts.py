"""What an inspection finds out, as plain frozen values; `--json` prints them as they are. No value of a column is here."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Form:
    """How one file is laid out."""

    packed: str
    """csv, gzip or parquet."""
    delimiter: str
    encoding: str
    """Python's name of it."""
    encoding_is_sure: bool
    """False: the bytes allow of it, and of others."""
    has_bom: bool
    """Whether a byte order mark stands in front."""
    has_separator_line: bool
    """Whether the first line is Excel's `sep=;`."""
    skip_lines: int
    """Lines before the header."""
    skip_rows: int = 0
    """Rows behind the header that describe the columns; a profile says so, no file does."""


@dataclass(frozen=True)
class Fault:
    """Why rows cannot be trusted as a whole."""

    reason: str
    rows: int
    first_line: int


@dataclass(frozen=True)
class Shape:
    """One way in which a column's values are written: digits as 9, letters as A."""

    shape: str
    values: int


@dataclass(frozen=True)
class HeaderFacts:
    """One column of a file that no profile knows."""

    header: str
    filled: int
    """Rows that have a value, of those that were looked at."""
    shapes: Sequence[Shape]
    """The most frequent ones."""


@dataclass(frozen=True)
class FileFacts:
    """One file as it stands."""

    path: Path
    name: str
    role: str
    """The file role that it has in the profile; empty where it has none."""
    form: Form
    overrides: Mapping[str, str | int]
    """What loader.yaml has to say of its form, because the profile says otherwise."""
    rows: int
    faulty_rows: int
    faults: Sequence[Fault]
    """Why, the most frequent first."""
    understood: Sequence[str]
    """Headers that the profile uses."""
    ignored: Sequence[str]
    """Headers that it does not."""
    twice: Sequence[str]
    """Headers that stand there more than once."""
    columns: Sequence[HeaderFacts] = ()
    """Where no profile fits: what the columns look like."""
    left_out: str = ""
    """Why the file is not part of the trial although it has a role."""


@dataclass(frozen=True)
class Unreadable:
    """A file that cannot be read, and why."""

    path: Path
    name: str
    reason: str


@dataclass(frozen=True)
class Candidate:
    """How well one profile fits."""

    profile: str
    title: str
    understood: int
    """Columns of the files that it uses."""
    needed_there: int
    """Of the columns that Corso needs, those that the files fill by it."""
    needed: int
    lacks: Sequence[str]
    """What it needs and the files do not have: headers, and files of roles."""


@dataclass(frozen=True)
class Missing:
    """A canonical column that no header of the files fills."""

    column: str
    """`table.column`."""
    reads: str
    """The headers that would fill it; empty where the profile has none."""
    is_needed: bool
    """Whether Corso refuses an order without it."""


_MONTHS = 12


@dataclass(frozen=True)
class DayOrder:
    """What tells days and months apart in dates such as 03/04/2026."""

    shape: str
    values: int
    highest_first: int
    """The highest of the first numbers."""
    highest_second: int
    read_as: str
    """How the profile reads it: `day first`, `month first`, or `not at all`."""

    @property
    def evidence(self) -> str:
        """What the numbers say: `day first`, `month first`, `nothing`, or `both`."""
        if self.highest_first > _MONTHS and self.highest_second > _MONTHS:
            return "both"
        if self.highest_first > _MONTHS:
            return "day first"
        return "month first" if self.highest_second > _MONTHS else "nothing"


@dataclass(frozen=True)
class TimeCounts:
    """A canonical time column, counted over all rows."""

    values: int
    with_offset: int
    unreadable: int
    ambiguous: int | None
    """Times without an offset that the store's clock showed twice; None where the zone is not known."""
    impossible: int | None
    """Times that it never showed."""


@dataclass(frozen=True)
class TimeFacts:
    """One canonical time column."""

    column: str
    """`table.column`."""
    headers: Sequence[str]
    """The headers that it comes from."""
    shapes: Sequence[Shape]
    """The most frequent ones of these headers."""
    more_shapes: int
    """How many other ones there are."""
    counts: TimeCounts | None
    """None where nothing was tried, or the column is empty."""
    day_order: DayOrder | None
    """Where days and months are to be told apart."""
    taken_as_utc: bool
    """Whether the profile says that times without an offset are UTC."""


@dataclass(frozen=True)
class MoneyForm:
    """One way in which amounts are written."""

    shape: str
    kind: str
    """In words."""
    values: int
    headers: Sequence[str]


@dataclass(frozen=True)
class Counts:
    """What all files together hold."""

    orders: int
    line_items: int
    fulfillments: int
    orders_without_lines: int
    lines_of_no_order: int
    fulfillments_of_no_order: int
    years: Mapping[str, int]
    """Year of the order (UTC where no zone is known) -> orders; `undated` for the rest."""
    currencies: Mapping[str, int]
    """ISO code -> orders; `none` where an order names none, `unknown` where it is no code."""
    locations: int
    """Different fulfillment locations that the files name."""
    without_location: int
    """Fulfillments without one."""


@dataclass(frozen=True)
class Reason:
    """A broken rule."""

    column: str
    """`table.column`, or the table where the row as a whole is at fault."""
    sentence: str
    remedy: str
    orders: int
    rows: int
    file: str
    line: int


@dataclass(frozen=True)
class Proposal:
    """A declaration in loader.yaml that would help."""

    key: str
    """The fallback's key, or `store.fulfillment_locations`."""
    rules: Sequence[str | Mapping[str, str]]
    """Its rules; those that would give no value are left out."""
    concerns: int
    """Tried orders that have a reason which it is about."""
    alone: int
    """How many more orders would be accepted with it alone."""
    is_made_up: bool
    """Whether it puts in what is in no column of the files."""


@dataclass(frozen=True)
class TrialFacts:
    """What validation made of the first orders."""

    tried: int
    accepted: int
    reasons: Sequence[Reason]
    proposals: Sequence[Proposal]
    accepted_with_own: int
    """With all proposals together that take what is in the files."""
    accepted_with_all: int
    """With the made-up values, too."""


@dataclass(frozen=True)
class Inspection:
    """What was found out about some files."""

    files: Sequence[FileFacts]
    """Those that have a role first."""
    unreadable: Sequence[Unreadable]
    others: Sequence[Candidate]
    """The other profiles that know some of the columns, the best first; where none fits: the nearest first."""
    profile: str | None = None
    """The profile that fits; None where none does."""
    title: str = ""
    fit: Candidate | None = None
    is_tied: bool = False
    """Whether another profile fits exactly as well."""
    columns: int = 0
    """Columns of the files that have a role in the profile."""
    missing_roles: Sequence[str] = ()
    """File roles that the profile needs and that no file has."""
    absent_roles: Sequence[str] = ()
    """File roles that the profile could use and that no file has."""
    missing: Sequence[Missing] = ()
    times: Sequence[TimeFacts] = ()
    money: Sequence[MoneyForm] = ()
    counts: Counts | None = None
    trial: TrialFacts | None = None
    failure: str = ""
    """Why nothing could be tried although every file is there."""
    time_zone: str | None = None
    """The store's zone, where it was given."""
    asked_profile: str | None = None
    """The profile that was asked for: a built-in one's name or a file's path."""

    @property
    def everything_is_accepted(self) -> bool:
        """Whether every order would be accepted as the files stand."""
        trial = self.trial
        return not self.unreadable and trial is not None and trial.tried > 0 and trial.accepted == trial.tried

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)
