"""What the tests against a real kube-apiserver share: a full cluster, and exact comparison."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tests.apiserver import objects
from tests.apiserver.server import VAI, ApiServer

Json = dict[str, Any]

PODS: Final = 5000
CONFIG_MAPS: Final = 2000
WIDGETS: Final = 500
SECRETS: Final = 300

APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"

COLLECTIONS: Final = {
    "pods": "/api/v1/pods",
    "configmaps": "/api/v1/configmaps",
    "namespaces": "/api/v1/namespaces",
    "nodes": "/api/v1/nodes",
    "services": "/api/v1/services",
    "widgets.shop.example.com": objects.WIDGETS_PATH,
    "deployments.apps": "/apis/apps/v1/deployments",
    "replicasets.apps": "/apis/apps/v1/replicasets",
    "roles.rbac.authorization.k8s.io": "/apis/rbac.authorization.k8s.io/v1/roles",
    "rolebindings.rbac.authorization.k8s.io": "/apis/rbac.authorization.k8s.io/v1/rolebindings",
    "clusterroles.rbac.authorization.k8s.io": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "clusterrolebindings.rbac.authorization.k8s.io": (
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    ),
    "customresourcedefinitions.apiextensions.k8s.io": (
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    ),
}
"""By vai's name of the resource: everything but Secrets."""


def fill(server: ApiServer) -> None:
    """Puts the whole cluster into a server that was just started."""
    server.install_crd(objects.widget_crd())
    everything = [
        *objects.namespaces(10),
        *objects.pods(PODS),
        *objects.replica_sets(PODS),
        *objects.deployments(PODS),
        *objects.config_maps(CONFIG_MAPS),
        *objects.widgets(WIDGETS),
        *objects.rbac_objects(50),
        *objects.secrets(SECRETS),
        *objects.nodes(40),
    ]
    assert server.populate_etcd(everything) == len(everything)
    server.create_many(services(20))


def services(count: int) -> Iterator[Json]:
    """Services of the types whose columns differ."""
    for index in range(count):
        name = {"name": f"service-{index:02d}", "namespace": f"team-{index % 10:02d}"}
        ports = [{"name": "http", "port": 80 + index, "protocol": "TCP"}]
        if index % 3 == 0:
            ports.append({"name": "dns", "port": 53, "protocol": "UDP"})
        spec: Json = {"ports": ports, "selector": {"app.kubernetes.io/name": "web"}}
        if index % 4 == 1:
            spec["type"] = "NodePort"
        elif index % 4 == 2:
            spec["clusterIP"] = "None"
        elif index % 4 == 3:
            spec |= {"type": "ExternalName", "externalName": f"db-{index}.example.com"}
        yield {"apiVersion": "v1", "kind": "Service", "metadata": name, "spec": spec}


class Number(str):
    """A number as it was written: 1.0, 1e0 and 1 are three different ones."""

    __slots__ = ()


def exact(data: bytes | str) -> Any:
    """JSON as values, numbers as they were written; the order of keys does not count."""
    return json.loads(data, parse_int=Number, parse_float=Number)


def listed(server: ApiServer, path: str) -> tuple[str, dict[str, Json]]:
    """What the server lists as plain JSON to its admin: resourceVersion, and objects by key.

    Items of a built-in kind lack kind and apiVersion; the list says both.
    """
    answer = exact(server.request("GET", path).ok().body)
    kind, version = answer["kind"].removesuffix("List"), answer["apiVersion"]
    found = {}
    for item in answer["items"]:
        assert item.get("kind", kind) == kind
        found[key_of(item)] = {"kind": kind, "apiVersion": version} | item
    return answer["metadata"]["resourceVersion"], found


def key_of(item: Mapping[str, Any]) -> str:
    """namespace/name, or name."""
    metadata = item["metadata"]
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])


def redacted(item: Json) -> Json:
    """What is kept of a Secret without its values: PartialObjectMetadata.

    Without last-applied-configuration, which repeats the values.
    """
    metadata = dict(item["metadata"])
    if "annotations" in metadata:
        notes = metadata["annotations"].items()
        metadata["annotations"] = {key: note for key, note in notes if key != APPLIED}
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
    }


def vai_sync(
    server: ApiServer,
    file: Path,
    *arguments: str,
    user: str = VAI,
    environ: Mapping[str, str] | None = None,
    timeout_s: float = 120,
) -> subprocess.CompletedProcess[str]:
    """Runs `vai sync --once` as a user would."""
    config = server.write_kubeconfig(user, file.parent / f"kubeconfig-{user}")
    command = [
        *(sys.executable, "-m", "vai", "sync", "--once", f"--file={file}"),
        *(f"--kubeconfig={config}", f"--context={user}", *arguments),
    ]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout_s, check=False, env=environ
    )


def eventually(condition: Callable[[], object], within_s: float = 20.0) -> bool:
    """Whether a condition comes true in time."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return bool(condition())
