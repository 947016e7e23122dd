"""Handlers as client-go's informers have them: callbacks for adds, updates and deletes.

One thread of a cache (`Handlers`) waits for commits and lets the feeds read on; what is new is
called by a few threads for all handlers (`vai.cache.workers`). Each handler has its own way through
the history (`vai.cache.deliveries`), so that a slow one is late by itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from typing import Final

from vai.cache.deliveries import Delivery
from vai.cache.feeds import Asked, Feed
from vai.cache.measures import Called
from vai.cache.reads import Reads
from vai.cache.registrations import Callbacks, Registration
from vai.cache.trouble import trouble
from vai.cache.waits import SLICE_S
from vai.cache.workers import Workers
from vai.errors import ClosedError, ForkedError, InvalidRequestError, VaiError

#: How often feeds look although nothing was committed: what is told of scopes opens them.
_TICK_S: Final = 1.0
#: How long `close` waits for callbacks that are running.
_CLOSE_S: Final = 0.5

_log = logging.getLogger("vai")


class Handlers:
    """All handlers of one cache, the feeds they share and the thread that moves them."""

    def __init__(self, reads: Reads, ring_bytes: int) -> None:
        self.reads = reads
        self._lock = threading.Lock()
        self._feeds: dict[Asked, Feed] = {}
        self._registrations: dict[Delivery, Registration] = {}
        self._workers = Workers()
        self._thread: threading.Thread | None = None
        self._ring_bytes = ring_bytes
        self._called: dict[str, Called] = {}

    def called(self, resource: str) -> Called:
        """What is counted of all handlers of a resource, of those that were removed too."""
        with self._lock:
            return self._called.setdefault(resource, Called())

    def measures(self) -> dict[str, tuple[int, Called]]:
        """How many handlers there are, by resource, and what is counted of them."""
        with self._lock:
            now = Counter(one.resource for one in self._registrations.values())
            return {name: (now[name], called) for name, called in self._called.items()}

    @property
    def ended(self) -> bool:
        """Whether the cache was closed."""
        return self.reads.engine.closed

    def registrations(self) -> tuple[Registration, ...]:
        """Those that were added and not removed."""
        with self._lock:
            return tuple(self._registrations.values())

    def add(self, asked: Asked, callbacks: Callbacks, resync_s: float | None) -> Registration:
        """See `Cache.add_handler`."""
        delivery = self.follow(asked, resync_s)
        delivery.begin()
        made = Registration(self, delivery, callbacks)
        with self._lock:
            self._registrations[delivery] = made
            if delivery.feed.trouble is not None:
                made.trouble(delivery.feed.trouble)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="vai-handlers", daemon=True)
                self._thread.start()
        self._workers.submit(made)
        return made

    def submit(self, registration: Registration) -> None:
        """Let it call what there is to call."""
        self._workers.submit(registration)

    def follow(self, asked: Asked, resync_s: float | None = None) -> Delivery:
        """A way through the history for somebody who takes by himself."""
        if resync_s is not None and resync_s <= 0:
            raise InvalidRequestError(f"resync must be more than 0 seconds, not {resync_s}")
        # A forked child must not get as far as the lock.
        self.reads.store.check()
        if self.ended:
            raise ClosedError(f"{self.reads.store.path} was closed: no handler can be added")
        with self._lock:
            feed = self._feeds.get(asked)
            if feed is None:
                feed = Feed(self.reads, asked)
                feed.on_news = self._news
                self._feeds[asked] = feed
                self._share()
            delivery = Delivery(feed, resync_s)
            with feed.lock:
                feed.deliveries.add(delivery)
        return delivery

    def forget(self, delivery: Delivery, registration: Registration | None = None) -> None:
        """Nobody takes from it any more."""
        feed = delivery.feed
        with self._lock:
            if registration is not None:
                self._registrations.pop(delivery, None)
            with feed.lock:
                feed.deliveries.discard(delivery)
                feed.drop_taken()
                unused = not feed.deliveries
            if unused and self._feeds.get(feed.asked) is feed:
                del self._feeds[feed.asked]
                self._share()

    def _share(self) -> None:
        """All feeds together hold no more than a fixed number of bytes."""
        for feed in self._feeds.values():
            feed.limit_bytes = self._ring_bytes // len(self._feeds)

    def _news(self, feed: Feed) -> None:
        with self._lock:
            every = [self._registrations.get(delivery) for delivery in list(feed.deliveries)]
        for registration in every:
            if registration is not None:
                self._workers.submit(registration)

    # the thread

    def _run(self) -> None:
        try:
            self._follow()
        except ForkedError:
            return
        except ClosedError:
            pass
        if self.ended:
            self._workers.close(_CLOSE_S)

    def _follow(self) -> None:
        store = self.reads.store
        seq = generation = 0
        looked = -_TICK_S
        while self._wanted():
            try:
                new = store.wait_seq(seq, SLICE_S), store.wait_status(generation, 0.0)
                late = time.monotonic() - looked >= _TICK_S
                if late or new[1] != generation:
                    looked = time.monotonic()
                    self._tell_trouble()
                if late or new != (seq, generation):
                    # What is not listed yet is opened by what is told of its scopes.
                    self._advance(every=new[0] != seq)
                seq, generation = new
            except (ClosedError, ForkedError):
                raise
            except VaiError as error:
                # Each handler meets the same in its own reads, and reports it.
                _log.warning("handlers of %s: %s", store.path, error)
                time.sleep(_TICK_S)
            self._resync()
            self._workers.nudge()

    def _wanted(self) -> bool:
        """Whether there are handlers; the thread ends with the last one."""
        with self._lock:
            if self._registrations and not self.ended:
                return True
            if not self.ended:
                self._thread = None
            return False

    def _advance(self, *, every: bool) -> None:
        with self._lock:
            feeds = [feed for feed in self._feeds.values() if every or not feed.follows]
        while feeds:
            # One that has much to read does not hold up the others.
            feeds = [feed for feed in feeds if feed.advance()]

    def _resync(self) -> None:
        for registration in self.registrations():
            due_s = registration.delivery.due_s
            if due_s is not None and due_s <= 0:
                self._workers.submit(registration)

    def _tell_trouble(self) -> None:
        statuses = self.reads.store.scopes()
        with self._lock:
            feeds = list(self._feeds.values())
        for feed in feeds:
            found = trouble(self.reads, feed.asked, statuses)
            before, feed.trouble = feed.trouble, found
            if found is None or (before is not None and str(before) == str(found)):
                continue
            for registration in self.registrations():
                if registration.delivery.feed is feed:
                    registration.trouble(found)
                    self._workers.submit(registration)
