"""What reads return: `Snapshot`, `Page` and `Change`, all frozen, all of one moment."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from datetime import datetime
from typing import Literal

import msgspec

from vai.cache.explain import Explain
from vai.errors import NotKeptError
from vai.objects import TO_KEEP_THE_REST, Object
from vai.store import ChangeRow, Facet, Rows, Summary
from vai.types import Freshness, Position, Resource


class Snapshot(Mapping[str, Object]):
    """The objects of one resource at one moment, by key (`namespace/name`), in key order.

    It never changes and holds no transaction: bodies stay compressed in memory until they are
    asked for. A lookup is a binary search; it makes a new `Object` each time, so keep the one
    that is used twice.

    A missing key is proven absent only if `freshness.complete`, and only as of
    `freshness.age_s` ago.
    """

    __slots__ = ("_freshness", "_resource", "_rows")

    def __init__(self, rows: Rows, resource: Resource, freshness: Freshness) -> None:
        self._rows = rows
        self._resource = resource
        self._freshness = freshness

    @property
    def freshness(self) -> Freshness:
        """How old the answer was when it was taken, and how that is known."""
        return self._freshness

    @property
    def position(self) -> Position:
        """Where in the history it was taken: `changes(since=snapshot.position)` goes on from it."""
        return Position(self._rows.epoch, self._rows.seq)

    @property
    def resource(self) -> Resource:
        """What it is a snapshot of."""
        return self._resource

    def __getitem__(self, key: str) -> Object:
        index = self._rows.find(key)
        if index is None:
            raise KeyError(key)
        return Object.of(self._rows[index])

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._rows.find(key) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows.keys())

    def __len__(self) -> int:
        return len(self._rows)

    def values(self) -> ValuesView[Object]:
        """The objects, in key order; each is made when the loop reaches it."""
        return _Values(self)

    def items(self) -> ItemsView[str, Object]:
        """(key, object), in key order; each is made when the loop reaches it."""
        return _Items(self)

    def __eq__(self, other: object) -> bool:
        """Equal to itself only: comparing all bodies would be no small operation."""
        return self is other

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<Snapshot of {len(self)} {self._resource.name}: {self._freshness}>"

    def _each(self) -> Iterator[Object]:
        for index in range(len(self._rows)):
            yield Object.of(self._rows[index])


class _Values(ValuesView[Object]):
    """Walks the rows by index: no search per key."""

    _mapping: Snapshot

    def __iter__(self) -> Iterator[Object]:
        return self._mapping._each()  # noqa: SLF001 - a view is a part of its mapping


class _Items(ItemsView[str, Object]):
    """Walks the rows by index: no search per key."""

    _mapping: Snapshot

    def __iter__(self) -> Iterator[tuple[str, Object]]:
        for found in self._mapping._each():  # noqa: SLF001 - a view is a part of its mapping
            yield found.key, found


class Page(msgspec.Struct, frozen=True, kw_only=True, eq=False, repr_omit_defaults=True):
    """One page of a list, in the order that was asked for.

    Attributes:
        total: how many objects match, on all pages.
        cursor: pass it to `list` for the next page; None on the last one.
        freshness: how old the answer was when it was taken.
        position: where in the history it was taken; all pages of one walk have the first one's.
        resources: what it is a list of.
        rows: the stored rows; use `items` or `raw`.
        facets: of each field asked for, its values and how many matching objects have them.
        explain: how it was found, if that was asked for.
        known_since: of a moment of the past for which the history has a gap: the objects are as
            they were last known then.
        summary: what Steve's `summary` asked for, of all that matches.
    """

    total: int
    cursor: str | None
    freshness: Freshness
    position: Position
    resources: tuple[Resource, ...]
    rows: Rows
    facets: dict[str, Facet] = {}
    explain: Explain | None = None
    known_since: datetime | None = None
    summary: tuple[Summary, ...] = ()

    @property
    def items(self) -> list[Object]:
        """The objects; none is decoded yet."""
        return [Object.of(self.rows[index]) for index in range(len(self.rows))]

    @property
    def keys(self) -> list[str]:
        """Their keys, `namespace/name`; nothing is decompressed for them."""
        return self.rows.keys()

    @property
    def raw(self) -> bytes:
        """A Kubernetes List as JSON bytes (`PodList`); no JSON is parsed on the way.

        `metadata.continue` is the cursor. Of several resources it is a `List`.

        Raises:
            NotKeptError: the objects are kept as metadata only; `items` has their metadata.
        """
        hidden = next(
            (row for row in map(self.rows.__getitem__, range(len(self.rows))) if row.redacted), None
        )
        if hidden is not None:
            raise NotKeptError(
                f"a list of {hidden.resource} can't be given as bytes: only their metadata is "
                f"kept; {TO_KEEP_THE_REST}",
                resource=hidden.resource,
            )
        kind, version = "List", "v1"
        if len(self.resources) == 1:
            kind, version = f"{self.resources[0].kind}List", self.resources[0].api_version
        return self.rows.list_json(kind, version, self.cursor or "")

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        what = ", ".join(found.name for found in self.resources)
        return f"<Page of {len(self.rows)} of {self.total} {what}: {self.freshness}>"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the history.

    Attributes:
        op: "add", "update" or "delete".
        resource: `pods`, `deployments.apps`.
        key: `namespace/name`, or `name`.
        uid: of the object; a name that was deleted and made again has a new one.
        resource_version: of the object after the change (of a delete: as far as it is known).
        seq: with `epoch`, unique in this file for ever: an idempotency key.
        epoch: which run of the file `seq` counts in.
        time_s: Unix time at which it was committed here.
        relist: found by a relist and not by a watch: intermediate changes may have been missed.
        object: the object after the change; None for a delete.
        old: the object before it (of a delete: its last state, as the server sent it); None for an
            add, or where history no longer has it.
    """

    op: Literal["add", "update", "delete"]
    resource: str
    key: str
    uid: str
    resource_version: str
    seq: int
    epoch: int
    time_s: float
    relist: bool
    object: Object | None
    old: Object | None

    @property
    def position(self) -> Position:
        """`changes(since=change.position)` goes on after this one."""
        return Position(self.epoch, self.seq)


def change_of(row: ChangeRow) -> Change:
    """The change that a row of the history records."""
    return Change(
        op=row.op,
        resource=row.resource,
        key=row.key,
        uid=row.uid,
        resource_version=row.resource_version,
        seq=row.seq,
        epoch=row.epoch,
        time_s=row.time_s,
        relist=row.relist,
        object=_wrap(row.new),
        old=_wrap(row.old),
    )


def _wrap(raw: bytes | None) -> Object | None:
    return None if raw is None else Object(raw)
