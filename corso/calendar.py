"""Which share of the quota is the loader's at which time: spans of the week on the clock of the store's wall.

A span is a matter of wall time: `09:00-21:00` begins when the clock on the store's wall shows 09:00. Where daylight
saving skips the hour in which a span begins, it begins as the clock is put forward; where an hour comes twice, both
belong to the span.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LONG_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
EVERY_DAY = frozenset(range(7))
_DAY_MINUTES = 24 * 60
_HOURS = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})")
_MIDNIGHT = time(0, 0)

HORIZON = timedelta(days=8)
"""A week has every change there is, but for those that daylight saving moves; one day more is sure to see one."""


def _day(text: str) -> int:
    name = text.strip().lower()
    for known in (_DAYS, _LONG_DAYS):
        if name in known:
            return known.index(name)
    message = f"{text.strip()!r} is no day; write mon, tue, wed, thu, fri, sat or sun"
    raise ValueError(message)


def _days(written: Any) -> frozenset[int]:
    """Read `mon-fri`, `sat,sun`, `fri-mon`, or a list of such."""
    if isinstance(written, frozenset):
        return written
    parts = written if isinstance(written, list) else [written]
    if not parts or not all(isinstance(part, str) for part in parts):
        message = 'days are written as mon-fri, as "sat,sun", or as a list of days'
        raise ValueError(message)
    days: set[int] = set()
    for part in ",".join(parts).split(","):
        first, dash, last = part.partition("-")
        begins = _day(first)
        length = (_day(last) - begins) % 7 if dash else 0
        days |= {(begins + step) % 7 for step in range(length + 1)}
    return frozenset(days)


def _hours(written: Any) -> tuple[int, int]:
    """Read `09:00-21:00` as minutes of the day; the second is the smaller where the span goes past midnight."""
    if isinstance(written, tuple):
        return written
    found = _HOURS.fullmatch(written.strip()) if isinstance(written, str) else None
    if found is None:
        message = 'hours are written as "09:00-21:00"'
        raise ValueError(message)
    numbers = [int(number) for number in found.groups()]
    begins, ends = numbers[0] * 60 + numbers[1], numbers[2] * 60 + numbers[3]
    if numbers[1] > 59 or numbers[3] > 59 or begins >= _DAY_MINUTES or ends > _DAY_MINUTES:
        message = f'{written!r}: a day has hours from 00:00 to 24:00; hours are written as "09:00-21:00"'
        raise ValueError(message)
    if begins == ends:
        message = f"{written!r} begins and ends at the same time; leave hours out to mean the whole day"
        raise ValueError(message)
    return begins, ends


Days = Annotated[frozenset[int], BeforeValidator(_days)]
"""Days of the week, written as mon-fri, "sat,sun", fri-mon or a list; 0 is Monday."""


class Span(BaseModel):
    """Hours of some days of the week, and the share of the quota that is the loader's in them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    days: Days = EVERY_DAY
    """The days on which the span begins: mon-fri, "sat,sun", fri-mon; every day if left out. 0 is Monday."""
    hours: Annotated[tuple[int, int], BeforeValidator(_hours)] = (0, _DAY_MINUTES)
    """From when to when, e.g. "09:00-21:00"; "21:00-09:00" goes past midnight. The whole day if left out."""
    share: float = Field(gt=0, le=1)
    """The part of the API's quota that the loader may use meanwhile."""

    @model_validator(mode="before")
    @classmethod
    def _days_are_quoted(cls, written: Any) -> Any:
        # In {days: sat,sun, share: 0.95} YAML takes the comma for its own, and sun for a key.
        if isinstance(written, dict) and any(
            value is None and key in _DAYS for key, value in written.items()
        ):
            message = 'days with a comma need quotes, e.g. days: "sat,sun"'
            raise ValueError(message)
        return written

    def covers(self, local: datetime) -> bool:
        """Whether the span covers a moment, given in the store's wall time."""
        begins, ends = self.hours
        minute = local.hour * 60 + local.minute
        day = local.weekday()
        if begins < ends:
            return begins <= minute < ends and day in self.days
        return (minute >= begins and day in self.days) or (minute < ends and (day - 1) % 7 in self.days)

    @property
    def edges(self) -> set[time]:
        """The times of day at which it may begin or end."""
        return {_MIDNIGHT, *(time(*divmod(minute % _DAY_MINUTES, 60)) for minute in self.hours)}


@dataclass(frozen=True)
class Calendar:
    """The spans of a store; the first that covers a moment wins."""

    spans: tuple[Span, ...]
    otherwise: float
    """The share at all other times."""
    zone: ZoneInfo

    def share_at(self, utc: datetime) -> float:
        """Return the loader's share of the quota at a moment."""
        local = utc.astimezone(self.zone)
        return next((span.share for span in self.spans if span.covers(local)), self.otherwise)

    def next_change_at(self, utc: datetime) -> datetime:
        """Return the next moment at which the share is another, or `HORIZON` from now where that is later."""
        share = self.share_at(utc)
        for edge in self._edges(utc):
            if self.share_at(edge) != share:
                return edge
        return utc + HORIZON

    def _edges(self, utc: datetime) -> Iterator[datetime]:
        """Yield, in order, all moments until `HORIZON` at which the share may change."""
        if not self.spans:
            return
        edges = {edge for span in self.spans for edge in span.edges}
        today = utc.astimezone(self.zone).date()
        days = [today + timedelta(days=step) for step in range(-1, HORIZON.days + 1)]
        moments = sorted(
            {moment for day in days for edge in edges for moment in moments_of(day, edge, self.zone)}
        )
        for before, moment in itertools.pairwise(moments):
            if before.astimezone(self.zone).utcoffset() != moment.astimezone(self.zone).utcoffset():
                put = _put_forward_or_back(before, moment, self.zone)
                if put > utc:
                    yield put
            if moment > utc:
                yield moment


def moments_of(day: date, wall: time, zone: ZoneInfo) -> list[datetime]:
    """Return the moments in UTC at which the clock on the wall shows this: one, or two where daylight saving ends.

    Where it is skipped, both readings: with the clock not yet, and already, put forward.
    """
    readings = {datetime.combine(day, wall, zone).replace(fold=fold).astimezone(UTC) for fold in (0, 1)}
    return sorted(readings)


def _put_forward_or_back(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """Find the moment between two at which the offset changes, to the second."""
    offset = before.astimezone(zone).utcoffset()
    low, high = 0, int((after - before).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        if (before + timedelta(seconds=middle)).astimezone(zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return before + timedelta(seconds=high)
