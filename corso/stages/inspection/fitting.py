"""Which profile fits some files, and which file has which role in it: by headers alone, which every file has few of."""

import codecs
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from corso.errors import ExportError
from corso.extract.files import ExportFile, is_parquet
from corso.extract.headers import normal
from corso.extract.profile import Profile
from corso.extract.roles import csv_form, missing_headers
from corso.extract.text import CsvForm
from corso.extract.used_headers import used_headers
from corso.stages.inspection.facts import Candidate
from corso.stages.inspection.looking import SeenFile, headers_twice
from corso.stages.inspection.sources import Sources

_ROLE_WORDS = {
    "line": "line_items",
    "item": "line_items",
    "fulfil": "fulfillments",
    "shipment": "fulfillments",
}
"""What a file's name says of its role, where its columns fit two roles equally well."""


@dataclass(frozen=True)
class Seat:
    """A file in a role of a profile."""

    seen: SeenFile
    role: str
    form: CsvForm
    """How it is read in this role."""
    headers: Sequence[str]
    understood: Sequence[str]
    twice: Sequence[str]
    """Headers that stand there more than once."""
    left_out: str = ""
    """Why it cannot be loaded together with the other files of its role; empty where it can."""

    def overrides(self, profile: Profile) -> dict[str, str | int]:
        """Return what loader.yaml has to say of the file's form, because the profile says otherwise."""
        if is_parquet(self.seen.file.path):
            return {}
        declared = csv_form(profile.files[self.role], {})
        return {
            name: getattr(self.form, name)
            for name in ("delimiter", "encoding", "skip_lines", "duplicate_headers")
            if getattr(self.form, name) != getattr(declared, name)
        }

    def is_read_by(self, form: CsvForm) -> bool:
        """Say whether the file comes out the same if it is read as `form`, but for headers that stand there twice."""
        if is_parquet(self.seen.file.path):
            return True
        if (self.form.delimiter, self.form.skip_lines) != (form.delimiter, form.skip_lines):
            return False
        own, other = (codecs.lookup(each.encoding).name for each in (self.form, form))
        return own == other or ("\n".encode(other) == b"\n" and self.seen.is_ascii)


@dataclass(frozen=True)
class Fit:
    """A profile, and the files that have a role in it."""

    profile: Profile
    seats: Mapping[ExportFile, Seat]
    candidate: Candidate

    @property
    def loaded(self) -> list[Seat]:
        """The files that can be loaded together."""
        return [seat for seat in self.seats.values() if not seat.left_out]

    @property
    def missing_roles(self) -> list[str]:
        """File roles that the profile needs and no file has."""
        taken = {seat.role for seat in self.loaded}
        return [role for role, form in self.profile.files.items() if role not in taken and not form.optional]

    @property
    def absent_roles(self) -> list[str]:
        """File roles that the profile could use and no file has."""
        taken = {seat.role for seat in self.loaded}
        return [role for role, form in self.profile.files.items() if role not in taken and form.optional]

    @property
    def sources(self) -> Sources:
        """What the files fill."""
        return _sources(self.profile, self.loaded)

    @property
    def rank(self) -> tuple[bool, int, int]:
        """Its place among the others, the higher the better: every file is there; columns understood; needed ones filled."""
        return (not self.missing_roles, self.candidate.understood, self.candidate.needed_there)


def nearness(candidate: Candidate) -> tuple[int, int]:
    """Return a profile's place among those that are not taken: the one that knows most columns first, then lacks fewest."""
    return (-candidate.understood, len(candidate.lacks))


def fits(profiles: Sequence[Profile], files: Sequence[SeenFile]) -> tuple[list[Fit], list[Candidate]]:
    """Return the profiles in which at least one file has a role, the best first, and the others that know any column.

    The others are sorted by how many columns they know; what they lack is what keeps them from fitting.
    """
    fitting, others = [], []
    for profile in profiles:
        fit = _fit(profile, files)
        if fit.seats:
            fitting.append(fit)
        elif fit.candidate.understood:
            others.append(fit.candidate)
    fitting.sort(key=lambda fit: fit.rank, reverse=True)
    return fitting, sorted(others, key=nearness)


def _fit(profile: Profile, files: Sequence[SeenFile]) -> Fit:
    seats = [seat for seen in files if (seat := _best_seat(profile, seen))]
    by_role = {role: [seat for seat in seats if seat.role == role] for role in profile.files}
    seats = [seat for own in by_role.values() for seat in _agreeing(own)]
    loaded = [seat for seat in seats if not seat.left_out]
    there, needed = _sources(profile, loaded).needed()
    understood = sum(len(seat.understood) for seat in loaded)
    candidate = Candidate(profile.name, profile.title, understood, there, needed, ())
    fit = Fit(profile, {seat.seen.file: seat for seat in seats}, candidate)
    if seats:
        lacks = [f"a file of {role}" for role in fit.missing_roles]
    else:
        understood, lacks = _nearness(profile, files)
    return replace(fit, candidate=replace(candidate, understood=understood, lacks=lacks))


def _sources(profile: Profile, seats: Iterable[Seat]) -> Sources:
    headers: dict[str, dict[str, str]] = {}
    for seat in seats:
        own = headers.setdefault(seat.role, {})
        for header in seat.headers:
            own.setdefault(normal(header), header)
    return Sources(profile, {role: list(own.values()) for role, own in headers.items()})


def _nearness(profile: Profile, files: Sequence[SeenFile]) -> tuple[int, list[str]]:
    """Return how many columns a profile knows that does not fit, and what the file lacks of which it knows the most."""
    total, best = 0, 0
    lacks: list[str] = []
    for seen in files:
        by_role = {role: understood_by(profile, role, seen.own_headers) for role in profile.files}
        role = max(by_role, key=lambda role: len(by_role[role]))
        total += len(by_role[role])
        if len(by_role[role]) > best:
            best, lacks = len(by_role[role]), missing_headers(profile.files[role], seen.own_headers)
    return total, list(dict.fromkeys(lacks))


def _agreeing(seats: Sequence[Seat]) -> list[Seat]:
    """Have all files of a role read in one way, as loader.yaml can say it, and leave out those that cannot be."""
    if not seats:
        return []
    common = max((seat.form for seat in seats), key=lambda form: sum(seat.is_read_by(form) for seat in seats))
    if any(seat.twice for seat in seats):
        common = replace(common, duplicate_headers="number")
    reason = "laid out otherwise than the other files of its role: save them alike, or load it by itself"
    return [
        replace(seat, form=common) if seat.is_read_by(common) else replace(seat, left_out=reason)
        for seat in seats
    ]


def _best_seat(profile: Profile, seen: SeenFile) -> Seat | None:
    """Return the role whose needed headers the file has; of several the one that its columns tell, then its name."""
    found = [seat for role in profile.files if (seat := _seat(profile, role, seen))]
    stem = seen.file.path.name.lower()
    named_role = next((role for word, role in _ROLE_WORDS.items() if word in stem), None)
    return max(found, key=lambda seat: (len(seat.understood), seat.role == named_role), default=None)


def _seat(profile: Profile, role: str, seen: SeenFile) -> Seat | None:
    for form in _layouts(profile, role, seen):
        headers = seen.headers(form)
        if isinstance(headers, ExportError) or missing_headers(profile.files[role], headers):
            continue
        twice = headers_twice(seen, form, used_headers(profile, role, headers))
        read_as = "number" if twice else profile.files[role].duplicate_headers
        read = replace(form, duplicate_headers=read_as)
        names = seen.headers(read)
        own = headers if isinstance(names, ExportError) else names
        return Seat(seen, role, read, own, understood_by(profile, role, own), twice)
    return None


def _layouts(profile: Profile, role: str, seen: SeenFile) -> Iterator[CsvForm]:
    """Yield how the file may be read in a role: as the profile says, or else as it looks."""
    if is_parquet(seen.file.path):
        yield csv_form(profile.files[role], {})
        return
    declared = csv_form(profile.files[role], {"duplicate_headers": "number"})
    declared = replace(declared, encoding=seen.encoding_for(declared.encoding))
    yield declared
    looks = replace(declared, delimiter=seen.sniffed.delimiter, skip_lines=seen.sniffed.skip_lines)
    if looks != declared:
        yield looks


def understood_by(profile: Profile, role: str, headers: Sequence[str]) -> list[str]:
    """Return the headers of a file that the profile uses."""
    used = used_headers(profile, role, headers)
    return [header for header in headers if normal(header) in used]
