"""Inspection of files: which profile fits, what each file is like, and what would come of loading them."""

import gzip
import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corso.errors import ExportError, SettingsError
from corso.extract.profile import load_profile
from corso.stages.inspection import trial as trial_module
from corso.stages.inspection.facts import FileFacts, Inspection
from corso.stages.inspection.fitting import fits
from corso.stages.inspection.inspecting import inspect_files
from corso.stages.inspection.looking import SeenFile, look_at
from tests.export_factories import Row, csv_text, export_file, fulfillment_text, line_text, order_text

# Each of them maps and validates whole exports, some of them several times.
pytestmark = pytest.mark.slow

PROJECT = Path(__file__).resolve().parents[3]
SAMPLES = sorted((PROJECT / "data" / "samples").glob("*/loader.yaml"))


def inspect(folder: Path, *names: str, profile: str | None = None, zone: str | None = None) -> Inspection:
    """Inspect files of a folder, or all of it."""
    paths = [folder / name for name in names] or [folder]
    return inspect_files(paths, folder / "scratch", profile, zone)


def canonical(
    folder: Path,
    orders: Sequence[Row],
    lines: Sequence[Row] | None = None,
    fulfillments: Sequence[Row] = (),
) -> Path:
    """Write canonical exports into a folder of their own; without `lines` each order gets one good line."""
    exports = folder / "in"
    if lines is None:
        lines = [line_text(source_order_id=row["source_order_id"]) for row in orders]
    export_file(exports, "orders.csv", csv_text(orders))
    export_file(exports, "line_items.csv", csv_text(lines))
    if fulfillments:
        export_file(exports, "fulfillments.csv", csv_text(fulfillments))
    return exports


def file_named(inspection: Inspection, name: str) -> FileFacts:
    """Return what was found out about one file."""
    return next(file for file in inspection.files if file.name == name)


@pytest.mark.parametrize("loader", SAMPLES, ids=lambda path: path.parent.name)
def test_every_sample_gets_the_profile_that_its_loader_yaml_names(loader: Path, tmp_path: Path) -> None:
    """No other built-in profile comes before the right one, on whatever platform's files."""
    exports = yaml.safe_load(loader.read_text(encoding="utf-8"))["exports"]
    named = exports["profile"]
    own = str(loader.parent / named) if named.endswith(".yaml") else None

    inspection = inspect_files([loader.parent], tmp_path, own)

    assert inspection.profile == (load_profile(own, tmp_path).name if own else named)
    assert not inspection.is_tied
    assert not inspection.missing_roles
    assert not inspection.unreadable
    assert not inspection.failure
    assert all(file.role for file in inspection.files)
    assert set(exports) - {"profile"} <= {file.role for file in inspection.files}
    assert inspection.trial is not None
    assert inspection.trial.tried > 0
    # What a sample's own loader.yaml has to do with fallbacks is not known here; some order is saved by proposals.
    assert inspection.trial.accepted_with_all > 0


def test_good_files_are_accepted_whole(tmp_path: Path) -> None:
    """Where every order would be accepted there is no reason and no proposal."""
    inspection = inspect(
        canonical(tmp_path, [order_text(1), order_text(2)], fulfillments=[fulfillment_text()])
    )

    assert inspection.everything_is_accepted
    assert inspection.trial is not None
    assert (inspection.trial.tried, inspection.trial.accepted) == (2, 2)
    assert not inspection.trial.reasons
    assert not inspection.trial.proposals


def test_all_rows_are_counted(tmp_path: Path) -> None:
    """Orders, lines, fulfillments, what belongs to nothing, years, currencies and warehouses."""
    orders = [
        order_text(1, source_created_on="2024-12-31T23:30:00-05:00"),
        order_text(2, source_created_on=None, customer_currency_code="Klingon"),
        order_text(3, customer_currency_code=None),
        order_text(3, customer_currency_code=None),
    ]
    lines = [line_text(1), line_text(3), line_text(9)]
    dispatched = [fulfillment_text(1), fulfillment_text(9, fulfillment_location_id=None)]

    counts = inspect(canonical(tmp_path, orders, lines, dispatched), zone="America/New_York").counts

    assert counts is not None
    assert (counts.orders, counts.line_items, counts.fulfillments) == (3, 3, 2)
    assert (counts.orders_without_lines, counts.lines_of_no_order, counts.fulfillments_of_no_order) == (
        1,
        1,
        1,
    )
    assert counts.years == {"2024": 1, "2026": 1, "undated": 1}
    assert counts.currencies == {"USD": 1, "none": 1, "unknown": 1}
    assert (counts.locations, counts.without_location) == (1, 1)


def test_reasons_have_their_frequency_and_one_place(tmp_path: Path) -> None:
    """The reason of most orders comes first, each with file, line and remedy."""
    orders = [order_text(1), order_text(2, total_money="1.00"), order_text(3, billing_address_city=None)]
    orders.append(order_text(4, billing_address_city=None))

    inspection = inspect(canonical(tmp_path, orders))

    assert inspection.trial is not None
    assert not inspection.everything_is_accepted
    found = [(reason.column, reason.orders, reason.file, reason.line) for reason in inspection.trial.reasons]
    assert found == [
        ("orders.billing_address_city", 2, "orders.csv", 4),
        ("orders.total_money", 1, "orders.csv", 3),
    ]
    assert all(reason.remedy for reason in inspection.trial.reasons)


def test_only_the_first_orders_are_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all that belongs to them; counted are all."""
    monkeypatch.setattr(trial_module, "MOST_ORDERS", 3)
    orders = [order_text(number) for number in range(1, 6)]
    orders[4]["billing_address_city"] = None
    lines = [line_text(number, line) for line in (1, 2) for number in range(1, 6)]

    inspection = inspect(canonical(tmp_path, orders, lines))

    assert inspection.trial is not None
    assert inspection.counts is not None
    assert (inspection.trial.tried, inspection.trial.accepted) == (3, 3)
    assert (inspection.counts.orders, inspection.counts.line_items) == (5, 10)


SHOPIFY = (PROJECT / "data" / "samples" / "shopify" / "orders_export.csv").read_text(encoding="utf-8")
FORMS: dict[str, tuple[bytes, dict[str, str | int]]] = {
    "as_declared": (SHOPIFY.encode(), {}),
    "with_a_mark": (SHOPIFY.encode("utf-8-sig"), {}),
    "cp1252": (SHOPIFY.replace("🍵", "").replace("🔔", "").encode("cp1252"), {"encoding": "cp1252"}),
    "utf16": (SHOPIFY.encode("utf-16"), {"encoding": "utf-16"}),
    "titled": (f"Orders of my shop\r\n\r\n{SHOPIFY}".encode(), {"skip_lines": 1}),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_form_that_the_profile_does_not_declare_goes_into_loader_yaml(name: str, tmp_path: Path) -> None:
    """What is only suspected is said to be."""
    content, overrides = FORMS[name]
    export_file(tmp_path / "in", "orders.csv", content)

    inspection = inspect(tmp_path / "in")

    file = file_named(inspection, "orders.csv")
    assert dict(file.overrides) == overrides
    assert file.form.encoding_is_sure == (name != "cp1252")
    assert file.form.has_bom == (name in {"with_a_mark", "utf16"})
    assert inspection.counts is not None
    assert inspection.counts.orders == 6


@pytest.mark.parametrize(("delimiter", "first_line"), [(";", ""), ("\t", ""), ("|", ""), (";", "sep=;\r\n")])
def test_another_delimiter_is_found(delimiter: str, first_line: str, tmp_path: Path) -> None:
    """Excel's line that says it is found, too, and left out."""
    text = first_line + csv_text([order_text()], delimiter=delimiter)
    export_file(tmp_path / "in", "orders.csv", text)
    export_file(tmp_path / "in", "line_items.csv", csv_text([line_text()]))

    inspection = inspect(tmp_path / "in")

    file = file_named(inspection, "orders.csv")
    assert dict(file.overrides) == {"delimiter": delimiter} | ({"skip_lines": 1} if first_line else {})
    assert file.form.has_separator_line == bool(first_line)
    assert not file_named(inspection, "line_items.csv").overrides
    assert inspection.everything_is_accepted


def test_packed_files_and_parquet_are_read(tmp_path: Path) -> None:
    """An archive by its bytes, Parquet by its name; neither needs an override."""
    folder = tmp_path / "in"
    export_file(folder, "orders.csv.gz", gzip.compress(csv_text([order_text()]).encode()))
    pl.DataFrame([line_text()]).write_parquet(folder / "line_items.parquet")

    inspection = inspect(folder)

    assert inspection.everything_is_accepted
    assert [file.form.packed for file in inspection.files] == ["gzip", "parquet"]
    assert not any(file.overrides for file in inspection.files)


def test_a_file_that_is_laid_out_otherwise_than_its_siblings_is_left_out(tmp_path: Path) -> None:
    """A role has one form in loader.yaml; the file that does not have it is named."""
    folder = tmp_path / "in"
    for number, delimiter in ((1, ","), (2, ","), (3, ";")):
        export_file(folder, f"orders-{number}.csv", csv_text([order_text(number)], delimiter=delimiter))
    export_file(folder, "line_items.csv", csv_text([line_text(number) for number in (1, 2, 3)]))

    inspection = inspect(folder)

    assert [file.name for file in inspection.files if file.left_out] == ["orders-3.csv"]
    assert inspection.counts is not None
    assert (inspection.counts.orders, inspection.counts.lines_of_no_order) == (2, 1)


def test_plain_files_agree_with_a_sibling_in_another_encoding(tmp_path: Path) -> None:
    """ASCII is the same in cp1252: one override serves them all."""
    folder = tmp_path / "in"
    export_file(folder, "orders-1.csv", csv_text([order_text(1)]))
    export_file(
        folder, "orders-2.csv", csv_text([order_text(2, customer_last_name="Müller")]).encode("cp1252")
    )
    export_file(folder, "line_items.csv", csv_text([line_text(1), line_text(2)]))

    inspection = inspect(folder)

    assert not any(file.left_out for file in inspection.files)
    assert {file.name: dict(file.overrides) for file in inspection.files} == {
        "orders-1.csv": {"encoding": "cp1252"},
        "orders-2.csv": {"encoding": "cp1252"},
        "line_items.csv": {},
    }
    assert inspection.everything_is_accepted


def test_a_header_that_stands_there_twice_is_told_apart_by_number(tmp_path: Path) -> None:
    """The file can be loaded, and both columns are named."""
    text = csv_text([order_text() | {"notes": "a"}])
    text = text.replace(",notes", ",notes,Notes", 1).replace(",a\n", ",a,b\n")
    export_file(tmp_path / "in", "orders.csv", text)
    export_file(tmp_path / "in", "line_items.csv", csv_text([line_text()]))

    inspection = inspect(tmp_path / "in")

    file = file_named(inspection, "orders.csv")
    assert dict(file.overrides) == {"duplicate_headers": "number"}
    assert list(file.twice) == ["notes", "Notes"]
    assert list(file.ignored) == ["Notes 2"]
    assert inspection.everything_is_accepted


def test_columns_that_are_alike_and_not_read_need_no_number(tmp_path: Path) -> None:
    """The file is loaded as it is; nothing is to be written for it."""
    text = csv_text([order_text() | {"gift_note": "a", "_gift_note": "b"}])
    export_file(tmp_path / "in", "orders.csv", text)
    export_file(tmp_path / "in", "line_items.csv", csv_text([line_text()]))

    inspection = inspect(tmp_path / "in")

    file = file_named(inspection, "orders.csv")
    assert (dict(file.overrides), list(file.twice)) == ({}, [])
    assert {"gift_note", "_gift_note"} <= set(file.ignored)
    assert inspection.everything_is_accepted


def test_faulty_rows_are_counted_with_their_first_places(tmp_path: Path) -> None:
    """Short and long rows, as unquoted commas make them: by reason, the most frequent first."""
    good, *_ = csv_text([order_text(1)]).splitlines()[1:]
    lines = [
        csv_text([order_text(1)]).splitlines()[0],
        good,
        good + ",x",
        good + ",x",
        good.rpartition(",")[0],
    ]
    export_file(tmp_path / "in", "orders.csv", "\n".join(lines) + "\n")
    export_file(tmp_path / "in", "line_items.csv", csv_text([line_text()]))

    file = file_named(inspect(tmp_path / "in"), "orders.csv")

    columns = len(lines[0].split(","))
    assert (file.rows, file.faulty_rows) == (4, 3)
    assert [(fault.rows, fault.first_line, fault.reason) for fault in file.faults] == [
        (2, 3, f"the row has {columns + 1} fields where the header has {columns}"),
        (1, 5, f"the row has {columns - 1} fields where the header has {columns}"),
    ]


def test_what_no_header_fills_is_said_with_the_header_that_would(tmp_path: Path) -> None:
    """Needed columns first; a platform's header beside Corso's column."""
    header = SHOPIFY.splitlines()[0]
    export_file(
        tmp_path / "in", "orders.csv", SHOPIFY.replace(header, header.replace(",Notes,", ",Remarks,"), 1)
    )

    inspection = inspect(tmp_path / "in")

    missing = {each.column: each for each in inspection.missing}
    assert missing["orders.notes"].reads == "Notes"
    assert not missing["orders.notes"].is_needed
    assert missing["orders.customer_source_customer_id"].is_needed
    assert [each.is_needed for each in inspection.missing] == sorted(
        (each.is_needed for each in inspection.missing), reverse=True
    )
    assert "Remarks" in file_named(inspection, "orders.csv").ignored


def test_an_unknown_layout_is_said_to_be_one(tmp_path: Path) -> None:
    """With the profile that comes nearest, and what it needs that is not there; and with what the columns look like."""
    export_file(
        tmp_path / "in",
        "flat.csv",
        "order_id,placed_at,sku,quantity,unit_price\nA-1,2026-11-24 10:00,MUG,2,10.50\nA-2,,TEA,1,9.00\n",
    )

    inspection = inspect(tmp_path / "in")

    assert inspection.profile is None
    assert inspection.trial is None
    assert not inspection.everything_is_accepted
    assert inspection.others
    assert all(other.lacks for other in inspection.others)
    (file,) = inspection.files
    looks = {each.header: (each.filled, [shape.shape for shape in each.shapes]) for each in file.columns}
    assert looks["placed_at"] == (1, ["9999-99-99 99:99"])
    assert looks["quantity"] == (2, ["9"])


def test_chinese_headers_are_headers(tmp_path: Path) -> None:
    """Nothing is guessed of them."""
    export_file(tmp_path / "in", "a.csv", "订单编号,收件人,手机号,数量\nA1,张三,13800000000,2\n")

    inspection = inspect(tmp_path / "in")

    assert inspection.profile is None
    assert not inspection.others
    assert list(inspection.files[0].ignored) == ["订单编号", "收件人", "手机号", "数量"]


HEADLESS = {
    "mail": "1001,ann@example.com,Boston\n1002,bob@example.com,Boston\n",
    "dates": "A1,2026-01-05,Boston\nA2,2026-01-06,Boston\n",
    "a_phone": "Ann,+1 202 555 0101,Boston\nBob,+1 202 555 0102,Boston\n",
    "numbers": "1;17;2,00\n2;18;3,00\n",
}


@pytest.mark.parametrize("name", HEADLESS)
def test_a_file_without_a_header_is_refused_and_not_shown(name: str, tmp_path: Path) -> None:
    """What would be taken for headers are somebody's values."""
    export_file(tmp_path / "in", "a.csv", HEADLESS[name])

    with pytest.raises(ExportError, match=r"a\.csv:1: the first line holds values") as raised:
        inspect(tmp_path / "in")

    assert not set(HEADLESS[name].splitlines()[0].split(",")) & set(str(raised.value).split())


def test_years_as_headers_are_headers(tmp_path: Path) -> None:
    """A number of four digits may well name a column."""
    export_file(tmp_path / "in", "a.csv", "shop,2025,2026\na,1,2\n")

    assert list(inspect(tmp_path / "in").files[0].ignored) == ["shop", "2025", "2026"]


NOTHING_TO_READ: dict[str, tuple[bytes, str]] = {
    "empty.csv": (b"", "empty"),
    "blank.csv": (b"\n\n\n", "empty or has no header"),
    "book.csv": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "Excel"),
    "page.csv": (b"<!DOCTYPE html><html></html>", "web page"),
    "cut.csv.gz": (gzip.compress(SHOPIFY.encode())[:300], "truncated"),
    "torn.parquet": (b"PAR1PAR1", "Parquet"),
    "bytes.csv": (bytes(range(256)) * 40, ""),
}


@pytest.mark.parametrize("name", NOTHING_TO_READ)
def test_what_cannot_be_read_is_one_sentence(name: str, tmp_path: Path) -> None:
    """It names the file."""
    content, words = NOTHING_TO_READ[name]
    export_file(tmp_path / "in", name, content)

    with pytest.raises(ExportError) as raised:
        inspect(tmp_path / "in", name)

    assert str(raised.value).startswith(name)
    assert words in str(raised.value)


def test_a_file_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    """All others are inspected; the one is named with its reason, and the whole needs a look."""
    folder = canonical(tmp_path, [order_text()])
    export_file(folder, "cut.csv.gz", gzip.compress(SHOPIFY.encode())[:300])

    inspection = inspect(folder, "orders.csv", "line_items.csv", "cut.csv.gz", "gone.csv")

    assert [each.name for each in inspection.unreadable] == ["cut.csv.gz", "gone.csv"]
    assert inspection.trial is not None
    assert inspection.trial.accepted == 1
    assert not inspection.everything_is_accepted


def test_a_file_without_a_role_is_named_and_does_no_harm(tmp_path: Path) -> None:
    """It is unused, not wrong."""
    folder = canonical(tmp_path, [order_text()])
    export_file(folder, "stock.csv", "article,stock\nMUG,3\n")

    inspection = inspect(folder)

    assert file_named(inspection, "stock.csv").role == ""
    assert inspection.everything_is_accepted


def test_a_role_without_a_file_is_named(tmp_path: Path) -> None:
    """Nothing can be tried, and the profile is still known."""
    inspection = inspect(canonical(tmp_path, [order_text()]), "orders.csv")

    assert inspection.profile == "canonical"
    assert list(inspection.missing_roles) == ["line_items"]
    assert list(inspection.absent_roles) == ["fulfillments"]
    assert inspection.trial is None
    assert [each.column for each in inspection.times] == ["orders.source_created_on"]


def test_a_header_alone_holds_no_order(tmp_path: Path) -> None:
    """The profile is known by headers, and nothing is accepted of nothing."""
    export_file(tmp_path / "in", "orders.csv", SHOPIFY.splitlines()[0] + "\n")

    inspection = inspect(tmp_path / "in")

    assert inspection.profile == "shopify"
    assert inspection.trial is not None
    assert inspection.trial.tried == 0
    assert not inspection.everything_is_accepted


def test_ten_thousand_columns_are_no_trouble(tmp_path: Path) -> None:
    """They are counted like others."""
    names = [f"c{number}" for number in range(10_000)]
    export_file(tmp_path / "in", "wide.csv", ",".join(names) + "\n" + ",".join("x" for _ in names) + "\n")

    (file,) = inspect(tmp_path / "in").files

    assert (file.rows, len(file.ignored), len(file.columns)) == (1, 10_000, 10_000)


def test_times_say_what_they_are_and_what_they_lack(tmp_path: Path) -> None:
    """Shapes by frequency; offsets; what daylight saving makes twofold or impossible in the store's zone."""
    written = [
        "2026-11-20T12:30:00-05:00",
        "2026-11-01 01:30:00",
        "2026-03-08 02:30:00",
        "2026-06-01 10:00:00",
        "yesterday",
    ]
    orders = [order_text(number, source_created_on=text) for number, text in enumerate(written, 1)]
    folder = canonical(tmp_path, orders)

    (times,) = inspect(folder, zone="America/New_York").times

    assert (times.shapes[0].shape, times.shapes[0].values) == ("9999-99-99 99:99:99", 3)
    counts = times.counts
    assert counts is not None
    assert (counts.values, counts.with_offset, counts.unreadable) == (5, 1, 1)
    assert (counts.ambiguous, counts.impossible) == (1, 1)
    without_zone = inspect(folder).times[0].counts
    assert without_zone is not None
    assert (without_zone.ambiguous, without_zone.impossible) == (None, None)


@pytest.mark.parametrize(
    ("written", "evidence"),
    [("03/23/26", "month first"), ("23/03/26", "day first"), ("03/04/26", "nothing")],
)
def test_dates_say_what_tells_days_from_months(written: str, evidence: str, tmp_path: Path) -> None:
    """Beside how the profile reads them: where both differ, every date would be wrong or refused."""
    text = (PROJECT / "data" / "samples" / "etsy" / "EtsySoldOrderItems2026.csv").read_text(encoding="utf-8")
    header, row, *_ = text.splitlines()
    date = row.partition(",")[0]
    export_file(tmp_path / "in", "items.csv", f"{header}\n{row.replace(date, written)}\n")

    inspection = inspect(tmp_path / "in")

    order = next(each for each in inspection.times if each.column == "orders.source_created_on").day_order
    assert order is not None
    assert (order.shape, order.read_as, order.evidence) == ("99/99/99", "month first", evidence)


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("09/22/2026 10:15:30 AM", "month first"),
        ("22/09/2026 10:15:30", "day first"),
        ("22.09.2026 10:15:30", "not at all"),
    ],
)
def test_dates_are_read_as_the_form_says_that_takes_them(written: str, read_as: str, tmp_path: Path) -> None:
    """TikTok's files have the month first with AM and PM, and the day first with 24 hours: the profile names both."""
    text = (PROJECT / "data" / "samples" / "tiktok" / "orders.csv").read_text(encoding="utf-8")
    dates = re.sub(r"\d\d/\d\d/\d{4} \d\d:\d\d:\d\d [AP]M", written, text)
    export_file(tmp_path / "in", "orders.csv", dates)

    inspection = inspect(tmp_path / "in", profile="tiktok")

    orders = {each.day_order.read_as for each in inspection.times if each.day_order}
    assert orders == {read_as}


def test_amounts_say_how_they_are_written(tmp_path: Path) -> None:
    """By frequency, with the headers that hold them."""
    orders = [order_text(1), order_text(2, total_money="$27.00"), order_text(3, tax_money="2,00")]

    forms = {form.shape: form for form in inspect(canonical(tmp_path, orders)).money}

    assert forms["9.99"].kind == "plain"
    assert (forms["$9.99"].kind, list(forms["$9.99"].headers)) == ("with a currency's mark", ["total_money"])
    assert (forms["9,99"].values, forms["9,99"].kind) == (1, "comma before the decimals")


def test_three_digits_behind_each_point_may_be_thousands(tmp_path: Path) -> None:
    """TikTok writes Rp 139,000 as `IDR 139.000`: read as decimals it would be a thousandth. One value with others tells."""
    orders = [order_text(1, total_money="IDR 139.000", tax_money="IDR 1.255")]
    orders += [order_text(2, total_money="IDR 0", tax_money="IDR 1.50")]

    forms = {form.shape: form for form in inspect(canonical(tmp_path, orders)).money}

    assert forms["AAA 9.999"].kind.endswith("a point that may stand for thousands or before decimals")
    assert forms["AAA 9.99"].kind == "with a currency's mark"
    only_tax = [order_text(1, tax_money="IDR 1.255"), order_text(2, tax_money="IDR 1.50")]
    again = {form.shape: form for form in inspect(canonical(tmp_path, only_tax)).money}
    assert again["AAA 9.999"].kind == "with a currency's mark"


def test_a_profile_of_ones_own_is_tried(tmp_path: Path) -> None:
    """Instead of the built-in ones, whether it fits or not."""
    olist = str(PROJECT / "docs" / "profiles" / "olist.yaml")

    sample = PROJECT / "data" / "samples" / "olist"
    assert inspect_files([sample], tmp_path / "scratch", olist).profile == "olist"
    refused = inspect(canonical(tmp_path, [order_text()]), profile=olist)
    assert refused.profile is None
    assert refused.asked_profile == olist
    with pytest.raises(SettingsError, match="no profile 'shopfy'; did you mean 'shopify'"):
        inspect(tmp_path / "in", profile="shopfy")


def test_profiles_that_fit_equally_well_are_said_to(tmp_path: Path) -> None:
    """The choice is the merchant's: nothing tells the two apart."""
    folder = canonical(tmp_path, [order_text()])
    seen = [
        look_at(export_file(folder, name, (folder / name).read_bytes()))
        for name in ("orders.csv", "line_items.csv")
    ]
    profile = load_profile("canonical", tmp_path)
    twin = profile.model_copy(update={"name": "twin"})

    fitting, others = fits([twin, profile], [each for each in seen if isinstance(each, SeenFile)])

    assert [fit.profile.name for fit in fitting] == ["twin", "canonical"]
    assert fitting[0].rank == fitting[1].rank
    assert not others


def test_folders_and_patterns_mean_the_export_files_in_them(tmp_path: Path) -> None:
    """Hidden files and files of other kinds are none; a file that is named twice is read once."""
    folder = canonical(tmp_path, [order_text()])
    for name in (".orders.csv", "notes.md", "book.xlsx"):
        export_file(folder, name, "x")

    inspection = inspect(folder, "*.csv", "", "orders.csv")

    assert sorted(file.name for file in inspection.files) == ["line_items.csv", "orders.csv"]


def test_a_folder_without_exports_says_what_it_holds(tmp_path: Path) -> None:
    """So does a pattern that fits nothing."""
    export_file(tmp_path / "in", "orders.json", "[]")

    with pytest.raises(ExportError, match=r"no export file in this folder .*; it holds orders\.json"):
        inspect(tmp_path / "in")
    with pytest.raises(ExportError, match=r"no file fits .*\*\.csv"):
        inspect(tmp_path / "in", "*.csv")


_PIECES = st.sampled_from(
    [b",", b";", b"\t", b'"', b"\n", b"\r", b"\0", b"\xff", b"\xe2\x80\xa8", b"{n}", b"13/13/26", b"$1,2"]
)


@st.composite
def damaged_exports(draw: st.DrawFn) -> bytes:
    """Return a Shopify export with some bytes more and some less, or bytes of no kind."""
    if draw(st.integers(0, 4)) == 0:
        return draw(st.binary(max_size=400))
    content = SHOPIFY.encode()
    for _ in range(draw(st.integers(1, 5))):
        place = draw(st.integers(0, len(content)))
        content = (
            content[:place] + draw(_PIECES) + content[place + draw(st.sampled_from([0, 0, 1, 40, 4000])) :]
        )
    return content


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damaged_exports())
def test_whatever_is_in_a_file_there_is_an_answer(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    """Facts whose numbers hold together, or one sentence; never anything else."""
    folder = tmp_path_factory.mktemp("damaged")
    export_file(folder / "in", "orders.csv", content)
    found, refusal = None, ""
    try:
        found = inspect_files([folder / "in"], folder / "scratch")
    except ExportError as error:
        refusal = str(error)
    if found is None:
        assert refusal.startswith("orders.csv")
        return
    trial = found.trial
    if trial is not None:
        assert found.counts is not None
        assert (
            trial.accepted
            <= trial.accepted_with_own
            <= trial.accepted_with_all
            <= trial.tried
            == found.counts.orders
        )
        assert all(trial.accepted + each.alone <= trial.accepted_with_all for each in trial.proposals)
        assert (trial.accepted < trial.tried) <= bool(trial.reasons)
    for file in found.files:
        assert sum(fault.rows for fault in file.faults) <= file.faulty_rows <= file.rows
