"""What stops a run in the middle: each guard with its exit code and one sentence, each followed by the same command."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.export_factories import fulfillment_text
from tests.loader_process import Ended, Shop, ended, good_orders, wait_until
from tests.other_corso import OtherCorso, other_corso
from tests.sandbox_process import RunningSandbox, running_sandbox

pytestmark = pytest.mark.slow

COUNT = 60


def a_shop(folder: Path, sandbox: RunningSandbox | None = None) -> Shop:
    """Return a shop with so many orders."""
    shop = Shop(folder / "shop", sandbox)
    shop.export(good_orders(range(COUNT)))
    return shop


def goes_on(shop: Shop, db: Path, extra: str = "") -> None:
    """Run the same command against the same Corso in good health: everything is there, and was sent once."""
    with running_sandbox("--limit", "0", "--duplicates", "accept", db=db) as sandbox:
        shop.sandbox = sandbox
        shop.configure(extra)
        answer = shop.run("run")
        assert answer.code == 0, answer.said
        counts = sandbox.counts()
        assert (counts["orders"], counts["source_orders"]) == (COUNT, COUNT)
        assert shop.summary()["reconciliation"]["matched"] == COUNT


def test_a_403_in_mid_upload_stops_at_once(tmp_path: Path) -> None:
    """Exit code 3; nothing is in doubt, since a 403 says that nothing was done."""
    db = tmp_path / "corso.sqlite"
    with running_sandbox("--limit", "0", "--duplicates", "accept", "--forbid-after", "50", db=db) as sandbox:
        shop = a_shop(tmp_path, sandbox)
        shop.configure("limits: {max_in_flight: 4}")
        answer = shop.run("run")
        assert answer.code == 3, answer.said
        assert "403" in answer.sentence
        states = shop.states()["orders"]
        assert states["accepted"] == sandbox.counts()["orders"] < COUNT
        assert states.keys() == {"accepted", "planned"}
        assert shop.summary()["exit_code"] == 3
    goes_on(shop, db)


def test_an_outage_that_outlasts_the_patience_opens_the_circuit(tmp_path: Path) -> None:
    """Exit code 3 after limits.outage_s; the sandbox is killed in the middle, and comes back for the same command."""
    db = tmp_path / "corso.sqlite"
    with running_sandbox("--limit", "0", "--duplicates", "accept", "--latency", "0.05", db=db) as sandbox:
        shop = a_shop(tmp_path, sandbox)
        shop.configure("limits: {max_in_flight: 4, outage_s: 2}")
        process = shop.start("run")
        wait_until(sandbox, 30, process)
        sandbox.kill()
        stopped = ended(process)
    assert stopped.code == 3, stopped.said
    assert "Corso cannot be read now" in stopped.sentence or "the circuit is open" in stopped.sentence
    assert shop.summary()["exit_code"] == 3
    goes_on(shop, db)


def test_too_long_a_wait_parks_the_run_and_says_until_when(tmp_path: Path) -> None:
    """Exit code 75: the quota is used up for an hour. It does not wait, and it does not hammer."""
    db = tmp_path / "corso.sqlite"
    quota = ("--limit", "40", "--window", "3600", "--headers", "429")
    with running_sandbox(*quota, "--duplicates", "accept", db=db) as sandbox:
        shop = a_shop(tmp_path, sandbox)
        shop.configure("limits: {max_in_flight: 4, requests_per_second: 100}")
        answer = shop.run("run")
        assert answer.code == 75, answer.said
        assert "until" in answer.sentence
        assert shop.states()["orders"].keys() <= {"accepted", "planned"}
        assert sandbox.counts()["requests_by_status"]["429"] <= 4
        assert shop.summary()["exit_code"] == 75
    goes_on(shop, db)


def in_the_other_corso(shop: Shop, corso: OtherCorso, extra: str = "") -> Ended:
    """Run the command against the other implementation."""
    lines = "\n".join(("limits: {requests_per_second: 200}", extra))
    shop.configure(lines, base_url=f"{corso.url}/v1", token_url=f"{corso.url}/oauth/token")
    return shop.run("run")


def sources_in(corso: OtherCorso) -> Counter[str]:
    """Count the records of each source order."""
    return Counter(record["sourceOrderId"] for record in corso.orders.values())


def test_a_canary_that_comes_back_different_stops_the_rest(tmp_path: Path) -> None:
    """Exit code 3: it names the member and an order; told to ignore it, the same command goes on."""
    shop = a_shop(tmp_path)
    with other_corso(forgets=frozenset({"orderName"})) as corso:
        answer = in_the_other_corso(shop, corso)
        assert answer.code == 3, answer.said
        assert "20 of the first 20 orders are in Corso with something else" in answer.sentence
        assert "orderName (20)" in answer.sentence
        assert len(corso.orders) == 20
        again = in_the_other_corso(shop, corso)
        assert (again.code, len(corso.orders)) == (3, 20)
        told = in_the_other_corso(shop, corso, "reconcile: {ignore: [order_name]}")
        assert told.code == 0, told.said
        assert set(sources_in(corso).values()) == {1}
        assert len(corso.orders) == COUNT


def test_a_canary_that_is_rejected_stops_the_rest(tmp_path: Path) -> None:
    """Exit code 3, the API's words in results.csv and by `trace`, grouped by `retry`, which goes on once it is mended."""
    shop = a_shop(tmp_path)
    with other_corso(refuses=lambda _order: True) as corso:
        answer = in_the_other_corso(shop, corso)
        assert answer.code == 3, answer.said
        assert "the API rejected 20 of " in answer.sentence
        assert (
            shop.summary()["outcome"] | {"rejected": 20, "not_sent": COUNT - 20} == shop.summary()["outcome"]
        )
        rejected = [row for row in shop.table("results") if row["outcome"] == "rejected"]
        assert all("we do not ship there" in row["reason"] for row in rejected)
        told = shop.run("trace", rejected[0]["source_order_id"])
        assert "we do not ship there" in told.out
        corso.refuses = lambda _order: False
        retried = shop.run("retry")
        assert retried.code == 0, retried.said
        # One line for twenty orders: what differs from one to the other is left out.
        causes = [line for line in retried.out.splitlines() if "we do not ship there" in line]
        assert len(causes) == 1
        assert causes[0].startswith("20 rejected, e.g. of order o-")
        assert set(sources_in(corso).values()) == {1}
        assert len(corso.orders) == COUNT


def test_too_many_rejects_stop_the_run(tmp_path: Path) -> None:
    """Exit code 3 after upload.max_rejected, not after all of them."""
    shop = Shop(tmp_path / "shop")
    shop.export(good_orders(range(400)))

    def refuses(order: dict[str, Any]) -> bool:
        return int(order["sourceOrderId"].removeprefix("o-")) % 3 == 0

    with other_corso(refuses=refuses) as corso:
        answer = in_the_other_corso(shop, corso, "upload: {canary: 0}")
        assert answer.code == 3, answer.said
        assert "the API rejected" in answer.sentence
        assert "upload.max_rejected allows 10" in answer.sentence
        assert len(corso.orders) < 400 * 2 / 3


def test_a_second_loader_with_the_same_credentials_is_refused(tmp_path: Path) -> None:
    """Another workdir, another ledger, another store: one sender per credential, and it says who that is."""
    with running_sandbox("--limit", "0", "--latency", "0.2", "--duplicates", "accept") as sandbox:
        first_shop, second_shop = (Shop(tmp_path / name, sandbox) for name in ("one", "two"))
        for shop in (first_shop, second_shop):
            shop.export(good_orders(range(COUNT)))
            shop.configure("limits: {max_in_flight: 1}")
        first = first_shop.start("upload")
        wait_until(sandbox, 2, first)
        second = second_shop.run("upload")
        assert second.code == 3, second.said
        assert f"these credentials are in use by another loader (process {first.pid} on " in second.sentence
        first.terminate()
        assert ended(first).code == 130


def test_a_fulfillment_of_the_night_reaches_corso_before_the_cancellation_does(tmp_path: Path) -> None:
    """Shipped and then cancelled on one day: Corso takes nothing about a cancelled order."""
    with running_sandbox("--limit", "0") as sandbox:
        shop = Shop(tmp_path / "shop", sandbox)
        shop.export(good_orders(range(3)))
        shop.configure()
        assert shop.run("run", batch="monday").code == 0
        orders = good_orders(range(3))
        orders[1] |= {"source_canceled_on": "2026-11-21T10:00:00Z", "canceled_reason": "customer"}
        shop.export(orders, fulfillments=[fulfillment_text(number) for number in (1, 2)])
        answer = shop.run("run", "--json", batch="tuesday")
        assert answer.code == 0, answer.said
        summary = json.loads(answer.out)
        assert (summary["outcome"]["cancelled"], summary["fulfillments"]["created"]) == (1, 2)
        counts = sandbox.counts()
        assert (counts["cancelled_orders"], counts["fulfillments"]) == (1, 2)
