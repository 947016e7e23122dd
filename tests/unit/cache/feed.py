"""A cluster file fed by hand, in place of an informer: what a server would send, as bytes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import vai
from vai.cache import Cache
from vai.cache.engine import Engine, Role
from vai.cache.query import wanted_scopes
from vai.store import Store, Watching, boottime_s
from vai.types import Cluster, Redaction, Resource, Scope, State

PODS = Resource(
    group="",
    version="v1",
    plural="pods",
    kind="Pod",
    singular="pod",
    short_names=("po",),
    categories=("all",),
    verbs=("get", "list", "watch"),
)
SECRETS = Resource(group="", version="v1", plural="secrets", kind="Secret", singular="secret")
NODES = Resource(
    group="",
    version="v1",
    plural="nodes",
    kind="Node",
    singular="node",
    namespaced=False,
    short_names=("no",),
)
DEPLOYMENTS = Resource(
    group="apps",
    version="v1",
    plural="deployments",
    kind="Deployment",
    singular="deployment",
    short_names=("deploy",),
)
RESOURCES = (PODS, SECRETS, NODES, DEPLOYMENTS)


def pod(
    name: str,
    version: int,
    namespace: str = "shop",
    *,
    labels: Mapping[str, str] | None = None,
    ready: bool = False,
) -> dict[str, Any]:
    """A small pod; its uid follows from its name."""
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{namespace}-{name}",
            "resourceVersion": str(version),
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "labels": dict(labels or {}),
        },
        "spec": {"nodeName": "node-1"},
        "status": {
            "podIP": "10.0.0.7",
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


class Feed:
    """The writer's handle of a file, and what a test pushes through it."""

    def __init__(
        self, path: Path, resources: Sequence[Resource] = RESOURCES, **options: Any
    ) -> None:
        self.path = path
        self.store = Store(path, "writer", **options)
        self.store.set_cluster(Cluster(uid="uid-1", verified=True, server="https://api:6443"))
        self.store.put_resources(resources)
        self.watching: dict[int, Watching] = {}
        self._timers: list[threading.Timer] = []

    def scope(
        self,
        resource: Resource = PODS,
        namespace: str | None = None,
        redaction: Redaction = Redaction.NONE,
    ) -> int:
        """A scope that was asked for, and not listed yet."""
        return self.store.ensure_scope(resource, namespace, redaction=redaction)

    def load(
        self,
        items: Sequence[Mapping[str, Any]] = (),
        resource: Resource = PODS,
        *,
        namespace: str | None = None,
        version: int = 100,
        redaction: Redaction = Redaction.NONE,
    ) -> int:
        """A scope with a whole first list."""
        scope = self.scope(resource, namespace, redaction)
        self.store.set_state(scope, State.LISTING)
        listing = self.store.begin_list(scope)
        listing.begin_page()
        listing.push(_page(resource, items, version))
        listing.end_page()
        listing.publish(str(version))
        self.live(scope)
        return scope

    def live(self, scope: int) -> None:
        """Heard and proven now."""
        self.store.heard(scope)
        self.store.proven(scope, boottime_s())
        self.store.set_state(scope, State.LIVE)
        self.store.flush()

    def event(self, scope: int, kind: str, item: Mapping[str, Any]) -> None:
        """One watch event, committed when this returns."""
        if scope not in self.watching:
            self.watching[scope] = self.store.begin_watch(scope)
        self.watching[scope].push(json.dumps({"type": kind, "object": item}).encode() + b"\n")
        self.store.flush()

    def bookmark(self, scope: int, version: int) -> None:
        """The server says that nothing else happened up to this resourceVersion."""
        item = {"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": str(version)}}
        self.event(scope, "BOOKMARK", item)

    def later(self, seconds: float, act: Callable[[], object]) -> None:
        """Do something in a while, on a thread of its own; `close` waits until it is done."""
        timer = threading.Timer(seconds, act)
        self._timers.append(timer)
        timer.start()

    def close(self) -> None:
        """Let the lock go, once all that was put off is done; a test may end earlier."""
        for timer in self._timers:
            timer.join()
        self.store.close()


def _page(resource: Resource, items: Sequence[Mapping[str, Any]], version: int) -> bytes:
    # A server leaves kind and apiVersion out of list items.
    bare = [{k: v for k, v in item.items() if k not in ("kind", "apiVersion")} for item in items]
    page = {
        "kind": f"{resource.kind}List",
        "apiVersion": resource.api_version,
        "metadata": {"resourceVersion": str(version)},
        "items": bare,
    }
    return json.dumps(page).encode()


class Idle:
    """An informer that syncs nothing by itself and records what became of it."""

    def __init__(self, store: Store, problems: Mapping[str, vai.VaiError] | None = None) -> None:
        self.store = store
        self.started = self.stopped = 0
        self.planned = problems is None
        self.missing = dict(problems or {})
        self.fatal: vai.VaiError | None = None

    def start(self) -> None:
        """Count."""
        self.started += 1

    def stop(self) -> None:
        """Count."""
        self.stopped += 1

    def wait_planned(self, timeout_s: float | None = None) -> bool:  # noqa: ARG002
        """What the test says."""
        return self.planned

    def problems(self) -> Mapping[str, vai.VaiError]:
        """What the test says."""
        return self.missing


def cache_of(
    path: Path,
    scopes: Sequence[Scope | str] = ("pods",),
    role: Role = "auto",
    problems: Mapping[str, vai.VaiError] | None = None,
) -> tuple[Cache, list[Idle]]:
    """A cache as `vai.connect` makes it, with idle informers."""
    made: list[Idle] = []

    def connector(store: Store) -> Idle:
        made.append(Idle(store, problems))
        return made[-1]

    engine = Engine(lambda mode: Store(path, mode), connector, role)
    return Cache(engine, wanted_scopes(scopes)), made
