"""What depends on a place: countries, their subdivisions, currencies and phones, written as codes say them.

ISO 3166 and ISO 4217 are pycountry's, numbering plans are phonenumbers'; what neither of them knows exactly stays
as it is, and the schema's rule sees what the merchant wrote. Nothing is searched for by likeness: of one wrong
country nobody would ever hear. A name is the same name whatever its case, accents, dots, hyphens and commas.

Millions of rows hold few different places: all work is done once for each different value, or pair of them.
"""

import gettext
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from itertools import chain
from pathlib import Path

import phonenumbers
import polars as pl
import pycountry
from phonenumbers import PhoneNumber

from schemas.fields import country_codes, currency_codes

_WELL_KNOWN = {
    "Great Britain": "GB", "Britain": "GB", "England": "GB", "Scotland": "GB", "Wales": "GB",
    "Northern Ireland": "GB", "Republic of Ireland": "IE", "Holland": "NL", "Turkey": "TR", "Russia": "RU",
    "Macedonia": "MK", "Vatican City": "VA", "Vatican": "VA", "UAE": "AE", "Palestinian Territories": "PS",
    "Burma": "MM", "Brunei": "BN", "East Timor": "TL", "Macau": "MO", "Ivory Coast": "CI", "Cape Verde": "CV",
    "Swaziland": "SZ", "DR Congo": "CD", "Congo-Kinshasa": "CD", "Congo-Brazzaville": "CG",
}  # fmt: skip
"""What shops call countries, where pycountry has no such name."""

_PHONE_LIKE = r"^\+?[0-9(][0-9 ().\-/]{4,24}$"
_EXTENSION = r"(?i)[ ,;]*(?:x|ext\.?|extn\.?|extension)[ :.]*\d{1,7}$"
_DECIMAL = r"^\+?\d+\.0$"
"""A phone that a program took for a number: the last zero is none that is dialled, and a plus in front may be gone."""
_E164 = r"^\+[1-9]\d{6,14}$"
_NOT_DIALLED = r"[ ().\-/]"
_NORTH_AMERICAN = r"^1?[2-9]\d{9}$"
_ONE_DIGIT = "^1?(?:" + "|".join(f"{digit}{{10}}" for digit in range(2, 10)) + ")$"

# Letters that Unicode does not take apart into a plain one and an accent.
_PLAIN_LETTERS = str.maketrans({"ø": "o", "đ": "d", "ð": "d", "ł": "l", "\u0131": "i", "æ": "ae", "œ": "oe"})
_LEFT_OUT = str.maketrans("", "", ".'\u2018\u2019\u02bb\u02bc`\u00b4")
_ACCENTS = re.compile("[\u0300-\u036f]")
_BETWEEN_WORDS = re.compile(r"[\s,;/()\[\]\-\u2010-\u2015]+")
_IN_BRACKETS = re.compile(r"\(.*?\)|\[.*?\]")
_LONGEST_NAME = 120
_HASH = "hash"
_AROUND_PHONES = " \t\r\n\u00a0'"


def with_places(orders: pl.DataFrame) -> pl.DataFrame:
    """Write the places of canonical orders, all of them still text, as Corso takes them.

    A state is read by its own address's country; the customer's phone by the billing country, and by the
    shipping country where that is empty.
    """
    billing, shipping = (f"{which}_address_country_code" for which in ("billing", "shipping"))
    states = {which: f"{which}_address_state_or_province_code" for which in ("billing", "shipping")}
    return orders.with_columns(
        countries(pl.col(billing)).alias(billing),
        countries(pl.col(shipping)).alias(shipping),
        currencies(pl.col("customer_currency_code")),
    ).with_columns(
        subdivisions(pl.col(states["billing"]), pl.col(billing)),
        subdivisions(pl.col(states["shipping"]), pl.col(shipping)),
        phones(pl.col("customer_phone"), pl.coalesce(billing, shipping)),
    )


def countries(text: pl.Expr) -> pl.Expr:
    """Write countries as ISO 3166-1 alpha-2 codes: from either code, or from an exact name in any language.

    A name that means two countries in two languages, or in one ("Congo"), stays.
    """
    return _each_once(_country, text)


def subdivisions(text: pl.Expr, country: pl.Expr) -> pl.Expr:
    """Write states and provinces as their ISO 3166-2 code without the country's prefix (US-AZ, Arizona -> AZ).

    `country` is an alpha-2 code; without one, and where a name is not exactly one subdivision's, it stays.
    """
    return _each_once(_subdivision, text, country)


def currencies(text: pl.Expr) -> pl.Expr:
    """Write currencies as ISO 4217 codes: from the code in any case, or from ISO's exact name (US Dollar).

    Symbols stay: a dozen currencies are written $.
    """
    return _each_once(_currency, text)


def phones(numbers: pl.Expr, country: pl.Expr) -> pl.Expr:
    """Write phones in E.164, by the country's rules where they do not begin with +; others stay as they are.

    An extension (x123, ext. 5) is left out: E.164 has no place for it, Corso takes nothing else, and the number
    before it is the one that is dialled. Digits that a spreadsheet has destroyed (9.2E+11) are not guessed, nor is
    which of two numbers is meant.
    """
    other = pl.when(~numbers.str.contains(_E164)).then(numbers)
    return pl.coalesce(_by_different_rows(_to_e164, other, country), numbers)


def _each_once(look_up: Callable[..., str | None], text: pl.Expr, *by: pl.Expr) -> pl.Expr:
    def look_all_up(different: pl.DataFrame) -> pl.Series:
        found = [look_up(*row) for row in different.iter_rows()]
        return pl.Series(found, dtype=pl.String)

    return _by_different_rows(look_all_up, text, *by)


def _by_different_rows(work: Callable[[pl.DataFrame], pl.Series], text: pl.Expr, *by: pl.Expr) -> pl.Expr:
    """Replace `text` by what `work` makes of the different rows of (text, *by); where that is null, it stays.

    The frame that `work` gets has the columns text, by_1, by_2, …; nothing in it is null.
    """

    def replaced(columns: Sequence[pl.Series]) -> pl.Series:
        rows = pl.DataFrame([column.alias(name) for column, name in zip(columns, names, strict=True)])
        # Rows are told apart and found again by a hash, in a third of the time that texts take. Of two that share one (once
        # in ten million batches of a million rows) none gets the other's value: texts are compared then.
        hashed = rows.with_columns(_hash_of(names))
        different = hashed.unique(_HASH).drop_nulls(names)
        written = different.with_columns(work(different.select(names)).alias("written"))
        changed = written.filter(pl.col("written") != pl.col("text"))
        if changed.is_empty():
            return rows["text"]
        found = hashed.join(changed, on=_HASH, how="left", maintain_order="left", suffix=".found")
        is_its_own = pl.all_horizontal(pl.col(name) == pl.col(f"{name}.found") for name in names)
        if found.select((pl.col("written").is_not_null() & ~is_its_own).any()).item():
            return _replaced_by_text(rows, names, work)
        return found.select(pl.coalesce("written", "text").alias("text")).to_series()

    names = ["text", *(f"by_{number}" for number in range(1, len(by) + 1))]
    # A place that is not known is a kind of its own, not a row to leave out.
    return pl.map_batches([text, *(each.fill_null("") for each in by)], replaced, return_dtype=pl.String)


def _hash_of(names: Sequence[str]) -> pl.Expr:
    hashes = [pl.col(name).hash(number) // len(names) for number, name in enumerate(names)]
    return pl.sum_horizontal(hashes).alias(_HASH)


def _replaced_by_text(
    rows: pl.DataFrame, names: Sequence[str], work: Callable[[pl.DataFrame], pl.Series]
) -> pl.Series:
    different = rows.unique().drop_nulls()
    written = different.with_columns(work(different).alias("written"))
    joined = rows.join(written, on=names, how="left", maintain_order="left")
    return joined.select(pl.coalesce("written", "text").alias("text")).to_series()


def _country(text: str) -> str | None:
    code = text.strip().replace(".", "").upper()
    if text.isascii() and code in _country_by_code():
        return _country_by_code()[code]
    name = _name(text)
    found = _country_by_iso_name().get(name)
    # In three letters the names of all languages meet the codes of everything: CAD is a name of Chad.
    if found or (name.isascii() and len(name) <= 3):
        return found
    return _country_by_any_name().get(name)


@cache
def _country_by_code() -> Mapping[str, str]:
    by_code = {code: code for code in country_codes()}
    # ISO keeps UK for the United Kingdom: it can never become another country's.
    return by_code | {each.alpha_3: each.alpha_2 for each in pycountry.countries} | {"UK": "GB"}


@cache
def _country_by_iso_name() -> Mapping[str, str]:
    """Return the countries by the names that ISO itself gives them in English, and by well-known ones.

    They come first: pycountry's Guaraní says Mexico of Malaysia, and one catalog's mistake is no second reading.
    """
    own_names = {name for text, _ in _iso_names() for name in _whole_names(text)}
    readings = _readings(_iso_names())
    return _unambiguous({name: readings[name] for name in own_names})


@cache
def _country_by_any_name() -> Mapping[str, str]:
    """Return the countries by their names in all languages, where no other country is called the same in any.

    Takes half a second, which exports with codes or English names never pay.
    """
    languages = _translations("iso3166-1")
    translated = {(language(name), code) for language in languages for name, code in _iso_names()}
    # A code counts against a name: Austria is Áo in Vietnamese, and AO is Angola.
    codes = ((code.lower(), country) for code, country in _country_by_code().items())
    readings = _readings(chain(_iso_names(), translated, codes))
    # Of translations only whole names count: French says "Îles Vierges, États-Unis", which
    # makes "Îles Vierges" none of the two groups of them.
    whole = {name for text, _ in translated for name in _whole_names(text)}
    return _unambiguous({name: readings[name] for name in whole | _readings(_iso_names()).keys()})


def _iso_names() -> Iterator[tuple[str, str]]:
    """Yield (a name of a country in English, its code)."""
    yield from _WELL_KNOWN.items()
    for country in pycountry.countries:
        for kind in ("name", "official_name", "common_name"):
            if name := getattr(country, kind, None):
                yield name, country.alpha_2


def _translations(standard: str) -> Iterator[Callable[[str], str]]:
    """Yield for each language that pycountry ships how it translates a name; one it lacks stays as it is."""
    for catalog in sorted(Path(pycountry.LOCALES_DIR).glob(f"*/LC_MESSAGES/{standard}.mo")):
        with catalog.open("rb") as file:
            # Not gettext.translation, which would keep every catalog in memory for good.
            yield gettext.GNUTranslations(file).gettext


def _readings(names: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """Return the codes that each name can stand for, whole or without what ISO adds to tell two apart."""
    readings: dict[str, set[str]] = defaultdict(set)
    for text, code in names:
        shortened = {text.partition(", ")[0], _IN_BRACKETS.sub("", text)} - {text}
        for name in (*_whole_names(text), *map(_name, shortened)):
            readings[name].add(code)
    return readings


def _whole_names(text: str) -> Iterator[str]:
    """Yield a name as ISO writes it ("Iran, Islamic Republic of") and as everybody else does."""
    yield _name(text)
    head, comma, tail = text.partition(", ")
    if comma:
        yield _name(f"{tail} {head}")


def _subdivision(text: str, country: str) -> str | None:
    if country not in country_codes():
        return None
    codes, code_by_name = _subdivisions_of(country)
    code = text.strip().upper().removeprefix(f"{country}-")
    return code if text.isascii() and code in codes else code_by_name.get(_name(text))


@cache
def _subdivisions_of(country: str) -> tuple[frozenset[str], Mapping[str, str]]:
    """Return a country's codes without its prefix, and by name those of them that have the name to themselves.

    Where a province is called like a part of its region's name (Madrid, "Madrid, Comunidad de"), it keeps the name.
    """
    codes = set()
    own: dict[str, set[str]] = defaultdict(set)
    inverted: dict[str, set[str]] = defaultdict(set)
    found = pycountry.subdivisions.get(country_code=country)  # type: ignore[no-untyped-call]
    for subdivision in found or ():
        code = subdivision.code.removeprefix(f"{country}-")
        codes.add(code)
        # Brackets hold the name in another language, parentheses a remark.
        spellings = [subdivision.name, *re.split(r"[\[\];]", subdivision.name)]
        for name in (*spellings, _IN_BRACKETS.sub("", subdivision.name)):
            own[_name(name)].add(code)
            for whole in _whole_names(name):
                inverted[whole].add(code)
    return frozenset(codes), _unambiguous({**inverted, **own})


def _currency(text: str) -> str | None:
    code = text.strip().upper()
    return code if text.isascii() and code in currency_codes() else _currency_by_name().get(_name(text))


@cache
def _currency_by_name() -> Mapping[str, str]:
    readings: dict[str, set[str]] = defaultdict(set)
    for currency in pycountry.currencies:
        readings[_name(currency.name)].add(currency.alpha_3)
    return _unambiguous(readings)


def _unambiguous(readings: Mapping[str, set[str]]) -> dict[str, str]:
    return {name: next(iter(codes)) for name, codes in readings.items() if name and len(codes) == 1}


def _name(text: str) -> str:
    """Return what is left of a name without case, accents, dots, apostrophes and what stands between words.

    "St." is "Saint", "&" is "and", and "the" says nothing.
    """
    if len(text) > _LONGEST_NAME:
        return ""
    letters = unicodedata.normalize("NFKD", text.translate(_LEFT_OUT)).casefold()
    plain = _ACCENTS.sub("", letters).translate(_PLAIN_LETTERS).replace("&", " and ")
    words = _BETWEEN_WORDS.sub(" ", plain).split()
    return " ".join("st" if word == "saint" else word for word in words if word != "the")


def _to_e164(different: pl.DataFrame) -> pl.Series:
    """Return the E.164 of each row of (text, by_1: its country); null where there is none."""
    # Column by column: in one expression polars would take the text apart again for every use of a part.
    text = pl.col("text").str.strip_chars(_AROUND_PHONES)
    read = different.select(number=text.str.replace(_EXTENSION, ""), country="by_1")
    read = read.with_columns(number=pl.when(pl.col("number").str.contains(_PHONE_LIKE)).then("number"))
    without_zero = pl.when(pl.col("number").str.contains(_DECIMAL)).then(pl.col("number").str.head(-2))
    read = read.with_columns(digits=pl.coalesce(without_zero, "number").str.replace_all(_NOT_DIALLED, ""))
    number, digits = pl.col("number"), pl.col("digits")
    # +44 (0)20 …: the zero in brackets is dialled at home only, which phonenumbers knows.
    done = digits.str.contains(_E164) & ~number.str.contains("(0", literal=True)
    # Ten digits are a whole number in North America: phonenumbers says the same, but a number at a time.
    whole = (
        pl.col("country").is_in(["US", "CA"])
        & digits.str.contains(_NORTH_AMERICAN)
        & ~digits.str.contains(_ONE_DIGIT)
    )
    e164 = read.select(
        pl.when(done).then(digits).when(whole).then(pl.lit("+1") + digits.str.slice(-10))
    ).to_series()
    left = (e164.is_null() & read["number"].is_not_null()).arg_true()
    found = [_e164(number, country) for number, country, _ in read[left].iter_rows()]
    return e164.scatter(left, pl.Series(found, dtype=pl.String))


@lru_cache(maxsize=100_000)
def _e164(phone: str, country: str) -> str | None:
    if re.fullmatch(_DECIMAL, phone):
        phone = phone[:-2]
    at_home = _read(phone, country)
    digits = re.sub(_NOT_DIALLED, "", phone)
    code = str(phonenumbers.country_code_for_region(country))
    if not digits.startswith(code) or _in_e164(at_home) == f"+{digits}":
        return _in_e164(at_home)
    with_plus = _read(f"+{phone}", country)
    # 49 (0)30 …: a zero in brackets is dialled at home only, so that what stands before it is dialled from abroad.
    if with_plus and "(0" in phone:
        return _in_e164(with_plus)
    return _in_e164(_surely(at_home, with_plus))


def _surely(at_home: PhoneNumber | None, with_plus: PhoneNumber | None) -> PhoneNumber | None:
    """Return which of two readings is a number, of a phone that begins with its country's own code; null where it may be either.

    4917612345678 is a mobile of Germany with a plus in front, and one of its north, where areas begin with 49, without.
    """
    if not with_plus or not phonenumbers.is_valid_number(with_plus):
        return at_home
    is_either = at_home and at_home != with_plus and phonenumbers.is_valid_number(at_home)
    return None if is_either else with_plus


def _read(phone: str, country: str) -> PhoneNumber | None:
    """Return the number where there can be one of its length: phonenumbers' plans lack ranges that are new."""
    try:
        number = phonenumbers.parse(phone, country or None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    # 000-000-0000 fills a field that may not be empty. One digit alone is a number where the plan has it: 6666 6666 in Singapore.
    is_filler = len(set(phonenumbers.national_significant_number(number))) == 1
    return None if is_filler and not phonenumbers.is_valid_number(number) else number


def _in_e164(number: PhoneNumber | None) -> str | None:
    if number is None:
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
