"""Where an object lives: its URL at the API server and its key in etcd."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
"""A Kubernetes object as decoded JSON."""


class UnknownKindError(LookupError):
    """An object whose kind is not in the table."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: its REST resource and its prefix below ``/registry/`` in etcd."""

    api_version: str
    name: str
    plural: str
    namespaced: bool
    etcd_prefix: str

    @property
    def root(self) -> str:
        """The path of its API version, such as ``/apis/apps/v1``."""
        prefix = "/apis" if "/" in self.api_version else "/api"
        return f"{prefix}/{self.api_version}"

    def collection(self, namespace: str | None = None) -> str:
        """The URL path of the collection, of one namespace or of all."""
        if self.namespaced and namespace:
            return f"{self.root}/namespaces/{namespace}/{self.plural}"
        return f"{self.root}/{self.plural}"


def _core(name: str, plural: str, *, namespaced: bool = True, prefix: str = "") -> Kind:
    return Kind("v1", name, plural, namespaced, prefix or plural)


def _grouped(api_version: str, name: str, plural: str, *, namespaced: bool = True) -> Kind:
    return Kind(api_version, name, plural, namespaced, plural)


_RBAC = "rbac.authorization.k8s.io/v1"
_EXTENSIONS = "apiextensions.k8s.io/v1"

# The prefixes that differ from the plural: kubernetes,
# pkg/kubeapiserver/default_storage_factory_builder.go, SpecialDefaultResourcePrefixes.
_BUILT_IN = (
    _core("ConfigMap", "configmaps"),
    _core("Event", "events"),
    _core("Namespace", "namespaces", namespaced=False),
    _core("Node", "nodes", namespaced=False, prefix="minions"),
    _core("PersistentVolume", "persistentvolumes", namespaced=False),
    _core("PersistentVolumeClaim", "persistentvolumeclaims"),
    _core("Pod", "pods"),
    _core("Secret", "secrets"),
    _core("Service", "services", prefix="services/specs"),
    _core("ServiceAccount", "serviceaccounts"),
    _grouped("apps/v1", "DaemonSet", "daemonsets"),
    _grouped("apps/v1", "Deployment", "deployments"),
    _grouped("apps/v1", "ReplicaSet", "replicasets"),
    _grouped("apps/v1", "StatefulSet", "statefulsets"),
    _grouped("batch/v1", "CronJob", "cronjobs"),
    _grouped("batch/v1", "Job", "jobs"),
    _grouped("coordination.k8s.io/v1", "Lease", "leases"),
    _grouped(_RBAC, "ClusterRole", "clusterroles", namespaced=False),
    _grouped(_RBAC, "ClusterRoleBinding", "clusterrolebindings", namespaced=False),
    _grouped(_RBAC, "Role", "roles"),
    _grouped(_RBAC, "RoleBinding", "rolebindings"),
    Kind(
        _EXTENSIONS,
        "CustomResourceDefinition",
        "customresourcedefinitions",
        namespaced=False,
        etcd_prefix="apiextensions.k8s.io/customresourcedefinitions",
    ),
)


class Kinds:
    """The built-in kinds of the table, and the custom ones registered from their definitions."""

    def __init__(self) -> None:
        """Starts with the built-in kinds."""
        self._kinds = {(kind.api_version, kind.name): kind for kind in _BUILT_IN}

    def register(self, crd: Json) -> None:
        """Adds the kinds of a CustomResourceDefinition, one for each served version."""
        spec = crd["spec"]
        group, names = spec["group"], spec["names"]
        for version in spec["versions"]:
            api_version = f"{group}/{version['name']}"
            self._kinds[api_version, names["kind"]] = Kind(
                api_version,
                names["kind"],
                names["plural"],
                spec["scope"] == "Namespaced",
                f"{group}/{names['plural']}",
            )

    def of(self, item: Json) -> Kind:
        """The kind of an object.

        Raises:
            UnknownKindError: neither in the table nor registered.
        """
        wanted = (item["apiVersion"], item["kind"])
        kind = self._kinds.get(wanted)
        if kind is None:
            msg = f"{wanted[0]} {wanted[1]}: add it to apiserver/kinds.py, or register its CRD"
            raise UnknownKindError(msg)
        return kind

    def collection(self, item: Json) -> str:
        """The URL path to create the object at."""
        return self.of(item).collection(item["metadata"].get("namespace"))

    def path(self, item: Json) -> str:
        """The URL path of the object itself."""
        return f"{self.collection(item)}/{item['metadata']['name']}"

    def etcd_key(self, item: Json) -> str:
        """The key that kube-apiserver keeps the object at."""
        kind, metadata = self.of(item), item["metadata"]
        middle = f"/{metadata['namespace']}" if kind.namespaced else ""
        return f"/registry/{kind.etcd_prefix}{middle}/{metadata['name']}"
