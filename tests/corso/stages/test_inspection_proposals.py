"""Proposed fallbacks: what they would save is counted by validating with them, and none is on by itself."""

from pathlib import Path

import pytest
import yaml

from corso.extract.fallbacks import read_fallbacks
from corso.stages.inspection.facts import Inspection, Proposal, TrialFacts
from corso.stages.inspection.inspecting import inspect_files
from corso.stages.inspection.loader_draft import proposal_lines
from corso.stages.inspection.proposals import LOCATIONS
from tests.export_factories import (
    Row,
    checked,
    csv_text,
    export_file,
    fulfillment_text,
    line_text,
    order_text,
)

# Each of them maps and validates whole exports, some of them several times.
pytestmark = pytest.mark.slow

ADDRESS = ("line1", "city", "state_or_province_code", "postal_code", "country_code")


def inspected(
    folder: Path, orders: list[Row], lines: list[Row] | None = None, fulfillments: list[Row] | None = None
) -> Inspection:
    """Inspect canonical exports of these rows; without `lines` each order gets one good line."""
    lines = [line_text(source_order_id=row["source_order_id"]) for row in orders] if lines is None else lines
    export_file(folder / "in", "orders.csv", csv_text(orders))
    export_file(folder / "in", "line_items.csv", csv_text(lines))
    if fulfillments:
        export_file(folder / "in", "fulfillments.csv", csv_text(fulfillments))
    return inspect_files([folder / "in"], folder / "scratch")


def tried(inspection: Inspection) -> TrialFacts:
    """Return what came of the trial."""
    assert inspection.trial is not None
    return inspection.trial


def without_address(number: int, which: str, **changes: str | None) -> Row:
    """Return an order without one of its addresses."""
    return order_text(number, **{f"{which}_address_{part}": None for part in ADDRESS}, **changes)


def test_each_proposal_is_counted_alone_and_all_are_counted_together(tmp_path: Path) -> None:
    """Alone a fallback saves the orders that lack nothing else; together they save those that lack several things."""
    orders = [
        order_text(1),
        order_text(2, customer_source_customer_id=None),
        without_address(3, "shipping"),
        without_address(4, "billing", customer_source_customer_id=None),
        order_text(5, total_money="9.99", customer_source_customer_id=None),
    ]
    lines = [line_text(number) for number in (1, 2, 3, 5)] + [line_text(4, sku=None, variant_id="V-1")]

    trial = tried(inspected(tmp_path, orders, lines))

    assert (trial.tried, trial.accepted) == (5, 1)
    assert {each.key: (each.rules, each.concerns, each.alone) for each in trial.proposals} == {
        "orders.shipping_address": (["{billing_address}"], 1, 1),
        "orders.billing_address": (["{shipping_address}"], 1, 0),
        "orders.customer_source_customer_id": (["{customer_email|lower}"], 3, 1),
        "line_items.sku": (["{variant_id}"], 1, 0),
    }
    # The fifth order's total does not add up: no fallback mends it.
    assert (trial.accepted_with_own, trial.accepted_with_all) == (4, 4)
    assert not any(each.is_made_up for each in trial.proposals)


def test_made_up_values_are_told_from_those_of_the_files(tmp_path: Path) -> None:
    """What is in no column is counted apart, and never without being said to be made up."""
    orders = [
        order_text(1, customer_email=None, customer_source_customer_id="c"),
        order_text(2, customer_source_customer_id=None),
    ]

    trial = tried(inspected(tmp_path, orders))

    assert {each.key: each.is_made_up for each in trial.proposals} == {
        "orders.customer_source_customer_id": False,
        "orders.customer_email": True,
    }
    assert (trial.accepted, trial.accepted_with_own, trial.accepted_with_all) == (0, 1, 2)


def test_states_are_proposed_only_for_countries_without_them(tmp_path: Path) -> None:
    """An American address without a state is a mistake, and stays one."""
    german = {f"{which}_address_country_code": "DE" for which in ("billing", "shipping")}
    stateless = {f"{which}_address_state_or_province_code": None for which in ("billing", "shipping")}

    trial = tried(inspected(tmp_path, [order_text(1, **stateless, **german), order_text(2, **stateless)]))

    assert [each.key for each in trial.proposals] == [
        "orders.billing_address_state_or_province_code",
        "orders.shipping_address_state_or_province_code",
    ]
    assert [each.alone for each in trial.proposals] == [0, 0]
    assert trial.accepted_with_all == 1


def test_corsos_numbers_of_warehouses_are_asked_for(tmp_path: Path) -> None:
    """No export has them, and no fallback can say them for several warehouses: the store's settings do."""
    fulfillments = [fulfillment_text(1, fulfillment_location_id="Boston"), fulfillment_text(2)]
    fulfillments.append(fulfillment_text(3, fulfillment_location_id=None))

    trial = tried(inspected(tmp_path, [order_text(n) for n in (1, 2, 3)], None, fulfillments))

    assert [(each.key, each.concerns, each.alone) for each in trial.proposals] == [(LOCATIONS, 2, 2)]
    assert (trial.accepted, trial.accepted_with_all) == (1, 3)


def test_nothing_is_proposed_that_would_fill_nothing(tmp_path: Path) -> None:
    """An address that is half there is not taken over; an e-mail is not proposed where a phone is wrong."""
    orders = [
        order_text(1, shipping_address_city=None, shipping_address_country_code="Narnia"),
        order_text(2, customer_phone="9.2E+11"),
        order_text(3, billing_address_country_code=None),
    ]

    trial = tried(inspected(tmp_path, orders))

    assert not trial.proposals
    assert trial.accepted_with_all == 0


def test_a_fallback_keeps_only_the_rules_that_give_a_value(tmp_path: Path) -> None:
    """Of a recommended list that is what would stand in loader.yaml; the others would only raise questions."""
    orders = [
        order_text(1, customer_first_name=None, billing_address_name="Ann Maria Lee"),
        order_text(2, customer_first_name=None),
    ]

    (proposal,) = tried(inspected(tmp_path, orders)).proposals

    assert proposal.rules == ["{billing_address_name|first_word}", "{customer_email|before_at}"]
    assert proposal.alone == 2


def test_the_counts_are_those_of_validation_with_the_same_fallbacks(tmp_path: Path) -> None:
    """Whoever pastes the proposed lines into loader.yaml gets what was promised."""
    orders = [
        order_text(1, customer_source_customer_id=None),
        order_text(2, customer_last_name=None, billing_address_name="Ann Lee"),
        without_address(3, "shipping", customer_email="NOBODY"),
        order_text(4, tax_money="x"),
    ]
    lines = [line_text(n, tax=None) if n == 2 else line_text(n) for n in (1, 2, 3, 4)]

    trial = tried(inspected(tmp_path, orders, lines))

    pasted = yaml.safe_load("\n".join(proposal_lines(trial.proposals, trial.tried)))["fallbacks"]
    result = checked(orders, lines, fallbacks=pasted)
    assert result.accepted["orders"].height == trial.accepted_with_all == 3
    for proposal in trial.proposals:
        alone = checked(orders, lines, fallbacks={proposal.key: pasted[proposal.key]})
        assert alone.accepted["orders"].height == trial.accepted + proposal.alone, proposal.key


@pytest.mark.parametrize(
    "rules",
    [
        ["{billing_address}"],
        [{"where_country_has_none": "{billing_address_country_code}"}],
        ["{a|lower}", {"where_country_needs_none": "-"}, 'with "quotes" and \\'],
        ["{orders.customer_email|before_at|lower} and a long text " * 3, "x"],
    ],
)
def test_proposed_lines_are_yaml_whatever_the_rules_are(rules: list[str]) -> None:
    """Short ones stand in one line, long ones below each other."""
    proposal = Proposal("orders.notes", rules, 3, 1, is_made_up=False)

    lines = list(proposal_lines([proposal], 5))

    read = yaml.safe_load("\n".join(lines))["fallbacks"]["orders.notes"]
    assert (read if isinstance(read, list) else [read]) == rules


def test_what_is_proposed_is_what_loader_yaml_knows(tmp_path: Path) -> None:
    """Every proposal passes the check of loader.yaml."""
    orders = [order_text(1, customer_source_customer_id=None)]

    trial = tried(inspected(tmp_path, orders))

    assert [each.name for each in read_fallbacks({each.key: list(each.rules) for each in trial.proposals})]
