"""How far the server is, asked once for all scopes of a resource.

A goal is what a probe came to: the server was at that resourceVersion at that moment. Whichever
scope of the resource asked, a stream of any of them that has reached it shows that scope complete
as of then. It holds within one resource, whose objects lie in one etcd; others may lie elsewhere
(kube-apiserver `--etcd-servers-overrides`, extension servers), where versions count differently.

A stream is idle until its bookmark, near its end, and a goal of its beginning would be as old as
that. So streams say when their bookmark is due, and the `Prober` asks just before it: for the 40
scopes of a resource in as many namespaces one goal every four seconds is enough.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from vai.reflector.states import Proof

_log: Final = logging.getLogger("vai")

#: The newest that is reached counts, and streams are behind by a probe or two at most.
_MOST: Final = 4
#: A probe takes milliseconds; the bookmark must not come before it, nor a timer that is late.
_EARLY_S: Final = 0.5


@dataclass(slots=True)
class Goals:
    """Those of one resource. Thread-safe.

    Attributes:
        boottime_s: `vai.store.boottime_s`.
        want: tells the prober, if there is one, that a stream of this resource needs a goal.
    """

    boottime_s: Callable[[], float]
    want: Callable[[float, Callable[[], str]], None] = field(default=lambda _due_s, _probe: None)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _known: deque[Proof] = field(default_factory=lambda: deque(maxlen=_MOST))

    def ask(self, probe: Callable[[], str]) -> Proof:
        """Ask the server now; raises as `ListerWatcher.probe`."""
        asked_s = self.boottime_s()
        found = Proof(probe(), asked_s)
        with self._lock:
            self._known.append(found)
        return found

    def known(self) -> list[Proof]:
        """The last ones, oldest first."""
        with self._lock:
            return sorted(self._known, key=lambda goal: goal.asked_s)


@dataclass(slots=True)
class _Wanted:
    """What streams of one resource wait for: when their bookmarks are due, and how to ask."""

    goals: Goals
    due_s: list[float] = field(default_factory=list)
    probe: Callable[[], str] | None = None
    #: A probe failed: its scopes ask for themselves until one of them is answered.
    failed: Proof | None = None
    has_failed: bool = False


class Prober:
    """Asks for goals at the right moments, for all resources of a server, on a thread of its own.

    Args:
        lasts_s: how old a goal may be when a stream reaches it.
        boottime_s: `vai.store.boottime_s`.
        clock: monotonic seconds, those of `Goals.want`.
    """

    def __init__(
        self,
        lasts_s: float,
        boottime_s: Callable[[], float],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._lasts_s = lasts_s
        self._boottime_s = boottime_s
        self._clock = clock
        self._changed = threading.Condition()
        self._wanted: dict[str, _Wanted] = {}
        self._stopping = False
        self._wakes_s = float("inf")
        self._thread: threading.Thread | None = None

    def of(self, resource: str) -> Goals:
        """The goals of a resource; the same for all of its scopes."""
        with self._changed:
            if resource not in self._wanted:
                self._wanted[resource] = _Wanted(Goals(self._boottime_s, self._wants(resource)))
            return self._wanted[resource].goals

    def stop(self) -> None:
        """Tell the thread to end; see `join`. A probe under way is its transport's to end."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end. Returns whether it came."""
        thread = self._thread
        if thread is not None:
            thread.join(max(0.0, timeout_s))
        return thread is None or not thread.is_alive()

    def _wants(self, resource: str) -> Callable[[float, Callable[[], str]], None]:
        def want(due_s: float, probe: Callable[[], str]) -> None:
            with self._changed:
                wanted = self._wanted[resource]
                wanted.due_s.append(due_s - _EARLY_S)
                wanted.probe = probe
                if self._thread is None and not self._stopping:
                    self._thread = threading.Thread(
                        target=self._run, name="vai-prober", daemon=True
                    )
                    self._thread.start()
                elif due_s - _EARLY_S < self._wakes_s:
                    self._changed.notify_all()

        return want

    def _run(self) -> None:
        while True:
            with self._changed:
                due = self._next()
                if self._stopping:
                    return
            if due is not None:
                self._ask(due)

    def _next(self) -> _Wanted | None:
        """Wait until somebody's bookmark is near; None to look again."""
        waiting = [wanted for wanted in self._wanted.values() if wanted.due_s]
        first = min(waiting, key=lambda wanted: min(wanted.due_s), default=None)
        at_s = min(first.due_s) if first is not None else float("inf")
        now = self._clock()
        if first is None or at_s > now:
            self._wakes_s = at_s
            self._changed.wait(None if first is None else at_s - now)
            self._wakes_s = float("-inf")
            return None
        # It serves those as well whose bookmarks come while it is new enough.
        first.due_s = [due for due in first.due_s if due > now + self._lasts_s - _EARLY_S]
        return first

    def _ask(self, wanted: _Wanted) -> None:
        known = wanted.goals.known()
        newest = known[-1] if known else None
        if wanted.probe is None or (wanted.has_failed and newest is wanted.failed):
            return
        try:
            wanted.goals.ask(wanted.probe)
            wanted.has_failed = False
        # Whatever it is: the scopes find out themselves, each in its own words.
        except Exception as error:  # noqa: BLE001
            wanted.failed, wanted.has_failed = newest, True
            _log.debug("a probe failed: %s", error)
