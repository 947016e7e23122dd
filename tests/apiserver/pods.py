"""Deployments, their ReplicaSets and pods.

A pod's spec is the template that it shares with its ReplicaSet; its status is its own.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from tests.apiserver.basics import Json, metadata, namespace_names, new_uid, random_for
from tests.apiserver.managed import pod_fields

APPS = ("api", "web", "worker", "cache", "ingest", "billing", "search", "notebook")
PODS_PER_REPLICA_SET = 8
_NODES = 40
_REGISTRY = "images.example.com"
# Without vowels and look-alikes, as apimachinery's util/rand has them.
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


@dataclass(frozen=True, slots=True)
class PodPlan:
    """What all pods of a ReplicaSet have in common."""

    app: str
    instance: str
    namespace: str
    template_hash: str
    owner_uid: str
    deployment_uid: str
    image_tag: str

    @property
    def replica_set(self) -> str:
        """The ReplicaSet's name."""
        return f"{self.instance}-{self.template_hash}"

    @property
    def has_proxy(self) -> bool:
        """Whether a second container stands before the app."""
        return self.app in {"api", "web", "billing"}

    @property
    def labels(self) -> dict[str, str]:
        """The template's labels."""
        return {
            "app.kubernetes.io/name": self.app,
            "app.kubernetes.io/instance": self.instance,
            "app.kubernetes.io/version": self.image_tag,
            "app.kubernetes.io/component": "server" if self.app != "worker" else "worker",
            "tier": "frontend" if self.app in {"web", "api"} else "backend",
            "pod-template-hash": self.template_hash,
        }


def _plan(group: int, seed: int, namespace_count: int) -> PodPlan:
    numbers = random_for(seed, "replicaset", group)
    app = APPS[group % len(APPS)]
    return PodPlan(
        app=app,
        instance=f"{app}-{group:04d}",
        namespace=namespace_names(namespace_count)[group % namespace_count],
        template_hash="".join(numbers.choices(_SUFFIX_LETTERS, k=10)),
        owner_uid=new_uid(numbers),
        deployment_uid=new_uid(numbers),
        image_tag=f"v{numbers.randrange(1, 5)}.{numbers.randrange(30)}.{numbers.randrange(10)}",
    )


def pods(count: int, seed: int = 0, *, namespace_count: int = 10) -> Iterator[Json]:
    """Pods of about 5 KB, in groups of one ReplicaSet each, spread over the namespaces.

    As the server lists them: 5.3 KB each when written into etcd, 4.7 KB when created through the
    API, which makes managedFields of its own, and 6.9 KB with the status written, too.

    Four in five run, the others are pending, completed or crash-looping, so that columns and
    conditions differ.
    """
    for index in range(count):
        group, member = divmod(index, PODS_PER_REPLICA_SET)
        yield _pod(_plan(group, seed, namespace_count), random_for(seed, "pod", index), member)


def replica_sets(pod_count: int, seed: int = 0, *, namespace_count: int = 10) -> Iterator[Json]:
    """The owners of ``pods(pod_count)`` with the same seed."""
    for group in range(-(-pod_count // PODS_PER_REPLICA_SET)):
        plan = _plan(group, seed, namespace_count)
        numbers = random_for(seed, "replicaset metadata", group)
        meta = metadata(numbers, plan.replica_set, plan.namespace, labels=plan.labels)
        meta["uid"] = plan.owner_uid
        meta["ownerReferences"] = [_owner("Deployment", plan.instance, plan.deployment_uid)]
        yield _workload("ReplicaSet", plan, meta, numbers)


def deployments(pod_count: int, seed: int = 0, *, namespace_count: int = 10) -> Iterator[Json]:
    """The owners of ``replica_sets(pod_count)`` with the same seed."""
    for group in range(-(-pod_count // PODS_PER_REPLICA_SET)):
        plan = _plan(group, seed, namespace_count)
        numbers = random_for(seed, "deployment metadata", group)
        meta = metadata(numbers, plan.instance, plan.namespace, labels=plan.labels)
        meta["uid"] = plan.deployment_uid
        yield _workload("Deployment", plan, meta, numbers)


def _workload(kind: str, plan: PodPlan, meta: Json, numbers: random.Random) -> Json:
    template_spec = {k: v for k, v in _spec(plan, numbers).items() if k != "nodeName"}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": meta,
        "spec": {
            "replicas": PODS_PER_REPLICA_SET,
            "selector": {"matchLabels": plan.labels},
            "template": {"metadata": {"labels": plan.labels}, "spec": template_spec},
        },
        "status": {"replicas": PODS_PER_REPLICA_SET, "readyReplicas": numbers.randrange(5, 9)},
    }


def _owner(kind: str, name: str, uid: str) -> Json:
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _pod(plan: PodPlan, numbers: random.Random, member: int) -> Json:
    suffix = "".join(numbers.choices(_SUFFIX_LETTERS, k=4)) + _SUFFIX_LETTERS[member]
    notes = {
        "checksum/config": f"{numbers.getrandbits(256):064x}",
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "9090",
    }
    name = f"{plan.replica_set}-{suffix}"
    meta = metadata(numbers, name, plan.namespace, labels=plan.labels, annotations=notes)
    meta["generateName"] = f"{plan.replica_set}-"
    meta["ownerReferences"] = [_owner("ReplicaSet", plan.replica_set, plan.owner_uid)]
    created = meta["creationTimestamp"]
    meta["managedFields"] = pod_fields(created, tuple(plan.labels), plan.owner_uid)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta,
        "spec": _spec(plan, numbers),
        "status": _status(plan, numbers, created),
    }


def _spec(plan: PodPlan, numbers: random.Random) -> Json:
    token = {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}
    return {
        "volumes": [
            {"name": "config", "configMap": {"name": f"{plan.app}-config", "defaultMode": 420}},
            {"name": "tmp", "emptyDir": {}},
            {"name": "kube-api-access", "projected": {"sources": [token], "defaultMode": 420}},
        ],
        "containers": [_app_container(plan), *([_sidecar()] if plan.has_proxy else [])],
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "nodeName": f"node-{numbers.randrange(_NODES):03d}",
        "securityContext": {"runAsNonRoot": True, "fsGroup": 2000},
        "serviceAccountName": plan.app,
        "serviceAccount": plan.app,
        "schedulerName": "default-scheduler",
    }


def _app_container(plan: PodPlan) -> Json:
    probe = {"httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"}, "periodSeconds": 10}
    return {
        "name": "app",
        "image": f"{_REGISTRY}/{plan.app}:{plan.image_tag}",
        "args": ["serve", "--port=8080"],
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "env": [
            {"name": "PORT", "value": "8080"},
            {"name": "LOG_LEVEL", "value": "info"},
            {
                "name": "DATABASE_URL",
                "value": f"postgres://db.{plan.namespace}.svc:5432/{plan.app}",
            },
        ],
        "resources": {
            "limits": {"memory": "512Mi"},
            "requests": {"cpu": "250m", "memory": "256Mi"},
        },
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/app", "readOnly": True},
            {"name": "tmp", "mountPath": "/var/lib/app"},
        ],
        "readinessProbe": probe,
        "imagePullPolicy": "IfNotPresent",
    }


def _sidecar() -> Json:
    return {
        "name": "proxy",
        "image": f"{_REGISTRY}/proxy:v1.31.2",
        "args": ["--config=/etc/proxy/config.yaml"],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
        "imagePullPolicy": "IfNotPresent",
    }


def _status(plan: PodPlan, numbers: random.Random, created: str) -> Json:
    chance = numbers.random()
    if chance < 0.05:
        unscheduled = _condition("PodScheduled", "False", created)
        return {"phase": "Pending", "conditions": [unscheduled], "qosClass": "Burstable"}
    done, crashing = chance < 0.12, 0.12 <= chance < 0.2
    ready = not done and not crashing
    address = f"10.244.{numbers.randrange(256)}.{numbers.randrange(2, 255)}"
    host = f"192.168.{numbers.randrange(4)}.{numbers.randrange(2, 255)}"
    flag = "True" if ready else "False"
    return {
        "phase": "Succeeded" if done else "Running",
        "conditions": [
            _condition("PodReadyToStartContainers", "True", created),
            _condition("Initialized", "True", created),
            _condition("Ready", flag, created),
            _condition("ContainersReady", flag, created),
            _condition("PodScheduled", "True", created),
        ],
        "hostIP": host,
        "hostIPs": [{"ip": host}],
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": created,
        "containerStatuses": [
            _container_status("app", plan, numbers, created, done=done, crashing=crashing),
            *(
                [_container_status("proxy", plan, numbers, created, done=done, crashing=False)]
                if plan.has_proxy
                else []
            ),
        ],
        "qosClass": "Burstable",
    }


def _condition(kind: str, status: str, time: str) -> Json:
    return {"type": kind, "status": status, "lastProbeTime": None, "lastTransitionTime": time}


def _container_status(
    name: str,
    plan: PodPlan,
    numbers: random.Random,
    created: str,
    *,
    done: bool,
    crashing: bool,
) -> Json:
    tag = plan.image_tag if name == "app" else "v1.31.2"
    image = f"{_REGISTRY}/{plan.app if name == 'app' else name}"
    identity = f"containerd://{numbers.getrandbits(256):064x}"
    ended = {"reason": "Completed", "exitCode": 0, "startedAt": created, "finishedAt": created}
    failed = ended | {"reason": "Error", "exitCode": 1, "containerID": identity}
    state: Json = {"running": {"startedAt": created}}
    if done:
        state = {"terminated": ended | {"containerID": identity}}
    elif crashing:
        state = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off restarting"}}
    return {
        "name": name,
        "state": state,
        "lastState": {"terminated": failed} if crashing else {},
        "ready": not done and not crashing,
        "started": not done and not crashing,
        "restartCount": numbers.randrange(3, 200) if crashing else 0,
        "image": f"{image}:{tag}",
        "imageID": f"{image}@sha256:{numbers.getrandbits(256):064x}",
        "containerID": identity,
    }
