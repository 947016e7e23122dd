"""One handler's way through the history: what it is told next, and what it has been told.

A `Delivery` is a machine without a thread: `take` gives the next events, whoever asks. It is in one
of three places: in a *moment* (the initial list, a resync, a comparison after a gap), in the *ring*
of its feed, or, when it was too slow for the ring, in the *history* itself. Nothing is told twice
or left out on the way from one to the other:

- a moment is of a seq, and what follows is taken from there on;
- who falls out of the ring goes on in the history from the seq up to which he took;
- who finds there that the history was pruned behind him compares what he was told with what there
  is. For that `_undo` has what he was told of the objects that changed since he fell out; of all
  others that is what the feed knows. It is empty for everybody who keeps up.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

from vai import store
from vai.cache.events import Event, Seen, changed, difference, initial, resync, states, told
from vai.cache.feeds import Feed, Moment
from vai.cache.views import Change, change_of
from vai.errors import (
    ClosedError,
    ExpiredError,
    ForkedError,
    NotKeptError,
    NotSyncedError,
    UnknownResourceError,
    VaiError,
)
from vai.types import Position

#: Entries of the history read at once by one who is behind.
_BATCH: Final = 64


class Delivery:
    """See the module. `take` is called by one thread at a time; all else needs the feed's lock."""

    def __init__(self, feed: Feed, resync_s: float | None) -> None:
        """Begins with the initial list, as soon as there is one."""
        self.feed = feed
        #: Number of the next entry in the ring.
        self.next = 0
        #: Events that were made of the history because of a gap (for the curious).
        self.relists = 0
        self._since: Position | None = None
        self._undo: dict[str, Seen | None] | None = None
        #: The moment of which it tells, as long as the feed may not be there yet.
        self._ahead: Moment | None = None
        self._cursor: store.Changes | None = None
        self._plan: Iterator[Event] | None = None
        self._initial = True
        self._resync_s = resync_s
        self._resync_at: float | None = None

    # what its driver sees

    @property
    def begun(self) -> bool:
        """Whether all of the initial list was taken."""
        return not self._initial

    @property
    def due_s(self) -> float | None:
        """Seconds until the next resync; None if there is none."""
        return None if self._resync_at is None else self._resync_at - time.monotonic()

    def take(self, limit: int) -> list[Event]:
        """The next events, at most `limit`; none if there are none now.

        A few more may come where one change is two events.
        """
        try:
            return self._take(limit)
        except (NotKeptError, NotSyncedError, UnknownResourceError):
            # Forgotten. Whether its objects are still there is not known; if it comes back, the
            # feed compares.
            return []

    def _take(self, limit: int) -> list[Event]:
        while True:
            if self._plan is not None:
                found = list(islice(self._plan, limit))
                if found:
                    return found
                self._end_plan()
            if self._since is None:
                if not self._begin():
                    return []
            elif self._undo is not None:
                found = self._read_history()
                if found or self._is_stuck():
                    return found
            else:
                found = self._read_ring(limit)
                if found or (self._plan is None and self._undo is None):
                    return found

    def _is_stuck(self) -> bool:
        """Whether there is nothing to read in the history, and no way out of it either."""
        nothing = self._cursor is None or self._cursor.at_end
        return nothing and self._plan is None and self._undo is not None

    # moments

    def begin(self) -> None:
        """Fix the moment of the initial list now, if there is a list; else the first `take` does.

        What happens afterwards is then told as what it was, however late the first `take` is.
        """
        if self._since is not None:
            return
        try:
            self._begin()
        except (ClosedError, ForkedError):
            raise
        except VaiError:
            # Forgotten meanwhile, or the file can't be read: `take` meets the same and says so.
            return

    def _begin(self) -> bool:
        feed = self.feed
        # So that the feed is where the moment is: what it knows is then what was told.
        feed.advance()
        with feed.lock:
            if feed.position is None:
                return False
            moment = feed.moment()
            self._stand_at(moment.position)
            self._ahead = moment
        self._plan_for(moment, initial(moment.rows))
        return True

    def _end_plan(self) -> None:
        self._plan = None
        if self._initial:
            self._initial = False
        if self._resync_s is not None:
            self._resync_at = time.monotonic() + self._resync_s

    def _plan_for(self, moment: Moment, plan: Iterator[Event]) -> None:
        """Tell what leads to a moment, with the feed where that is: what it knows was told."""
        self._plan = plan
        self.feed.advance_to(moment.position.seq)
        with self.feed.lock:
            position = self.feed.position
            if position is not None and position.seq >= moment.position.seq:
                self._ahead = None

    def _stand_at(self, position: Position) -> None:
        """All up to here was told, or is about to be; the ring has what follows."""
        self._since = position
        self._undo = None
        self._ahead = None
        self._cursor = None
        self.next = self.feed.first

    # the ring

    def _read_ring(self, limit: int) -> list[Event]:
        feed = self.feed
        found: list[Event] = []
        with feed.lock:
            if self._undo is not None:
                return found
            while len(found) < limit:
                taken = feed.take(self.next)
                if taken is None:
                    break
                number, entry = taken
                self.next = number + 1
                if self._is_new(entry.change):
                    self._since = Position(entry.change.epoch, entry.change.seq)
                    found.extend(told(entry.change, entry.before)[0])
            feed.drop_taken()
            if not found and self._resync_at is not None and self._resync_at <= time.monotonic():
                self._plan = self._again()
        return found

    def _again(self) -> Iterator[Event]:
        """Everything that was told, again; called when there is nothing new."""
        if self._resync_s is not None:
            self._resync_at = time.monotonic() + self._resync_s
        told = max(place.seq for place in (self._since, self.feed.position) if place is not None)
        return resync(self.feed.moment().rows, self.feed.known, told)

    def _is_new(self, change: Change) -> bool:
        return self._since is None or change.seq > self._since.seq

    @property
    def in_ring(self) -> bool:
        """Whether it takes from the ring, now or after its initial list."""
        return self._since is not None and self._undo is None

    def fall_behind(self) -> None:
        """Read the history itself from now on: the ring can't wait."""
        self._undo = {}
        for entry in self.feed.entries(self.next):
            self.told_later(entry.change, entry.before)

    # the history

    def told_later(self, change: Change, before: Seen | None) -> None:
        """The feed told the others of a change; remember what this one was told last."""
        if self._undo is not None and self._is_new(change):
            self._undo.setdefault(change.key, before)

    def relisted(self, missed: Mapping[str, Seen | None], upto: Position | None) -> None:
        """The same of all that the feed missed, which up to there had told the others."""
        if self._undo is None:
            return
        ahead = self._ahead
        if ahead is not None and (upto is None or upto.seq < ahead.position.seq):
            missed = changed(dict(states(ahead.rows)), self.feed.known)
        for key, before in missed.items():
            self._undo.setdefault(key, before)

    def _read_history(self) -> list[Event]:
        feed = self.feed
        try:
            rows = self._open_cursor().next_batch(_BATCH, 0.0)
        except ExpiredError:
            self._compare()
            return []
        if rows:
            # What the feed knows is only then at least as new as what is read here.
            feed.advance_to(rows[-1].seq)
        with feed.lock:
            found = [event for row in rows for event in self._told(change_of(row))]
            self._stay_or_return()
        return found

    def _open_cursor(self) -> store.Changes:
        if self._cursor is None:
            self._cursor = self.feed.history(self._since or Position(0, 0))
        return self._cursor

    def _told(self, change: Change) -> list[Event]:
        undo = self._undo
        if undo is None:
            return []
        before = undo[change.key] if change.key in undo else self.feed.known.get(change.key)
        after = self.feed.after(change, before)
        if after is before:
            return []
        undo[change.key] = after
        return told(change, before)[0]

    def _stay_or_return(self) -> None:
        cursor = self._cursor
        if cursor is None:
            return
        self._since = Position(cursor.epoch, cursor.seq)
        if self.feed.covers(cursor.seq):
            self._stand_at(self._since)

    def _compare(self) -> None:
        """The history was pruned behind it: what leads from what it was told to what is there."""
        feed = self.feed
        feed.advance()
        with feed.lock:
            if feed.position is None or self._undo is None or self._since is None:
                return
            upto = self._since.seq
            moment = feed.moment(least_seq=feed.position.seq)
            known = dict(feed.known)
            for key, before in self._undo.items():
                if before is None:
                    known.pop(key, None)
                else:
                    known[key] = before
            self._stand_at(moment.position)
            self._ahead = moment
            self.relists += 1
        self._plan_for(moment, difference(moment.rows, known, upto))
