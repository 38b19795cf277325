"""What is wrong is said in one sentence, with its exit code, and before anything was sent."""

import gzip
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest

from tests.export_factories import csv_text, order_text
from tests.loader_process import REPORTS, Ended, Shop, ended, environment, good_orders, loader, start
from tests.sandbox_process import running_sandbox

pytestmark = pytest.mark.slow

VERBS = (
    "demo", "inspect", "plan", "upload", "reconcile", "run", "retry", "status", "trace", "sandbox", "ui",
)  # fmt: skip
HEAVY = "import runpy, sys; sys.argv[1:] = {arguments!r}\ntry: runpy.run_module('pipelines.cli', run_name='__main__')\nexcept SystemExit as end: print('ended', end.code, *sorted({{'dagster', 'polars', 'pandera'}} & set(sys.modules)))"


def test_help_of_every_verb_is_there_without_the_heavy_imports() -> None:
    """Who asks for help must not wait for Dagster and polars."""
    for verb in VERBS:
        code = HEAVY.format(arguments=[verb, "--help"])
        answer = subprocess.run(
            [sys.executable, "-c", code], check=False, env=environment(), capture_output=True, text=True
        )
        assert answer.stdout.splitlines()[-1] in {"ended 0", "ended None"}, (verb, answer)
        assert "usage" in answer.stdout.casefold(), verb
    everything = loader("--help")
    assert everything.code == 0
    assert all(verb in everything.out for verb in VERBS)
    assert "130 interrupted" in " ".join(everything.out.split())


def orders_csv(shop: Shop, content: bytes) -> None:
    """Put these bytes in place of orders.csv."""
    (shop.exports / "orders.csv").write_bytes(content)


def missing(shop: Shop) -> None:
    """Take orders.csv away."""
    (shop.exports / "orders.csv").unlink()


def broken_parquet(shop: Shop) -> None:
    """Cut the end, and with it the index, off a Parquet file."""
    path = shop.exports / "line_items.parquet"
    pl.read_csv(shop.exports / "line_items.csv").write_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    (shop.exports / "line_items.csv").unlink()


def truncated_gzip(shop: Shop) -> None:
    """Cut a compressed file in its middle."""
    packed = gzip.compress(csv_text(good_orders(range(2000))).encode())
    missing(shop)
    (shop.exports / "orders.csv.gz").write_bytes(packed[: len(packed) // 2])


TEXT = csv_text([order_text(1), order_text(2)])
BAD_FILES: dict[str, tuple[Callable[[Shop], None], list[str]]] = {
    "missing": (missing, ["exports.orders", "in/orders*.csv*"]),
    "empty": (lambda shop: orders_csv(shop, b""), ["in/orders.csv", "empty"]),
    "header only": (lambda shop: orders_csv(shop, TEXT.splitlines()[0].encode()), ["no order"]),
    "wrong delimiter": (
        lambda shop: orders_csv(shop, TEXT.replace(",", ";").encode()),
        ["in/orders.csv:1", "semicolon"],
    ),
    "not UTF-8": (
        lambda shop: orders_csv(shop, TEXT.replace("Springfield", "Zürich").encode("latin-1")),
        ["in/orders.csv", "2"],
    ),
    "broken Parquet": (broken_parquet, ["in/line_items.parquet"]),
    "truncated gzip": (truncated_gzip, ["in/orders.csv.gz"]),
}
"""What is wrong with the export -> how to make it, and what the sentence names."""


def test_a_file_that_cannot_be_read_is_named_and_nothing_is_sent(tmp_path: Path) -> None:
    """Exit code 2, one sentence with the file, never a traceback; the network is not even asked for."""
    shops = {}
    for name, (spoil, _) in BAD_FILES.items():
        shops[name] = Shop(tmp_path / name)
        shops[name].export([order_text(1), order_text(2)])
        spoil(shops[name])
        shops[name].configure()
    for name, answer in all_run(shops).items():
        assert answer.code == 2, (name, answer.said)
        for fact in BAD_FILES[name][1]:
            assert fact in answer.sentence, (name, answer.sentence)


def all_run(shops: dict[str, Shop]) -> dict[str, Ended]:
    """Run `run` on all of them, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(shops, pool.map(lambda shop: shop.run("run"), shops.values()), strict=True))


BAD_SETTINGS = {
    "unknown key": ("uplod: {canary: 5}", ["loader.yaml:4", "unknown key 'uplod'", "did you mean 'upload'?"]),
    "unknown inner key": ("limits:\n  max_inflight: 5", ["loader.yaml:5", "max_inflight", "'max_in_flight'"]),
    "wrong type": ("limits: {share: much}", ["loader.yaml:4", "limits.share"]),
    "not YAML": ("limits: {share: 1", ["loader.yaml:"]),
}


def test_a_mistake_in_loader_yaml_is_named_with_its_line_and_the_nearest_key(tmp_path: Path) -> None:
    """Exit code 2."""
    shops = {}
    for name, (extra, _) in BAD_SETTINGS.items():
        shops[name] = Shop(tmp_path / name)
        shops[name].configure(extra)
    for name, answer in all_run(shops).items():
        assert answer.code == 2, (name, answer.said)
        for fact in BAD_SETTINGS[name][1]:
            assert fact in answer.sentence, (name, answer.sentence)


def test_credentials_are_asked_for_and_never_go_out_in_clear(tmp_path: Path) -> None:
    """None: exit code 2. http:// to another machine: exit code 2. Nothing is resolved, nothing is sent."""
    shop = Shop(tmp_path)
    shop.export(good_orders([1]))
    shop.configure()
    none = shop.run("run", CORSO_CLIENT_ID=None, CORSO_CLIENT_SECRET=None)
    assert none.code == 2
    assert "CORSO_CLIENT_ID and CORSO_CLIENT_SECRET not set" in none.sentence
    half = shop.run("run", CORSO_CLIENT_SECRET="")
    assert (half.code, "CORSO_CLIENT_SECRET not set" in half.sentence) == (2, True)
    shop.configure(token_url="http://auth.example.com/oauth/token")
    clear = shop.run("run")
    assert clear.code == 2
    assert "loader.yaml:3" in clear.sentence
    assert "http:// to auth.example.com would send the credentials in clear" in clear.sentence
    # What does not talk to Corso needs no credentials.
    shop.configure()
    assert shop.run("plan", CORSO_CLIENT_ID=None, CORSO_CLIENT_SECRET=None).code == 0
    assert loader("run", "-c", tmp_path / "nowhere.yaml").code == 2


def everything_below(folder: Path) -> bytes:
    """Return the bytes of all files below a folder, one after the other."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_wrong_credentials_stop_in_one_sentence_and_are_nowhere_to_be_found(tmp_path: Path) -> None:
    """Exit code 3; neither output nor logs nor reports nor Dagster's history hold the secret, good or bad."""
    secret = "s3cr3t-that-nobody-may-see"
    with running_sandbox("--client-secret", "another-" + secret) as sandbox:
        shop = Shop(tmp_path / "shop", sandbox)
        shop.export(good_orders(range(1, 4)))
        shop.configure()
        wrong = shop.run("run", CORSO_CLIENT_SECRET=secret)
        assert wrong.code == 3, wrong.said
        assert "refused the credentials" in wrong.sentence
        assert (shop.summary()["exit_code"], shop.summary()["outcome"]["not_sent"]) == (3, 3)
        assert shop.states()["orders"] == {}
        assert sandbox.counts()["orders"] == 0

        right = shop.run("run", CORSO_CLIENT_SECRET="another-" + secret)
        assert right.code == 0, right.said
    written = everything_below(tmp_path)
    assert len(written) > 10_000
    assert secret.encode() not in written
    assert secret not in wrong.said + right.said
    assert b"Bearer ey" not in written


def test_a_store_that_is_not_ours_stops_at_once(tmp_path: Path) -> None:
    """403: exit code 3, nothing in between, nothing created."""
    with running_sandbox("--store", "1", "--limit", "0") as sandbox:
        shop = Shop(tmp_path / "shop", sandbox)
        shop.export(good_orders(range(1, 60)))
        shop.configure()
        answer = shop.run("run")
        assert answer.code == 3, answer.said
        assert "403" in answer.sentence
        # The canary, and no more.
        assert shop.states()["orders"] == {"planned": 20}
        counts = sandbox.counts()
        assert (counts["orders"], shop.summary()["exit_code"]) == (0, 3)
        assert counts["requests_by_status"]["403"] <= 20


def test_too_many_quarantined_send_nothing_and_say_why(tmp_path: Path) -> None:
    """Exit code 3; quarantine.csv and summary.json are there to read."""
    shop = Shop(tmp_path)
    shop.export(
        [*good_orders(range(1, 9)), order_text(9, total_money="99"), order_text(10, customer_email=None)]
    )
    shop.configure()
    answer = shop.run("run")
    assert answer.code == 3, answer.said
    assert "20.0% of the source orders are quarantined" in answer.sentence
    assert "nothing was sent" in answer.sentence
    summary = shop.summary()
    assert (summary["exit_code"], summary["quarantined"]["orders"]) == (3, 2)
    assert (summary["outcome"]["not_sent"], summary["requests"]["sent"]) == (8, 0)
    assert {row["source_order_id"] for row in shop.table("quarantine")} == {"o-9", "o-10"}
    assert {path.name for path in shop.reports().iterdir() if path.is_file()} < REPORTS
    assert not list((tmp_path / "work").glob("ledger*"))


def test_a_second_loader_on_the_same_ledger_is_refused(tmp_path: Path) -> None:
    """One sender at a time; the second is told who the first is and harms nobody."""
    with running_sandbox("--limit", "0", "--latency", "0.2", "--duplicates", "accept") as sandbox:
        shop = Shop(tmp_path / "shop", sandbox)
        shop.export(good_orders(range(2000)))
        # While a canary is read back, the ledger has nothing but that.
        shop.configure("limits: {max_in_flight: 1}\nupload: {canary: 0}")
        first = shop.start("upload")
        while sandbox.counts()["orders"] < 2:
            assert first.poll() is None, first.communicate()
        second = shop.run("upload")
        assert second.code == 3, second.said
        assert f"in use by another loader (process {first.pid} on " in second.sentence
        first.terminate()
        assert ended(first).code == 130
        assert shop.states()["orders"].keys() == {"accepted", "planned"}
        assert sandbox.counts()["source_orders"] == sandbox.counts()["orders"]


def test_production_is_asked_for(tmp_path: Path) -> None:
    """Without a terminal only --yes sends to production."""
    path = tmp_path / "loader.yaml"
    path.write_text('store: {id: 1}\nexports: {orders: "o.csv"}\ncorso: {environment: production}\n')
    (tmp_path / "o.csv").write_text("a\n1\n")
    answer = ended(start("upload", "-c", path))
    assert answer.code == 2
    assert "--yes" in answer.sentence
