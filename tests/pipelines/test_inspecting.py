"""The command `inspect`: what it prints, what it writes, and how it ends."""

import csv
import json
from pathlib import Path

import pytest
import yaml
from rich.cells import cell_len

from corso.errors import ExportError, SettingsError, UsageError
from pipelines.inspecting import inspect
from pipelines.plain_text import name, wrapped
from tests.export_factories import csv_text, export_file, fulfillment_text, line_text, order_text

# Each of them maps and validates whole exports, some of them several times.
pytestmark = pytest.mark.slow

SAMPLES = sorted((Path(__file__).parents[2] / "data" / "samples").glob("*/loader.yaml"))

PRINTED = Path(__file__).with_name("inspected_shop.txt")


def run(capsys: pytest.CaptureFixture[str], *paths: Path, **options: object) -> tuple[int, str]:
    """Run the command; return its exit code and what it prints."""
    given = {"write": None, "profile": None, "time_zone": None, "as_json": False} | options
    code = inspect(list(paths), **given)  # type: ignore[arg-type]  # as the command line gives them
    return code, capsys.readouterr().out


def small_shop(folder: Path) -> Path:
    """Write three orders of which one is good, one lacks its customer's id, one does not add up."""
    orders = [
        order_text(1, customer_last_name="Müller"),
        order_text(2, customer_source_customer_id=None, source_created_on="2026-11-20 12:30:00"),
        order_text(3, total_money="1,00"),
    ]
    lines = [line_text(number) | {"colour": "blue"} for number in (1, 2, 3)]
    exports = folder / "in"
    export_file(exports, "orders.csv", csv_text(orders, delimiter=";").encode("cp1252"))
    export_file(exports, "line_items.csv", csv_text(lines))
    export_file(exports, "fulfillments.csv", csv_text([fulfillment_text(1, fulfillment_location_id=None)]))
    return exports


def test_the_page_of_a_small_shop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All of it, word for word: it is what a merchant sees first."""
    # By one profile: which one comes next changes with every profile that is added.
    code, out = run(capsys, small_shop(tmp_path), profile="canonical")

    assert code == 1
    page, _, step = out.rpartition("Next: ")
    assert page == PRINTED.read_text(encoding="utf-8")
    assert step.startswith(f"corso-loader inspect {tmp_path}")


@pytest.mark.parametrize("loader", SAMPLES, ids=lambda path: path.parent.name)
def test_no_value_of_a_sample_is_shown_or_written(
    loader: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The columns hold personal data: headers, shapes and counts may be seen, on lines of at most 100 columns."""
    paths = [loader.parent]
    profile = yaml.safe_load(loader.read_text(encoding="utf-8"))["exports"]["profile"]
    own = {"profile": str(loader.parent / profile)} if profile.endswith(".yaml") else {}

    _, out = run(capsys, *paths, write=tmp_path / "a" / "loader.yaml", **own)
    _, facts = run(capsys, *paths, as_json=True, **own)
    _, unknown = run(capsys, *paths, write=tmp_path / "b" / "loader.yaml", profile=_stranger(tmp_path))

    written = [
        path.read_text(encoding="utf-8")
        for path in sorted(tmp_path.rglob("*.yaml"))
        if path.parent != tmp_path
    ]
    assert len(written) == 3
    # The next step is a command to copy: it stands on one line, however long its paths.
    assert max(map(cell_len, out.partition("Next: ")[0].splitlines())) <= 100
    json.loads(facts)
    for value in _values(loader.parent):
        for text in (out, facts, unknown, *written):
            assert value not in text


def _stranger(folder: Path) -> str:
    """Write a profile that no file fits, so that a profile to fill in is written for it."""
    path = folder / "stranger.yaml"
    path.write_text(
        "name: stranger\ntitle: None of them\nfiles: {orders: {needs: [No such header]}}\ntables:\n"
        "  orders: {file: orders, columns: {source_order_id: No such header}}\n"
        "  line_items: {file: orders, columns: {source_order_id: No such header}}\n"
    )
    return str(path)


def _values(folder: Path) -> set[str]:
    """Return the cells of a folder's exports that say something of somebody: mail, street, phone, id, full name."""
    found: set[str] = set()
    for path in folder.glob("*.*"):
        if path.suffix in {".csv", ".txt"}:
            text = path.read_text(encoding="utf-8-sig")
            rows = csv.reader(text.splitlines(), delimiter="\t" if "\t" in text.splitlines()[0] else ",")
            next(rows)
            found |= {cell.strip() for row in rows for cell in row}
    return {
        cell
        for cell in found
        if "@" in cell or sum(letter.isdigit() for letter in cell) >= 5 or (" " in cell and cell.istitle())
    }


def test_exit_code_0_means_that_every_order_would_be_accepted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """1 that it needs a look; what cannot be read at all is an error of its own, with exit code 2."""
    export_file(tmp_path / "good", "orders.csv", csv_text([order_text()]))
    export_file(tmp_path / "good", "line_items.csv", csv_text([line_text()]))
    export_file(tmp_path / "bad", "a.csv", "")

    code, out = run(capsys, tmp_path / "good")
    assert (code, out.partition("Next: ")[0].splitlines()[-1]) == (
        0,
        "As the files stand, 1 of 1 orders would be accepted.",
    )
    assert run(capsys, tmp_path / "good", tmp_path / "bad")[0] == 1
    with pytest.raises(ExportError) as raised:
        run(capsys, tmp_path / "bad")
    assert raised.value.exit_code == 2


def test_json_has_the_same_facts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing but JSON is on standard output, even where files are written."""
    loader = tmp_path / "loader.yaml"

    code, out = run(capsys, small_shop(tmp_path), as_json=True, write=loader)

    facts = json.loads(out)
    assert code == 1
    assert facts["profile"] == "canonical"
    assert (facts["trial"]["tried"], facts["trial"]["accepted"]) == (3, 0)
    assert loader.exists()


def test_nothing_that_exists_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a loader.yaml nor a profile."""
    exports = small_shop(tmp_path)
    (tmp_path / "loader.yaml").write_text("mine")
    (tmp_path / "profile.yaml").write_text("mine")
    export_file(tmp_path / "odd", "a.csv", "no,when\n1,2\n")

    with pytest.raises(UsageError, match=r"loader\.yaml exists"):
        run(capsys, exports, write=tmp_path / "loader.yaml")
    with pytest.raises(UsageError, match=r"profile\.yaml exists"):
        run(capsys, tmp_path / "odd", write=tmp_path / "other.yaml")

    assert (tmp_path / "profile.yaml").read_text() == "mine"
    assert not (tmp_path / "other.yaml").exists()


def test_an_unknown_time_zone_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the nearest one."""
    with pytest.raises(SettingsError, match=r"--time-zone: .*Amerika/New_York.*America/New_York"):
        run(capsys, small_shop(tmp_path), time_zone="Amerika/New_York")


def test_ten_columns_of_chinese_are_twenty_on_the_screen() -> None:
    """Lines are broken by what they take, and what steers a terminal is taken out of names."""
    lines = list(wrapped("columns: " + ", ".join(["收件人的名字"] * 40), 4, 6))

    assert len(lines) > 1
    assert max(map(cell_len, lines)) <= 100
    assert name("a\x1b[31m\nb") == "a [31m b"
    assert cell_len(name("长" * 100)) <= 60
