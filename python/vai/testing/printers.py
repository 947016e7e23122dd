"""The cells of the built-in kinds, as kubernetes' own printers make them.

Source: kubernetes v1.36.3 ``pkg/printers/internalversion/printers.go``; each function here is the
one of the same name there, with wide columns always present as the API server sends them.
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
    selector_text,
    since,
)
from vai.testing.durations import Since, human_duration, parse_timestamp
from vai.testing.objects import Json
from vai.testing.printers_cluster import CLUSTER_CELLS

_NONE = "<none>"


# Pods ---------------------------------------------------------------------------------------------


def _ended(state: Json, prefix: str) -> str:
    if state.get("reason"):
        return prefix + str(state["reason"])
    if state.get("signal"):
        return f"{prefix}Signal:{state['signal']}"
    return f"{prefix}ExitCode:{state.get('exitCode', 0)}"


class _Pod:
    """The walk over a pod's container statuses."""

    def __init__(self, pod: Json) -> None:
        self.spec: Json = pod.get("spec") or {}
        self.status: Json = pod.get("status") or {}
        self.inits = {c["name"]: c for c in items(self.spec, "initContainers")}
        self.ready = 0
        self.restarts = 0
        self.sidecar_restarts = 0
        self.last: float | None = None
        self.sidecar_last: float | None = None
        self.reason = str(self.status.get("reason") or self.status.get("phase") or "")
        for condition in items(self.status, "conditions"):
            gated = condition.get("reason") == "SchedulingGated"
            if condition.get("type") == "PodScheduled" and gated:
                self.reason = "SchedulingGated"
        if not self._initializing() or self._condition("Initialized"):
            self._main()
        deleted = pod["metadata"].get("deletionTimestamp")
        if deleted and self.status.get("reason") == "NodeLost":
            self.reason = "Unknown"
        elif deleted and self.status.get("phase") not in ("Succeeded", "Failed"):
            self.reason = "Terminating"

    def sidecar(self, name: str) -> bool:
        return bool(self.inits.get(name, {}).get("restartPolicy") == "Always")

    def total(self) -> int:
        return len(items(self.spec, "containers")) + sum(map(self.sidecar, self.inits))

    def _condition(self, kind: str) -> bool:
        return any(
            c.get("type") == kind and c.get("status") == "True"
            for c in items(self.status, "conditions")
        )

    @staticmethod
    def _later(last: float | None, container: Json) -> float | None:
        ended = parse_timestamp(get(container, "lastState", "terminated", "finishedAt"))
        return ended if ended is not None and (last is None or last < ended) else last

    def _initializing(self) -> bool:
        for position, container in enumerate(items(self.status, "initContainerStatuses")):
            count = number(container, "restartCount")
            self.restarts += count
            self.last = self._later(self.last, container)
            sidecar = self.sidecar(container["name"])
            if sidecar:
                self.sidecar_restarts += count
                self.sidecar_last = self._later(self.sidecar_last, container)
            state = container.get("state") or {}
            ended, waiting = state.get("terminated"), state.get("waiting") or {}
            if ended is not None and not ended.get("exitCode"):
                continue
            if sidecar and container.get("started"):
                self.ready += bool(container.get("ready"))
                continue
            if ended is not None:
                self.reason = _ended(ended, "Init:")
            elif waiting.get("reason") and waiting["reason"] != "PodInitializing":
                self.reason = f"Init:{waiting['reason']}"
            else:
                self.reason = f"Init:{position}/{len(self.inits)}"
            return True
        return False

    def _main(self) -> None:
        self.restarts, self.last = self.sidecar_restarts, self.sidecar_last
        running = False
        error = ""
        for container in reversed(items(self.status, "containerStatuses")):
            self.restarts += number(container, "restartCount")
            self.last = self._later(self.last, container)
            state = container.get("state") or {}
            ended = state.get("terminated")
            if get(state, "waiting", "reason"):
                self.reason = state["waiting"]["reason"]
            elif ended is not None:
                self.reason = _ended(ended, "")
                if ended.get("exitCode"):
                    error = self.reason
            elif container.get("ready") and state.get("running") is not None:
                running = True
                self.ready += 1
        if self.reason == "Completed":
            if running and self._condition("Ready"):
                self.reason = "Running"
            elif error:
                self.reason = error
            elif running:
                self.reason = "NotReady"

    def restarts_cell(self) -> Any:
        if self.restarts and self.last is not None:
            return Since(self.last, f"{self.restarts} ({{}} ago)")
        return str(self.restarts)

    def gates_cell(self) -> str:
        gates = items(self.spec, "readinessGates")
        if not gates:
            return _NONE
        passed = sum(self._condition(gate.get("conditionType", "")) for gate in gates)
        return f"{passed}/{len(gates)}"


def _pod(obj: Json) -> list[Any]:
    pod = _Pod(obj)
    ips = items(pod.status, "podIPs")
    return [
        name(obj),
        f"{pod.ready}/{pod.total()}",
        pod.reason,
        pod.restarts_cell(),
        age(obj),
        (ips[0].get("ip") if ips else "") or _NONE,
        pod.spec.get("nodeName") or _NONE,
        pod.status.get("nominatedNodeName") or _NONE,
        pod.gates_cell(),
    ]


# Cluster and core ---------------------------------------------------------------------------------


def _roles(labels: dict[str, str]) -> list[str]:
    prefix = "node-role.kubernetes.io/"
    roles = {k[len(prefix) :] for k in labels if k.startswith(prefix) and len(k) > len(prefix)}
    if labels.get("kubernetes.io/role"):
        roles.add(labels["kubernetes.io/role"])
    return sorted(roles)


def _address(obj: Json, kind: str) -> str:
    for address in items(obj, "status", "addresses"):
        if address.get("type") == kind:
            return str(address.get("address", ""))
    return _NONE


def _node(obj: Json) -> list[Any]:
    status: list[str] = []
    for condition in items(obj, "status", "conditions"):
        if condition.get("type") == "Ready":
            status = ["Ready" if condition.get("status") == "True" else "NotReady"]
    status = status or ["Unknown"]
    if get(obj, "spec", "unschedulable"):
        status.append("SchedulingDisabled")
    info = get(obj, "status", "nodeInfo") or {}
    kernel = info.get("kernelVersion") or "<unknown>"
    if info.get("architecture"):
        kernel += f" ({info['architecture']})"
    return [
        name(obj),
        ",".join(status),
        ",".join(_roles(obj["metadata"].get("labels") or {})) or _NONE,
        age(obj),
        info.get("kubeletVersion", ""),
        _address(obj, "InternalIP"),
        _address(obj, "ExternalIP"),
        info.get("osImage") or "<unknown>",
        kernel,
        info.get("containerRuntimeVersion") or "<unknown>",
    ]


def _namespace(obj: Json) -> list[Any]:
    return [name(obj), get(obj, "status", "phase") or "", age(obj)]


def _load_balancer(obj: Json) -> str:
    found = {
        i.get("ip") or i.get("hostname") for i in items(obj, "status", "loadBalancer", "ingress")
    }
    return ",".join(sorted(i for i in found if i))


def _external_ip(obj: Json) -> str:
    external = items(obj, "spec", "externalIPs")
    match get(obj, "spec", "type"):
        case "ClusterIP" | "NodePort":
            return ",".join(external) or _NONE
        case "LoadBalancer":
            ingress = [i for i in _load_balancer(obj).split(",") if i]
            return ",".join([*ingress, *external]) or "<pending>"
        case "ExternalName":
            return str(get(obj, "spec", "externalName") or "")
        case _:
            return "<unknown>"


def _port(port: Json) -> str:
    if port.get("nodePort"):
        return f"{port['port']}:{port['nodePort']}/{port.get('protocol', '')}"
    return f"{port['port']}/{port.get('protocol', '')}"


def _service(obj: Json) -> list[Any]:
    ips = items(obj, "spec", "clusterIPs")
    return [
        name(obj),
        get(obj, "spec", "type") or "",
        ips[0] if ips else _NONE,
        _external_ip(obj),
        ",".join(map(_port, items(obj, "spec", "ports"))) or _NONE,
        age(obj),
        format_labels(get(obj, "spec", "selector")),
    ]


def _config_map(obj: Json) -> list[Any]:
    count = len(obj.get("data") or {}) + len(obj.get("binaryData") or {})
    return [name(obj), count, age(obj)]


def _secret(obj: Json) -> list[Any]:
    return [name(obj), obj.get("type", ""), len(obj.get("data") or {}), age(obj)]


def _service_account(obj: Json) -> list[Any]:
    return [name(obj), age(obj)]


def _event(obj: Json) -> list[Any]:
    first = since(obj.get("firstTimestamp") or obj.get("eventTime"))
    last = since(obj["lastTimestamp"]) if obj.get("lastTimestamp") else first
    count = number(obj, "count")
    series = obj.get("series")
    if series:
        last = since(series.get("lastObservedTime"))
        count = number(series, "count")
    elif not count:
        count = 1
    involved = obj.get("involvedObject") or {}
    target = involved.get("kind", "").lower()
    if involved.get("name"):
        target += f"/{involved['name']}"
    component = get(obj, "source", "component") or obj.get("reportingComponent") or ""
    instance = get(obj, "source", "host") or obj.get("reportingInstance") or ""
    return [
        last,
        obj.get("type", ""),
        obj.get("reason", ""),
        target,
        involved.get("fieldPath", ""),
        f"{component}, {instance}" if instance else component,
        obj.get("message", "").strip(),
        first,
        count,
        name(obj),
    ]


def _endpoints(obj: Json) -> list[Any]:
    found: list[str] = []
    for subset in items(obj, "subsets"):
        addresses = [a["ip"] for a in subset.get("addresses") or []]
        ports = subset.get("ports") or []
        if not ports:
            found += addresses
        for port in ports:
            found += [
                f"[{a}]:{port['port']}" if ":" in a else f"{a}:{port['port']}" for a in addresses
            ]
    text = ",".join(found[:3])
    if len(found) > 3:
        text = f"{text} + {len(found) - 3} more..."
    return [name(obj), text if obj.get("subsets") else _NONE, age(obj)]


def _more(found: list[str]) -> str:
    text = ",".join(found[:3])
    return f"{text} + {len(found) - 3} more..." if len(found) > 3 else text or "<unset>"


def _endpoint_slice(obj: Json) -> list[Any]:
    ports = [
        str(p["port"]) if p.get("port") is not None else p.get("name", "*")
        for p in items(obj, "ports")
    ]
    addresses = [a for e in items(obj, "endpoints") for a in e.get("addresses") or []]
    return [name(obj), obj.get("addressType", ""), _more(ports), _more(addresses), age(obj)]


# apps, batch, others ------------------------------------------------------------------------------


def _template(obj: Json) -> Any:
    return get(obj, "spec", "template")


def _replicas(obj: Json) -> str:
    return f"{number(obj, 'status', 'readyReplicas')}/{number(obj, 'spec', 'replicas')}"


def _deployment(obj: Json) -> list[Any]:
    return [
        name(obj),
        _replicas(obj),
        number(obj, "status", "updatedReplicas"),
        number(obj, "status", "availableReplicas"),
        age(obj),
        *containers(_template(obj)),
        selector_text(get(obj, "spec", "selector")),
    ]


def _replica_set(obj: Json) -> list[Any]:
    return [
        name(obj),
        number(obj, "spec", "replicas"),
        number(obj, "status", "replicas"),
        number(obj, "status", "readyReplicas"),
        age(obj),
        *containers(_template(obj)),
        format_selector(get(obj, "spec", "selector")),
    ]


def _stateful_set(obj: Json) -> list[Any]:
    return [name(obj), _replicas(obj), age(obj), *containers(_template(obj))]


def _daemon_set(obj: Json) -> list[Any]:
    counts = [
        number(obj, "status", field)
        for field in (
            "desiredNumberScheduled",
            "currentNumberScheduled",
            "numberReady",
            "updatedNumberScheduled",
            "numberAvailable",
        )
    ]
    return [
        name(obj),
        *counts,
        format_labels(get(obj, "spec", "template", "spec", "nodeSelector")),
        age(obj),
        *containers(_template(obj)),
        format_selector(get(obj, "spec", "selector")),
    ]


def _job_status(obj: Json) -> str:
    # The first condition of a type decides (hasJobCondition).
    state: dict[str, bool] = {}
    for condition in items(obj, "status", "conditions"):
        state.setdefault(condition["type"], condition.get("status") == "True")
    for kind in ("Complete", "Failed"):
        if state.get(kind):
            return kind
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for kind in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if state.get(kind):
            return kind
    return "Running"


def _job(obj: Json) -> list[Any]:
    wanted = get(obj, "spec", "completions")
    parallel = number(obj, "spec", "parallelism")
    succeeded = number(obj, "status", "succeeded")
    if wanted is not None:
        completions = f"{succeeded}/{wanted}"
    elif parallel > 1:
        completions = f"{succeeded}/1 of {parallel}"
    else:
        completions = f"{succeeded}/1"
    started = parse_timestamp(get(obj, "status", "startTime"))
    ended = parse_timestamp(get(obj, "status", "completionTime"))
    duration: Any = ""
    if started is not None:
        duration = Since(started) if ended is None else human_duration(ended - started)
    return [
        name(obj),
        _job_status(obj),
        completions,
        duration,
        age(obj),
        *containers(_template(obj)),
        format_selector(get(obj, "spec", "selector")),
    ]


def _cron_job(obj: Json) -> list[Any]:
    last = get(obj, "status", "lastScheduleTime")
    suspend = get(obj, "spec", "suspend")
    inner = get(obj, "spec", "jobTemplate", "spec") or {}
    return [
        name(obj),
        get(obj, "spec", "schedule") or "",
        get(obj, "spec", "timeZone") or _NONE,
        # printBoolPtr prints Go's True and False in title case.
        "<unset>" if suspend is None else ("True" if suspend else "False"),
        len(items(obj, "status", "active")),
        since(last) if last else _NONE,
        age(obj),
        *containers(inner.get("template")),
        format_selector(inner.get("selector")),
    ]


def _lease(obj: Json) -> list[Any]:
    return [name(obj), get(obj, "spec", "holderIdentity") or "", age(obj)]


def _role_binding(obj: Json) -> list[Any]:
    subjects = obj.get("subjects") or []

    def of(kind: str) -> list[Json]:
        return [s for s in subjects if s.get("kind") == kind]

    accounts = (f"{s.get('namespace', '')}/{s['name']}" for s in of("ServiceAccount"))
    reference = obj.get("roleRef") or {}
    return [
        name(obj),
        f"{reference.get('kind', '')}/{reference.get('name', '')}",
        age(obj),
        ", ".join(s["name"] for s in of("User")),
        ", ".join(s["name"] for s in of("Group")),
        ", ".join(accounts),
    ]


def _ingress(obj: Json) -> list[Any]:
    rules = [r.get("host") for r in items(obj, "spec", "rules")]
    hosts = [host for host in rules if host]
    text = ",".join(hosts[:3]) or "*"
    if len(hosts) > 3:
        text = f"{text} + {len(hosts) - 3} more..."
    return [
        name(obj),
        get(obj, "spec", "ingressClassName") or _NONE,
        text,
        _load_balancer(obj),
        "80, 443" if items(obj, "spec", "tls") else "80",
        age(obj),
    ]


_MODES = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}


def _modes(modes: list[str]) -> str:
    return ",".join(short for long, short in _MODES.items() if long in modes)


def _phase(obj: Json) -> str:
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return str(get(obj, "status", "phase") or "")


def _volume(obj: Json) -> list[Any]:
    claim = get(obj, "spec", "claimRef")
    return [
        name(obj),
        get(obj, "spec", "capacity", "storage") or "0",
        _modes(items(obj, "spec", "accessModes")),
        get(obj, "spec", "persistentVolumeReclaimPolicy") or "",
        _phase(obj),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        get(obj, "spec", "storageClassName") or "",
        get(obj, "spec", "volumeAttributesClassName") or "<unset>",
        get(obj, "status", "reason") or "",
        age(obj),
        get(obj, "spec", "volumeMode") or "<unset>",
    ]


def _claim(obj: Json) -> list[Any]:
    volume = get(obj, "spec", "volumeName") or ""
    return [
        name(obj),
        _phase(obj),
        volume,
        (get(obj, "status", "capacity", "storage") or "0") if volume else "",
        _modes(items(obj, "status", "accessModes")) if volume else "",
        get(obj, "spec", "storageClassName") or "",
        get(obj, "spec", "volumeAttributesClassName") or "<unset>",
        age(obj),
        get(obj, "spec", "volumeMode") or "<unset>",
    ]


CELLS: dict[str, Cells] = {
    **CLUSTER_CELLS,
    "pods": _pod,
    "nodes": _node,
    "namespaces": _namespace,
    "services": _service,
    "configmaps": _config_map,
    "secrets": _secret,
    "serviceaccounts": _service_account,
    "events": _event,
    "events.events.k8s.io": _event,
    "endpoints": _endpoints,
    "persistentvolumes": _volume,
    "persistentvolumeclaims": _claim,
    "endpointslices.discovery.k8s.io": _endpoint_slice,
    "deployments.apps": _deployment,
    "replicasets.apps": _replica_set,
    "statefulsets.apps": _stateful_set,
    "daemonsets.apps": _daemon_set,
    "jobs.batch": _job,
    "cronjobs.batch": _cron_job,
    "leases.coordination.k8s.io": _lease,
    "rolebindings.rbac.authorization.k8s.io": _role_binding,
    "clusterrolebindings.rbac.authorization.k8s.io": _role_binding,
    "ingresses.networking.k8s.io": _ingress,
}
