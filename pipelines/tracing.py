"""trace: one order's story, told in lines or as JSON."""

from collections.abc import Iterator
from pathlib import Path

from corso.errors import UsageError
from corso.settings import read_settings
from corso.stages.tracing import Story, ids_called, trace_order
from pipelines.output import command_line, say, say_json, say_next


def trace(config: Path, source_order_id: str, *, as_json: bool) -> int:
    """Tell one order's story; exit code 2 where nothing is known of it."""
    settings = read_settings(config)
    if not _is_text(source_order_id):
        raise _in_no_batch(source_order_id)
    story = trace_order(settings, source_order_id)
    if not story.is_known:
        # People have the name at hand that customers know.
        story = trace_order(settings, _id_called(ids_called(settings, source_order_id), source_order_id))
    if as_json:
        say_json(story.as_dict())
    else:
        for line in _told(story):
            say(line)
        say_next(*_next_steps(story, config))
    return 0


def _id_called(ids: list[str], name: str) -> str:
    """Return the one order that goes by this name. Raises UsageError where there is none, or several."""
    if not ids:
        raise _in_no_batch(name)
    if len(ids) > 1:
        message = f"{len(ids):,} orders are called {name!r}: name one by its id, e.g. {', '.join(ids[:5])}"
        raise UsageError(message)
    return ids[0]


def _in_no_batch(name: str) -> UsageError:
    return UsageError(
        f"order {name!r} is in no batch and not in the ledger; results.csv lists each batch's orders"
    )


def _is_text(name: str) -> bool:
    """Whether a word of the command line can stand in a table: a terminal of another encoding gives bytes that are no letters."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _next_steps(story: Story, config: Path) -> Iterator[str]:
    """Yield what the order's state asks for, its last batch's first."""
    batch = story.places[-1]["batch"] if story.places else None
    of_batch = () if batch is None else ("--batch", batch)
    states = {str(entry["state"]) for entry in story.entries}
    if any(place["state"] == "quarantined" and place["batch"] == batch for place in story.places):
        yield "mend its rows: a fallback (docs/fallbacks.md) or a corrected copy of quarantine.csv (docs/corrections.md)"
    if states & {"unknown", "sending", "rejected"}:
        yield f"{command_line('retry', config, *of_batch)}   (looks up what is unknown, sends again what was rejected)"
    elif "planned" in states or not states:
        yield f"{command_line('run', config, *of_batch)}   (sends what is accepted)"
    elif batch not in story.compared:
        yield f"{command_line('reconcile', config, *of_batch)}   (reads Corso back and compares)"


def _told(story: Story) -> list[str]:
    lines = [f"Order {story.source_order_id}"]
    for place in story.places:
        lines.append(
            f"  batch {place['batch']}: {place['table']} at {place['file']}:{place['line']}, {place['state']}"
        )
        lines += [f"    {reason}" for reason in place["reasons"]]
    for entry in story.entries:
        subject = (
            f"fulfillment {entry['source_fulfillment_id']}" if entry["source_fulfillment_id"] else "order"
        )
        lines.append(
            f"  {subject}: {entry['state']} ({entry['kind']}), Corso id {entry['corso_id'] or 'none'}"
        )
        if entry["reason"]:
            lines.append(f"    {entry['reason']}")
    for attempt in story.attempts:
        ended = f"{attempt['ended_as']} at {attempt['ended_at']}" if attempt["ended_at"] else "not ended"
        answer = f", HTTP {attempt['status']}" if attempt["status"] else ""
        lines.append(
            f"  {attempt['started_at']} {attempt['kind']} in batch {attempt['batch']}: {ended}{answer}"
        )
        if attempt["reason"]:
            lines.append(f"    {attempt['reason']}")
    for finding in story.findings:
        where = f" in {finding['field']}" if finding["field"] else ""
        lines.append(f"  batch {finding['batch']}: {finding['kind']}{where}, cause: {finding['cause']}")
    found = {finding["batch"] for finding in story.findings}
    lines += [
        f"  batch {batch}: compared with Corso, nothing differs"
        for batch in story.compared
        if batch not in found
    ]
    return lines
