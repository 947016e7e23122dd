"""Who is late where the history is short: handlers that pause or take their time, and consumers."""

from __future__ import annotations

import random
import time
from typing import Final

from tests.model.copy import Copy
from tests.model.short import Short
from tests.model.told import Told
from tests.model.world import SCOPES, World

#: Of the steps of a story, behind how many somebody gets late, or comes back.
_SHARE: Final = 0.4
#: So much is written about that those who pause meanwhile find it pruned.
_CHURN: Final = 25
#: By then what is too old is gone.
_PRUNED_S: Final = 1.5
_WEIGHTS: Final = {"pause": 5, "resume": 3, "recreate": 5, "churn": 3, "rest": 2, "wake": 2}


class Late:
    """Its dice are its own: the story is the same with it and without."""

    def __init__(self, seed: int, world: World, copy: Copy, short: Short) -> None:
        self._dice = random.Random(f"late {seed}")
        self._world = world
        self._copy = copy
        self._short = short
        self._paused: list[Told] = []
        for name in SCOPES:
            copy.handler(name, naps=True)

    def step(self) -> tuple[str, ...]:
        """What is done behind a step of the story: mostly nothing."""
        if self._dice.random() >= _SHARE:
            return ()
        word = self._dice.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        getattr(self, word)()
        return (word,)

    def end(self) -> None:
        """Nobody is late any more."""
        self.wake()
        if self._short.waits:
            time.sleep(_PRUNED_S)
        while self._paused:
            self.resume()

    # --- handlers

    def pause(self) -> None:
        self._paused.append(self._dice.choice(self._copy.handlers))
        self._paused[-1].registration.pause()

    def resume(self) -> None:
        """One of them; after a restart it is not paused any more."""
        if self._paused:
            self._paused.pop(self._dice.randrange(len(self._paused))).registration.resume()

    # --- what they miss

    def recreate(self) -> None:
        """Some objects go, others come with their names."""
        name = self._dice.choice(list(SCOPES))
        keys = self._world.keys(name)
        for key in self._dice.sample(keys, min(len(keys), 4)):
            self._world.delete(name, key)
            self._world.put(name, key, "red")

    def churn(self) -> None:
        """One scope fills the history."""
        name = self._dice.choice(list(SCOPES))
        keys = self._world.keys(name)
        for _ in range(_CHURN if keys else 0):
            self._world.put(name, self._dice.choice(keys), "red")

    # --- consumers

    def rest(self) -> None:
        self._dice.choice(self._copy.consumers).rests = True

    def wake(self) -> None:
        for one in self._copy.consumers:
            one.rests = False
