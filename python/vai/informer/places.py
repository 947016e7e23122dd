"""The few places for those who list, given out by rank."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

#: Reflectors wait a moment, look whether they were stopped, and wait again: for so long in between
#: they still count as waiting.
_STILL_S: Final = 1.0


class Places:
    """A number of places; when one falls free, whoever waits with the lowest rank has it.

    Args:
        count: how many there are.
        clock: monotonic seconds.
    """

    def __init__(self, count: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._free = count
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: dict[tuple[int, int], float] = {}
        self._made = 0

    def of(self, rank: int) -> Turn:
        """For one scope, the lowest rank first; of two with one rank, who was made first."""
        with self._changed:
            self._made += 1
            return Turn(self, (rank, self._made))

    def take(self, who: tuple[int, int], timeout_s: float | None) -> bool:
        """Wait for a place. Returns whether it is taken."""
        with self._changed:
            self._waiting[who] = float("inf")
            if self._changed.wait_for(lambda: self._free > 0 and self._first() == who, timeout_s):
                del self._waiting[who]
                self._free -= 1
                self._changed.notify_all()
                return True
            self._waiting[who] = self._clock() + _STILL_S
            return False

    def give_back(self) -> None:
        """A place falls free."""
        with self._changed:
            self._free += 1
            self._changed.notify_all()

    def _first(self) -> tuple[int, int]:
        now = self._clock()
        return min(who for who, until in self._waiting.items() if until > now)


class Turn:
    """One scope's way to a place: `vai.reflector.io.Place`."""

    def __init__(self, places: Places, who: tuple[int, int]) -> None:
        self._places = places
        self._who = who

    def acquire(self, *, blocking: bool = True, timeout: float | None = None) -> bool:
        """Wait so long for a place. Returns whether it is taken."""
        return self._places.take(self._who, timeout if blocking else 0.0)

    def release(self) -> None:
        """Give it back."""
        self._places.give_back()
