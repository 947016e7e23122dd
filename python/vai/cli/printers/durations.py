"""Ages as kubectl writes them.

`human` is a port of `HumanDuration` (k8s.io/apimachinery, pkg/util/duration/duration.go); the
tests compare it with the original's own answers.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY_HOURS: Final = 24
_YEAR_HOURS: Final = 24 * 365

UNKNOWN: Final = "<unknown>"
"""What stands for the age of an object that carries no timestamp."""

# RFC 3339 as Go's time.RFC3339 and RFC3339Micro write it: the zone is never left out.
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)\Z",
    re.ASCII,
)


def human(age_s: float) -> str:
    """`45s`, `3m20s`, `26h`, `5d3h`, `2y40d`: two or three significant figures."""
    whole = int(age_s)  # towards zero, as Go converts
    # Clocks of two machines may differ a little: almost now is now.
    if whole < -1:
        return "<invalid>"
    if whole < 0:
        return "0s"
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    minutes = whole // _MINUTE
    if minutes < 10:
        return _two(minutes, "m", whole % _MINUTE, "s")
    if minutes < 180:
        return f"{minutes}m"
    return _human_hours(whole // _HOUR, minutes % 60)


def _human_hours(hours: int, minutes: int) -> str:
    if hours < 8:
        return _two(hours, "h", minutes, "m")
    if hours < 48:
        return f"{hours}h"
    days = hours // _DAY_HOURS
    if hours < 8 * _DAY_HOURS:
        return _two(days, "d", hours % _DAY_HOURS, "h")
    if hours < 2 * _YEAR_HOURS:
        return f"{days}d"
    years = hours // _YEAR_HOURS
    if hours < 8 * _YEAR_HOURS:
        return _two(years, "y", days % 365, "d")
    return f"{years}y"


def _two(large: int, unit: str, small: int, small_unit: str) -> str:
    return f"{large}{unit}{small}{small_unit}" if small else f"{large}{unit}"


def timestamp(text: str | None) -> float | None:
    """Seconds since the epoch of an RFC 3339 timestamp; None where there is none.

    Raises:
        ValueError: the text is something else.
    """
    if not text:
        return None
    match = _RFC3339.match(text)
    if match is None:
        msg = f"not an RFC 3339 timestamp: {text!r}"
        raise ValueError(msg)
    day, clock, fraction, zone = match.groups()
    offset = "+00:00" if zone in "Zz" else zone
    moment = datetime.fromisoformat(f"{day}T{clock}{offset}").astimezone(UTC)
    return moment.timestamp() + (float(f"0.{fraction}") if fraction else 0.0)


def since(text: str | None, now_s: float) -> str:
    """The age of a timestamp at the moment `now_s`, as a table cell."""
    try:
        moment_s = timestamp(text)
    except ValueError:
        return "<invalid>"
    return UNKNOWN if moment_s is None else human(now_s - moment_s)
