"""Relations between objects: owners, dependents, and what selects or names what."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from vai.cache.reads import Reads
from vai.errors import InvalidRequestError
from vai.objects import Object
from vai.store import RelatedRow

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


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    """An object with what owns it and what it owns, of one moment.

    Attributes:
        object: the one that was asked about.
        owners: as `Cache.owners`.
        dependents: as `Cache.dependents`.
        related: as `Cache.related`; empty where it was not asked for.
    """

    object: Object
    owners: tuple[Related, ...]
    dependents: tuple[Related, ...]
    related: tuple[Related, ...]


def owners(reads: Reads, word: str, name: str, namespace: str | None) -> list[Related]:
    """See `Cache.owners`."""
    return _all(reads.relations(word, name, namespace, owners=True).owners)


def dependents(
    reads: Reads, word: str, name: str, namespace: str | None, depth: int | None
) -> list[Related]:
    """See `Cache.dependents`."""
    return _all(reads.relations(word, name, namespace, depth=_depth(depth)).dependents)


def related(reads: Reads, word: str, name: str, namespace: str | None) -> list[Related]:
    """See `Cache.related`."""
    return _all(reads.relations(word, name, namespace, neighbours=True).neighbours)


def tree(
    reads: Reads, word: str, name: str, namespace: str | None, depth: int | None, *, related: bool
) -> Tree:
    """See `Cache.tree`."""
    found = reads.relations(
        word, name, namespace, owners=True, depth=_depth(depth), neighbours=related
    )
    return Tree(
        object=Object(found.body),
        owners=tuple(_all(found.owners)),
        dependents=tuple(_all(found.dependents)),
        related=tuple(_all(found.neighbours)),
    )


def _depth(depth: int | None) -> int:
    if depth is not None and depth < 1:
        raise InvalidRequestError(f"depth must be at least 1, not {depth}")
    return _EVERY if depth is None else min(depth, _EVERY)


def _all(rows: Iterable[RelatedRow]) -> list[Related]:
    return [_related(row) for row in rows]


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
