"""A named consumer, and what its changes add up to."""

from __future__ import annotations

import time
from typing import Final

import vai
from tests.model.world import row_of

#: Of a history that is pruned all the time, it may take several tries to get hold of the end.
_AGAIN_S: Final = 30.0


class Consumer:
    """One that follows a resource by name, and what it makes of it.

    One that falls out of the history is told so, and begins again with a snapshot.

    Args:
        cache: to follow.
        name: of the scope.
        may_expire: whether the history is so short that this may happen.
    """

    def __init__(self, cache: vai.Cache, name: str, *, may_expire: bool) -> None:
        self.name = name
        self.seen: list[tuple[vai.Position, str, str]] = []
        #: (after, up to): what it was told that it misses.
        self.missed: list[tuple[int, int]] = []
        #: It takes nothing for a while.
        self.rests = False
        self._may_expire = may_expire
        self._cache = cache
        self._expired = False
        self._changes: vai.Changes | None = None
        self._stand_at(cache.snapshot(name))
        #: Where it first began.
        self.first = self.began
        self._open()

    @property
    def at(self) -> vai.Position:
        """Where it is: behind the last change that it was given."""
        return max(self.began, self.seen[-1][0]) if self.seen else self.began

    def reopen(self, cache: vai.Cache) -> None:
        """With this cache, where it stopped."""
        self.close()
        self._cache = cache
        self._open()

    def _stand_at(self, snapshot: vai.Snapshot) -> None:
        self.view = {key: row_of(found) for key, found in snapshot.items()}
        self._uids = {key: found.uid for key, found in snapshot.items()}
        self.began = snapshot.position

    def _open(self) -> None:
        consumer = f"follows-{self.name}"
        deadline = time.monotonic() + _AGAIN_S
        while True:
            assert time.monotonic() < deadline, f"{self.name}: gets no hold of the history"
            try:
                if self._expired:
                    # As the error says.
                    snapshot = self._cache.snapshot(self.name)
                    self._cache.forget_consumer(consumer)
                    self.missed.append((self.at.seq, snapshot.position.seq))
                    self._stand_at(snapshot)
                # `since` is for one that has no position: there was no change to acknowledge.
                self._changes = self._cache.changes(self.name, consumer=consumer, since=self.began)
            except vai.ExpiredError as error:
                self._fell_out(error)
            else:
                self._expired = False
                return

    def _fell_out(self, error: vai.ExpiredError) -> None:
        if not self._may_expire:
            raise error
        # What it has is what it needs: nobody is sent away for nothing. (Up to the last change,
        # which is not acknowledged where it ended in the middle.)
        assert error.oldest_seq >= self.at.seq, f"{self.name} is at {self.at}, and told {error}"
        self._expired = True

    def take(self) -> None:
        """All that there is now."""
        try:
            while not self.rests and self._changes and (change := self._changes.poll()) is not None:
                self._fold(change)
        except vai.ExpiredError as error:
            self._fell_out(error)
            self._open()

    def _fold(self, change: vai.Change) -> None:
        told = (change.position, change.op, change.key)
        if self.seen and told == self.seen[-1]:
            return  # given out again, for it was not acknowledged
        assert change.position > self.at, f"{self.name}: {told} after {self.at}"
        self.seen.append(told)
        was = self.view.pop(change.key, None)
        uid = self._uids.pop(change.key, change.uid)
        assert (was is not None) is (change.op != "add"), f"{self.name}: {told}, was {was}"
        assert uid == change.uid, f"{self.name}: {told} has another uid"
        if change.object is None:
            return
        old = change.old and row_of(change.old)
        assert old == was, f"{self.name}: {told} was {was}, not {old}"
        self.view[change.key], self._uids[change.key] = row_of(change.object), change.uid

    def close(self) -> None:
        """End it; its position stays."""
        if self._changes is not None:
            self._changes.close()
