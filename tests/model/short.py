"""Runs whose history is short: who is late finds that it was pruned behind him."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Final

import msgspec

import vai
from vai.cache.connect import cache_over
from vai.config import Settings

#: Of the runs, how many.
_SHARE: Final = 0.3
#: (bytes, seconds). Of the bytes a fifth of what the bodies take is kept anyway: some 30 changes of
#: these small objects. What is too old goes each second, but is kept for consumers.
_BUDGETS: Final = ((0, 900.0), (0, 900.0), (4_000, 900.0), (64 << 20, 0.0))
#: For the rings of all three scopes: nothing at all, or a dozen changes.
_RINGS: Final = (1, 20_000)


class Short(msgspec.Struct, frozen=True):
    """How short: settings of these names."""

    history_bytes: int
    history_s: float
    handlers_bytes: int

    @staticmethod
    def of(seed: int) -> Short | None:
        """That of a run; None for one whose history is never pruned."""
        dice = random.Random(f"short {seed}")
        if dice.random() >= _SHARE:
            return None
        return Short(*dice.choice(_BUDGETS), dice.choice(_RINGS))

    @property
    def waits(self) -> bool:
        """Whether history waits for consumers, which are then never told that they miss some."""
        return self.history_s == 0.0

    def open(self, file: Path, settings: Settings) -> vai.Cache:
        """As `vai.open`, whose rings are as large as the environment says."""
        return cache_over(file, None, "reader", settings, ())
