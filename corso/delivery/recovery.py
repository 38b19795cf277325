"""Recovery: what became of operations in doubt is looked up, never assumed and never tried out by sending.

Found and equal: accepted. Found and different: accepted with its content not verified, so that an update is
planned. Refused at its only attempt and absent: rejected. Absent twice, the second time when nothing sent can still be
out of sight: rejected where the API had said no, else planned again. Where the API offers no way to look, or look-ups prove nothing: it stays unknown and is
reported, unless upload.when_unverifiable says otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from corso.clock import Clock
from corso.delivery.journal import Journal
from corso.delivery.ledger import FOUND_UNFINISHED, Change, Entry, Key
from corso.delivery.look_ups import LookUps, Operations, Payloads
from corso.delivery.sameness import holds
from corso.delivery.states import State
from schemas.wire import JsonObject, Operation, id_text

NO_WAY = "the API offers no way to look it up (upload.when_unverifiable says what then)"
ORDER_IN_DOUBT = "it cannot be looked up while its order is in doubt itself"
NOT_THERE = "looked up twice: not there"
STILL_AS_BEFORE = "looked up twice: Corso still has the former state"
NO_ID = "it is there, and the API does not say under which id"
NO_PROOF = "look-ups prove nothing: orders that were accepted lately do not show either"
_CONTENT_NOT_VERIFIED = ""
_REQUEST_TIMEOUT, _GATEWAY_TIMEOUT = 408, 504


@dataclass
class Recovered:
    """What the look-ups found."""

    accepted: int = 0
    planned_again: int = 0
    rejected: set[Key] = field(default_factory=set)
    still_unknown: int = 0
    differing: list[Key] = field(default_factory=list)
    """Those that are there with another content than is planned."""
    absent: list[Key] = field(default_factory=list)
    """Those that are planned again."""
    mended: list[Key] = field(default_factory=list)
    """Those that were refused with another content than is planned now."""

    @property
    def to_send(self) -> list[Key]:
        """What has to be sent now, where it belongs to the plan at hand."""
        return [*self.differing, *self.absent, *self.mended]


class Recovery:
    """Finds out about what is in doubt, and writes it down."""

    def __init__(
        self,
        look_ups: LookUps,
        journal: Journal,
        clock: Clock,
        *,
        listing_delay_s: float,
        timeout_s: float,
        when_unverifiable: Literal["keep", "resend"],
    ) -> None:
        self._look_ups = look_ups
        self._journal = journal
        self._clock = clock
        self._listing_delay_s = listing_delay_s
        self._timeout_s = timeout_s
        self._when_unverifiable = when_unverifiable

    async def resolve(self, entries: Sequence[Entry], payloads: Payloads, *, wait: bool = True) -> Recovered:
        """Find out about each of these entries, which are unknown, and write it down.

        Without `wait` they are looked for once, and what is not there stays unknown: for whoever has other things to
        do, and comes back. Raises what the API raises and what has stopped the run; what is not settled by then stays
        unknown.
        """
        recovered = Recovered()
        operations = payloads([entry.key for entry in entries])
        undone: list[Entry] = []

        async def found(entry: Entry, records: Sequence[JsonObject]) -> None:
            named = [record for record in records if _corso_id(entry, record)]
            if not named:
                await self._cannot_tell([entry], NO_ID, recovered)
                return
            record = _oldest(named)
            if _was_done(entry, record, _wanted_by(entry, operations.get(entry.key))):
                await self._settle_found(entry, record, operations.get(entry.key), recovered)
            else:
                undone.append(entry)

        first = await self._look_ups.look(entries, operations, found)
        await self._cannot_ask(first.unanswered, operations, recovered)
        # An update that is not done yet may still be: over a newer one, were that sent now.
        missing = await self._reject_clear_ones([*first.absent, *undone], operations, recovered)
        if not missing or not wait:
            return recovered
        holds_after_s = await self._wait_until_absence_counts(missing, payloads)
        undone.clear()
        second = await self._look_ups.look(missing, operations, found)
        await self._cannot_ask(second.unanswered, operations, recovered)
        for entry in undone:
            await self._settle_absent(entry, operations.get(entry.key), recovered, STILL_AS_BEFORE)
        if holds_after_s is None:
            await self._cannot_tell(second.absent, NO_PROOF, recovered)
        else:
            for entry in second.absent:
                await self._settle_absent(entry, operations.get(entry.key), recovered, NOT_THERE)
        return recovered

    async def _reject_clear_ones(
        self, missing: Sequence[Entry], operations: Operations, recovered: Recovered
    ) -> list[Entry]:
        """Settle what was refused at its first attempt: nothing of it had left before; return the others."""
        clear = [entry for entry in missing if _was_refused_at_once(entry)]
        for entry in clear:
            await self._reject(entry, operations.get(entry.key), recovered)
        return [entry for entry in missing if not _was_refused_at_once(entry)]

    async def _wait_until_absence_counts(self, absent: Sequence[Entry], payloads: Payloads) -> float | None:
        """Wait until whatever was sent has been carried out and shows, or never will; None where nobody can say."""
        looked_at = self._clock.utc()
        lag_s = await self._look_ups.absence_holds_after(absent, payloads)
        lag = timedelta(seconds=max(lag_s or 0.0, self._listing_delay_s))
        until = max(
            looked_at + timedelta(seconds=self._listing_delay_s),
            *(self._surely_over(entry) + lag for entry in absent),
        )
        await self._look_ups.pause((until - self._clock.utc()).total_seconds())
        return lag_s

    def _surely_over(self, entry: Entry) -> datetime:
        """Return when the server had done with an attempt; one that timed out may be as long under way again."""
        patience = timedelta(seconds=self._timeout_s)
        began = entry.last_started_at or entry.updated_at
        if entry.status in {_REQUEST_TIMEOUT, _GATEWAY_TIMEOUT} or (
            entry.status is None and entry.updated_at - began >= 0.9 * patience
        ):
            over = began + 2 * patience
        elif entry.reason == FOUND_UNFINISHED:
            # When its process went nobody wrote down. The server may take as long as one would have waited for it.
            over = began + patience
        else:
            over = entry.updated_at
        # A clock that was set back must not make a run wait for hours.
        return min(over, self._clock.utc() + patience)

    async def _settle_found(
        self, entry: Entry, record: JsonObject, operation: Operation | None, recovered: Recovered
    ) -> None:
        wanted = _wanted_by(entry, operation)
        verified = wanted is not None and (wanted.kind == "cancel_order" or holds(record, wanted.payload))
        if operation is not None and (not verified or wanted is not operation):
            recovered.differing.append(entry.key)
        recovered.accepted += 1
        await self._journal.settle(
            Change(
                entry.key,
                State.ACCEPTED,
                ended_as="found",
                corso_id=_corso_id(entry, record),
                held_hash=wanted.payload_hash if wanted and verified else _unverified(entry, operation),
                is_uncancelled=not record.get("sourceCanceledOn"),
            )
        )

    async def _settle_absent(
        self,
        entry: Entry,
        operation: Operation | None,
        recovered: Recovered,
        reason: str,
    ) -> None:
        if _was_refused(entry):
            await self._reject(entry, operation, recovered)
        else:
            # What the API said stays: where it fails each time, that is what a person has to know.
            said = f"{entry.reason}; {reason}" if entry.reason else reason
            await self._plan_again(entry, recovered, said)

    async def _reject(self, entry: Entry, operation: Operation | None, recovered: Recovered) -> None:
        recovered.rejected.add(entry.key)
        wanted = _wanted_by(entry, operation)
        if wanted and wanted.payload_hash != entry.payload_hash:
            recovered.mended.append(entry.key)
        await self._journal.settle(
            Change(entry.key, State.REJECTED, status=entry.status, reason=entry.reason)
        )

    async def _plan_again(self, entry: Entry, recovered: Recovered, reason: str) -> None:
        recovered.planned_again += 1
        recovered.absent.append(entry.key)
        await self._journal.settle(Change(entry.key, State.PLANNED, ended_as="absent", reason=reason))

    async def _cannot_ask(
        self, entries: Sequence[Entry], operations: Operations, recovered: Recovered
    ) -> None:
        for entry in entries:
            if entry.key.source_fulfillment_id:
                await self._cannot_tell([entry], ORDER_IN_DOUBT, recovered)
            elif _was_refused_at_once(entry):
                await self._reject(entry, operations.get(entry.key), recovered)
            elif self._when_unverifiable == "resend":
                await self._plan_again(entry, recovered, "upload.when_unverifiable: resend")
            else:
                await self._cannot_tell([entry], NO_WAY, recovered)

    async def _cannot_tell(self, entries: Sequence[Entry], why: str, recovered: Recovered) -> None:
        for entry in entries:
            recovered.still_unknown += 1
            so_far = (entry.reason or "").partition("; " + why)[0]
            await self._journal.settle(
                Change(
                    entry.key,
                    State.UNKNOWN,
                    ended_as="unknown",
                    status=entry.status,
                    reason=f"{so_far}; {why}",
                )
            )


def _was_refused(entry: Entry) -> bool:
    return entry.status is not None and 400 <= entry.status < 500 and entry.status != _REQUEST_TIMEOUT


def _was_refused_at_once(entry: Entry) -> bool:
    """Say whether its only attempt was refused, so that nothing of ours can be there."""
    return _was_refused(entry) and entry.attempts == 1


def _wanted_by(entry: Entry, operation: Operation | None) -> Operation | None:
    """Return what the plan at hand wants of the step that is in doubt: a cancellation has an update before it."""
    if operation is None or entry.kind == "cancel_order":
        return operation
    is_update = entry.kind == "update_order" and entry.payload_hash != operation.payload_hash
    if operation.kind == "cancel_order" or (operation.cancellation and is_update):
        return operation.before_cancelling
    return operation


def _was_done(entry: Entry, record: JsonObject, wanted: Operation | None) -> bool:
    """Say whether what was sent was done; of a create it is enough that the record is there."""
    match entry.kind:
        case "cancel_order":
            return bool(record.get("sourceCanceledOn"))
        case "update_order":
            return wanted is not None and holds(record, wanted.payload)
        case _:
            return True


def _corso_id(entry: Entry, record: JsonObject) -> str | None:
    """Return under which id Corso has a record; of one that was asked for by its id, that one."""
    name = "fulfillmentId" if entry.key.source_fulfillment_id else "orderId"
    return id_text(record.get(name)) or entry.corso_id


def _oldest(records: Sequence[JsonObject]) -> JsonObject:
    return min(records, key=lambda each: str(each.get("createdOn")))


def _unverified(entry: Entry, operation: Operation | None) -> str:
    """Return the hash to keep where the content could not be verified, or differs.

    Nobody can change a fulfillment: one of another batch, whose payload is not at hand, is what was sent.
    """
    is_fulfillment_of_another_batch = bool(entry.key.source_fulfillment_id) and operation is None
    return entry.payload_hash if is_fulfillment_of_another_batch else _CONTENT_NOT_VERIFIED
