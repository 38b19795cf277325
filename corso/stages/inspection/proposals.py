"""Which fallbacks would help, and how many orders each would save: the forms that docs/fallbacks.md recommends, tried.

A proposal is built of what the canonical tables hold, and validated like any declared fallback: how much it would save is
counted, not supposed. None is on before it stands in loader.yaml without a `#`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from corso.extract.fallbacks import Fallback, read_fallbacks
from corso.extract.templates import own_columns
from corso.extract.validate import Checked
from corso.stages.inspection.facts import Proposal, TrialFacts
from corso.stages.inspection.trial import Trial

DeclaredRule = str | Mapping[str, str]
LOCATIONS = "store.fulfillment_locations"
"""No fallback, but helps like one: Corso's numbers of the warehouses, which no export has."""

_PARTS = [part for name in own_columns("orders") if (part := name.removeprefix("billing_address_")) != name]
_STATE = "address_state_or_province_code"


@dataclass(frozen=True)
class _Draft:
    """A fallback that may help."""

    key: str
    rules: Sequence[DeclaredRule]
    solves: Sequence[str]
    """`table.column`s whose broken rules it may mend."""
    also_solves: Sequence[str] = ()
    """Others whose rules depend on them."""
    is_made_up: bool = False
    wanted_by: Sequence[str] = ()
    """Of these columns those without which nobody needs it; all of them if there are none."""

    @property
    def is_about_locations(self) -> bool:
        return self.key == LOCATIONS


def _address(which: str, other: str) -> _Draft:
    # The phone is read by the country.
    return _Draft(
        f"orders.{which}_address",
        ["{" + other + "_address}"],
        [f"orders.{which}_address_{part}" for part in _PARTS],
        ["orders.customer_phone"],
        wanted_by=[f"orders.{which}_address_{part}" for part in ("line1", "city", "postal_code")],
    )


def _column(key: str, *rules: DeclaredRule, is_made_up: bool = False, also: Sequence[str] = ()) -> _Draft:
    return _Draft(key, rules, [key], also, is_made_up)


def _state(which: str) -> _Draft:
    country = "{" + f"{which}_address_country_code" + "}"
    return _column(
        f"orders.{which}_{_STATE}", {"where_country_has_none": country}, {"where_country_needs_none": country}
    )


def _name(part: str, filter_name: str) -> _Draft:
    return _column(
        f"orders.customer_{part}",
        *("{" + f"{which}_address_{part}" + "}" for which in ("billing", "shipping")),
        *("{" + f"{which}_address_name|{filter_name}" + "}" for which in ("billing", "shipping")),
        "{customer_email|before_at}",
    )


_DRAFTS = (
    _address("shipping", "billing"),
    _address("billing", "shipping"),
    _state("billing"),
    _state("shipping"),
    _column("orders.customer_source_customer_id", "{customer_email|lower}", "{customer_phone}"),
    _name("first_name", "first_word"),
    _name("last_name", "other_words"),
    _column("line_items.source_line_item_id", "{variant_id}", "{sku}", "{product_id}"),
    _column("line_items.sku", "{variant_id}", "{product_id}", "{source_line_item_id}"),
    _column("line_items.name", "{sku}", "{product_id}"),
    _column("fulfillments.source_fulfillment_id", "{tracking_info_number}", "{source_order_id}"),
    _Draft(LOCATIONS, [], ["fulfillments.fulfillment_location_id"]),
    # What is in no column of the files: the merchant has to know that it is so. Sums are checked all the same.
    _column("line_items.tax", "0.00", is_made_up=True),
    _column("orders.tax_money", "0.00", is_made_up=True, also=["orders.total_money"]),
    _column("orders.shipping_money", "0.00", is_made_up=True, also=["orders.total_money"]),
    _column("orders.customer_email", "{source_order_id|lower}@invalid.example", is_made_up=True),
    *(
        _column(f"orders.{which}_address_{part}", "not in the export", is_made_up=True)
        for which in ("billing", "shipping")
        for part in ("line1", "city", "postal_code")
    ),
)


def try_proposals(trial: Trial) -> TrialFacts:
    """Validate the orders that would not be accepted with each fallback alone, and with all together."""
    drafts = [draft for draft in _DRAFTS if trial.concerned(draft.wanted_by or draft.solves)]
    drafts = _useful(drafts, trial)
    own = [draft for draft in drafts if not draft.is_made_up]
    bare = trial.accepted
    return TrialFacts(
        tried=trial.tried,
        accepted=bare,
        reasons=trial.reasons(),
        proposals=[_tried(draft, trial) for draft in drafts],
        accepted_with_own=bare + _saved(own, trial),
        accepted_with_all=bare + _saved(drafts, trial),
    )


def _useful(drafts: Sequence[_Draft], trial: Trial) -> list[_Draft]:
    """Return the drafts, and the rules of them, without which fewer orders would be accepted, by what they filled."""
    checked = _check(drafts, trial)
    if checked is None:
        return []
    uses = {use.fallback: use for use in checked.fallbacks_used}
    useful = []
    for draft in drafts:
        if draft.is_about_locations:
            useful.append(draft)
            continue
        given = zip(draft.rules, uses[draft.key].rules, strict=True)
        if rules := [rule for rule, use in given if use.values]:
            useful.append(replace(draft, rules=rules))
    return useful


def _tried(draft: _Draft, trial: Trial) -> Proposal:
    return Proposal(
        key=draft.key,
        rules=draft.rules,
        concerns=trial.concerned(draft.wanted_by or draft.solves),
        alone=_saved([draft], trial),
        is_made_up=draft.is_made_up,
    )


def _saved(drafts: Sequence[_Draft], trial: Trial) -> int:
    checked = _check(drafts, trial)
    return checked.accepted["orders"].height if checked else 0


def _check(drafts: Sequence[_Draft], trial: Trial) -> Checked | None:
    solved = list(chain.from_iterable((*draft.solves, *draft.also_solves) for draft in drafts))
    locations = any(draft.is_about_locations for draft in drafts)
    return trial.saved(solved, _fallbacks(drafts), locations=locations) if drafts else None


def _fallbacks(drafts: Iterable[_Draft]) -> list[Fallback]:
    return read_fallbacks({draft.key: list(draft.rules) for draft in drafts if not draft.is_about_locations})
