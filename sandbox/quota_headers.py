"""How an answer tells the quota: the documented fields, and two forms that other APIs use."""

import math
from typing import Literal

from sandbox.limits import Admission

HeaderMode = Literal["always", "429", "never"]
"""Which answers carry the fields: all, refused ones only, none."""

HeaderForm = Literal["classic", "ietf", "epoch"]
"""How they are spelled: RateLimit-Limit, -Remaining and -Reset; one RateLimit with a RateLimit-Policy, as in the
IETF's present draft; or as the first, with the reset as a time of day."""


def quota_headers(
    admission: Admission, form: HeaderForm, window_s: float, utc_s: float
) -> list[tuple[str, str]]:
    """Return the fields; `utc_s` is the time of day in seconds since the epoch."""
    if form == "ietf":
        return [
            ("ratelimit", f'"default";r={admission.remaining};t={admission.reset_s}'),
            ("ratelimit-policy", f'"default";q={admission.limit};w={math.ceil(window_s)}'),
        ]
    reset = math.ceil(utc_s + admission.reset_in_s) if form == "epoch" else admission.reset_s
    return [
        ("ratelimit-limit", str(admission.limit)),
        ("ratelimit-remaining", str(admission.remaining)),
        ("ratelimit-reset", str(reset)),
    ]
