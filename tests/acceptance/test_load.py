"""The promise, over a real socket: every order ends in one named state, none is there twice, the money ties.

The command as a process, the sandbox as a process; what is true is read back from the sandbox and from the files.
"""

import json
import signal
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipelines.samples import write_samples
from tests.export_factories import fulfillment_text, line_text, order_text
from tests.loader_process import (
    REPORTS,
    STORE_ID,
    Shop,
    broken_identities,
    ended,
    good_orders,
    loader,
    wait_until,
)
from tests.sandbox.bodies import an_order
from tests.sandbox_process import RunningSandbox, running_sandbox

pytestmark = pytest.mark.slow

COUNTS = {
    "source": ["orders", "line_items", "fulfillments"],
    "accepted": ["orders", "line_items", "fulfillments"],
    "quarantined": ["orders", "line_items", "fulfillments"],
    "plan": ["create", "update", "cancel", "unchanged"],
    "outcome": ["created", "updated", "cancelled", "unchanged", "rejected", "unknown", "not_sent"],
    "fulfillments": ["created", "unchanged", "changed_but_fixed", "rejected", "unknown", "not_sent"],
    "reconciliation": ["matched", "missing", "different", "duplicated", "foreign", "unexplained"],
}
SUMMARY = ["store_id", "batch", "exit_code", *COUNTS, "requests", "money"]
REQUESTS = ["sent", "throttled", "retried", "seconds", "quota_share"]
MONEY = ["currency", "month", "source", "accepted", "corso", "difference"]


def assert_fixed_keys(summary: dict[str, Any]) -> None:
    """Other programs read summary.json: its keys, their order and their types are fixed."""
    assert list(summary) == SUMMARY
    for name, keys in COUNTS.items():
        assert list(summary[name]) == keys
        assert all(type(value) is int for value in summary[name].values())
    assert list(summary["requests"]) == REQUESTS
    assert all(type(summary["requests"][name]) is int for name in ("sent", "throttled", "retried"))
    assert type(summary["requests"]["seconds"]) is float
    for row in summary["money"]:
        assert list(row) == MONEY
        assert all(isinstance(value, str) for value in row.values())
        for name in ("source", "accepted", "corso", "difference"):
            assert Decimal(row[name]).as_tuple().exponent == -2


def orders_in(sandbox: RunningSandbox) -> list[dict[str, Any]]:
    """List every record of the sandbox through its API, the oldest first."""
    with sandbox.client() as client:
        records, after = [], None
        while True:
            asked = {"first": "250", "orderBy": "asc"} | ({"after": after} if after else {})
            page = client.get("/orders", params=asked).raise_for_status().json()
            records += page["orders"]
            if not page["pageInfo"]["hasNextPage"]:
                return records
            after = page["pageInfo"]["endCursor"]


def created(sandbox: RunningSandbox) -> int:
    """Return how often the sandbox answered 201: how much was ever made in it."""
    return int(sandbox.counts()["requests_by_status"].get("201", 0))


def test_the_demo_needs_nothing_and_leaves_everything(tmp_path: Path) -> None:
    """One command, no configuration: six files, fixed keys, and every identity holds."""
    out = tmp_path / "demo"
    answer = loader("demo", "--orders", "400", "--out", out, CORSO_CLIENT_ID=None, CORSO_CLIENT_SECRET=None)
    assert answer.code == 1, answer.said
    assert "Needs a look" in answer.out
    (folder,) = [each for each in (out / "work" / str(STORE_ID)).iterdir() if each.is_dir()]
    assert {each.name for each in folder.iterdir() if each.is_file()} == REPORTS
    summary = json.loads((folder / "summary.json").read_text())
    assert_fixed_keys(summary)
    assert broken_identities(summary) == []
    assert (summary["batch"], summary["exit_code"], summary["source"]["orders"]) == (folder.name, 1, 400)
    assert summary["quarantined"]["orders"] > 0
    assert summary["reconciliation"]["matched"] == summary["accepted"]["orders"]
    assert all(row["difference"] == "0.00" for row in summary["money"])
    assert all(each.stat().st_mode & 0o077 == 0 for each in folder.iterdir())


def test_a_first_load_by_steps_then_once_more(tmp_path: Path) -> None:
    """The plan leaves no trace, --limit sends so many, run sends the rest, and a second run sends nothing."""
    with running_sandbox("--limit", "0", "--duplicates", "accept") as sandbox:
        shop = Shop(tmp_path / "shop", sandbox, files=SAMPLE_FILES)
        samples = write_samples(shop.exports, 400)
        shop.configure()

        planned = shop.run("plan", "--offline")
        assert planned.code == 1, planned.said  # some are quarantined
        assert "Forecast: about " in planned.out
        assert not list((shop.folder / "work").glob("ledger*"))
        assert sandbox.counts()["requests_by_status"] == {}
        summary = shop.summary()
        assert summary["outcome"]["not_sent"] == summary["plan"]["create"] == samples.accepted_orders
        assert set(summary["reconciliation"].values()) == {0}

        limited = shop.run("upload", "--limit", "50")
        assert limited.code == 1, limited.said
        assert sandbox.counts()["orders"] == 50
        assert (
            shop.summary()["outcome"] | {"created": 50, "not_sent": samples.accepted_orders - 50}
            == (shop.summary()["outcome"])
        )

        first = shop.run("run")
        assert first.code == 1, first.said
        _everything_is_there(shop, sandbox, samples)

        before = created(sandbox)
        second = shop.run("run", "--json")
        assert second.code == 1, second.said
        again = json.loads(second.out)
        assert created(sandbox) == before == samples.accepted_orders + samples.accepted_fulfillments
        assert again["plan"]["unchanged"] == again["outcome"]["unchanged"] == samples.accepted_orders
        assert again["fulfillments"]["unchanged"] == samples.accepted_fulfillments
        assert broken_identities(again) == []
        assert shop.states() == {
            "store_id": STORE_ID,
            "orders": {"accepted": samples.accepted_orders},
            "fulfillments": {"accepted": samples.accepted_fulfillments},
        }
        _traces(shop, samples)


SAMPLE_FILES = {
    "orders": "in/orders*.csv*",
    "line_items": "in/line_items.parquet",
    "fulfillments": "in/fulfillments.csv",
}


def _everything_is_there(shop: Shop, sandbox: RunningSandbox, samples: Any) -> None:
    summary, counts = shop.summary(), sandbox.counts()
    assert_fixed_keys(summary)
    assert broken_identities(summary) == []
    assert summary["accepted"]["orders"] == samples.accepted_orders
    assert counts["orders"] == counts["source_orders"] == samples.accepted_orders
    assert counts["fulfillments"] == counts["source_fulfillments"] == samples.accepted_fulfillments
    assert (
        summary["fulfillments"]["created"] + summary["fulfillments"]["unchanged"]
        == samples.accepted_fulfillments
    )
    assert summary["reconciliation"]["matched"] == samples.accepted_orders

    header = (shop.exports / "orders-1.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    results = shop.table("results")
    assert list(results[0]) == [*header, "outcome", "corso_order_id", "reason"]
    assert len(results) == len({row["source_order_id"] for row in results}) == samples.orders
    bad = {id_ for ids in samples.bad_orders.values() for id_ in ids}
    assert {row["source_order_id"] for row in results if row["outcome"] == "quarantined"} == bad
    ids = {str(record["orderId"]): record["sourceOrderId"] for record in orders_in(sandbox)}
    assert {row["corso_order_id"]: row["source_order_id"] for row in results if row["corso_order_id"]} == ids
    repeated = [row for row in shop.table("quarantine") if "word for word" in row["reasons"]]
    assert len(repeated) == samples.repeated_rows
    quarantined = {row["source_order_id"] for row in shop.table("quarantine") if row not in repeated}
    assert quarantined == bad | set(samples.orphans)
    assert all(row["file"] and int(row["line"]) > 0 and row["reasons"] for row in shop.table("quarantine"))
    assert {each.name for each in shop.reports().iterdir() if each.is_file()} == REPORTS


def _traces(shop: Shop, samples: Any) -> None:
    good = next(row for row in shop.table("results") if row["corso_order_id"])
    story = shop.run("trace", good["source_order_id"], "--json")
    assert story.code == 0, story.said
    told = json.loads(story.out)
    place = next(each for each in told["places"] if each["table"] == "orders")
    line = int(place["line"])
    assert (
        good["source_order_id"]
        in (shop.folder / place["file"]).read_text(encoding="utf-8").splitlines()[line - 1]
    )
    assert (told["entries"][0]["state"], told["entries"][0]["corso_id"]) == (
        "accepted",
        good["corso_order_id"],
    )
    assert told["attempts"][0]["ended_as"] == "accepted"

    bad = samples.bad_orders["city_is_missing"][0]
    story = shop.run("trace", bad)
    assert story.code == 0, story.said
    assert "quarantined" in story.out
    assert "city" in story.out

    nobody = shop.run("trace", "no such order")
    assert nobody.code == 2
    assert (
        nobody.sentence
        == "corso-loader: order 'no such order' is in no batch and not in the ledger; results.csv lists each batch's orders"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_upload_with_130_and_nothing_in_between(
    tmp_path: Path, number: signal.Signals
) -> None:
    """What was under way is settled; the same command goes on."""
    count = 120
    with running_sandbox("--limit", "0", "--duplicates", "accept", "--latency", "0.05") as sandbox:
        shop = Shop(tmp_path / "shop", sandbox)
        shop.export(good_orders(range(count)))
        shop.configure("limits: {max_in_flight: 4}")
        process = shop.start("run")
        wait_until(sandbox, 10, process)
        process.send_signal(number)
        stopped = ended(process)
        assert stopped.code == 130, stopped.said
        assert "run the same command again" in stopped.sentence
        states = shop.states()["orders"]
        assert states.keys() == {"accepted", "planned"}
        assert states["accepted"] == sandbox.counts()["orders"] < count
        assert shop.summary()["exit_code"] == 130
        assert shop.summary()["outcome"]["created"] == states["accepted"]
        again = shop.run("run")
        assert again.code == 0, again.said
        assert (sandbox.counts()["orders"], created(sandbox)) == (count, count)


def test_a_signal_while_reading_back_ends_with_130_too(tmp_path: Path) -> None:
    """Not with a traceback, and not with the 1 of a run that finished; the same command goes on."""
    with running_sandbox("--limit", "0", "--latency", "0.1") as sandbox:
        shop = Shop(tmp_path / "shop", sandbox)
        shop.export(good_orders(range(40)))
        shop.configure("limits: {max_in_flight: 20}")
        assert shop.run("upload").code == 0
        asked = sum(sandbox.counts()["requests_by_status"].values())
        shop.configure("limits: {max_in_flight: 1}\nreconcile: {mode: lookup}")
        process = shop.start("reconcile")
        while sum(sandbox.counts()["requests_by_status"].values()) < asked + 3:
            assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGTERM)
        stopped = ended(process)
        assert stopped.code == 130, stopped.said
        assert "run the same command again" in stopped.sentence
        shop.configure("reconcile: {mode: listing}")
        again = shop.run("reconcile")
        assert again.code == 0, again.said
        assert shop.summary()["reconciliation"] == _found(matched=40)


def test_a_changed_export_is_updates_cancellations_and_what_cannot_be_changed(tmp_path: Path) -> None:
    """Each change goes out once; the third run has nothing to say."""
    with running_sandbox("--limit", "0") as sandbox:
        shop = Shop(tmp_path / "shop", sandbox)
        shop.export(good_orders(range(1, 7)), fulfillments=[fulfillment_text(number) for number in (1, 2)])
        shop.configure()
        assert shop.run("run", batch="monday").code == 0

        orders = good_orders(range(1, 8))
        orders[2] |= {"notes": "ring twice"}
        # Cancelled, and changed by it: Corso changes no cancelled order, so its content goes first.
        orders[3] |= {
            "source_canceled_on": "2026-11-21T10:00:00Z",
            "canceled_reason": "fraud",
            "source_updated_on": "2026-11-21T10:00:01Z",
            "notes": "refunded",
        }
        # Cancelled for no reason that anybody wrote down.
        orders[4] |= {"source_canceled_on": "2026-11-21T11:00:00Z"}
        changed = fulfillment_text(2, tracking_info_number="TRK-2")
        shop.export(orders, fulfillments=[fulfillment_text(1), changed, fulfillment_text(7)])
        second = shop.run("run", batch="tuesday")
        summary = shop.summary("tuesday")
        assert second.code == 1, second.said  # the changed fulfillment needs a look
        assert summary["plan"] == {"create": 1, "update": 1, "cancel": 2, "unchanged": 3}
        assert {name: count for name, count in summary["outcome"].items() if count} == {
            "created": 1, "updated": 1, "cancelled": 2, "unchanged": 3,
        }  # fmt: skip
        assert {name: count for name, count in summary["fulfillments"].items() if count} == {
            "created": 1, "unchanged": 1, "changed_but_fixed": 1,
        }  # fmt: skip
        assert broken_identities(summary) == []
        assert summary["reconciliation"]["matched"] == 7
        records = {record["sourceOrderId"]: record for record in orders_in(sandbox)}
        assert (len(records), sandbox.counts()["orders"], sandbox.counts()["cancelled_orders"]) == (7, 7, 2)
        assert records["o-3"]["notes"] == "ring twice"
        assert (records["o-4"]["canceledReason"], records["o-4"]["notes"]) == ("fraud", "refunded")

        answers = sandbox.counts()["requests_by_status"]
        third = shop.run("run", batch="tuesday")
        assert third.code == 1, third.said
        summary = shop.summary("tuesday")
        assert summary["outcome"]["unchanged"] == 7
        assert created(sandbox) == answers["201"]
        # Reading back only: no update, no second DELETE.
        assert records == {record["sourceOrderId"]: record for record in orders_in(sandbox)}


def test_hostile_text_arrives_as_it_is_and_harms_nobody(tmp_path: Path) -> None:
    """HTML, formulas, control characters, a megabyte, emoji and right-to-left: exact in Corso, tame in the reports."""
    hostile = {
        1: "<script>alert(1)</script><img src=x onerror=alert(2)>",
        2: "=cmd()|'/C calc'!A1",
        3: "control \x01\x08\x1b[31m and \x7f",
        4: "x" * 1_000_000,
        5: "🎁👩‍👩‍👧‍👧 und „Grüße“",
        6: "שלום \u202e txet desrever \u202c العربية",
        7: "quotes \" and \\ and '; DROP TABLE orders; --",
        8: "two\nlines, and {{ braces }} {% raw %}",
    }
    with running_sandbox("--limit", "0") as sandbox:
        shop = Shop(tmp_path / "shop", sandbox)
        orders = [order_text(number, notes=text) for number, text in hostile.items()]
        # One of them is quarantined with its hostile value on show.
        orders.append(order_text(9, notes=hostile[1], shipping_address_city=None, customer_first_name="=1+1"))
        shop.export(orders)
        shop.configure("validation: {max_quarantined: 0.5}")
        answer = shop.run("run")
        assert answer.code == 1, answer.said
        notes = {record["sourceOrderId"]: record["notes"] for record in orders_in(sandbox)}
        assert notes == {f"o-{number}": text for number, text in hostile.items()}
        assert shop.summary()["reconciliation"]["matched"] == len(hostile)
        page = (shop.reports() / "reconciliation.html").read_text(encoding="utf-8")
        assert "<script>alert(1)" not in page
        assert "<img src=x" not in page
        results = {row["source_order_id"]: row for row in shop.table("results")}
        assert results["o-2"]["notes"] == "'" + hostile[2]
        assert results["o-4"]["notes"] == hostile[4]
        (row,) = [row for row in shop.table("quarantine") if row["file"] == "in/orders.csv"]
        assert row["customer_first_name"] == "'=1+1"
        assert "\x1b" not in answer.said


def test_a_tight_quota_slows_down_and_loses_nothing(tmp_path: Path) -> None:
    """429s are waited for, and are no attempts."""
    count = 60
    with running_sandbox("--limit", "30", "--window", "1", "--headers", "429") as sandbox:
        shop = Shop(tmp_path / "shop", sandbox)
        shop.export(good_orders(range(count)))
        shop.configure()
        answer = shop.run("run")
        assert answer.code == 0, answer.said
        summary = shop.summary()
        assert summary["outcome"]["created"] == sandbox.counts()["orders"] == count
        throttled = sandbox.counts()["requests_by_status"].get("429", 0)
        assert summary["requests"]["throttled"] == throttled
        counts = sandbox.counts()
        asked = sum(counts["requests_by_status"].values()) + counts["tokens_issued"]
        assert summary["requests"]["sent"] == asked


def test_what_is_rejected_is_told_with_the_apis_words_and_sent_again_by_retry_only(tmp_path: Path) -> None:
    """A refused order is not sent again with every nightly run; `retry` asks once more."""
    with running_sandbox("--limit", "0") as sandbox:
        shop = Shop(tmp_path / "shop", sandbox)
        shop.export(good_orders(range(1, 4)))
        shop.configure()
        assert shop.run("upload", batch="monday").code == 0
        one = orders_in(sandbox)[0]
        with sandbox.client() as client:
            # Corso changes nothing about an order that was cancelled: an update of it is refused.
            cancel = {"canceledReason": "in the back office", "sourceCanceledOn": "2026-11-21T00:00:00Z"}
            client.request("DELETE", f"/orders/{one['orderId']}", json=cancel).raise_for_status()
        orders = good_orders(range(1, 4))
        orders[0] |= {"notes": "changed since"}
        shop.export(orders)

        answer = shop.run("run", batch="tuesday")
        assert answer.code == 1, answer.said
        summary = shop.summary("tuesday")
        assert (summary["outcome"]["rejected"], summary["outcome"]["unchanged"]) == (1, 2)
        assert broken_identities(summary) == []
        (row,) = [row for row in shop.table("results", "tuesday") if row["outcome"] == "rejected"]
        assert row["source_order_id"] == one["sourceOrderId"]
        assert "cancel" in row["reason"].casefold()
        assert shop.run("upload", batch="tuesday").code == 1
        assert shop.run("retry", batch="tuesday").code == 1

        told = json.loads(shop.run("trace", row["source_order_id"], "--json").out)
        # Created, refused, nothing, refused once more.
        assert [each["ended_as"] for each in told["attempts"]] == ["accepted", "rejected", "rejected"]
        assert told["entries"][0]["state"] == "rejected"
        assert {each["cause"] for each in told["findings"]} == {"rejected"}


def test_looking_up_shows_what_others_did_to_our_orders(tmp_path: Path) -> None:
    """Missing, different and doubled orders are found by look-ups; whatever is foreign is not our business."""
    with running_sandbox("--limit", "0", "--duplicates", "accept") as sandbox:
        shop = Shop(tmp_path / "shop", sandbox)
        shop.export(good_orders(range(1, 7)))
        shop.configure("reconcile: {mode: listing}")
        with sandbox.client() as client:
            client.post("/orders", json=an_order(storeId=STORE_ID)).raise_for_status()
        first = shop.run("run")
        assert first.code == 0, first.said
        assert shop.summary()["reconciliation"] == _found(matched=6, foreign=1)

        records = {record["sourceOrderId"]: record for record in orders_in(sandbox)}
        # Only what is clearly later than our own writing is known to be somebody else's.
        time.sleep(2.5)
        with sandbox.client() as client:
            change = _as_sent(records["o-2"]) | {"notes": "by hand"}
            client.post(f"/orders/{records['o-2']['orderId']}", json=change).raise_for_status()
            client.post("/orders", json=_as_sent(records["o-3"])).raise_for_status()
        for mode, foreigners in (("lookup", 0), ("listing", 1)):
            shop.configure(f"reconcile: {{mode: {mode}}}")
            answer = shop.run("reconcile")
            assert answer.code == 1, answer.said
            summary = shop.summary()
            assert summary["reconciliation"] == _found(
                matched=4, different=1, duplicated=1, foreign=foreigners
            )
            assert broken_identities(summary) == []


def _as_sent(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in {"orderId", "createdOn", "updatedOn"}}


def test_an_order_that_vanished_from_corso_is_missing(tmp_path: Path) -> None:
    """The ledger says accepted, Corso has it no more: that is missing, and nobody can explain it."""
    with running_sandbox("--limit", "0") as sandbox:
        shop = Shop(tmp_path / "shop", sandbox)
        shop.export(good_orders(range(1, 4)))
        shop.configure()
        assert shop.run("upload").code == 0
    with running_sandbox("--limit", "0") as empty:
        shop.sandbox = empty
        shop.configure("reconcile: {mode: lookup}")
        answer = shop.run("reconcile")
        assert answer.code == 1, answer.said
        assert shop.summary()["reconciliation"] == _found(missing=3, unexplained=3)
        assert {row["corso"] for row in shop.summary()["money"]} == {"0.00"}
        assert broken_identities(shop.summary()) == []


def _found(**counts: int) -> dict[str, int]:
    return dict.fromkeys(COUNTS["reconciliation"], 0) | counts


def test_cancelled_orders_and_negative_lines_of_old_are_loaded_as_they_are(tmp_path: Path) -> None:
    """An order that is cancelled when it is first loaded is created with its cancellation; no DELETE."""
    with running_sandbox("--limit", "0") as sandbox:
        shop = Shop(tmp_path / "shop", sandbox)
        cancelled = order_text(1, source_canceled_on="2026-11-21T10:00:00Z", canceled_reason="fraud")
        free = order_text(2, subtotal_money="0", shipping_money="0", tax_money="0", total_money="0")
        lines = [
            line_text(1),
            line_text(2, price="10", quantity="1", tax="0"),
            line_text(2, 2, price="-10", quantity="1", tax="0"),
        ]
        shop.export([cancelled, free], lines)
        shop.configure()
        answer = shop.run("run")
        assert answer.code == 0, answer.said
        records = {record["sourceOrderId"]: record for record in orders_in(sandbox)}
        assert records["o-1"]["canceledReason"] == "fraud"
        assert sandbox.counts()["requests_by_status"].get("201") == 2


@pytest.mark.slow
def test_two_stores_of_one_credential_with_the_same_order_numbers_keep_their_own(tmp_path: Path) -> None:
    """The listing shows the orders of both; those of the first are not taken for the second's, and not replaced."""
    with running_sandbox("--limit", "0", "--duplicates", "accept") as sandbox:
        shops = [Shop(tmp_path / str(number), sandbox, number) for number in (1, 2)]
        for shop in shops:
            shop.export(good_orders(range(12)))
            shop.configure("upload: {listing_delay_s: 0.2}")
            answer = shop.run("run")
            assert answer.code == 0, answer.said
        assert shops[0].run("reconcile").code == 0
        counts = sandbox.counts()
    assert (counts["orders"], counts["source_orders"]) == (24, 24)
