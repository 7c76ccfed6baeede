"""Whether a maintenance window is open, and when it opens next. Pure; by the wall clock."""

from __future__ import annotations

from datetime import datetime, timedelta

from b3iq.updater.settings import DAYS, Window, zone


def is_open(window: Window, now: datetime) -> bool:
    """Whether an update may begin at an aware time."""
    local = now.astimezone(zone(window.time_zone)).replace(tzinfo=None)
    return any(
        start <= local < end for start, end in _openings(window, local - timedelta(days=1), days=2)
    )


def next_opening(window: Window, now: datetime) -> datetime:
    """The first opening after an aware time, in the window's own zone."""
    place = zone(window.time_zone)
    local = now.astimezone(place).replace(tzinfo=None)
    start = min(start for start, _ in _openings(window, local, days=9) if start > local)
    return start.replace(tzinfo=place)


def _openings(window: Window, local: datetime, *, days: int) -> list[tuple[datetime, datetime]]:
    """Openings that begin on `days` days from the day of a local time on."""
    overnight = timedelta(days=window.closes < window.opens)
    dates = [(local + timedelta(days=offset)).date() for offset in range(days)]
    return [
        (datetime.combine(date, window.opens), datetime.combine(date, window.closes) + overnight)
        for date in dates
        if DAYS[date.weekday()] in window.days
    ]
