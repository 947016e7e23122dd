from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from tests.unit.cli.support import (
    DEPLOYMENTS,
    NAME,
    NODES,
    PODS,
    SECRETS,
    SERVICES,
    WIDGETS,
    Builder,
    Run,
    column,
    meta,
)
from vai.store import boottime_s
from vai.types import Redaction, State


def ago(**delta: float) -> str:
    return (datetime.now(UTC) - timedelta(**delta)).strftime("%Y-%m-%dT%H:%M:%SZ")


def pod(name: str, namespace: str = "default", **more: Any) -> dict[str, Any]:
    return {"metadata": meta(name, namespace, creationTimestamp=ago(days=3), **more)}


def test_a_table_has_the_servers_columns_and_ages_of_now(build: Builder, run: Run) -> None:
    build.pods(pod("web-0"), pod("a-much-longer-name"))
    done = run("get", "pods")
    assert done.stdout == (
        "NAME                 READY   STATUS    RESTARTS   AGE\n"
        "a-much-longer-name   1/1     Running   0          3d\n"
        "web-0                1/1     Running   0          3d\n"
    )
    assert (done.exit_code, done.stderr) == (0, "")


def test_wide_shows_the_columns_of_lower_priority(build: Builder, run: Run) -> None:
    build.pods(pod("web-0"))
    assert run("get", "po", "-o", "wide").stdout.splitlines() == [
        "NAME    READY   STATUS    RESTARTS   AGE   IP",
        "web-0   1/1     Running   0          3d    10.0.0.1",
    ]


def test_all_namespaces_have_a_column_and_etcds_order(build: Builder, run: Run) -> None:
    build.pods(pod("b", "team"), pod("a", "team-a"))
    lines = run("get", "pods", "-A", "--no-headers").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [["team-a", "a"], ["team", "b"]]


def test_the_namespace_is_that_of_the_recorded_context(build: Builder, run: Run) -> None:
    build.bind("shop")
    build.pods(pod("web-0", "shop"), pod("other"))
    assert run("get", "pods", "-o", "name").stdout == "pod/web-0\n"


def test_several_kinds_are_printed_with_their_kind_and_an_empty_line(
    build: Builder, run: Run
) -> None:
    build.pods(pod("web-0"))
    build.table(
        DEPLOYMENTS,
        [NAME, column("Ready")],
        [({"metadata": meta("web", "default")}, ["web", "1/1"])],
    )
    build.table(SERVICES, [NAME], [])
    assert run("get", "deploy,svc,pods").stdout == (
        "NAME                  READY\n"
        "deployment.apps/web   1/1\n"
        "\n"
        "NAME        READY   STATUS    RESTARTS   AGE\n"
        "pod/web-0   1/1     Running   0          3d\n"
    )


def test_all_is_kubectls_category_and_says_what_is_not_kept(build: Builder, run: Run) -> None:
    build.pods(pod("web-0"))
    done = run("get", "all", "-o", "name")
    assert (done.exit_code, done.stdout) == (0, "pod/web-0\n")
    assert done.stderr == "vai: not kept in the file: services, deployments.apps\n"


def test_restarts_tell_the_time_since_the_last_termination(build: Builder, run: Run) -> None:
    item = pod("web-0")
    item["status"] = {
        "containerStatuses": [
            {"name": "a", "lastState": {"terminated": {"finishedAt": ago(minutes=5)}}},
            {"name": "b", "lastState": {"terminated": {"finishedAt": ago(hours=9)}}},
            {"name": "c", "lastState": {}},
        ]
    }
    columns = [NAME, column("Restarts")]
    build.table(PODS, columns, [(item, ["web-0", "7 (2s ago)"])])
    assert run("get", "pods", "--no-headers").stdout.split() == ["web-0", "7", "(5m", "ago)"] or (
        run("get", "pods", "--no-headers").stdout.split()[2] in {"(5m1s", "(5m2s"}
    )


def test_labels_are_shown_sorted(build: Builder, run: Run) -> None:
    build.pods(pod("a", labels={"z": "1", "app": "x"}), pod("b"))
    lines = run("get", "pods", "--show-labels", "--no-headers").stdout.splitlines()
    assert [line.split()[-1] for line in lines] == ["app=x,z=1", "<none>"]


def test_a_custom_resource_has_the_columns_of_its_definition(build: Builder, run: Run) -> None:
    definition = {
        "spec": {
            "versions": [
                {"name": "v0", "additionalPrinterColumns": [{"name": "Old", "jsonPath": ".x"}]},
                {
                    "name": "v1",
                    "additionalPrinterColumns": [
                        {"name": "Ready", "type": "string",
                         "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
                        {"name": "Size", "type": "integer", "jsonPath": ".spec.size",
                         "priority": 1},
                        {"name": "Born", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                    ],
                },
            ]
        }
    }  # fmt: skip
    build.store.put_document("crd/widgets.demo.io", json.dumps(definition).encode())
    item = {
        "metadata": meta("w", "default", creationTimestamp=ago(hours=50)),
        "spec": {"size": 3},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
    build.plain(WIDGETS, [item, {"metadata": meta("x", "default", creationTimestamp=None)}])
    assert run("get", "widgets", "-o", "wide").stdout.splitlines() == [
        "NAME   READY   SIZE   BORN",
        "w      True    3      2d2h",
        "x                     ",
    ]


def test_json_is_a_kubernetes_list(build: Builder, run: Run) -> None:
    build.pods(pod("a"), pod("b"))
    made = json.loads(run("get", "pods", "-o", "json").stdout)
    assert (made["apiVersion"], made["kind"]) == ("v1", "List")
    assert [item["kind"] for item in made["items"]] == ["Pod", "Pod"]
    assert [item["metadata"]["name"] for item in made["items"]] == ["a", "b"]


def test_json_of_one_name_is_the_object(build: Builder, run: Run) -> None:
    build.pods(pod("a"))
    for arguments in (("pod", "a"), ("pod/a",)):
        done = run("get", *arguments, "-o", "json")
        assert json.loads(done.stdout)["metadata"]["name"] == "a"


def test_json_of_several_names_or_of_nothing_is_a_list(build: Builder, run: Run) -> None:
    build.pods(pod("a"), pod("b"))
    assert len(json.loads(run("get", "pod", "a", "b", "-o", "json").stdout)["items"]) == 2
    empty = json.loads(run("get", "pods", "-n", "none", "-o", "json").stdout)
    assert empty["items"] == []


def test_yaml_holds_what_json_holds(build: Builder, run: Run) -> None:
    build.pods(pod("a", annotations={"n": "true", "m": "one\ntwo\n"}))
    one = yaml.safe_load(run("get", "pod", "a", "-o", "yaml").stdout)
    assert one == json.loads(run("get", "pod", "a", "-o", "json").stdout)
    many = yaml.safe_load(run("get", "pods", "-o", "yaml").stdout)
    assert many == json.loads(run("get", "pods", "-o", "json").stdout)


def test_an_absent_name_is_not_found(build: Builder, run: Run) -> None:
    build.pods(pod("a"))
    done = run("get", "pod", "nobody")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == 'vai: NotFound: pods "nobody" not found in namespace default\n'


def test_what_was_found_is_printed_beside_what_was_not(build: Builder, run: Run) -> None:
    build.pods(pod("a"))
    done = run("get", "pod", "a", "nobody", "-o", "name")
    assert (done.exit_code, done.stdout) == (1, "pod/a\n")
    assert "NotFound" in done.stderr


def test_what_was_never_synced_is_no_empty_answer(build: Builder, run: Run) -> None:
    scope = build.scope(PODS)
    build.store.set_state(scope, State.OFFLINE, "connection refused")
    for arguments in (("pods",), ("pod", "a"), ("pods", "-o", "json"), ("pods", "-A")):
        done = run("get", *arguments)
        assert (done.exit_code, done.stdout) == (1, ""), arguments
        assert "never synced" in done.stderr
        assert "connection refused" in done.stderr


def test_what_is_not_kept_says_what_is(build: Builder, run: Run) -> None:
    build.pods(pod("a", "shop"), namespace="shop")
    done = run("get", "pods", "-n", "other")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "pods" in done.stderr
    every = run("get", "pods", "-A")
    assert every.exit_code == 0
    assert "vai: pods: the file keeps only a part: pods in shop\n" in every.stderr


def test_an_old_answer_is_served_and_says_so(build: Builder, run: Run) -> None:
    scope = build.pods(pod("a"))
    build.store.proven(scope, boottime_s())
    build.store.set_state(scope, State.OFFLINE, "connection refused")
    time.sleep(1.1)
    done = run("get", "pods", "-o", "name", "--max-age", "1s")
    assert (done.exit_code, done.stdout) == (3, "pod/a\n")
    state, limit = done.stderr.splitlines()
    assert state.startswith("vai: pods: offline since ")
    assert state.endswith(": connection refused")
    assert limit.endswith("old, older than --max-age 1.0s")
    assert run("get", "pods", "--max-age", "1h").exit_code == 0


def test_redacted_objects_have_names_and_tables_but_no_documents(build: Builder, run: Run) -> None:
    item = {"metadata": meta("token", "default")}
    build.table(
        SECRETS, [NAME, column("Type"), column("Data")], [(item, ["token", "Opaque", 2])],
        redaction=Redaction.METADATA,
    )  # fmt: skip
    assert run("get", "secrets", "--no-headers").stdout.split() == ["token", "Opaque", "2"]
    assert run("get", "secrets", "-o", "name").stdout == "secret/token\n"
    for form in ("json", "yaml"):
        done = run("get", "secrets", "-o", form)
        assert (done.exit_code, done.stdout) == (1, "")
        assert "--secret-values" in done.stderr


def test_an_empty_table_says_so_on_stderr(build: Builder, run: Run) -> None:
    build.pods()
    build.table(NODES, [NAME], [])
    assert run("get", "pods").stderr == "No resources found in default namespace.\n"
    assert run("get", "pods", "-A").stderr == "No resources found\n"
    assert run("get", "nodes").stderr == "No resources found\n"


def test_a_bad_selector_has_a_caret_below_its_position(build: Builder, run: Run) -> None:
    build.pods()
    done = run("get", "pods", "-l", "app in ((a")
    assert done.exit_code == 1
    message, selector, caret = done.stderr.splitlines()
    assert message.startswith("vai: label selector: ")
    assert selector == "  app in ((a"
    assert caret.endswith("^")
    assert selector[len(caret) - 1] == "("


def test_an_unknown_resource_names_the_nearest(build: Builder, run: Run) -> None:
    build.pods()
    done = run("get", "podz")
    assert done.exit_code == 1
    assert "'podz'" in done.stderr
    assert "pods" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [(), ("pod/a", "b"), ("pods", "a", "-A"), ("pods,",), ("pod/",), ("pods", "--max-age", "soon"),
     ("pods", "-o", "xml"), ("pods", "-n", "")],
)  # fmt: skip
def test_wrong_usage_is_exit_code_2(build: Builder, run: Run, arguments: tuple[str, ...]) -> None:
    build.pods()
    done = run("get", *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
