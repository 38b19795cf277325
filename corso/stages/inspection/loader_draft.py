"""A loader.yaml for inspected files: what is known stands in it, what only the merchant knows is marked TODO.

Proposed fallbacks stand in it behind a `#`, each with how many orders it would save: none is on by itself.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from corso.settings import DRAFT_STORE_ID
from corso.stages.inspection.facts import Counts, FileFacts, Inspection, Proposal
from corso.stages.inspection.proposals import LOCATIONS

PROFILE_FILE = "profile.yaml"
"""What a profile to fill in is called; it stands beside loader.yaml."""
LOCATION_LINE = "fulfillment_locations: {default: 0}"
_INLINE_FILES = 3
_DEFAULT_ZONE = "UTC"
_WIDTH = 96


def loader_yaml(inspection: Inspection, path: Path, roles: Mapping[str, Sequence[FileFacts]]) -> str:
    """Return the text of a loader.yaml that is going to stand at `path`; `roles`: file role -> its files."""
    lines = [
        "# Written by corso-loader inspect. Fill in what says TODO, read the rest, then run:",
        f"#   corso-loader plan -c {path.name if path.name.isprintable() else quoted(path.name)}",
        *_store(inspection),
        "exports:",
        f"  profile: {_profile(inspection, path)}",
        *(line for role, files in roles.items() for line in _role(role, files, path)),
        *(f"  # TODO {role}: the profile needs this file" for role in inspection.missing_roles),
        "corso: {environment: sandbox}  # TODO sandbox, staging or production",
        *_proposals(inspection),
    ]
    return "\n".join(lines) + "\n"


def proposal_lines(proposals: Sequence[Proposal], tried: int) -> Iterator[str]:
    """Yield proposed fallbacks as lines of loader.yaml, each below what it would bring."""
    fallbacks = [each for each in proposals if each.key != LOCATIONS]
    if fallbacks:
        yield "fallbacks:"
    for is_made_up in (False, True):
        some = [each for each in fallbacks if each.is_made_up == is_made_up]
        if some and is_made_up:
            yield "  # Made up: what stands here is in no column of the files, and would be in Corso."
        for each in some:
            yield f"  # alone +{each.alone:,}; {each.concerns:,} of {tried:,} orders need it"
            yield from _rules(each)


def location_sentence(counts: Counts) -> str:
    """Say what store.fulfillment_locations is wanted for."""
    names = "fulfillment names" if counts.without_location == 1 else "fulfillments name"
    parts = [
        f"{counts.without_location:,} {names} no warehouse: `default` is Corso's number of it"
        if counts.without_location
        else "",
        f"the files name {counts.locations:,} different warehouses: each needs a line NAME: NUMBER, unless it is a number of Corso's"
        if counts.locations
        else "",
    ]
    return "; ".join(filter(None, parts))


def quoted(text: str) -> str:
    """Write text so that YAML reads it as text, on one line, with escapes for whatever cannot be seen."""
    return "".join(
        each
        if each.isprintable()
        else f"\\u{ord(each):04x}"
        if ord(each) < 1 << 16
        else f"\\U{ord(each):08x}"
        for each in json.dumps(text, ensure_ascii=False)
    )


def relative(file: Path, loader: Path) -> str:
    """Return a file's path as loader.yaml names it: relative to the folder it stands in."""
    return Path(os.path.relpath(file.resolve(), loader.resolve().parent)).as_posix()


def _store(inspection: Inspection) -> Iterator[str]:
    counts = inspection.counts
    yield "store:"
    yield f"  id: {DRAFT_STORE_ID}  # TODO Corso's number of the store"
    if inspection.time_zone:
        yield f"  time_zone: {inspection.time_zone}"
    else:
        if without := _without_offset(inspection):
            times = (
                "time in the files has no offset: it is"
                if without == 1
                else "times in the files have no offset: they are"
            )
            yield f"  # {without:,} {times} of this zone."
        yield f"  time_zone: {_DEFAULT_ZONE}  # TODO the store's zone, e.g. America/New_York"
    if counts and counts.currencies.get("none"):
        yield f"  # {counts.currencies['none']:,} orders name no currency. For the report, which one is meant:"
        yield "  # currency: USD"
    if counts and (counts.locations or counts.without_location):
        yield f"  # TODO {location_sentence(counts)}"
        yield f"  # {LOCATION_LINE}"


def _without_offset(inspection: Inspection) -> int:
    return sum(
        each.counts.values - each.counts.with_offset for each in inspection.times if each.counts is not None
    )


def _profile(inspection: Inspection, path: Path) -> str:
    asked = inspection.asked_profile or ""
    if inspection.profile and asked.endswith((".yaml", ".yml")):
        return quoted(relative(Path(asked), path))
    return inspection.profile or PROFILE_FILE


def _role(role: str, files: Sequence[FileFacts], path: Path) -> Iterator[str]:
    paths = [quoted(relative(file.path, path)) for file in files]
    overrides: dict[str, str | int] = {}
    for file in files:
        overrides |= file.overrides
        if "encoding" in file.overrides and not file.form.encoding_is_sure:
            yield f"  # {file.overrides['encoding']} is a suspicion: see that names with accents come out right."
    said = "".join(f", {key}: {_value(value)}" for key, value in overrides.items())
    if len(paths) == 1:
        yield f"  {role}: {{files: {paths[0]}{said}}}" if said else f"  {role}: {paths[0]}"
    elif len(paths) <= _INLINE_FILES and not said:
        yield f"  {role}: [{', '.join(paths)}]"
    else:
        yield f"  {role}:"
        yield "    files:"
        yield from (f"      - {each}" for each in paths)
        yield from (f"    {key}: {_value(value)}" for key, value in overrides.items())


def _value(value: str | int) -> str:
    plain = isinstance(value, int) or value.replace("-", "").replace("_", "").isalnum()
    return str(value) if plain else quoted(str(value))


def _proposals(inspection: Inspection) -> Iterator[str]:
    trial = inspection.trial
    lines = list(proposal_lines(trial.proposals, trial.tried)) if trial else []
    if not trial or not lines:
        return
    yield "# Fallbacks are your choice: each puts something into Corso that the field does not hold in the files."
    yield f"# Tried on {trial.tried:,} orders, of which {trial.accepted:,} are accepted without any."
    yield "# To use some, take the `# ` off `fallbacks:` and off them. docs/fallbacks.md has the forms."
    yield from (f"# {line}" for line in lines)


def _rules(proposal: Proposal) -> Iterator[str]:
    rules = [
        quoted(rule)
        if isinstance(rule, str)
        else "{" + ", ".join(f"{kind}: {quoted(text)}" for kind, text in rule.items()) + "}"
        for rule in proposal.rules
    ]
    short = f"  {proposal.key}: {rules[0] if len(rules) == 1 else '[' + ', '.join(rules) + ']'}"
    if len(short) <= _WIDTH:
        yield short
        return
    yield f"  {proposal.key}:"
    yield from (f"    - {rule}" for rule in rules)
