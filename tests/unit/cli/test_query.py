"""`vai get` asking: expressions, order, pages, the past, counts, and what is said of mistakes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.unit.cli.support import NAME, NODES, Builder, Run, column, meta
from vai.cli.asking import moment
from vai.cli.failures import caret
from vai.store import AtPosition, AtTime


def pod(at: int) -> dict[str, Any]:
    created = f"2026-01-{at + 1:02}T00:00:00Z"
    requests = {"memory": f"{at}Gi"}
    return {
        "metadata": meta(f"p{at}", ("dev", "shop")[at % 2], labels={"app": f"a{at % 3}"})
        | {"creationTimestamp": created},
        "spec": {
            "nodeName": f"node-{at % 4}",
            "containers": [{"name": "c", "resources": {"requests": requests}}],
        },
        "status": {
            "phase": ("Running", "Pending")[at % 5 == 0],
            "containerStatuses": [{"name": "c", "restartCount": at}],
        },
    }


@pytest.fixture(autouse=True)
def _pods(build: Builder) -> None:
    build.pods(*[pod(at) for at in range(12)])
    build.table(NODES, [NAME, column("Status")], [({"metadata": meta("n")}, ["n", "Ready"])])


def names(run: Run, *arguments: str) -> list[str]:
    done = run("get", "pods", "-A", "-o", "name", *arguments)
    assert done.exit_code == 0, done.stderr
    return [line.removeprefix("pod/") for line in done.stdout.splitlines()]


# --- objects


def test_an_expression_chooses_and_a_sort_orders(run: Run) -> None:
    assert names(run, "-w", "status.phase = Running and restarts > 6", "--sort", "-restarts") == [
        "p11", "p9", "p8", "p7",
    ]  # fmt: skip
    assert names(run, "--where", "phase = Pending", "--sort", "-age,name") == ["p0", "p5", "p10"]
    assert names(run, "-w", "requests.memory >= 10.5Gi") == ["p11"]


def test_a_table_keeps_the_order(run: Run) -> None:
    done = run("get", "pods", "-A", "--sort", "-restarts", "--limit", "2")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert [line.split()[1] for line in lines[1:]] == ["p11", "p10"]
    assert "pods: 2 of 12; go on with --cursor " in done.stderr


def test_pages_by_number_and_by_cursor(run: Run) -> None:
    every = names(run, "--sort", "restarts")
    assert names(run, "--sort", "restarts", "--limit", "5", "--page", "2") == every[5:10]
    first = run("get", "po", "-A", "-o", "name", "--sort", "restarts", "--limit", "7")
    cursor = first.stderr.rpartition("--cursor ")[2].strip()
    assert names(run, "--sort", "restarts", "--limit", "7", "--cursor", cursor) == every[7:]


def test_json_carries_the_cursor(run: Run) -> None:
    done = run("get", "pods", "-A", "-o", "json", "--limit", "5")
    value = json.loads(done.stdout)
    assert len(value["items"]) == 5
    assert value["metadata"]["remainingItemCount"] == 7
    again = run(
        "get",
        "pods",
        "-A",
        "-o",
        "json",
        "--limit",
        "50",
        "--cursor",
        value["metadata"]["continue"],
    )
    rest = json.loads(again.stdout)
    assert len(rest["items"]) == 7
    assert "continue" not in rest["metadata"]


def test_the_past(build: Builder, run: Run) -> None:
    position = build.store.position()
    scope = next(one.id for one in build.store.scopes() if one.resource == "pods")
    watch = build.store.begin_watch(scope)
    gone = {"kind": "Pod", "apiVersion": "v1", **pod(3)}
    gone["metadata"] = gone["metadata"] | {"resourceVersion": "200"}
    watch.push(json.dumps({"type": "DELETED", "object": gone}).encode() + b"\n")
    build.store.flush()
    at = f"{position.epoch}:{position.seq}"
    assert "p3" not in names(run)
    assert "p3" in names(run, "--at", at)
    done = run("get", "pod", "p3", "-n", "shop", "--at", at, "-o", "json")
    assert json.loads(done.stdout)["metadata"]["name"] == "p3"
    assert run("get", "pod", "p3", "-n", "shop").exit_code == 1
    done = run("get", "pods", "-A", "--at", "99:1")
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1


# --- counts


def test_count(run: Run) -> None:
    assert run("get", "pods", "-A", "--count").stdout == "12\n"
    assert run("get", "pods,nodes", "-A", "--count").stdout == "13\n"
    assert run("get", "pods", "-n", "shop", "--count", "-w", "restarts > 6").stdout == "3\n"
    done = run("get", "pods", "-A", "--count", "-o", "json")
    assert json.loads(done.stdout) == {"total": 12}


def test_facets_are_a_table_for_people(run: Run) -> None:
    done = run("get", "pods", "-A", "--facet", "status.phase,labels[app]")
    assert done.stdout == (
        "STATUS.PHASE   COUNT\n"
        "Running            9\n"
        "Pending            3\n"
        "\n"
        "LABELS[APP]   COUNT\n"
        "a0                4\n"
        "a1                4\n"
        "a2                4\n"
    )
    assert done.stderr == ""


def test_facets_are_json_for_machines(run: Run) -> None:
    done = run("get", "pods", "-A", "--facet", "status.phase", "-o", "json")
    assert json.loads(done.stdout) == {
        "total": 12,
        "facets": {
            "status.phase": {
                "values": [{"value": "Running", "count": 9}, {"value": "Pending", "count": 3}],
                "distinct": 2,
                "missing": 0,
            }
        },
    }


def test_groups(run: Run) -> None:
    done = run(
        "get",
        "pods",
        "-A",
        "--group-by",
        "nodeName",
        "--sum",
        "requests.memory",
        "--max",
        "restarts",
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["NODENAME", "COUNT", "SUM(REQUESTS.MEMORY)", "MAX(RESTARTS)"]
    assert lines[1] == ["node-0", "3", "12Gi", "8"]
    assert len(lines) == 5


def test_explain(run: Run) -> None:
    done = run("get", "pods", "-A", "--explain", "-w", "phase = Running and .spec.other = x")
    assert done.exit_code == 0
    assert "pods: " in done.stdout
    assert "spec.other" in done.stdout
    told = json.loads(run("get", "pods", "-A", "--explain", "-o", "json").stdout)["explain"]
    assert told["total"] == 12


# --- mistakes


def test_a_bad_expression_is_pointed_at(run: Run) -> None:
    done = run("get", "pods", "-A", "-w", "phase = Running and (restarts >")
    assert (done.exit_code, done.stdout) == (1, "")
    message, text, place = done.stderr.splitlines()
    assert message.startswith("vai: ")
    assert text == "  phase = Running and (restarts >"
    assert place == "  " + " " * 31 + "^"


def test_a_bad_sort_key_is_pointed_at(run: Run) -> None:
    done = run("get", "pods", "-A", "-w", "restarts > 3", "--sort", "age,labels[")
    assert done.exit_code == 1
    assert done.stderr.splitlines()[1] == "  labels["


def test_an_unknown_field_is_said_with_its_neighbours(run: Run) -> None:
    for option, text, at in (
        (("-w", "name = a and restart > 3"), "name = a and restart > 3", 13),
        (("--sort", "name,-restart"), "-restart", 1),
        (("--facet", "phase,restart"), "restart", 0),
        (("--group-by", "phase", "--sum", "restart"), "restart", 0),
    ):
        done = run("get", "pods", "-A", *option)
        assert done.exit_code == 1
        message, below, place = done.stderr.splitlines()
        assert "restarts" in message
        assert (below, place) == (f"  {text}", "  " + " " * at + "^")


def test_any_path_orders_and_counts(run: Run) -> None:
    assert names(run, "--sort", "-.status.containerStatuses[0].restartCount", "--limit", "3") == [
        "p11", "p10", "p9",
    ]  # fmt: skip
    done = run("get", "pods", "-A", "--facet", ".spec.containers[*].name")
    assert done.exit_code == 0
    assert "12" in done.stdout
    done = run("get", "pods", "-A", "--group-by", ".spec.nodeName", "--sum", "restarts")
    assert done.exit_code == 0, done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--page", "2"),
        ("--limit", "0"),
        ("--page", "2", "--limit", "5", "--cursor", "x"),
        ("--count", "--facet", "phase"),
        ("--sum", "restarts"),
        ("--at", "soon"),
        ("--at", "2999-01-01"),
        ("--limit", str(2**63)),
        ("--sort", "age,"),
        ("--facet", "phase", "-o", "yaml"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(
    run: Run, arguments: tuple[str, ...]
) -> None:
    done = run("get", "pods", "-A", *arguments)
    assert (done.exit_code, done.stdout) == (2, "")


def test_named_objects_take_no_filter(run: Run) -> None:
    for option in (("-w", "restarts > 3"), ("--sort", "age"), ("--limit", "1"), ("--count",)):
        assert run("get", "pod", "p1", "-n", "shop", *option).exit_code == 2


def test_pages_are_of_one_resource(run: Run) -> None:
    done = run("get", "pods,nodes", "-A", "--limit", "1")
    assert done.exit_code == 2


def test_the_caret_counts_characters_of_its_line() -> None:
    assert caret("m", "name = 'ü' and", 10) == "m\n  name = 'ü' and\n            ^"
    assert caret("m", "a = b and\nc >", 13) == "m\n  c >\n     ^"


def test_the_caret_shows_a_long_line_around_its_place() -> None:
    message, line, place = caret("m", "a" * 5_000 + "?" + "b" * 1_000_000, 5_000).splitlines()
    assert (message, line[place.index("^")]) == ("m", "?")
    assert line == "  …" + "a" * 100 + "?" + "b" * 99 + "…"


def test_arguments_that_are_no_text_are_refused_without_a_traceback(build: Builder) -> None:
    for option in ("-w", "-l", "--field-selector", "--sort", "--cursor", "--facet"):
        done = subprocess.run(
            [sys.executable, "-m", "vai", "get", "pods", "-A", option, b"name = \xff"],
            env=os.environ | {"VAI_FILE": str(build.path)}, capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 1, done.stderr
        assert done.stderr.startswith(b"vai: ")
        assert b"Traceback" not in done.stderr


def test_moments() -> None:
    assert moment("3:17") == AtPosition(3, 17)
    assert moment("2026-01-01T00:00:00Z") == AtTime(1_767_225_600_000)
    assert isinstance(moment("10m"), AtTime)
    assert moment("9" * 30 + "d") == moment("9" * 400 + "d") == AtTime(0)


# --- completion


@pytest.mark.parametrize(
    ("words", "word", "expected"),
    [
        ("vai get pods --sort rest", 4, "restarts"),
        ("vai get pods --facet status.ph", 4, "status.phase"),
        ("vai get pods --sort age,rest", 4, "age,restarts"),
    ],
)
def test_names_of_fields_are_completed(
    build: Builder, words: str, word: int, expected: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vai"],
        env=os.environ
        | {
            "_VAI_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(word),
            "VAI_FILE": str(build.path),
        },
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f"plain,{expected}" in done.stdout.splitlines()
