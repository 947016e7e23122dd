"""Which field selectors each resource supports, and how an object's fields are found.

Sources: kubernetes ``pkg/apis/*/v1/conversion.go`` (AddFieldLabelConversionFunc) and the
``ToSelectableFields`` of the strategies in ``pkg/registry``.
"""

from __future__ import annotations

from typing import Any

from vai.testing.objects import Json
from vai.testing.resources import Resource
from vai.testing.selectors import SelectorError

_POD = (
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.podIPs",
    "status.nominatedNodeName",
)
_EVENT = (
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
)

# Resource to (fields besides the metadata ones, is metadata.namespace supported).
_SUPPORTED: dict[str, tuple[tuple[str, ...], bool]] = {
    "pods": (_POD, True),
    "nodes": (("spec.unschedulable",), False),
    "replicationcontrollers": (("status.replicas",), True),
    "events": (_EVENT, True),
    "namespaces": (("status.phase",), False),
    "secrets": (("type",), True),
    "services": (("spec.clusterIP", "spec.type"), True),
    "jobs.batch": (("status.successful",), True),
    "certificatesigningrequests.certificates.k8s.io": (("spec.signerName",), False),
    "resourceslices.resource.k8s.io": (("spec.nodeName", "spec.driver"), False),
}
# Two kinds word it in their own way (pkg/apis/{batch,resource}/v1/conversion.go).
_WORDING = {
    "jobs.batch": 'field label "{}" not supported for Job',
    "resourceslices.resource.k8s.io": (
        "field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: {}"
    ),
}
_ALIASES = {"pods": {"spec.host": "spec.nodeName"}}


def check_field(resource: Resource, field: str) -> str:
    """The canonical name of a field that a selector uses.

    Raises:
        SelectorError: The resource does not support it; the text is the server's.
    """
    field = _ALIASES.get(resource.full_name, {}).get(field, field)
    if resource.custom:
        known = {"metadata.name", *resource.selectable}
        if resource.namespaced:
            known.add("metadata.namespace")
        if field not in known:
            raise SelectorError(f"field label not supported: {field}")
        return field
    special = _SUPPORTED.get(resource.full_name)
    if special is None:
        if field not in ("metadata.name", "metadata.namespace"):
            raise SelectorError(
                f'"{field}" is not a known field selector: only "metadata.name", '
                '"metadata.namespace"'
            )
        return field
    extra, namespaced = special
    if field == "metadata.name" or field in extra or (namespaced and field == "metadata.namespace"):
        return field
    wording = _WORDING.get(resource.full_name, "field label not supported: {}")
    raise SelectorError(wording.format(field))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _at(obj: Json, path: str) -> Any:
    value: Any = obj
    for part in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value


def _pod_fields(obj: Json) -> dict[str, str]:
    spec = obj.get("spec", {})
    status = obj.get("status", {})
    ips = status.get("podIPs") or []
    ip = ips[0].get("ip", "") if ips else status.get("podIP", "")
    return {
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.restartPolicy": spec.get("restartPolicy", ""),
        "spec.schedulerName": spec.get("schedulerName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "spec.hostNetwork": _text(bool(spec.get("hostNetwork"))),
        "status.phase": status.get("phase", ""),
        "status.podIP": ip,
        "status.podIPs": ip,
        "status.nominatedNodeName": status.get("nominatedNodeName", ""),
    }


def _event_fields(obj: Json) -> dict[str, str]:
    fields = {path: _text(_at(obj, path)) for path in _EVENT}
    component = _text(_at(obj, "source.component"))
    # registry/core/event/strategy.go: the source falls back to the reporting controller.
    fields["source"] = component or fields["reportingComponent"]
    return fields


def fields_of(resource: Resource, obj: Json) -> dict[str, str]:
    """The values that field selectors on this object look at."""
    metadata = obj["metadata"]
    name = resource.full_name
    if name == "pods":
        fields = _pod_fields(obj)
    elif name == "events":
        fields = _event_fields(obj)
    elif resource.custom:
        fields = {path: _text(_at(obj, path)) for path in resource.selectable}
    else:
        extra = _SUPPORTED.get(name, ((), False))[0]
        fields = {path: _text(_at(obj, path)) for path in extra}
        if name == "nodes":
            fields["spec.unschedulable"] = fields["spec.unschedulable"] or "false"
        elif name == "jobs.batch":
            fields["status.successful"] = _text(_at(obj, "status.succeeded") or 0)
    fields["metadata.name"] = metadata["name"]
    if resource.namespaced:
        fields["metadata.namespace"] = metadata.get("namespace", "")
    return fields
