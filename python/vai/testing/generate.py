"""Generated objects that look like a real cluster's: about 5 KB a pod, the same for a seed.

Keys stand in the order of Kubernetes' Go structs, as a real server sends them.
"""

from __future__ import annotations

import base64
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from vai.testing.durations import micro_timestamp, timestamp
from vai.testing.generate_parts import (
    EVENTS,
    NODE_CONDITIONS,
    TOKEN_VOLUME,
    TOLERATIONS,
    make_condition,
    managed_fields,
    match_labels,
    owner_reference,
    set_ready,
)
from vai.testing.objects import Json

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_TEAMS = ("shop", "billing", "search", "media", "data", "auth", "edge", "ml")
_STAGES = ("prod", "staging", "dev")
_APPS = (
    "api", "web", "worker", "cart", "checkout", "catalog", "gateway", "ingest", "indexer",
    "mailer", "scheduler", "session", "thumbs", "ranking", "ledger", "quota",
)  # fmt: skip
_DAY = 86400.0
_REGISTRY = "registry.example.com"


@dataclass(frozen=True, slots=True)
class Counts:
    """How many objects of each kind to make."""

    pods: int
    namespaces: int
    nodes: int
    deployments: int
    services: int
    configmaps: int
    secrets: int
    events: int
    leases: int

    @classmethod
    def for_pods(cls, pods: int, **given: int | None) -> Counts:
        """The proportions of a common cluster, where a number is not given."""
        usual = {
            "namespaces": max(1, min(len(_TEAMS) * len(_STAGES), pods // 50)),
            "nodes": max(1, pods // 50),
            "deployments": max(1, pods // 8) if pods else 0,
            "services": pods // 16,
            "configmaps": pods // 5,
            "secrets": pods // 10,
            "events": pods // 5,
        }
        unknown = set(given) - set(usual) - {"leases"}
        if unknown:
            raise TypeError(f"populate() has no {', '.join(sorted(unknown))}")
        usual.update({name: count for name, count in given.items() if count is not None})
        leases = usual.pop("leases", usual["nodes"])
        return cls(pods=pods, leases=leases, **usual)


@dataclass(slots=True)
class Workload:
    """A deployment with what its pods share."""

    name: str
    namespace: str
    labels: dict[str, str]
    hash: str
    uid: str
    replica_set_uid: str
    image: str
    port: int
    created: float
    replicas: int = 0
    shared: Json = field(default_factory=dict)


class Generator:
    """Makes objects; every one is a fresh dict except for parts that nobody changes."""

    def __init__(self, seed: str, now: float) -> None:
        self.rng = random.Random(seed)
        self.now = now
        self._serial = 0

    # Small things ---------------------------------------------------------------------------------

    def uid(self) -> str:
        """A uid."""
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    def suffix(self, length: int = 5) -> str:
        """Letters as the server appends them to a generateName."""
        return "".join(self.rng.choices(_LETTERS, k=length))

    def past(self, days: float = 30) -> float:
        """A moment in the last days."""
        return self.now - self.rng.random() * days * _DAY

    def _meta(
        self, name: str, namespace: str = "", created: float | None = None, **more: Any
    ) -> Json:
        meta: Json = {"name": name}
        if namespace:
            meta["namespace"] = namespace
        meta["uid"] = self.uid()
        meta["creationTimestamp"] = timestamp(self.past() if created is None else created)
        meta.update(more)
        return meta

    # Workloads ------------------------------------------------------------------------------------

    def namespaces(self, count: int) -> Iterator[Json]:
        """Namespaces named team-stage."""
        names = [f"{team}-{stage}" for stage in _STAGES for team in _TEAMS]
        for position in range(count):
            name = names[position] if position < len(names) else f"tenant-{position:04d}"
            team = name.partition("-")[0]
            labels = {"kubernetes.io/metadata.name": name, "team": team}
            yield {
                "metadata": self._meta(name, labels=labels),
                "spec": {"finalizers": ["kubernetes"]},
                "status": {"phase": "Active"},
            }

    def workloads(self, count: int, namespaces: list[str]) -> list[Workload]:
        """The deployments to be; each belongs to one namespace."""
        rng = self.rng
        found: list[Workload] = []
        for _ in range(count):
            self._serial += 1
            app = rng.choice(_APPS)
            name = f"{app}-{self._serial}"
            version = f"{rng.randint(1, 4)}.{rng.randint(0, 30)}.{rng.randint(0, 9)}"
            labels = {
                "app.kubernetes.io/instance": name,
                "app.kubernetes.io/managed-by": "Helm",
                "app.kubernetes.io/name": app,
                "app.kubernetes.io/version": version,
                "helm.sh/chart": f"{app}-{version}",
                "tier": rng.choice(("frontend", "backend", "batch")),
            }
            found.append(
                Workload(
                    name=name,
                    namespace=rng.choice(namespaces),
                    labels=labels,
                    hash=self.suffix(10),
                    uid=self.uid(),
                    replica_set_uid=self.uid(),
                    image=f"{_REGISTRY}/team/{app}:{version}",
                    port=rng.choice((8080, 8443, 9000, 3000)),
                    created=self.past(),
                )
            )
        return found

    def deployment(self, work: Workload) -> Json:
        """The Deployment of a workload; its counts follow the pods made for it."""
        at = timestamp(work.created)
        conditions = [
            make_condition("Available", "True", at, "MinimumReplicasAvailable",
                       "Deployment has minimum availability.", updated=True),
            make_condition("Progressing", "True", at, "NewReplicaSetAvailable",
                       f'ReplicaSet "{work.name}-{work.hash}" has successfully progressed.',
                       updated=True),
        ]  # fmt: skip
        metadata = {
            "name": work.name,
            "namespace": work.namespace,
            "uid": work.uid,
            "generation": 1,
            "creationTimestamp": at,
            "labels": work.labels,
            "annotations": {
                "deployment.kubernetes.io/revision": "1",
                "meta.helm.sh/release-name": work.name,
                "meta.helm.sh/release-namespace": work.namespace,
            },
        }
        counts = work.replicas
        return {
            "metadata": metadata,
            "spec": {
                "replicas": counts,
                "selector": {"matchLabels": match_labels(work.labels)},
                "template": self._template(work),
                "strategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"},
                },
                "revisionHistoryLimit": 10,
                "progressDeadlineSeconds": 600,
            },
            "status": {
                "observedGeneration": 1,
                "replicas": counts,
                "updatedReplicas": counts,
                "readyReplicas": counts,
                "availableReplicas": counts,
                "conditions": conditions,
            },
        }

    def replica_set(self, work: Workload) -> Json:
        """The ReplicaSet of a workload."""
        labels = {**work.labels, "pod-template-hash": work.hash}
        template = self._template(work)
        template["metadata"] = {"labels": labels}
        owner = owner_reference("apps/v1", "Deployment", work.name, work.uid)
        metadata = self._meta(
            f"{work.name}-{work.hash}", work.namespace, work.created, generation=1,
            labels=labels, ownerReferences=[owner],
            annotations={
                "deployment.kubernetes.io/desired-replicas": str(work.replicas),
                "deployment.kubernetes.io/max-replicas": str(work.replicas + 1),
                "deployment.kubernetes.io/revision": "1",
            },
        )  # fmt: skip
        metadata["uid"] = work.replica_set_uid
        counts = work.replicas
        return {
            "metadata": metadata,
            "spec": {
                "replicas": counts,
                "selector": {
                    "matchLabels": {**match_labels(work.labels), "pod-template-hash": work.hash}
                },
                "template": template,
            },
            "status": {
                "replicas": counts,
                "fullyLabeledReplicas": counts,
                "readyReplicas": counts,
                "availableReplicas": counts,
                "observedGeneration": 1,
            },
        }

    def _template(self, work: Workload) -> Json:
        return {
            "metadata": {"labels": work.labels},
            "spec": {
                "containers": [self._container(work)],
                "restartPolicy": "Always",
                "terminationGracePeriodSeconds": 30,
                "dnsPolicy": "ClusterFirst",
                "securityContext": {},
                "schedulerName": "default-scheduler",
            },
        }

    def _container(self, work: Workload) -> Json:
        env: list[Json] = [
            {"name": "LOG_LEVEL", "value": "info"},
            {"name": "SERVICE_NAME", "value": work.name},
            {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://otel.kube-system.svc:4317"},
            {
                "name": "POD_IP",
                "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}},
            },
            {
                "name": "DATABASE_PASSWORD",
                "valueFrom": {"secretKeyRef": {"name": f"{work.name}-db", "key": "password"}},
            },
        ]
        probe = {
            "timeoutSeconds": 1,
            "periodSeconds": 10,
            "successThreshold": 1,
            "failureThreshold": 3,
        }
        return {
            "name": "main",
            "image": work.image,
            "args": ["serve", "--config=/etc/app/config.yaml", f"--listen=0.0.0.0:{work.port}"],
            "ports": [{"name": "http", "containerPort": work.port, "protocol": "TCP"}],
            "env": env,
            "resources": {
                "limits": {"cpu": "1", "memory": "512Mi"},
                "requests": {"cpu": "100m", "memory": "128Mi"},
            },
            "volumeMounts": [
                {"name": "config", "readOnly": True, "mountPath": "/etc/app"},
                {
                    "name": "kube-api-access",
                    "readOnly": True,
                    "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
                },
            ],
            "livenessProbe": {
                "httpGet": {"path": "/healthz", "port": "http", "scheme": "HTTP"},
                "initialDelaySeconds": 10,
                **probe,
            },
            "readinessProbe": {
                "httpGet": {"path": "/readyz", "port": "http", "scheme": "HTTP"},
                **probe,
            },
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
            "imagePullPolicy": "IfNotPresent",
        }

    # Pods -----------------------------------------------------------------------------------------

    def _shared(self, work: Workload) -> Json:
        """What all pods of a workload have in common."""
        if work.shared:
            return work.shared
        at = timestamp(work.created)
        work.shared = {
            "labels": {**work.labels, "pod-template-hash": work.hash},
            "annotations": {
                "checksum/config": self.rng.randbytes(32).hex(),
                "prometheus.io/port": str(work.port),
                "prometheus.io/scrape": "true",
            },
            "owners": [owner_reference("apps/v1", "ReplicaSet", f"{work.name}-{work.hash}",
                              work.replica_set_uid)],
            "managed": managed_fields(at),
            "container": self._container(work),
            "volumes": [
                {
                    "name": "config",
                    "configMap": {"name": f"{work.name}-config", "defaultMode": 420},
                },
                {"name": "kube-api-access", "projected": TOKEN_VOLUME},
            ],
            "image_id": f"{work.image.partition(':')[0]}@sha256:{self.rng.randbytes(32).hex()}",
        }  # fmt: skip
        return work.shared

    def pod(self, work: Workload, node: str, *, new: bool = False) -> Json:
        """A pod of a workload on a node; a new one is still Pending."""
        rng = self.rng
        shared = self._shared(work)
        created = self.now if new else min(self.now, work.created + rng.random() * _DAY)
        name = f"{work.name}-{work.hash}-{self.suffix()}"
        work.replicas += 1
        metadata = self._meta(
            name,
            work.namespace,
            created,
            generateName=f"{work.name}-{work.hash}-",
            generation=1,
            labels=shared["labels"],
            annotations=shared["annotations"],
            ownerReferences=shared["owners"],
            managedFields=shared["managed"],
        )
        spec = {
            "volumes": shared["volumes"],
            "containers": [shared["container"]],
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "serviceAccountName": "default",
            "serviceAccount": "default",
            "nodeName": node,
            "securityContext": {},
            "schedulerName": "default-scheduler",
            "tolerations": TOLERATIONS,
            "priority": 0,
            "enableServiceLinks": True,
            "preemptionPolicy": "PreemptLowerPriority",
        }
        status = self.pending_status(created) if new else self._pod_status(work, created)
        return {"metadata": metadata, "spec": spec, "status": status}

    def pending_status(self, created: float) -> Json:
        """The status of a pod that was just scheduled."""
        at = timestamp(created)
        return {
            "phase": "Pending",
            "conditions": [make_condition("PodScheduled", "True", at)],
            "startTime": at,
            "qosClass": "Burstable",
        }

    def _pod_status(self, work: Workload, created: float) -> Json:
        fate = self.rng.random()
        if fate < 0.94:
            restarts = self.rng.randint(1, 9) if self.rng.random() < 0.08 else 0
            return self.running_status(work.image, created, restarts, work.shared["image_id"])
        if fate < 0.96:
            return self.pending_status(created)
        if fate < 0.98:
            status = self.running_status(work.image, created, 7, work.shared["image_id"])
            container = status["containerStatuses"][0]
            container.update(ready=False, started=False)
            container["state"] = {
                "waiting": {
                    "reason": "CrashLoopBackOff",
                    "message": "back-off 5m0s restarting failed container=main",
                }
            }
            set_ready(status, "False")
            return status
        return {**self.running_status(work.image, created, 0, ""), "phase": "Succeeded"}

    def running_status(
        self, image: str, created: float, restarts: int, image_id: str, *, started: float = 0
    ) -> Json:
        """The status of a pod that runs and is ready."""
        rng = self.rng
        at = timestamp(created)
        ready_at = timestamp(started or created + 8)
        pod_ip = f"10.{rng.randint(0, 63)}.{rng.randint(0, 255)}.{rng.randint(2, 254)}"
        host_ip = f"192.168.{rng.randint(0, 15)}.{rng.randint(2, 254)}"
        last: Json = {}
        if restarts:
            ended = max(created, self.now - rng.random() * _DAY)
            last = {
                "terminated": {
                    "exitCode": 137,
                    "reason": "OOMKilled",
                    "startedAt": at,
                    "finishedAt": timestamp(ended),
                    "containerID": f"containerd://{rng.randbytes(32).hex()}",
                }
            }
        container = {
            "name": "main",
            "state": {"running": {"startedAt": ready_at}},
            "lastState": last,
            "ready": True,
            "restartCount": restarts,
            "image": image,
            "imageID": image_id,
            "containerID": f"containerd://{rng.randbytes(32).hex()}",
            "started": True,
        }
        conditions = [
            make_condition("PodReadyToStartContainers", "True", ready_at),
            make_condition("Initialized", "True", at),
            make_condition("Ready", "True", ready_at),
            make_condition("ContainersReady", "True", ready_at),
            make_condition("PodScheduled", "True", at),
        ]
        return {
            "observedGeneration": 1,
            "phase": "Running",
            "conditions": conditions,
            "hostIP": host_ip,
            "hostIPs": [{"ip": host_ip}],
            "podIP": pod_ip,
            "podIPs": [{"ip": pod_ip}],
            "startTime": at,
            "containerStatuses": [container],
            "qosClass": "Burstable",
        }

    # Others ---------------------------------------------------------------------------------------

    def node(self, position: int) -> Json:
        """A node; the first three carry the control plane."""
        rng = self.rng
        name = f"node-{position:04d}"
        at = timestamp(self.now - 60 * _DAY)
        control = position < 3
        labels = {
            "beta.kubernetes.io/arch": "amd64",
            "beta.kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "node.kubernetes.io/instance-type": "m6i.2xlarge",
            "topology.kubernetes.io/region": "eu-central-1",
            "topology.kubernetes.io/zone": f"eu-central-1{rng.choice('abc')}",
        }
        if control:
            labels["node-role.kubernetes.io/control-plane"] = ""
        size = {"cpu": "8", "ephemeral-storage": "101430960Ki", "memory": "32384848Ki",
                "pods": "110"}  # fmt: skip
        heartbeat = timestamp(self.now)
        conditions = [
            {
                "type": kind,
                "status": status,
                "lastHeartbeatTime": heartbeat,
                "lastTransitionTime": at,
                "reason": reason,
                "message": message,
            }
            for kind, status, reason, message in NODE_CONDITIONS
        ]
        return {
            "metadata": self._meta(
                name,
                created=self.now - 60 * _DAY,
                labels=labels,
                annotations={"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
            ),
            "spec": {"podCIDR": f"10.{position % 64}.{position // 64}.0/24"},
            "status": {
                "capacity": size,
                "allocatable": size,
                "conditions": conditions,
                "addresses": [
                    {"type": "InternalIP", "address": f"192.168.{position // 250}."
                                                      f"{position % 250 + 2}"},
                    {"type": "Hostname", "address": name},
                ],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
                "nodeInfo": {
                    "machineID": rng.randbytes(16).hex(),
                    "systemUUID": self.uid(),
                    "bootID": self.uid(),
                    "kernelVersion": "6.8.0-1021-aws",
                    "osImage": "Ubuntu 24.04.2 LTS",
                    "containerRuntimeVersion": "containerd://2.1.4",
                    "kubeletVersion": "v1.36.3",
                    "kubeProxyVersion": "",
                    "operatingSystem": "linux",
                    "architecture": "amd64",
                },
            },
        }  # fmt: skip

    def service(self, work: Workload) -> Json:
        """A Service in front of a workload."""
        rng = self.rng
        balancer = rng.random() < 0.05
        ip = f"10.96.{rng.randint(0, 255)}.{rng.randint(2, 254)}"
        port: Json = {"name": "http", "protocol": "TCP", "port": 80, "targetPort": "http"}
        status: Json = {"loadBalancer": {}}
        if balancer:
            port["nodePort"] = rng.randint(30000, 32767)
            status = {"loadBalancer": {"ingress": [{"ip": f"203.0.113.{rng.randint(2, 254)}"}]}}
        return {
            "metadata": self._meta(work.name, work.namespace, work.created, labels=work.labels),
            "spec": {
                "ports": [port],
                "selector": match_labels(work.labels),
                "clusterIP": ip,
                "clusterIPs": [ip],
                "type": "LoadBalancer" if balancer else "ClusterIP",
                "sessionAffinity": "None",
                "ipFamilies": ["IPv4"],
                "ipFamilyPolicy": "SingleStack",
                "internalTrafficPolicy": "Cluster",
            },
            "status": status,
        }

    def config_map(self, position: int, namespaces: list[str]) -> Json:
        """A ConfigMap of one to four kilobytes."""
        rng = self.rng
        lines = [f"setting_{i}: {rng.randbytes(12).hex()}" for i in range(rng.randint(25, 90))]
        return {
            "metadata": self._meta(
                f"config-{self._serial}-{position}",
                rng.choice(namespaces),
                labels={"app.kubernetes.io/managed-by": "Helm"},
            ),
            "data": {"config.yaml": "\n".join(lines) + "\n", "log-level": "info"},
        }

    def secret(self, position: int, namespaces: list[str]) -> Json:
        """An Opaque Secret with random values."""
        rng = self.rng
        values = {
            key: base64.b64encode(rng.randbytes(24)).decode() for key in ("password", "token")
        }
        return {
            "metadata": self._meta(f"secret-{self._serial}-{position}", rng.choice(namespaces)),
            "data": values,
            "type": "Opaque",
        }

    def event(self, pod: Json) -> Json:
        """An Event about a pod."""
        rng = self.rng
        kind, reason, message = rng.choice(EVENTS)
        meta = pod["metadata"]
        at = self.now - rng.random() * 3600
        node = pod["spec"].get("nodeName", "")
        return {
            "metadata": self._meta(
                f"{meta['name']}.{rng.getrandbits(64):016x}", meta["namespace"], at
            ),
            "involvedObject": {
                "kind": "Pod",
                "namespace": meta["namespace"],
                "name": meta["name"],
                "uid": meta["uid"],
                "apiVersion": "v1",
                "fieldPath": "spec.containers{main}",
            },
            "reason": reason,
            "message": message,
            "source": {"component": "kubelet", "host": node},
            "firstTimestamp": timestamp(at),
            "lastTimestamp": timestamp(at),
            "count": rng.randint(1, 20),
            "type": kind,
            "eventTime": None,
            "reportingComponent": "kubelet",
            "reportingInstance": node,
        }

    def lease(self, node: str) -> Json:
        """A node's Lease."""
        return {
            "metadata": self._meta(node, "kube-node-lease"),
            "spec": {
                "holderIdentity": node,
                "leaseDurationSeconds": 40,
                "renewTime": micro_timestamp(self.now),
            },
        }
