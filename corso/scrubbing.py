"""Text for logs, messages, alerts and the ledger without secrets and without personal data.

Secrets are known: whoever reads one says so here (`remember_secret`), and what the environment has under a name that
speaks of one counts, too. Of an answer that quotes a payload, the payload's own values are taken out. The rest is told by
its form (e-mail, phone, token, password): the second net. Order ids stay: they are what a person has to look for.
"""

import html
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

VEIL = "•••"

_EMAIL = re.compile(r"[^\s@\"'<>(),;:=]+@[^\s@\"'<>(),;:]+\.[^\s@\"'<>(),;:.]+")
_PHONE = re.compile(r"(?<![\w.-])\+\d[\d ().-]{6,}\d")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}")
_NAMED = re.compile(
    r"(?i)\b((?:client_?)?secret|password|passwd|pwd|access_?token|api_?key)(\"?\s*[=:]\s*\"?)[^\s\"'&,;]+"
)
_IN_URL = re.compile(r"(\w+://)[^\s/@]+:[^\s/@]+@")

_SECRET_NAME = re.compile(
    r"(?i)(SECRET|PASSWORD|PASSWD|TOKEN|PRIVATE_KEY|ACCESS_KEY|API_KEY)|^CORSO_ALERT_(WEBHOOK|MAIL)$|_URL$|_PROXY$"
)
"""Names of environment variables that hold a secret, or a URL that may hold one."""
_SHORTEST_SECRET = 4
_NO_SECRETS = frozenset({"sandbox"})
"""The sandbox's secret is public, and a word that messages need."""
_remembered: set[str] = set()

_PERSONAL = frozenset({"customer", "billingAddress", "shippingAddress", "notes", "options", "trackingInfo"})
"""Keys of a payload below which personal data stands."""
_CODES = frozenset({"countryCode", "stateOrProvinceCode", "company"})
"""What of that tells of nobody."""
_SHORTEST_CUT = 3
_SHORT = 5


def remember_secret(value: str) -> None:
    """Keep a value out of every text that is scrubbed in this process."""
    if len(value) >= _SHORTEST_SECRET:
        _remembered.add(value)


def without_secrets(text: str, secrets: Iterable[str] = ()) -> str:
    """Return the text without what was remembered, what the environment holds, and `secrets`."""
    known = {*_remembered, *secrets, *_of_environment(os.environ)}
    hidden = (each for each in known - _NO_SECRETS if len(each) >= _SHORTEST_SECRET)
    for secret in sorted(hidden, key=len, reverse=True):
        text = text.replace(secret, VEIL)
    return _IN_URL.sub(rf"\1{VEIL}@", text)


def scrubbed(text: str, secrets: Iterable[str] = ()) -> str:
    """Return the text with e-mail addresses, phone numbers, tokens, passwords and secrets behind a veil."""
    text = without_secrets(text, secrets)
    text = _EMAIL.sub(VEIL, text)
    text = _BEARER.sub(rf"\1 {VEIL}", text)
    text = _NAMED.sub(rf"\1\2{VEIL}", text)
    return _PHONE.sub(VEIL, text)


def without_values_of(text: str, *payloads: bytes) -> str:
    """Return an answer's text without the personal values of what was sent, however it quotes them; scrubbed, too.

    A value is found as it is, as JSON, HTML and URLs write it, in any case of its letters, and cut at the text's end, as
    long answers are.
    """
    if not text:
        return text
    values = {form for payload in payloads if payload for value in _values(payload) for form in _forms(value)}
    ordered = sorted(values, key=len, reverse=True)
    if ordered:
        found = re.compile("|".join(map(_pattern, ordered)), re.IGNORECASE)
        text = found.sub(VEIL, text)
    return scrubbed(_without_cut(text, ordered))


def _pattern(value: str) -> str:
    """Return what finds a value: a short one only where it is no part of a longer word."""
    return re.escape(value) if len(value) > _SHORT else rf"(?<!\w){re.escape(value)}(?!\w)"


def _without_cut(text: str, values: Iterable[str]) -> str:
    """Take away what is left of a value at the end of a text that was cut there."""
    folded = text.casefold()
    longest = max(
        (size for value in values for size in range(_SHORTEST_CUT, len(value)) if _ends(folded, value, size)),
        default=0,
    )
    return text[:-longest] + VEIL if longest else text


def _ends(folded: str, value: str, size: int) -> bool:
    before = folded[-size - 1 : -size]
    return folded.endswith(value[:size].casefold()) and not before.isalnum()


def _values(payload: bytes) -> Iterator[str]:
    try:
        content = json.loads(payload)
    except ValueError:
        return
    yield from _personal(content, below=False)


def _personal(content: Any, *, below: bool) -> Iterator[str]:
    if isinstance(content, dict):
        for key, value in content.items():
            if key not in _CODES:
                yield from _personal(value, below=below or key in _PERSONAL)
    elif isinstance(content, list):
        for value in content:
            yield from _personal(value, below=below)
    elif below and not isinstance(content, bool) and content is not None:
        yield str(content)


def _forms(value: str) -> Iterator[str]:
    """Yield how a value, and each of its lines, may be written: in JSON, HTML, a URL, and one of them within another."""
    for part in {value, *value.splitlines()}:
        if len(part.strip()) > 1:
            once = {write(part) for write in _WRITINGS}
            yield from {write(each) for each in once for write in _WRITINGS}


def _in_json(text: str) -> str:
    return json.dumps(text)[1:-1]


def _in_json_as_it_is(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _in_a_url(text: str) -> str:
    return quote(text, safe="")


_WRITINGS = (str, _in_json, _in_json_as_it_is, html.escape, quote, _in_a_url)


def _of_environment(environment: Mapping[str, str]) -> Iterator[str]:
    for name, value in environment.items():
        if not _SECRET_NAME.search(name):
            continue
        if "://" not in value:
            yield value
        elif name == "CORSO_ALERT_WEBHOOK":
            # Whoever knows it can post: all of it is the secret, and above all its path.
            yield from (value, urlsplit(value).path.strip("/"))
        else:
            yield from passwords_of(value)


def passwords_of(url: str) -> Iterator[str]:
    """Yield the passwords in a URL, as written and as meant."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    options = [value for key, value in parse_qsl(parts.query) if "password" in key.lower()]
    for password in (parts.password or "", *options):
        yield from (password, unquote(password))
