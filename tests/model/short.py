"""Runs whose history is short: who is late finds that it was pruned behind him."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import vai
from tests.model.world import SCOPES
from vai.cache.connect import cache_over
from vai.cache.engine import Engine
from vai.cache.query import wanted_scopes
from vai.config import Settings
from vai.informer import Informer
from vai.kube import connect as transport_of
from vai.store import Store

#: Of the runs, how many.
_SHARE: Final = 0.3
#: (bytes, seconds). Of the bytes a fifth of what the bodies take is kept anyway: some 30 changes of
#: these small objects. What is too old goes each second, but is kept for consumers.
_BUDGETS: Final = ((0, 900.0), (0, 900.0), (4_000, 900.0), (64 << 20, 0.0))
#: For the rings of all three scopes: nothing at all, or a dozen changes.
_RINGS: Final = (1, 20_000)


@dataclass(frozen=True)
class Short:
    """How short."""

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

    def connect(self, file: Path, settings: Settings) -> vai.Cache:
        """As `vai.connect`, which has no setting for the history."""
        options: Mapping[str, Any] = {
            "live_within": settings.live_within_s,
            "history_bytes": self.history_bytes,
            "history_s": self.history_s,
        }

        def opener(mode: Literal["writer", "reader"]) -> Store:
            return Store(file, mode, **options)

        wanted = wanted_scopes(SCOPES.values())

        def connector(store: Store) -> Informer:
            return Informer(store, transport_of(settings), wanted, settings, ())

        return vai.Cache(Engine(opener, connector, "writer"), wanted, settings)

    def open(self, file: Path, settings: Settings) -> vai.Cache:
        """As `vai.open`, whose rings are as large as the environment says."""
        return cache_over(file, None, "reader", settings, ())
