"""The forecast: how many requests a plan costs, and how long they take."""

from corso.report.summary import Summary
from corso.stages.batch import Batch

_ORDERS_PER_PAGE = 50
"""Corso's documented default page size."""


def forecast(batch: Batch, summary: Summary) -> str:
    """Return one sentence: requests for sending and reading back, and the time at the rate that is known.

    The rate is limits.requests_per_second; what the API allows is learnt when the upload begins.
    """
    orders = summary.plan.create + summary.plan.update + summary.plan.cancel
    fulfillments = summary.fulfillments.not_sent
    pages = 1 + summary.accepted.orders // _ORDERS_PER_PAGE
    requests = orders + fulfillments + pages
    counted = f"Forecast: about {requests:,} requests ({orders:,} orders, up to {fulfillments:,} fulfillments, {pages:,} pages)"
    rate = batch.settings.loader.limits.requests_per_second
    if rate is None:
        return f"{counted}; how long is known once the API has told its quota, or limits.requests_per_second is set."
    return f"{counted}, {_duration(requests / rate)} at {rate:g} requests a second."


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    if seconds < 7200:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"
