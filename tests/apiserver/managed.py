"""metadata.managedFields as the usual writers leave them: a third of a real object's bytes."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def _fields(*names: str) -> Json:
    """Owned fields by name."""
    return {f"f:{name}": {} for name in names}


def _container(name: str, env: tuple[str, ...], mounts: tuple[str, ...]) -> Json:
    result = _fields("image", "imagePullPolicy", "name", "terminationMessagePath")
    result |= {".": {}, "f:terminationMessagePolicy": {}}
    result["f:env"] = {".": {}} | {
        f'k:{{"name":"{key}"}}': {".": {}, "f:name": {}, "f:value": {}} for key in env
    }
    result["f:resources"] = {".": {}, "f:limits": {}, "f:requests": {}}
    result["f:volumeMounts"] = {".": {}} | {
        f'k:{{"mountPath":"{path}"}}': {".": {}, "f:mountPath": {}, "f:name": {}} for path in mounts
    }
    return {f'k:{{"name":"{name}"}}': result}


def _pod_spec(labels: tuple[str, ...], owner_uid: str) -> Json:
    metadata: Json = {
        "f:generateName": {},
        "f:labels": {".": {}} | _fields(*labels),
        "f:ownerReferences": {".": {}, f'k:{{"uid":"{owner_uid}"}}': {}},
    }
    containers = _container("app", ("PORT", "LOG_LEVEL"), ("/etc/app",))
    spec = _fields("dnsPolicy", "restartPolicy", "schedulerName", "terminationGracePeriodSeconds")
    return {"f:metadata": metadata, "f:spec": spec | {"f:containers": containers}}


def _pod_status() -> Json:
    kinds = ("ContainersReady", "Initialized", "PodReadyToStartContainers", "Ready")
    condition = _fields("lastProbeTime", "lastTransitionTime", "status", "type") | {".": {}}
    status = _fields("containerStatuses", "hostIP", "hostIPs", "phase", "podIP", "startTime")
    status["f:conditions"] = {f'k:{{"type":"{kind}"}}': condition for kind in kinds}
    return {"f:status": status}


def _entry(manager: str, time: str, fields: Json, subresource: str | None = None) -> Json:
    entry: Json = {
        "manager": manager,
        "operation": "Update",
        "apiVersion": "v1",
        "time": time,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    return entry | ({"subresource": subresource} if subresource else {})


def pod_fields(time: str, labels: tuple[str, ...], owner_uid: str) -> list[Json]:
    """A pod's: the controller manager made it, the kubelet reports on it."""
    return [
        _entry("kube-controller-manager", time, _pod_spec(labels, owner_uid)),
        _entry("kubelet", time, _pod_status(), "status"),
    ]


def config_map_fields(time: str) -> list[Json]:
    """A ConfigMap's: helm installed it."""
    labels = _fields("app.kubernetes.io/managed-by", "app.kubernetes.io/name")
    owned = {
        "f:data": {".": {}} | _fields("application.json", "profile"),
        "f:metadata": {"f:labels": {".": {}} | labels},
    }
    return [_entry("helm", time, owned)]
