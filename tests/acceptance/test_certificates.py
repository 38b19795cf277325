"""A certificate that somebody forged, and files that somebody damaged: each is told, and nothing else is said to be right."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from corso.report.certificate import Certificate
from corso.settings import read_settings
from corso.stages.verifying import Line, read_certificate, verify
from tests.export_factories import fulfillment_text, line_text, order_text
from tests.loader_process import Shop
from tests.sandbox_process import running_sandbox

pytestmark = pytest.mark.slow

Content = dict[str, Any]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop with three orders in Corso, a fourth in quarantine, and a fulfillment."""
    folder = tmp_path_factory.mktemp("certificates")
    with running_sandbox("--limit", "0") as sandbox:
        shop = Shop(folder / "shop", sandbox)
        shop.export(
            [*(order_text(number) for number in (1, 2, 3)), order_text(4, total_money="much")],
            [line_text(number) for number in (1, 2, 3, 4)],
            [fulfillment_text(1)],
        )
        shop.configure("validation: {max_quarantined: 0.9}")
        assert shop.run("run").code == 1
    return shop


@pytest.fixture
def shop(loaded: Shop, tmp_path: Path) -> Shop:
    """A copy of it."""
    shutil.copytree(loaded.folder, tmp_path / "shop")
    return Shop(tmp_path / "shop")


def forge(shop: Shop, change: Callable[[Content], object]) -> None:
    """Change the certificate and seal it anew: its hash has no key."""
    path = shop.reports() / "certificate.json"
    content = json.loads(path.read_bytes())
    change(content)
    Certificate.model_validate(content).sealed().write(path)


def lines_of(shop: Shop) -> list[Line]:
    """Check the certificate."""
    settings = read_settings(shop.config)
    return list(verify(read_certificate(shop.reports() / "certificate.json", settings), settings))


def wrong_in(shop: Shop) -> list[str]:
    """Return the statements that do not hold."""
    return [line.what for line in lines_of(shop) if not line.is_right]


def test_all_that_can_be_checked_holds_and_the_rest_is_said_to_be_stated(shop: Shop) -> None:
    """The day and the versions stand nowhere else."""
    lines = lines_of(shop)
    assert [line for line in lines if not line.is_right] == []
    assert [line.what for line in lines if line.stated] == ["made", "made by"]
    assert {"verdict", "exit code", "fulfillments created", "environment"} <= {line.what for line in lines}


ALL_GOOD = "All good: all 4 source orders are in Corso and equal, none twice, and the money ties to the cent."


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (lambda it: it.update(verdict=ALL_GOOD), ["verdict"]),
        (lambda it: it.update(exit_code=0), ["exit code"]),
        (
            lambda it: it["fulfillments"].update(created=9999),
            ["planned fulfillments = the sum of fulfillments", "fulfillments created"],
        ),
        (
            lambda it: it["fulfillments"].update(created=0, unchanged=1),
            ["fulfillments created", "fulfillments unchanged"],
        ),
        (lambda it: it.update(inputs=[], outputs=[]), ["list of inputs", "list of outputs"]),
        (lambda it: it["outputs"].pop(0), ["list of outputs"]),
        (lambda it: it["outputs"].pop(), ["list of outputs"]),
        (lambda it: it["inputs"].append(it["inputs"][0] | {"name": "./in/orders.csv"}), ["list of inputs"]),
    ],
)
def test_what_was_forged_and_sealed_anew_does_not_hold(
    shop: Shop, change: Callable[[Content], object], wrong: list[str]
) -> None:
    """Verdict, exit code, fulfillments, the lists of files: what follows from the tables is concluded anew."""
    forge(shop, change)
    assert wrong_in(shop) == wrong


@pytest.mark.parametrize(
    ("change", "stated"),
    [
        (lambda it: it.update(environment="production, api.example.com"), ["made", "made by", "environment"]),
        (lambda it: it.update(not_compared=["notes"]), ["made", "made by", "not compared"]),
        (lambda it: it.update(program="corso-loader 9", verdict=ALL_GOOD), ["made", "made by", "verdict"]),
    ],
)
def test_what_nothing_in_the_batch_says_is_never_right(
    shop: Shop, change: Callable[[Content], object], stated: list[str]
) -> None:
    """It is stated; the verdict that heads the answer is the one that was concluded anew."""
    forge(shop, change)
    assert [line.what for line in lines_of(shop) if line.stated] == stated
    answer = shop.run("reconcile", "--verify", str(shop.reports() / "certificate.json"), batch=None)
    assert answer.code == 0, answer.said
    assert "Needs a look: 1 of 4 source orders" in answer.out.splitlines()[1]
    assert f"{len(stated)} are only stated" in answer.out


def test_a_certificate_of_before_fulfillments_were_kept_says_what_it_lacks(shop: Shop) -> None:
    """It still verifies; how fulfillments ended is stated, and their sum is still counted."""
    name = "tables/fulfillment_outcomes.parquet"
    (shop.reports() / name).unlink()
    forge(shop, lambda it: it.update(outputs=[each for each in it["outputs"] if each["name"] != name]))
    assert wrong_in(shop) == []
    assert "fulfillments" in [line.what for line in lines_of(shop) if line.stated]


def append_a_byte(path: Path) -> None:
    """Make it one byte longer."""
    path.write_bytes(path.read_bytes() + b"\n")


def cut(path: Path) -> None:
    """Take half of it away."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def empty(path: Path) -> None:
    """Take all of it away."""
    path.write_bytes(b"")


def replace_by_a_folder(path: Path) -> None:
    """Put something of another kind there."""
    path.unlink()
    path.mkdir()


def replace_by_another_table(path: Path) -> None:
    """Put a table of other columns there."""
    pl.DataFrame({"other": [1]}).write_parquet(path)


def scribble(path: Path) -> None:
    """Overwrite its middle."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 3
    content[middle : middle + 64] = b"\xff" * 64
    path.write_bytes(content)


DAMAGES = (append_a_byte, cut, empty, Path.unlink, replace_by_a_folder, replace_by_another_table, scribble)


def certified_files(shop: Shop) -> Iterator[str]:
    """Yield the files that a certificate speaks of, and those that lead to them."""
    content = json.loads((shop.reports() / "certificate.json").read_bytes())
    yield from (each["name"] for each in content["outputs"])
    yield "tables/facts.json"


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_wrong_and_all_others_are_still_checked(
    shop: Shop, damage: Callable[[Path], object]
) -> None:
    """Whatever became of it: its statement does not hold, nothing is raised, what other files say is right."""
    kept = shop.folder / "kept"
    for name in certified_files(shop):
        path = shop.reports() / name
        shutil.copyfile(path, kept)
        damage(path)
        lines = lines_of(shop)
        wrong = [line.what for line in lines if not line.is_right]
        assert wrong or name == "tables/facts.json", (name, damage.__name__)
        assert name == "tables/facts.json" or f"output {name}" in wrong, (name, wrong)
        assert sum(line.is_right for line in lines) > 20, (name, wrong)
        if path.is_dir():
            path.rmdir()
        shutil.copyfile(kept, path)
    assert wrong_in(shop) == []


@pytest.mark.parametrize("text", [b"", b"{", b"[5]", b"5", b"[{}]", b"\xff"])
def test_amendments_and_erasures_that_cannot_be_read_are_wrong(shop: Shop, text: bytes) -> None:
    """They are JSON, and anybody may have changed them."""
    for path in (shop.reports() / "amendments.json", shop.reports().parent / "erasures.json"):
        path.write_bytes(text)
        assert wrong_in(shop), path.name
        path.unlink()


def test_the_command_tells_a_damaged_file_line_by_line(shop: Shop) -> None:
    """Exit code 1, as for whatever does not hold; a stray line of results.csv is named, too."""
    certificate = str(shop.reports() / "certificate.json")
    append_a_byte(shop.reports() / "reconciliation.parquet")
    answer = shop.run("reconcile", "--verify", certificate, batch=None)
    assert answer.code == 1, answer.said
    assert "WRONG  output reconciliation.parquet" in answer.out
    assert "WRONG  reconciliation.parquet: certified readable, found not readable" in answer.out
    assert "right  accepted orders: 3" in answer.out
    with (shop.reports() / "results.csv").open("a", encoding="utf-8") as results:
        results.write("stray\n")
    answer = shop.run("reconcile", "--verify", certificate, batch=None)
    assert "WRONG  outcome none: certified 0, found 1" in answer.out
