"""Reads of one moment, with the freshness that was true before they were taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from vai.cache.engine import Engine
from vai.cache.query import Namespaces, answering, covers, identity_of, namespaces_of, settled
from vai.cache.question import Demand, MaxAge, Question, names, stale
from vai.cache.views import Snapshot
from vai.errors import (
    NotKeptError,
    NotSyncedError,
    StaleError,
    UnknownResourceError,
)
from vai.objects import Object
from vai.store import ExportAsk, Relations, Rows, Store, compare_resource_versions
from vai.types import EVERYTHING, Freshness, Resource, Scope, ScopeStatus

if TYPE_CHECKING:
    from vai.informer.plan import Target

_NOBODY: Final = "not kept by the process that syncs the file"


class Selection(msgspec.Struct, frozen=True):
    """What a read asks for, checked: where, and by which selectors."""

    resource: Resource
    namespaces: list[str] | None
    label_selector: str
    field_selector: str


class Reads:
    """The reading half of a cache. `vai.cache.Cache` documents what users see of it."""

    def __init__(self, engine: Engine, wanted: Sequence[Scope]) -> None:
        self.engine = engine
        self.wanted = tuple(wanted)

    @property
    def store(self) -> Store:
        """The handle that answers."""
        return self.engine.store

    # what is known

    def resolve(self, word: str) -> Resource:
        """The resource of this name; NotSyncedError while discovery has not answered yet."""
        try:
            return self.store.resolve(word)
        except NotSyncedError as error:
            reasons = dict.fromkeys(self.pending().values())
            if not reasons:
                raise
            raise NotSyncedError(f"{error}: {'; '.join(reasons)}") from None

    def pending(self) -> Mapping[str, str]:
        """Why, per scope (as text) that was asked for and that nothing syncs yet."""
        syncing = self.engine.syncing
        if syncing is None:
            return {}
        problems = syncing.problems()
        if syncing.wait_planned(0.0):
            return {name: str(error) for name, error in problems.items()}
        names = map(str, self.wanted)
        return {name: str(problems.get(name, "discovery has not answered yet")) for name in names}

    def refuse_never(self) -> None:
        """Raise what makes every wait for the sync pointless, if anything does."""
        fatal = None if self.engine.syncing is None else self.engine.syncing.fatal
        if fatal is not None:
            raise fatal

    def refuse_unknown(self) -> None:
        """Raise the UnknownResourceError that fresh discovery gave for a scope, if it did."""
        syncing = self.engine.syncing
        if syncing is None or not syncing.wait_planned(0.0):
            return
        for error in syncing.problems().values():
            if isinstance(error, UnknownResourceError):
                raise error

    def may_come(self, resource: Resource | None) -> bool:
        """Whether the resource (None: a name that is unknown so far) is still to be synced."""
        pending = self.pending()
        waiting = [scope for scope in self.wanted if str(scope) in pending]
        if resource is None:
            return bool(waiting)
        # What the file has of before is all that there will be: only discovery is still to come.
        statuses = self.store.scopes()
        return any(
            target.resource.name == resource.name
            and not any(covers(status, target) and status.complete for status in statuses)
            for scope in waiting
            for target in self.targets(scope)
        )

    def targets(self, scope: Scope) -> list[Target]:
        """The scopes of the file that a scope asked for means, by what is known of the cluster."""
        # Not at the top: a process that only reads a file needs none of the sync side.
        from vai.informer.plan import plan

        return plan([scope], self.store.resources())[0]

    def unsynced(self) -> dict[str, str]:
        """Why, per scope that has no whole answer yet."""
        statuses = self.store.scopes()
        if not self.wanted:
            missing = {str(s): str(s.freshness) for s in statuses if not s.complete}
            return missing if statuses else {self.store.path: "never synced"}
        pending = self.pending()
        found: dict[str, str] = {}
        for scope in self.wanted:
            everything = scope.resource == EVERYTHING
            targets = self.targets(scope)
            if not targets:
                unknown = pending.get(str(scope)) or self._unknown(scope)
                found |= {str(scope): unknown} if unknown else {}
            for target in targets:
                why = _unsettled(target, statuses, everything=everything)
                if why is not None:
                    found[str(target)] = why or pending.get(str(scope)) or _NOBODY
        return found

    def _unknown(self, scope: Scope) -> str:
        if scope.exclude and self.targets(msgspec.structs.replace(scope, exclude=())):
            # All that it names is excluded: there is nothing to wait for.
            return ""
        try:
            return f"no scope of {self.store.resolve(scope.resource).name}"
        except (UnknownResourceError, NotSyncedError) as error:
            return str(error)

    def freshness(self, resource: Resource, namespaces: Sequence[str] | None) -> Freshness:
        """How fresh an answer about this would be now."""
        statuses = self.answering(resource, namespaces)
        return Freshness.worst(status.freshness for status in statuses)

    def answering(
        self, resource: Resource, namespaces: Sequence[str] | None
    ) -> Sequence[ScopeStatus]:
        """The scopes that an answer about this comes from."""
        with self._translated(resource):
            return answering(self.store.scopes(), resource, namespaces)

    # reads

    def get(
        self, word: str, name: str, namespace: str | None, max_age: MaxAge = None
    ) -> Object | None:
        """See `Cache.get`."""
        resource = self.resolve(word)
        place, last = identity_of(resource, name, namespace)
        if max_age is not None:
            spaces = None if place is None else [place]
            refuse_older(self.freshness(resource, spaces), max_age, resource.name)
        with self._translated(resource):
            row = self.store.get(resource, place, last)
        return None if row is None else Object.of(row)

    def select(
        self, word: str, namespace: Namespaces, label_selector: str, field_selector: str
    ) -> Selection:
        """What is asked for, checked."""
        resource = self.resolve(word)
        spaces = namespaces_of(resource, namespace)
        return Selection(resource, spaces, label_selector, field_selector)

    def snapshot(self, wanted: Selection, max_age: MaxAge) -> Snapshot:
        """See `Cache.snapshot`."""
        rows, freshness = self._rows(wanted, max_age)
        return Snapshot(rows, wanted.resource, freshness)

    def resources(self, words: str | Sequence[str]) -> list[Resource]:
        """The resources of these names, each once; "*" is all that the file keeps."""
        found: dict[str, Resource] = {}
        for word in [words] if isinstance(words, str) else words:
            kept: Iterable[str] = (word,)
            if word in {EVERYTHING, "all"}:
                kept = (status.resource for status in self.store.scopes() if status.complete)
            for name in kept:
                resource = self.resolve(name)
                found[resource.name] = resource
        if not found:
            raise NotSyncedError("never synced: the file keeps nothing yet")
        return list(found.values())

    def ask(self, question: Question) -> tuple[Rows, Freshness]:
        """The rows of one answer; StaleError if that is what to do with an old one."""
        # Taken before the rows, the freshness can only understate how fresh they are.
        before = self.store.scopes()
        with self._translated(question.resources[0]):
            rows = self.store.query(question.request)
        freshness = self._freshness_of(rows, before)
        if question.demand.on_stale == "raise":
            used = [status for status in before if status.id in rows.scopes]
            if _late(question.demand, freshness, used):
                raise stale(question, freshness)
        return rows, freshness

    def too_old(self, question: Question) -> Freshness | None:
        """How fresh an answer would be now, if that is not fresh enough to end a wait."""
        old = list[Freshness]()
        spaces = question.request.namespaces
        for resource in question.resources:
            statuses = self.answering(resource, spaces if resource.namespaced else None)
            freshness = Freshness.worst(status.freshness for status in statuses)
            if not freshness.complete or _late(question.demand, freshness, statuses):
                old.append(freshness)
        return Freshness.worst(old) if old else None

    def asks(
        self,
        words: str | Sequence[str],
        namespace: Namespaces,
        label_selector: str,
        field_selector: str,
    ) -> list[ExportAsk]:
        """What an export is to hold; "*" is all that the file keeps."""
        every = EVERYTHING in names(words) or "all" in names(words)
        found: list[ExportAsk] = []
        for resource in self.resources(words):
            loose = every and not resource.namespaced
            spaces = None if loose else namespaces_of(resource, namespace)
            found.append(
                ExportAsk(
                    resource=resource.name,
                    namespaces=None if spaces is None else tuple(spaces),
                    label_selector=label_selector,
                    field_selector=field_selector,
                )
            )
        return found

    def relations(
        self,
        word: str,
        name: str,
        namespace: str | None,
        *,
        owners: bool = False,
        depth: int = 0,
        neighbours: bool = False,
    ) -> Relations:
        """The relations of an object as far as they are asked for, of one moment."""
        resource = self.resolve(word)
        place, last = identity_of(resource, name, namespace)
        key = last if place is None else f"{place}/{last}"
        with self._translated(resource):
            return self.store.relations(
                resource, key, owners=owners, depth=depth, neighbours=neighbours
            )

    # inside

    def _rows(self, wanted: Selection, max_age: MaxAge) -> tuple[Rows, Freshness]:
        # Taken before the rows, the freshness can only understate how fresh they are.
        before = self.store.scopes()
        with self._translated(wanted.resource):
            rows = self.store.rows(
                wanted.resource,
                wanted.namespaces,
                label_selector=wanted.label_selector,
                field_selector=wanted.field_selector,
            )
        freshness = self._freshness_of(rows, before)
        if max_age is not None:
            refuse_older(freshness, max_age, wanted.resource.name)
        return rows, freshness

    def _freshness_of(self, rows: Rows, before: Sequence[ScopeStatus]) -> Freshness:
        used = rows.scopes
        parts = [status.freshness for status in before if status.id in used]
        if len(parts) < len(used):
            # A scope was made in between; it has nothing to overstate yet.
            parts = [status.freshness for status in self.store.scopes() if status.id in used]
        worst = Freshness.worst(parts)
        if not rows.resource_version:
            return worst
        return msgspec.structs.replace(worst, resource_version=rows.resource_version)

    @contextmanager
    def _translated(self, resource: Resource) -> Iterator[None]:
        """What is asked for and not in the file yet is not synced, rather than not kept."""
        try:
            yield
        except NotKeptError as error:
            if not self.may_come(resource):
                raise
            raise NotSyncedError(
                f"never synced: {resource.name}", resource=resource.name
            ) from error


def _unsettled(target: Target, statuses: Sequence[ScopeStatus], *, everything: bool) -> str | None:
    """Why a target has no whole answer; None if it has one, empty if no scope covers it."""
    found = [status for status in statuses if covers(status, target)]
    if any(settled(status, everything=everything) for status in found):
        return None
    return str(found[0].freshness) if found else ""


def _late(demand: Demand, freshness: Freshness, statuses: Iterable[ScopeStatus]) -> bool:
    """Whether an answer is older than what is demanded."""
    if demand.max_age is not None and freshness.older_than(demand.max_age):
        return True
    return not all(_reached(status, demand.min_resource_version) for status in statuses)


def _reached(status: ScopeStatus, least: str | None) -> bool:
    """Whether a scope has seen all up to a resourceVersion; what can't be compared has not."""
    if least is None:
        return True
    order = compare_resource_versions(status.resource_version or "", least)
    return order is not None and order >= 0


def refuse_older(freshness: Freshness, max_age: float | timedelta, resource: str) -> None:
    """Raise StaleError where an answer was proven longer ago."""
    if freshness.older_than(max_age):
        raise StaleError(
            f"{resource}: older than asked for: {freshness}",
            resource=resource,
            freshness=freshness,
        )
