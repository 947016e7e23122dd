"""A cluster file, and beside it plain Python that knows what it must hold at each moment."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import vai
from tests.unit.cache.feed import DEPLOYMENTS, NODES, PODS, Feed
from tests.unit.cache.oracle.answers import Question
from tests.unit.cache.oracle.places import ADDED, Json, key_of
from tests.unit.cache.oracle.scopes import LAYOUTS, Copy, Kept, Layout, Objects, choose, merged
from tests.unit.cache.oracle.selectors import written
from tests.unit.cache.oracle.values import Number, exact
from vai.types import FieldType, Position, State

RESOURCES: Final = {"pods": PODS, "deployments.apps": DEPLOYMENTS, "nodes": NODES}

#: What each scope of each resource had at a moment.
Moment = Mapping[str, Sequence[Mapping[str, Json]]]


@dataclass(frozen=True)
class Put:
    """A watch says that an object is there, and so."""

    resource: str
    content: Json


@dataclass(frozen=True)
class Delete:
    """A watch says that the object of this number in key order is gone."""

    resource: str
    place: int


@dataclass(frozen=True)
class Relist:
    """A list says what all objects are; those of these keys are as they were."""

    resource: str
    contents: tuple[Json, ...]


@dataclass(frozen=True)
class Reopen:
    """The writer ends, and another one takes its place."""


Write = Put | Delete | Relist | Reopen


def dumped(value: Any) -> bytes:
    """JSON with numbers as they are written."""
    text = json.dumps(_marked(value))
    return re.sub(r'"#number ([^"]*)"', r"\1", text).encode()


def _marked(value: Any) -> Any:
    match value:
        case Number():
            return f"#number {value}"
        case dict():
            return {key: _marked(inner) for key, inner in value.items()}
        case list():
            return [_marked(inner) for inner in value]
        case _:
            return value


@dataclass(frozen=True)
class Event:
    """What happened to one object."""

    version: int
    before: Json | None
    after: Json | None


@dataclass
class World:
    """The file, its writer and a reader, and what was written.

    Where scopes overlap each is behind the server in its own way: of an event only one of them
    hears at once, with all that it has missed, and only one is listed again.

    Attributes:
        objects: of the server, by resource and key.
        happened: to the objects of each resource, since its first list.
        copies: of each resource, as the file's scopes have them.
        past: what they had after each write.
    """

    path: Path
    feed: Feed
    cache: vai.Cache
    layout: Layout
    objects: dict[str, dict[str, Json]] = field(
        default_factory=lambda: {name: {} for name in RESOURCES}
    )
    happened: dict[str, list[Event]] = field(
        default_factory=lambda: {name: [] for name in RESOURCES}
    )
    copies: dict[str, list[Copy]] = field(default_factory=dict)
    past: list[tuple[Position, Moment]] = field(default_factory=list)
    version: int = 100
    made: int = 0

    @classmethod
    def open(cls, path: Path, first: Mapping[str, Sequence[Json]], layout: Layout) -> Self:
        """A new file that has listed these objects."""
        feed = Feed(path, list(RESOURCES.values()))
        for at, kind in ADDED.items():
            feed.store.index(PODS, f".{at}", _type(kind))
        world = cls(path, feed, vai.open(path), layout)
        for name in RESOURCES:
            world.copies[name] = [world._scope(name, kept) for kept in world._kept(name)]
            world._change(name, first.get(name, ()))
            for copy in world.copies[name]:
                world._list(name, copy)
        world._remember()
        return world

    def close(self) -> None:
        """Close both handles."""
        self.cache.close()
        self.feed.close()

    def write(self, write: Write) -> None:
        """Let something happen, in the file and beside it."""
        match write:
            case Put(resource=name, content=content):
                self._happen(name, self._body(name, content))
                self._hear(name)
            case Delete(resource=name, place=place) if self.objects[name]:
                keys = sorted(self.objects[name], key=str.encode)
                self._vanish(name, keys[place % len(keys)])
                self._hear(name)
            case Relist(resource=name, contents=contents):
                self._change(name, contents)
                self.version += 1
                for copy in self._hearing(name):
                    self._list(name, copy)
            case Reopen():
                self.feed.close()
                self.feed = Feed(self.path, list(RESOURCES.values()))
                for copy in (copy for each in self.copies.values() for copy in each):
                    self.feed.live(copy.number)
            case Delete():
                pass
        self._remember()

    def answering(self, question: Question, then: Moment | None = None) -> Objects | None:
        """The objects that a question is answered from; None where not all of that is kept.

        Args:
            question: of what.
            then: what was kept at an earlier moment. The scopes are those that answer now.
        """
        moment = self._moment() if then is None else then
        found: dict[str, Mapping[str, Json]] = {}
        for name in question.resources:
            spaces = question.namespaces if RESOURCES[name].namespaced else None
            read = choose(self.copies[name], spaces, question.labels, question.fields)
            if read is None:
                return None
            found[name] = merged(
                {
                    key: one
                    for key, one in moment[name][at].items()
                    if space is None or key.startswith(f"{space}/")
                }
                for at, space in read
            )
        return found

    def _moment(self) -> Moment:
        return {name: [dict(copy.objects) for copy in each] for name, each in self.copies.items()}

    def _remember(self) -> None:
        self.past.append((self.cache.position(), self._moment()))

    # on the server

    def _body(self, name: str, content: Json) -> Json:
        """The whole object: a new version of the one of that key, or a new one."""
        resource = RESOURCES[name]
        body: Json = {"kind": resource.kind, "apiVersion": resource.api_version} | deepcopy(content)
        before = self.objects[name].get(key_of(body))
        self.version += 1
        self.made += before is None
        uid = before["metadata"]["uid"] if before else f"uid-{self.made}"
        body["metadata"] |= {"uid": uid, "resourceVersion": str(self.version)}
        # As it will be read back, with numbers as they are written.
        found: Json = exact(dumped(body))
        return found

    def _happen(self, name: str, body: Json) -> None:
        before = self.objects[name].get(key_of(body))
        self.happened[name].append(Event(self.version, before, body))
        self.objects[name][key_of(body)] = body

    def _vanish(self, name: str, key: str) -> None:
        self.version += 1
        self.happened[name].append(Event(self.version, self.objects[name].pop(key), None))

    def _change(self, name: str, contents: Sequence[Json]) -> None:
        """These are all objects now; those without content of their own stay as they are."""
        after = {key_of(content): content for content in reversed(contents)}
        for key in [key for key in self.objects[name] if key not in after]:
            self._vanish(name, key)
        for key, content in after.items():
            if len(content) > 1 or key not in self.objects[name]:
                self._happen(name, self._body(name, content))

    # from the server to the file

    def _kept(self, name: str) -> Sequence[Kept]:
        return LAYOUTS[self.layout] if name == "pods" else LAYOUTS["whole"]

    def _scope(self, name: str, kept: Kept) -> Copy:
        number = self.feed.store.ensure_scope(
            RESOURCES[name], kept.namespace, written(kept.labels), written(kept.fields)
        )
        self.feed.store.set_state(number, State.LISTING)
        return Copy(kept, number)

    def _hearing(self, name: str) -> Sequence[Copy]:
        """Those that hear of what has just happened."""
        copies = self.copies[name]
        if name == "pods" and self.layout in {"parts", "besides"}:
            return [copies[self.version % len(copies)]]
        return copies

    def _hear(self, name: str) -> None:
        for copy in self._hearing(name):
            for event in self.happened[name][copy.heard :]:
                self._deliver(name, copy, event)
            copy.heard = len(self.happened[name])

    def _deliver(self, name: str, copy: Copy, event: Event) -> None:
        """As a watch says it: an object that is selected no longer is deleted."""
        before, after = (
            one if one is not None and copy.kept.selects(name, one) else None
            for one in (event.before, event.after)
        )
        if after is not None:
            self._event(copy, "ADDED" if before is None else "MODIFIED", after)
            copy.objects[key_of(after)] = after
        elif before is not None:
            last = deepcopy(before)
            last["metadata"]["resourceVersion"] = str(event.version)
            self._event(copy, "DELETED", last)
            del copy.objects[key_of(before)]
        else:
            return
        copy.version = event.version

    def _event(self, copy: Copy, kind: str, body: Json) -> None:
        if copy.number not in self.feed.watching:
            self.feed.watching[copy.number] = self.feed.store.begin_watch(copy.number)
        line = dumped({"type": kind, "object": body}) + b"\n"
        self.feed.watching[copy.number].push(line)
        self.feed.store.flush()

    def _list(self, name: str, copy: Copy) -> None:
        resource = RESOURCES[name]
        all_of_it = self.objects[name].items()
        copy.objects = {key: one for key, one in all_of_it if copy.kept.selects(name, one)}
        copy.heard, copy.version = len(self.happened[name]), self.version
        self.feed.watching.pop(copy.number, None)
        items = [copy.objects[key] for key in sorted(copy.objects, key=str.encode)]
        bare = [{k: v for k, v in one.items() if k not in {"kind", "apiVersion"}} for one in items]
        page = {
            "kind": f"{resource.kind}List",
            "apiVersion": resource.api_version,
            "metadata": {"resourceVersion": str(self.version)},
            "items": bare,
        }
        listing = self.feed.store.begin_list(copy.number)
        listing.begin_page()
        listing.push(dumped(page))
        listing.end_page()
        listing.publish(str(self.version))
        self.feed.live(copy.number)


def _type(kind: str) -> FieldType:
    found: dict[str, FieldType] = {
        "number": "number",
        "duration": "duration",
        "quantity": "quantity",
        "ip": "ip",
        "bool": "bool",
        "time": "time",
    }
    return found[kind]
