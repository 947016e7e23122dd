"""2,000 random writes by parallel clients: each one reflected, once, in the server's order."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

import vai
from tests.apiserver import objects
from tests.apiserver.client import Response
from tests.apiserver.server import ApiServer
from tests.integration.real import Json, eventually, exact, listed

pytestmark = pytest.mark.slow

WRITES: Final = 2000
CLIENTS: Final = 8
SPACES: Final = ("writes-0", "writes-1", "writes-2")
NAMES: Final = 25
SEED: Final = 20260501
PATHS: Final = {
    "pods": "/api/v1/pods",
    "configmaps": "/api/v1/configmaps",
    "widgets.shop.example.com": objects.WIDGETS_PATH,
}
LAST: Final = "the-last-one"
OPS: Final = {"ADDED": "add", "MODIFIED": "update", "DELETED": "delete"}
MERGE: Final = {"Content-Type": "application/merge-patch+json"}


@pytest.fixture(scope="session")
def server(apiserver: ApiServer) -> ApiServer:
    """With what is written to; another module of the session may have made it."""
    for name in SPACES:
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        if apiserver.request("GET", f"/api/v1/namespaces/{name}").status == 404:
            apiserver.create_many([space])
    if apiserver.request("GET", objects.WIDGETS_PATH).status == 404:
        apiserver.install_crd(objects.widget_crd())
    return apiserver


class Client:
    """One of several that write at random; they share the names, and so meet one another."""

    def __init__(self, server: ApiServer, number: int, writes: int) -> None:
        self.server = server
        self.random = random.Random(f"{SEED}/{number}")
        self.number = number
        self.left = writes
        self.count = 0
        self.done: Counter[str] = Counter()

    def run(self) -> Counter[str]:
        """Writes until as many writes as asked for have succeeded."""
        doings: list[Callable[[str, str], Response]] = [
            self.create, self.update, self.status, self.label, self.delete, self.recreate,
        ]  # fmt: skip
        while self.left > 0:
            kind = self.random.choice(list(PATHS))
            root, plural = PATHS[kind].rsplit("/", 1)
            where = f"{root}/namespaces/{self.random.choice(SPACES)}/{plural}"
            path = f"{where}/{kind[0]}-{self.random.randrange(NAMES):02d}"
            self.random.choices(doings, weights=(4, 3, 3, 3, 1, 1))[0](kind, path)
        return self.done

    def send(self, what: str, method: str, path: str, body: Json, **headers: str) -> Response:
        answer = self.server.request(method, path, body, headers=headers)
        if answer.status < 300:
            self.left -= 1
            self.done[what] += 1
        else:
            # Another client was quicker, or the object is not in the state for this.
            assert answer.status in (404, 409, 422), answer.body
        return answer

    def stamp(self) -> str:
        """Never the same twice: a write that changes nothing is no change."""
        self.count += 1
        return f"{self.number}-{self.count}"

    def create(self, kind: str, path: str) -> Response:
        collection, name = path.rsplit("/", 1)
        body: Json = {"metadata": {"name": name, "labels": {"at": self.stamp()}}}
        if kind == "pods":
            body["spec"] = {"containers": [{"name": "main", "image": "a"}]}
        elif kind == "configmaps":
            body["data"] = {"k": self.stamp()}
            if self.random.random() < 0.2:
                body["metadata"]["finalizers"] = ["example.com/hold"]
        else:
            body |= {"apiVersion": "shop.example.com/v1", "kind": "Widget"}
            body["spec"] = {"color": self.random.choice(("red", "blue")), "size": 3}
        return self.send("create", "POST", collection, body)

    def update(self, kind: str, path: str) -> Response:
        """A whole PUT of what was read: the server refuses it if another client came between."""
        found = self.server.request("GET", path)
        if found.status != 200:
            return found
        body = found.json()
        if kind == "pods":
            body["spec"]["containers"][0]["image"] = f"image:{self.stamp()}"
        elif kind == "configmaps":
            body["data"] = {"k": self.stamp(), "long": "x" * self.random.randrange(3000)}
        else:
            body["spec"]["extra"] = {"n": self.random.random(), "at": self.stamp()}
        return self.send("update", "PUT", path, body)

    def status(self, kind: str, path: str) -> Response:
        if kind == "configmaps":
            return self.label(kind, path)
        phase = self.random.choice(("Pending", "Running", "Succeeded"))
        body = {"status": {"phase": phase, "message": self.stamp()}}
        if kind == "pods":
            body["status"]["podIP"] = f"10.0.0.{self.random.randrange(1, 250)}"
        return self.send("status", "PATCH", f"{path}/status", body, **MERGE)

    def label(self, _: str, path: str) -> Response:
        labels = {"at": self.stamp(), self.random.choice("abc"): self.random.choice(("x", None))}
        return self.send("label", "PATCH", path, {"metadata": {"labels": labels}}, **MERGE)

    def delete(self, _: str, path: str) -> Response:
        answer = self.send("delete", "DELETE", path, {"gracePeriodSeconds": 0})
        if answer.status == 200 and "example.com/hold" in answer.body.decode():
            released = {"metadata": {"finalizers": None}}
            self.send("release", "PATCH", path, released, **MERGE)
        return answer

    def recreate(self, kind: str, path: str) -> Response:
        if self.delete(kind, path).status != 200:
            return self.create(kind, path)
        answer = self.create(kind, path)
        if answer.status == 201:
            self.done["recreate"] += 1
        return answer


class RawWatch(threading.Thread):
    """The server's own order: one watch of its own socket, until the last object comes."""

    def __init__(self, server: ApiServer, kind: str, since: str) -> None:
        super().__init__(daemon=True)
        self.events: list[Json] = []
        self.lines = server._client("admin").stream(
            f"{PATHS[kind]}?watch=1&resourceVersion={since}", timeout_s=60
        )

    def run(self) -> None:
        with contextlib.closing(self.lines) as lines:
            for line in lines:
                event = exact(line)
                self.events.append(event)
                if event["object"]["metadata"]["name"] == LAST:
                    return


class Follower(threading.Thread):
    """vai's history, as an application follows it."""

    def __init__(self, changes: vai.Changes) -> None:
        super().__init__(daemon=True)
        self.changes = changes
        self.seen: list[vai.Change] = []

    def run(self) -> None:
        last = 0
        for change in self.changes:
            self.seen.append(change)
            last += change.key.endswith(LAST)
            if last == len(PATHS):
                return


def test_every_write_is_reflected_once_and_in_order(server: ApiServer, tmp_path: Path) -> None:
    config = server.write_kubeconfig()
    with vai.connect(tmp_path / "c.db", list(PATHS), kubeconfig=config) as cache:
        cache.wait_synced(timeout=30)
        starts = {kind: listed(server, path) for kind, path in PATHS.items()}
        for kind, (_, there) in starts.items():
            assert eventually(lambda k=kind, t=there: set(cache.snapshot(k)) == set(t))  # type: ignore[misc]
        watches = {kind: RawWatch(server, kind, rv) for kind, (rv, _) in starts.items()}
        follower = Follower(cache.changes(list(PATHS), since=cache.position()))
        for thread in (*watches.values(), follower):
            thread.start()
        started = time.monotonic()
        done = write(server)
        written_s = time.monotonic() - started
        for thread in (*watches.values(), follower):
            thread.join(30)
            assert not thread.is_alive()
        behind_s = time.monotonic() - started - written_s
        for kind, path in PATHS.items():
            check_order(kind, watches[kind].events, follower.seen, starts[kind][1])
            here = {key: exact(found.raw) for key, found in cache.snapshot(kind).items()}
            assert here == listed(server, path)[1]
        assert len(follower.seen) == sum(len(watch.events) for watch in watches.values())
    print(
        f"{sum(done.values()) - done['recreate']} writes in {written_s:.1f} s ({dict(done)}),"
        f" {len(follower.seen)} changes, the last one {behind_s:.2f} s later"
    )


def write(server: ApiServer) -> Counter[str]:
    """The whole random run, and then one last object of each kind."""
    clients = [Client(server, number, WRITES // CLIENTS) for number in range(CLIENTS)]
    total: Counter[str] = Counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        for done in pool.map(Client.run, clients):
            total += done
    for kind, path in PATHS.items():
        root, plural = path.rsplit("/", 1)
        clients[0].create(kind, f"{root}/namespaces/{SPACES[0]}/{plural}/{LAST}").ok()
    for what in ("create", "update", "status", "label", "delete", "recreate", "release"):
        assert total[what] > 10, total
    assert sum(total.values()) - total["recreate"] >= WRITES
    return total


def check_order(
    kind: str, events: list[Json], changes: list[vai.Change], before: dict[str, Json]
) -> None:
    """The same events, in the same order, with the same objects.

    `old` is what was `new` before; of a delete it is the last state, as the server sent it.
    """
    mine = [change for change in changes if change.resource == kind]
    assert not any(change.relist for change in mine)
    there = [
        (OPS[event["type"]], event["object"]["metadata"]["uid"], version_of(event["object"]))
        for event in events
    ]
    assert [(change.op, change.uid, change.resource_version) for change in mine] == there
    last = {item["metadata"]["uid"]: item for item in before.values()}
    for change, event in zip(mine, events, strict=True):
        old = None if change.old is None else exact(change.old.raw)
        new = None if change.object is None else exact(change.object.raw)
        if change.op == "delete":
            assert (old, new) == (event["object"], None)
        else:
            assert (old, new) == (last.get(change.uid), event["object"])
        last[change.uid] = event["object"]
    positions = [change.position for change in changes]
    assert positions == sorted(set(positions))


def version_of(item: Json) -> str:
    return str(item["metadata"]["resourceVersion"])
