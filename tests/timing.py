"""Waiting for conditions, and claims about time that hold on a machine that others use too."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(
    condition: Callable[[], object],
    within_s: float = 30.0,
    what: Callable[[], object] = lambda: "nothing more is known",
) -> float:
    """Wait for a condition; the deadline is there to end a test, not to measure anything.

    Returns:
        Seconds that it took.
    """
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < within_s, f"not within {within_s} s: {what()}"
        time.sleep(0.02)
    return time.monotonic() - started


def one_in_three(attempt: Callable[[], float], below_s: float) -> None:
    """Claim that something takes no longer than this, of three times at least once.

    A busy machine makes it slower now and then; what waits for a timeout is slow every time.
    """
    took_s = []
    for _ in range(3):
        took_s.append(attempt())
        if took_s[-1] < below_s:
            return
    raise AssertionError(f"never below {below_s} s: {took_s}")
