"""The time of day at which a run has to be over, as the command takes it: `--until 06:00`."""

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from corso.calendar import moments_of
from corso.errors import SettingsError

_TIME_OF_DAY = re.compile(r"(\d{1,2}):(\d{2})")


def parse_until(text: str, now: datetime, zone: ZoneInfo) -> datetime:
    """Return the moment that `text` names, in the store's zone: HH:MM is the next such time.

    Otherwise YYYY-MM-DD HH:MM, or any ISO 8601 date and time; one with an offset is taken by its offset. Raises
    SettingsError for what is no time, and for a time that is past.
    """
    named = _next_time_of_day(text, now, zone) or _date_and_time(text, now, zone)
    if named is None:
        message = f"--until {text}: say HH:MM or YYYY-MM-DD HH:MM, in the store's time ({zone.key})"
        raise SettingsError(message)
    if named <= now:
        message = f"--until {text} is past: it is {now.astimezone(zone):%Y-%m-%d %H:%M} in {zone.key}"
        raise SettingsError(message)
    return named.astimezone(zone)


def _next_time_of_day(text: str, now: datetime, zone: ZoneInfo) -> datetime | None:
    found = _TIME_OF_DAY.fullmatch(text.strip())
    if not found or int(found[1]) > 23 or int(found[2]) > 59:
        return None
    wall = time(int(found[1]), int(found[2]))
    today = now.astimezone(zone).date()
    return min(
        moment
        for days in (0, 1)
        for moment in moments_of(today + timedelta(days=days), wall, zone)
        if moment > now
    )


def _date_and_time(text: str, now: datetime, zone: ZoneInfo) -> datetime | None:
    try:
        written = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if _is_date_only(text):
        return None
    if written.tzinfo is not None:
        return written.astimezone(UTC)
    moments = moments_of(written.date(), written.time(), zone)
    return next((moment for moment in moments if moment > now), moments[-1])


def _is_date_only(text: str) -> bool:
    try:
        date.fromisoformat(text.strip())
    except ValueError:
        return False
    return True
