"""An inspection as plain text for people: lines of at most 100 columns, no value of any order."""

import json
from collections.abc import Iterator, Mapping, Sequence

from corso.extract.forms import delimiter_in_words
from corso.stages.inspection.facts import (
    Candidate,
    Counts,
    FileFacts,
    Form,
    Inspection,
    Missing,
    TrialFacts,
)
from corso.stages.inspection.loader_draft import LOCATION_LINE, location_sentence, proposal_lines
from corso.stages.inspection.proposals import LOCATIONS
from pipelines.plain_text import WIDTH, name, number_of, some, wrapped
from pipelines.value_text import money_lines, time_lines

_MOST_NAMES = 60
_MOST_REASONS = 20
_NEARLY = 0.8
_MOST_QUARANTINED = 0.05
"""validation.max_quarantined, where loader.yaml says nothing."""
_SUSPICION = "a suspicion: where letters look wrong it is another, e.g. gb18030, big5, shift_jis, cp1250"


def inspection_lines(inspection: Inspection) -> Iterator[str]:
    """Yield the lines."""
    yield from _profile(inspection)
    yield from _unreadable(inspection)
    yield from _files(inspection)
    yield from _missing(inspection.missing)
    if inspection.counts:
        yield from _counts(inspection.counts)
    yield from time_lines(inspection)
    yield from money_lines(inspection)
    if inspection.failure:
        yield from ("", *wrapped(f"Nothing could be tried: {inspection.failure}"))
    if inspection.trial:
        yield from _trial(inspection.trial, inspection)


def _profile(inspection: Inspection) -> Iterator[str]:
    fit = inspection.fit
    if fit is None:
        yield from _no_profile(inspection)
        return
    yield from wrapped(f"Profile: {inspection.profile} ({inspection.title})")
    yield from wrapped(
        f"{fit.understood:,} of {inspection.columns:,} columns are understood; of the {fit.needed:,} columns that Corso "
        f"needs {_number(fit.needed_there, fit.needed)} filled.",
        2,
    )
    if fit.needed_there * 2 < fit.needed:
        yield from wrapped("That is less than half: see whether it is the right profile.", 2)
    if inspection.others:
        yield from wrapped(_next_best(inspection, inspection.others[0]), 2)
    if inspection.absent_roles:
        yield from wrapped(f"It could use files of {', '.join(inspection.absent_roles)}, too.", 2)
    for role in inspection.missing_roles:
        yield from wrapped(f"Missing: a file of {role}, which the profile needs. Name it, too.", 2)


def _number(there: int, all_of_them: int) -> str:
    return "all are" if there == all_of_them else f"{there:,} are"


def _next_best(inspection: Inspection, other: Candidate) -> str:
    lacks = f", but it lacks {some(other.lacks, 4)}" if other.lacks else ""
    knows = f"{other.profile}, {other.understood:,} columns{lacks}"
    if inspection.is_tied:
        return f"{other.profile} fits exactly as well: see which is right, and choose it with --profile."
    fit = inspection.fit
    if fit and not other.lacks and other.understood >= _NEARLY * fit.understood:
        return f"Nearly as good: {knows}; --profile chooses it."
    return f"Next best: {knows}."


def _no_profile(inspection: Inspection) -> Iterator[str]:
    if inspection.asked_profile:
        yield from wrapped(f"Profile: {inspection.asked_profile} does not fit these files.")
    else:
        yield "Profile: none fits these files."
    columns = sum(len(file.ignored) for file in inspection.files)
    for other in inspection.others[:2]:
        lacks = f"; it needs {some(other.lacks, 6)}, and that is not there" if other.lacks else ""
        near = "It" if inspection.asked_profile else f"Nearest: {other.profile} ({other.title})"
        yield from wrapped(
            f"{near} knows {other.understood:,} of {columns:,} columns{lacks}.",
            2,
        )
    if not inspection.others:
        yield "  No profile knows any of the columns."
    yield from wrapped(
        "To load them, write a profile: with --write loader.yaml there is one to fill in beside it.", 2
    )


def _unreadable(inspection: Inspection) -> Iterator[str]:
    if inspection.unreadable:
        yield from ("", "Cannot be read")
    for each in inspection.unreadable:
        yield from wrapped(each.reason, 2)


def _files(inspection: Inspection) -> Iterator[str]:
    yield from ("", "Files")
    for file in inspection.files:
        role = f"{file.role}, " if file.role else "not used by the profile, " if inspection.profile else ""
        faulty = f", {file.faulty_rows:,} of them faulty" if file.faulty_rows else ""
        yield from wrapped(
            f"{name(file.name)}: {role}{file.rows:,} row{'' if file.rows == 1 else 's'}{faulty}", 2
        )
        yield from _file(file, has_profile=bool(inspection.profile))


def _file(file: FileFacts, *, has_profile: bool) -> Iterator[str]:
    if file.left_out:
        yield from wrapped(f"left out of everything below: {file.left_out}", 4)
    yield from wrapped(f"form: {_form(file.form)}", 4)
    if file.overrides:
        keys = ", ".join(f"{key}: {_yaml(value)}" for key, value in file.overrides.items())
        yield from wrapped(
            f"the profile says otherwise: loader.yaml needs {file.role}: {{files: …, {keys}}}", 4
        )
    if file.twice:
        yield from wrapped(
            f"more than once in the header: {some(file.twice, 10)}; the second is called … 2", 4
        )
    for fault in file.faults:
        yield from wrapped(
            f"faulty: {number_of(fault.rows, 'row')}, first on line {fault.first_line:,}: {fault.reason}", 4
        )
    if not file.role:
        yield from _names("columns", file.ignored)
    elif has_profile:
        yield from _names("understood", file.understood)
        yield from _names("ignored", file.ignored)


def _form(form: Form) -> str:
    if form.packed == "parquet":
        return "Parquet"
    encoding = "UTF-8" if form.encoding == "utf-8" else form.encoding
    sure = "" if form.encoding_is_sure else f" ({_SUSPICION})"
    parts = [
        delimiter_in_words(form.delimiter),
        encoding + (" with a byte order mark" if form.has_bom else "") + sure,
        "gzip" if form.packed == "gzip" else "",
        "the first line is Excel's sep=" if form.has_separator_line else "",
        f"header on line {form.skip_lines + 1}" if form.skip_lines else "",
        f"{form.skip_rows} row{'' if form.skip_rows == 1 else 's'} of descriptions below it"
        if form.skip_rows
        else "",
    ]
    return ", ".join(filter(None, parts))


def _missing(missing: Sequence[Missing]) -> Iterator[str]:
    if missing:
        yield from ("", "Not in the files (Corso's column: the header that would fill it)")
    for each in missing:
        if each.is_needed:
            reads = f": {name(each.reads)}" if each.reads else " (from no header of this profile)"
            yield from wrapped(f"needed: {each.column}{reads}", 2)
    optional = [
        each.column if each.column.endswith(f".{each.reads}") else f"{each.column}: {name(each.reads)}"
        for each in missing
        if not each.is_needed and each.reads
    ]
    if optional:
        yield from wrapped(f"optional: {'; '.join(optional)}", 2, 4)


def _counts(counts: Counts) -> Iterator[str]:
    yield ""
    yield from wrapped(
        f"{number_of(counts.orders, 'order')}, {number_of(counts.line_items, 'line item')}, "
        f"{number_of(counts.fulfillments, 'fulfillment')}"
    )
    yield from wrapped(f"years: {_counted(counts.years)}", 2)
    yield from wrapped(f"currencies: {_counted(counts.currencies)}", 2)
    for number, said in (
        (counts.orders_without_lines, "orders without lines"),
        (counts.lines_of_no_order, "line items of no order"),
        (counts.fulfillments_of_no_order, "fulfillments of no order"),
    ):
        if number:
            yield f"  {said}: {number:,}"
    if counts.locations or counts.without_location:
        yield from wrapped(f"{location_sentence(counts)} (store.fulfillment_locations)", 2)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{key} ({count:,})" for key, count in counts.items()) or "none"


def _trial(trial: TrialFacts, inspection: Inspection) -> Iterator[str]:
    yield ""
    if not trial.tried:
        yield "The files hold no order."
        return
    all_of_them = inspection.counts.orders if inspection.counts else trial.tried
    tried = f" (the first {trial.tried:,} of {all_of_them:,} were tried)" if trial.tried < all_of_them else ""
    yield from wrapped(
        f"As the files stand, {trial.accepted:,} of {trial.tried:,} orders would be accepted{tried}."
    )
    for reason in trial.reasons[:_MOST_REASONS]:
        yield from wrapped(f"{number_of(reason.orders, 'order')}: {reason.column} {reason.sentence}", 2)
        yield from wrapped(f"first at {name(reason.file)}:{reason.line}; {reason.remedy}", 4)
    if len(trial.reasons) > _MOST_REASONS:
        yield f"  and {len(trial.reasons) - _MOST_REASONS:,} rarer reasons (--json has all)"
    if trial.accepted < trial.tried:
        yield from _proposals(trial, inspection.counts)


def _proposals(trial: TrialFacts, counts: Counts | None) -> Iterator[str]:
    yield ""
    if not trial.proposals:
        yield "No fallback would help: mend the files, or the profile."
        return
    yield "What would help. These are proposals: none is on before it stands in loader.yaml."
    if counts and any(each.key == LOCATIONS for each in trial.proposals):
        yield f"  store: {{{LOCATION_LINE}}}"
        yield from (f"    #{line}" for line in wrapped(location_sentence(counts), 1, 1, WIDTH - 5))
    for line in proposal_lines(trial.proposals, trial.tried):
        yield f"  {line}"
    is_made_up = [each for each in trial.proposals if each.is_made_up]
    if is_made_up and len(is_made_up) < len(trial.proposals):
        yield f"All but the made-up ones: {trial.accepted_with_own:,} of {trial.tried:,} orders would be accepted."
    left = trial.tried - trial.accepted_with_all
    yield f"All together: {trial.accepted_with_all:,} of {trial.tried:,} orders would be accepted."
    if left > _MOST_QUARANTINED * trial.tried:
        yield from wrapped(
            f"{left:,} would still be quarantined; more than 5 % keep `upload` from starting (validation.max_quarantined)."
        )


def _yaml(value: str | int) -> str:
    plain = isinstance(value, int) or value.replace("-", "").replace("_", "").isalnum()
    return str(value) if plain else json.dumps(value, ensure_ascii=False)


def _names(title: str, names: Sequence[str]) -> Iterator[str]:
    yield from wrapped(f"{title} ({len(names):,}): {some(names, _MOST_NAMES) or 'none'}", 4, 6)
