"""Realistic Kubernetes objects for tests and benchmarks, the same for the same seed.

Every generator takes a count and a seed and yields dicts that the API accepts as they are and
that `ApiServer.populate_etcd` can store as they are: with uid, creationTimestamp and status. A
pod has about 5 KB of compact JSON, of which managedFields are a third, as in real clusters, and
shares most of its labels and its whole template with the other pods of its ReplicaSet.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

from tests.apiserver.basics import (
    EPOCH,
    RBAC_GROUP,
    Json,
    metadata,
    namespace_names,
    random_for,
    stamp,
)
from tests.apiserver.managed import config_map_fields
from tests.apiserver.pods import APPS, PODS_PER_REPLICA_SET, deployments, pods, replica_sets
from tests.apiserver.widgets import WIDGET_GROUP, WIDGETS_PATH, widget_crd, widgets

__all__ = [
    "APPS",
    "CANARY",
    "CANARY_FORMS",
    "PODS_PER_REPLICA_SET",
    "WIDGETS_PATH",
    "WIDGET_GROUP",
    "Json",
    "config_maps",
    "deployments",
    "namespace_names",
    "namespaces",
    "nodes",
    "pods",
    "rbac_objects",
    "replica_sets",
    "secrets",
    "widget_crd",
    "widgets",
]

CANARY = "canary-7f3e9c1db5a84e60"
"""Stands in every Secret's value, and nowhere else."""

CANARY_FORMS = (CANARY.encode(), base64.b64encode(CANARY.encode())[:24])
"""The bytes to search files for: plain, and as the beginning of a Secret's base64 value."""


def namespaces(count: int, seed: int = 0) -> Iterator[Json]:
    """Active namespaces."""
    for name in namespace_names(count):
        labels = {"kubernetes.io/metadata.name": name, "cost-center": f"cc-{len(name) % 4}"}
        yield {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": metadata(random_for(seed, "namespace", name), name, labels=labels),
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Active"},
        }


def config_maps(count: int, seed: int = 0, *, namespace_count: int = 10) -> Iterator[Json]:
    """ConfigMaps of 0.5 to 3 KB: properties, and a document in one value."""
    names = namespace_names(namespace_count)
    for index in range(count):
        numbers = random_for(seed, "configmap", index)
        app = APPS[index % len(APPS)]
        settings = {
            f"{app}.{key}.{i}": numbers.choice(("true", "false", "30s", "256Mi", "debug", "http"))
            for i in range(numbers.randrange(2, 12))
            for key in ("enabled", "limit")
        }
        document = {"server": {"port": 8080 + index % 100, "settings": settings}}
        meta = metadata(
            numbers,
            f"{app}-config-{index:05d}",
            names[index % len(names)],
            labels={"app.kubernetes.io/name": app, "app.kubernetes.io/managed-by": "Helm"},
        )
        meta["managedFields"] = config_map_fields(meta["creationTimestamp"])
        data = {"application.json": json.dumps(document, indent=2), "profile": app}
        yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def secrets(count: int, seed: int = 0, *, namespace_count: int = 10) -> Iterator[Json]:
    """Opaque Secrets with the canary in the value and in last-applied-configuration."""
    names = namespace_names(namespace_count)
    for index in range(count):
        numbers = random_for(seed, "secret", index)
        value = f"{CANARY}-{numbers.getrandbits(64):016x}"
        data = {"password": base64.b64encode(value.encode()).decode(), "user": "cm9vdA=="}
        name, namespace = f"credentials-{index:05d}", names[index % len(names)]
        # As `kubectl apply` with stringData leaves it: the plain value in an annotation.
        applied = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace},
            "stringData": {"password": value},
        }
        notes = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(applied)}
        yield {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata(
                numbers, name, namespace, labels={"vault": "true"}, annotations=notes
            ),
            "type": "Opaque",
            "data": data,
        }


def nodes(count: int, seed: int = 0) -> Iterator[Json]:
    """Nodes in three zones, named as the pods' spec.nodeName has them."""
    for index in range(count):
        name = f"node-{index:03d}"
        labels = {
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "topology.kubernetes.io/zone": f"zone-{'abc'[index % 3]}",
        }
        capacity = {"cpu": "16", "memory": "65843204Ki", "pods": "110"}
        condition = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
        times = {"lastHeartbeatTime": stamp(EPOCH), "lastTransitionTime": stamp(EPOCH)}
        yield {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": metadata(random_for(seed, "node", index), name, labels=labels),
            "spec": {"podCIDR": f"10.244.{index % 256}.0/24"},
            "status": {
                "capacity": capacity,
                "allocatable": capacity,
                "conditions": [condition | times | {"message": "kubelet is posting ready status"}],
                "nodeInfo": _node_info(index),
            },
        }


def _node_info(index: int) -> Json:
    return {
        "machineID": f"{index:032x}",
        "systemUUID": f"{index:032x}",
        "bootID": f"{index:032x}",
        "kernelVersion": "6.8.0-45-generic",
        "osImage": "Ubuntu 24.04.1 LTS",
        "containerRuntimeVersion": "containerd://1.7.22",
        "kubeletVersion": "v1.36.3",
        "kubeProxyVersion": "",
        "operatingSystem": "linux",
        "architecture": "amd64",
    }


def rbac_objects(count: int, seed: int = 0, *, namespace_count: int = 10) -> Iterator[Json]:
    """Four objects for each of `count`: Role, RoleBinding, ClusterRole, ClusterRoleBinding."""
    names = namespace_names(namespace_count)
    for index in range(count):
        numbers = random_for(seed, "rbac", index)
        resource = numbers.choice(("pods", "configmaps", "secrets", "services"))
        rules = [{"apiGroups": [""], "resources": [resource], "verbs": ["get", "list", "watch"]}]
        subjects = [{"kind": "Group", "name": f"group-{index}", "apiGroup": RBAC_GROUP}]
        name = f"{resource}-reader-{index:03d}"
        for prefix, namespace in (("", names[index % len(names)]), ("Cluster", None)):
            kind = f"{prefix}Role"
            yield {
                "apiVersion": f"{RBAC_GROUP}/v1",
                "kind": kind,
                "metadata": metadata(numbers, name, namespace),
                "rules": rules,
            }
            yield {
                "apiVersion": f"{RBAC_GROUP}/v1",
                "kind": f"{kind}Binding",
                "metadata": metadata(numbers, name, namespace),
                "roleRef": {"apiGroup": RBAC_GROUP, "kind": kind, "name": name},
                "subjects": subjects,
            }
