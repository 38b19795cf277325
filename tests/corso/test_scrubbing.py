"""What logs and alerts must not hold is taken out of them by its form; order ids and sentences stay."""

import pytest

from corso.scrubbing import VEIL, scrubbed

CASES = {
    "an address": ("order o-1 of ann.lee+x@example.co.uk failed", f"order o-1 of {VEIL} failed"),
    "a phone": ("call +1 (202) 555-0199 now", f"call {VEIL} now"),
    "a token": ("Authorization: Bearer eyJhbGciOi.x-y_z", f"Authorization: Bearer {VEIL}"),
    "a secret in JSON": ('{"client_secret": "s3cr3t-1"}', f'{{"client_secret": "{VEIL}"}}'),
    "a password in a URL": ("postgresql://me:p%40ss@db:5432/x", f"postgresql://{VEIL}@db:5432/x"),
    "a known secret": ("sent hunter2 along", f"sent {VEIL} along"),
    "an order id": ("order 6097582719028 of batch 2026-11-22", "order 6097582719028 of batch 2026-11-22"),
    "a sentence": (
        "12.0% of the source orders are quarantined",
        "12.0% of the source orders are quarantined",
    ),
    "a path": ("/data/north/2026-11-22/orders.csv:7", "/data/north/2026-11-22/orders.csv:7"),
}


@pytest.mark.parametrize(("text", "told"), CASES.values(), ids=CASES.keys())
def test_what_is_personal_or_secret_is_veiled_and_nothing_else(text: str, told: str) -> None:
    """A person has to be able to look the order up, and nobody to write to its customer."""
    assert scrubbed(text, ["hunter2", "", "a"]) == told
