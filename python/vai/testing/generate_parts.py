"""What generated objects have in common: owners, conditions, field ownership."""

from __future__ import annotations

from vai.testing.objects import Json


def match_labels(labels: dict[str, str]) -> dict[str, str]:
    """The labels of a workload that its selector names."""
    wanted = ("app.kubernetes.io/instance", "app.kubernetes.io/name")
    return {name: labels[name] for name in wanted}


def owner_reference(api_version: str, kind: str, name: str, uid: str) -> Json:
    """An owner reference of a controller."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def make_condition(
    kind: str, status: str, at: str, reason: str = "", message: str = "", *, updated: bool = False
) -> Json:
    """A status condition: a pod's, or a workload's (``updated``)."""
    out: Json = {"type": kind}
    if not updated:
        out["observedGeneration"] = 1
    out["status"] = status
    if updated:
        out["lastUpdateTime"] = at
    else:
        out["lastProbeTime"] = None
    out["lastTransitionTime"] = at
    if reason:
        out["reason"] = reason
    if message:
        out["message"] = message
    return out


def set_ready(status: Json, value: str) -> None:
    """Set the conditions that tell whether a pod is ready."""
    for condition in status["conditions"]:
        if condition["type"] in ("Ready", "ContainersReady"):
            condition["status"] = value


TOLERATIONS = [
    {
        "key": f"node.kubernetes.io/{key}",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": 300,
    }
    for key in ("not-ready", "unreachable")
]
TOKEN_VOLUME = {
    "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {
            "configMap": {
                "name": "kube-root-ca.crt",
                "items": [{"key": "ca.crt", "path": "ca.crt"}],
            }
        },
    ],
    "defaultMode": 420,
}
NODE_CONDITIONS = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory",
     "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)  # fmt: skip
EVENTS = (
    ("Normal", "Pulled", "Container image already present on machine"),
    ("Normal", "Started", "Started container main"),
    ("Normal", "Created", "Created container: main"),
    ("Warning", "BackOff", "Back-off restarting failed container main in pod"),
    ("Warning", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"),
)


def _leaves(*names: str) -> Json:
    return {f"f:{name}": {} for name in names}


def managed_fields(at: str) -> list[Json]:
    """Field ownership as a pod of a Deployment has it, a third of a real pod's bytes."""
    container = {
        ".": {},
        **_leaves("args", "image", "imagePullPolicy", "livenessProbe", "name", "readinessProbe",
                  "resources", "terminationMessagePath", "terminationMessagePolicy"),
        "f:env": {
            ".": {},
            **{
                f'k:{{"name":"{name}"}}': {".": {}, **_leaves("name", "value")}
                for name in ("LOG_LEVEL", "SERVICE_NAME", "OTEL_EXPORTER_OTLP_ENDPOINT")
            },
        },
        "f:ports": {'k:{"containerPort":8080,"protocol":"TCP"}': {
            ".": {}, **_leaves("containerPort", "name", "protocol")}},
    }  # fmt: skip
    owner = {
        "f:metadata": {
            "f:annotations": {".": {}, **_leaves("checksum/config", "prometheus.io/port")},
            "f:generateName": {},
            "f:labels": {
                ".": {},
                **_leaves("app.kubernetes.io/instance", "app.kubernetes.io/name",
                          "helm.sh/chart", "pod-template-hash", "tier"),
            },
            "f:ownerReferences": {".": {}},
        },
        "f:spec": {
            "f:containers": {'k:{"name":"main"}': container},
            **_leaves("dnsPolicy", "enableServiceLinks", "restartPolicy", "schedulerName",
                      "securityContext", "terminationGracePeriodSeconds", "volumes"),
        },
    }  # fmt: skip
    condition = {".": {}, **_leaves("lastProbeTime", "lastTransitionTime", "status", "type")}
    kubelet = {
        "f:status": {
            "f:conditions": {
                f'k:{{"type":"{kind}"}}': condition
                for kind in ("ContainersReady", "Initialized", "Ready")
            },
            **_leaves("containerStatuses", "hostIP", "hostIPs", "phase", "podIP", "startTime"),
        }
    }

    def entry(manager: str, fields: Json, subresource: str = "") -> Json:
        out: Json = {
            "manager": manager,
            "operation": "Update",
            "apiVersion": "v1",
            "time": at,
            "fieldsType": "FieldsV1",
            "fieldsV1": fields,
        }
        if subresource:
            out["subresource"] = subresource
        return out

    return [entry("kube-controller-manager", owner), entry("kubelet", kubelet, "status")]
