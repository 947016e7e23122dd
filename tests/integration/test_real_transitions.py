"""Filtered changes are what a server's filtered watch says: into the filter, within it, out of it.

The same random writes seen twice with the same selector: by a raw watch of the real server, and by
`cache.changes` of a copy that follows everything. Compared per object, in order.
"""

from __future__ import annotations

import contextlib
import threading
import urllib.parse
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

import vai
from tests.apiserver.client import RequestError
from tests.apiserver.server import ApiServer
from tests.integration.real import Json, exact, key_of, listed
from tests.integration.test_real_changes import OPS, PATHS, Client
from tests.integration.test_real_changes import server as server  # noqa: PLC0414 - its fixture
from tests.timing import wait_until

pytestmark = pytest.mark.slow

WRITES: Final = 900
CLIENTS: Final = 6


@dataclass(frozen=True)
class Filter:
    """A resource, and which of its objects count."""

    kind: str
    labels: str = ""
    fields: str = ""

    @property
    def query(self) -> str:
        return urllib.parse.urlencode({"labelSelector": self.labels, "fieldSelector": self.fields})


FILTERS: Final = (
    Filter("pods", "a=x"),
    Filter("pods", "!a"),
    Filter("pods", "a=x,b!=x"),
    Filter("pods", "a,b notin (x),c notin (y)"),
    Filter("pods", "at,nobody!=x"),
    Filter("pods", "a in (x,y)", "status.phase!=Running"),
    Filter("pods", "", "status.phase=Running"),
    Filter("pods", "", "status.phase!=Pending,metadata.namespace=writes-1"),
    Filter("pods", "", "status.podIP="),
    Filter("pods", "", "metadata.name=p-03"),
    Filter("pods", "", "spec.nodeName=,spec.restartPolicy=Always"),
    Filter("configmaps", "b=x"),
    Filter("configmaps", "b!=x", "metadata.namespace!=writes-0"),
    Filter("configmaps", "", "metadata.name=c-07"),
    Filter("widgets.shop.example.com", "c"),
    Filter("widgets.shop.example.com", "", "spec.color=red"),
    Filter("widgets.shop.example.com", "!c", "spec.color!=red"),
)


@dataclass(frozen=True)
class Seen:
    """One change, in the words of both."""

    op: str
    key: str
    uid: str
    version: str
    object: Any


class RawWatch(threading.Thread):
    """What the server says to somebody who watches with a filter; ends after two quiet minutes."""

    def __init__(self, server: ApiServer, wanted: Filter, since: str) -> None:
        super().__init__(daemon=True)
        self.seen: list[Seen] = []
        self.lines = server._client("admin").stream(
            f"{PATHS[wanted.kind]}?watch=1&resourceVersion={since}&{wanted.query}", timeout_s=120
        )

    def run(self) -> None:
        with contextlib.suppress(OSError, ValueError, RequestError):
            for line in self.lines:
                event = exact(line)
                item = event["object"]
                meta = item["metadata"]
                self.seen.append(
                    Seen(
                        OPS[event["type"]], key_of(item), meta["uid"], meta["resourceVersion"], item
                    )
                )


def seen_by_vai(change: vai.Change) -> Seen:
    """The object is the last one that passed, as a server's DELETED has it."""
    found = change.old if change.op == "delete" else change.object
    assert found is not None
    item = exact(found.raw)
    if change.op == "delete":
        # A server puts the version of what took it out of the filter into the last state in it.
        item["metadata"]["resourceVersion"] = change.resource_version
    return Seen(change.op, change.key, change.uid, change.resource_version, item)


def folded(before: dict[str, Json], seen: list[Seen]) -> dict[str, Json]:
    """What is selected after all that."""
    state = dict(before)
    for one in seen:
        if one.op == "delete":
            del state[one.key]
        else:
            assert (one.key in state) == (one.op == "update"), one
            state[one.key] = one.object
    return state


def by_object(seen: list[Seen]) -> dict[str, list[Seen]]:
    found: defaultdict[str, list[Seen]] = defaultdict(list)
    for one in seen:
        found[one.uid].append(one)
    return dict(found)


@contextlib.contextmanager
def writing(server: ApiServer) -> Iterator[threading.Event]:
    """Random writes by several clients at once; the event says that they are all made."""
    done = threading.Event()
    clients = [Client(server, 100 + number, WRITES // CLIENTS) for number in range(CLIENTS)]

    def write() -> Counter[str]:
        total: Counter[str] = Counter()
        with ThreadPoolExecutor(CLIENTS) as pool:
            for made in pool.map(Client.run, clients):
                total += made
        done.set()
        return total

    with ThreadPoolExecutor(1) as writer:
        running = writer.submit(write)
        yield done
        print(f"{dict(running.result())}")


class Both:
    """One filter, followed both ways from the same moment."""

    def __init__(
        self, server: ApiServer, cache: vai.Cache, wanted: Filter, since: str, at: vai.Position
    ) -> None:
        self.server = server
        self.wanted = wanted
        self.before = self.there()
        found = cache.snapshot(
            wanted.kind, label_selector=wanted.labels, field_selector=wanted.fields
        )
        assert {key: exact(item.raw) for key, item in found.items()} == self.before
        self.watch = RawWatch(server, wanted, since)
        self.changes = cache.changes(
            wanted.kind, at, label_selector=wanted.labels, field_selector=wanted.fields
        )
        self.seen: list[Seen] = []
        self.watch.start()

    def there(self) -> dict[str, Json]:
        """What the server selects now."""
        return listed(self.server, f"{PATHS[self.wanted.kind]}?{self.wanted.query}")[1]

    def drain(self) -> None:
        while (change := self.changes.poll()) is not None:
            self.seen.append(seen_by_vai(change))

    def check(self) -> None:
        """Both have come to what is selected now, each object by the same steps."""
        there = self.there()
        wait_until(lambda: folded(self.before, self.watch.seen) == there)

        def here() -> bool:
            self.drain()
            return folded(self.before, self.seen) == there

        wait_until(here, what=lambda: self.wanted)
        assert by_object(self.seen) == by_object(self.watch.seen), self.wanted


def test_filtered_changes_are_those_of_a_filtered_watch(server: ApiServer, tmp_path: Path) -> None:
    config = server.write_kubeconfig()
    with vai.connect(tmp_path / "c.db", list(PATHS), kubeconfig=config) as cache:
        cache.wait_synced(timeout=60)
        starts = {kind: listed(server, path) for kind, path in PATHS.items()}
        for kind, (_, there) in starts.items():
            wait_until(lambda k=kind, t=there: set(cache.snapshot(k)) == set(t))  # type: ignore[misc]
        every = [
            Both(server, cache, wanted, starts[wanted.kind][0], cache.position())
            for wanted in FILTERS
        ]
        with writing(server) as done:
            # While it happens, as an application does.
            while not done.wait(0.05):
                for both in every:
                    both.drain()
        for both in every:
            both.check()
    ops = Counter(one.op for both in every for one in both.seen)
    print({f"{both.wanted}": len(both.seen) for both in every}, dict(ops))
    for op in OPS.values():
        assert ops[op] > 50, ops
