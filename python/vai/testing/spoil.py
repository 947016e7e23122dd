"""What faults do to the events of one watch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from vai.testing.faults import Faults, Taken
from vai.testing.kinds import Kind
from vai.testing.objects import malformed
from vai.testing.requests import Request

#: Ends, breaks or silences the stream, between two events.
_STOPS: Final = frozenset(
    {
        *(Kind.CUT, Kind.RESET, Kind.END, Kind.STALL),
        *(Kind.EXPIRED, Kind.THROTTLED, Kind.UNAVAILABLE, Kind.UNAUTHORIZED),
    }
)


@dataclass(frozen=True, slots=True)
class Spoilt:
    """What goes out in place of an event, and what then ends the stream."""

    frames: list[bytes]
    stop: Taken | None = None


class Spoiler:
    """The faults of one watch: that of its request, and those that wait for any event.

    Args:
        bookmark: The frame of a bookmark at a resourceVersion; None where none were asked for.
    """

    def __init__(
        self,
        faults: Faults,
        request: Request,
        taken: Taken | None,
        bookmark: Callable[[int], bytes] | None,
    ) -> None:
        self._faults = faults
        self._request = request
        self._bookmark = bookmark
        self._own = taken if taken is not None and _in_stream(taken) else None
        self._sent = 0
        self._held: list[bytes] = []

    def due(self) -> Taken | None:
        """What stops the stream now, before the next event."""
        own = self._own
        if own is None or own.over() or own.fault.kind not in _STOPS:
            return None
        if self._sent < (own.fault.after or 0):
            return None
        self._own = None
        return own

    def event(self, frame: bytes, rv: int) -> Spoilt:
        """One event that is about to go out."""
        stop = self.due()
        if stop is not None:
            return Spoilt([], stop)
        self._sent += 1
        held, self._held = self._held, []
        taken = self._taken()
        if taken is None:
            return Spoilt([frame, *held])
        match taken.fault.kind:
            case Kind.DROP:
                return Spoilt(held)
            case Kind.DUPLICATE:
                return Spoilt([frame, frame, *held])
            case Kind.REORDER:
                self._held = [frame]
                return Spoilt(held)
            case Kind.BOOKMARK:
                return Spoilt([*held, *([self._bookmark(rv)] if self._bookmark else [])])
            case Kind.MALFORMED:
                return Spoilt([malformed(frame), *held])
            case Kind.CUT | Kind.TRUNCATED:
                part = 0.5 if taken.fault.part is None else taken.fault.part
                return Spoilt([*held, frame[: int(len(frame) * part)]], taken)
            case kind if kind in _STOPS:
                return Spoilt([frame, *held], taken)
            case _:
                return Spoilt([frame, *held])

    def _taken(self) -> Taken | None:
        own = self._own
        if own is not None and not own.over() and self._sent > (own.fault.after or 0):
            self._own = None
            return own
        return self._faults.at_event(self._request)


def _in_stream(taken: Taken) -> bool:
    """Whether a fault that the request met happens to the stream."""
    fault = taken.fault
    return fault.after is not None or fault.kind in {Kind.END, Kind.STALL}
