"""Admission: what is sent now, by what the ledger knows at this moment."""

from dataclasses import replace
from pathlib import Path

import pytest

from corso.delivery.admission import admit
from corso.delivery.ledger import Change, Key, Ledger
from corso.delivery.states import State
from schemas.wire import Operation, OperationKind
from tests.fake_corso import entry_of, opened, operation

pytestmark = pytest.mark.usefixtures("each_database")

SAME, OTHER = operation(1), operation(1, totalMoney=99)
UPDATE = replace(OTHER, kind="update_order", corso_order_id="7")


def ended(ledger: Ledger, sent: Operation, state: State | None, held: str | None = "its own") -> None:
    """Bring an operation to a state; None: the ledger never heard of it."""
    if state is None:
        return
    ledger.plan([sent], "before")
    if state is State.PLANNED:
        return
    ledger.start([sent])
    if state is not State.SENDING:
        held_hash = sent.payload_hash if held == "its own" else held
        key = Key(sent.source_order_id, sent.source_fulfillment_id)
        ledger.settle([Change(key, state, corso_id="7", held_hash=held_hash)])


@pytest.mark.parametrize(
    ("earlier", "state", "now", "sent_as"),
    [
        (SAME, None, SAME, "create_order"),
        (SAME, State.PLANNED, SAME, "create_order"),
        (SAME, State.PLANNED, OTHER, "create_order"),
        (SAME, State.SENDING, SAME, None),
        (SAME, State.SENDING, OTHER, None),
        (SAME, State.UNKNOWN, SAME, None),
        (SAME, State.UNKNOWN, OTHER, None),
        (SAME, State.REJECTED, SAME, None),
        (SAME, State.REJECTED, OTHER, "create_order"),
        (SAME, State.ACCEPTED, SAME, None),
        # The plan is older than what is known now: the order is in Corso.
        (SAME, State.ACCEPTED, OTHER, "update_order"),
        (SAME, State.ACCEPTED, UPDATE, "update_order"),
    ],
)  # fmt: skip
def test_orders(
    tmp_path: Path, earlier: Operation, state: State | None, now: Operation, sent_as: OperationKind | None
) -> None:
    """Sent is what Corso does not hold, did not refuse and may not hold; under Corso's id where there is one."""
    with opened(tmp_path) as ledger:
        ended(ledger, earlier, state)
        admitted = admit(ledger, [now], "now")
        assert [each.kind for each in admitted] == ([sent_as] if sent_as else [])
        if sent_as:
            assert admitted[0].corso_order_id == ("7" if sent_as == "update_order" else None)
            entry = entry_of(ledger)
            assert (entry.state, entry.kind, entry.payload_hash) == (State.PLANNED, sent_as, now.payload_hash)
            # Also of what an earlier batch planned alike: the one that sends it is named.
            assert entry.batch == "now"
        elif state:
            assert entry_of(ledger).state is state


def test_what_the_batch_planned_already_keeps_its_history(tmp_path: Path) -> None:
    """A killed run begun anew: since when it is being sent is how far back a look-up has to go."""
    with opened(tmp_path) as ledger:
        admit(ledger, [SAME], "now")
        ledger.start([SAME])
        for state in (State.UNKNOWN, State.PLANNED):
            ledger.settle([Change(Key("o-1"), state)])
        before = entry_of(ledger)
        admit(ledger, [SAME], "now")
        assert entry_of(ledger) == before
        assert before.attempts == 1


def test_an_order_that_is_there_unverified_is_updated(tmp_path: Path) -> None:
    """Found by the recovery with other content than was sent: its held hash is empty."""
    with opened(tmp_path) as ledger:
        ended(ledger, SAME, State.ACCEPTED, held="")
        (admitted,) = admit(ledger, [SAME], "now")
    assert (admitted.kind, admitted.corso_order_id) == ("update_order", "7")


@pytest.mark.parametrize("kind", ["update_order", "cancel_order"])
def test_an_order_that_was_cancelled_by_delete_is_left_alone(tmp_path: Path, kind: OperationKind) -> None:
    """Corso changes it no more."""
    with opened(tmp_path) as ledger:
        ended(ledger, SAME, State.ACCEPTED)
        ended(ledger, operation(1, "cancel_order", corso_order_id="7"), State.ACCEPTED)
        assert (
            admit(ledger, [replace(operation(1, kind, canceledReason="other"), corso_order_id="7")], "now")
            == []
        )


FULFILLMENT = operation(1, "create_fulfillment")
CHANGED = operation(1, "create_fulfillment", trackingInfoNumber="2")


@pytest.mark.parametrize("order", [None, State.PLANNED, State.REJECTED, State.UNKNOWN, State.SENDING])
def test_a_fulfillment_waits_for_its_order(tmp_path: Path, order: State | None) -> None:
    """It needs Corso's id of the order, and is not written down before that is known."""
    with opened(tmp_path) as ledger:
        if order is not None:
            ledger.plan([SAME], "before")
            if order is not State.PLANNED:
                ledger.start([SAME])
            if order in {State.REJECTED, State.UNKNOWN}:
                ledger.settle([Change(Key("o-1"), order)])
        assert admit(ledger, [FULFILLMENT], "now") == []
        assert ledger.entries_of([Key("o-1", "f-1")]) == {}


@pytest.mark.parametrize(
    ("state", "now", "is_sent"),
    [
        (None, FULFILLMENT, True),
        (State.PLANNED, FULFILLMENT, True),
        (State.PLANNED, CHANGED, True),
        (State.SENDING, FULFILLMENT, False),
        (State.UNKNOWN, FULFILLMENT, False),
        (State.UNKNOWN, CHANGED, False),
        (State.REJECTED, FULFILLMENT, False),
        (State.REJECTED, CHANGED, True),
        (State.ACCEPTED, FULFILLMENT, False),
        (State.ACCEPTED, CHANGED, False),
    ],
)
def test_fulfillments(tmp_path: Path, state: State | None, now: Operation, is_sent: bool) -> None:
    """One that Corso has cannot be changed, and is not sent twice."""
    with opened(tmp_path) as ledger:
        ended(ledger, SAME, State.ACCEPTED)
        ledger_entry = replace(FULFILLMENT, corso_order_id="7")
        if state in {State.UNKNOWN, State.REJECTED}:
            ledger.plan([ledger_entry], "before")
            ledger.start([ledger_entry])
            ledger.settle([Change(Key("o-1", "f-1"), state)])
        else:
            ended(ledger, ledger_entry, state)
        admitted = admit(ledger, [now], "now")
    assert [each.corso_order_id for each in admitted] == (["7"] if is_sent else [])


def test_a_slice_is_admitted_in_its_order(tmp_path: Path) -> None:
    """The files' order is the order of sending."""
    with opened(tmp_path) as ledger:
        ended(ledger, operation(3), State.ACCEPTED)
        admitted = admit(ledger, [operation(number) for number in (5, 3, 4, 1)], "now")
        assert admit(ledger, [], "now") == []
    assert [each.source_order_id for each in admitted] == ["o-5", "o-4", "o-1"]


CANCELLATION = replace(operation(1, "cancel_order"), content=OTHER.payload, content_hash=OTHER.payload_hash)


def test_an_order_is_brought_up_to_date_before_it_is_cancelled(tmp_path: Path) -> None:
    """Corso changes no cancelled order: first its last content, then the DELETE, then nothing any more."""
    with opened(tmp_path) as ledger:
        ended(ledger, SAME, State.ACCEPTED)
        (first,) = admit(ledger, [CANCELLATION], "now")
        assert (first.kind, first.payload, first.payload_hash) == (
            "update_order", OTHER.payload, OTHER.payload_hash,
        )  # fmt: skip
        assert (first.corso_order_id, first.cancelled) == ("7", False)
        ledger.start([first])
        ledger.settle([Change(Key("o-1"), State.ACCEPTED, corso_id="7", held_hash=first.payload_hash)])
        (second,) = admit(ledger, [CANCELLATION], "now")
        assert (second.kind, second.payload, second.corso_order_id) == (
            "cancel_order", CANCELLATION.payload, "7",
        )  # fmt: skip
        ledger.start([second])
        ledger.settle([Change(Key("o-1"), State.ACCEPTED, corso_id="7", held_hash=second.payload_hash)])
        assert admit(ledger, [CANCELLATION], "now") == []
        assert entry_of(ledger).held_cancelled == "deleted"


CREATE_CANCELLED = replace(
    CANCELLATION,
    kind="create_order",
    payload=SAME.payload,
    payload_hash=SAME.payload_hash,
    cancellation=CANCELLATION.payload,
)


@pytest.mark.parametrize(
    ("is_uncancelled", "kinds"), [(True, ["update_order", "cancel_order"]), (False, ["update_order"])]
)
def test_an_order_to_be_created_cancelled_that_is_there_uncancelled_is_cancelled(
    tmp_path: Path, is_uncancelled: bool, kinds: list[str]
) -> None:
    """By DELETE, as any order that was cancelled since it was loaded; one that is there cancelled is changed only."""
    sent = []
    with opened(tmp_path) as ledger:
        ledger.plan([CREATE_CANCELLED], "before")
        ledger.start([CREATE_CANCELLED])
        ledger.settle([Change(Key("o-1"), State.UNKNOWN)])
        found = Change(Key("o-1"), State.ACCEPTED, corso_id="7", held_hash="", is_uncancelled=is_uncancelled)
        ledger.settle([found])
        while admitted := admit(ledger, [CREATE_CANCELLED], "now"):
            sent += [(each.kind, each.payload) for each in admitted]
            ledger.start(admitted)
            accepted = Change(Key("o-1"), State.ACCEPTED, corso_id="7", held_hash=admitted[0].payload_hash)
            ledger.settle([accepted])
        assert entry_of(ledger).held_cancelled == ("deleted" if is_uncancelled else "sent")
    assert [kind for kind, _ in sent] == kinds
    assert sent[0][1] == (OTHER.payload if is_uncancelled else SAME.payload)
    assert sent[-1][1] == (CANCELLATION.payload if is_uncancelled else SAME.payload)


def test_an_order_that_is_up_to_date_is_cancelled_at_once(tmp_path: Path) -> None:
    """One request, not two."""
    with opened(tmp_path) as ledger:
        ended(ledger, OTHER, State.ACCEPTED)
        assert [each.kind for each in admit(ledger, [CANCELLATION], "now")] == ["cancel_order"]


def test_an_order_whose_last_content_is_refused_is_not_cancelled(tmp_path: Path) -> None:
    """It is rejected, with the API's words, until `retry`."""
    with opened(tmp_path) as ledger:
        ended(ledger, SAME, State.ACCEPTED)
        (first,) = admit(ledger, [CANCELLATION], "now")
        ledger.start([first])
        ledger.settle([Change(Key("o-1"), State.REJECTED, status=400, reason="no")])
        assert admit(ledger, [CANCELLATION], "now") == []
