"""What there is to retry is one line a cause, however many orders have it, and tells nobody's data."""

import pytest

from corso.stages.retrying import essence_of

ANSWERED = "POST /v1/orders: the API answered 422: "


@pytest.mark.parametrize(
    ("said", "essence"),
    [
        ('{"message": "order o-7: we do not ship there"}', '{"message": "order …: we do not ship there"}'),
        (
            '{"error": {"code": "bad_phone", "value": "+12025550123"}}',
            '{"error": {"code": "bad_phone", "value": …}}',
        ),
        ('{"message": "ann.7@example.com is taken"}', '{"message": …}'),
        ("'Müllerstraße 7' is no address", "… is no address"),
        ("", ""),
    ],
)
def test_what_differs_from_order_to_order_is_left_out(said: str, essence: str) -> None:
    """Ids, numbers, addresses; the API's own words stay."""
    assert essence_of(ANSWERED + said) == (ANSWERED + essence).strip()


def test_orders_of_one_complaint_have_oneessence_of() -> None:
    """Corso's id in the path does not tell them apart either."""
    reasons = [
        f'POST /v1/orders/{number}: the API answered 400: {{"message": "order o-{number} is closed"}}'
        for number in (7, 12345)
    ]
    assert len({essence_of(reason) for reason in reasons}) == 1
