"""Cluster files made by the core itself, from lists as a kube-apiserver sends them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from click.testing import Result

from vai.store import Store, boottime_s
from vai.types import Cluster, Redaction, Resource, State

Json = dict[str, Any]

NAME = {"name": "Name", "type": "string", "format": "name", "description": "", "priority": 0}


def column(name: str, priority: int = 0) -> Json:
    return {"name": name, "type": "string", "format": "", "description": "", "priority": priority}


ALL = ("all",)
PODS = Resource(
    group="", version="v1", plural="pods", kind="Pod", singular="pod", short_names=("po",),
    categories=ALL,
)  # fmt: skip
SERVICES = Resource(
    group="", version="v1", plural="services", kind="Service", singular="service",
    short_names=("svc",), categories=ALL,
)  # fmt: skip
SECRETS = Resource(group="", version="v1", plural="secrets", kind="Secret", singular="secret")
NODES = Resource(
    group="", version="v1", plural="nodes", kind="Node", singular="node", short_names=("no",),
    namespaced=False,
)  # fmt: skip
DEPLOYMENTS = Resource(
    group="apps", version="v1", plural="deployments", kind="Deployment", singular="deployment",
    short_names=("deploy",), categories=ALL,
)  # fmt: skip
WIDGETS = Resource(
    group="demo.io", version="v1", plural="widgets", kind="Widget", singular="widget"
)

POD_COLUMNS = [
    NAME, column("Ready"), column("Status"), column("Restarts"), column("Age"), column("IP", 1),
]  # fmt: skip


def meta(name: str, namespace: str | None = None, **more: Any) -> Json:
    found: Json = {"name": name, "uid": f"uid-{namespace}-{name}", "resourceVersion": "10"}
    if namespace:
        found["namespace"] = namespace
    return {**found, "creationTimestamp": "2026-01-01T00:00:00Z", **more}


class Builder:
    """Writes a cluster file scope by scope."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = Store(path, "writer")

    def bind(self, namespace: str = "default") -> Builder:
        self.store.set_cluster(
            Cluster(
                uid="0a1b2c3d-0000-4000-8000-000000000000",
                verified=True,
                server="https://127.0.0.1:6443",
                namespace=namespace,
            )
        )
        self.store.put_resources([PODS, SERVICES, SECRETS, NODES, DEPLOYMENTS, WIDGETS])
        return self

    def scope(
        self,
        resource: Resource,
        namespace: str | None = None,
        selector: str = "",
        redaction: Redaction = Redaction.NONE,
    ) -> int:
        return self.store.ensure_scope(resource, namespace, selector, "", redaction)

    def publish(self, scope: int, body: Json) -> int:
        listing = self.store.begin_list(scope)
        listing.begin_page()
        listing.push(json.dumps(body).encode())
        page = listing.end_page()
        listing.publish(page.resource_version)
        self.store.proven(scope, boottime_s())
        self.store.set_state(scope, State.LIVE)
        self.store.flush()
        return scope

    def table(
        self,
        resource: Resource,
        columns: Sequence[Json],
        rows: Sequence[tuple[Json, list[Any]]],
        namespace: str | None = None,
        selector: str = "",
        redaction: Redaction = Redaction.NONE,
    ) -> int:
        made = [
            {
                "cells": cells,
                "object": {"apiVersion": resource.api_version, "kind": resource.kind, **item},
            }
            for item, cells in rows
        ]
        return self.publish(
            self.scope(resource, namespace, selector, redaction),
            {
                "kind": "Table",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": {"resourceVersion": "100"},
                "columnDefinitions": list(columns),
                "rows": made,
            },
        )

    def plain(self, resource: Resource, items: Sequence[Json], namespace: str | None = None) -> int:
        return self.publish(
            self.scope(resource, namespace),
            {
                "kind": f"{resource.kind}List",
                "apiVersion": resource.api_version,
                "metadata": {"resourceVersion": "100"},
                "items": list(items),
            },
        )

    def pods(self, *pods: Json, namespace: str | None = None) -> int:
        rows = [
            (pod, [pod["metadata"]["name"], "1/1", "Running", "0", "1s", "10.0.0.1"])
            for pod in pods
        ]
        return self.table(PODS, POD_COLUMNS, rows, namespace)

    def close(self) -> Path:
        self.store.close()
        return self.path


Run = Callable[..., Result]
