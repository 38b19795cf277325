"""status, ui: looking at what is there, changing nothing.

Neither frames nor Dagster are imported here: counting the ledger's rows needs neither, and the UI is a process of its own.
"""

import json
import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from corso.delivery.ledger import Ledger
from corso.delivery.states import State
from corso.errors import SettingsError, UsageError
from corso.settings import Settings, read_settings
from pipelines.home import prepare_home
from pipelines.output import command_line, say, say_json, say_next
from pipelines.serving import serve

_DEMO = Path("data/demo/loader.yaml")


def status(config: Path, *, as_json: bool) -> int:
    """Count the entries of the store's ledger by state."""
    settings = read_settings(config)
    store_id = settings.loader.store.id
    with Ledger.read(settings.ledger, store_id) as ledger:
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
    say_next(*_next_steps(settings, counts, config))
    return 0


def _next_steps(settings: Settings, counts: dict[str, dict[str, int]], config: Path) -> Iterator[str]:
    """Yield what the states ask for, and where all is well the newest batch, if it was not compared yet."""
    states = {state for of_subject in counts.values() for state, count in of_subject.items() if count}
    if {State.UNKNOWN.value, State.SENDING.value, State.REJECTED.value} & states:
        yield f"{command_line('retry', config)}   (looks up what is unknown, sends again what was rejected)"
    if State.PLANNED.value in states:
        yield f"{command_line('run', config)}   (sends what is planned)"
    if not states:
        yield f"{command_line('plan', config)}   (everything but sending)"
    elif states == {State.ACCEPTED.value}:
        # The books tell it; a batch's own module would bring the frames along.
        newest = max(settings.store_dir.glob("*/summary.json"), default=None)
        if newest is not None and not any(json.loads(newest.read_bytes())["reconciliation"].values()):
            batch = ("--batch", newest.parent.name)
            yield f"{command_line('reconcile', config, *batch)}   (reads Corso back and compares)"


def ui(config: Path | None, port: int) -> int:
    """Serve Dagster's web UI until it is interrupted."""
    path = config or next((path for path in (Path("loader.yaml"), _DEMO) if path.exists()), None)
    if path is None:
        message = "no loader.yaml here and no demo: name one with -c, or run `corso-loader demo` first"
        raise UsageError(message)
    if find_spec("dagster_webserver") is None:
        message = "what shows Dagster's UI is missing: pip install 'corso-loader[ui]'"
        raise SettingsError(message)
    settings = read_settings(path)
    home = prepare_home(settings)
    # Also makes Dagster's databases, before web server and daemon do so at the same moment.
    from pipelines.running import offer_batches  # noqa: PLC0415

    offer_batches(settings)
    environment = {
        **os.environ,
        "CORSO_LOADER_CONFIG": str(settings.source),
        "DAGSTER_HOME": str(home),
        # Dagster announces its next command-line tool at every start.
        "PYTHONWARNINGS": "ignore",
    }
    say(f"Dagster on http://127.0.0.1:{port} with {settings.source}; stop it with Ctrl-C")
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
    return serve(command, environment)
