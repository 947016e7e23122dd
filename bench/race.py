"""Rounds in turn: first every contender once, then every contender again.

A noisy minute then hits all of them, and not the one that happened to run. pytest-benchmark runs
one test after the other, so the durations are measured here and given to it afterwards, through a
timer that shows them one by one: its table, its ratios and its JSON are of these measurements.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from typing import Any

#: One round of one contender: prepares what it needs, and returns the seconds that count.
Round = Callable[[], float]


class ShownClock:
    """A timer that stands still until it is set forward."""

    def __init__(self) -> None:
        self._now_s = 0.0

    def __call__(self) -> float:
        return self._now_s

    def forward(self, seconds: float) -> None:
        """What was measured."""
        self._now_s += seconds


clock = ShownClock()


def run(contenders: Mapping[str, Round], rounds: int) -> dict[str, list[float]]:
    """Seconds of each round, by contender.

    Args:
        contenders: in the order of the first round; every second round runs backwards.
        rounds: of each.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name in list(contenders)[:: -1 if number % 2 else 1]:
            gc.collect()
            seconds[name].append(contenders[name]())
    return seconds


def show(benchmark: Any, group: str, seconds: list[float], **info: Any) -> None:
    """Give pytest-benchmark what was measured."""
    left = iter(seconds)
    benchmark.group = group
    benchmark.extra_info.update(info)
    benchmark.pedantic(lambda: clock.forward(next(left)), rounds=len(seconds))
