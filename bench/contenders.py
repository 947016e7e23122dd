"""vai, and what one would write instead: the same pages and events in, the same answers out.

An answer is bytes, a Kubernetes List, and the number of all matching objects, because that is
what a server or a dashboard hands on.
"""

from __future__ import annotations

import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

import vai
from bench.prepared import CHUNK_BYTES
from vai.store import Store
from vai.types import Resource, State

PODS: Final = Resource(
    group="", version="v1", plural="pods", kind="Pod", singular="pod", namespaced=True
)


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What to look for; nothing given matches."""

    name: str
    namespace: str | None = None
    label: tuple[str, str] | None = None
    #: A field selector's path and value.
    field: tuple[str, str] | None = None
    limit: int = 100


class Contender(Protocol):
    """One way to keep pods and to answer from them."""

    def load(self, pages: Iterable[bytes]) -> None:
        """Take a whole list."""

    def apply(self, chunk: bytes) -> None:
        """Take watch events, whole lines."""

    def settle(self) -> None:
        """Return when all of them are kept as safely as this contender keeps anything."""

    def page(self, query: Query) -> tuple[int, bytes]:
        """(number of matching objects, List of the first `limit` in key order; 0 is all)."""

    def get(self, namespace: str, name: str) -> Any:
        """One object, decoded."""

    def close(self) -> None:
        """The end."""


class Vai:
    """The cluster file, written through the store and read through the public API."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "vai.db"
        self.store = Store(self.path, "writer")
        self.store.put_resources([PODS])
        self.scope = self.store.ensure_scope(PODS)
        self._cache: vai.Cache | None = None
        self._watching: Any = None

    def load(self, pages: Iterable[bytes]) -> None:
        listing = self.store.begin_list(self.scope)
        version = ""
        for page in pages:
            listing.begin_page()
            for chunk in _chunks(page):
                listing.push(chunk)
            version = listing.end_page().resource_version
        listing.publish(version)
        self.store.set_state(self.scope, State.LIVE)

    def apply(self, chunk: bytes) -> None:
        if self._watching is None:
            self._watching = self.store.begin_watch(self.scope)
        self._watching.push(chunk)

    def settle(self) -> None:
        self.store.flush()

    def page(self, query: Query) -> tuple[int, bytes]:
        page = self._reader().list(
            "pods",
            query.namespace,
            label_selector="=".join(query.label) if query.label else "",
            field_selector="=".join(query.field) if query.field else "",
            limit=query.limit or None,
        )
        return page.total, page.raw

    def get(self, namespace: str, name: str) -> Any:
        found = self._reader().get("pods", name, namespace=namespace)
        return found and found.to_dict()

    def close(self) -> None:
        if self._cache is not None:
            self._cache.close()
        self.store.close()

    def _reader(self) -> vai.Cache:
        if self._cache is None:
            self._cache = vai.open(self.path)
        return self._cache


class _Dict(ABC):
    """A dict of parsed objects, filtered and sorted in Python; gone with the process."""

    @staticmethod
    @abstractmethod
    def decode(data: bytes) -> Any:
        """Python objects of a JSON text."""

    @staticmethod
    @abstractmethod
    def encode(value: Any) -> bytes:
        """The JSON text of Python objects."""

    def __init__(self, _folder: Path) -> None:
        self.objects: dict[str, Any] = {}

    def load(self, pages: Iterable[bytes]) -> None:
        for page in pages:
            for item in self.decode(page)["items"]:
                self.objects[_key(item)] = item

    def apply(self, chunk: bytes) -> None:
        for line in chunk.splitlines():
            event = self.decode(line)
            self.objects[_key(event["object"])] = event["object"]

    def settle(self) -> None:  # noqa: B027 - nothing to wait for in any dict
        """A dict is as safe as it gets at once."""

    def page(self, query: Query) -> tuple[int, bytes]:
        keys = sorted(key for key, item in self.objects.items() if _matches(item, query))
        chosen = keys[: query.limit] if query.limit else keys
        items = [self.objects[key] for key in chosen]
        return len(keys), self.encode({"kind": "PodList", "apiVersion": "v1", "items": items})

    def get(self, namespace: str, name: str) -> Any:
        return self.objects.get(f"{namespace}/{name}")

    def close(self) -> None:
        self.objects.clear()


class JsonDict(_Dict):
    """The dict, with the standard library's json."""

    @staticmethod
    def decode(data: bytes) -> Any:
        return json.loads(data)

    @staticmethod
    def encode(value: Any) -> bytes:
        return json.dumps(value, separators=(",", ":")).encode()


class MsgspecDict(_Dict):
    """The dict, with the fastest JSON there is for Python."""

    @staticmethod
    def decode(data: bytes) -> Any:
        return msgspec.json.decode(data)

    @staticmethod
    def encode(value: Any) -> bytes:
        return msgspec.json.encode(value)


class _Meta(msgspec.Struct, rename="camel"):
    name: str
    namespace: str
    resource_version: str


class _Head(msgspec.Struct):
    metadata: _Meta


class _List(msgspec.Struct):
    items: list[msgspec.Raw]


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class SqliteJson:
    """The standard library's sqlite3: one table of JSON bodies, searched with json_extract."""

    _page: Final = msgspec.json.Decoder(_List)
    _head: Final = msgspec.json.Decoder(_Head)
    _line: Final = msgspec.json.Decoder(_Event)

    def __init__(self, folder: Path) -> None:
        self.path = folder / "sqlite.db"
        self._db = sqlite3.connect(self.path)
        self._db.executescript(
            """
            PRAGMA journal_mode = WAL;
            PRAGMA synchronous = NORMAL;
            CREATE TABLE pod (namespace TEXT, name TEXT, version TEXT, body TEXT,
                              PRIMARY KEY (namespace, name));
            """
        )

    def load(self, pages: Iterable[bytes]) -> None:
        for page in pages:
            self._put(self._page.decode(page).items)

    def apply(self, chunk: bytes) -> None:
        self._put([self._line.decode(line).object for line in chunk.splitlines()])

    def settle(self) -> None:
        """Every chunk was a transaction."""

    def _put(self, bodies: list[msgspec.Raw]) -> None:
        with self._db:
            self._db.executemany("REPLACE INTO pod VALUES (?, ?, ?, ?)", self._rows(bodies))

    def _rows(self, bodies: Iterable[msgspec.Raw]) -> Iterator[tuple[str, str, str, str]]:
        for body in bodies:
            meta = self._head.decode(body).metadata
            yield meta.namespace, meta.name, meta.resource_version, str(bytes(body), "utf-8")

    def page(self, query: Query) -> tuple[int, bytes]:
        conditions, values = ["1"], []
        if query.namespace:
            conditions.append("namespace = ?")
            values.append(query.namespace)
        if query.label:
            conditions.append(f"body ->> '$.metadata.labels.\"{query.label[0]}\"' = ?")
            values.append(query.label[1])
        if query.field:
            conditions.append(f"body ->> '$.{query.field[0]}' = ?")
            values.append(query.field[1])
        where = f"FROM pod WHERE {' AND '.join(conditions)}"
        (total,) = self._db.execute(f"SELECT count(*) {where}", values).fetchone()
        order = f"ORDER BY namespace, name LIMIT {query.limit or -1}"
        rows = self._db.execute(f"SELECT body {where} {order}", values)
        items = ",".join(body for (body,) in rows)
        return total, f'{{"kind":"PodList","apiVersion":"v1","items":[{items}]}}'.encode()

    def get(self, namespace: str, name: str) -> Any:
        row = self._db.execute(
            "SELECT body FROM pod WHERE namespace = ? AND name = ?", (namespace, name)
        ).fetchone()
        return msgspec.json.decode(row[0]) if row else None

    def close(self) -> None:
        self._db.close()


CONTENDERS: Final[dict[str, Callable[[Path], Contender]]] = {
    "vai": Vai,
    "dict, json": JsonDict,
    "dict, msgspec": MsgspecDict,
    "sqlite3, JSON bodies": SqliteJson,
}


def _key(item: Any) -> str:
    return f"{item['metadata']['namespace']}/{item['metadata']['name']}"


def _matches(item: Any, query: Query) -> bool:
    meta = item["metadata"]
    if query.namespace is not None and meta["namespace"] != query.namespace:
        return False
    if query.label and meta["labels"].get(query.label[0]) != query.label[1]:
        return False
    if query.field:
        value = item
        for part in query.field[0].split("."):
            value = value.get(part) or {}
        return bool((value or "") == query.field[1])
    return True


def _chunks(page: bytes) -> Iterator[bytes]:
    view = memoryview(page)
    for start in range(0, len(page), CHUNK_BYTES):
        yield bytes(view[start : start + CHUNK_BYTES])
