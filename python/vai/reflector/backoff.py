"""Waits between failed tries, as client-go's reflector takes them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

#: client-go tools/cache/reflector.go: each failure doubles the wait.
_FACTOR: Final = 2.0
#: The same: the wait is lengthened by up to itself, at random (wait.Jitter with 1.0).
_JITTER: Final = 1.0
#: The same: two minutes without a failure, and the waits start small again.
_RESET_S: Final = 120.0


class Backoff:
    """Exponential waits with jitter, from the start again when things are well.

    Args:
        base_s: the first wait, before jitter.
        cap_s: the longest wait, before jitter.
        clock: monotonic seconds.
        draw: a number in [0, 1).
    """

    def __init__(
        self,
        base_s: float,
        cap_s: float,
        *,
        clock: Callable[[], float],
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._base_s = base_s
        self._cap_s = cap_s
        self._clock = clock
        self._draw = draw
        self._next_s = base_s
        self._last = clock()

    def next_s(self) -> float:
        """How long to wait after one more failure."""
        now = self._clock()
        if now - self._last > _RESET_S:
            self._next_s = self._base_s
        self._last = now
        wait_s = self._next_s
        self._next_s = min(wait_s * _FACTOR, self._cap_s)
        return wait_s * (1 + _JITTER * self._draw())

    def reset(self) -> None:
        """The last try went well."""
        self._next_s = self._base_s
