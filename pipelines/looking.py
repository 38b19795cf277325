"""status, trace, ui: looking at what is there, changing nothing."""

import os
import subprocess
import sys
from pathlib import Path

from corso.delivery.ledger import Ledger
from corso.errors import UsageError
from corso.settings import read_settings
from corso.stages.tracing import Story, trace_order
from pipelines.running import prepare_home
from pipelines.screen import say, say_json

_DEMO = Path("data/demo/loader.yaml")


def status(config: Path, *, as_json: bool) -> int:
    """Count the entries of the store's ledger by state."""
    settings = read_settings(config)
    store_id = settings.loader.store.id
    with Ledger.read(settings.ledger_path, store_id) as ledger:
        counts: dict[str, dict[str, int]] = {"order": {}, "fulfillment": {}}
        for (subject, state), count in sorted(ledger.counts().items()):
            counts[subject][state.value] = count
    if as_json:
        say_json({"store_id": store_id, "orders": counts["order"], "fulfillments": counts["fulfillment"]})
        return 0
    say(f"Ledger of store {store_id}")
    for subject, states in counts.items():
        listed = ", ".join(f"{count:,} {state}" for state, count in states.items())
        say(f"  {subject + 's':15} {listed or 'none'}")
    return 0


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


def ui(config: Path | None, port: int) -> int:
    """Serve Dagster's web UI until it is interrupted."""
    path = config or next((path for path in (Path("loader.yaml"), _DEMO) if path.exists()), None)
    if path is None:
        message = "no loader.yaml here and no demo: name one with -c, or run `corso-loader demo` first"
        raise UsageError(message)
    settings = read_settings(path)
    home = prepare_home(settings)
    environment = {
        **os.environ,
        "CORSO_LOADER_CONFIG": str(settings.path),
        "DAGSTER_HOME": str(home),
        # Dagster announces its next command-line tool at every start.
        "PYTHONWARNINGS": "ignore",
    }
    say(f"Dagster on http://127.0.0.1:{port} with {settings.path}; stop it with Ctrl-C")
    command = [
        sys.executable,
        "-m",
        "dagster",
        "dev",
        "-m",
        "pipelines.definitions",
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
    ]
    try:
        return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603  (our own command)
    except KeyboardInterrupt:
        return 0
