"""Which countries' addresses have a state, of all countries that there are."""

from corso.extract import address_forms
from corso.extract.address_forms import countries_that_need_no_state, countries_without_states
from schemas.fields import country_codes

WITH_STATES = {"US", "CA", "AU", "BR", "IN", "MX", "JP", "CN", "IT", "ES", "AE"}
STATES_MAY_STAND = {"IE", "TR", "RO", "UA", "PH"}
WITHOUT_STATES = {"DE", "FR", "GB", "NL", "BE", "SE", "NO", "DK", "FI", "CH", "AT", "PL", "SG", "IL", "ZA"}


def test_countries_are_sorted_into_three_kinds() -> None:
    """A sample that anybody can check on an envelope."""
    assert countries_without_states() >= WITHOUT_STATES
    assert countries_that_need_no_state() >= WITHOUT_STATES | STATES_MAY_STAND
    assert not countries_that_need_no_state() & WITH_STATES
    assert not countries_without_states() & STATES_MAY_STAND
    assert countries_without_states() < countries_that_need_no_state() < country_codes()


def test_a_country_that_the_metadata_does_not_know_is_of_neither_kind() -> None:
    """ISO may know one more country than Google does: nothing is filled there."""
    assert address_forms._fields("QQ", "allowed_fields") == {"country_area"}
    assert address_forms._fields("QQ", "required_fields") == {"country_area"}
