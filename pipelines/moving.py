"""ledger move: from the file in the workdir to the server that the settings name."""

from dataclasses import asdict
from pathlib import Path

from corso.clock import SystemClock
from corso.database import SharedLedger
from corso.errors import SettingsError
from corso.settings import read_settings
from pipelines.output import command_line, say, say_json, say_next


def move_ledger(config: Path, source: Path | None, *, as_json: bool) -> int:
    """Move all stores of a ledger in a file to the server of CORSO_LEDGER_URL or `ledger.url`."""
    settings = read_settings(config)
    target = settings.ledger
    if not isinstance(target, SharedLedger):
        message = (
            f"where to? Set CORSO_LEDGER_URL, or ledger.url in {settings.path.name}, to a PostgreSQL database"
        )
        raise SettingsError(message)
    # Only now: it speaks to a server.
    from corso.delivery.moving import move  # noqa: PLC0415

    path = source or settings.workdir / "ledger.sqlite"
    moved = move(path, target, SystemClock())
    if as_json:
        say_json({"from": str(path), "to": str(target), "stores": [asdict(each) for each in moved]})
        return 0
    for each in moved:
        state = "was there already" if each.was_there else "moved"
        trust = "" if each.is_trusted else "; Corso will be looked through before anything is sent"
        say(f"Store {each.store_id}: {each.entries:,} entries, {each.attempts:,} attempts {state}{trust}")
    say(f"The ledger is at {target} now; the file is called {path.stem}.moved{path.suffix}")
    say_next(f"{command_line('status', config)}   (the same counts, from the server)")
    return 0
