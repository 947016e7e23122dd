"""What can be waited for: each a condition with one `check`, driven by a thread or by a loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import msgspec

from vai.cache.query import identity_of
from vai.cache.question import Question, stale
from vai.cache.reads import Reads
from vai.cache.waits import SLICE_S, Deadline
from vai.errors import (
    InvalidRequestError,
    NotKeptError,
    NotSyncedError,
    StaleError,
    SyncTimeoutError,
    UnknownResourceError,
    VaiError,
    VaiTimeoutError,
)
from vai.objects import Object
from vai.store import compare_resource_versions
from vai.types import Freshness, ScopeStatus, duration

T = TypeVar("T")

#: How long a coroutine waits at most before it looks again; the waker ticks more often.
_LONG_S = 5.0


class Done(msgspec.Struct, Generic[T], frozen=True):
    """The condition holds, and this is what the wait returns."""

    value: T


class Condition(ABC, Generic[T]):
    """Something that a commit, or the freshness of a scope, may bring about."""

    #: Whether the condition depends on what moves without a commit (a bookmark's progress).
    restless = False

    def __init__(self, reads: Reads) -> None:
        self.reads = reads

    @abstractmethod
    def check(self) -> Done[T] | None:
        """Look now."""

    @abstractmethod
    def late(self, deadline: Deadline) -> VaiError:
        """Why it does not hold yet."""

    def block(self, deadline: Deadline) -> T:
        """Wait in this thread; signal handlers run at least every `SLICE_S`."""
        store = self.reads.store
        seq = store.position().seq
        while True:
            done = self.check()
            if done is not None:
                return done.value
            if deadline.passed():
                raise self.late(deadline)
            seq = store.wait_seq(seq, deadline.slice_s())

    async def wait(self, deadline: Deadline) -> T:
        """Wait in this coroutine, without a thread."""
        longest_s = SLICE_S if self.restless else _LONG_S
        with self.reads.engine.waker.waiter() as waiter:
            while True:
                waiter.clear()
                done = self.check()
                if done is not None:
                    return done.value
                if deadline.passed():
                    raise self.late(deadline)
                await waiter.wait(deadline.slice_s(longest_s))


class Told(Condition[T]):
    """Something that the freshness of scopes brings about: a proof is no commit of its own."""

    restless = True

    def block(self, deadline: Deadline) -> T:
        """Wait in this thread for what is told of the scopes."""
        store = self.reads.store
        while True:
            # Taken before the look, so that what is told meanwhile ends the wait at once.
            generation = store.wait_status(0, 0.0)
            done = self.check()
            if done is not None:
                return done.value
            if deadline.passed():
                raise self.late(deadline)
            store.wait_status(generation, deadline.slice_s())


class Synced(Told[None]):
    """Every scope has a whole answer."""

    restless = False

    def check(self) -> Done[None] | None:
        """Look now."""
        self.reads.store.check()
        self.reads.refuse_never()
        self.reads.refuse_unknown()
        return None if self.reads.unsynced() else Done(None)

    def late(self, deadline: Deadline) -> SyncTimeoutError:
        """Why, per scope."""
        scopes = self.reads.unsynced()
        reasons = "; ".join(f"{name}: {why}" for name, why in scopes.items())
        return SyncTimeoutError(
            f"not synced within {duration(deadline.limit_s)}: {reasons}", scopes=scopes
        )


class Fresh(Told[None]):
    """An answer would be as fresh as it was asked to be."""

    def __init__(self, reads: Reads, question: Question) -> None:
        super().__init__(reads)
        self._question = question
        self._why: NotSyncedError | StaleError | None = None

    def check(self) -> Done[None] | None:
        """Look at what would answer; what was never synced may still be."""
        self.reads.store.check()
        self.reads.refuse_never()
        try:
            old = self.reads.too_old(self._question)
            if old is None:
                return Done(None)
        except NotSyncedError as error:
            self._why = error
        else:
            self._why = stale(self._question, old)
            if not old.complete:
                self._why = NotSyncedError(f"{self._question.names}: {old}")
        return None

    def late(self, deadline: Deadline) -> VaiError:
        """How fresh it would be."""
        waited = f" (waited {duration(deadline.limit_s)})"
        if self._why is None:
            return StaleError(f"not looked at yet{waited}")
        return type(self._why)(f"{self._why}{waited}", **self._why.details)


class Until(Condition[Object | None]):
    """One object, or its proven absence, satisfies a predicate."""

    def __init__(
        self,
        reads: Reads,
        resource: str,
        key: tuple[str, str | None],
        until: Callable[[Object | None], object],
        min_resource_version: str | None,
    ) -> None:
        super().__init__(reads)
        self._word = resource
        self._name, self._namespace = key
        self._until = until
        self._least = min_resource_version
        self._seen: Object | None = None
        self._looked = False
        self.restless = min_resource_version is not None
        if min_resource_version is not None and not _canonical(min_resource_version):
            raise InvalidRequestError(f"not a resourceVersion: {min_resource_version!r}")

    def check(self) -> Done[Object | None] | None:
        """Look now; the predicate is asked only about what it has not seen."""
        self.reads.store.check()
        self.reads.refuse_never()
        try:
            # Before the object is read, so that the object can only be newer.
            reached = self._least is None or self._scope_reached(self._least)
            found = self.reads.get(self._word, self._name, self._namespace)
        except NotSyncedError:
            return None
        except NotKeptError:
            if self.reads.may_come(self.reads.resolve(self._word)):
                return None
            raise
        except UnknownResourceError:
            if self.reads.may_come(None):
                return None
            raise
        if not reached and not _at_least(found, self._least):
            return None
        if self._looked and _same(found, self._seen):
            return None
        self._looked, self._seen = True, found
        return Done(found) if self._until(found) else None

    def late(self, deadline: Deadline) -> VaiTimeoutError:
        """What was seen last, and how fresh that is."""
        if not self._looked:
            seen = "nothing was seen of it" if self._least is None else "no version new enough"
        elif self._seen is None:
            seen = "it does not exist"
        else:
            seen = f"last seen with resourceVersion {self._seen.resource_version}"
        return VaiTimeoutError(
            f"{self._word} {self._name!r}: the condition did not hold within "
            f"{duration(deadline.limit_s)}: {seen} ({self._freshness()})"
        )

    def _freshness(self) -> Freshness | str:
        try:
            return Freshness.worst(status.freshness for status in self._statuses())
        except (NotSyncedError, NotKeptError, UnknownResourceError) as error:
            return str(error)

    def _scope_reached(self, least: str) -> bool:
        versions = [status.resource_version for status in self._statuses()]
        return all(
            version is not None and (compare_resource_versions(version, least) or 0) >= 0
            for version in versions
        )

    def _statuses(self) -> Sequence[ScopeStatus]:
        resource = self.reads.resolve(self._word)
        place, _ = identity_of(resource, self._name, self._namespace)
        return self.reads.answering(resource, None if place is None else [place])


def exists(found: Object | None) -> bool:
    """The object is there."""
    return found is not None


def _canonical(version: str) -> bool:
    return compare_resource_versions(version, version) == 0


def _at_least(found: Object | None, least: str | None) -> bool:
    if found is None or least is None:
        return False
    order = compare_resource_versions(found.resource_version, least)
    return order is not None and order >= 0


def _same(found: Object | None, seen: Object | None) -> bool:
    """Whether both are one version of one object, or no object at all."""
    if found is None or seen is None:
        return found is seen
    return (found.uid, found.resource_version) == (seen.uid, seen.resource_version)
