from __future__ import annotations

import time
from typing import Any

import pytest

from tests.unit.testing.conftest import TABLE, Client, pod
from vai.testing import Simulator
from vai.testing.durations import human_duration, parse_timestamp, timestamp
from vai.testing.jsonpath import JsonPath
from vai.testing.printers import CELLS


def cells(resource: str, obj: dict[str, Any]) -> list[Any]:
    obj.setdefault("metadata", {"name": "x"})
    now = time.time()
    return [c.at(now) if hasattr(c, "at") else c for c in CELLS[resource](obj)]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (-1.5, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (135, "2m15s"),
        (599, "9m59s"),
        (600, "10m"),
        (10799, "179m"),
        (10800, "3h"),
        (11460, "3h11m"),
        (28800, "8h"),
        (172799, "47h"),
        (172800, "2d"),
        (187200, "2d4h"),
        (691200, "8d"),
        (63072000, "2y"),
        (66528000, "2y40d"),
        (252288000, "8y"),
    ],
)
def test_durations_are_kubectls(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


def test_timestamps_go_both_ways() -> None:
    assert parse_timestamp(timestamp(1_700_000_000)) == 1_700_000_000
    assert parse_timestamp("2023-11-14T23:13:20.5+01:00") == 1_700_000_000.5
    assert parse_timestamp("yesterday") is None


def test_a_pod_table_has_the_servers_columns(api: Client, sim: Simulator) -> None:
    sim.add(pod("a"))
    table = api.get("/api/v1/pods?includeObject=Object", accept=TABLE).json
    assert [(c["name"], c["priority"]) for c in table["columnDefinitions"]] == [
        ("Name", 0),
        ("Ready", 0),
        ("Status", 0),
        ("Restarts", 0),
        ("Age", 0),
        ("IP", 1),
        ("Node", 1),
        ("Nominated Node", 1),
        ("Readiness Gates", 1),
    ]
    (row,) = table["rows"]
    assert row["cells"][:4] == ["a", "0/1", "Running", "0"]
    assert row["object"]["spec"]["nodeName"] == "n1"
    assert table["metadata"]["resourceVersion"] == str(sim.resource_version)


@pytest.mark.parametrize(("include", "kind"), [("Metadata", "PartialObjectMetadata"), ("", None)])
def test_rows_hold_what_was_asked_for(
    api: Client, sim: Simulator, include: str, kind: str | None
) -> None:
    sim.add(pod("a"))
    query = f"?includeObject={include}" if include else "?includeObject=None"
    row = api.get(f"/api/v1/pods{query}", accept=TABLE).json["rows"][0]
    assert (row["object"] or {}).get("kind") == kind


def test_an_unknown_include_is_refused(api: Client) -> None:
    answer = api.get("/api/v1/pods?includeObject=All", accept=TABLE)
    assert answer.status == 400
    assert answer.json["message"].startswith("Unable to convert to Table as requested")


def waiting(reason: str) -> dict[str, Any]:
    return {
        "name": "c",
        "restartCount": 3,
        "ready": False,
        "state": {"waiting": {"reason": reason}},
    }


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"phase": "Pending"}, ("0/1", "Pending", "0")),
        (
            {"phase": "Running", "containerStatuses": [waiting("CrashLoopBackOff")]},
            ("0/1", "CrashLoopBackOff", "3"),
        ),
        (
            {
                "phase": "Running",
                "containerStatuses": [
                    {"name": "c", "restartCount": 0, "ready": True, "state": {"running": {}}}
                ],
            },
            ("1/1", "Running", "0"),
        ),
        (
            {
                "phase": "Failed",
                "containerStatuses": [
                    {"name": "c", "restartCount": 0, "state": {"terminated": {"exitCode": 2}}}
                ],
            },
            ("0/1", "ExitCode:2", "0"),
        ),
        (
            {
                "phase": "Pending",
                "initContainerStatuses": [{"name": "i", "restartCount": 1, "state": {}}],
            },
            ("0/1", "Init:0/0", "1"),
        ),
        ({"phase": "Failed", "reason": "Evicted"}, ("0/1", "Evicted", "0")),
    ],
)
def test_a_pods_status_is_what_kubectl_shows(
    status: dict[str, Any], expected: tuple[str, str, str]
) -> None:
    obj = {"spec": {"containers": [{"name": "c"}]}, "status": status}
    assert tuple(cells("pods", obj)[1:4]) == expected


def test_a_restart_tells_when_and_a_deleted_pod_terminates() -> None:
    ended = timestamp(time.time() - 30)
    status = {
        "phase": "Running",
        "containerStatuses": [
            {
                "name": "c",
                "restartCount": 2,
                "ready": True,
                "state": {"running": {}},
                "lastState": {"terminated": {"finishedAt": ended}},
            }
        ],
    }
    obj = {
        "metadata": {"name": "x", "deletionTimestamp": ended},
        "spec": {"containers": [{}]},
        "status": status,
    }
    shown = cells("pods", obj)
    assert shown[2] == "Terminating"
    assert shown[3] in ("2 (30s ago)", "2 (31s ago)")


def test_other_kinds() -> None:
    service = {
        "spec": {
            "type": "LoadBalancer",
            "clusterIPs": ["10.0.0.1"],
            "ports": [{"port": 80, "nodePort": 30001, "protocol": "TCP"}],
        }
    }
    assert cells("services", service)[1:5] == [
        "LoadBalancer",
        "10.0.0.1",
        "<pending>",
        "80:30001/TCP",
    ]
    node = {
        "metadata": {"name": "n", "labels": {"node-role.kubernetes.io/worker": ""}},
        "spec": {"unschedulable": True},
        "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]},
    }
    assert cells("nodes", node)[1:3] == ["NotReady,SchedulingDisabled", "worker"]
    assert cells("secrets", {"type": "Opaque", "data": {"a": "", "b": ""}})[1:3] == ["Opaque", 2]


def test_a_kind_without_a_printer_shows_its_creation(api: Client, sim: Simulator) -> None:
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "r"},
        "rules": [],
    }
    created = sim.add(role)["metadata"]["creationTimestamp"]
    table = api.get("/apis/rbac.authorization.k8s.io/v1/roles", accept=TABLE).json
    assert [c["name"] for c in table["columnDefinitions"]] == ["Name", "Created At"]
    assert table["rows"][0]["cells"] == ["r", created]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (".spec.size", 3),
        ("spec.size", 3),
        (".spec.items[1].name", "b"),
        (".spec.items[-1].name", "b"),
        ('.status.conditions[?(@.type=="Ready")].status', "True"),
        (".status.conditions[?(@.type!='Ready')].status", "False"),
        (".spec.labels['a.b/c']", "q"),
        (r".spec.labels.a\.b/c", "q"),
        (".spec.items[*].name", "a"),
        (".spec.nothing.at.all", None),
    ],
)
def test_json_paths_of_columns(path: str, expected: Any) -> None:
    obj = {
        "spec": {"size": 3, "items": [{"name": "a"}, {"name": "b"}], "labels": {"a.b/c": "q"}},
        "status": {
            "conditions": [
                {"type": "Stale", "status": "False"},
                {"type": "Ready", "status": "True"},
            ]
        },
    }
    assert JsonPath(path).first(obj) == expected


def test_a_path_that_asks_for_more_is_refused() -> None:
    with pytest.raises(ValueError, match="unrecognized column definition"):
        JsonPath(".spec..size")
