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
from tests.unit.cache.oracle.places import ADDED, Json, key_of
from tests.unit.cache.oracle.values import Number, exact
from vai.types import FieldType, Position, Resource, State

RESOURCES: Final = {"pods": PODS, "deployments.apps": DEPLOYMENTS, "nodes": NODES}
SPACES: Final = ("dev", "shop", "team", "team-a")

#: All objects of a moment, by resource and key.
Objects = Mapping[str, Mapping[str, Json]]


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


@dataclass
class World:
    """The file, its writer and a reader, and what was written."""

    path: Path
    feed: Feed
    cache: vai.Cache
    #: Whether pods are kept as one scope, or as one for each namespace.
    apart: bool
    objects: dict[str, dict[str, Json]] = field(
        default_factory=lambda: {name: {} for name in RESOURCES}
    )
    past: list[tuple[Position, Objects]] = field(default_factory=list)
    scopes: dict[tuple[str, str | None], int] = field(default_factory=dict)
    version: int = 100
    made: int = 0

    @classmethod
    def open(cls, path: Path, first: Mapping[str, Sequence[Json]], *, apart: bool) -> Self:
        """A new file that has listed these objects."""
        feed = Feed(path, list(RESOURCES.values()))
        for at, kind in ADDED.items():
            feed.store.index(PODS, f".{at}", _type(kind))
        world = cls(path, feed, vai.open(path), apart)
        for name in RESOURCES:
            world._relist(name, first.get(name, ()))
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
                body, is_new = self._body(name, content)
                self._event(name, "ADDED" if is_new else "MODIFIED", body)
                self.objects[name][key_of(body)] = body
            case Delete(resource=name, place=place) if self.objects[name]:
                keys = sorted(self.objects[name], key=str.encode)
                body = deepcopy(self.objects[name].pop(keys[place % len(keys)]))
                self.version += 1
                body["metadata"]["resourceVersion"] = str(self.version)
                self._event(name, "DELETED", body)
            case Relist(resource=name, contents=contents):
                self._relist(name, contents)
            case Reopen():
                self.feed.close()
                self.feed = Feed(self.path, list(RESOURCES.values()))
                for scope in self.scopes.values():
                    self.feed.live(scope)
            case Delete():
                pass
        self._remember()

    def _remember(self) -> None:
        now = {name: dict(found) for name, found in self.objects.items()}
        self.past.append((self.cache.position(), now))

    def _body(self, name: str, content: Json) -> tuple[Json, bool]:
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
        return found, before is None

    def _relist(self, name: str, contents: Sequence[Json]) -> None:
        """Objects without content of their own stay as they are."""
        after: dict[str, Json] = {}
        for content in contents:
            key = key_of(content)
            if len(content) == 1 and key in self.objects[name]:
                after[key] = self.objects[name][key]
            elif key not in after:
                after[key] = self._body(name, content)[0]
        self.objects[name] = after
        self.version += 1
        spaces = SPACES if name == "pods" and self.apart else (None,)
        for space in spaces:
            keys = [key for key in after if space is None or key.startswith(f"{space}/")]
            items = [after[key] for key in sorted(keys, key=str.encode)]
            self._list(RESOURCES[name], space, items)

    def _list(self, resource: Resource, space: str | None, items: Sequence[Json]) -> None:
        scope = self.scopes.get((resource.name, space))
        if scope is None:
            scope = self.feed.scope(resource, space)
            self.scopes[resource.name, space] = scope
            self.feed.store.set_state(scope, State.LISTING)
        self.feed.watching.pop(scope, None)
        bare = [{k: v for k, v in one.items() if k not in {"kind", "apiVersion"}} for one in items]
        page = {
            "kind": f"{resource.kind}List",
            "apiVersion": resource.api_version,
            "metadata": {"resourceVersion": str(self.version)},
            "items": bare,
        }
        listing = self.feed.store.begin_list(scope)
        listing.begin_page()
        listing.push(dumped(page))
        listing.end_page()
        listing.publish(str(self.version))
        self.feed.live(scope)

    def _event(self, name: str, kind: str, body: Json) -> None:
        space = body["metadata"]["namespace"] if name == "pods" and self.apart else None
        scope = self.scopes[name, space]
        if scope not in self.feed.watching:
            self.feed.watching[scope] = self.feed.store.begin_watch(scope)
        self.feed.watching[scope].push(dumped({"type": kind, "object": body}) + b"\n")
        self.feed.store.flush()


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
