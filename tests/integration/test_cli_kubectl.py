"""`vai get` prints what real kubectl prints against the same real kube-apiserver.

Ages pass between the two commands, so kubectl is asked before and after, and the comparison is
repeated where an age changed meanwhile.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.apiserver import objects
from tests.apiserver.build import Binaries
from tests.apiserver.client import RequestError
from tests.apiserver.server import VAI, ApiServer
from tests.integration.real import services, vai_sync

pytestmark = pytest.mark.slow

Json = dict[str, Any]
RESOURCES = (
    "pods,deployments,replicasets,services,nodes,namespaces,configmaps,secrets,events,jobs,"
    "cronjobs,widgets,roles,clusterroles,customresourcedefinitions,serviceaccounts,statefulsets"
)
NAMESPACE = "team-00"
_TRIES = 5


def ago(**delta: float) -> str:
    return (datetime.now(UTC) - timedelta(**delta)).strftime("%Y-%m-%dT%H:%M:%SZ")


def meta(name: str, number: int, created: str) -> Json:
    uid = f"00000000-0000-4000-8000-{number:012d}"
    return {"name": name, "namespace": NAMESPACE, "uid": uid, "creationTimestamp": created}


def template(restart: str) -> Json:
    containers = [{"name": "main", "image": "job:1", "imagePullPolicy": "IfNotPresent"}]
    return {"metadata": {}, "spec": {"containers": containers, "restartPolicy": restart}}


def jobs() -> Iterator[Json]:
    for number, (start, end) in enumerate(
        ((ago(hours=9), None), (ago(hours=30), ago(hours=29, minutes=3)), (None, None))
    ):
        status: Json = {"succeeded": 1} if end else {}
        times = {"startTime": start, "completionTime": end}
        status |= {name: time for name, time in times.items() if time}
        yield {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": meta(f"job-{number}", 100 + number, ago(days=4)),
            "spec": {"parallelism": 1, "completions": 1 + number, "template": template("Never")},
            "status": status,
        }


def cron_jobs() -> Iterator[Json]:
    for number, last in enumerate((None, ago(hours=11), ago(days=3, hours=2))):
        yield {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": meta(f"cron-{number}", 200 + number, ago(days=40)),
            "spec": {
                "schedule": "0 * * * *",
                "suspend": number == 1,
                "concurrencyPolicy": "Allow",
                "jobTemplate": {"metadata": {}, "spec": {"template": template("Never")}},
            },
            "status": {"lastScheduleTime": last} if last else {},
        }


def events() -> Iterator[Json]:
    one: Json = {"firstTimestamp": ago(hours=20), "lastTimestamp": ago(hours=9), "count": 3}
    new: Json = {"eventTime": ago(hours=30)[:-1] + ".123456Z", "reportingComponent": "x/y"}
    series: Json = {"series": {"count": 9, "lastObservedTime": ago(hours=12)[:-1] + ".000001Z"}}
    for number, times in enumerate((one, new, new | series)):
        yield {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": meta(f"event-{number}", 300 + number, ago(hours=20)),
            "involvedObject": {"kind": "Pod", "name": f"web-{number}", "namespace": NAMESPACE},
            "reason": "Happened",
            "message": f"  several\nlines {number} ",
            "type": "Warning",
            "source": {"component": "kubelet", "host": "node-1"},
            **times,
        }


def sidecar_pods() -> Iterator[Json]:
    """Restarts of init containers that stay, and of a pod that is still initialising."""
    for number, initialised in enumerate(("True", "False")):
        created = ago(days=2)
        container = {"image": "x:1", "imageID": "", "ready": True, "started": True}
        past = {"exitCode": 1, "reason": "Error", "startedAt": created}
        ended = {"terminated": past | {"finishedAt": ago(hours=10 + 20 * number)}}
        older = {"terminated": past | {"finishedAt": ago(hours=35)}}
        init = {"name": "proxy", "restartCount": 4, "state": {"running": {"startedAt": created}}}
        if number:
            init["state"] = {"waiting": {"reason": "CrashLoopBackOff"}}
        main = {"name": "main", "restartCount": 2, "state": {"running": {"startedAt": created}}}
        yield {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": meta(f"sidecar-{number}", 400 + number, created),
            "spec": {
                "containers": [{"name": "main", "image": "x:1"}],
                "initContainers": [{"name": "proxy", "image": "x:1", "restartPolicy": "Always"}],
                "nodeName": "node-00",
            },
            "status": {
                "phase": "Running",
                "conditions": [
                    {"type": "Initialized", "status": initialised, "lastTransitionTime": created}
                ],
                "initContainerStatuses": [
                    container | init | {"lastState": ended, "started": not number}
                ],
                "containerStatuses": [container | main | {"lastState": older}],
            },
        }


@pytest.fixture(scope="module")
def server(
    apiserver_binaries: Binaries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiServer]:
    with ApiServer(tmp_path_factory.mktemp("kubectl"), binaries=apiserver_binaries) as made:
        made.install_crd(objects.widget_crd())
        made.populate_etcd(
            [
                *objects.namespaces(4), *objects.pods(200, namespace_count=4),
                *objects.replica_sets(200, namespace_count=4),
                *objects.deployments(200, namespace_count=4),
                *objects.config_maps(20, namespace_count=4), *objects.nodes(5),
                *objects.secrets(10, namespace_count=4), *objects.widgets(30, namespace_count=4),
                *objects.rbac_objects(5, namespace_count=4), *jobs(), *cron_jobs(), *events(),
                *sidecar_pods(),
            ]
        )  # fmt: skip
        made.create_many(
            item | {"metadata": item["metadata"] | {"namespace": f"team-0{at % 4}"}}
            for at, item in enumerate(services(12))
        )
        yield made


@pytest.fixture(scope="module")
def file(server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("file") / "c.db"
    done = vai_sync(server, path, f"--resources={RESOURCES}")
    assert done.returncode == 0, done.stderr
    return path


def vai_get(file: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "vai", "get", *arguments, "--file", str(file)],
        capture_output=True, text=True, check=False, env=dict(os.environ), timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def kubectl(server: ApiServer, *arguments: str) -> str:
    return server.kubectl("get", *arguments, user=VAI)


TABLES = [
    *((name, "-A") for name in RESOURCES.split(",")),
    *((name, "-A", "-o", "wide") for name in RESOURCES.split(",")),
    ("pods", "-n", NAMESPACE),
    ("pods", "-n", NAMESPACE, "--no-headers"),
    ("pods", "-n", NAMESPACE, "--show-labels"),
    ("pods,services,widgets", "-n", NAMESPACE),
    ("deploy,rs,svc,nodes", "-A", "-o", "wide"),
    ("events,jobs,pods", "-n", NAMESPACE, "--no-headers"),
    ("wdg", "-n", NAMESPACE, "--show-labels", "-o", "wide"),
    ("Pod", "-A", "--field-selector", "status.phase=Pending"),
    ("po", "-A", "-l", "app.kubernetes.io/name,!nothing"),
    ("job/job-1", "cronjob/cron-1", "job/job-0", "-n", NAMESPACE),
    ("jobs", "job-0", "job-1", "-n", NAMESPACE),
    ("statefulsets,jobs", "-n", NAMESPACE),
    ("pods", "-A", "-o", "name"),
    ("deploy,roles,wdg,nodes", "-A", "-o", "name"),
]


@pytest.mark.parametrize("arguments", TABLES, ids=" ".join)
def test_the_output_is_kubectls(server: ApiServer, file: Path, arguments: tuple[str, ...]) -> None:
    pairs = []
    for _ in range(_TRIES):
        before, ours = kubectl(server, *arguments), vai_get(file, *arguments)
        if ours in (before, kubectl(server, *arguments)):
            return
        pairs.append((before, ours))
    theirs, ours = pairs[-1]
    assert ours.splitlines() == theirs.splitlines()
    assert ours == theirs


@pytest.mark.parametrize(
    "arguments",
    [
        ("pods", "-n", NAMESPACE),
        ("pods,widgets", "-A"),
        ("job", "job-1", "-n", NAMESPACE),
        ("job", "job-1", "job-0", "-n", NAMESPACE),
        ("clusterroles",),
        ("crd",),
        ("pods", "-n", "default"),
    ],
    ids=" ".join,
)
def test_documents_hold_what_kubectls_hold(
    server: ApiServer, file: Path, arguments: tuple[str, ...]
) -> None:
    # kubectl hides managedFields of what it prints, unless told otherwise.
    theirs = json.loads(kubectl(server, *arguments, "-o", "json", "--show-managed-fields"))
    ours = json.loads(vai_get(file, *arguments, "-o", "json"))
    if theirs["kind"] == "List":
        theirs.pop("metadata"), ours.pop("metadata")
    assert ours == theirs
    written = yaml.safe_load(vai_get(file, *arguments, "-o", "yaml"))
    written.pop("metadata") if theirs["kind"] == "List" else None
    assert json.loads(json.dumps(written)) == theirs


@pytest.mark.parametrize("arguments", [("job", "job-1"), ("wdg",), ("nodes",), ("events",)])
def test_yaml_is_written_as_kubectl_writes_it(
    server: ApiServer, file: Path, arguments: tuple[str, ...]
) -> None:
    place = ("-n", NAMESPACE)
    theirs = kubectl(server, *arguments, *place, "-o", "yaml", "--show-managed-fields")
    ours = vai_get(file, *arguments, *place, "-o", "yaml")
    # The list's own resourceVersion: kubectl leaves it empty.
    assert ours.splitlines()[:-1] == theirs.splitlines()[:-1]


def test_what_is_not_there_is_an_error_of_both(server: ApiServer, file: Path) -> None:
    with pytest.raises(RequestError, match='pods "nobody" not found'):
        kubectl(server, "pod", "nobody", "-n", NAMESPACE)
    done = subprocess.run(
        [sys.executable, "-m", "vai", "get", "pod", "nobody", "-n", NAMESPACE, "--file", str(file)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert 'pods "nobody" not found' in done.stderr
