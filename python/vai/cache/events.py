"""What handlers are told: events, tombstones, and what a change is to one who knew less.

`told` is the one rule by which changes of the history become events. It compares with what was told
of the object before, so that events always add up: an add is of an object that was not there, an
update or a delete of one that was. client-go asks its store for that (`processDeltas` in
`tools/cache/controller.go`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from vai.cache.views import Change
from vai.objects import Object
from vai.store import Rows, compare_resource_versions
from vai.types import Position

#: What was told of an object: its uid and resourceVersion. One short text for each object is all
#: that is kept of what was told.
Seen = str


class DeletedFinalStateUnknown(msgspec.Struct, frozen=True, kw_only=True):
    """In place of an object: it is gone, and how it was at its end is not known.

    A list found that it is not there any more; what happened to it since it was last seen was
    missed. Named as client-go's.

    Attributes:
        key: `namespace/name`, or `name`.
        uid: of the object.
        resource_version: the last one that was told.
        object: the last state that is known; None where the history no longer has it.
    """

    key: str
    uid: str
    resource_version: str
    object: Object | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a handler, as a value.

    Attributes:
        op: "add", "update" or "delete".
        key: `namespace/name`, or `name`.
        object: the object now; of a delete its last state, or a tombstone.
        old: of an update what it was before; None where the history no longer has it.
        is_in_initial_list: of an add: it was there when the handler came.
        resync: an update that tells what was told before, because that was asked for.
        epoch: with `seq`, where in the history of the file it stands.
        seq: see `epoch`.
    """

    op: Literal["add", "update", "delete"]
    key: str
    object: Object | DeletedFinalStateUnknown
    old: Object | None = None
    is_in_initial_list: bool = False
    resync: bool = False
    epoch: int = 0
    seq: int = 0

    @property
    def position(self) -> Position:
        """`changes(since=event.position)` goes on after it; reads are at least as new."""
        return Position(self.epoch, self.seq)


def seen(uid: str, resource_version: str) -> Seen:
    """What is remembered of an object."""
    return f"{uid} {resource_version}"


def told(change: Change, before: Seen | None) -> tuple[list[Event], Seen | None]:
    """What a change is to one who was last told `before` of its object, and what is told after it.

    No events where it is nothing new: two scopes may both have the object.
    """
    at = Position(change.epoch, change.seq)
    if change.object is None:
        if before is None or before.partition(" ")[0] != change.uid:
            # Never told of, or another object has the name by now.
            return [], before
        return [_delete(change, before)], None
    after = seen(change.uid, change.resource_version)
    if before is None:
        return [_event("add", change.object, at)], after
    uid, _, version = before.partition(" ")
    if uid != change.uid:
        # The delete of the one before it was missed.
        return [_gone(change.key, before, at), _event("add", change.object, at)], after
    if _known_already(change, before == after, version):
        return [], before
    return [_event("update", change.object, at, change.old)], after


def _known_already(change: Change, same: bool, version: str) -> bool:  # noqa: FBT001
    """Whether another scope told the same, or something newer."""
    if change.relist:
        # A cluster that was restored gives versions out again, lower ones and for other content.
        return same and change.op == "add"
    return same or _older(change.resource_version, version)


def initial(rows: Rows) -> Iterator[Event]:
    """Everything there is, as adds."""
    at = Position(rows.epoch, rows.seq)
    for index in range(len(rows)):
        yield _event("add", Object.of(rows[index]), at, is_in_initial_list=True)


def resync(rows: Rows, known: Mapping[str, Seen], upto: int) -> Iterator[Event]:
    """Everything that was told up to there, once more; what has changed since comes as a change."""
    at = Position(rows.epoch, rows.seq)
    wanted = [
        index
        for index, (key, state) in enumerate(states(rows))
        if known.get(key) == state and rows[index].seq <= upto
    ]
    return (_again(Object.of(rows[index]), at) for index in wanted)


def difference(rows: Rows, known: Mapping[str, Seen], upto: int) -> Iterator[Event]:
    """What leads from what was told up to there to what there is, deletes first, as Replace does.

    How each object came to be as it is was missed, so updates have no `old`. What was written since
    is other content even under the same resourceVersion: a cluster that was restored gives it out
    again.
    """
    at = Position(rows.epoch, rows.seq)
    now = dict(states(rows))
    gone = [(key, before) for key, before in known.items() if key not in now]
    wanted = [
        (index, known.get(key))
        for index, (key, state) in enumerate(now.items())
        if known.get(key) != state or rows[index].seq > upto
    ]

    def steps() -> Iterator[Event]:
        for key, before in gone:
            yield _gone(key, before, at)
        for index, last in wanted:
            found = Object.of(rows[index])
            if last is not None and last.partition(" ")[0] == found.uid:
                yield _event("update", found, at)
                continue
            if last is not None:
                yield _gone(found.key, last, at)
            yield _event("add", found, at)

    return steps()


def states(rows: Rows) -> Iterator[tuple[str, Seen]]:
    """(key, what is remembered) of rows, in their order."""
    for index in range(len(rows)):
        row = rows[index]
        yield row.key, seen(row.uid, row.resource_version)


def changed(before: Mapping[str, Seen], now: Mapping[str, Seen]) -> dict[str, Seen | None]:
    """What was remembered of each object of which something else is remembered now."""
    gone = {key: state for key, state in before.items() if key not in now}
    others = {key: before.get(key) for key, state in now.items() if before.get(key) != state}
    return gone | others


def _event(
    op: Literal["add", "update"],
    found: Object,
    at: Position,
    old: Object | None = None,
    *,
    is_in_initial_list: bool = False,
) -> Event:
    return Event(
        op=op,
        key=found.key,
        object=found,
        old=old,
        is_in_initial_list=is_in_initial_list,
        epoch=at.epoch,
        seq=at.seq,
    )


def _again(found: Object, at: Position) -> Event:
    return Event(
        op="update",
        key=found.key,
        object=found,
        old=found,
        resync=True,
        epoch=at.epoch,
        seq=at.seq,
    )


def _delete(change: Change, before: Seen) -> Event:
    last: Object | DeletedFinalStateUnknown
    if change.relist or change.old is None:
        uid, _, version = before.partition(" ")
        last = DeletedFinalStateUnknown(
            key=change.key, uid=uid, resource_version=version, object=change.old
        )
    else:
        last = change.old
    return Event(op="delete", key=change.key, object=last, epoch=change.epoch, seq=change.seq)


def _gone(key: str, before: Seen, at: Position) -> Event:
    uid, _, version = before.partition(" ")
    last = DeletedFinalStateUnknown(key=key, uid=uid, resource_version=version)
    return Event(op="delete", key=key, object=last, epoch=at.epoch, seq=at.seq)


def _older(version: str, than: str) -> bool:
    """What can't be compared is not older."""
    order = compare_resource_versions(version, than)
    return order is not None and order < 0
