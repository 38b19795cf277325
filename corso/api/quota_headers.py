"""Reading the rate-limit fields of an answer; pure, and deaf to anything malformed.

Two forms are understood: the three separate fields that Corso documents (`RateLimit-Limit`,
`RateLimit-Remaining`, `RateLimit-Reset`) and the current IETF draft's `RateLimit: "default";r=50;t=30` with
`RateLimit-Policy: "default";q=100;w=60`. The draft: malformed fields MUST be ignored, and a client MUST NOT assume
that the next answer carries the fields too. What to do with the numbers belongs to `pacer`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

EPOCH_FROM_S = 172_800
"""A reset above two days is a time of day in epoch seconds, not a delay (confusing them caused stalls elsewhere)."""

_EPOCH_MS_FROM = 100_000_000_000
_DAY_S = 86_400
_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,9})?\Z", re.ASCII)
_PARAMETER = re.compile(r";\s*([a-z]+)\s*=\s*([0-9]{1,15})\b", re.ASCII)


@dataclass(frozen=True, slots=True)
class QuotaNotice:
    """What one answer says about the quota; None where it says nothing usable."""

    limit: int | None = None
    """Requests that the window allows."""
    remaining: int | None = None
    """Requests that are left in it."""
    reset_s: float | None = None
    """Seconds until the next window."""
    window_s: float | None = None
    """The window's length in seconds."""
    retry_after_s: float | None = None
    """Seconds that nothing may be sent."""
    reset_is_epoch: bool = False
    """The reset came as a time of day; the published form is a delay."""

    @property
    def describes_a_window(self) -> bool:
        """Whether the numbers suffice to pace by."""
        return self.remaining is not None and self.reset_s is not None


NOTHING = QuotaNotice()
"""What an answer without any such field says."""


def read_notice(fields: Mapping[str, str], utc: datetime) -> QuotaNotice:
    """Read the rate-limit fields of one answer.

    `fields` has lower-case names; `utc` is our time, used only where the answer carries no `date` of its own
    (the server's clock is the right one for the server's times).
    """
    if not fields:
        return NOTHING

    def server_utc() -> datetime:
        # Only some answers need it, and dates are slow to read.
        return _http_date(fields.get("date", "")) or utc

    limit, window_s = _limit(fields.get("ratelimit-limit", ""))
    remaining = _integer(fields.get("ratelimit-remaining", ""))
    reset, is_epoch = _reset(fields.get("ratelimit-reset", ""), server_utc)
    if remaining is None and "ratelimit" in fields:
        limit, remaining, reset, window_s = _structured(
            fields["ratelimit"], fields.get("ratelimit-policy", "")
        )
    if reset is None and remaining is not None:
        reset = window_s
    return QuotaNotice(
        limit, remaining, reset, window_s, _retry_after(fields.get("retry-after", ""), server_utc), is_epoch
    )


def _integer(text: str) -> int | None:
    text = text.strip()
    return int(text) if _NUMBER.match(text) and "." not in text else None


def _limit(text: str) -> tuple[int | None, float | None]:
    # An older draft wrote "100, 100;w=60": the limit first, then the policies that it comes from.
    if "," not in text and ";" not in text:
        return _integer(text), None
    first, _, policies = text.partition(",")
    limit = _integer(first.partition(";")[0])
    for item in [first, *policies.split(",")]:
        window = dict(_PARAMETER.findall(item)).get("w")
        if window and int(window) > 0 and _integer(item.partition(";")[0]) == limit:
            return limit, float(window)
    return limit, None


def _reset(text: str, utc: Callable[[], datetime]) -> tuple[float | None, bool]:
    text = text.strip()
    if not _NUMBER.match(text):
        return None, False
    value = float(text)
    if value <= EPOCH_FROM_S:
        return value, False
    seconds = value / 1000 if value >= _EPOCH_MS_FROM else value
    ahead = seconds - utc().timestamp()
    # A weekly window's delay (604800) read as an epoch would lie in 1970: it cannot be one.
    return (max(0.0, ahead), True) if ahead > -_DAY_S else (value, False)


def _retry_after(text: str, utc: Callable[[], datetime]) -> float | None:
    text = text.strip()
    if not text:
        return None
    if _NUMBER.match(text):
        delay, _ = _reset(text, utc)
        return delay
    when = _http_date(text)
    return max(0.0, (when - utc()).total_seconds()) if when else None


def _http_date(text: str) -> datetime | None:
    try:
        when = parsedate_to_datetime(text)
        # Arithmetic on what a hostile year makes would overflow later; overflow here instead.
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def _structured(state: str, policy: str) -> tuple[int | None, int | None, float | None, float | None]:
    policies = {name: dict(_PARAMETER.findall(rest)) for name, rest in map(_named, policy.split(","))}
    tightest: tuple[float, int, float | None, dict[str, str]] | None = None
    for name, rest in map(_named, state.split(",")):
        values = dict(_PARAMETER.findall(rest))
        if not name or "r" not in values:
            continue
        remaining, known = int(values["r"]), policies.get(name, {})
        reset = float(values["t"]) if "t" in values else None
        pace = remaining / max(1.0, reset if reset is not None else float(known.get("w", 1)))
        if tightest is None or pace < tightest[0]:
            tightest = (pace, remaining, reset, known)
    if tightest is None:
        return None, None, None, None
    _, remaining, reset, known = tightest
    limit = int(known["q"]) if "q" in known else None
    window_s = float(known["w"]) if int(known.get("w", "0")) > 0 else None
    return limit, remaining, reset, window_s


def _named(item: str) -> tuple[str, str]:
    name, semicolon, rest = item.strip().partition(";")
    return name.strip().strip('"'), semicolon + rest
