"""One question about objects, followed once for all handlers that ask it.

A `Feed` reads the history where it moves, remembers what it has told of each object (`Seen`), and
keeps the changes that somebody has still to take in a ring of bounded bytes. Who takes them too
slowly falls out of the ring and reads the history itself (`vai.cache.deliveries`): the queue of
client-go's listeners, which grows without bounds, is here a position in a log on disk.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from vai import store
from vai.cache.events import Seen, changed, states, told
from vai.cache.query import Namespaces, namespaces_of
from vai.cache.reads import Reads
from vai.cache.views import Change, change_of
from vai.errors import (
    ExpiredError,
    NotKeptError,
    NotSyncedError,
    UnknownResourceError,
    VaiError,
)
from vai.objects import Object
from vai.store import Request, Rows, parse_field_selector, parse_label_selector
from vai.types import Position, Resource, State

if TYPE_CHECKING:
    from vai.cache.deliveries import Delivery

#: Entries read at once: at 5 KB an object some 2.5 MB, old and new.
_BATCH: Final = 256
#: Batches read before others get their turn.
_BATCHES: Final = 16
#: What an entry takes besides the bodies.
_ENTRY_BYTES: Final = 500


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is followed; feeds are shared by those who ask the same."""

    resource: str
    namespaces: tuple[str, ...] | None = None
    label_selector: str = ""
    field_selector: str = ""
    where: str = ""

    @staticmethod
    def of(
        resource: str,
        namespace: Namespaces,
        label_selector: str,
        field_selector: str,
        where: str,
    ) -> Asked:
        """From the arguments of `add_handler`."""
        spaces = (namespace,) if isinstance(namespace, str) else namespace
        return Asked(
            resource=resource,
            namespaces=None if spaces is None else tuple(spaces),
            label_selector=label_selector,
            field_selector=field_selector,
            where=where,
        )


class Entry(msgspec.Struct, frozen=True):
    """A change in the ring, and what had been told of its object before."""

    change: Change
    before: Seen | None
    size_bytes: int


class Moment:
    """The matching rows of one moment, shared by those who happen to need them together."""

    __slots__ = ("__weakref__", "rows")

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    @property
    def position(self) -> Position:
        """Where in the history."""
        return Position(self.rows.epoch, self.rows.seq)


class Feed:
    """What happens to the objects of one question. All that is not private needs `lock`."""

    def __init__(self, reads: Reads, asked: Asked) -> None:
        """Checked as far as can be now; nothing is read yet.

        Raises:
            UnknownResourceError, NotKeptError: and nothing is coming that would change that.
            InvalidRequestError: a namespace for what has none; a selector or condition is wrong.
        """
        self.reads = reads
        self.asked = asked
        self.lock = threading.Lock()
        #: What was told of each object, up to `position`.
        self.known: dict[str, Seen] = {}
        #: Up to where the history was read; None while nothing is listed.
        self.position: Position | None = None
        #: Whom it tells.
        self.deliveries: set[Delivery] = set()
        #: Called, without the lock, when there is something new for somebody.
        self.on_news: Callable[[Feed], None] = lambda _feed: None
        #: Why nothing new comes, as it was told last.
        self.trouble: VaiError | None = None
        #: Bytes that the ring may hold; what it may not, is read from the file.
        self.limit_bytes = 0
        self._cursor: store.Changes | None = None
        self._ring: deque[Entry] = deque()
        self._ring_bytes = 0
        #: Number of the ring's first entry, and the seq of the last one that was dropped.
        self._first = 0
        self._dropped_seq = 0
        self._moment: Callable[[], Moment | None] = lambda: None
        self._overlapping = False
        self._check()

    # following

    @property
    def follows(self) -> bool:
        """Whether it has begun to follow the history."""
        return self._cursor is not None

    def advance(self) -> bool:
        """Read on to the end of the history, or a good part of it; whether there may be more.

        Raises:
            ClosedError, ForkedError: as any read.
        """
        with self.lock:
            news, more = self._advance()
        if news:
            self.on_news(self)
        return more

    def advance_to(self, seq: int) -> None:
        """Read on until all up to there was told; it must be in the history already."""
        while self.position is not None and self.position.seq < seq and self.advance():
            pass

    def _advance(self) -> tuple[bool, bool]:
        news = False
        try:
            if self._cursor is None:
                if not self._open():
                    return False, False
                news = True
            for _ in range(_BATCHES):
                found = self._batch()
                news = news or found
                if self._cursor is None or self._cursor.at_end:
                    return news, False
        except ExpiredError:
            # This process slept, or the history is very short. Opened anew, it compares.
            self._cursor = None
            return news, True
        except (NotKeptError, NotSyncedError, UnknownResourceError):
            # Forgotten. Whether its objects are still there is not known, so nothing is told.
            self._cursor = None
            return news, False
        return news, True

    def _batch(self) -> bool:
        """Read some more; whether any of it is news."""
        cursor = self._cursor
        if cursor is None:
            return False
        found = False
        for row in cursor.next_batch(_BATCH, 0.0):
            found = self._publish(change_of(row)) or found
        self.position = Position(cursor.epoch, cursor.seq)
        return found

    def _publish(self, change: Change) -> bool:
        key = change.key
        before = self.known.get(key)
        after = self.after(change, before)
        if after is before:
            return False
        if after is None:
            self.known.pop(key, None)
        else:
            self.known[key] = after
        if not self.deliveries:
            self._dropped_seq = change.seq
            return True
        entry = Entry(change, before, _ENTRY_BYTES + _size(change.object) + _size(change.old))
        self._ring.append(entry)
        self._ring_bytes += entry.size_bytes
        for delivery in self.deliveries:
            delivery.told_later(change, before)
        while self._ring_bytes > self.limit_bytes:
            self._spill()
        return True

    def after(self, change: Change, before: Seen | None) -> Seen | None:
        """What is told of an object after a change; `before` itself if the change is no news."""
        if change.object is None and before is not None and self._kept_elsewhere(change):
            return before
        return told(change, before)[1]

    def _kept_elsewhere(self, change: Change) -> bool:
        """Whether another scope still has what one scope lost: their selectors overlap."""
        if not self._overlapping:
            return False
        rows = self._rows(change.key)
        return any(rows[index].uid == change.uid for index in range(len(rows)))

    # who takes

    def take(self, number: int) -> tuple[int, Entry] | None:
        """The entry of this number, or the first one after it, with its number."""
        number = max(number, self._first)
        index = number - self._first
        return (number, self._ring[index]) if index < len(self._ring) else None

    @property
    def first(self) -> int:
        """Number of the ring's first entry."""
        return self._first

    def covers(self, seq: int) -> bool:
        """Whether the ring has everything after this."""
        return self.position is not None and seq >= self._dropped_seq

    def drop_taken(self) -> None:
        """Let go what all have taken."""
        needed = [d.next for d in self.deliveries if d.in_ring]
        least = min(needed, default=self._first + len(self._ring))
        while self._ring and self._first < least:
            self._drop()

    def entries(self, number: int) -> list[Entry]:
        """Those from a number on."""
        return list(self._ring)[max(number - self._first, 0) :]

    def _spill(self) -> None:
        """The ring is full: those who hold its first entry read the history from now on."""
        for delivery in self.deliveries:
            if delivery.in_ring and delivery.next <= self._first:
                delivery.fall_behind()
        self._drop()

    def _drop(self) -> None:
        entry = self._ring.popleft()
        self._first += 1
        self._ring_bytes -= entry.size_bytes
        self._dropped_seq = max(self._dropped_seq, entry.change.seq)

    # moments

    def moment(self, *, least_seq: int = 0) -> Moment:
        """The matching rows of a moment from which one can go on in the ring.

        Shared while somebody still holds one, if it is not older than `least_seq`.

        Raises:
            NotSyncedError, NotKeptError: the resource is no longer in the file.
        """
        found = self._moment()
        if found is not None and found.position.seq >= max(least_seq, self._dropped_seq):
            return found
        made = Moment(self._rows())
        self._moment = weakref.ref(made)
        return made

    def _rows(self, key: str | None = None) -> Rows:
        resource = self.reads.resolve(self.asked.resource)
        condition = self.asked.where
        if key is not None:
            namespace, _, name = key.rpartition("/")
            parts = [f'metadata.name = "{name}"']
            parts += [f'metadata.namespace = "{namespace}"'] if namespace else []
            parts += [f"({condition})"] if condition else []
            condition = " and ".join(parts)
        return self.reads.store.query(
            Request(
                resources=(resource.name,),
                namespaces=self.asked.namespaces,
                label_selector=self.asked.label_selector,
                field_selector=self.asked.field_selector,
                condition=condition,
            )
        )

    # beginning

    def _check(self) -> None:
        """Raise what is wrong with the question, as far as that is known before the first list."""
        parse_label_selector(self.asked.label_selector)
        parse_field_selector(self.asked.field_selector)
        if self._listed() is not None:
            # Fields and conditions are those of a resource.
            self.history(self.reads.store.position())

    def history(self, after: Position) -> store.Changes:
        """The history of what is asked about.

        Raises:
            ExpiredError: it does not reach back.
            NotSyncedError, NotKeptError: the resource is no longer in the file.
        """
        return self.reads.store.changes(
            [self.reads.resolve(self.asked.resource)],
            after,
            namespaces=self.asked.namespaces,
            label_selector=self.asked.label_selector,
            field_selector=self.asked.field_selector,
            where=self.asked.where,
        )

    def _open(self) -> bool:
        """Begin, if there is something to begin with."""
        if self._listed() is None:
            return False
        if self.position is None:
            self._follow(self.moment())
        else:
            self._relist()
        return True

    def _follow(self, moment: Moment) -> None:
        self._cursor = self.history(moment.position)
        self.known = dict(states(moment.rows))
        self.position = moment.position
        self._dropped_seq = max(self._dropped_seq, moment.position.seq)

    def _relist(self) -> None:
        """The history does not reach back: everybody compares for himself with what is there."""
        for delivery in self.deliveries:
            if delivery.in_ring:
                delivery.fall_behind()
        while self._ring:
            self._drop()
        before, upto = self.known, self.position
        moment = Moment(self._rows())
        self._dropped_seq = moment.position.seq
        self._follow(moment)
        self._moment = weakref.ref(moment)
        missed = changed(before, self.known)
        for delivery in self.deliveries:
            delivery.relisted(missed, upto)

    def _listed(self) -> Resource | None:
        """The resource, once all scopes that an answer comes from are listed; None before."""
        try:
            resource = self.reads.resolve(self.asked.resource)
        except NotSyncedError:
            return None
        except UnknownResourceError:
            if self.reads.may_come(None):
                return None
            raise
        spaces = namespaces_of(resource, self.asked.namespaces)
        try:
            scopes = self.reads.answering(resource, spaces)
        except NotSyncedError:
            return None
        every = [scope for scope in self.reads.store.scopes() if scope.resource == resource.name]
        self._overlapping = len(every) > 1
        # What may not be read, or is not served, keeps nobody waiting for the rest.
        hopeless = {State.FORBIDDEN, State.GONE}
        ready = all(scope.complete or scope.state in hopeless for scope in scopes)
        begun = any(scope.complete or scope.state is State.GONE for scope in scopes)
        return resource if ready and begun else None


def _size(body: Object | None) -> int:
    if body is None:
        return 0
    return len(body.partial() if body.redacted else body.raw)
