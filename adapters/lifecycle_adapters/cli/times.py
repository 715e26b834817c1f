"""Times in the one form that programs read and people type: ISO 8601."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime

_DATE_OR_DATE_TIME = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)?)?", re.ASCII | re.IGNORECASE
)


def iso(at: datetime) -> str:
    """Return an aware time in UTC in ISO 8601, such as `2026-01-31T09:30:00Z`."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """Return an ISO 8601 date or date-time in UTC. A date is its midnight; a time without a zone is UTC.

    Raises:
        ValueError: it is anything else, such as a bare number, which could be a year or seconds since 1970.
    """
    if _DATE_OR_DATE_TIME.fullmatch(text) is not None:
        with suppress(ValueError, OverflowError):  # a 30th of February; a zone that leads out of the calendar
            at = datetime.fromisoformat(text.upper())
            return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    raise ValueError(f"{text!r} is not an ISO 8601 date or time; write it like 2026-01-31 or 2026-01-31T09:30:00Z")
