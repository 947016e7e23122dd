"""A random history: what happens to the cluster, the server, the link and vai, from a seed."""

from __future__ import annotations

import random
import threading
import time
from typing import Final, Protocol

from tests.model.copy import Copy
from tests.model.late import Late
from tests.model.world import SCOPES, World
from vai.testing import Fault
from vai.testing.requests import Request

_NAMESPACES: Final = ("ns-0", "ns-1", "ns-10", "other")
_NAMES: Final = 8
_COLORS: Final = ("red", "blue")
#: By then every scope has been listed again.
_LISTED_S: Final = 2.0
#: How often each thing happens.
_WEIGHTS: Final = {
    "put": 40,
    "delete": 12,
    "flip": 8,
    "burst": 2,
    "empty_namespace": 2,
    "compact": 2,
    "lose_pages": 1,
    "restart_server": 2,
    "drop_links": 6,
    "hang": 1,
    "restore": 3,
    "restart_vai": 1,
    "restart_consumers": 2,
    "late_handler": 2,
}


class Waits(Protocol):
    """What a restore waits for."""

    def calm(self, copy: Copy) -> None:
        """Before it."""

    def went_back(self, copy: Copy) -> None:
        """After it."""


class Story:
    """What happens in one run."""

    def __init__(
        self, seed: int, world: World, copy: Copy, waits: Waits, late: Late | None
    ) -> None:
        self._dice = random.Random(f"story {seed}")
        self._world = world
        self._copy = copy
        self._waits = waits
        self._late = late
        self._restores = self._dice.random() < 0.2
        self._restarts = self._dice.random() < 0.4
        self._backed_up = False
        self.told: list[str] = []
        #: How many restores came between two pages of a list.
        self.between = 0

    def begin(self) -> None:
        """Some objects, before vai is there."""
        for name in SCOPES:
            for _ in range(self._dice.randrange(14)):
                self.put(name)

    def go_on(self, steps: int) -> None:
        """So many things one after the other."""
        words = list(_WEIGHTS)
        weights = list(_WEIGHTS.values())
        for _ in range(steps):
            word = self._dice.choices(words, weights)[0]
            if word == "restore" and not self._restores:
                continue
            if word == "restart_vai" and not self._restarts:
                continue
            self.told.append(word)
            getattr(self, word)()
            self.told += self._late.step() if self._late else ()
            if self._dice.random() < 0.5:
                time.sleep(self._dice.random() * 0.012)
        if self._late:
            self._late.end()

    # --- writes

    def put(self, name: str = "") -> None:
        key = (self._dice.choice(_NAMESPACES), f"o{self._dice.randrange(_NAMES)}")
        name = name or self._dice.choice(list(SCOPES))
        self._world.put(name, key, self._dice.choice(_COLORS))

    def delete(self) -> None:
        name, key = self._any()
        if key is not None:
            self._world.delete(name, key)

    def flip(self) -> None:
        """A label changes: the object enters a selection or leaves it."""
        keys = self._world.keys("serviceaccounts")
        if keys:
            self._world.put("serviceaccounts", self._dice.choice(keys), self._dice.choice(_COLORS))

    def burst(self) -> None:
        for _ in range(20):
            self.put()

    def empty_namespace(self) -> None:
        where = self._dice.choice(_NAMESPACES)
        for name in SCOPES:
            for key in self._world.keys(name):
                if key[0] == where:
                    self._world.delete(name, key)

    def _any(self) -> tuple[str, tuple[str, str] | None]:
        name = self._dice.choice(list(SCOPES))
        keys = self._world.keys(name)
        return name, self._dice.choice(keys) if keys else None

    # --- the server and the link

    def compact(self) -> None:
        self._world.sim.compact()

    def lose_pages(self) -> None:
        self._world.sim.expire_continue_tokens()

    def restart_server(self) -> None:
        """Connections are reset, then refused; the new one knows no older history."""
        sim = self._world.sim
        sim.cut()
        sim.compact()
        time.sleep(self._dice.random() * 0.03)
        sim.restore()

    def drop_links(self) -> None:
        self._world.sim.drop_connections()

    def hang(self) -> None:
        self._world.sim.cut("hang")
        time.sleep(self._dice.random() * 0.05)
        self._world.sim.restore()

    def restore(self) -> None:
        """A backup is taken; some time later, etcd is restored from it."""
        sim = self._world.sim
        if not self._backed_up:
            sim.backup()
            self._backed_up = True
            return
        self._backed_up = False
        if self._dice.random() < 0.3:
            self._waits.calm(self._copy)
        if self._dice.random() < 0.5:
            self._restore_between_pages()
        else:
            # Whatever is under way.
            self._world.restore()
        self._waits.went_back(self._copy)

    def _restore_between_pages(self) -> None:
        """Everything is listed again, and the first page behind another finds a restored server."""
        sim = self._world.sim
        away = self._dice.random() < 0.5
        done = threading.Event()

        def meets(request: Request) -> bool:
            if "continue" not in request.query or done.is_set():
                return False
            done.set()
            self.between += 1
            if away:
                sim.cut()
                threading.Timer(0.03, sim.restore).start()
            self._world.restore()
            return True

        sim.inject(Fault("reset", at=meets))
        sim.compact()
        self.burst()
        sim.compact()
        sim.drop_connections()
        if not done.wait(_LISTED_S):
            # All lists were of one page.
            done.set()
            self._world.restore()

    # --- vai

    def restart_vai(self) -> None:
        self._copy.restart()

    def restart_consumers(self) -> None:
        self._copy.consumers_again()

    def late_handler(self) -> None:
        resync = self._dice.choice((None, 0.2))
        self._copy.late_handler(self._dice.choice(list(SCOPES)), resync)
