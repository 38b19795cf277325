"""What a person is told, and that it reaches the webhook and the mail server without a secret in what is said of it."""

import pytest

from corso.errors import ApiError, ExportError, NotAuthorised, SettingsError, Stopped
from corso.stages.alerts import MOST_AT_ONCE, Alert, AlertWays, alert_of_error, told_together
from tests.alert_sinks import mail_server

ALERT = Alert(
    "north", "2026-11-22", "12.0% are quarantined.", "Look at the report.", "https://dagster.example/runs/1"
)


def test_an_alert_says_whose_batch_what_happened_and_what_to_do() -> None:
    """In this order, as lines that a phone shows."""
    assert ALERT.text.splitlines() == [
        "corso-loader: store north, batch 2026-11-22: 12.0% are quarantined.",
        "Look at the report.",
        "https://dagster.example/runs/1",
    ]
    assert ALERT.body["text"] == ALERT.text
    assert Alert("north", "", "late.", "Wait.").subject == "corso-loader: store north"


@pytest.mark.parametrize(
    ("error", "happened", "to_do"),
    [
        (Stopped("too many; nothing was sent"), "too many; nothing was sent.", "Look at the batch's report"),
        (
            ExportError("orders.csv:3: ann@example.com"),
            "orders.csv:3: •••.",
            "Have the files delivered again",
        ),
        (
            NotAuthorised("Corso refuses the credentials"),
            "Corso refuses the credentials.",
            "Check CORSO_CLIENT_ID",
        ),
        (SettingsError("loader.yaml:1: no"), "loader.yaml:1: no.", "Mend what it names"),
        (ApiError("odd"), "odd.", "Read the run's log"),
        (OSError("No space left on device"), "No space left on device.", "Mend this"),
        (
            ValueError("Ann Lee"),
            "the run ended with an error that nobody expected (ValueError).",
            "Read the run's",
        ),
    ],
)
def test_each_error_has_its_remedy_and_a_strange_one_says_nothing_of_its_own(
    error: Exception, happened: str, to_do: str
) -> None:
    """What we did not word may hold anything."""
    alert = alert_of_error("north", "2026-11-22", error)
    assert alert.happened == happened
    assert alert.to_do.startswith(to_do)


def test_many_alerts_at_a_time_are_told_as_one() -> None:
    """A file server that was down makes 200 stores late, and one mail is read."""
    assert told_together([ALERT] * MOST_AT_ONCE) == [ALERT] * MOST_AT_ONCE
    many = [Alert(f"s{number}", "2026-11-22", "late.", "Wait.") for number in range(200)]
    (alert,) = told_together(many)
    assert alert.subject == "corso-loader: 200 alerts"
    assert alert.happened.splitlines()[:2] == [
        "store s0, batch 2026-11-22: late.",
        "store s1, batch 2026-11-22: late.",
    ]
    assert len(alert.text) < 5_000


def test_without_ways_nothing_is_sent() -> None:
    """The usual case of a laptop."""
    assert AlertWays.of({}).send(ALERT, post=lambda *_: pytest.fail("posted")) == []


def test_the_webhook_gets_the_alert_and_its_failure_is_told() -> None:
    """The other ways are gone all the same."""
    got = []
    ways = AlertWays.of({"CORSO_ALERT_WEBHOOK": "https://hooks.example/T0KEN"})
    assert ways.send(ALERT, post=lambda url, body: got.append((url, body))) == []
    assert got == [("https://hooks.example/T0KEN", ALERT.body)]
    assert ways.send(ALERT, post=lambda *_: "the webhook answered 404") == ["the webhook answered 404"]
    assert "T0KEN" not in repr(ways)


def mailed(address: str, user: str = "", **changes: str) -> list[str]:
    """Send the alert by mail; return why it did not work."""
    known = {
        "CORSO_ALERT_MAIL": f"smtp://{user}{address}",
        "CORSO_ALERT_FROM": "loader@ops.example",
        "CORSO_ALERT_TO": "night@ops.example, day@ops.example",
    }
    return AlertWays.of(known | changes).send(ALERT)


@pytest.mark.slow
def test_a_mail_reaches_everybody() -> None:
    """With the batch in its subject and the sentences in its body."""
    with mail_server() as (address, told):
        assert mailed(address) == []
    said = "\n".join(told)
    assert "Subject: corso-loader: store north, batch 2026-11-22" in said
    assert "Look at the report." in said
    assert {"rcpt TO:<night@ops.example>", "rcpt TO:<day@ops.example>"} <= set(told)


@pytest.mark.slow
def test_a_password_is_not_sent_in_clear() -> None:
    """A server without STARTTLS does not get it."""
    with mail_server() as (address, told):
        assert mailed(address, "me:hunter2@") == [
            "CORSO_ALERT_MAIL: the server offers no encryption, so the password is not sent to it"
        ]
    assert "hunter2" not in str(told)


@pytest.mark.parametrize(
    ("address", "changes", "said"),
    [
        ("127.0.0.1:9", {}, "the mail server did not take the alert (ConnectionRefusedError)"),
        (
            "127.0.0.1:9",
            {"CORSO_ALERT_TO": " "},
            "CORSO_ALERT_FROM and CORSO_ALERT_TO are needed beside CORSO_ALERT_MAIL",
        ),
        (
            "h:x",
            {},
            "CORSO_ALERT_MAIL must be smtp://user:password@host:587 or smtps://user:password@host:465",
        ),
    ],
)
def test_a_mail_that_cannot_be_sent_is_told(address: str, changes: dict[str, str], said: str) -> None:
    """In a sentence without the URL; nothing is raised, as the alert is not the work."""
    assert mailed(address, **changes) == [said]
