"""Values planted in every field and every secret, in nights that nobody watches: what a daemon, its sensors and its alerts leave.

One store needs a look, one is stopped by a guard, one has an export without a header, one is refused by Corso, one breaks
with a customer in the error's text, one has a secret in its loader.yaml; and a sensor's look fails. Alerts go to a webhook
and, over TLS and with a password, to a mail server. Nothing of it may be told in them, in logs, in Dagster's storage or in metrics.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.scheduler.instigation import InstigatorTick, TickStatus

from assets.run_tags import ENDED_TAG, SAID_TAG
from tests.acceptance.test_planted_secrets import ON_PURPOSE
from tests.alert_sinks import mail_server, webhook
from tests.certificates import Authority
from tests.daemon_process import running_daemon
from tests.loader_process import BATCH, STORE_ID, Shop
from tests.parrot_corso import ParrotCorso, parrot_corso
from tests.planted import (
    ID_STEM,
    SECRETS,
    files_below,
    found_in,
    planted_fulfillments,
    planted_lines,
    planted_orders,
    texts_of,
)

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

FILES = {name: f"{{batch}}/{name}.csv" for name in ("orders", "line_items", "fulfillments")}
OF_ITS_OWN = "planted-of-one-store-66"
"""The secret that stands in one store's own .env."""
ENDS = {
    "look": None,
    "guard": "Stopped",
    "header": "ExportError",
    "refused": "NotAuthorised",
    "crash": "ValueError",
}
"""Store -> the class of what ended its run; None where it came to its end."""


@dataclass
class Night:
    """What is left of it."""

    folder: Path
    posted: list[dict[str, str]]
    mailed: list[str]
    runs: dict[str, dg.DagsterRun]
    ticks: dict[str, list[InstigatorTick]]
    """Sensor -> its ticks."""


def shop(landing: Path, name: str, corso: ParrotCorso, quarantined: float = 0.9) -> Shop:
    """Make a store with one complete batch."""
    made = Shop(landing / name, files=FILES, store_id=STORE_ID + list(ENDS).index(name))
    extra = (
        "upload: {max_rejected: 1.0, canary: 0, listing_delay_s: 0.1}\n"
        f"validation: {{max_quarantined: {quarantined}}}\nlimits: {{outage_s: 1, requests_per_second: 500}}"
    )
    made.configure(extra, base_url=f"{corso.url}/v1", token_url=f"{corso.url}/oauth/token")
    made.export(planted_orders(), planted_lines(), planted_fulfillments())
    made.exports.rename(landing / name / BATCH)
    return made


def shops(landing: Path, corso: ParrotCorso, refusing: ParrotCorso) -> None:
    """Make all of them."""
    shop(landing, "look", corso)
    own = f"CORSO_CLIENT_ID=planted\nCORSO_CLIENT_SECRET={OF_ITS_OWN}\n"
    (landing / "look" / ".env").write_text(own, encoding="utf-8")
    (landing / "look" / BATCH / "_FAIL_THE_LOOK").touch()
    shop(landing, "guard", corso, quarantined=0.01)
    shop(landing, "header", corso)
    orders = landing / "header" / BATCH / "orders.csv"
    orders.write_text(orders.read_text(encoding="utf-8").split("\n", 1)[1], encoding="utf-8")
    shop(landing, "refused", refusing)
    shop(landing, "crash", corso)
    for name in ENDS:
        (landing / name / BATCH / "_COMPLETE").touch()
    pasted = Shop(landing / "pasted", files=FILES, store_id=1)
    pasted.configure(f"upload: {{client_secret: {SECRETS['client secret']}}}")
    (landing / "pasted" / BATCH).mkdir()


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """Let it pass."""
    folder = tmp_path_factory.mktemp("night")
    landing = folder / "landing"
    authority = Authority(folder)
    with (
        parrot_corso() as corso,
        parrot_corso() as refusing,
        webhook(SECRETS["webhook"]) as (url, posted),
        mail_server(authority.server("localhost")) as (address, mailed),
    ):
        refusing.refuses_all = True
        shops(landing, corso, refusing)
        mail = f"smtps://planted:{SECRETS['mail password']}@localhost:{address.rpartition(':')[2]}"
        with running_daemon(
            folder / "home",
            landing,
            location="tests.planted_location",
            patience_s=400,
            CORSO_CLIENT_SECRET=SECRETS["client secret"],
            CORSO_ALERT_WEBHOOK=url,
            CORSO_ALERT_MAIL=mail,
            CORSO_ALERT_FROM="loader@ops.example",
            CORSO_ALERT_TO="night@ops.example",
            CORSO_METRICS_DIR=str(folder / "metrics"),
            CORSO_LOG="json",
            CORSO_LOG_LEVEL="debug",
            SSL_CERT_FILE=str(authority.ca_file),
        ) as daemon:
            runs = {name: daemon.wait_for_run(f"{name}/{BATCH}", 1) for name in ENDS}
            daemon.wait_for("an alert of each store", lambda: len(stores_told(posted)) == len(ENDS) + 1)
            daemon.wait_for("their mails", lambda: mailed.count(".") >= len(posted))
            instigators = daemon.instance.all_instigator_state()
            ticks = {
                each.origin.instigator_name: list(
                    daemon.instance.get_ticks(each.instigator_origin_id, each.selector_id)
                )
                for each in instigators
            }
        yield Night(folder, posted, mailed, runs, ticks)


def stores_told(posted: list[dict[str, str]]) -> set[str]:
    """Return the stores that alerts were about."""
    return {each["store"] for each in posted}


def leaks(text: str) -> list[str]:
    """Return what was planted and stands in a text."""
    return found_in(text) + ([OF_ITS_OWN] if OF_ITS_OWN in text else [])


def test_the_disasters_were_the_ones_that_were_meant(night: Night) -> None:
    """And each run says in its tags what ended it, and nothing of the data."""
    assert {name: run.tags.get(ENDED_TAG) for name, run in night.runs.items()} == ENDS
    assert "its text may" not in night.runs["guard"].tags[SAID_TAG]
    assert not leaks(str([run.tags for run in night.runs.values()]))
    assert not leaks(str([run.run_config for run in night.runs.values()]))


def test_webhook_and_mail_get_sentences_without_a_customer_or_a_secret(night: Night) -> None:
    """Bodies, and every line of the mails, header fields too; the password was used, and only to be let in."""
    assert stores_told(night.posted) == {*ENDS, "pasted"}
    assert not leaks(str(night.posted))
    is_said = [line for line in night.mailed if not line.upper().startswith("AUTH ")]
    assert len(is_said) < len(night.mailed)
    assert any(line.startswith("Subject: corso-loader: store guard, batch") for line in is_said)
    assert not leaks("\n".join(is_said))
    crash = next(each for each in night.posted if each["store"] == "crash")
    assert crash["happened"] == "the run ended with an error that nobody expected (ValueError)."


def test_ticks_keep_neither_texts_of_errors_nor_what_was_looked_at(night: Night) -> None:
    """Errors, skip reasons, cursors and requested runs of all sensors; the look that failed is among them."""
    assert {"new_batches", "alert_on_failure", "alert_on_a_look", "watch_the_nights"} <= night.ticks.keys()
    failed = [tick for tick in night.ticks["new_batches"] if tick.status is TickStatus.FAILURE]
    assert len(failed) == 1
    assert failed[0].error is not None
    assert "ValueError (its text may hold personal data" in str(failed[0].error)
    skipped = [tick.skip_reason or "" for tick in night.ticks["new_batches"]]
    assert any("client_secret' does not belong here" in reason for reason in skipped)
    for name, ticks in night.ticks.items():
        assert any(tick.cursor or tick.skip_reason or tick.run_ids for tick in ticks), name
        assert not leaks(str([tick.tick_data for tick in ticks])), name


def test_nothing_that_the_night_left_holds_what_was_planted_but_the_tables_that_have_to(night: Night) -> None:
    """Dagster's databases row by row, captured output, the daemon's log, metrics, reports of every store."""
    found: dict[str, list[str]] = {}
    looked_at: set[str] = set()
    landing = night.folder / "landing"
    for path in files_below(night.folder):
        if path.is_relative_to(landing) and "work" not in path.parts:
            continue
        looked_at.add(path.suffix)
        below = path.parts[path.parts.index(BATCH) + 1 :] if BATCH in path.parts else ()
        name = "/".join(below) or f"/{path.name}"
        is_meant = any(fnmatch(name, pattern) for pattern in ON_PURPOSE)
        texts = [*texts_of(path), *rows_of(path)]
        hits = [hit for text in texts for hit in found_in(text, secrets_only=is_meant)]
        hits += [OF_ITS_OWN for text in texts if OF_ITS_OWN in text]
        if name == "reconciliation.html":
            hits = [hit for hit in hits if not hit.startswith(ID_STEM)]
        if hits:
            found[str(path.relative_to(night.folder))] = hits
    assert not found
    assert looked_at >= {".db", ".sqlite", ".log", ".prom", ".err", ".html", ".parquet", ".csv"}
    assert not [path for path in files_below(night.folder) if path.name.startswith("core")]


def rows_of(path: Path) -> Iterator[str]:
    """Yield the rows of a database: what is packed over several of its pages is no text of the file."""
    if path.suffix not in {".db", ".sqlite"} or not path.read_bytes().startswith(b"SQLite format 3"):
        return
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            yield "\n".join(map(str, database.execute(f'SELECT * FROM "{table}"')))
