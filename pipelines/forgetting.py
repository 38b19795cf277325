"""purge and erase: personal data taken out of what the loader keeps."""

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from corso.errors import SettingsError, UsageError
from corso.settings import read_settings
from corso.stages.erasing import Erased, erase, read_customers
from corso.stages.purging import parse_age, purge
from pipelines.home import dagster_home
from pipelines.output import say, say_json

_STANDARD_INPUT = Path("-")
_SHOWN = 12
"""Files of a batch that are named; all of them with --json."""


def purge_batches(config: Path, older_than: str, *, dry_run: bool, as_json: bool) -> int:
    """Take personal data out of the batches that no run has touched for so long."""
    settings = read_settings(config)
    purged = purge(settings, parse_age(older_than), datetime.now(UTC), dry_run=dry_run)
    if as_json:
        say_json({"dry_run": dry_run, "batches": [asdict(each) for each in purged]})
        return 0
    for each in purged:
        say(f"Batch {each.batch}, last used {each.last_used:%Y-%m-%d}: {_listed(each.files)}")
    done = "would be purged" if dry_run else "purged"
    say(f"{len(purged)} batches {done}. Totals, certificates and the ledger stay.")
    return 0


def erase_customers(
    config: Path, customer: str | None, file: Path | None, *, dry_run: bool, yes: bool, as_json: bool
) -> int:
    """Take the data of customers out of all batches of the store."""
    settings = read_settings(config)
    customers = _customers(customer, file)
    history = dagster_home(settings)
    if not dry_run and not yes:
        planned = erase(settings, customers, datetime.now(UTC), history=history, dry_run=True)
        if planned.batches:
            _say_erased(planned, dry_run=True)
            _confirm(file)
    done = erase(settings, customers, datetime.now(UTC), history=history, dry_run=dry_run)
    if as_json:
        say_json({"dry_run": dry_run, **asdict(done)})
        return 0
    _say_erased(done, dry_run=dry_run)
    return 0


def _customers(customer: str | None, file: Path | None) -> list[str]:
    if (customer is None) == (file is None):
        message = "name the customer, or --file with one a line (`--file -` reads them from standard input)"
        raise UsageError(message)
    if customer is not None:
        return read_customers([customer])
    try:
        lines = sys.stdin if file == _STANDARD_INPUT else (file or Path()).read_text("utf-8").splitlines()
        found = read_customers(lines)
    except (OSError, UnicodeDecodeError) as error:
        message = f"{file} cannot be read ({getattr(error, 'strerror', None) or 'no UTF-8 text'})"
        raise UsageError(message) from None
    if not found:
        message = (
            "no customer is named: one a line, by e-mail address or by the source platform's customer id"
        )
        raise UsageError(message)
    return found


def _confirm(file: Path | None) -> None:
    """Have somebody's word: nothing brings the data back."""
    if file == _STANDARD_INPUT or not sys.stdin.isatty():
        message = "nothing was erased: say --yes, since there is no terminal to ask on"
        raise SettingsError(message)
    if input("Erase all of it for good? Type yes: ").strip().lower() != "yes":
        message = "nothing was erased"
        raise SettingsError(message)


def _say_erased(done: Erased, *, dry_run: bool) -> None:
    if not done.batches:
        nothing = "Nothing was found of these customers in what the loader keeps."
        say(nothing if not done.orders else "Nothing was left to do.")
    for batch, files in done.batches.items():
        say(f"Batch {batch}: {_listed(files)}")
    if done.batches:
        erased = "would be erased" if dry_run else f"erased (erasure {done.id})" if done.id else "erased"
        say(
            f"Data in {done.orders:,} order{'' if done.orders == 1 else 's'} {erased}; ids, amounts, states and hashes stay."
        )
    say("Not touched, look there yourself:")
    for left in done.left:
        say(f"  - {left}")


def _listed(files: list[str] | tuple[str, ...]) -> str:
    more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
    return ", ".join(files[:_SHOWN]) + more
