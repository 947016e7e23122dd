"""Generated workloads, and the pods that they make."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, field
from typing import Any

from vai.testing.durations import timestamp
from vai.testing.generate_parts import (
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
_APPS = (
    "api", "web", "worker", "cart", "checkout", "catalog", "gateway", "ingest", "indexer",
    "mailer", "scheduler", "session", "thumbs", "ranking", "ledger", "quota",
)  # fmt: skip
_DAY = 86400.0
_REGISTRY = "registry.example.com"


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


class PodGenerator:
    """Makes deployments, their replica sets and their pods."""

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
