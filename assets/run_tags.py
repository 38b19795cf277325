"""What a run says of itself, as tags: whose batch it loads, what lay there, how it ended other than well.

Dagster's history is the memory of the sensor that starts batches (`pipelines.sensors`), and tags are what it can be asked
by. A tag never holds a secret or personal data. Those that only the loader reads begin as Dagster's own hidden ones do: the web
UI shows them nowhere.
"""

import os
import socket
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256

import dagster as dg

from corso.delivery.process import this_process_tells
from corso.errors import (
    CorsoError,
    Interrupted,
    LeaseLost,
    LedgerInUse,
    NotSent,
    Outage,
    OutcomeUnknown,
    Parked,
)
from corso.extract.drops import look_at
from corso.machine_errors import is_the_machines, sentence_of
from corso.scrubbing import scrubbed
from corso.stages.ending import facts_written_at
from corso.stages.landing import Landing
from corso.stages.nightly import AFTER_AN_OUTAGE, TRY_AGAIN

_HIDDEN = ".dagster/corso-loader-"
STORE_TAG = "corso-loader/store"
"""Whose batch it is. dagster.yaml lets one run of a store go at a time."""
CREDENTIALS_TAG = "corso-loader/credentials"
"""Tells credentials from others without naming them. dagster.yaml lets one run of each go at a time."""
DROP_TAG = f"{_HIDDEN}drop"
"""The signature of the drop as it was when the run began (`corso.extract.drops.Drop`)."""
ENDED_TAG = "corso-loader/ended"
"""The class of the error that ended it; none where it went well, or was killed."""
SAID_TAG = "corso-loader/said"
"""Its sentence, without secrets and personal data."""
RESUME_TAG = "corso-loader/resume-at"
"""When to try again (ISO 8601, UTC), where that is all it takes."""
FACTS_TAG = f"{_HIDDEN}facts"
"""When the batch's facts had been written as the run began: tells whether it left any."""
COMMAND_TAG = "corso-loader/command"
"""Of runs of the command, whose user sees how they end."""
EXECUTOR_TAG = f"{_HIDDEN}executor"
"""Of runs whose steps are processes of their own: by which executor."""
HOST_TAG, PROCESS_TAG = "corso-loader/host", f"{_HIDDEN}process"
"""Where it runs: the machine's name, and what tells the process from all others of it (`corso.delivery.process`)."""
LONGEST_SAID = 1_000
_CANCELLED = {dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED}
PARTITION_TAG = "dagster/partition"


def tags_of_batch(landing: Landing, key: str) -> dict[str, str]:
    """Return the tags of a batch's runs by which Dagster lets them wait for each other.

    Where loader.yaml cannot be read, the run says so itself.
    """
    try:
        store, _ = landing.split(key)
        settings = landing.settings(store)
        tags = {STORE_TAG: landing.shown(store)}
        if settings.has_credentials:
            used = f"{settings.loader.corso.token_url} {settings.credentials().client_id}"
            tags[CREDENTIALS_TAG] = sha256(used.encode()).hexdigest()[:12]
    except CorsoError:
        return {}
    return tags


def note_start(
    instance: dg.DagsterInstance, run: dg.DagsterRun, landing: Landing, executor: str | None = None
) -> None:
    """Write down where and how a run runs, and what lay in its batch's folder as it began."""
    batch = landing.batch(run.tags[PARTITION_TAG])
    tags = {
        HOST_TAG: socket.gethostname(),
        PROCESS_TAG: this_process_tells() or str(os.getpid()),
        FACTS_TAG: str(facts_written_at(batch)),
    }
    if executor is not None:
        tags[EXECUTOR_TAG] = executor
    try:
        tags[DROP_TAG] = look_at(batch.settings, batch.name).signature
    except OSError:
        # A file went while it was looked at; the run will say what is missing.
        tags[DROP_TAG] = ""
    instance.add_run_tags(run.run_id, tags)


def note_end(
    instance: dg.DagsterInstance, run_id: str, error: BaseException, *, at_a_terminal: bool = False
) -> None:
    """Write down what ended a run, and when to try again where time alone heals it.

    `at_a_terminal`: it is the command's, and who interrupts that wants it to end.
    """
    match error:
        case Interrupted() if not at_a_terminal:
            run = instance.get_run_by_id(run_id)
            if run is None or run.status not in _CANCELLED:
                # By the machine: it is as good as killed, and another run goes on with it.
                return
            # Where a person forced it, the run ends as failed, though it was marked as cancelled.
            tags = {ENDED_TAG: type(error).__name__}
        case LeaseLost():
            # Another run has the batch, or a step came after its run was over: what that one ends as counts. As good as killed.
            return
        case SystemExit():
            # The process was told to end, and by whomever: as good as killed, too.
            return
        case Parked():
            tags = {ENDED_TAG: "Parked", RESUME_TAG: _text_of(error.resume_at)}
        case LedgerInUse():
            tags = {ENDED_TAG: "LedgerInUse", RESUME_TAG: _text_of(datetime.now(UTC) + TRY_AGAIN)}
        case Outage() | NotSent() | OutcomeUnknown():
            tags = {ENDED_TAG: Outage.__name__, RESUME_TAG: _text_of(datetime.now(UTC) + AFTER_AN_OUTAGE)}
        case OSError():
            tags = {ENDED_TAG: "OSError"}
        case _:
            tags = {ENDED_TAG: type(error).__name__}
    if isinstance(error, CorsoError) or is_the_machines(error):
        said = sentence_of(error) if is_the_machines(error) else str(error)
        tags[SAID_TAG] = scrubbed(said)[:LONGEST_SAID]
    # On a full disk there may be no run to write it to: what ended it has to be told all the same.
    with suppress(OSError, dg.DagsterError):
        instance.add_run_tags(run_id, tags)


def _text_of(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
