"""The quota and the time of day, seen from outside: what a plan forecasts, and a run that has to be over by a time."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.loader_process import Shop, good_orders
from tests.sandbox_process import running_sandbox

pytestmark = pytest.mark.slow


def test_a_run_parks_at_its_time_and_the_same_command_goes_on(tmp_path: Path) -> None:
    """Nothing is sent after it, every order is in a named state, and nothing is sent twice."""
    with running_sandbox("--limit", "200", "--window", "10") as sandbox:
        shop = Shop(tmp_path, sandbox)
        shop.export(good_orders(range(300)))
        shop.configure()
        until = datetime.now(UTC) + timedelta(seconds=14)

        parked = shop.run("run", "--until", until.isoformat())

        assert parked.code == 75, parked.said
        assert "as --until asked: run the same command again to go on" in parked.sentence
        assert timedelta(0) <= datetime.now(UTC) - until < timedelta(seconds=8)
        sent, summary = sandbox.counts()["orders"], shop.summary()
        assert sent < 300
        assert summary["exit_code"] == 75
        assert summary["outcome"]["unknown"] == summary["outcome"]["rejected"] == 0
        if sent:
            assert set(shop.states()["orders"]) <= {"accepted", "planned"}
            assert shop.states()["orders"]["accepted"] == sent
            assert (summary["outcome"]["created"], summary["outcome"]["not_sent"]) == (sent, 300 - sent)
            assert "as --until asked" in (shop.reports() / "reconciliation.html").read_text(encoding="utf-8")

        ended = shop.run("run")

        assert ended.code == 0, ended.said
        counts = sandbox.counts()
        assert counts["orders"] == counts["source_orders"] == 300
        assert counts["requests_by_status"]["201"] == 300


@pytest.mark.long
def test_what_one_run_found_by_refusals_the_next_one_keeps_to(tmp_path: Path) -> None:
    """An API that tells no quota refuses the first night something, and the second one nothing."""
    with running_sandbox("--limit", "20", "--window", "2", "--headers", "never") as sandbox:
        shop = Shop(tmp_path, sandbox)
        shop.configure()

        def night(orders: range) -> int:
            """Load some more orders; return how many requests were refused."""
            shop.export(good_orders(orders))
            before = sandbox.counts()["requests_by_status"].get("429", 0)
            ended = shop.run("run", "--batch", f"night-{orders.start}")
            assert ended.code == 0, ended.said
            return int(sandbox.counts()["requests_by_status"].get("429", 0)) - before

        assert night(range(60)) > 0
        shop.export(good_orders(range(60, 100)))
        planned = shop.run("plan", "--batch", "night-60", "--offline")
        assert "requests a second, of which the loader may use 80 %" in planned.out
        assert "An upload found this out on " in planned.out
        assert night(range(60, 100)) == 0
        assert sandbox.counts()["orders"] == 100


@pytest.mark.parametrize(
    ("until", "said"),
    [
        ("soon", "--until soon: say HH:MM or YYYY-MM-DD HH:MM, in the store's time (America/New_York)"),
        ("2020-01-01 06:00", "--until 2020-01-01 06:00 is past: it is "),
    ],
)
@pytest.mark.parametrize("verb", ["run", "upload", "retry"])
def test_a_time_that_cannot_be_is_refused_before_anything_is_done(
    tmp_path: Path, verb: str, until: str, said: str
) -> None:
    """Exit code 2, and no file."""
    shop = Shop(tmp_path)
    shop.export(good_orders(range(3)))
    shop.configure()
    refused = shop.run(verb, "--until", until)
    assert refused.code == 2, refused.said
    assert said in refused.sentence
    assert not (tmp_path / "work").exists()


def test_a_wrong_calendar_is_refused_with_line_and_key(tmp_path: Path) -> None:
    """As every other wrong key."""
    shop = Shop(tmp_path)
    shop.export(good_orders(range(3)))
    shop.configure("limits:\n  calendar:\n    - {days: mon-fry, share: 0.3}")
    refused = shop.run("plan", "--offline")
    assert refused.code == 2, refused.said
    assert "loader.yaml:6: limits.calendar.0.days: 'fry' is no day" in refused.sentence


def forecast(shop: Shop, *arguments: str, **changes: str | None) -> str:
    """Run a plan; return the sentence of its forecast."""
    planned = shop.run("plan", *arguments, **changes)
    assert planned.code == 0, planned.said
    (sentence,) = [line for line in planned.out.splitlines() if line.startswith("Forecast: ")]
    return sentence


def test_a_plan_forecasts_by_the_quota_that_is_told_and_then_by_what_was_measured(tmp_path: Path) -> None:
    """A wide range from one answer; after an upload a narrow one, also offline."""
    with running_sandbox("--limit", "40", "--window", "2") as sandbox:
        shop = Shop(tmp_path, sandbox)
        shop.export(good_orders(range(200)))
        shop.configure()

        told = forecast(shop)

        assert "about 205 requests (200 orders, 0 fulfillments, 5 pages): 64 s to 128 s" in told
        assert (
            "at 40 requests per 10 to 20 s, of which the loader may use 80 %; if it runs now, done by about"
            in told
        )
        assert sandbox.counts()["requests_by_status"] == {"200": 1}
        assert not list((tmp_path / "work").glob("ledger*"))

        assert shop.run("run").code == 0
        shop.export(good_orders(range(1000, 1200)))
        measured = forecast(shop, "--offline")

        assert (
            "13 s to 15 s at 40 requests per 2 s, of which the loader may use 80 %; if it runs now"
            in measured
        )
        assert "An upload measured this on " in measured
        assert "others used " in measured


@pytest.mark.parametrize(
    ("arguments", "changes", "said"),
    [
        (["--offline"], {}, "how long is not known: --offline asks nothing of the API."),
        (
            [],
            {"CORSO_CLIENT_SECRET": None},
            "how long is not known: no credentials are set, so the API was not asked.",
        ),
        ([], {"CORSO_CLIENT_SECRET": "wrong"}, "how long is not known: the credentials were refused (401)."),
        ([], {}, "how long is not known: the API tells none."),
    ],
)
def test_what_cannot_be_learnt_is_said_and_does_not_fail_the_plan(
    tmp_path: Path, arguments: list[str], changes: dict[str, str | None], said: str
) -> None:
    """Exit code 0 all the same."""
    with running_sandbox("--limit", "0") as sandbox:
        shop = Shop(tmp_path, sandbox)
        shop.export(good_orders(range(3)))
        shop.configure()
        assert said in forecast(shop, *arguments, **changes)


def test_an_api_that_cannot_be_reached_does_not_fail_the_plan(tmp_path: Path) -> None:
    """The configured pace is there to forecast by."""
    shop = Shop(tmp_path)
    shop.export(good_orders(range(3)))
    shop.configure("limits: {requests_per_second: 4}")
    sentence = forecast(shop)
    assert "about 1 s at 4 requests a second; if it runs now, done by about " in sentence
    assert sentence.endswith(" The quota is not known: the API cannot be reached.")
