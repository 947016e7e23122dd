"""Relations between objects: owners, dependents, and what selects or names what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

import msgspec

from vai.cache.query import identity_of
from vai.cache.reads import Reads
from vai.errors import InvalidRequestError, NotFoundError
from vai.objects import Object
from vai.store import RelatedRow
from vai.types import Resource

How = Literal["owner", "dependent", "selects", "selected-by", "uses", "used-by"]

#: Deeper than any chain of owners that is not a circle.
_EVERY: Final = 32


class Related(msgspec.Struct, frozen=True, kw_only=True):
    """An object in relation to the one that was asked about.

    Attributes:
        how: it is its "owner" or "dependent"; a pod that its selector "selects", or whose
            selector it is "selected-by"; it "uses" it by name, or is "used-by" it.
        depth: steps away: 1 for its own owners and dependents.
        resource: `pods`, `deployments.apps`; the kind, where the cluster has no such resource.
        key: `namespace/name`, or `name`.
        uid: empty if it is not known.
        controller: of owners and dependents: whether the owner manages the other.
        object: None if the file does not have it.
        missing: why not: "absent" where that is proven, "unknown" where no scope covers it.
    """

    how: How
    depth: int
    resource: str
    key: str
    uid: str
    controller: bool
    object: Object | None
    missing: Literal["", "absent", "unknown"]


def owners(reads: Reads, word: str, name: str, namespace: str | None) -> list[Related]:
    """See `Cache.owners`."""
    return _ask(reads, word, name, namespace, reads.store.owners)


def dependents(
    reads: Reads, word: str, name: str, namespace: str | None, depth: int | None
) -> list[Related]:
    """See `Cache.dependents`."""
    if depth is not None and depth < 1:
        raise InvalidRequestError(f"depth must be at least 1, not {depth}")
    most = _EVERY if depth is None else min(depth, _EVERY)
    return _ask(
        reads,
        word,
        name,
        namespace,
        lambda resource, key: reads.store.dependents(resource, key, most),
    )


def related(reads: Reads, word: str, name: str, namespace: str | None) -> list[Related]:
    """See `Cache.related`."""
    return _ask(reads, word, name, namespace, reads.store.related)


def _ask(
    reads: Reads,
    word: str,
    name: str,
    namespace: str | None,
    question: Callable[[Resource, str], Sequence[RelatedRow]],
) -> list[Related]:
    resource = reads.resolve(word)
    place, last = identity_of(resource, name, namespace)
    # First, for it tells what is proven absent from what is not known.
    if reads.get(word, name, namespace) is None:
        where = f" in namespace {place}" if place else ""
        raise NotFoundError(f"{resource.name} {last!r}: there is none{where}")
    key = last if place is None else f"{place}/{last}"
    return [_related(row) for row in question(resource, key)]


def _related(row: RelatedRow) -> Related:
    return Related(
        how=row.how,
        depth=row.depth,
        resource=row.resource,
        key=row.key,
        uid=row.uid,
        controller=row.controller,
        object=None if row.body is None else Object(row.body),
        missing=row.missing,
    )
