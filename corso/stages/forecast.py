"""The forecast: how many requests a plan costs, how long they take, and when they would be done.

The time is a range. Its short end is the pace that the quota, the loader's share and the calendar allow; its long end
knows of the window only what is sure, takes what others used last time as theirs, and lets some time be lost.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import polars as pl

from corso.calendar import Calendar
from corso.report.summary import Summary
from corso.settings import Loader
from corso.stages.batch import Batch
from corso.stages.known_quota import KnownQuota, NotLearnt, ask_quota, read_found, read_measured, said_length
from corso.stages.reading_back.fulfillments import count_due
from corso.stages.reading_back.ways import count_requests

LOST = 1.15
"""How much longer it takes at the worst: waiting for late answers, windows that are begun with care, look-ups."""

_LEAST_SHARE = 0.05
"""What is left to the loader however much others use: nobody can forecast that it gets nothing."""
_LONGEST = timedelta(days=366)


@dataclass(frozen=True)
class Cost:
    """The requests that a plan costs."""

    orders: int
    fulfillments: int
    pages: int
    look_ups: int
    fulfillment_reads: int = 0
    """Reading fulfillments back, at the most."""

    @property
    def requests(self) -> int:
        """All of them."""
        return self.orders + self.fulfillments + self.pages + self.look_ups + self.fulfillment_reads

    def __str__(self) -> str:
        """Say them in words."""
        parts = [
            _count(self.orders, "order"),
            f"up to {_count(self.fulfillments, 'fulfillment')}" if self.fulfillments else "0 fulfillments",
        ]
        if self.pages or not self.look_ups:
            parts.append(_count(self.pages, "page"))
        if self.look_ups:
            parts.append(_count(self.look_ups, "look-up"))
        if self.fulfillment_reads:
            parts.append(f"up to {self.fulfillment_reads:,} to read fulfillments back")
        about = f"{_rounded(self.requests):,}"
        return f"about {about} request{'' if self.requests == 1 else 's'} ({', '.join(parts)})"


@dataclass(frozen=True)
class Rate:
    """A pace to forecast by, in requests a second that the whole quota allows."""

    fastest: float
    slowest: float
    foreign_share: float
    """The part that others take, at the slow end."""
    calendar: Calendar


def forecast(batch: Batch, summary: Summary, now: datetime, *, offline: bool = False) -> str:
    """Return one sentence: requests for sending and reading back, the time they take, and when they would be done.

    Unless `offline`, and where credentials are set, the API is asked for its quota by one read. Nothing that goes
    wrong there is an error of the plan: the sentence says what was not learnt.
    """
    settings = batch.settings
    measured, told = read_measured(settings), _told(batch, offline=offline)
    known: KnownQuota | NotLearnt = told
    if measured and (isinstance(told, NotLearnt) or told.limit == measured.limit):
        known = measured
    elif isinstance(told, NotLearnt):
        known = replace(told, earlier=read_found(settings))
    return f"Forecast: {say_forecast(cost_of(batch, summary), known, settings.loader, now)}"


def _told(batch: Batch, *, offline: bool) -> KnownQuota | NotLearnt:
    if offline:
        return NotLearnt("--offline asks nothing of the API")
    if not batch.settings.has_credentials:
        return NotLearnt("no credentials are set, so the API was not asked")
    return ask_quota(batch.settings, batch.settings.credentials())


def cost_of(batch: Batch, summary: Summary) -> Cost:
    """Count the requests of a plan; reading back goes the way that `stages.reading_back` will take."""
    settings = batch.settings
    reconcile = settings.loader.reconcile
    orders, fulfillments = batch.table("accepted_orders"), batch.table("accepted_fulfillments")
    counted = count_requests(
        settings,
        pl.scan_parquet(orders, glob=False) if orders.exists() else None,
        count=summary.accepted.orders,
        to_create=summary.plan.create,
    )
    pages, look_ups = counted.pages_and_look_ups(counted.way(reconcile.mode))
    return Cost(
        orders=summary.plan.create + summary.plan.update + summary.plan.cancel,
        fulfillments=_planned_fulfillments(batch),
        pages=pages,
        look_ups=look_ups,
        fulfillment_reads=count_due(pl.scan_parquet(fulfillments, glob=False), reconcile.fulfillment_requests)
        if fulfillments.exists()
        else 0,
    )


def _planned_fulfillments(batch: Batch) -> int:
    planned = pl.scan_parquet(batch.table("upload_plan"), glob=False).filter(
        subject="fulfillment", action="create"
    )
    return int(planned.select(pl.len()).collect().item())


def say_forecast(cost: Cost, known: KnownQuota | NotLearnt, loader: Loader, now: datetime) -> str:
    """Say what a plan costs and how long it takes by what is known."""
    configured = loader.limits.requests_per_second
    if isinstance(known, KnownQuota):
        rate = _rate_of(known, loader.calendar)
        soon, late = _seconds(cost.requests, rate, now)
        basis = (
            f"at {_said_quota(known)}, of which the loader may use {_said_shares(rate.calendar, now, late)}"
        )
        others = _said_others(known, loader.calendar)
    elif configured is not None:
        soon = cost.requests / configured
        late, others = LOST * soon, f" The quota is not known: {known.why}."
        basis = f"at {configured:g} requests a second"
    elif known.earlier:
        per_second = known.earlier.found.per_second
        rate = Rate(per_second, per_second / LOST, 0.0, loader.calendar)
        soon, late = _seconds(cost.requests, rate, now)
        shares = _said_shares(rate.calendar, now, late)
        basis = f"at about {per_second:.3g} requests a second, of which the loader may use {shares}"
        day = known.earlier.at.astimezone(loader.calendar.zone)
        others = f" An upload found this out on {day:%Y-%m-%d}; the quota itself is not known: {known.why}."
    else:
        return (
            f"{cost}; how long is not known: {known.why}. "
            "It is known once the API has told its quota, or limits.requests_per_second is set."
        )
    return f"{cost}: {_range(soon, late)} {basis}{_done_by(late, loader.calendar, now)}.{others}"


def _rate_of(known: KnownQuota, calendar: Calendar) -> Rate:
    fastest, slowest = known.limit / known.shortest_s, known.limit / known.longest_s
    if known.shortest_s == known.longest_s:
        slowest /= LOST
    return Rate(fastest, slowest, known.foreign_share, calendar)


def _seconds(requests: int, rate: Rate, now: datetime) -> tuple[float, float]:
    soon = seconds_for(requests, rate.fastest, rate.calendar, now)
    late = seconds_for(requests, rate.slowest, rate.calendar, now, most=1 - rate.foreign_share)
    return soon, late


def seconds_for(
    requests: int, per_second: float, calendar: Calendar, begins: datetime, *, most: float = 1.0
) -> float:
    """Return how long so many requests take at the shares of the calendar, none of which counts for more than `most`.

    `per_second` is what the whole quota allows.
    """
    at, left = begins, float(requests)
    while True:
        pace = per_second * max(_LEAST_SHARE, min(calendar.share_at(at), most))
        change = calendar.next_change_at(at)
        fits = pace * (change - at).total_seconds()
        # Beyond a year it goes on as it was on average.
        if left <= fits or at - begins > _LONGEST:
            passed = (at - begins).total_seconds()
            return passed + left / ((requests - left) / passed if left > fits else pace)
        at, left = change, left - fits


def _said_quota(known: KnownQuota) -> str:
    lengths = said_length(known.shortest_s)
    if known.longest_s != known.shortest_s:
        lengths += f" to {said_length(known.longest_s)}"
    return f"{known.limit:,} requests per {lengths} s"


def _said_shares(calendar: Calendar, now: datetime, seconds: float) -> str:
    shares, at = {calendar.share_at(now)}, now
    ends = now + min(_LONGEST, timedelta(seconds=min(seconds, 1e9)))
    while (at := calendar.next_change_at(at)) < ends and len(shares) <= len(calendar.spans):
        shares.add(calendar.share_at(at))
    if len(shares) == 1:
        return f"{max(shares) * 100:.0f} %"
    return f"{min(shares) * 100:.0f} to {max(shares) * 100:.0f} % (limits.calendar)"


def _said_others(known: KnownQuota, calendar: Calendar) -> str:
    if known.measured_at is None:
        return ""
    day = known.measured_at.astimezone(calendar.zone)
    return f" An upload measured this on {day:%Y-%m-%d}; others used {known.foreign_share * 100:.0f} %."


def _range(soon: float, late: float) -> str:
    short, long = _duration(soon), _duration(late)
    return f"about {short}" if short == long else f"{short} to {long}"


def _duration(seconds: float) -> str:
    if seconds < 180:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    hours = round(seconds / 3600)
    return f"{hours // 24:,} days {hours % 24} h"


def _done_by(late: float, calendar: Calendar, now: datetime) -> str:
    if late > _LONGEST.total_seconds():
        return ""
    end = (now + timedelta(seconds=late)).astimezone(calendar.zone)
    day = "%a" if late < 6 * 86_400 else "%a %d %b"
    return f"; if it runs now, done by about {end.strftime(f'{day} %H:%M')}"


def _rounded(number: int) -> int:
    """Return three significant digits."""
    return round(number, -max(0, len(str(number)) - 3))


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
