"""A real kube-apiserver and the simulated one with the same objects, asked the same."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from tests.apiserver import objects
from tests.apiserver.client import Client
from tests.apiserver.server import ApiServer
from vai.testing import Simulator

Json = dict[str, Any]
_Name = TypeVar("_Name")

JSON: Final = "application/json"
TABLE: Final = f"{JSON};as=Table;g=meta.k8s.io;v=v1"
METADATA: Final = f"{JSON};as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST: Final = f"{JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

#: Columns that say how long ago something was.
RELATIVE: Final = frozenset({"Age", "Last Seen", "First Seen", "Last Schedule"})
#: The numbers in these messages are each server's own.
NUMBERS: Final = re.compile(r"(current: |resource version: |the current state is )\d+|\(\d+\)")
#: Why a token is no JSON, in the words of Go's decoder.
NOT_JSON: Final = re.compile(r"invalid character .*")
ADDRESS: Final = re.compile(r"^127\.0\.0\.1:\d+$")
BLANKS: Final = {
    "uid": "UID",
    "creationTimestamp": "TIME",
    # Of a CRD's conditions, which each server writes itself.
    "lastTransitionTime": "TIME",
    "continue": "TOKEN",
}


def check_equal(real: Any, simulated: Any) -> None:
    """Fails with the places that differ."""
    found = list(differences(plain(real), plain(simulated)))
    assert not found, "\n".join(found[:20])


def plain(value: Any) -> Any:
    return vars(value) if isinstance(value, Answer) else value


@dataclass(frozen=True)
class Answer:
    """What one server said, without what is its own: uids, resourceVersions, times, tokens."""

    status: int
    content_type: str
    body: Any


class Pair:
    """Both servers, filled alike."""

    def __init__(self, real: ApiServer, simulator: Simulator) -> None:
        self.real = real
        self.simulator = simulator
        headers = {"Accept": JSON, "User-Agent": "vai-tests/1.0"}
        self.clients = {
            "real": real._client("admin"),
            "simulated": Client(simulator.url, headers=headers),
        }

    def close(self) -> None:
        """Closes the connections; a restarted server no longer knows of those made before."""
        for client in self.clients.values():
            client.close()

    def ask(
        self,
        path: str,
        accept: str = JSON,
        *,
        method: str = "GET",
        body: object = None,
        **headers: str,
    ) -> tuple[Answer, Answer]:
        """The same request to both; the real server's answer first."""
        sent = {"Accept": accept} | {k.replace("_", "-"): v for k, v in headers.items()}
        found = []
        for client in self.clients.values():
            answer = client.request(method, path, body, headers=sent)
            kind = answer.headers.get("Content-Type", "")
            found.append(Answer(answer.status, kind, normal(decoded(answer.body, kind))))
        return found[0], found[1]

    def pages(self, path: str, accept: str = JSON) -> tuple[list[Any], list[Any]]:
        """All pages of a list, each server followed with its own tokens."""
        every = []
        for client in self.clients.values():
            pages, token = [], ""
            while True:
                query = f"&continue={token}" if token else ""
                answer = client.request("GET", path + query, headers={"Accept": accept})
                body = json.loads(answer.body)
                pages.append((answer.status, normal(body)))
                token = body["metadata"].get("continue", "")
                if not token:
                    break
            every.append(pages)
        return every[0], every[1]

    def versions(self, path: str) -> dict[str, str]:
        """The resourceVersion of a list, by server."""
        return {
            name: str(json.loads(client.request("GET", path).body)["metadata"]["resourceVersion"])
            for name, client in self.clients.items()
        }

    def watch(
        self,
        requests: Mapping[_Name, tuple[str, str]],
        *,
        since: Mapping[str, str] | None = None,
        meanwhile: Callable[[Client], None] | None = None,
    ) -> dict[_Name, tuple[list[Any], list[Any]]]:
        """The events of the same watches at both, all at once, until the servers end them.

        Args:
            requests: path with its query, which has a `timeoutSeconds`, and media type; by name.
            since: a resourceVersion for each server.
            meanwhile: called with each server's client a moment after the watches began.
        """
        with ThreadPoolExecutor(2 * len(requests) + 2) as pool:
            running = {
                name: [
                    pool.submit(_events, client, path, accept, (since or {}).get(server))
                    for server, client in self.clients.items()
                ]
                for name, (path, accept) in requests.items()
            }
            if meanwhile:
                time.sleep(1)
                for done in [pool.submit(meanwhile, client) for client in self.clients.values()]:
                    done.result()
            return {
                name: (real.result(), simulated.result())
                for name, (real, simulated) in running.items()
            }


def _events(client: Client, path: str, accept: str, since: str | None) -> list[Any]:
    """The events of one watch, of bookmarks that follow one another only the last."""
    version = f"&resourceVersion={since}" if since else ""
    stream = client.stream(f"{path}&watch=1{version}", timeout_s=30, headers={"Accept": accept})
    found = one_bookmark(map(json.loads, stream))
    if since:
        versions = [version_of(event) for event in found if event["type"] != "ERROR"]
        assert versions == sorted(versions)
    return columns_once([normal(event) for event in found])


def columns_once(events: list[Json]) -> list[Json]:
    """Columns of the first event alone: the real server repeats them now and then in the next."""
    for event in events[1:]:
        if event["object"].get("columnDefinitions"):
            event["object"]["columnDefinitions"] = None
    return events


def one_bookmark(events: Iterable[Json]) -> list[Json]:
    """Of bookmarks that follow one another only the last, or the end of the initial events.

    How many there are depends on when in its second the server began.
    """
    found: list[Json] = []
    for event in events:
        if event["type"] == "BOOKMARK" and found and found[-1]["type"] == "BOOKMARK":
            if found[-1]["object"]["metadata"].get("annotations"):
                continue
            found.pop()
        found.append(event)
    return found


def version_of(event: Json) -> int:
    """The resourceVersion of an event; of a Table's, that of its row."""
    item = event["object"]
    if item.get("kind") == "Table" and item["rows"]:
        row = item["rows"][0].get("object") or item
        item = row if row["metadata"].get("resourceVersion") else item
    return int(item["metadata"].get("resourceVersion") or 0)


def decoded(body: bytes, content_type: str) -> Any:
    """JSON as values (the events of a watch as a list), anything else as text."""
    if not content_type.startswith(JSON) or not body:
        return body.decode()
    if b'"type":' in body[:10]:
        return one_bookmark(map(json.loads, body.splitlines()))
    return json.loads(body)


def normal(value: Any) -> Any:
    """Without what no two servers share."""
    if isinstance(value, list):
        return [normal(item) for item in value]
    if isinstance(value, str):
        return ADDRESS.sub("ADDRESS", value)
    if not isinstance(value, dict):
        return value
    found = {key: normal(item) for key, item in value.items() if key != "managedFields"}
    if found.get("kind") == "Table":
        _blank_ages(found)
    if isinstance(found.get("message"), str):
        found["message"] = NOT_JSON.sub("not JSON", NUMBERS.sub(r"\1N", found["message"]))
    if found.get("resourceVersion") not in (None, "", "0"):
        found["resourceVersion"] = "RV"
    found.update({key: blank for key, blank in BLANKS.items() if found.get(key)})
    if isinstance(found.get("annotations"), dict):
        _drop_generation(found)
    return found


def _drop_generation(metadata: Json) -> None:
    """The real server keeps it as a field of DaemonSets, which bare metadata does not have."""
    metadata["annotations"].pop("deprecated.daemonset.template.generation", None)
    if not metadata["annotations"]:
        del metadata["annotations"]


def _blank_ages(table: Json) -> None:
    names = [column["name"] for column in table.get("columnDefinitions") or ()]
    # Only the first event of a watch has columns; the others have the same ones.
    for row in table.get("rows") or ():
        row["cells"] = [
            "AGE" if name in RELATIVE or (not names and _is_age(cell)) else cell
            for name, cell in zip(names or row["cells"], row["cells"], strict=True)
        ]


def _is_age(cell: object) -> bool:
    return isinstance(cell, str) and re.fullmatch(r"(\d+[smhdy])+", cell) is not None


def fill(real: ApiServer) -> None:
    """Some of every kind that the simulator prints in a way of its own."""
    real.install_crd(objects.widget_crd())
    real.create_many(objects.namespaces(2))
    real.create_many(objects.nodes(3), with_status=True)
    for made in (
        objects.pods(16, namespace_count=2),
        objects.replica_sets(16, namespace_count=2),
        objects.deployments(16, namespace_count=2),
        objects.config_maps(9, namespace_count=2),
        objects.secrets(5, namespace_count=2),
        objects.rbac_objects(3, namespace_count=2),
        objects.widgets(9, namespace_count=2),
    ):
        real.create_many(made, with_status=True)
    for path, body in others():
        real.must("POST", path, body)


def copy_all(real: ApiServer, simulator: Simulator) -> None:
    """Puts all objects of the real server into the simulator."""
    for resource in sorted(simulator.resources, key=lambda found: found.name != CRDS):
        if "list" not in resource.verbs or resource.full_name in NOT_COPIED:
            continue
        root = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.version}"
        answer = real.get(f"{root}/{resource.name}")
        kind = {"kind": answer["kind"].removesuffix("List"), "apiVersion": answer["apiVersion"]}
        simulator.apply(*(kind | item for item in answer["items"]))
        if resource.name == CRDS:
            names = (item["metadata"]["name"] for item in answer["items"])
            for name in names:
                plural, _, group = name.partition(".")
                for item in real.get(f"/apis/{group}/v1/{plural}")["items"]:
                    simulator.apply(item)


CRDS: Final = "customresourcedefinitions"
#: Each server writes its own, all the time.
NOT_COPIED: Final = frozenset({"leases.coordination.k8s.io", "events.events.k8s.io"})


def others() -> Iterator[tuple[str, Json]]:
    """(where to POST it, object) of kinds whose columns are computed in a way of their own."""
    core, space = "/api/v1/namespaces/team-00", {"namespace": "team-00"}
    apps, batch = "/apis/apps/v1/namespaces/team-00", "/apis/batch/v1/namespaces/team-00"
    containers = [{"name": "main", "image": "registry.example.com/main:1"}]
    template: Json = {
        "metadata": {"labels": {"app": "x"}},
        "spec": {"containers": containers},
    }
    selector = {"matchLabels": {"app": "x"}}
    job = {
        "completions": 3,
        "template": {"spec": template["spec"] | {"restartPolicy": "Never"}},
    }
    for name, spec in (
        ("web", {"ports": [{"port": 80}], "selector": {"app": "x"}}),
        ("none", {"ports": [{"name": "a", "port": 53, "protocol": "UDP"}], "clusterIP": "None"}),
        ("outside", {"type": "ExternalName", "externalName": "db.example.com"}),
    ):
        yield f"{core}/services", {"metadata": {"name": name} | space, "spec": spec}
    set_spec = {"selector": selector, "template": template}
    yield (
        f"{apps}/statefulsets",
        {
            "metadata": {"name": "db"} | space,
            "spec": set_spec | {"serviceName": "db", "replicas": 3},
        },
    )
    yield (
        f"{apps}/daemonsets",
        {
            "metadata": {"name": "agent"} | space,
            "spec": {
                "selector": selector,
                "template": {
                    **template,
                    "spec": template["spec"] | {"nodeSelector": {"os": "linux"}},
                },
            },
        },
    )
    yield f"{batch}/jobs", {"metadata": {"name": "once"} | space, "spec": job}
    yield (
        f"{batch}/cronjobs",
        {
            "metadata": {"name": "nightly"} | space,
            "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": job}},
        },
    )
    yield f"{core}/serviceaccounts", {"metadata": {"name": "robot"} | space}
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}}
    yield (
        f"{core}/persistentvolumeclaims",
        {
            "metadata": {"name": "data"} | space,
            "spec": claim | {"storageClassName": "fast"},
        },
    )
    yield (
        "/api/v1/persistentvolumes",
        {
            "metadata": {"name": "disk-1"},
            "spec": {
                "capacity": {"storage": "10Gi"},
                "accessModes": ["ReadWriteOnce", "ReadOnlyMany"],
                "hostPath": {"path": "/data"},
                "storageClassName": "fast",
            },
        },
    )
    yield (
        "/apis/storage.k8s.io/v1/storageclasses",
        {
            "metadata": {"name": "fast"},
            "provisioner": "example.com/disk",
        },
    )
    yield (
        f"{core}/events",
        {
            "metadata": {"name": "web.1"} | space,
            "involvedObject": {"kind": "Pod", "name": "web-0"} | space,
            "type": "Warning",
            "reason": "BackOff",
            "message": "back-off restarting\n",
            "count": 3,
            "source": {"component": "kubelet", "host": "node-001"},
            "firstTimestamp": "2026-01-01T00:00:00Z",
            "lastTimestamp": "2026-01-01T00:05:00Z",
        },
    )
    yield (
        "/apis/networking.k8s.io/v1/namespaces/team-00/ingresses",
        {
            "metadata": {"name": "front"} | space,
            "spec": {
                "ingressClassName": "nginx",
                "tls": [{"hosts": ["a.example.com"], "secretName": "cert"}],
                "rules": [{"host": "a.example.com"}, {"host": "b.example.com"}],
            },
        },
    )
    yield (
        "/apis/policy/v1/namespaces/team-00/poddisruptionbudgets",
        {
            "metadata": {"name": "keep"} | space,
            "spec": {"minAvailable": "50%", "selector": selector},
        },
    )
    yield (
        "/apis/autoscaling/v2/namespaces/team-00/horizontalpodautoscalers",
        {
            "metadata": {"name": "grow"} | space,
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "maxReplicas": 5,
                "metrics": [
                    {
                        "type": "Resource",
                        "resource": {
                            "name": "cpu",
                            "target": {"type": "Utilization", "averageUtilization": 60},
                        },
                    }
                ],
            },
        },
    )
    yield (
        "/apis/networking.k8s.io/v1/namespaces/team-00/networkpolicies",
        {
            "metadata": {"name": "deny"} | space,
            "spec": {"podSelector": {"matchLabels": {"app": "x"}}},
        },
    )
    yield (
        "/api/v1/namespaces/team-00/resourcequotas",
        {
            "metadata": {"name": "some"} | space,
            "spec": {"hard": {"pods": "10", "requests.cpu": "4"}},
        },
    )
    yield (
        "/api/v1/namespaces/team-00/limitranges",
        {
            "metadata": {"name": "some"} | space,
            "spec": {"limits": [{"type": "Container", "default": {"cpu": "1"}}]},
        },
    )
    yield (
        "/apis/scheduling.k8s.io/v1/priorityclasses",
        {
            "metadata": {"name": "urgent"},
            "value": 1000,
        },
    )


def differences(real: Any, simulated: Any, where: str = "") -> Iterator[str]:
    """Where two values differ, one line each."""
    if isinstance(real, dict) and isinstance(simulated, dict):
        for key in {**real, **simulated}:
            if key not in simulated:
                yield f"{where}.{key}: simulated lacks {real[key]!r:.200}"
            elif key not in real:
                yield f"{where}.{key}: simulated has {simulated[key]!r:.200}"
            else:
                yield from differences(real[key], simulated[key], f"{where}.{key}")
    elif isinstance(real, list) and isinstance(simulated, list):
        if len(real) != len(simulated):
            yield f"{where}: {len(real)} real, {len(simulated)} simulated"
        for index, (one, other) in enumerate(zip(real, simulated, strict=False)):
            yield from differences(one, other, f"{where}[{index}]")
    elif real != simulated or type(real) is not type(simulated):
        yield f"{where}: real {real!r:.300}, simulated {simulated!r:.300}"
