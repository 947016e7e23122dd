"""Times and durations as kubectl's columns show them.

Source: apimachinery ``pkg/util/duration/duration.go`` (HumanDuration).
"""

from __future__ import annotations

import calendar
import re
import time
from dataclasses import dataclass

_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC, whole seconds, as metav1.Time is written."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def micro_timestamp(seconds: float) -> str:
    """RFC 3339 with microseconds, as metav1.MicroTime is written."""
    whole = int(seconds)
    micros = int((seconds - whole) * 1_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{micros:06d}Z"


_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d+)?(?:Z|([+-])(\d\d):(\d\d))"
)


def parse_timestamp(text: object) -> float | None:
    """Seconds since the epoch; None when it is no RFC 3339 time."""
    found = _RFC3339.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(found[i]) for i in range(1, 7))
    seconds = float(calendar.timegm((year, month, day, hour, minute, second, 0, 0, 0)))
    if found[7]:
        seconds += float(found[7])
    if found[8]:
        offset = int(found[9]) * _HOUR + int(found[10]) * _MINUTE
        seconds += -offset if found[8] == "+" else offset
    return seconds


def human_duration(span_s: float) -> str:
    """Two or three significant figures: ``42s``, ``5m10s``, ``3h``, ``12d``."""
    seconds = int(span_s)
    if seconds < -1:
        return "<invalid>"
    if seconds < 0:
        return "0s"
    if seconds < 2 * _MINUTE:
        return f"{seconds}s"
    return _longer(seconds)


def _pair(big: int, big_unit: str, small: int, small_unit: str) -> str:
    return f"{big}{big_unit}{small}{small_unit}" if small else f"{big}{big_unit}"


def _longer(seconds: int) -> str:
    minutes, hours = seconds // _MINUTE, seconds // _HOUR
    days = hours // 24
    if minutes < 10:
        return _pair(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _pair(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return _pair(days, "d", hours % 24, "h")
    if hours < 24 * 365 * 2:
        return f"{days}d"
    if hours < 24 * 365 * 8:
        return _pair(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


@dataclass(frozen=True, slots=True)
class Since:
    """A cell that counts from a moment: evaluated when it is sent, not when it is made."""

    moment: float | None
    form: str = "{}"

    def at(self, now: float) -> str:
        """The cell's text."""
        if self.moment is None:
            return "<unknown>"
        return self.form.format(human_duration(now - self.moment))
