from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.unit.cli.support import DEPLOYMENTS, NODES, PODS, Builder, Json, Run, meta


def pod(name: str, version: int, phase: str = "Running", **labels: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta(name, "shop", labels=labels, resourceVersion=str(version)),
        "status": {"phase": phase},
    }


class Writer:
    """Pods of the file, changed one by one."""

    def __init__(self, build: Builder) -> None:
        self.store = build.store
        self.scope = build.plain(PODS, [pod("old", 10)])
        self.watch = self.store.begin_watch(self.scope)

    def event(self, kind: str, item: Json) -> None:
        self.watch.push(json.dumps({"type": kind, "object": item}).encode() + b"\n")
        self.store.flush()

    def play(self) -> None:
        self.event("ADDED", pod("web", 101, "Pending", app="web"))
        self.event("MODIFIED", pod("web", 102, app="web"))
        self.event("MODIFIED", pod("web", 103, app="other"))
        self.event("DELETED", pod("web", 104, app="other"))


@pytest.fixture
def writer(build: Builder) -> Writer:
    return Writer(build)


def lines(text: str) -> list[str]:
    """Without the clock."""
    return [" ".join(line.split()[1:]) for line in text.splitlines()]


def test_what_happened_is_told_line_by_line(writer: Writer, run: Run) -> None:
    writer.play()
    result = run("changes", "pods", "--once")
    assert result.exit_code == 0
    assert lines(result.output) == [
        "add pods shop/old (found by a list)",
        "add pods shop/web",
        "update pods shop/web status.phase: Pending → Running",
        "update pods shop/web metadata.labels.app: web → other",
        "delete pods shop/web",
    ]
    assert "\x1b" not in result.output
    assert run("changes", "--once").output == result.output


def test_filters_turn_transitions_into_adds_and_deletes(writer: Writer, run: Run) -> None:
    writer.play()
    wanted = ["add pods shop/web", "update pods shop/web status.phase: Pending → Running"]
    wanted += ["delete pods shop/web"]
    assert lines(run("changes", "po", "-l", "app=web", "--once").output) == wanted
    found = run("changes", "po", "-w", "labels[app] = web", "--once").output
    assert lines(found) == wanted
    found = run("changes", "po", "--field-selector", "status.phase=Pending", "--once").output
    assert lines(found) == ["add pods shop/web", "delete pods shop/web"]
    assert run("changes", "po", "-n", "elsewhere", "--once").output == ""


def test_json_lines_have_the_objects(writer: Writer, run: Run) -> None:
    writer.play()
    found = [
        json.loads(line) for line in run("changes", "-o", "json", "--once").output.splitlines()
    ]
    assert [one["op"] for one in found] == ["add", "add", "update", "update", "delete"]
    update = found[2]
    assert (update["resource"], update["key"], update["relist"]) == ("pods", "shop/web", False)
    assert (update["old"]["status"]["phase"], update["object"]["status"]["phase"]) == (
        "Pending",
        "Running",
    )
    assert found[4]["object"] is None
    since = f"{update['epoch']}/{update['seq']}"
    after = run("changes", "-o", "json", "--once", "--since", since).output.splitlines()
    assert [json.loads(line)["seq"] for line in after] == [one["seq"] for one in found[3:]]


def test_a_time_is_a_place_to_begin_too(writer: Writer, run: Run) -> None:
    writer.play()
    # Long enough that a slow command still finds the late one in its time, and none before it.
    time.sleep(4.5)
    writer.event("ADDED", pod("late", 105))
    assert lines(run("changes", "--once", "--since", "1h").output)[0].startswith(
        "add pods shop/old"
    )
    assert lines(run("changes", "--once", "--since", "4s").output) == ["add pods shop/late"]


def test_a_consumer_goes_on_where_it_stopped(writer: Writer, run: Run) -> None:
    assert run("changes", "--once", "--consumer", "c").output == ""
    writer.play()
    assert len(run("changes", "--once", "--consumer", "c").output.splitlines()) == 4
    writer.event("ADDED", pod("late", 105))
    assert "Consumer: c of pods, not running, 1 entries behind" in run("status").output
    assert json.loads(run("status", "-o", "json").output)["consumers"][0]["name"] == "c"
    found = run("changes", "--once", "--consumer", "c", "--since", "beginning").output
    assert lines(found) == ["add pods shop/late"]
    assert run("changes", "--once", "--consumer", "c").output == ""


def test_a_consumer_is_forgotten_by_name_while_the_writer_runs_but_not_while_it_runs(
    writer: Writer, run: Run
) -> None:
    writer.play()
    unknown = run("forget", "--consumer", "c")
    assert (unknown.exit_code, unknown.stdout) == (1, "")
    assert "has no consumer 'c'; it has none" in unknown.stderr
    assert run("changes", "--once", "--consumer", "c").exit_code == 0
    running = writer.store.consumer("c")
    busy = run("forget", "--consumer", "c")
    assert (busy.exit_code, busy.stdout) == (1, "")
    assert "consumer 'c'" in busy.stderr.replace('"', "'")
    assert "end it there first" in busy.stderr
    running.release()
    done = run("forget", "--consumer", "c")
    assert (done.exit_code, done.stdout) == (0, "forgot consumer c\n")
    assert "Consumer" not in run("status").output
    found = run("changes", "--once", "--consumer", "c", "--since", "beginning").output
    assert len(found.splitlines()) == 5


@pytest.mark.parametrize("since", ["soon", "1/x", "-5m", "9" * 30 + "d", "9" * 400 + "d"])
def test_what_is_no_beginning_is_wrong_usage(writer: Writer, run: Run, since: str) -> None:
    writer.play()
    done = run("changes", "pods", "--once", "--since", since)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--since" in done.stderr


def test_a_resource_or_a_consumer_is_forgotten_not_both(writer: Writer, run: Run) -> None:
    writer.play()
    for arguments in ((), ("pods", "--consumer", "c"), ("--consumer", "c", "-n", "shop")):
        result = run("forget", *arguments)
        assert result.exit_code == 2
        assert "--consumer" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--since", "yesterday"), "a position as 1/2345, a duration as 10m, or beginning"),
        (("--since", "9/9"), "is not of this file's history"),
        (("-n", ","), "an empty namespace"),
        (("-l", "a in"), "label selector"),
        (("-w", "phase ="), "--where"),
        (("-w", "phaze = x"), "phaze"),
        (("--consumer", "a/b"), "can't be a consumer's name"),
    ],
)
def test_mistakes_are_told(writer: Writer, run: Run, arguments: tuple[str, ...], said: str) -> None:
    writer.play()
    result = run("changes", "pods", "--once", *arguments)
    assert result.exit_code in (1, 2)
    assert said in result.output
    assert "Traceback" not in result.output


def follow(path: Path, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "vai", "changes", "pods", "--file", str(path), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_it_follows_until_ctrl_c_and_that_is_no_error(build: Builder, writer: Writer) -> None:
    process = follow(build.path, "--since", "beginning", "-o", "json")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["key"] == "shop/old"
    writer.event("ADDED", pod("web", 101))
    assert json.loads(process.stdout.readline())["key"] == "shop/web"
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=10)
    assert (process.returncode, out, errors) == (0, b"", b"")


def test_a_terminal_gets_colours_and_where_to_go_on(build: Builder, writer: Writer) -> None:
    writer.play()
    ours, theirs = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    process = subprocess.Popen(
        [sys.executable, "-m", "vai", "changes", "--file", str(build.path), "--since", "1h"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment | {"TERM": "xterm"},
    )
    os.close(theirs)
    seen = b""
    while seen.count(b"shop/") < 5:
        seen += os.read(ours, 4096)
    # A line that is interrupted while it is written counts as not seen.
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    while True:
        try:
            more = os.read(ours, 4096)
        except OSError:
            break
        seen += more
        if not more:
            break
    assert process.wait(30) == 0
    os.close(ours)
    assert b"\x1b[32madd" in seen
    assert b"\x1b[31mdelete" in seen
    assert f"--since 1/{writer.store.position().seq} goes on".encode() in seen


def test_a_tree_shows_what_owns_and_what_is_owned(build: Builder, run: Run) -> None:
    web = {**pod("web-0", 11, app="web"), "spec": {"nodeName": "n1"}}
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "uid-shop-web"}
    web["metadata"]["ownerReferences"] = [{**owner, "controller": True}]
    orphan = pod("lost", 12)
    orphan["metadata"]["ownerReferences"] = [{**owner, "name": "gone", "uid": "u-gone"}]
    build.plain(PODS, [web, orphan])
    build.plain(DEPLOYMENTS, [{"metadata": meta("web", "shop"), "spec": {}}])
    build.plain(NODES, [{"metadata": meta("n1")}])
    result = run("tree", "deploy/web", "-n", "shop")
    assert result.output.splitlines() == ["deployments.apps/web", "└─ pods/web-0  Running"]
    result = run("tree", "pod", "web-0", "-n", "shop", "--related")
    assert result.output.splitlines() == [
        "deployments.apps/web",
        "└─ pods/web-0  Running",
        "      uses nodes/n1",
    ]
    result = run("tree", "pod/lost", "-n", "shop")
    assert result.output.splitlines()[0] == "deployments.apps/gone  (gone)"
    result = run("tree", "pod/nobody", "-n", "shop")
    assert (result.exit_code, "nobody" in result.output) == (1, True)
    assert run("tree", "pods").exit_code == 2
