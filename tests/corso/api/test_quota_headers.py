"""What the rate-limit fields of an answer mean."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corso.api.quota_headers import NOTHING, QuotaNotice, read_notice

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
EPOCH = int(NOW.timestamp())


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, NOTHING),
        (
            {"ratelimit-limit": "100", "ratelimit-remaining": "50", "ratelimit-reset": "30"},
            QuotaNotice(limit=100, remaining=50, reset_s=30),
        ),
        (
            {"ratelimit-limit": "100, 100;w=60", "ratelimit-remaining": "50", "ratelimit-reset": "30"},
            QuotaNotice(limit=100, remaining=50, reset_s=30, window_s=60),
        ),
        (
            {"ratelimit": '"default";r=50;t=30', "ratelimit-policy": '"default";q=100;w=60'},
            QuotaNotice(limit=100, remaining=50, reset_s=30, window_s=60),
        ),
        (
            {
                "ratelimit": '"burst";r=9;t=1, "day";r=20;t=40000',
                "ratelimit-policy": '"burst";q=10;w=1,"day";q=5000;w=86400',
            },
            QuotaNotice(limit=5000, remaining=20, reset_s=40000, window_s=86400),
        ),
        ({"ratelimit": '"default";r=50', "ratelimit-policy": '"default";q=100;w=60'},
         QuotaNotice(limit=100, remaining=50, reset_s=60, window_s=60)),
        ({"ratelimit-remaining": "5", "ratelimit-reset": str(EPOCH + 40)},
         QuotaNotice(remaining=5, reset_s=40, reset_is_epoch=True)),
        ({"ratelimit-remaining": "5", "ratelimit-reset": str((EPOCH + 40) * 1000)},
         QuotaNotice(remaining=5, reset_s=40, reset_is_epoch=True)),
        ({"ratelimit-remaining": "5", "ratelimit-reset": str(EPOCH - 5)},
         QuotaNotice(remaining=5, reset_s=0, reset_is_epoch=True)),
        ({"ratelimit-reset": "172800"}, QuotaNotice(reset_s=172800)),
        ({"ratelimit-reset": "604800"}, QuotaNotice(reset_s=604800)),
        ({"retry-after": "600"}, QuotaNotice(retry_after_s=600)),
        ({"retry-after": "604800"}, QuotaNotice(retry_after_s=604800)),
        ({"retry-after": "Sun, 22 Nov 2026 12:10:00 GMT"}, QuotaNotice(retry_after_s=600)),
        ({"retry-after": "Sun, 22 Nov 2026 12:10:00 GMT", "date": "Sun, 22 Nov 2026 12:09:00 GMT"},
         QuotaNotice(retry_after_s=60)),
        ({"retry-after": "Sun, 22 Nov 2026 11:00:00 GMT"}, QuotaNotice(retry_after_s=0)),
    ],
)  # fmt: skip
def test_every_form_is_read(fields: dict[str, str], expected: QuotaNotice) -> None:
    """Separate fields and the IETF form, delays and times of day: each means one thing."""
    assert expected == read_notice(fields, NOW)


@pytest.mark.parametrize("value", ["", "-1", "abc", "1e9", "NaN", "٣", "9" * 40, "1;2", "0x10", "inf"])
@pytest.mark.parametrize("name", ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "retry-after"])
def test_a_malformed_field_is_ignored(name: str, value: str) -> None:
    """The draft demands it: what cannot be read was not there."""
    assert not read_notice({name: value}, NOW).describes_a_window
    assert read_notice({name: value}, NOW).retry_after_s is None


@given(
    st.dictionaries(
        st.sampled_from(
            ["ratelimit", "ratelimit-policy", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset",
             "retry-after", "date"]
        ),
        st.text(alphabet='0123456789;=,"rtqwdefault -+.:GMTSunNov', max_size=40) | st.text(max_size=20),
    )
)  # fmt: skip
def test_nothing_that_a_server_writes_raises(fields: dict[str, str]) -> None:
    """Whatever stands in the fields, the numbers that come out are absent or sensible."""
    notice = read_notice(fields, NOW)

    for number in (notice.limit, notice.remaining, notice.reset_s, notice.retry_after_s):
        assert number is None or number >= 0
    assert notice.window_s is None or notice.window_s > 0
