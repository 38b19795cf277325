"""Text for logs and alerts without secrets and without personal data, as far as these can be told by their form.

What is known to be personal is not written in the first place; this is the second net. Order ids stay: they are what a
person has to look for.
"""

import re
from collections.abc import Iterable

VEIL = "•••"

_EMAIL = re.compile(r"[^\s@\"'<>(),;:=]+@[^\s@\"'<>(),;:]+\.[^\s@\"'<>(),;:.]+")
_PHONE = re.compile(r"(?<![\w.-])\+\d[\d ().-]{6,}\d")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}")
_NAMED = re.compile(
    r"(?i)\b((?:client_?)?secret|password|passwd|pwd|access_?token|api_?key)(\"?\s*[=:]\s*\"?)[^\s\"'&,;]+"
)
_IN_URL = re.compile(r"(\w+://)[^\s/@]+:[^\s/@]+@")


def scrubbed(text: str, secrets: Iterable[str] = ()) -> str:
    """Return the text with e-mail addresses, phone numbers, tokens, passwords and `secrets` behind a veil."""
    for secret in sorted((each for each in secrets if len(each) > 3), key=len, reverse=True):
        text = text.replace(secret, VEIL)
    text = _IN_URL.sub(rf"\1{VEIL}@", text)
    text = _EMAIL.sub(VEIL, text)
    text = _BEARER.sub(rf"\1 {VEIL}", text)
    text = _NAMED.sub(rf"\1\2{VEIL}", text)
    return _PHONE.sub(VEIL, text)
