"""How the times and amounts of inspected files are written, as sentences: shapes, what tells days from months, offsets."""

import re
from collections.abc import Iterator

from corso.extract.convert import converter_of
from corso.stages.inspection.facts import DayOrder, Inspection, TimeFacts
from pipelines.plain_text import some, wrapped
from schemas.fields import MONEY

_MONEY = converter_of(MONEY)
_NO_AMOUNT = _MONEY.sentence if _MONEY else ""
"""What validation says of an amount that it cannot read."""


def time_lines(inspection: Inspection) -> Iterator[str]:
    """Yield what is to be known of the time columns."""
    if inspection.times:
        yield from ("", "Times (digits as 9)")
    for each in inspection.times:
        shapes = ", ".join(f"{shape.shape} ({shape.values:,})" for shape in each.shapes)
        more = f", {each.more_shapes:,} other forms" if each.more_shapes else ""
        yield from wrapped(f"{each.column} ({some(each.headers, 3)}): {shapes or 'empty'}{more}", 2)
        yield from (line for said in _said_of_times(each, inspection.time_zone) for line in wrapped(said, 4))
    if inspection.time_zone is None and any(map(_without_offset, inspection.times)):
        yield from wrapped(
            "Times without an offset are the store's: say its zone with --time-zone, and in loader.yaml with "
            "store.time_zone.",
            2,
        )


def _without_offset(times: TimeFacts) -> int:
    counts = times.counts
    return 0 if counts is None else counts.values - counts.with_offset - counts.unreadable


def _said_of_times(times: TimeFacts, time_zone: str | None) -> Iterator[str]:
    counts = times.counts
    if times.day_order:
        yield _day_order(times.day_order)
    if counts is None:
        return
    if counts.unreadable:
        yield f"{counts.unreadable:,} of {counts.values:,} cannot be read as a time"
    without = _without_offset(times)
    if times.taken_as_utc:
        yield "UTC, as the profile says"
    elif not without and counts.with_offset:
        yield "all with an offset"
    elif not without:
        return
    elif time_zone is None:
        yield f"{without:,} of {counts.values:,} without an offset"
    else:
        yield (
            f"{without:,} without an offset, read as times of {time_zone}: {counts.ambiguous or 0:,} came twice on its "
            f"clock, {counts.impossible or 0:,} never (daylight saving)"
        )


def _day_order(order: DayOrder) -> str:
    numbers = f"the first number goes up to {order.highest_first}, the second to {order.highest_second}"
    if order.read_as == "not at all":
        says = {
            "nothing": "the files do not tell which is the day",
            "both": "neither can be the month of all",
        }
        told = says.get(order.evidence, f"so the {order.evidence.replace(' first', ' comes first')}")
        return (
            f"{order.shape}: the profile does not say how to read it; {numbers}: {told}. Say it with `dates` in a profile "
            "of your own"
        )
    read = f"read as {order.read_as}, as the profile says"
    if order.evidence == order.read_as:
        return f"{read}; {numbers}: so it is"
    if order.evidence == "nothing":
        return f"{read}; {numbers}: the files do not tell, see that it is so"
    if order.evidence == "both":
        return f"{read}; {numbers}: some are written the other way"
    return f"{read}; but {numbers}: so it is {order.evidence}. Set `dates` in a profile of your own"


def money_lines(inspection: Inspection) -> Iterator[str]:
    """Yield how amounts are written, and what a profile has to say of it where they cannot be read."""
    if inspection.money:
        yield from ("", "Amounts (digits as 9, the first ones as one)")
    for form in inspection.money:
        where = f" in {some(form.headers, 4)}" if form.kind != "plain" else ""
        yield from wrapped(f"{form.shape}: {form.kind} ({form.values:,}){where}", 2)
    if said := _amounts_to_declare(inspection):
        yield from wrapped(
            f"They cannot be read so. Say `amounts: {said}` for the file in a profile of your own, beginning with "
            f"`corso-loader profiles {inspection.profile} > profile.yaml`.",
            2,
        )


def _amounts_to_declare(inspection: Inspection) -> str:
    """Return what a profile has to say of amounts that it does not read; empty where they are written in several ways."""
    reasons = inspection.trial.reasons if inspection.trial else ()
    if not any(each.sentence == _NO_AMOUNT for each in reasons):
        return ""
    has_comma = any("comma before" in form.kind for form in inspection.money)
    has_point = any(re.search(r"\.9+\D*$", form.shape) for form in inspection.money)
    has_marks = any("mark" in form.kind or "groups" in form.kind for form in inspection.money)
    if has_comma:
        return "" if has_point else '{decimal: ","}'
    return "{}" if has_marks else ""
