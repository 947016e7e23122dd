"""The server's own history of a collection, and the audit of what vai asked for."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import vai
from tests.apiserver.client import RequestError
from tests.apiserver.server import ApiServer
from tests.integration.real import exact, key_of

Json = dict[str, Any]
State = dict[str, Json]


class Recorder:
    """Every change of one collection from its start on, in the server's order."""

    def __init__(self, server: ApiServer, path: str) -> None:
        """Lists, and watches from there on a thread of its own."""
        answer = exact(server.request("GET", path).ok().body)
        kind = {"kind": answer["kind"].removesuffix("List"), "apiVersion": answer["apiVersion"]}
        self._first: State = {key_of(item): kind | item for item in answer["items"]}
        self._events: list[tuple[int, str, Json]] = []
        self.seen = self._from = int(answer["metadata"]["resourceVersion"])
        self._stream = server._client("admin").stream(
            f"{path}?watch=1&allowWatchBookmarks=true&resourceVersion={self.seen}", timeout_s=300
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError, RequestError):
            for line in self._stream:
                event = exact(line)
                version = int(event["object"]["metadata"]["resourceVersion"])
                if event["type"] != "BOOKMARK":
                    self._events.append((version, event["type"], event["object"]))
                self.seen = version

    def __len__(self) -> int:
        return len(self._events)

    def at(self, version: int, within_s: float = 20) -> State:
        """The collection as it was at this resourceVersion, once the watch has come so far."""
        assert version >= self._from
        end = time.monotonic() + within_s
        while self.seen < version:
            assert time.monotonic() < end, f"the server's history ends at {self.seen} < {version}"
            time.sleep(0.01)
        state = dict(self._first)
        for at, kind, item in list(self._events):
            if at > version:
                break
            if kind == "DELETED":
                del state[key_of(item)]
            else:
                state[key_of(item)] = item
        return state


class Follower:
    """What `cache.changes` tells, collected on a thread of its own."""

    def __init__(self, cache: vai.Cache, resource: str) -> None:
        snapshot = cache.snapshot(resource)
        self.before: State = {key: exact(found.raw) for key, found in snapshot.items()}
        self.seen: list[vai.Change] = []
        self.error: Exception | None = None
        self._changes = cache.changes(resource, since=snapshot.position)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            self.seen.extend(self._changes)
        except vai.VaiError as error:
            self.error = error

    def replayed(self) -> State:
        """What was there at first, and then each change in order; each must fit what is there."""
        assert self.error is None, self.error
        state = dict(self.before)
        for change in list(self.seen):
            if change.op == "add":
                assert change.key not in state, f"false add of {change.key}"
            else:
                assert change.key in state, f"false {change.op} of {change.key}"
            if change.old is not None:
                old, was = exact(change.old.raw), state[change.key]
                if change.op == "delete":
                    # The server's last word on it, under the deletion's own resourceVersion.
                    old, was = _versionless(old), _versionless(was)
                assert old == was, f"{change.op} {change.key} from another state"
            if change.object is None:
                del state[change.key]
            else:
                state[change.key] = exact(change.object.raw)
        return state

    def ops(self) -> Counter[tuple[str, str]]:
        """How often each (op, key) came."""
        return Counter((change.op, change.key) for change in list(self.seen))


def kept(cache: vai.Cache, resource: str, namespace: str | None = None) -> State:
    """The file's rows of a resource, whole."""
    found = cache.snapshot(resource, namespace)
    return {key: exact(item.raw) for key, item in found.items()}


def _versionless(item: Json) -> Json:
    metadata = {k: v for k, v in item["metadata"].items() if k != "resourceVersion"}
    return item | {"metadata": metadata}


def lists(asked: Iterable[Json]) -> Counter[str]:
    """How many lists of each resource were begun, in whatever disguise.

    By verb, by streaming (`sendInitialEvents`), by a watch from nowhere or from "0". Further pages
    are not counted, nor is the probe, which selects no object.
    """
    return Counter(resource for resource, _ in _begun(asked))


def comparisons(asked: Iterable[Json]) -> Counter[str]:
    """Those of the self-check among them: metadata only, which the audit log does not tell.

    All other lists of built-in kinds ask for objects beside the server's cells.
    """
    mine = {"includeObject", "watch"}
    return Counter(resource for resource, query in _begun(asked) if not query.keys() & mine)


def confirmations(asked: Iterable[Json]) -> Counter[str]:
    """Those of one object among them: they settle whether a scope that lists as empty is."""
    return Counter(
        resource
        for resource, query in _begun(asked)
        if query.get("limit") == "1" and "includeObject" in query
    )


def _begun(asked: Iterable[Json]) -> Iterator[tuple[str, dict[str, str]]]:
    for entry in asked:
        if "resource" not in entry.get("objectRef", {}):
            continue
        query = {k: v[0] for k, v in parse_qs(urlsplit(entry["requestURI"]).query).items()}
        by_verb = entry["verb"] == "list" and "continue" not in query
        if by_verb or (entry["verb"] == "watch" and _sends_all(query)):
            yield entry["objectRef"]["resource"], query


def _sends_all(query: dict[str, str]) -> bool:
    if "sendInitialEvents" in query:
        return query.get("fieldSelector") != "metadata.name=vai_probe"
    return int(query.get("resourceVersion", "0")) == 0
