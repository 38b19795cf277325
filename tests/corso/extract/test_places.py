"""Places: what a library knows exactly becomes its code; everything else stays as it was written, never a guess."""

from collections.abc import Callable, Sequence

import phonenumbers
import polars as pl
import pycountry
import pytest
from export_factories import checked, order_text
from hypothesis import given, settings
from hypothesis import strategies as st

from corso.extract import places
from corso.extract.places import countries, currencies, phones, subdivisions, with_places
from schemas.fields import country_codes, currency_codes
from schemas.orders import ORDERS

Texts = Sequence[str | None]


def written(convert: Callable[..., pl.Expr], *columns: Texts) -> list[str | None]:
    """Return what a conversion makes of the first column, by the others."""
    frame = pl.DataFrame({str(n): pl.Series(column, dtype=pl.String) for n, column in enumerate(columns)})
    return frame.select(convert(*map(pl.col, frame.columns)).alias("written"))["written"].to_list()


COUNTRIES_BY_CODE = {
    "US": "US", "us": "US", " De ": "DE", "U.S.": "US", "USA": "US", "usa": "US", "U.S.A.": "US", "DEU": "DE",
    "UK": "GB", "u.k.": "GB", "AO": "AO", "EU": "EU", "XX": "XX", "XK": "XK", "CAD": "CAD", "Y": "Y", "Ý": "Ý",
    "ß": "ß", "": "", "  ": "  ", "-": "-", "840": "840",
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), COUNTRIES_BY_CODE.items())
def test_codes_of_countries_become_alpha_2(text: str, expected: str) -> None:
    """In any case and with dots; UK is kept for the United Kingdom, other letters mean no country."""
    assert written(countries, [text]) == [expected]


COUNTRIES_BY_ENGLISH_NAME = {
    "United States": "US", "united states of america": "US", "The United States": "US", "Great Britain": "GB",
    "United Kingdom": "GB", "England": "GB", "South Korea": "KR", "Korea, Republic of": "KR",
    "Korea (Republic of)": "KR", "Republic of Korea": "KR", "North Korea": "KP", "Czech Republic": "CZ",
    "Czechia": "CZ", "Türkiye": "TR", "Turkiye": "TR", "TURKEY": "TR", "Russia": "RU", "Vietnam": "VN",
    "Viet Nam": "VN", "Iran": "IR", "Iran, Islamic Republic of": "IR", "Bolivia": "BO", "Taiwan": "TW",
    "St. Lucia": "LC", "Saint Lucia": "LC", "Trinidad & Tobago": "TT", "Côte d\u2019Ivoire": "CI",
    "Cote d'Ivoire": "CI", "Ivory Coast": "CI", "Guinea-Bissau": "GW", "Guinea Bissau": "GW", "Niger": "NE",
    "Mexico": "MX", "México": "MX", "Samoa": "WS", "Dominica": "DM", "Dominican Republic": "DO",
    "Democratic Republic of the Congo": "CD", "Congo, Democratic Republic of the": "CD",
    "Congo (the Democratic Republic of the)": "CD", "Republic of the Congo": "CG", "Holland": "NL", "UAE": "AE",
    "British Virgin Islands": "VG", "U.S. Virgin Islands": "VI", "Brunei": "BN", "Macau": "MO",
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), COUNTRIES_BY_ENGLISH_NAME.items())
def test_english_names_of_countries_become_codes(text: str, expected: str) -> None:
    """Official, common and well-known ones, whatever their case, accents, dots, hyphens and commas."""
    assert written(countries, [text]) == [expected]


COUNTRIES_IN_OTHER_LANGUAGES = {
    "Deutschland": "DE", "DEUTSCHLAND": "DE", "España": "ES", "Espana": "ES", "Brasil": "BR", "Italia": "IT",
    "Österreich": "AT", "Schweiz": "CH", "Suisse": "CH", "Polska": "PL", "Nederland": "NL", "België": "BE",
    "Estados Unidos": "US", "États-Unis": "US", "Vereinigte Staaten": "US", "Royaume-Uni": "GB",
    "Magyarország": "HU", "Ελλάδα": "GR", "日本": "JP", "中国": "CN", "대한민국": "KR", "Palestine": "PS",
    "Congo": "Congo", "Korea": "Korea", "Corea": "Corea", "Virgin Islands": "Virgin Islands",
    "Îles Vierges": "Îles Vierges", "Saint Martin": "Saint Martin", "Kongo": "Kongo", "Áo": "Áo",
    "Atlantis": "Atlantis", "Germny": "Germny", "United": "United", "States": "States", "America": "America",
    "Deutschland 1": "Deutschland 1", "US, CA": "US, CA", "United States" * 1000: "United States" * 1000,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("text", "expected"), COUNTRIES_IN_OTHER_LANGUAGES.items(), ids=str.strip)
def test_names_in_other_languages_become_codes_where_all_languages_agree(text: str, expected: str) -> None:
    """What can mean two countries, and what is only like a name, is left for the rule and the merchant."""
    assert written(countries, [text]) == [expected]


@pytest.mark.slow
def test_every_iso_name_but_congo_becomes_its_own_code() -> None:
    """No catalog's mistake and no well-known name takes a country's own name from it."""
    names = {
        name: country.alpha_2
        for country in pycountry.countries
        for kind in ("name", "official_name", "common_name")
        if (name := getattr(country, kind, None))
    }
    found = dict(zip(names, written(countries, list(names)), strict=True))
    assert {name: code for name, code in found.items() if code != names[name]} == {"Congo": "Congo"}


SUBDIVISIONS = {
    ("Arizona", "US"): "AZ", ("arizona", "US"): "AZ", ("US-AZ", "US"): "AZ", ("us-az", "US"): "AZ",
    ("AZ", "US"): "AZ", (" az ", "US"): "AZ", ("District of Columbia", "US"): "DC", ("New York", "US"): "NY",
    ("New South Wales", "AU"): "NSW", ("Québec", "CA"): "QC", ("Quebec", "CA"): "QC", ("Bayern", "DE"): "BY",
    ("São Paulo", "BR"): "SP", ("SAO PAULO", "BR"): "SP", ("Tokyo", "JP"): "13", ("13", "JP"): "13",
    ("Łódzkie", "PL"): "10", ("Lodzkie", "PL"): "10", ("İstanbul", "TR"): "34", ("Istanbul", "TR"): "34",
    ("Madrid", "ES"): "M", ("Comunidad de Madrid", "ES"): "MD", ("La Coruña", "ES"): "C",
    ("A Coruña", "ES"): "C", ("A Coruña [La Coruña]", "ES"): "C", ("England", "GB"): "ENG",
    ("Illes Balears", "ES"): "Illes Balears", ("Arizona", "CA"): "Arizona", ("Arizona", None): "Arizona",
    ("Arizona", "USA"): "Arizona", ("CA-ON", "US"): "CA-ON", ("ZZ", "US"): "ZZ", ("Ariz", "US"): "Ariz",
    ("Bavaria", "DE"): "Bavaria", ("US-AZ", None): "US-AZ", ("", "US"): "", (None, "US"): None,
    ("Vatican", "VA"): "Vatican", ("AZ, NM", "US"): "AZ, NM",
}  # fmt: skip


@pytest.mark.parametrize(("given_as", "expected"), SUBDIVISIONS.items())
def test_states_become_the_code_that_their_own_country_gives_them(
    given_as: tuple[str | None, str | None], expected: str | None
) -> None:
    """A code or an exact name of exactly one subdivision of that country; all else stays, the spelling too."""
    text, country = given_as
    assert written(subdivisions, [text], [country]) == [expected]


def test_no_subdivisions_name_is_the_code_of_another() -> None:
    """So it does not matter that codes are looked at first."""
    for country in country_codes():
        codes, code_by_name = places._subdivisions_of(country)
        assert {name: code for name, code in code_by_name.items() if name.upper() in codes - {code}} == {}


CURRENCIES = {
    "USD": "USD", " usd ": "USD", "US Dollar": "USD", "u.s. dollar": "USD", "Euro": "EUR", "EURO": "EUR",
    "Pound Sterling": "GBP", "US Dollar (Next day)": "USN", "Yen": "JPY", "$": "$", "€": "€", "US$": "US$", "Dollar": "Dollar",
    "dollar": "dollar", "Bolívar Soberano": "Bolívar Soberano", "840": "840", "": "",
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CURRENCIES.items())
def test_currencies_become_codes_by_code_or_exact_name(text: str, expected: str) -> None:
    """A symbol means a dozen currencies; a name that two codes have means none."""
    assert written(currencies, [text]) == [expected]


PHONES = {
    ("+12025550123", "US"): "+12025550123", ("+1 (202) 555-0123", "US"): "+12025550123",
    ("+1 202 555 0123", None): "+12025550123", ("'+12025550123", "US"): "+12025550123",
    ("(202) 555-0123", "US"): "+12025550123", ("202.555.0123", "US"): "+12025550123",
    ("1-202-555-0123", "US"): "+12025550123", ("202-555-0123", "CA"): "+12025550123",
    ("020 7946 0123", "GB"): "+442079460123", ("+44 (0)20 7946 0123", "GB"): "+442079460123",
    ("+49 (0)30/23125 014", "US"): "+493023125014", ("030 23125-014", "DE"): "+493023125014",
    ("06 698 12345", "IT"): "+390669812345", ("0044 20 7946 0123", "DE"): "+442079460123",
    ("0049 30 123456", "DE"): "+4930123456", ("011 49 30 123456", "US"): "+4930123456",
    ("0049 30 123456", "US"): "0049 30 123456", ("0049 30 123456", None): "0049 30 123456",
    ("301234567.0", "DE"): "+49301234567", ("33123456789.0", "FR"): "+33123456789",
    ("4917012345678.0", "DE"): "4917012345678.0", ("+4917012345678.0", None): "+4917012345678",
    ("2025550123.0", "US"): "+12025550123", ("030.23125.0", "DE"): "+4930231250", ("301234567.0", None): "301234567.0",
    ("9.2E+11", "US"): "9.2E+11", ("1.20256E+10", "US"): "1.20256E+10", ("2025550123", None): "2025550123",
    ("2025550123", "UK"): "2025550123", ("2025550123", "Atlantis"): "2025550123", ("12", "US"): "12",
    ("call me", "US"): "call me", ("202-555-0123 or 4", "US"): "202-555-0123 or 4", ("", "US"): "",
    (None, "US"): None,
}  # fmt: skip


@pytest.mark.parametrize(("given_as", "expected"), PHONES.items())
def test_phones_are_written_in_e164_by_their_countrys_rules(
    given_as: tuple[str | None, str | None], expected: str | None
) -> None:
    """What is plainly a number is completed; digits that are gone are not guessed, and the rule sees what stood there."""
    number, country = given_as
    assert written(phones, [number], [country]) == [expected]


WITHOUT_PLUS = {
    ("4917612345678", "DE"): None, ("'4917612345678", "DE"): None, ("49 176 12345678", "DE"): None,
    ("(49) 176 12345678", "DE"): None, ("491701234567", "DE"): None, ("491701234567.0", "DE"): None,
    ("4950 123456", "DE"): "+494950123456", ("04950 123456", "DE"): "+494950123456", ("4930123456", "DE"): "+4930123456",
    ("017612345678", "DE"): "+4917612345678", ("17612345678", "DE"): "+4917612345678", ("004917612345678", "DE"): "+4917612345678",
    ("(0049) 176 12345678", "DE"): "+4917612345678", ("49 (0)176 12345678", "DE"): "+4917612345678",
    ("49 (0)30 123456", "DE"): "+4930123456", ("33612345678", "FR"): "+33612345678", ("33 1 23 45 67 89", "FR"): "+33123456789",
    ("447911123456", "GB"): "+447911123456", ("44 (0)20 7946 0123", "GB"): "+442079460123",
    ("819012345678", "JP"): "+819012345678", ("81312345678", "JP"): "+81312345678",
    ("5511961234567", "BR"): "+5511961234567", ("55991234567", "BR"): "+5555991234567",
    ("5555991234567", "BR"): "+5555991234567", ("436641234567", "AT"): "+436641234567",
    ("393331234567", "IT"): "+393331234567", ("3931234567", "IT"): "+393931234567", ("392 123 4567", "IT"): "+393921234567",
    ("390612345678", "IT"): "+390612345678", ("39 (06) 12345678", "IT"): "+390612345678",
    ("34612345678", "ES"): "+34612345678", ("31612345678", "NL"): "+31612345678", ("313912345", "NL"): "+31313912345",
    ("41791234567", "CH"): "+41791234567", ("48501234567", "PL"): "+48501234567", ("485012345", "PL"): "+48485012345",
    ("46701234567", "SE"): "+46701234567", ("919876543210", "IN"): "+919876543210", ("9198765432", "IN"): "+919198765432",
    ("8613800138000", "CN"): "+8613800138000", ("61412345678", "AU"): "+61412345678", ("12025550123", "US"): "+12025550123",
    ("15555550123", "US"): "+15555550123", ("1 204 555 0123", "CA"): "+12045550123", ("79161234567", "RU"): "+79161234567",
    ("89161234567", "RU"): "+79161234567", ("9161234567", "RU"): "+79161234567", ("358401234567", "FI"): "+358401234567",
    ("4520123456", "DK"): "+4520123456", ("45201234", "DK"): "+4545201234", ("4791234567", "NO"): "+4791234567",
    ("47912345", "NO"): "+4747912345", ("32470123456", "BE"): "+32470123456", ("353861234567", "IE"): "+353861234567",
    ("525512345678", "MX"): "+525512345678", ("5255123456", "MX"): "+525255123456",
}  # fmt: skip


@pytest.mark.parametrize(("given_as", "expected"), WITHOUT_PLUS.items())
def test_digits_that_begin_with_their_countrys_code_are_read_where_one_reading_is_a_number(
    given_as: tuple[str, str], expected: str | None
) -> None:
    """With the code, or at home; where either is one nobody can say which is meant, and the text stays for the rule."""
    number, country = given_as
    assert written(phones, [number], [country]) == [expected or number]


FILLERS = [
    *(
        (filler, "US")
        for filler in ("000-000-0000", "1 000 000 0000", "11111111111", "2222222222", "12222222222")
    ),
    *((filler, country) for filler in ("0000000000", "1111111111") for country in ("US", "DE", "GB", "JP")),
]


@pytest.mark.parametrize(("filler", "country"), FILLERS)
def test_one_digit_alone_is_no_number(filler: str, country: str) -> None:
    """Checkouts fill fields with it that may not be empty."""
    assert written(phones, [filler], [country]) == [filler]


def test_one_digit_alone_is_a_number_where_the_countrys_plan_has_it() -> None:
    """Such numbers are sold."""
    assert written(phones, ["6666 6666", "666 666 666"], ["SG", "ES"]) == ["+6566666666", "+34666666666"]


def test_a_phone_that_may_be_two_numbers_is_refused_with_what_to_write() -> None:
    """The plus tells."""
    result = checked([order_text(customer_phone="4917612345678", billing_address_country_code="Germany")])
    (reason,) = result.quarantine["reasons"].drop_nulls().filter(result.quarantine["table"] == "orders")
    assert "customer_phone '4917612345678' is not a phone number in E.164: write + and" in reason
    assert "may be two numbers" in reason


@pytest.mark.parametrize(
    "extension", ["x12", " x12", " ext 5", " ext. 5", ", ext. 1234567", " EXT: 5", " extn 5", " extension 12"]
)
@pytest.mark.parametrize(
    ("number", "country", "expected"),
    [
        ("(202) 555-0123", "US", "+12025550123"),
        ("+12025550123", None, "+12025550123"),
        ("030 23125-014", "DE", "+493023125014"),
    ],
)
def test_an_extension_is_left_out(extension: str, number: str, country: str | None, expected: str) -> None:
    """E.164 has no place for it; phonenumbers reads the same number and the same extension."""
    assert written(phones, [number + extension], [country]) == [expected]
    parsed = phonenumbers.parse(number + extension, country)
    assert phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164) == expected
    assert parsed.extension


def test_what_is_no_extension_is_not_cut_off() -> None:
    """A number that cannot be read stays whole, with what stands behind it."""
    numbers = ["202-555-0123 x", "202-555-0123 x12345678", "12 x5", "202-555-0123 max 5"]
    assert written(phones, numbers, ["US"] * 4) == numbers


@pytest.mark.slow
@settings(deadline=None)
@given(
    st.sampled_from(["US", "CA"]),
    st.from_regex(r"\A1?[2-9][0-9]{9}\Z"),
    st.sampled_from(["{}{}{}", "({}) {}-{}", "{}.{}.{}", "{}-{}/{}", "{}({}){}"]),
)
def test_ten_digits_in_north_america_are_what_phonenumbers_says(country: str, digits: str, form: str) -> None:
    """They are written without asking it, being most numbers of most stores."""
    text = digits[:-10] + form.format(digits[-10:-7], digits[-7:-4], digits[-4:])
    assert written(phones, [text], [country]) == [places._e164.__wrapped__(text, country)]


def test_rows_keep_their_places() -> None:
    """Each different value is worked out once; every row gets its own back, and nothing stays nothing."""
    numbers = ["(202) 555-0123", None, "+493023125014", "(202) 555-0123", "x", "(202) 555-0123"]
    homes = ["US", "US", "US", None, "US", "CA"]
    assert written(phones, numbers, homes) == [
        "+12025550123", None, "+493023125014", "(202) 555-0123", "x", "+12025550123",
    ]  # fmt: skip
    states = ["Victoria", "Victoria", None, "WA", "Washington", "Western Australia"]
    assert written(subdivisions, states, ["AU", "CA", "AU", "AU", "US", "AU"]) == [
        "VIC", "Victoria", None, "WA", "WA", "WA",
    ]  # fmt: skip
    assert written(countries, [None, "usa", "??", "usa", None]) == [None, "US", "??", "US", None]
    assert written(countries, []) == []


LOOK_UPS: dict[str, tuple[str, Callable[..., pl.Expr], list[Texts]]] = {
    "countries": ("_country", countries, [["usa", "de", "United Kingdom", None]]),
    "currencies": ("_currency", currencies, [["usd", "Euro", "$", None]]),
    "subdivisions": ("_subdivision", subdivisions, [["Ohio", "QC", "x", None], ["US", "CA", None, "US"]]),
    "phones": ("_e164", phones, [["030 123456", "020 7946 0123", "555 0123", "+12025550123"], ["DE", "GB", None, "US"]]),
}  # fmt: skip


@pytest.mark.parametrize(("look_up", "convert", "columns"), LOOK_UPS.values(), ids=LOOK_UPS.keys())
def test_work_is_done_once_for_each_different_value(
    monkeypatch: pytest.MonkeyPatch, look_up: str, convert: Callable[..., pl.Expr], columns: list[Texts]
) -> None:
    """Ten thousand rows of three different values are three look-ups; what is null, or E.164, is none."""
    asked: list[tuple[str, ...]] = []
    real = getattr(places, look_up)

    def counted(*given_as: str) -> str | None:
        asked.append(given_as)
        found: str | None = real(*given_as)
        return found

    monkeypatch.setattr(places, look_up, counted)
    assert len(written(convert, *([*column] * 2500 for column in columns))) == 10_000
    assert len(asked) == len(set(asked)) == 3


_TEXTS = st.none() | st.text(max_size=20) | st.sampled_from([
    *COUNTRIES_BY_CODE, *COUNTRIES_BY_ENGLISH_NAME, *CURRENCIES, "Arizona", "US-AZ", "(202) 555-0123 x5",
    "0049 30 123456", "+44 (0)20 7946 0123", "9.2E+11", "+1 2", "\x00", "1" * 1000, "Ⅻ", "ﬁ", "١٢٣٤٥٦٧٨",
])  # fmt: skip
_PHONE_TEXTS = st.text(st.sampled_from("0123456789+() -./x"), max_size=20)
_HOMES = st.none() | st.sampled_from(sorted(country_codes())) | st.text(max_size=3)


@pytest.mark.slow
@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(_TEXTS | _PHONE_TEXTS, _HOMES), max_size=8))
def test_every_conversion_ends_and_done_twice_is_done_once(rows: list[tuple[str | None, str | None]]) -> None:
    """Nothing raises, a null stays a null, and what has become a code stays that code."""
    texts, homes = [text for text, _ in rows], [home for _, home in rows]
    for convert, by in ((countries, []), (currencies, []), (subdivisions, [homes]), (phones, [homes])):
        once = written(convert, texts, *by)
        assert [text is None for text in once] == [text is None for text in texts]
        assert written(convert, once, *by) == once


@pytest.mark.slow
@settings(deadline=None, max_examples=300)
@given(st.text(max_size=12) | st.sampled_from([*COUNTRIES_BY_ENGLISH_NAME, *CURRENCIES]))
def test_what_changes_becomes_a_known_code(text: str) -> None:
    """There is no third thing between a code and what the merchant wrote."""
    assert written(countries, [text])[0] in {text, *country_codes()}
    assert written(currencies, [text])[0] in {text, *currency_codes()}


def places_of(**changes: str | None) -> dict[str, str | None]:
    """Return an order's places after validation accepted it."""
    result = checked([order_text(customer_phone="(202) 555-0123", **changes)])
    assert result.quarantine["reasons"].to_list() == []
    row = result.accepted["orders"].row(0, named=True)
    names = ("country_code", "state_or_province_code")
    found = {
        f"{which}_{name}": row[f"{which}_address_{name}"]
        for which in ("billing", "shipping")
        for name in names
    }
    return {**found, "currency": row["customer_currency_code"], "phone": row["customer_phone"]}


def test_validation_accepts_an_order_with_names_for_codes() -> None:
    """Each state is read by its own address's country, and the codes are what the accepted table holds."""
    assert places_of(
        billing_address_country_code=" united states ",
        billing_address_state_or_province_code="Washington",
        shipping_address_country_code="Australia",
        shipping_address_state_or_province_code="Western Australia",
        customer_currency_code="us dollar",
    ) == {
        "billing_country_code": "US",
        "billing_state_or_province_code": "WA",
        "shipping_country_code": "AU",
        "shipping_state_or_province_code": "WA",
        "currency": "USD",
        "phone": "+12025550123",
    }  # fmt: skip


HOMES = {
    ("United Kingdom", "US"): "+442079460123",
    (None, "UK"): "+442079460123",
    ("US", "GB"): "020 7946 0123",
    (None, None): "020 7946 0123",
}


@pytest.mark.parametrize(("homes", "expected"), HOMES.items())
def test_a_customers_phone_is_read_by_the_billing_country_or_else_the_shipping_country(
    homes: tuple[str | None, str | None], expected: str
) -> None:
    """By the countries as they have become, not as they were written."""
    billing, shipping = homes
    order = order_text(
        customer_phone="020 7946 0123",
        billing_address_country_code=billing,
        shipping_address_country_code=shipping,
    )
    columns = [name for name in ORDERS.columns if name not in {"file", "line"}]
    orders = pl.DataFrame(
        [{name: order.get(name) for name in columns}], schema=dict.fromkeys(columns, pl.String)
    )
    found = with_places(orders)
    assert found["customer_phone"].to_list() == [expected]
    assert found.columns == orders.columns


def test_rows_that_share_a_hash_do_not_share_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then their texts are compared."""
    monkeypatch.setattr(places, "_hash_of", lambda _names: pl.lit(1, pl.UInt64).alias(places._HASH))
    texts = pl.DataFrame({"text": ["Germany", "France", "US", None, "nowhere"]})
    assert texts.select(countries(pl.col("text"))).to_series().to_list() == [
        "DE",
        "FR",
        "US",
        None,
        "nowhere",
    ]
