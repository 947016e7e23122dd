"""Faults that are asked for: one by one with their place and time, or at random from a seed.

The kinds are in `vai.testing.kinds`, what is drawn at random in `vai.testing.chance`, what the
kinds do in `vai.testing.wire` (answers and connections) and `vai.testing.spoil` (watch events).
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Self

from vai.testing.chance import Chance
from vai.testing.kinds import AT_EVENTS, LEGAL, Fault, Kind, Match
from vai.testing.requests import Request


def matches(match: Match, request: Request) -> bool:
    """Whether a fault is meant for a request.

    A string has words that must all hold: a resource (``pods``, ``deployments.apps``), a verb or
    kind (``list``, ``watch``, ``watchlist``, ``probe``, ``get``), ``page`` (a list's second and
    later pages), a path (``/api/v1/pods``). None matches every request for a resource.
    """
    if callable(match):
        return match(request)
    words = set((match or "").split()) - {"event"}
    names = {request.path, request.verb, request.kind}
    if request.resource:
        names |= {request.resource, f"{request.resource}.{request.group}"}
        if request.query.get("continue"):
            names.add("page")
    elif request.path not in words:
        return False
    return words <= names


@dataclass(frozen=True, slots=True)
class Injected:
    """One fault that happened.

    Attributes:
        time: When, seconds since the epoch.
        request: Whose answer it was: method, path and query.
        fault: What happened, placed so that it happens again there: the log's faults, given to
            `Faults`, repeat a run in which the same requests come.
    """

    time: float
    request: str
    fault: Fault

    def __str__(self) -> str:
        return f"{self.fault!r}  # {self.request}"


@dataclass(slots=True)
class _Planned:
    fault: Fault
    seen: int = 0
    used: int = 0

    def due(self) -> bool:
        """Count one more request or event; whether this one is meant."""
        self.seen += 1
        return self.seen >= self.fault.nth and self._left()

    def _left(self) -> bool:
        return not self.fault.times or self.used < self.fault.times


@dataclass(slots=True)
class Taken:
    """A fault that a request has met. Over once its `Faults` were cleared."""

    fault: Fault
    over: Callable[[], bool]


class Faults:
    """What goes wrong, and a log of what went wrong.

    Args:
        faults: In the order in which they are tried; a request meets at most one.
        chance: For requests that meet none of them; see `Faults.random`.
    """

    def __init__(self, faults: Iterable[Fault] = (), *, chance: Chance | None = None) -> None:
        self._planned = [_Planned(fault) for fault in faults]
        self._chance = chance
        self._lock = threading.Lock()
        self._cleared = 0
        self._requests: Counter[str] = Counter()
        self._events: Counter[str] = Counter()
        self._log: list[Injected] = []

    @classmethod
    def random(
        cls,
        seed: int | str,
        *,
        kinds: Iterable[Kind | str] = LEGAL,
        rate: float = 0.1,
        at: Match = None,
        longest_s: float = 2.0,
    ) -> Self:
        """Faults by chance: the same seed and the same requests give the same faults.

        What a request meets depends on the seed, its kind and path, and how many of that kind and
        path came before it; so requests to other paths may come in any order.

        Args:
            seed: Anything that names the run.
            kinds: Of which kinds: by default all that a correct server may do.
            rate: The part of the requests that meet one.
            at: Only these requests, as in `Fault`.
            longest_s: How long waits take at most.
        """
        return cls(chance=Chance(seed, rate, tuple(Kind(kind) for kind in kinds), at, longest_s))

    def add(self, *faults: Fault) -> None:
        """Plan more, behind those that are planned."""
        with self._lock:
            self._planned += [_Planned(fault) for fault in faults]

    def clear(self) -> None:
        """Plan nothing more; those that are under way (silence, slowness) end. The log stays."""
        with self._lock:
            self._planned.clear()
            self._chance = None
            self._cleared += 1

    @property
    def log(self) -> list[Injected]:
        """A copy of what happened so far, in order."""
        with self._lock:
            return list(self._log)

    # What the server asks -------------------------------------------------------------------------

    def at_request(self, request: Request) -> Taken | None:
        """The fault that a request meets, at once or later in its answer."""
        with self._lock:
            stream = f"{request.kind} {request.path}"
            self._requests[stream] += 1
            nth = self._requests[stream]
            found = self._due(request, events=False)
            chance = self._chance
            if found is None and chance is not None and matches(chance.at, request):
                found = chance.draw(request.kind, stream, nth)
            return self._take(found, request, stream, nth)

    def at_event(self, request: Request) -> Taken | None:
        """The fault that the next event of a running watch meets."""
        if not self._planned:
            return None
        with self._lock:
            stream = f"event {request.kind} {request.path}"
            self._events[stream] += 1
            found = self._due(request, events=True)
            return self._take(found, request, stream, self._events[stream])

    def _due(self, request: Request, *, events: bool) -> Fault | None:
        chosen: _Planned | None = None
        for planned in self._planned:
            fault = planned.fault
            wanted = _per_event(fault, request) is events and matches(fault.at, request)
            # Every one counts, so that which of them come earlier in the list does not matter.
            if wanted and planned.due() and chosen is None:
                chosen = planned
        if chosen is None:
            return None
        chosen.used += 1
        return chosen.fault

    def _take(self, fault: Fault | None, request: Request, stream: str, nth: int) -> Taken | None:
        if fault is None:
            return None
        query = "&".join(f"{name}={value}" for name, value in request.query.items())
        line = f"{request.method} {request.path}" + (f"?{query}" if query else "")
        placed = replace(fault, at=stream, nth=nth, times=1)
        self._log.append(Injected(time.time(), line, placed))
        cleared = self._cleared
        return Taken(fault, lambda: self._cleared != cleared)

    def __iter__(self) -> Iterator[Injected]:
        return iter(self.log)

    def __str__(self) -> str:
        """The log as the lines of a list of faults."""
        return "\n".join(str(entry) for entry in self.log)


def _per_event(fault: Fault, request: Request) -> bool:
    """Whether it counts the events of running watches, instead of requests."""
    if isinstance(fault.at, str) and "event" in fault.at.split():
        return True
    return fault.kind in AT_EVENTS and fault.after is None and request.verb == "watch"
