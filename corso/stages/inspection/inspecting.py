"""The inspection itself: every file looked at, the profile that fits, and what would come of loading the files by it."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from corso.errors import ExportError
from corso.extract.files import ExportFile
from corso.extract.headers import VALUES_INSTEAD, looks_like_values
from corso.extract.profile import Profile, built_in_profiles, load_profile
from corso.stages.inspection.facts import FileFacts, Inspection, Unreadable
from corso.stages.inspection.fitting import Fit, Seat, fits, nearness
from corso.stages.inspection.looking import (
    Rows,
    SeenFile,
    form_facts,
    headers_twice,
    look_at,
    look_at_columns,
    look_at_rows,
)
from corso.stages.inspection.paths import export_files
from corso.stages.inspection.proposals import try_proposals
from corso.stages.inspection.trial import Trial, count, count_times, read_tables
from corso.stages.inspection.value_forms import money_forms, time_facts
from schemas.fields import INSTANT, MONEY


def inspect_files(
    paths: Sequence[Path], scratch: Path, profile: str | None = None, time_zone: str | None = None
) -> Inspection:
    """Find the profile that fits some files, try it on them, and say what came of it.

    `profile`: a built-in one's name or a profile file's path, instead of the best of the built-in ones. `time_zone`: the
    store's, where it is known. Raises ExportError where no file can be read at all, SettingsError for a profile that
    cannot be.
    """
    profiles = [load_profile(profile, Path())] if profile else _built_in()
    looked = [look_at(file) for file in export_files(paths)]
    seen = [each for each in looked if isinstance(each, SeenFile)]
    unreadable = [each for each in looked if isinstance(each, Unreadable)]
    fitting, others = fits(profiles, seen)
    if fitting:
        found = _by_profile(fitting[0], seen, scratch, time_zone)
        found["unreadable"] = [*unreadable, *found["unreadable"]]
        found["others"] = sorted([*(fit.candidate for fit in fitting[1:]), *others], key=nearness)
        found["is_tied"] = len(fitting) > 1 and fitting[1].rank == fitting[0].rank
    else:
        files, more = _unknown_files(seen, scratch)
        found = {"files": files, "unreadable": [*unreadable, *more], "others": others}
    if not found["files"]:
        raise ExportError("\n".join(each.reason for each in found["unreadable"]))
    return Inspection(**found, asked_profile=profile, time_zone=time_zone)


@cache
def _built_in() -> Sequence[Profile]:
    return tuple(built_in_profiles().values())


def _by_profile(fit: Fit, seen: Sequence[SeenFile], scratch: Path, time_zone: str | None) -> dict[str, Any]:
    """Return what the files are, read by a profile: fields of an Inspection."""
    rows, broken = _read_seats(fit, scratch)
    idle, unused = _unknown_files([each for each in seen if each.file not in fit.seats], scratch)
    fit = replace(fit, seats={file: fit.seats[file] for file in rows})
    sources = fit.sources
    found: dict[str, Any] = {
        "profile": fit.profile.name,
        "title": fit.profile.title,
        "fit": fit.candidate,
        "columns": sum(len(seat.headers) for seat in fit.loaded),
        "missing_roles": fit.missing_roles,
        "absent_roles": fit.absent_roles,
        "files": [*(_seat_facts(fit, seat, rows[file]) for file, seat in fit.seats.items()), *idle],
        "unreadable": [*broken, *unused],
        "missing": sources.missing(),
        "money": money_forms([rows[seat.seen.file] for seat in fit.loaded]),
    }
    by_role: dict[str, list[Rows]] = {}
    for seat in fit.loaded:
        by_role.setdefault(seat.role, []).append(rows[seat.seen.file])
    if fit.missing_roles or not fit.loaded:
        return found | {"times": time_facts(sources, by_role, {})}
    try:
        tried = _try(fit, scratch, time_zone)
    except ExportError as error:
        return found | {"times": time_facts(sources, by_role, {}), "failure": str(error)}
    times = tried.pop("times")
    return found | tried | {"times": time_facts(sources, by_role, times)}


def _try(fit: Fit, scratch: Path, time_zone: str | None) -> dict[str, Any]:
    files: dict[str, list[ExportFile]] = {}
    forms: dict[str, dict[str, str | int]] = {}
    for seat in fit.loaded:
        files.setdefault(seat.role, []).append(seat.seen.file)
        forms.setdefault(seat.role, {}).update(seat.overrides(fit.profile))
    tables = read_tables(fit.profile, files, forms, scratch)
    return {
        "times": count_times(tables, time_zone),
        "counts": count(tables, time_zone),
        "trial": try_proposals(Trial(tables, fit.profile.money, time_zone)),
    }


def _read_seats(fit: Fit, scratch: Path) -> tuple[dict[ExportFile, Rows], list[Unreadable]]:
    """Read every file that has a role once through."""
    rows, broken = {}, []
    for file, seat in fit.seats.items():
        times, amounts = (fit.sources.headers_of_type(seat.role, dtype) for dtype in (INSTANT, MONEY))
        own = set(seat.headers)
        try:
            rows[file] = look_at_rows(
                seat.seen,
                seat.form,
                [h for h in times if h in own],
                [h for h in amounts if h in own],
                scratch,
            )
        except ExportError as error:
            broken.append(Unreadable(file.path, file.name, str(error)))
    return rows, broken


def _seat_facts(fit: Fit, seat: Seat, rows: Rows) -> FileFacts:
    understood = set(seat.understood)
    return FileFacts(
        path=seat.seen.file.path,
        name=seat.seen.file.name,
        role=seat.role,
        form=form_facts(seat.seen, seat.form),
        overrides=seat.overrides(fit.profile),
        rows=rows.rows,
        faulty_rows=rows.faulty_rows,
        faults=rows.faults,
        understood=list(seat.understood),
        ignored=[header for header in seat.headers if header not in understood],
        twice=list(seat.twice),
        left_out=seat.left_out,
    )


def _unknown_files(seen: Sequence[SeenFile], scratch: Path) -> tuple[list[FileFacts], list[Unreadable]]:
    """Look at files that have no role in any profile."""
    facts, unreadable = [], []
    for each in seen:
        try:
            facts.append(_unknown_file(each, scratch))
        except ExportError as error:
            unreadable.append(Unreadable(each.file.path, each.file.name, str(error)))
    return facts, unreadable


def _unknown_file(seen: SeenFile, scratch: Path) -> FileFacts:
    form = seen.sniffed
    headers = seen.headers(form)
    if isinstance(headers, ExportError):
        raise headers
    if looks_like_values(headers):
        message = f"{seen.file.name}:{form.skip_lines + 1}: {VALUES_INSTEAD}"
        raise ExportError(message)
    rows = look_at_rows(seen, form, [], [], scratch)
    return FileFacts(
        path=seen.file.path,
        name=seen.file.name,
        role="",
        form=form_facts(seen, form),
        overrides={},
        rows=rows.rows,
        faulty_rows=rows.faulty_rows,
        faults=rows.faults,
        understood=[],
        ignored=list(headers),
        twice=headers_twice(seen, form),
        columns=look_at_columns(seen, form, scratch),
    )
