"""Create, update, patch and delete, with the metadata that the server sets."""

from __future__ import annotations

import copy
import random
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from vai.testing.durations import timestamp
from vai.testing.objects import Json, Stored
from vai.testing.resources import Registry, Resource, from_crd
from vai.testing.status import (
    already_exists,
    bad_request,
    conflict,
    invalid,
    not_found,
    precondition_failed,
)
from vai.testing.store import Store

# What the server sets and a client cannot change (registry/rest/update.go).
_KEPT = ("uid", "creationTimestamp", "deletionTimestamp", "namespace", "name", "generation")
# The built-in kinds that begin with metadata.generation 1 (the strategies in pkg/registry that set
# it), besides every custom resource.
_GENERATION = {
    "pods",
    "podtemplates",
    "replicationcontrollers",
    "daemonsets.apps",
    "deployments.apps",
    "replicasets.apps",
    "statefulsets.apps",
    "cronjobs.batch",
    "jobs.batch",
    "endpointslices.discovery.k8s.io",
    "flowschemas.flowcontrol.apiserver.k8s.io",
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io",
    "ingressclasses.networking.k8s.io",
    "ingresses.networking.k8s.io",
    "networkpolicies.networking.k8s.io",
    "poddisruptionbudgets.policy",
    "priorityclasses.scheduling.k8s.io",
    "deviceclasses.resource.k8s.io",
    "resourceslices.resource.k8s.io",
    "mutatingadmissionpolicies.admissionregistration.k8s.io",
    "mutatingadmissionpolicybindings.admissionregistration.k8s.io",
    "mutatingwebhookconfigurations.admissionregistration.k8s.io",
    "validatingadmissionpolicies.admissionregistration.k8s.io",
    "validatingadmissionpolicybindings.admissionregistration.k8s.io",
    "validatingwebhookconfigurations.admissionregistration.k8s.io",
    "customresourcedefinitions.apiextensions.k8s.io",
}
_NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # apimachinery util/rand
CRDS = "customresourcedefinitions.apiextensions.k8s.io"


class Writer:
    """Writes objects as the API server does: uid, times, generation, CRDs, namespaces."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        rng: random.Random,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.registry = registry
        self.now = now
        self._rng = rng
        self._rng_lock = threading.Lock()

    def new_uid(self) -> str:
        """A random uid, the same ones for the same seed."""
        with self._rng_lock:
            return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))

    def _suffix(self) -> str:
        with self._rng_lock:
            return "".join(self._rng.choices(_NAME_LETTERS, k=5))

    def complete(self, resource: Resource, obj: Json, namespace: str = "") -> Json:
        """Set what every new object gets: name, namespace, uid, creationTimestamp, generation.

        Raises:
            ApiError: 422 without a name.
        """
        metadata = obj.setdefault("metadata", {})
        if not metadata.get("name"):
            if not metadata.get("generateName"):
                raise invalid(
                    resource.group,
                    resource.kind,
                    "",
                    [
                        (
                            "FieldValueRequired",
                            "metadata.name",
                            "Required value: name or generateName is required",
                        )
                    ],
                )
            metadata["name"] = metadata["generateName"] + self._suffix()
        if resource.namespaced:
            metadata["namespace"] = namespace or metadata.get("namespace") or "default"
        else:
            metadata.pop("namespace", None)
        metadata.setdefault("uid", self.new_uid())
        metadata.setdefault("creationTimestamp", timestamp(self.now()))
        if resource.custom or resource.full_name in _GENERATION:
            metadata.setdefault("generation", 1)
        if resource.full_name == "pods":
            _pod_defaults(obj)
        if resource.full_name == "namespaces":
            obj.setdefault("spec", {"finalizers": ["kubernetes"]})
            obj.setdefault("status", {"phase": "Active"})
            metadata.setdefault("labels", {})["kubernetes.io/metadata.name"] = metadata["name"]
        return obj

    def create(
        self, resource: Resource, obj: Json, namespace: str = "", *, strict: bool = False
    ) -> Stored:
        """Create an object.

        Args:
            resource: Its resource.
            obj: The object; not changed.
            namespace: The namespace of the path.
            strict: Refuse an unknown namespace, as over HTTP; otherwise it is created.

        Raises:
            ApiError: 404, 409 or 422.
        """
        obj = copy.deepcopy(obj)
        if strict:
            for name in ("uid", "creationTimestamp", "resourceVersion", "generation"):
                obj.get("metadata", {}).pop(name, None)
            if "status" in resource.subresources:
                obj.pop("status", None)  # written through its subresource only
        self.complete(resource, obj, namespace)
        metadata = obj["metadata"]
        with self.store.lock:
            if resource.namespaced:
                self._ensure_namespace(metadata["namespace"], strict=strict)
            key = _key(metadata)
            if key in self.store.table(resource).objects:
                raise already_exists(resource.group, resource.name, metadata["name"])
            return self._put(resource, obj)

    def _ensure_namespace(self, name: str, *, strict: bool) -> None:
        namespaces = self.registry.lookup("namespaces")
        if name in self.store.table(namespaces).objects:
            return
        if strict:
            raise not_found("", "namespaces", name)
        self.create(namespaces, {"metadata": {"name": name}})

    def _put(self, resource: Resource, obj: Json) -> Stored:
        if resource.full_name == CRDS:
            self._install(obj)
        return self.store.put(resource, obj)

    def _install(self, crd: Json) -> None:
        try:
            declared = from_crd(crd)
        except ValueError as error:
            raise bad_request(str(error)) from None
        at = timestamp(self.now())
        names = {**crd["spec"]["names"]}
        names.setdefault("singular", declared.singular)
        names.setdefault("listKind", declared.list_kind)
        crd["spec"]["names"] = names
        crd["status"] = {
            "conditions": [
                {
                    "type": "NamesAccepted",
                    "status": "True",
                    "lastTransitionTime": at,
                    "reason": "NoConflicts",
                    "message": "no conflicts found",
                },
                {
                    "type": "Established",
                    "status": "True",
                    "lastTransitionTime": at,
                    "reason": "InitialNamesAccepted",
                    "message": "the initial names have been accepted",
                },
            ],
            "acceptedNames": names,
            "storedVersions": [declared.version],
        }
        self.registry.install(declared)
        self.store.table(declared)

    def change(
        self,
        resource: Resource,
        key: str,
        make: Callable[[Json], Json],
        *,
        subresource: str = "",
        version: str | None = None,
    ) -> Stored:
        """Replace an object by what ``make`` makes of it.

        Args:
            resource: Its resource.
            key: ``namespace/name`` or ``name``.
            make: Given a copy of the present object, returns the new one.
            subresource: ``status`` changes the status only, "" everything else (for resources
                that have a status subresource), "*" both, as no single request can.
            version: The resourceVersion the change was made from; "" and None do not care.

        Raises:
            ApiError: 404 or 409.
        """
        with self.store.lock:
            before = self.store.table(resource).objects.get(key)
            name = key.rpartition("/")[2]
            if before is None:
                raise not_found(resource.group, resource.name, name)
            if version and version != str(before.rv):
                raise conflict(resource.group, resource.name, name)
            old = before.load()
            new = make(copy.deepcopy(old))
            asked = new.get("metadata", {}).get("resourceVersion")
            if version is None and asked and asked != str(before.rv):
                raise conflict(resource.group, resource.name, name)
            merged = self._merged(resource, old, new, subresource)
            if _same(old, merged):
                return before  # the server writes nothing when nothing changed
            metadata = merged["metadata"]
            if metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
                removed = self._remove(resource, key)
                # The answer shows the object as it was asked for, the event as it was stored.
                return self.store.encode(resource, merged, removed.rv)
            return self._put(resource, merged)

    def _merged(self, resource: Resource, old: Json, new: Json, subresource: str) -> Json:
        if subresource == "status":
            out = {**old}
            if "status" in new:
                out["status"] = new["status"]
            return out
        out = {**new}
        if "status" in resource.subresources and subresource != "*":
            out.pop("status", None)
            if "status" in old:
                out["status"] = old["status"]
        metadata = {**new.get("metadata", {})}
        for name in _KEPT:
            metadata.pop(name, None)
            if name in old["metadata"]:
                metadata[name] = old["metadata"][name]
        out["metadata"] = metadata
        if "generation" in metadata and old.get("spec") != new.get("spec"):
            metadata["generation"] += 1
        return out

    def delete(self, resource: Resource, key: str, *, uid: str = "", version: str = "") -> Stored:
        """Delete an object; one with finalizers is only marked.

        Returns:
            The object as the answer shows it.

        Raises:
            ApiError: 404 or 409.
        """
        with self.store.lock:
            before = self.store.table(resource).objects.get(key)
            name = key.rpartition("/")[2]
            if before is None:
                raise not_found(resource.group, resource.name, name)
            for what, wanted, found in (
                ("UID", uid, before.uid),
                ("ResourceVersion", version, str(before.rv)),
            ):
                if wanted and wanted != found:
                    raise precondition_failed(
                        resource.group, resource.kind, name, (what, wanted, found)
                    )
            obj = before.load()
            metadata = obj["metadata"]
            if metadata.get("finalizers"):
                if metadata.get("deletionTimestamp"):
                    return before
                metadata["deletionTimestamp"] = timestamp(self.now())
                metadata["deletionGracePeriodSeconds"] = 0
                return self.store.put(resource, obj)
            return self._remove(resource, key)

    def _remove(self, resource: Resource, key: str) -> Stored:
        if resource.full_name == "namespaces":
            self._empty_namespace(key)
        before = self.store.table(resource).objects[key]
        if resource.full_name == CRDS:
            gone = from_crd(before.load())
            self.registry.remove(gone.group, gone.name)
            self.store.drop_table(gone)
        removed = self.store.remove(resource, key)
        return removed if removed is not None else before

    def _empty_namespace(self, namespace: str) -> None:
        # What the namespace controller does.
        for table in self.store.tables():
            if table.resource.namespaced:
                for key in [k for k, o in table.objects.items() if o.namespace == namespace]:
                    self.store.remove(table.resource, key)


def _pod_defaults(pod: Json) -> None:
    """The defaults that selectors and columns look at (apis/core/v1/defaults.go)."""
    spec = pod.setdefault("spec", {})
    for name, value in (
        ("restartPolicy", "Always"),
        ("terminationGracePeriodSeconds", 30),
        ("dnsPolicy", "ClusterFirst"),
        ("securityContext", {}),
        ("schedulerName", "default-scheduler"),
    ):
        spec.setdefault(name, value)
    pod.setdefault("status", {"phase": "Pending"})


def _key(metadata: Json) -> str:
    namespace = metadata.get("namespace", "")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])


def _same(old: Json, new: Json) -> bool:
    def plain(obj: Json) -> dict[str, Any]:
        metadata = {k: v for k, v in obj.get("metadata", {}).items() if k != "resourceVersion"}
        rest = {k: v for k, v in obj.items() if k not in ("metadata", "kind", "apiVersion")}
        return {**rest, "metadata": metadata}

    return plain(old) == plain(new)
