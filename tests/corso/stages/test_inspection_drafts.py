"""What `inspect --write` writes: a loader.yaml, and a profile to fill in where no profile fits."""

import csv
import io
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corso.errors import SettingsError
from corso.extract.fallbacks import read_fallbacks
from corso.extract.files import find_exports
from corso.extract.headers import normal
from corso.extract.mapping import map_exports
from corso.extract.profile import load_profile
from corso.extract.validate import check_part
from corso.settings import Settings, read_settings
from corso.stages.inspection.facts import FileFacts, Form, HeaderFacts, Inspection, Shape
from corso.stages.inspection.inspecting import inspect_files
from corso.stages.inspection.loader_draft import loader_yaml, quoted
from corso.stages.inspection.profile_draft import profile_yaml, unknown_roles
from tests.export_factories import csv_text, export_file, fulfillment_text, line_text, order_text

# Each of them maps and validates whole exports, some of them several times.
pytestmark = pytest.mark.slow

FLAT = (
    "order_id,placed_at,buyer_email,name,sku,quantity,unit_price,unit_tax,total,city\n"
    "A-1,2026-11-24 10:00,ann@example.com,Ann Lee,MUG,2,10.50,1.00,22.00,Boston\n"
)


def loader_for(inspection: Inspection, path: Path) -> Settings:
    """Write the loader.yaml of an inspection whose profile is known, and read it as the loader does."""
    roles: dict[str, list[FileFacts]] = {}
    for file in inspection.files:
        if file.role:
            roles.setdefault(file.role, []).append(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(loader_yaml(inspection, path, roles), encoding="utf-8")
    return read_settings(path)


def test_loader_yaml_names_the_files_their_roles_and_their_form(tmp_path: Path) -> None:
    """Paths are relative to it; what the profile declares is not repeated."""
    folder = tmp_path / "exports of 2026"
    export_file(
        folder,
        "orders.csv",
        csv_text([order_text(customer_last_name="Müller")], delimiter="\t").encode("cp1252"),
    )
    export_file(folder, "line_items.csv", csv_text([line_text()]))

    loader = loader_for(
        inspect_files([folder], tmp_path / "scratch"), tmp_path / "store" / "loader.yaml"
    ).loader

    assert loader.store.id == 0
    assert loader.exports.profile == "canonical"
    assert loader.exports.roles == {
        "orders": ["../exports of 2026/orders.csv"],
        "line_items": ["../exports of 2026/line_items.csv"],
    }
    assert loader.exports.forms == {"orders": {"delimiter": "\t", "encoding": "cp1252"}, "line_items": {}}
    assert not loader.fallbacks
    text = (tmp_path / "store" / "loader.yaml").read_text(encoding="utf-8")
    assert "cp1252 is a suspicion" in text
    assert str(tmp_path) not in text


def test_the_form_of_loader_yaml_is_the_one_that_the_files_are_read_by(tmp_path: Path) -> None:
    """The whole way from an odd file to accepted orders, without a word by hand."""
    folder = tmp_path / "in"
    text = csv_text([order_text(1) | {"notes": "a"}], delimiter=";").replace(";notes", ";notes;NOTES", 1)
    text = "sep=;\n" + text.replace(";a\n", ";a;b\n")
    export_file(folder, "orders.csv", text.encode("utf-16"))
    export_file(folder, "line_items.csv", csv_text([line_text()], delimiter="|"))

    settings_read = loader_for(inspect_files([folder], tmp_path / "scratch"), tmp_path / "loader.yaml")

    exports = settings_read.loader.exports
    assert exports.forms["orders"] == {
        "delimiter": ";", "encoding": "utf-16", "skip_lines": 1, "duplicate_headers": "number",
    }  # fmt: skip
    assert accepted(settings_read, tmp_path) == 1


def accepted(settings_read: Settings, folder: Path) -> int:
    """Return how many orders the loader accepts by a loader.yaml."""
    loader = settings_read.loader
    profile = load_profile(loader.exports.profile, settings_read.home)
    lazy = map_exports(profile, find_exports(settings_read, ""), folder / "maps", loader.exports.forms)
    raw = {name: table.collect() for name, table in lazy.items()}
    result = check_part(raw, loader.store, read_fallbacks(loader.fallbacks), profile.money)
    return result.accepted["orders"].height


def uncommented(text: str) -> str:
    """Take the `# ` off the proposals, as the comment above them says, and off the warehouses' numbers."""
    head, mark, proposals = text.partition("# fallbacks:\n")
    lines = [line.removeprefix("# ") for line in proposals.splitlines()]
    return (
        head.replace("  # fulfillment_locations:", "  fulfillment_locations:")
        + mark.removeprefix("# ")
        + "\n".join(lines)
    )


def test_proposals_stand_in_loader_yaml_behind_a_mark_and_work_once_it_is_off(tmp_path: Path) -> None:
    """Each with how many orders it would save; together they accept what was promised."""
    folder = tmp_path / "in"
    orders = [
        order_text(1, customer_source_customer_id=None),
        order_text(
            2,
            customer_first_name=None,
            billing_address_name="Ann Lee",
            customer_email=None,
            customer_phone=None,
        ),
        order_text(3, total_money="1"),
    ]
    export_file(folder, "orders.csv", csv_text(orders))
    export_file(folder, "line_items.csv", csv_text([line_text(number) for number in (1, 2, 3)]))
    export_file(folder, "fulfillments.csv", csv_text([fulfillment_text(1, fulfillment_location_id=None)]))
    inspection = inspect_files([folder], tmp_path / "scratch")
    assert inspection.trial is not None

    as_written = loader_for(inspection, tmp_path / "loader.yaml")
    text = as_written.path.read_text(encoding="utf-8")
    as_written.path.write_text(uncommented(text), encoding="utf-8")
    with_all = read_settings(as_written.path)

    assert not as_written.loader.fallbacks
    assert accepted(as_written, tmp_path) == inspection.trial.accepted == 0
    assert set(with_all.loader.fallbacks) | {"store.fulfillment_locations"} == {
        each.key for each in inspection.trial.proposals
    }
    assert with_all.loader.store.fulfillment_locations == {"default": 0}
    assert accepted(with_all, tmp_path) == inspection.trial.accepted_with_all == 2
    assert all(f"alone +{each.alone}" in text for each in inspection.trial.proposals if "." in each.key[6:])


@pytest.mark.parametrize("name", ["a b: c #d.csv", "o'r\"d[1].csv", "注文\u2028.csv", "- x.csv", "yes.csv"])
def test_any_file_name_is_text_in_yaml(name: str, tmp_path: Path) -> None:
    """Quotes, blanks, marks and line ends of other scripts do not break the file."""
    export_file(tmp_path / "in", name, csv_text([order_text()]))
    export_file(tmp_path / "in", "line_items.csv", csv_text([line_text()]))

    settings_read = loader_for(
        inspect_files([tmp_path / "in"], tmp_path / "scratch"), tmp_path / "loader.yaml"
    )

    assert settings_read.loader.exports.roles["orders"] == [f"in/{name}"]
    assert accepted(settings_read, tmp_path) == 1


def test_a_missing_role_is_a_line_to_fill_in(tmp_path: Path) -> None:
    """The file can be read, and says what it lacks."""
    export_file(tmp_path / "in", "orders.csv", csv_text([order_text()]))

    settings_read = loader_for(
        inspect_files([tmp_path / "in"], tmp_path / "scratch"), tmp_path / "loader.yaml"
    )

    assert "# TODO line_items" in settings_read.path.read_text(encoding="utf-8")


def unknown(folder: Path, **files: str) -> tuple[Inspection, Path]:
    """Inspect files that no profile knows, and write loader.yaml and profile.yaml for them."""
    for name, text in files.items():
        export_file(folder / "in", f"{name}.csv", text)
    inspection = inspect_files([folder / "in"], folder / "scratch")
    assert inspection.profile is None
    roles = unknown_roles(inspection.files)
    (folder / "profile.yaml").write_text(profile_yaml(roles), encoding="utf-8")
    (folder / "loader.yaml").write_text(
        loader_yaml(inspection, folder / "loader.yaml", roles), encoding="utf-8"
    )
    return inspection, folder / "profile.yaml"


def test_a_profile_to_fill_in_refuses_to_be_used_before(tmp_path: Path) -> None:
    """With file, line and key of each column that nobody has filled in."""
    _, path = unknown(tmp_path, orders=FLAT)

    with pytest.raises(SettingsError) as raised:
        load_profile("profile.yaml", tmp_path)

    text = path.read_text(encoding="utf-8").splitlines()
    for line in str(raised.value).splitlines():
        number, key = re.match(
            rf"{re.escape(str(path))}:(\d+): tables\.\w+\.columns\.(\w+): needs", line
        ).groups()  # type: ignore[union-attr]
        assert f"{key}: {{}}  # TODO" in text[int(number) - 1]
    assert len(str(raised.value).splitlines()) == sum(
        ": {}  # TODO which" in line and "#   " not in line for line in text
    )


def test_only_exact_names_become_rules(tmp_path: Path) -> None:
    """A canonical column's name or a well-known one; every other header is there as a comment, with its look."""
    _, path = unknown(tmp_path, orders=FLAT)

    draft = yaml.safe_load(path.read_text(encoding="utf-8"))

    rules = {
        f"{name}.{column}": rule
        for name, table in draft["tables"].items()
        for column, rule in table["columns"].items()
        if rule
    }
    assert rules == {
        "orders.source_order_id": "order_id",
        "orders.source_created_on": "placed_at",
        "orders.customer_email": "buyer_email",
        "line_items.source_order_id": "order_id",
        "line_items.name": "name",
        "line_items.sku": "sku",
        "line_items.quantity": "quantity",
        "line_items.price": "unit_price",
    }
    assert draft["files"]["orders"]["order_key"] == "order_id"
    text = path.read_text(encoding="utf-8")
    assert re.search(r'^    #   "city" +1, "AAAAAA"$', text, re.MULTILINE)
    assert "Boston" not in text


def test_a_profile_that_was_filled_in_is_used(tmp_path: Path) -> None:
    """The road that the draft's own comments describe, to an accepted order."""
    _, path = unknown(tmp_path, orders=FLAT)
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"(source_line_item_id): \{\}.*", r'\1: {template: "{order_id}-{row_in_order}"}', text)
    for column, rule in {
        "customer_source_customer_id": "buyer_email",
        "customer_first_name": "{first_word: name}",
        "customer_last_name": "{other_words: name}",
        "shipping_money": '{constant: "0"}',
        "subtotal_money": '{constant: "21"}',
        "tax_money": '{constant: "1"}',
        "total_money": "total",
        "tax": "unit_tax",
        **{f"{which}_address_city": "city" for which in ("billing", "shipping")},
        **{f"{which}_address_country_code": "{constant: US}" for which in ("billing", "shipping")},
    }.items():
        text = re.sub(rf"\b{column}: \{{\}}.*", f"{column}: {rule}", text)
    # What is left the files have not.
    text = "\n".join(line for line in text.splitlines() if not re.match(r" +\w+: \{\}", line)) + "\n"
    path.write_text(text, encoding="utf-8")
    with (tmp_path / "loader.yaml").open("a", encoding="utf-8") as stream:
        stream.write(
            "fallbacks:\n"
            + "".join(
                f'  orders.{which}_address_{part}: "-"\n'
                for which in ("billing", "shipping")
                for part in ("line1", "state_or_province_code", "postal_code")
            )
        )

    again = inspect_files([tmp_path / "in"], tmp_path / "again", str(path))

    assert again.profile == "my-export"
    assert again.trial is not None
    assert accepted(read_settings(tmp_path / "loader.yaml"), tmp_path) == 1


def test_files_of_several_kinds_are_roles_of_their_own(tmp_path: Path) -> None:
    """Those with the same headers are one; which of them holds the orders is the merchant's to say, not ours."""
    inspection, path = unknown(
        tmp_path,
        sales_2025="no,when\n1,2\n",
        sales_2026="no,when\n2,3\n",
        profile="no,what\n1,2\n",
        客户="who,where\n1,2\n",
    )

    roles = unknown_roles(inspection.files)

    assert {role: [file.name for file in files] for role, files in roles.items()} == {
        "file_1": ["profile.csv"],
        "sales_2025": ["sales_2025.csv", "sales_2026.csv"],
        "file_3": ["客户.csv"],
    }
    draft = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(draft["files"]) == set(roles)
    assert draft["tables"]["orders"]["file"] == "TODO"
    assert set(read_settings(tmp_path / "loader.yaml").loader.exports.roles) == set(roles)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=6, unique_by=normal))
def test_any_header_is_readable_in_the_profile(names: list[str]) -> None:
    """Line ends, quotes, colons, hashes, marks of other scripts: what was written is read again, or is a comment."""
    columns = [HeaderFacts(name, 1, [Shape(name, 1)]) for name in names]
    form = Form("csv", "\t", "utf-8", True, False, False, 2)
    file = FileFacts(Path("a.csv"), "a.csv", "", form, {}, 1, 0, [], [], names, names[:1], columns)

    text = profile_yaml({"orders": [file]})

    draft = yaml.safe_load(text)
    assert draft["files"]["orders"]["delimiter"] == "\t"
    assert draft["files"]["orders"]["skip_lines"] == 2
    used = [rule for table in draft["tables"].values() for rule in table["columns"].values() if rule]
    for name in names:
        assert name in used or f"#   {quoted(name)}" in text


@given(st.text(max_size=30))
def test_quoted_text_is_the_same_text_on_one_line(text: str) -> None:
    """For YAML, whatever the text."""
    written = quoted(text)

    assert yaml.safe_load(f"a: {written}") == {"a": text}
    assert len(written.splitlines()) == 1


def test_headers_as_a_file_has_them_find_their_rules(tmp_path: Path) -> None:
    """A header with a line end and quotes, quoted in YAML, is found in the file again."""
    header = ["Order\nID", 'na"me', "Größe: x # y", "quantity"]
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows([header, ["1", "2", "3", "4"]])
    inspection, _ = unknown(tmp_path, odd=stream.getvalue())

    assert [normal(each) for each in inspection.files[0].ignored] == [normal(each) for each in header]
    text = (tmp_path / "profile.yaml").read_text(encoding="utf-8")
    assert (
        yaml.safe_load(text)["tables"]["orders"]["columns"]["source_order_id"]
        == inspection.files[0].ignored[0]
    )
