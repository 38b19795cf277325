"""What logs and alerts must not hold is taken out of them by its form; order ids and sentences stay."""

import html
import json
from urllib.parse import quote

import pytest

from corso.scrubbing import VEIL, remember_secret, scrubbed, without_secrets, without_values_of

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


ORDER = {
    "sourceOrderId": "o-1",
    "customer": {
        "firstName": "Zo\u00eb",
        "lastName": 'O"Hara & Sons',
        "email": "zoe@example.com",
        "phone": "+12025550142",
    },
    "shippingAddress": {
        "line1": "1 Rue <Est>",
        "postalCode": "02101",
        "countryCode": "US",
        "stateOrProvinceCode": "MA",
    },
    "notes": "ring twice\nbehind the house",
    "totalMoney": 27,
    "lineItems": [{"name": "Blue mug", "options": [{"name": "Engraving", "value": "For Zara"}]}],
    "trackingInfo": {"company": "UPS", "number": "1Z999"},
}
PERSONAL = (
    "Zo\u00eb",
    "Hara",
    "zoe@example.com",
    "+12025550142",
    "Rue",
    "02101",
    "ring twice",
    "behind the house",
    "For Zara",
    "1Z999",
)
QUOTES = {
    "as JSON": lambda text: text,
    "as JSON with escapes": lambda text: json.dumps(json.loads(text)),
    "as JSON in JSON": lambda text: json.dumps({"heard": text}, ensure_ascii=False),
    "in HTML": lambda text: f"<pre>{html.escape(text)}</pre>",
    "in capitals": str.upper,
    "in a URL": lambda text: (
        "?"
        + "&".join(
            quote(each) for each in (*PERSONAL, 'O"Hara & Sons', "1 Rue <Est>") if each not in {"Hara", "Rue"}
        )
    ),
}


@pytest.mark.parametrize("name", QUOTES)
def test_an_answer_that_quotes_an_order_keeps_nothing_of_its_customer(name: str) -> None:
    """However it quotes; what is no customer's stays, as it says why."""
    payload = json.dumps(ORDER, ensure_ascii=False)
    told = without_values_of(f"422 {QUOTES[name](payload)} no", payload.encode())
    for value in PERSONAL:
        assert value.casefold() not in told.casefold(), told
    assert told.startswith("422 ")
    assert told.endswith(" no")
    if "URL" not in name:
        assert "blue mug" in told.casefold()
        assert "o-1" in told.casefold()


@pytest.mark.parametrize("size", range(3, 8))
def test_a_value_that_is_cut_at_the_end_is_taken_out_too(size: int) -> None:
    """Of long answers the beginning is kept."""
    payload = json.dumps({"customer": {"lastName": "Featherstone"}}).encode()
    told = without_values_of(f"no such customer: {'Featherstone'[:size]}", payload)
    assert told == f"no such customer: {VEIL}"
    assert without_values_of("stopped at the feather", payload).startswith("stopped at the ")
    assert without_values_of("rejected", b"no JSON") == "rejected"


def test_secrets_are_known_by_where_they_were_read_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """From .env, which is in nobody's environment; and from the environment, by the names of its variables."""
    remember_secret("from-a-dotenv-file")
    monkeypatch.setenv("CORSO_LEDGER_URL", "postgresql://me:p%40ss-word@db/x?sslpassword=an-other-one")
    monkeypatch.setenv("CORSO_ALERT_WEBHOOK", "https://hooks.example/T0/B0/very-secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "aws-secret-key")
    monkeypatch.setenv("CORSO_CLIENT_SECRET", "sandbox")
    text = (
        "a from-a-dotenv-file b p%40ss-word c p@ss-word d an-other-one e T0/B0/very-secret f aws-secret-key g "
        "environment sandbox at https://me@proxy:1"
    )
    assert without_secrets(text) == (
        f"a {VEIL} b {VEIL} c {VEIL} d {VEIL} e {VEIL} f {VEIL} g environment sandbox at https://me@proxy:1"
    )
