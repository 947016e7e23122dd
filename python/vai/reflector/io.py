"""Everything around the watch loop: the server, the file, clocks, waits, and what was last told."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

from vai.config import Settings
from vai.reflector.backoff import Backoff
from vai.reflector.goals import Goals
from vai.reflector.protocol import ListerWatcher, Response
from vai.reflector.states import Bookmarks, Proof
from vai.types import State, duration

if TYPE_CHECKING:
    from vai.store import Store

#: Positions that no stream has reached yet are few: one per long watch, and only the newest that
#: is reached counts.
_MOST_PROOFS: Final = 4
#: Streams of many scopes that were opened together must not end together: client-go takes up to
#: as much again (reflector.go, minWatchTimeout), but then a proof would miss its limit.
_WATCH_JITTER: Final = 0.1
#: As `Backoff`: two minutes after a list, another one is no loop.
_CALM_S: Final = 120.0
#: A stream may be cut by chance once; twice in a row, smaller pieces have a better chance.
_MOST_CUTS: Final = 2


#: A watch whose bookmark did not come in time gets so much more.
_MISSED_S: Final = 2


class Place(Protocol):
    """One of the few places for those who list; a semaphore is the simplest."""

    def acquire(self, *, blocking: bool = True, timeout: float | None = None) -> bool:
        """Wait so long for it. Returns whether it is taken."""

    def release(self) -> None:
        """Give it back."""


class Link:
    """What the reflectors of one cluster share: the news that the server is heard again."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._heard = 0
        self._paged: dict[str, str] = {}

    def takes_pages(self, group: str) -> bool:
        """Whether streaming lists of that API group are known not to work."""
        with self._changed:
            return group in self._paged

    def take_pages(self, group: str, reason: str) -> bool:
        """Streaming lists of that group don't work; whether that is news.

        It counts until the server was away: it may be another release then.
        """
        with self._changed:
            news = group not in self._paged
            self._paged.setdefault(group, reason)
            return news

    @property
    def heard(self) -> int:
        """How often the server came back so far."""
        with self._changed:
            return self._heard

    def back(self) -> None:
        """A request was answered after the server had not been heard: wake those who wait."""
        with self._changed:
            self._heard += 1
            self._paged.clear()
            self._changed.notify_all()

    def wake(self) -> None:
        """Let every waiter look again whether it has to go on."""
        with self._changed:
            self._changed.notify_all()

    def wait(self, seconds: float, ended: Callable[[], bool], since: int | None = None) -> bool:
        """Sleep until the time has passed, `ended` holds, or the server came back after `since`.

        Returns:
            Whether there was a reason to wake before the time had passed.
        """
        with self._changed:
            return self._changed.wait_for(
                lambda: ended() or (since is not None and since != self._heard), seconds
            )


class Hooks:
    """What a reflector asks of the whole that it is a part of. The defaults are for one alone."""

    def is_served(self) -> bool | None:
        """Whether full discovery still lists the resource; None while discovery is partial."""
        return None

    def went_back(self, reason: str) -> None:
        """The server's resourceVersion is lower than it was: restored from a backup."""

    def reconnected(self, lost_at: float) -> None:
        """The server is heard again after it was not; raises if it is another cluster's.

        Args:
            lost_at: when it was last heard no longer (`Io.clock`).
        """


@dataclass(slots=True)
class Io:
    """The machine's surroundings. One per reflector, used by its thread alone.

    Attributes:
        source: the server.
        store: the file.
        scope: the scope's id in the file.
        compare: `vai.store.compare_resource_versions`.
        boottime_s: `vai.store.boottime_s`.
        first_lists: bounds how many scopes list at a time.
        polls: the resource can't be watched: it is listed again and again.
        goals: how far the server is, for all scopes of the resource.
        bookmarks: whether the server sends any for the resource.
        stopping: set by `Reflector.stop`.
        interrupted: set by whoever wants the thread to leave what it waits for.
    """

    source: ListerWatcher
    store: Store
    scope: int
    settings: Settings
    compare: Callable[[str, str], int | None]
    boottime_s: Callable[[], float]
    hooks: Hooks = field(default_factory=Hooks)
    link: Link = field(default_factory=Link)
    first_lists: Place = field(default_factory=threading.Semaphore)
    stopping: threading.Event = field(default_factory=threading.Event)
    interrupted: threading.Event = field(default_factory=threading.Event)
    polls: bool = False
    goals: Goals | None = None
    bookmarks: Bookmarks = Bookmarks.UNKNOWN
    clock: Callable[[], float] = monotonic
    draw: Callable[[], float] = random.random
    complete: bool = False
    gone: bool = False
    told: tuple[State, str] | None = None
    response: Response | None = None
    bookmarks_seen: bool = False
    silent_watches: int = 0
    missed_bookmarks: int = 0
    stuck_at: str = ""
    proven_at: float = 0.0
    listed_at: float | None = None
    objects: int = 0
    cut_streams: int = 0
    short_watches: int = 0
    failures: Backoff = field(init=False)
    silences: Backoff = field(init=False)
    denials: Backoff = field(init=False)
    #: Not reset by a proof, as the others are: each list is one.
    relists: Backoff = field(init=False)
    _relisted_at: float | None = None
    _listing: bool = False
    _beat_s: float = field(init=False)
    _heard: int = 0
    _woken: bool = False
    _lost_at: float | None = None

    def __post_init__(self) -> None:
        known = self.settings
        self.failures = self._backoff(known.backoff_cap_s)
        self.silences = self._backoff(known.offline_cap_s)
        self.denials = self._backoff(known.forbidden_cap_s)
        self.relists = self._backoff(known.backoff_cap_s)
        self.proven_at = self.clock()
        self._beat_s = known.live_within_s / 3

    def _backoff(self, cap_s: float) -> Backoff:
        return Backoff(self.settings.backoff_base_s, cap_s, clock=self.clock, draw=self.draw)

    # --- telling the file

    def tell(self, state: State, reason: str = "") -> None:
        """Record the scope's state, if it is news.

        A scope that was never complete has no age to be stale by: it is still being listed.
        """
        if not self.complete and state in {State.STALE, State.CATCHING_UP}:
            state = State.LISTING
        # Requests that `stop` ended say nothing about the server.
        if self.told != (state, reason) and not self.stopping.is_set():
            self.store.set_state(self.scope, state, reason)
            self.told = (state, reason)
            if state is State.OFFLINE:
                self._lost_at = self.clock()

    def tell_again(self) -> None:
        """The state is still what was told: this thread is alive."""
        if self.told is not None and not self.stopping.is_set():
            self.store.set_state(self.scope, *self.told)

    def answered(self) -> None:
        """The server sent something about this scope that is no refusal."""
        self.store.heard(self.scope)
        if self.was(State.FORBIDDEN):
            # The right was given meanwhile.
            self.tell(State.CATCHING_UP)
        if self._lost_at is None:
            return
        self.hooks.reconnected(self._lost_at)
        self._lost_at = None
        if self.was(State.OFFLINE):
            self.tell(State.CATCHING_UP)
        self.link.back()
        self._heard = self.link.heard

    def was(self, *states: State) -> bool:
        """Whether one of these was told last."""
        return self.told is not None and self.told[0] in states

    def proven(self, asked_s: float, how: str = "") -> None:
        """The scope is complete as of that moment; `how`, where that is not by the usual way."""
        self.store.proven(self.scope, asked_s)
        if not self.was(State.LIVE):
            # The proof counts when the rows before it are committed; the word must not come
            # earlier, or a reader that waits for it would find the rows of before the outage. Rows
            # that found no place in the file end this here.
            self.store.flush(self.scope)
        self.proven_at = self.clock()
        self._woken = False
        self.missed_bookmarks = 0
        for backoff in (self.failures, self.silences, self.denials):
            backoff.reset()
        self.tell(State.LIVE, f"polled every {duration(self.poll_s)}" if self.polls else how)

    @property
    def poll_s(self) -> float:
        """Between two lists of what is polled."""
        return self.settings.poll_s(self.objects)

    def reached(self, position: str, proofs: tuple[Proof, ...]) -> tuple[Proof, ...]:
        """Count the proofs that a stream at `position` has reached; the others are returned.

        What was asked for other scopes of the resource counts as well.
        """
        known = (*proofs, *self.known_goals())
        met = [proof for proof in known if self.is_at(position, proof.resource_version)]
        if met:
            self.proven(max(proof.asked_s for proof in met))
        return tuple(proof for proof in proofs if proof not in met)[-_MOST_PROOFS:]

    def known_goals(self) -> list[Proof]:
        """How far the server was a moment ago."""
        return [] if self.goals is None else self.goals.known()

    def ask_goal(self) -> Proof:
        """Ask how far the server is, for all scopes of the resource."""
        if self.goals is not None:
            return self.goals.ask(self.source.probe)
        asked_s = self.boottime_s()
        return Proof(self.source.probe(), asked_s)

    def want_goal(self, in_s: float) -> None:
        """A goal will be needed in so many seconds."""
        if self.goals is not None:
            self.goals.want(self.clock() + in_s, self.source.probe)

    def is_at(self, position: str, goal: str) -> bool:
        """Whether a stream at `position` has shown everything up to `goal`."""
        if position == goal:
            return True
        order = self.compare(position, goal)
        return order is not None and order >= 0

    def next_chunk(self, chunks: Iterator[bytes], response: Response) -> bytes | None:
        """Wait for bytes where `Reflector.stop` can wake us; None at the end."""
        self.response = response
        try:
            # After the line above: who interrupts either finds the response or is seen here.
            if self.interrupted.is_set():
                response.close()
            return next(chunks, None)
        finally:
            self.response = None

    # --- time

    def watch_timeout_s(self, *, quick: bool) -> int:
        """`timeoutSeconds` of the next watch."""
        if quick:
            # A server that is slow to begin has no two seconds left for the bookmark.
            return self.settings.quick_watch_s + _MISSED_S * self.missed_bookmarks
        longest = self.settings.long_watch_s
        return max(1, round(longest * (1 - _WATCH_JITTER * self.draw())))

    def relist_wait_s(self) -> float:
        """How long to wait before listing again for something that should not happen often.

        Not at all, unless it did a moment ago: what makes a server answer each watch with a 410
        must not make it send everything each time.
        """
        now, before = self.clock(), self._relisted_at
        self._relisted_at = now
        return self.relists.next_s() if before is not None and now - before < _CALM_S else 0.0

    def wait(self, seconds: float, *, offline: bool) -> None:
        """Sleep; less if stopped, or if another reflector hears the server again.

        Now and then the state is told again: the file takes a writer that is silent for twice the
        limit to be hanging.
        """
        # Once until the next proof: links that break after their first bytes would otherwise wake
        # each other without a pause.
        since = self._heard if offline and not self._woken else None
        deadline = self.clock() + seconds
        while (left := deadline - self.clock()) > 0 and not self.interrupted.is_set():
            if not self.link.wait(min(left, self._beat_s), self.interrupted.is_set, since):
                self.tell_again()
            else:
                self._woken = since is not None
                break
        self._heard = self.link.heard

    # --- streaming lists

    def streams(self) -> bool:
        """Whether the next list is to be asked for as a stream: `config` says why not by itself."""
        if self.settings.streaming_lists != "always" or self.cut_streams >= _MOST_CUTS:
            return False
        return not self.link.takes_pages(self.source.group)

    # --- first lists, a few at a time

    def begin_listing(self) -> None:
        """Wait for one of the few places, unless this scope has one."""
        while not self._listing and not self.interrupted.is_set():
            self._listing = self.first_lists.acquire(timeout=0.2)
            self.tell_again()

    def end_listing(self) -> None:
        """Give the place back, if there is one."""
        if self._listing:
            self._listing = False
            self.first_lists.release()
