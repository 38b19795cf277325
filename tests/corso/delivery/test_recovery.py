"""Recovery: what became of an operation in doubt is looked up, twice where it is not there, and never tried out."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest

from corso.delivery.journal import Journal
from corso.delivery.ledger import Change, Entry, Key, Ledger, key_of
from corso.delivery.look_ups import CLOCK_ALLOWANCE, LONGEST_LAG_GUESSED_S, LookUps
from corso.delivery.ports import unwatched
from corso.delivery.recovery import (
    NO_ID,
    NO_PROOF,
    NO_WAY,
    ORDER_IN_DOUBT,
    STILL_AS_BEFORE,
    Recovered,
    Recovery,
)
from corso.delivery.sender import interrupted
from corso.delivery.states import State
from corso.errors import Interrupted
from schemas.wire import Operation, OperationKind
from tests.clocks import JumpingClock
from tests.fake_corso import FakeCorso, entry_of, opened, operation, order_body

pytestmark = pytest.mark.usefixtures("each_database")

DELAY_S = 2.0
TIMEOUT_S = 30.0
CREATE = operation(1)


@contextmanager
def a_scene(folder: Path) -> Iterator[tuple[FakeCorso, Ledger]]:
    """Give an API and a ledger."""
    clock = JumpingClock()
    with opened(folder, clock) as ledger:
        yield FakeCorso(clock), ledger


def in_doubt(ledger: Ledger, *operations: Operation, **change: Any) -> None:
    """Bring operations into doubt: they were sent, and no answer was read (or a refusal of a create)."""
    ledger.plan(operations, "b1")
    ledger.start(operations)
    ledger.settle([Change(key_of(each), State.UNKNOWN, **change) for each in operations])


def resolve(
    api: FakeCorso,
    ledger: Ledger,
    *planned: Operation,
    when_unverifiable: Literal["keep", "resend"] = "keep",
    stop_check: Callable[[], None] = lambda: None,
    wait: bool = True,
) -> Recovered:
    """Look up all that is in doubt; `planned` are the operations of the plan at hand."""
    operations = {key_of(each): each for each in planned}

    def payloads(keys: Any) -> Mapping[Key, Operation]:
        return {key: operations[key] for key in keys if key in operations}

    async def scene() -> Recovered:
        look_ups = LookUps(api, ledger, api.clock, max_in_flight=4, watch=unwatched, stop_check=stop_check)
        recovery = Recovery(
            look_ups,
            Journal(ledger),
            api.clock,
            listing_delay_s=DELAY_S,
            timeout_s=TIMEOUT_S,
            when_unverifiable=when_unverifiable,
        )
        entries = list(ledger.entries(states=[State.UNKNOWN]))
        return await recovery.resolve(entries, payloads, wait=wait)

    return asyncio.run(scene())


def cannot_filter(api: FakeCorso) -> None:
    """Take the look-ups by filter away."""
    api.finds_by_source_id = api.finds_by_email = False


WAYS: dict[str, tuple[Callable[[FakeCorso], object], str]] = {
    "by its source id": (lambda api: None, "source id"),
    "by e-mail and name": (lambda api: setattr(api, "finds_by_source_id", False), "e-mail and name"),
    "in the listing": (cannot_filter, "page"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("content", ["equal", "different"])
def test_a_create_that_is_there_is_accepted(tmp_path: Path, way: str, content: str) -> None:
    """With equal content for good; with other content unverified, so that an update follows."""
    prepare, look = WAYS[way]
    with a_scene(tmp_path) as (api, ledger):
        prepare(api)
        in_doubt(ledger, CREATE)
        api.has(order_body(2))
        there = api.has(order_body(1, totalMoney=27 if content == "equal" else 28))
        recovered = resolve(api, ledger, CREATE)
        entry = entry_of(ledger)
        (attempt,) = ledger.attempts("o-1")
    assert set(api.looks) == {look}
    assert (entry.state, entry.corso_id) == (State.ACCEPTED, str(there["orderId"]))
    assert entry.held_hash == (CREATE.payload_hash if content == "equal" else "")
    assert recovered.accepted == 1
    assert recovered.differing == recovered.to_send == ([] if content == "equal" else [Key("o-1")])
    # How the request ended stays on record as it was seen then.
    assert attempt["ended_as"] == "unknown"


@pytest.mark.parametrize("way", WAYS)
def test_a_create_that_is_not_there_is_planned_again_after_a_second_look(tmp_path: Path, way: str) -> None:
    """The second look comes when the listing's delay has passed."""
    prepare, look = WAYS[way]
    with a_scene(tmp_path) as (api, ledger):
        prepare(api)
        in_doubt(ledger, CREATE)
        api.has(order_body(2))
        recovered = resolve(api, ledger, CREATE)
        entry = entry_of(ledger)
    assert api.looks == [look, look]
    assert api.clock.elapsed >= DELAY_S
    assert (entry.state, entry.reason) == (State.PLANNED, "looked up twice: not there")
    assert (recovered.planned_again, recovered.to_send) == (1, [Key("o-1")])


@pytest.mark.parametrize("way", WAYS)
def test_a_create_that_shows_up_late_is_not_sent_again(tmp_path: Path, way: str) -> None:
    """That is what the second look is for."""
    prepare, look = WAYS[way]
    with a_scene(tmp_path) as (api, ledger):
        prepare(api)
        in_doubt(ledger, CREATE)
        api.has(order_body(1))
        api.hidden_looks = 1
        recovered = resolve(api, ledger, CREATE)
        assert entry_of(ledger).state is State.ACCEPTED
    assert api.looks == [look, look]
    assert (recovered.accepted, recovered.planned_again) == (1, 0)


def test_what_cannot_be_looked_up_stays_unknown_and_is_counted(tmp_path: Path) -> None:
    """Sending it again would be a guess."""
    with a_scene(tmp_path) as (api, ledger):
        cannot_filter(api)
        api.lists = False
        in_doubt(ledger, CREATE, operation(2))
        recovered = resolve(api, ledger, CREATE, operation(2))
        assert ledger.counts() == {("order", State.UNKNOWN): 2}
        assert entry_of(ledger).reason == f"; {NO_WAY}"
    assert recovered == Recovered(still_unknown=2)


def test_what_cannot_be_looked_up_says_so_once_however_often_it_is_tried(tmp_path: Path) -> None:
    """The reason does not grow from night to night, and keeps what the API said."""
    with a_scene(tmp_path) as (api, ledger):
        cannot_filter(api)
        api.lists = False
        in_doubt(ledger, CREATE, status=502, reason="502 Bad Gateway")
        for _ in range(3):
            resolve(api, ledger, CREATE)
        entry = entry_of(ledger)
    assert (entry.reason, entry.status) == (f"502 Bad Gateway; {NO_WAY}", 502)


def test_the_operator_may_have_it_sent_again(tmp_path: Path) -> None:
    """upload.when_unverifiable: resend, for an API that refuses duplicates."""
    with a_scene(tmp_path) as (api, ledger):
        cannot_filter(api)
        api.lists = False
        in_doubt(ledger, CREATE)
        recovered = resolve(api, ledger, CREATE, when_unverifiable="resend")
        entry = entry_of(ledger)
    assert (entry.state, entry.reason) == (State.PLANNED, "upload.when_unverifiable: resend")
    assert recovered.to_send == [Key("o-1")]


def accepted(ledger: Ledger, api: FakeCorso, number: int, *, late_s: float = 0) -> Operation:
    """Have order `o-<number>` accepted now; return its operation. It shows so many seconds later."""
    sent = operation(number)
    record = api.has(order_body(number), age=timedelta(seconds=-late_s))
    in_doubt(ledger, sent)
    change = Change(Key(f"o-{number}"), State.ACCEPTED, corso_id=str(record["orderId"]), held_hash="h")
    ledger.settle([change])
    return sent


@pytest.mark.parametrize("way", WAYS)
def test_a_listing_that_is_late_is_waited_for(tmp_path: Path, way: str) -> None:
    """An order accepted just now does not show either, so that absence proves nothing yet: 40 seconds, here."""
    prepare, _ = WAYS[way]
    with a_scene(tmp_path) as (api, ledger):
        prepare(api)
        in_doubt(ledger, CREATE)
        api.has(order_body(1))
        witness = accepted(ledger, api, 2)
        api.shows_after_s = 40
        recovered = resolve(api, ledger, CREATE, witness)
        assert entry_of(ledger).state is State.ACCEPTED
    assert (recovered.accepted, recovered.planned_again) == (1, 0)
    assert api.clock.elapsed >= 40


@pytest.mark.parametrize("way", WAYS)
def test_a_listing_that_is_later_with_some_orders_is_waited_for(tmp_path: Path, way: str) -> None:
    """One witness shows at once, another after 12 seconds: the order in doubt may be as late as that one, here 11 seconds."""
    prepare, _ = WAYS[way]
    with a_scene(tmp_path) as (api, ledger):
        prepare(api)
        api.shows_after_s = 0.01
        witnesses = [accepted(ledger, api, 2, late_s=12), accepted(ledger, api, 3)]
        in_doubt(ledger, CREATE)
        api.has(order_body(1), age=timedelta(seconds=-11))
        resolve(api, ledger, CREATE, *witnesses)
        assert entry_of(ledger).state is State.ACCEPTED


@pytest.mark.parametrize("way", WAYS)
def test_only_what_was_out_of_sight_says_how_late_a_listing_is(tmp_path: Path, way: str) -> None:
    """One witness is an hour old and shows at once, another is new and 5 seconds late: nobody waits for an hour."""
    prepare, _ = WAYS[way]
    with a_scene(tmp_path) as (api, ledger):
        prepare(api)
        api.shows_after_s = 0.01
        old = accepted(ledger, api, 2)
        api.clock.jump(3600)
        witnesses = [old, accepted(ledger, api, 3, late_s=5)]
        in_doubt(ledger, CREATE)
        resolve(api, ledger, CREATE, *witnesses)
        assert entry_of(ledger).state is State.PLANNED
    assert api.clock.elapsed - 3600 < 2 * LONGEST_LAG_GUESSED_S


def test_a_witness_is_as_old_as_its_last_attempt(tmp_path: Path) -> None:
    """The first attempt was an hour ago, and in vain; what the last one created is 5 seconds late."""
    with a_scene(tmp_path) as (api, ledger):
        api.shows_after_s = 0.01
        sent = operation(2)
        in_doubt(ledger, sent)
        ledger.settle([Change(key_of(sent), State.PLANNED, ended_as="absent")])
        api.clock.jump(3600)
        ledger.start([sent])
        record = api.has(order_body(2), age=timedelta(seconds=-5))
        change = Change(key_of(sent), State.ACCEPTED, corso_id=str(record["orderId"]), held_hash="h")
        ledger.settle([change])
        in_doubt(ledger, CREATE)
        resolve(api, ledger, CREATE, sent)
        assert entry_of(ledger).state is State.PLANNED
    assert api.clock.elapsed - 3600 < 2 * LONGEST_LAG_GUESSED_S


def test_a_witness_that_never_shows_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    """Somebody deleted it; the others tell enough."""
    with a_scene(tmp_path) as (api, ledger):
        api.shows_after_s = 0.01
        witnesses = [accepted(ledger, api, 2, late_s=1e6), accepted(ledger, api, 3)]
        in_doubt(ledger, CREATE)
        resolve(api, ledger, CREATE, *witnesses)
        assert entry_of(ledger).state is State.PLANNED
    assert LONGEST_LAG_GUESSED_S <= api.clock.elapsed < 3 * LONGEST_LAG_GUESSED_S


def refused_and_absent(ledger: Ledger, *, attempts: int = 1) -> None:
    """Bring the create into doubt because the API refused it, after so many attempts."""
    ledger.plan([CREATE], "b1")
    for number in range(attempts):
        ledger.start([CREATE])
        last = number == attempts - 1
        ledger.settle(
            [
                Change(Key("o-1"), State.UNKNOWN, status=400, reason="400: no such country")
                if last
                else Change(Key("o-1"), State.PLANNED, ended_as="not sent")
            ]
        )


def test_without_a_witness_the_listing_may_be_as_late_as_is_ever_guessed(tmp_path: Path) -> None:
    """The first order of all got no answer: nothing tells how late the listing is, here 20 seconds."""
    with a_scene(tmp_path) as (api, ledger):
        in_doubt(ledger, CREATE)
        api.has(order_body(1))
        api.shows_after_s = 20
        resolve(api, ledger, CREATE)
        assert entry_of(ledger).state is State.ACCEPTED
    assert api.clock.elapsed >= LONGEST_LAG_GUESSED_S


@pytest.mark.parametrize("way", WAYS)
def test_an_old_order_that_was_changed_is_no_witness(tmp_path: Path, way: str) -> None:
    """It was accepted just now and shows at once; a new one does not, for 20 seconds."""
    prepare, _ = WAYS[way]
    change = operation(2, "update_order")
    with a_scene(tmp_path) as (api, ledger):
        prepare(api)
        api.shows_after_s = 20
        old = api.has(order_body(2), age=timedelta(days=1))
        in_doubt(ledger, change)
        ledger.settle([Change(Key("o-2"), State.ACCEPTED, corso_id=str(old["orderId"]), held_hash="h")])
        in_doubt(ledger, CREATE)
        api.has(order_body(1))
        resolve(api, ledger, CREATE, change)
        assert entry_of(ledger).state is State.ACCEPTED


def test_a_witness_far_down_the_listing_tells_nothing(tmp_path: Path) -> None:
    """Others have created many since: it is not read through for one witness, nor taken for one that does not show."""
    with a_scene(tmp_path) as (api, ledger):
        cannot_filter(api)
        witness = accepted(ledger, api, 2)
        api.clock.jump(60)
        for number in range(10, 40):
            api.has(order_body(number))
        in_doubt(ledger, CREATE)
        recovered = resolve(api, ledger, CREATE, witness)
        assert entry_of(ledger).state is State.PLANNED
    assert recovered.still_unknown == 0
    assert LONGEST_LAG_GUESSED_S <= api.clock.elapsed - 60 < 2 * LONGEST_LAG_GUESSED_S


def test_an_order_that_cannot_be_asked_for_is_no_witness(tmp_path: Path) -> None:
    """By e-mail alone, one whose e-mail is not at hand shows nothing: 20 seconds late, here."""
    with a_scene(tmp_path) as (api, ledger):
        api.finds_by_source_id = api.lists = False
        api.shows_after_s = 20
        in_doubt(ledger, CREATE)
        api.has(order_body(1))
        accepted(ledger, api, 2)
        resolve(api, ledger, CREATE)
        assert entry_of(ledger).state is State.ACCEPTED


def test_what_is_refused_at_its_first_attempt_is_rejected_though_it_cannot_be_looked_up(
    tmp_path: Path,
) -> None:
    """Nothing of it can be there. Were it unknown, a mended export could never be sent."""
    mended = operation(1, notes="mended")
    with a_scene(tmp_path) as (api, ledger):
        cannot_filter(api)
        api.lists = False
        refused_and_absent(ledger)
        recovered = resolve(api, ledger, mended)
        entry = entry_of(ledger)
    assert (entry.state, entry.status, entry.reason) == (State.REJECTED, 400, "400: no such country")
    assert recovered.rejected == {Key("o-1")}
    assert recovered.to_send == [Key("o-1")]


def test_what_is_refused_after_an_attempt_that_may_have_been_done_stays_unknown(tmp_path: Path) -> None:
    """The API may refuse it because it is there."""
    with a_scene(tmp_path) as (api, ledger):
        cannot_filter(api)
        api.lists = False
        refused_and_absent(ledger, attempts=2)
        resolve(api, ledger, CREATE)
        assert entry_of(ledger).state is State.UNKNOWN


def test_what_is_refused_after_an_earlier_attempt_is_looked_for_twice(tmp_path: Path) -> None:
    """The earlier one may have been done, and be why it was refused: here it shows late."""
    with a_scene(tmp_path) as (api, ledger):
        refused_and_absent(ledger, attempts=2)
        api.has(order_body(1))
        api.hidden_looks = 1
        resolve(api, ledger, CREATE)
        assert entry_of(ledger).state is State.ACCEPTED
    assert len(api.looks) == 2


def test_one_that_was_refused_is_sent_again_at_once_when_the_export_was_mended(tmp_path: Path) -> None:
    """Not with the next run only; the same content is not sent again."""
    for planned, to_send in ((CREATE, []), (operation(1, notes="mended"), [Key("o-1")])):
        folder = tmp_path / planned.payload_hash
        with a_scene(folder) as (api, ledger):
            refused_and_absent(ledger)
            recovered = resolve(api, ledger, planned)
            assert entry_of(ledger).state is State.REJECTED
        assert recovered.to_send == to_send


def test_a_fulfillment_is_not_there_where_its_order_is_not(tmp_path: Path) -> None:
    """It waits for its order; while that one is in doubt, so is the fulfillment."""
    fulfillment = operation(1, "create_fulfillment", corso_order_id="7")
    for order_state, expected in ((State.UNKNOWN, State.UNKNOWN), (State.REJECTED, State.PLANNED)):
        with a_scene(tmp_path / order_state) as (api, ledger):
            ledger.plan([CREATE], "b1")
            ledger.start([CREATE])
            in_doubt(ledger, fulfillment)
            ledger.settle([Change(Key("o-1"), order_state)])
            cannot_filter(api)
            api.lists = False
            resolve(api, ledger, CREATE, fulfillment)
            entry = entry_of(ledger, 1, "f-1")
        assert entry.state is expected
        if expected is State.UNKNOWN:
            assert entry.reason == f"; {ORDER_IN_DOUBT}"


def test_without_waiting_what_is_there_is_settled_and_the_rest_stays_in_doubt(tmp_path: Path) -> None:
    """There are others to be sent meanwhile."""
    with a_scene(tmp_path) as (api, ledger):
        in_doubt(ledger, CREATE, operation(2))
        api.has(order_body(1))
        recovered = resolve(api, ledger, CREATE, operation(2), wait=False)
        states = [entry_of(ledger, number).state for number in (1, 2)]
    assert states == [State.ACCEPTED, State.UNKNOWN]
    assert recovered.to_send == []
    assert api.clock.elapsed < DELAY_S


def test_look_ups_that_never_show_what_was_accepted_prove_nothing(tmp_path: Path) -> None:
    """It stays unknown; it is not sent again."""
    with a_scene(tmp_path) as (api, ledger):
        in_doubt(ledger, CREATE)
        accepted(ledger, api, 2)
        api.shows_after_s = 1e9
        recovered = resolve(api, ledger, CREATE)
        entry = entry_of(ledger)
    assert (entry.state, entry.reason) == (State.UNKNOWN, f"; {NO_PROOF}")
    assert recovered.still_unknown == 1


def test_after_a_time_out_the_server_gets_as_much_time_again(tmp_path: Path) -> None:
    """It may still be at work on what we gave up on: here it is done 25 seconds after that."""
    with a_scene(tmp_path) as (api, ledger):
        ledger.plan([CREATE], "b1")
        ledger.start([CREATE])
        api.clock.jump(TIMEOUT_S)
        ledger.settle([Change(Key("o-1"), State.UNKNOWN, reason="no answer was read (ReadTimeout)")])
        api.shows_after_s = 25
        api.has(order_body(1))
        resolve(api, ledger, CREATE)
        assert entry_of(ledger).state is State.ACCEPTED
    assert api.clock.elapsed >= 2 * TIMEOUT_S


def test_an_update_that_timed_out_is_waited_for_before_a_newer_one_goes(tmp_path: Path) -> None:
    """Else the older one, done late, would stand in Corso for good, and the ledger would say that the newer one does."""
    older = operation(1, "update_order", corso_order_id="100", notes="older")
    newer = operation(1, "update_order", corso_order_id="100", notes="newer")
    with a_scene(tmp_path) as (api, ledger):
        record = api.has(order_body(1))
        ledger.plan([CREATE], "b1")
        ledger.start([CREATE])
        ledger.settle([Change(Key("o-1"), State.ACCEPTED, corso_id=str(record["orderId"]), held_hash="h")])
        ledger.plan([older], "b1")
        ledger.start([older])
        api.clock.jump(TIMEOUT_S)
        ledger.settle([Change(Key("o-1"), State.UNKNOWN, reason="no answer was read (ReadTimeout)")])
        recovered = resolve(api, ledger, newer)
        entry = entry_of(ledger)
    assert api.clock.elapsed >= 2 * TIMEOUT_S
    assert (entry.state, entry.reason) == (
        State.PLANNED,
        f"no answer was read (ReadTimeout); {STILL_AS_BEFORE}",
    )
    assert recovered.to_send == [Key("o-1")]


def test_a_stop_ends_the_looking_and_leaves_the_rest_in_doubt(tmp_path: Path) -> None:
    """Ctrl-C does not wait for a thousand look-ups."""
    many = [operation(number) for number in range(1, 101)]

    def stop_check() -> None:
        if len(api.looks) > 10:
            raise interrupted()

    with a_scene(tmp_path) as (api, ledger):
        in_doubt(ledger, *many)
        api.lists = False
        for number in range(1, 101):
            api.has(order_body(number))
        with pytest.raises(Interrupted):
            resolve(api, ledger, *many, stop_check=stop_check)
        counts = ledger.counts()
    assert counts[("order", State.ACCEPTED)] + counts[("order", State.UNKNOWN)] == 100
    assert len(api.looks) < 20


def test_an_address_is_asked_for_in_lower_case_too(tmp_path: Path) -> None:
    """Corso may keep it so; a filter that minds the case would not find it."""
    order = operation(1, customer={"email": "Ann.1@Example.com"})
    with a_scene(tmp_path) as (api, ledger):
        api.finds_by_source_id = False
        in_doubt(ledger, order)
        api.has(order_body(1))
        resolve(api, ledger, order)
        assert entry_of(ledger).state is State.ACCEPTED


def test_many_creates_are_looked_up_in_one_pass_and_few_one_by_one(tmp_path: Path) -> None:
    """Whichever takes fewer requests."""
    many = [operation(number) for number in range(1, 61)]
    with a_scene(tmp_path) as (api, ledger):
        in_doubt(ledger, *many)
        for number in range(1, 61):
            api.has(order_body(number))
        recovered = resolve(api, ledger, *many)
    assert (set(api.looks), len(api.looks), recovered.accepted) == ({"page"}, 30, 60)


def test_a_listing_that_is_not_newest_first_is_read_to_its_end(tmp_path: Path) -> None:
    """By what it is ordered is not documented; stopping at the first old record would miss ours."""
    with a_scene(tmp_path) as (api, ledger):
        cannot_filter(api)
        in_doubt(ledger, CREATE)
        api.has(order_body(1))
        for number, days in enumerate((3, 9, 1, 7, 5, 8, 2, 6), 2):
            api.has(order_body(number), age=timedelta(days=days))
        resolve(api, ledger, CREATE)
        assert entry_of(ledger).state is State.ACCEPTED


CANCELLATION = replace(
    operation(1, "cancel_order", corso_order_id="100"),
    content=operation(1, totalMoney=99).payload,
    content_hash=operation(1, totalMoney=99).payload_hash,
)


@pytest.mark.parametrize(("total", "held"), [(99, True), (27, False)])
def test_the_step_before_a_cancellation_is_looked_up_as_what_it_is(
    tmp_path: Path, total: int, held: bool
) -> None:
    """Its update is done or not; either way something is left to send."""
    with a_scene(tmp_path) as (api, ledger):
        its_order_is_there(ledger)
        in_doubt(ledger, CANCELLATION.before_cancelling)
        api.has(order_body(1, totalMoney=total))
        recovered = resolve(api, ledger, CANCELLATION)
        entry = entry_of(ledger)
    assert recovered.to_send == [Key("o-1")]
    if held:
        assert (entry.state, entry.held_hash) == (State.ACCEPTED, CANCELLATION.content_hash)
    else:
        assert entry.state is State.PLANNED


@pytest.mark.parametrize(("cancelled", "held"), [(True, "sent"), (False, "")])
def test_what_was_sent_cancelled_and_is_there_uncancelled_is_known_as_that(
    tmp_path: Path, cancelled: bool, held: str
) -> None:
    """Else nobody would ever cancel it."""
    create = replace(CREATE, cancelled=True)
    with a_scene(tmp_path) as (api, ledger):
        in_doubt(ledger, create)
        api.has(order_body(1) | ({"sourceCanceledOn": "2026-11-21T00:00:00Z"} if cancelled else {}))
        resolve(api, ledger, create)
        assert entry_of(ledger).held_cancelled == held


@pytest.mark.parametrize(("cancelled", "ends"), [(True, State.ACCEPTED), (False, State.REJECTED)])
def test_a_refused_cancellation_may_be_done_already(tmp_path: Path, cancelled: bool, ends: State) -> None:
    """Its first answer was lost, and Corso changes no cancelled order; or it is refused for good."""
    with a_scene(tmp_path) as (api, ledger):
        its_order_is_there(ledger)
        in_doubt(ledger, CANCELLATION, status=400, reason="cancelled orders cannot change")
        api.has(order_body(1) | ({"sourceCanceledOn": "2026-11-21T00:00:00Z"} if cancelled else {}))
        resolve(api, ledger, CANCELLATION)
        assert entry_of(ledger).state is ends


@pytest.mark.parametrize("lacking", [{"customer": {}}, {"customer": None}, {"orderName": None}])
def test_a_guest_without_an_address_is_looked_for_in_the_listing(
    tmp_path: Path, lacking: dict[str, Any]
) -> None:
    """The filter wants both e-mail and name."""
    guest = operation(1, **lacking)
    with a_scene(tmp_path) as (api, ledger):
        api.finds_by_source_id = False
        in_doubt(ledger, guest)
        api.has(order_body(1, **lacking))
        resolve(api, ledger, guest)
        assert entry_of(ledger).state is State.ACCEPTED
    assert set(api.looks) == {"page"}


def test_another_order_of_the_same_buyer_and_name_is_not_taken_for_ours(tmp_path: Path) -> None:
    """Order names repeat; ids do not."""
    with a_scene(tmp_path) as (api, ledger):
        api.finds_by_source_id = False
        in_doubt(ledger, CREATE)
        api.has(order_body(1) | {"sourceOrderId": "from elsewhere"})
        resolve(api, ledger, CREATE)
        assert entry_of(ledger).state is State.PLANNED


@pytest.mark.parametrize(
    ("kind", "there", "ends"),
    [
        ("update_order", order_body(1, totalMoney=99), State.ACCEPTED),
        ("update_order", order_body(1), State.PLANNED),
        ("update_order", None, State.PLANNED),
        ("cancel_order", order_body(1, sourceCanceledOn="2026-11-21T00:00:00Z"), State.ACCEPTED),
        ("cancel_order", order_body(1), State.PLANNED),
        ("cancel_order", None, State.PLANNED),
    ],
)
def test_a_change_was_made_or_not(
    tmp_path: Path, kind: OperationKind, there: dict[str, Any] | None, ends: State
) -> None:
    """Its order is read under Corso's id. Done is accepted; the former state means that it never came."""
    changes = {"totalMoney": 99} if kind == "update_order" else {}
    change = operation(1, kind, corso_order_id="100", **changes)
    with a_scene(tmp_path) as (api, ledger):
        in_doubt(ledger, CREATE)
        ledger.settle([Change(Key("o-1"), State.ACCEPTED, corso_id="100", held_hash="old")])
        in_doubt(ledger, change)
        if there:
            api.has(there)
        recovered = resolve(api, ledger, change)
        entry = entry_of(ledger)
    assert set(api.looks) == {"Corso id"}
    assert (entry.state, entry.corso_id) == (ends, "100")
    if ends is State.ACCEPTED:
        assert (entry.held_hash, recovered.accepted) == (change.payload_hash, 1)
    else:
        assert (entry.held_hash, recovered.to_send) == ("old", [Key("o-1")])


FULFILLMENT = operation(1, "create_fulfillment", corso_order_id="100")


def its_order_is_there(ledger: Ledger) -> None:
    """Have order `o-1` accepted under Corso's id 100."""
    in_doubt(ledger, CREATE)
    ledger.settle([Change(Key("o-1"), State.ACCEPTED, corso_id="100", held_hash=CREATE.payload_hash)])


@pytest.mark.parametrize(
    ("fulfillments", "ends", "held"),
    [
        (
            [{"sourceFulfillmentId": "f-1", "fulfillmentLocationId": 12, "fulfillmentId": "F7"}],
            State.ACCEPTED,
            "equal",
        ),
        (
            [{"sourceFulfillmentId": "f-1", "fulfillmentLocationId": 13, "fulfillmentId": "F7"}],
            State.ACCEPTED,
            "",
        ),
        (
            [{"sourceFulfillmentId": "f-2", "fulfillmentLocationId": 12, "fulfillmentId": "F8"}],
            State.PLANNED,
            None,
        ),
        ([], State.PLANNED, None),
        (None, State.PLANNED, None),
    ],
)
def test_a_fulfillment_is_looked_for_at_its_order(
    tmp_path: Path, fulfillments: list[dict[str, Any]] | None, ends: State, held: str | None
) -> None:
    """Another fulfillment, none, or no order at all: it is not there."""
    with a_scene(tmp_path) as (api, ledger):
        its_order_is_there(ledger)
        in_doubt(ledger, FULFILLMENT)
        if fulfillments is not None:
            api.has(order_body(1), fulfillments=fulfillments)
        resolve(api, ledger, FULFILLMENT)
        entry = entry_of(ledger, 1, "f-1")
    assert entry.state is ends
    if ends is State.ACCEPTED:
        assert entry.corso_id == "F7"
        assert entry.held_hash == (FULFILLMENT.payload_hash if held else "")


def test_a_fulfillment_that_shows_up_late_is_not_sent_again(tmp_path: Path) -> None:
    """Two looks for fulfillments, too."""
    found = {"sourceFulfillmentId": "f-1", "fulfillmentLocationId": 12, "fulfillmentId": "F7"}
    with a_scene(tmp_path) as (api, ledger):
        its_order_is_there(ledger)
        in_doubt(ledger, FULFILLMENT)
        api.has(order_body(1), fulfillments=[found])
        api.hidden_looks = 1
        resolve(api, ledger, FULFILLMENT)
        assert entry_of(ledger, 1, "f-1").state is State.ACCEPTED
    assert api.looks == ["fulfillments", "fulfillments"]


@pytest.mark.parametrize("there", [True, False])
def test_a_fulfillment_of_another_batch_is_found_out_about_too(tmp_path: Path, there: bool) -> None:
    """The ledger knows its order. Nobody can change one, so what is there is what was sent."""
    found = {"sourceFulfillmentId": "f-1", "fulfillmentLocationId": 12, "fulfillmentId": "F7"}
    with a_scene(tmp_path) as (api, ledger):
        its_order_is_there(ledger)
        in_doubt(ledger, FULFILLMENT)
        api.has(order_body(1), fulfillments=[found] if there else [])
        recovered = resolve(api, ledger)
        entry = entry_of(ledger, 1, "f-1")
    if there:
        assert (entry.state, entry.held_hash) == (State.ACCEPTED, FULFILLMENT.payload_hash)
        assert recovered.differing == []
    else:
        assert entry.state is State.PLANNED


def test_the_fulfillments_of_an_order_that_corso_does_not_know_yet_are_waited_for(tmp_path: Path) -> None:
    """Its 404 says nothing of the one in doubt, which is there: sent again, it would be there twice."""
    with a_scene(tmp_path) as (api, ledger):
        its_order_is_there(ledger)
        there = {"sourceFulfillmentId": "f-1", "fulfillmentLocationId": 12, "fulfillmentId": "F7"}
        api.has(order_body(1), fulfillments=[there])
        api.known_after_s = 20
        in_doubt(ledger, FULFILLMENT)
        resolve(api, ledger, FULFILLMENT)
        assert entry_of(ledger, 1, "f-1").state is State.ACCEPTED


def test_the_fulfillments_of_an_order_are_asked_for_once(tmp_path: Path) -> None:
    """Ten in doubt are one request."""
    ten = [replace(FULFILLMENT, source_fulfillment_id=f"f-{number}") for number in range(10)]
    with a_scene(tmp_path) as (api, ledger):
        its_order_is_there(ledger)
        in_doubt(ledger, *ten)
        api.has(
            order_body(1),
            fulfillments=[
                {"sourceFulfillmentId": f"f-{number}", "fulfillmentId": f"F{number}"} for number in range(10)
            ],
        )
        resolve(api, ledger)
    assert api.looks == ["fulfillments"]


def test_an_order_of_another_batch_is_found_unverified(tmp_path: Path) -> None:
    """Without its payload nobody can say whether its content is right; that batch's next run will."""
    with a_scene(tmp_path) as (api, ledger):
        in_doubt(ledger, CREATE, operation(2))
        api.has(order_body(1))
        recovered = resolve(api, ledger)
        found, absent = entry_of(ledger, 1), entry_of(ledger, 2)
    assert (found.state, found.held_hash, absent.state) == (State.ACCEPTED, "", State.PLANNED)
    assert recovered.differing == []


def test_an_order_that_is_there_twice_is_accepted_once(tmp_path: Path) -> None:
    """The double is the reconciliation's to report; no third is made."""
    with a_scene(tmp_path) as (api, ledger):
        in_doubt(ledger, CREATE)
        api.has(order_body(1))
        api.has(order_body(1))
        recovered = resolve(api, ledger, CREATE)
        entry = entry_of(ledger)
    assert (entry.state, entry.corso_id, recovered.accepted) == (State.ACCEPTED, "100", 1)
    assert recovered.to_send == []


def test_a_refused_create_that_is_there_is_accepted(tmp_path: Path) -> None:
    """It was refused because it is there."""
    with a_scene(tmp_path) as (api, ledger):
        in_doubt(ledger, CREATE, status=400, reason="400: exists already")
        api.has(order_body(1))
        resolve(api, ledger, CREATE)
        entry = entry_of(ledger)
    assert (entry.state, entry.status, entry.reason) == (State.ACCEPTED, None, None)


@pytest.mark.parametrize(
    ("status", "ends"), [(400, State.REJECTED), (422, State.REJECTED), (502, State.PLANNED)]
)
def test_a_refused_create_that_is_not_there_is_rejected_with_what_the_api_said(
    tmp_path: Path, status: int, ends: State
) -> None:
    """At once: nothing of it had left before. A 5xx is no refusal: it is planned again, after a second look."""
    with a_scene(tmp_path) as (api, ledger):
        in_doubt(ledger, CREATE, status=status, reason="postalCode is missing")
        recovered = resolve(api, ledger, CREATE)
        entry = entry_of(ledger)
    assert entry.state is ends
    assert len(api.looks) == (1 if ends is State.REJECTED else 2)
    if ends is State.REJECTED:
        assert (entry.status, entry.reason) == (status, "postalCode is missing")
        assert (recovered.rejected, recovered.to_send) == ({Key("o-1")}, [])


def test_one_pass_over_the_listing_serves_all_and_ends_before_the_first_attempt(tmp_path: Path) -> None:
    """Not a pass for each, and not back through five years of orders."""
    with a_scene(tmp_path) as (api, ledger):
        cannot_filter(api)
        for number in range(50, 90):
            api.has(order_body(number), age=CLOCK_ALLOWANCE + timedelta(days=90 - number))
        for number in (90, 91):
            api.has(order_body(number), age=CLOCK_ALLOWANCE - timedelta(minutes=1))
        accepted(ledger, api, 5)
        orders = [operation(number) for number in range(1, 5)]
        in_doubt(ledger, *orders)
        for number in (1, 2, 3):
            api.has(order_body(number))
        resolve(api, ledger, *orders)
        states = [entry_of(ledger, number).state for number in range(1, 5)]
    assert states == [State.ACCEPTED] * 3 + [State.PLANNED]
    # Newest first, two a page: 3 2 | 1 5 | 91 90 | two that are too old; whether the accepted ones show, 3, 2 and 1; then
    # the second look, for order 4.
    assert len(api.looks) == 4 + 4 + 4


@pytest.mark.parametrize("hours", [-1, 1])
@pytest.mark.parametrize("newer", [0, 1])
def test_corsos_clock_may_go_wrong(tmp_path: Path, hours: int, newer: int) -> None:
    """An hour behind ours or ahead, with a newer order that was created from here or without: the pass goes on."""
    with a_scene(tmp_path) as (api, ledger):
        cannot_filter(api)
        api.is_behind = timedelta(hours=hours)
        in_doubt(ledger, CREATE)
        api.has(order_body(1))
        for number in range(2, 9):
            api.has(order_body(number))
        for number in range(10, 10 + newer):
            accepted(ledger, api, number)
        recovered = resolve(api, ledger, CREATE)
        assert entry_of(ledger).state is State.ACCEPTED
    assert recovered.planned_again == 0


@pytest.mark.parametrize("odd", ["\ud800", "a\0b", None, 7])
def test_a_pass_goes_on_over_ids_that_no_ledger_can_keep(tmp_path: Path, odd: object) -> None:
    """Another integration's order."""
    with a_scene(tmp_path) as (api, ledger):
        cannot_filter(api)
        in_doubt(ledger, CREATE)
        api.has(order_body(1))
        for number in range(2, 5):
            api.has(order_body(number, sourceOrderId=odd))
        resolve(api, ledger, CREATE)
        assert entry_of(ledger).state is State.ACCEPTED


def test_a_pass_ends_by_corsos_clock_where_that_goes_wrong(tmp_path: Path) -> None:
    """It is an hour behind, as an order shows that was created from here: nothing is read that is older by more."""
    with a_scene(tmp_path) as (api, ledger):
        cannot_filter(api)
        api.is_behind = timedelta(hours=1)
        for number in range(50, 90):
            api.has(order_body(number), age=CLOCK_ALLOWANCE + timedelta(days=90 - number))
        witness = accepted(ledger, api, 5)
        in_doubt(ledger, CREATE)
        resolve(api, ledger, CREATE, witness)
        assert entry_of(ledger).state is State.PLANNED
    # 5 and one that is too old; whether 5 shows; the second look.
    assert len(api.looks) == 1 + 1 + 1


def test_a_pass_that_gets_longer_than_it_is_worth_is_left_for_the_filter(tmp_path: Path) -> None:
    """Nothing tells how far Corso's clock is off, and the listing is long: the four are asked for one by one."""
    orders = [operation(number) for number in range(1, 5)]
    with a_scene(tmp_path) as (api, ledger):
        in_doubt(ledger, *orders)
        api.has(order_body(1))
        for number in range(50, 90):
            api.has(order_body(number))
        api.has(order_body(2))
        resolve(api, ledger, *orders, wait=False)
        states = [entry_of(ledger, number).state for number in range(1, 5)]
    assert states == [State.ACCEPTED] * 2 + [State.UNKNOWN] * 2
    assert api.looks == ["page"] * 4 + ["source id"] * 3


def test_a_listing_that_tells_no_times_is_read_to_its_end(tmp_path: Path) -> None:
    """Better slow than wrong."""
    with a_scene(tmp_path) as (api, ledger):
        cannot_filter(api)
        in_doubt(ledger, CREATE)
        api.has(order_body(1), createdOn="yesterday")
        for number in range(2, 9):
            api.has(order_body(number), createdOn=None)
        resolve(api, ledger, CREATE)
        assert entry_of(ledger).state is State.ACCEPTED


def test_nothing_in_doubt_asks_nothing(tmp_path: Path) -> None:
    """No wait, no request."""
    with a_scene(tmp_path) as (api, ledger):
        assert resolve(api, ledger) == Recovered()
    assert (api.looks, api.clock.slept) == ([], [])


@pytest.mark.parametrize("written", [900719925474099312345, Decimal("900719925474099312345.0")])
def test_corsos_ids_of_any_type_become_text(tmp_path: Path, written: int | Decimal) -> None:
    """The ledger keeps them as text, as they go into a URL: however the API writes its numbers."""
    with a_scene(tmp_path) as (api, ledger):
        in_doubt(ledger, CREATE)
        api.has(order_body(1), orderId=written)
        resolve(api, ledger, CREATE)
        assert entry_of(ledger).corso_id == "900719925474099312345"


@pytest.mark.parametrize("order_id", [None, "", {}])
def test_a_record_without_an_id_leaves_its_order_in_doubt(tmp_path: Path, order_id: object) -> None:
    """It is there, so it is not sent again; nor does anybody know under which id."""
    with a_scene(tmp_path) as (api, ledger):
        in_doubt(ledger, CREATE)
        api.has(order_body(1), orderId=order_id)
        recovered = resolve(api, ledger, CREATE)
        entry = entry_of(ledger)
    assert (entry.state, entry.corso_id, entry.reason) == (State.UNKNOWN, None, f"; {NO_ID}")
    assert recovered == Recovered(still_unknown=1)


def test_content_that_changed_meanwhile_is_held_against_the_plan_at_hand(tmp_path: Path) -> None:
    """The killed run sent yesterday's order; today's plan wants another total: found, and to be updated."""
    today = replace(operation(1, totalMoney=99), kind="create_order")
    with a_scene(tmp_path) as (api, ledger):
        in_doubt(ledger, CREATE)
        api.has(json.loads(CREATE.payload))
        recovered = resolve(api, ledger, today)
        entry: Entry = entry_of(ledger)
    assert (entry.state, entry.held_hash, recovered.differing) == (State.ACCEPTED, "", [Key("o-1")])
