"""Values planted in every field and every secret, and where they may be found afterwards: in the files below, nowhere else.

The whole road with a Corso that quotes whatever it is sent, then one disaster after another: credentials refused, every
request refused, an error that nobody expected with a customer in its text, a disk that is full, a process that aborts or is
killed, an export without a header, a database and a proxy that do not answer.
"""

import resource
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.loader_process import BATCH, Ended, Shop, environment
from tests.parrot_corso import TOKEN, ParrotCorso, parrot_corso
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

# The scene takes a minute, and two where its tests fall to two processes.
pytestmark = pytest.mark.long

ON_PURPOSE = {
    "results.csv": "every source order as the merchant has it",
    "quarantine.csv": "the bad rows as the merchant has them, to be corrected",
    "reconciliation.xlsx": "both of them, for analysts",
    "reconciliation.parquet": "the values that differ",
    "tables/raw_*": "the export",
    "tables/accepted_*": "the orders that go on",
    "tables/quarantined_orders.parquet": "those that do not",
    "tables/upload_plan.parquet/*": "the payloads",
    "tables/corso_*": "the store's listing",
    "tables/reconciliation.parquet": "the values that differ",
    "tables/healed.parquet": "those that differed",
    "tables/unseen.parquet": "those that look-ups do not see",
    "tables/.*": "drafts of these, of a process that was killed",
    "tables/crash.txt": "the text of the last unexpected error",
    ".scratch-*": "parts of these, of a process that was killed",
    ".results.csv.*": "a draft, of a process that was killed",
}
"""What holds personal data, below the batch's folder, and why. No file at all holds a secret."""

TOLD = ("trace",)
"""Verbs that tell a person at the terminal what is wrong with one order, value and all."""

BOOM = """
import polars as pl
import corso.stages.reconciling as stage
def compare(batch, *_, **__):
    customer = pl.read_parquet(batch.table("accepted_orders")).row(0, named=True)
    secret = batch.settings.credentials().client_secret
    try:
        raise KeyError(f"{customer}")
    except KeyError as error:
        {disaster}
import assets.reconciling
assets.reconciling.reconcile = compare
"""
DISASTERS = {
    "an unexpected error": 'raise ValueError(f"cannot compare {customer} with {secret}") from error',
    "an abort": "import faulthandler, os; faulthandler.enable(); os.abort()",
    "a kill": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
}
FULL_DISK = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (6_000, 6_000))
"""


@dataclass
class Scene:
    """What was run, and what it said."""

    shop: Shop
    said: dict[str, Ended] = field(default_factory=dict)

    def run(self, name: str, verb: str, *arguments: str, before: str = "", **changes: str | None) -> Ended:
        """Run a verb in a process in which `before` happens first."""
        command = ["corso-loader", *self.shop.command(verb, arguments)]
        code = f"{before}\nimport sys\nsys.argv = {command!r}\nfrom pipelines.cli import main\nmain()\n"
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment(**secrets(), **changes),
            cwd=self.shop.folder,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
            preexec_fn=allow_core_dumps,
        )
        self.said[name] = Ended(done.returncode, done.stdout, done.stderr)
        return self.said[name]


def allow_core_dumps() -> None:
    """Where this machine lets a process have them."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


def secrets() -> dict[str, str | None]:
    """Return the environment's secrets."""
    return {
        "CORSO_LOG": "json",
        "CORSO_LOG_LEVEL": "debug",
        "CORSO_CLIENT_SECRET": SECRETS["client secret"],
        "CORSO_ALERT_WEBHOOK": f"https://hooks.invalid/{SECRETS['webhook']}",
        "CORSO_ALERT_MAIL": f"smtp://planted:{SECRETS['mail password']}@127.0.0.1:9",
        "HTTPS_PROXY": f"http://planted:{SECRETS['proxy password']}@127.0.0.1:9",
    }


def configure(shop: Shop, corso: ParrotCorso) -> None:
    """Let everything through that can go through."""
    extra = (
        "upload: {max_rejected: 1.0, canary: 0, listing_delay_s: 0.1}\nvalidation: {max_quarantined: 0.9}\n"
        "limits: {outage_s: 1, requests_per_second: 500}"
    )
    shop.configure(extra, base_url=f"{corso.url}/v1", token_url=f"{corso.url}/oauth/token")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Run all of it once."""
    assert SECRETS["token"] == TOKEN
    with parrot_corso() as corso:
        shop = Shop(tmp_path_factory.mktemp("planted") / "shop")
        shop.export(planted_orders(), planted_lines(), planted_fulfillments())
        configure(shop, corso)
        scene = Scene(shop)
        scene.run("run", "run")
        scene.run("status", "status")
        scene.run("trace", "trace", "o-11")
        scene.run("doctor", "doctor")
        for name, disaster in DISASTERS.items():
            scene.run(name, "reconcile", before=BOOM.replace("{disaster}", disaster))
        scene.run("a full disk", "plan", "--offline", before=FULL_DISK)
        ledger = f"postgresql://planted:{SECRETS['ledger password']}@127.0.0.1:1/ledger"
        scene.run("no database", "status", CORSO_LEDGER_URL=ledger)
        corso.refuses_all = True
        scene.run("every request refused", "retry")
        corso.refuses_tokens = True
        scene.run("credentials refused", "retry")
        shop.configure("", base_url="https://api.invalid/v1", token_url="https://api.invalid/token")
        scene.run("a proxy that does not answer", "doctor")
        configure(shop, corso)
        orders = shop.exports / "orders.csv"
        header, rest = orders.read_text(encoding="utf-8").split("\n", 1)
        assert "customer_email" in header
        orders.write_text(rest, encoding="utf-8")
        scene.run("no header", "plan", "--offline")
        yield scene


CODES = {
    "run": 1,
    "status": 0,
    "trace": 0,
    "doctor": 0,
    "an unexpected error": 3,
    "an abort": -signal.SIGABRT,
    "a kill": -signal.SIGKILL,
    "a full disk": 3,
    "no database": 3,
    "every request refused": 3,
    "credentials refused": 3,
    "a proxy that does not answer": 3,
    "no header": 2,
}


@pytest.mark.parametrize("name", CODES)
def test_what_a_command_says_holds_nothing_that_was_planted(scene: Scene, name: str) -> None:
    """Standard output, standard error and the JSON lines in it; the disaster was the one that was meant."""
    ended = scene.said[name]
    assert ended.code == CODES[name], ended.said
    assert not found_in(ended.said, secrets_only=name in TOLD)


def test_an_unexpected_error_is_told_by_its_class_and_places_and_kept_for_the_owner(scene: Scene) -> None:
    """So that it can be mended all the same."""
    said = scene.said["an unexpected error"].err
    assert "builtins.ValueError" in said
    assert "builtins.KeyError" in said
    assert "in compare" in said
    crash = scene.shop.reports() / "tables" / "crash.txt"
    text = crash.read_text(encoding="utf-8")
    assert "ValueError: cannot compare" in text
    assert not found_in(text, secrets_only=True)


def test_only_files_that_hold_personal_data_on_purpose_hold_it_and_none_holds_a_secret(scene: Scene) -> None:
    """Ledger, logs, reports, figures, Dagster's storage with its events and captured output, drafts of killed processes."""
    batch = scene.shop.reports()
    files = files_below(scene.shop.folder)
    assert {path.suffix for path in files} >= {".sqlite", ".db", ".err", ".html", ".csv", ".parquet", ".xlsx"}
    leaks: dict[str, list[str]] = {}
    holders: set[str] = set()
    for path in files:
        if path.is_relative_to(scene.shop.exports):
            continue
        name = str(path.relative_to(batch)) if path.is_relative_to(batch) else f"/{path.name}"
        patterns = [pattern for pattern in ON_PURPOSE if fnmatch(name, pattern)]
        texts = list(texts_of(path))
        found = [hit for text in texts for hit in found_in(text, secrets_only=bool(patterns))]
        if name == "reconciliation.html":
            # Ids stay on the masked page: those who may look a customer up can.
            found = [hit for hit in found if not hit.startswith(ID_STEM)]
        if found:
            leaks[name] = found
        if patterns and any(found_in(text) for text in texts):
            holders.add(patterns[0])
    assert not leaks
    # The search can find: it does where the data is.
    assert holders >= {
        "results.csv",
        "quarantine.csv",
        "reconciliation.xlsx",
        "tables/raw_*",
        "tables/upload_plan.parquet/*",
    }


def test_everything_that_is_written_is_its_owners_alone(scene: Scene) -> None:
    """Files 0600, folders 0700: also what Dagster writes."""
    work = scene.shop.folder / "work"
    for path in [work, *work.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o077 == 0, f"{path} {mode:o}"


def test_nothing_dumps_its_memory(scene: Scene) -> None:
    """An abort in the middle of a run leaves no core file, whatever the shell allows."""
    assert "Fatal Python error: Aborted" in scene.said["an abort"].err
    pattern = Path("/proc/sys/kernel/core_pattern")
    if not pattern.exists() or pattern.read_text(encoding="utf-8").startswith(("|", "/")):
        pytest.skip(
            "this machine puts core dumps elsewhere: set kernel.core_pattern to `core` to see that there is none"
        )
    assert not [path for path in files_below(scene.shop.folder) if path.name.startswith("core")]


def test_the_scene_is_of_this_batch_alone(scene: Scene) -> None:
    """What is left of killed processes is swept up by the next run of the batch."""
    assert shutil.which("true")
    assert {path.name for path in scene.shop.reports().parent.iterdir() if path.is_dir()} == {BATCH}
