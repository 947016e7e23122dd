"""Counts what is asked of a server: requests and bytes, by scope and verb."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Literal

from vai.errors import ClosedError
from vai.types import RequestCount

#: `list` a page of a list, `watch` a watch that is there for events, `probe` the question where
#: the server is, `discovery` what is served (and the CRDs of it), `other` the rest: identity.
Verb = Literal["list", "watch", "probe", "discovery", "other"]
#: The scope of what is asked for the cluster as a whole.
CLUSTER: Final = 0
#: Where counts go: `vai.store.Store.count`.
Sink = Callable[[int, str, RequestCount], None]


class Meter:
    """Hands each count on to a sink; until there is one, they are kept. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sink: Sink | None = None
        self._kept: dict[tuple[int, Verb], RequestCount] = {}
        self._failed: set[tuple[int, Verb]] = set()

    def begin(self, sink: Sink) -> None:
        """From now on counts go to the sink, with those of before."""
        with self._lock:
            self._sink = sink
            kept, self._kept = self._kept, {}
        for (scope, verb), count in kept.items():
            sink(scope, verb, count)

    def end(self) -> None:
        """Nobody takes counts any more."""
        with self._lock:
            self._sink = None

    def of(self, scope: int, verb: Verb) -> Tally:
        """What counts the requests of one verb about one scope."""
        return Tally(self, scope, verb)

    def add(self, scope: int, verb: Verb, count: RequestCount) -> None:
        """Count it."""
        with self._lock:
            sink = self._sink
            if sink is None:
                key = (scope, verb)
                self._kept[key] = self._kept.get(key, RequestCount()) + count
        if sink is not None:
            # What comes while the file is being closed is nobody's any more.
            with suppress(ClosedError):
                sink(scope, verb, count)

    def sent(self, scope: int, verb: Verb) -> None:
        """A request goes out; one that follows a failure of its like repeats it."""
        with self._lock:
            again = (scope, verb) in self._failed
            self._failed.discard((scope, verb))
        self.add(scope, verb, RequestCount(requests=1, retries=int(again)))

    def failed(self, scope: int, verb: Verb) -> None:
        """A request was refused, or not answered."""
        with self._lock:
            self._failed.add((scope, verb))


class Tally:
    """Counts the requests of one verb about one scope."""

    __slots__ = ("_meter", "scope", "verb")

    def __init__(self, meter: Meter, scope: int, verb: Verb) -> None:
        self._meter = meter
        self.scope = scope
        self.verb = verb

    def sent(self) -> None:
        """A request goes out."""
        self._meter.sent(self.scope, self.verb)

    def received(self, count_bytes: int) -> None:
        """Bytes of an answer came from the connection."""
        self._meter.add(self.scope, self.verb, RequestCount(received_bytes=count_bytes))

    def failed(self, *, throttled: bool = False) -> None:
        """The request was refused, or not answered; `throttled`: 429."""
        self._meter.failed(self.scope, self.verb)
        if throttled:
            self._meter.add(self.scope, self.verb, RequestCount(throttled=1))
