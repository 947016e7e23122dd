"""Generated objects that look like a real cluster's: about 5 KB a pod, the same for a seed.

Keys stand in the order of Kubernetes' Go structs, as a real server sends them.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass

from vai.testing.durations import micro_timestamp, timestamp
from vai.testing.generate_parts import (
    EVENTS,
    NODE_CONDITIONS,
    match_labels,
)
from vai.testing.generate_pods import PodGenerator, Workload
from vai.testing.objects import Json

_TEAMS = ("shop", "billing", "search", "media", "data", "auth", "edge", "ml")
_STAGES = ("prod", "staging", "dev")
_DAY = 86400.0


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


class Generator(PodGenerator):
    """Makes objects; every one is a fresh dict except for parts that nobody changes."""

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
