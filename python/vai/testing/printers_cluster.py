"""The cells of the kinds that run a cluster: policy, storage, scheduling, admission, quotas.

Source: kubernetes v1.36.3 ``pkg/printers/internalversion/printers.go``, and kube-aggregator's
``pkg/registry/apiservice/etcd/etcd.go`` for APIService.
"""

from __future__ import annotations

from typing import Any

from vai.testing.cells import (
    Cells,
    age,
    containers,
    format_labels,
    format_selector,
    get,
    items,
    name,
    number,
)
from vai.testing.durations import human_duration
from vai.testing.objects import Json

_NONE = "<none>"
_UNSET = "<unset>"


def _replication_controller(obj: Json) -> list[Any]:
    return [
        name(obj),
        number(obj, "spec", "replicas"),
        number(obj, "status", "replicas"),
        number(obj, "status", "readyReplicas"),
        age(obj),
        *containers(get(obj, "spec", "template")),
        format_labels(get(obj, "spec", "selector")),
    ]


def _pod_template(obj: Json) -> list[Any]:
    labels = get(obj, "template", "metadata", "labels")
    return [name(obj), *containers(obj.get("template")), format_labels(labels)]


def _resource_quota(obj: Json) -> list[Any]:
    requests: list[str] = []
    limits: list[str] = []
    used = get(obj, "status", "used") or {}
    for resource, hard in sorted((get(obj, "status", "hard") or {}).items()):
        column = limits if resource.startswith("limits.") else requests
        column.append(f"{resource}: {used.get(resource, '0')}/{hard}")
    return [name(obj), ", ".join(requests), ", ".join(limits), age(obj)]


def _controller_revision(obj: Json) -> list[Any]:
    owner = _NONE
    for reference in items(obj, "metadata", "ownerReferences"):
        if reference.get("controller"):
            group = reference["apiVersion"].rpartition("/")[0]
            kind = f"{reference['kind']}.{group}" if group else reference["kind"]
            owner = f"{kind.lower()}/{reference['name']}"
    return [name(obj), owner, number(obj, "revision"), age(obj)]


def _network_policy(obj: Json) -> list[Any]:
    selector = get(obj, "spec", "podSelector") or {}
    return [name(obj), format_selector(selector), age(obj)]


def _disruption_budget(obj: Json) -> list[Any]:
    least, most = get(obj, "spec", "minAvailable"), get(obj, "spec", "maxUnavailable")
    return [
        name(obj),
        "N/A" if least is None else str(least),
        "N/A" if most is None else str(most),
        number(obj, "status", "disruptionsAllowed"),
        age(obj),
    ]


# The part of a metric's spec and status that holds its target and current value.
_METRIC_FIELDS = {
    "External": "external",
    "Pods": "pods",
    "Object": "object",
    "Resource": "resource",
    "ContainerResource": "containerResource",
}


def _metric(spec: Json, status: Json) -> str:
    part = _METRIC_FIELDS.get(spec.get("type", ""))
    if part is None:
        return "<unknown type>"
    target, current = get(spec, part, "target") or {}, get(status, part, "current") or {}
    average = target.get("averageValue")
    if part in ("resource", "containerResource"):
        label = f"{get(spec, part, 'name')}: "
        if average is None:
            used, wanted = current.get("averageUtilization"), target.get("averageUtilization")
            left = "<unknown>" if used is None else f"{used}%"
            return f"{label}{left}/{'<auto>' if wanted is None else f'{wanted}%'}"
        return f"{label}{current.get('averageValue', '<unknown>')}/{average}"
    if average is not None:
        suffix = "" if part == "pods" else " (avg)"
        return f"{current.get('averageValue', '<unknown>')}/{average}{suffix}"
    return f"{current.get('value', '<unknown>')}/{target.get('value', _UNSET)}"


def _autoscaler(obj: Json) -> list[Any]:
    reference = get(obj, "spec", "scaleTargetRef") or {}
    specs, statuses = items(obj, "spec", "metrics"), items(obj, "status", "currentMetrics")
    texts = [
        _metric(spec, statuses[i] if i < len(statuses) else {}) for i, spec in enumerate(specs)
    ]
    targets = ", ".join(texts[:2]) or _NONE
    if len(texts) > 2:
        targets = f"{targets} + {len(texts) - 2} more..."
    least = get(obj, "spec", "minReplicas")
    return [
        name(obj),
        f"{reference.get('kind', '')}/{reference.get('name', '')}",
        targets,
        _UNSET if least is None else str(least),
        number(obj, "spec", "maxReplicas"),
        number(obj, "status", "currentReplicas"),
        age(obj),
    ]


def _default(obj: Json, *annotations: str) -> str:
    found = obj["metadata"].get("annotations") or {}
    marked = any(found.get(annotation) == "true" for annotation in annotations)
    return f"{name(obj)} (default)" if marked else name(obj)


def _storage_class(obj: Json) -> list[Any]:
    title = _default(
        obj,
        "storageclass.kubernetes.io/is-default-class",
        "storageclass.beta.kubernetes.io/is-default-class",
    )
    return [
        title,
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy", "Delete"),
        obj.get("volumeBindingMode", "Immediate"),
        bool(obj.get("allowVolumeExpansion")),
        age(obj),
    ]


def _ingress_class(obj: Json) -> list[Any]:
    found = get(obj, "spec", "parameters")
    parameters = _NONE
    if found:
        group = f".{found['apiGroup']}" if found.get("apiGroup") is not None else ""
        parameters = f"{found.get('kind', '')}{group}/{found.get('name', '')}"
    title = _default(obj, "ingressclass.kubernetes.io/is-default-class")
    return [title, get(obj, "spec", "controller") or "", parameters, age(obj)]


def _priority_class(obj: Json) -> list[Any]:
    return [
        name(obj),
        number(obj, "value"),
        bool(obj.get("globalDefault")),
        age(obj),
        obj.get("preemptionPolicy", ""),
    ]


def _signing_request(obj: Json) -> list[Any]:
    kinds = {condition.get("type") for condition in items(obj, "status", "conditions")}
    status = "Pending"
    if "Denied" in kinds:
        status = "Denied"
    elif "Approved" in kinds:
        status = "Approved"
    status += ",Failed" if "Failed" in kinds else ""
    status += ",Issued" if get(obj, "status", "certificate") else ""
    seconds = get(obj, "spec", "expirationSeconds")
    return [
        name(obj),
        age(obj),
        get(obj, "spec", "signerName") or _NONE,
        get(obj, "spec", "username") or "",
        _NONE if seconds is None else human_duration(seconds),
        status,
    ]


def _csi_node(obj: Json) -> list[Any]:
    return [name(obj), len(items(obj, "spec", "drivers")), age(obj)]


def _csi_driver(obj: Json) -> list[Any]:
    attach = get(obj, "spec", "attachRequired")
    requests = get(obj, "spec", "tokenRequests")
    audiences = ",".join(r.get("audience", "") for r in requests or [])
    return [
        name(obj),
        True if attach is None else attach,
        bool(get(obj, "spec", "podInfoOnMount")),
        bool(get(obj, "spec", "storageCapacity")),
        _UNSET if requests is None else audiences,
        bool(get(obj, "spec", "requiresRepublish")),
        ",".join(items(obj, "spec", "volumeLifecycleModes")) or _NONE,
        age(obj),
    ]


def _webhooks(obj: Json) -> list[Any]:
    return [name(obj), len(items(obj, "webhooks")), age(obj)]


def _runtime_class(obj: Json) -> list[Any]:
    return [name(obj), obj.get("handler", ""), age(obj)]


def _volume_attachment(obj: Json) -> list[Any]:
    return [
        name(obj),
        get(obj, "spec", "attacher") or "",
        get(obj, "spec", "source", "persistentVolumeName") or "",
        get(obj, "spec", "nodeName") or "",
        bool(get(obj, "status", "attached")),
        age(obj),
    ]


def _volume_attributes_class(obj: Json) -> list[Any]:
    return [name(obj), obj.get("driverName", ""), age(obj)]


def _storage_capacity(obj: Json) -> list[Any]:
    return [name(obj), obj.get("storageClassName", ""), obj.get("capacity", _UNSET)]


def _service_cidr(obj: Json) -> list[Any]:
    return [name(obj), ",".join(items(obj, "spec", "cidrs")), age(obj)]


def _ip_address(obj: Json) -> list[Any]:
    parent = get(obj, "spec", "parentRef")
    text = _NONE
    if parent:
        group = f".{parent['group']}" if parent.get("group") else ""
        parts = [f"{parent.get('resource', '')}{group}".lower(), parent.get("namespace")]
        text = "/".join(part for part in (*parts, parent.get("name", "")) if part)
    return [name(obj), text, age(obj)]


def _flow_schema(obj: Json) -> list[Any]:
    dangling = [
        c.get("status", "") for c in items(obj, "status", "conditions") if c["type"] == "Dangling"
    ]
    return [
        name(obj),
        get(obj, "spec", "priorityLevelConfiguration", "name") or "",
        number(obj, "spec", "matchingPrecedence"),
        get(obj, "spec", "distinguisherMethod", "type") or _NONE,
        age(obj),
        dangling[0] if dangling else "?",
    ]


def _priority_level(obj: Json) -> list[Any]:
    limited = get(obj, "spec", "limited")
    queuing = get(limited, "limitResponse", "queuing")
    shares = _NONE if limited is None else number(limited, "nominalConcurrencyShares")
    queues: list[Any] = [_NONE] * 3
    if queuing is not None:
        queues = [number(queuing, field) for field in ("queues", "handSize", "queueLengthLimit")]
    return [name(obj), get(obj, "spec", "type") or "", shares, *queues, age(obj)]


def _admission_policy(obj: Json) -> list[Any]:
    kind = get(obj, "spec", "paramKind")
    text = f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}" if kind else _UNSET
    return [name(obj), len(items(obj, "spec", "validations")), text, age(obj)]


def _device_class(obj: Json) -> list[Any]:
    return [name(obj), age(obj)]


def _resource_slice(obj: Json) -> list[Any]:
    return [
        name(obj),
        get(obj, "spec", "nodeName") or "",
        get(obj, "spec", "driver") or "",
        get(obj, "spec", "pool", "name") or "",
        age(obj),
    ]


def _resource_claim(obj: Json) -> list[Any]:
    states = ["deleted"] if obj["metadata"].get("deletionTimestamp") else []
    if get(obj, "status", "allocation") is None:
        states = states or ["pending"]
    else:
        states.append("allocated")
        if items(obj, "status", "reservedFor"):
            states.append("reserved")
    return [name(obj), ",".join(states), age(obj)]


def _api_service(obj: Json) -> list[Any]:
    service = get(obj, "spec", "service")
    status = "Unknown"
    for condition in items(obj, "status", "conditions"):
        if condition.get("type") == "Available":
            status = condition.get("status", "")
            if status != "True" and condition.get("reason"):
                status = f"{status} ({condition['reason']})"
    text = f"{service.get('namespace', '')}/{service.get('name', '')}" if service else "Local"
    return [name(obj), text, status, age(obj)]


_STORAGE, _NET, _ADMISSION = "storage.k8s.io", "networking.k8s.io", "admissionregistration.k8s.io"
_FLOW, _DRA = "flowcontrol.apiserver.k8s.io", "resource.k8s.io"

CLUSTER_CELLS: dict[str, Cells] = {
    "replicationcontrollers": _replication_controller,
    "podtemplates": _pod_template,
    "resourcequotas": _resource_quota,
    "controllerrevisions.apps": _controller_revision,
    f"networkpolicies.{_NET}": _network_policy,
    f"ingressclasses.{_NET}": _ingress_class,
    f"servicecidrs.{_NET}": _service_cidr,
    f"ipaddresses.{_NET}": _ip_address,
    "poddisruptionbudgets.policy": _disruption_budget,
    "horizontalpodautoscalers.autoscaling": _autoscaler,
    f"storageclasses.{_STORAGE}": _storage_class,
    f"csinodes.{_STORAGE}": _csi_node,
    f"csidrivers.{_STORAGE}": _csi_driver,
    f"volumeattachments.{_STORAGE}": _volume_attachment,
    f"volumeattributesclasses.{_STORAGE}": _volume_attributes_class,
    f"csistoragecapacities.{_STORAGE}": _storage_capacity,
    "priorityclasses.scheduling.k8s.io": _priority_class,
    "runtimeclasses.node.k8s.io": _runtime_class,
    "certificatesigningrequests.certificates.k8s.io": _signing_request,
    f"mutatingwebhookconfigurations.{_ADMISSION}": _webhooks,
    f"validatingwebhookconfigurations.{_ADMISSION}": _webhooks,
    f"validatingadmissionpolicies.{_ADMISSION}": _admission_policy,
    f"flowschemas.{_FLOW}": _flow_schema,
    f"prioritylevelconfigurations.{_FLOW}": _priority_level,
    f"deviceclasses.{_DRA}": _device_class,
    f"resourceclaimtemplates.{_DRA}": _device_class,
    f"resourceclaims.{_DRA}": _resource_claim,
    f"resourceslices.{_DRA}": _resource_slice,
    "apiservices.apiregistration.k8s.io": _api_service,
}
