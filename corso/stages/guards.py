"""What has to hold before anything is sent, whoever asks for it: the command, a sensor, or a person who picks one asset in the UI.

The job's checks block by the same facts, earlier and in Dagster's history; a run of a few picked assets has no checks.
"""

from corso.errors import Stopped
from corso.stages.batch import Batch
from corso.stages.counting import broken_contracts, quarantined_share, unaccounted_rows
from corso.stages.purging import check_not_purged


def check_may_be_sent(batch: Batch) -> None:
    """Raise what keeps a batch from being sent: SettingsError, UsageError where it was purged, Stopped."""
    batch.settings.check_store_is_named()
    check_not_purged(batch)
    # pandera's own validation takes long, and what it looks for was sorted out by the compiled rules.
    if said := _unaccounted(batch) or _too_many_quarantined(batch):
        raise Stopped(said)


def is_over_its_quarantine_limit(batch: Batch) -> bool:
    """Say whether more of the batch is quarantined than validation.max_quarantined allows."""
    return quarantined_share(batch) > batch.settings.loader.validation.max_quarantined


def guard_that_stopped(batch: Batch) -> str:
    """Say which blocking check failed, from the facts that it judged by."""
    if said := _unaccounted(batch):
        return said
    if any(broken_contracts(batch).values()):
        return f"accepted tables break the contract: {broken_contracts(batch)}; nothing was sent"
    return _said_of_quarantine(batch)


def _unaccounted(batch: Batch) -> str:
    rows = unaccounted_rows(batch)
    return f"rows of the exports are unaccounted for: {rows}; nothing was sent" if any(rows.values()) else ""


def _too_many_quarantined(batch: Batch) -> str:
    return _said_of_quarantine(batch) if is_over_its_quarantine_limit(batch) else ""


def _said_of_quarantine(batch: Batch) -> str:
    share, limit = quarantined_share(batch), batch.settings.loader.validation.max_quarantined
    return (
        f"{share:.1%} of the source orders are quarantined, validation.max_quarantined allows {limit:.1%}; nothing was "
        "sent. quarantine.csv says why"
    )
