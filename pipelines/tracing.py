"""trace: one order's story, told in lines or as JSON."""

from pathlib import Path

from corso.errors import UsageError
from corso.settings import read_settings
from corso.stages.tracing import Story, trace_order
from pipelines.output import say, say_json


def trace(config: Path, source_order_id: str, *, as_json: bool) -> int:
    """Tell one order's story; exit code 2 where nothing is known of it."""
    story = trace_order(read_settings(config), source_order_id)
    if not story.is_known:
        message = f"order {source_order_id!r} is in no batch and not in the ledger"
        raise UsageError(message)
    if as_json:
        say_json(story.as_dict())
    else:
        for line in _told(story):
            say(line)
    return 0


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
    return lines
