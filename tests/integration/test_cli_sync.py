"""`vai sync` as a process, against the simulated API server."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.timing import one_in_three
from vai.testing import Simulator

VAI = (sys.executable, "-m", "vai")
Done = subprocess.CompletedProcess[str]


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(seed=7) as simulator:
        simulator.populate(pods=200)
        yield simulator


class Place:
    """A folder with a kubeconfig, and commands that run there."""

    def __init__(self, folder: Path, sim: Simulator) -> None:
        self.folder = folder
        self.file = folder / "c.db"
        self.config = sim.kubeconfig(folder / "kubeconfig")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("VAI_", "KUBE"))}
        self.environ = {**kept, "VAI_FILE": str(self.file), "VAI_LIVE_WITHIN": "10s"}
        self.running: list[subprocess.Popen[str]] = []

    def arguments(self, *arguments: str) -> list[str]:
        config = ["--kubeconfig", str(self.config)] if arguments[0] == "sync" else []
        return [*VAI, *arguments, *config]

    def run(self, *arguments: str) -> Done:
        return subprocess.run(
            self.arguments(*arguments),
            capture_output=True, text=True, check=False, env=self.environ, timeout=60,
            cwd=self.folder,
        )  # fmt: skip

    def start(
        self, *arguments: str, stderr: int | IO[str] = subprocess.PIPE
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            self.arguments("sync", *arguments),
            env=self.environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=stderr, text=True, cwd=self.folder,
        )  # fmt: skip
        self.running.append(process)
        return process

    def states(self) -> dict[str, str]:
        done = self.run("status", "-o", "json")
        scopes = json.loads(done.stdout)["scopes"] if done.returncode == 0 else []
        return {one["resource"]: one["state"] for one in scopes}

    def wait_states(self, **wanted: str) -> None:
        eventually(lambda: self.states() == wanted, lambda: str(self.states()))


def eventually(look: Callable[[], object], what: Callable[[], str], within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while not look():
        assert time.monotonic() < deadline, what()
        time.sleep(0.1)


@pytest.fixture
def place(tmp_path: Path, sim: Simulator) -> Iterator[Place]:
    place = Place(tmp_path, sim)
    yield place
    for process in place.running:
        process.kill()
        process.communicate()


def test_once_syncs_all_that_was_asked_for_and_ends(place: Place, sim: Simulator) -> None:
    done = place.run("sync", "--resources", "po,deploy", "--once")
    assert (done.returncode, done.stdout) == (0, "")
    assert "vai: synced: " in done.stderr
    names = place.run("get", "pods", "-A", "-o", "name").stdout.split()
    assert len(names) == sim.count("pods")
    assert len(json.loads(place.run("get", "deploy", "-A", "-o", "json").stdout)["items"]) == (
        sim.count("deployments.apps")
    )


def test_once_ends_with_1_for_what_is_unknown_or_forbidden_and_syncs_the_rest(
    place: Place, sim: Simulator
) -> None:
    sim.forbid("configmaps")
    done = place.run("sync", "--resources", "podz,cm,services", "--once")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert re.search(r"^vai: not synced: podz: .*pods", done.stderr, re.MULTILINE)
    assert re.search(r"^vai: not synced: configmaps: .*list", done.stderr, re.MULTILINE)
    assert len(place.run("get", "svc", "-A", "-o", "name").stdout.split()) == sim.count("services")
    assert "never synced" in place.run("get", "cm", "-A").stderr


def test_once_of_all_leaves_out_what_may_not_be_read(place: Place, sim: Simulator) -> None:
    sim.forbid("configmaps")
    done = place.run("sync", "--resources", "all", "--once")
    assert done.returncode == 0
    assert "not synced: configmaps" in done.stderr
    kept = place.states()
    assert "pods" in kept
    assert "leases.coordination.k8s.io" not in kept
    assert "secrets" not in kept


def test_only_what_was_selected_is_synced(place: Place, sim: Simulator) -> None:
    spaces = sorted({str(pod["metadata"]["namespace"]) for pod in sim.list("pods")})[:2]
    done = place.run(
        "sync", "--resources", "pods", "-n", ",".join(spaces), "-l", "tier=frontend", "--once"
    )
    assert done.returncode == 0
    wanted = {
        f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        for pod in sim.list("pods")
        if pod["metadata"]["namespace"] in spaces
        and pod["metadata"]["labels"].get("tier") == "frontend"
    }
    every = place.run("get", "pods", "-A", "-o", "json")
    found = {
        f"{one['metadata']['namespace']}/{one['metadata']['name']}"
        for one in json.loads(every.stdout)["items"]
    }
    assert found == wanted
    assert "keeps only a part" in every.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0_within_three_seconds(
    place: Place, sim: Simulator, number: signal.Signals
) -> None:
    sim.churn(100)
    wanted = ("pods", "services", "configmaps", "nodes", "events")

    def attempt() -> float:
        process = place.start("--resources", ",".join(wanted))
        place.wait_states(**dict.fromkeys(wanted, "live"))
        started = time.monotonic()
        process.send_signal(number)
        assert process.wait(30) == 0
        return time.monotonic() - started

    one_in_three(attempt, 3)
    assert place.run("get", "pods", "-A", "-o", "name").returncode == 0


def test_it_ends_at_once_while_the_server_is_silent(place: Place, sim: Simulator) -> None:
    sim.cut("hang")

    def attempt() -> float:
        process = place.start("--resources", "pods")
        eventually(place.file.exists, lambda: "no file")
        time.sleep(1)
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        return time.monotonic() - started

    one_in_three(attempt, 3)


def test_a_second_writer_is_refused_with_the_pid_of_the_first(place: Place) -> None:
    first = place.start("--resources", "pods")
    place.wait_states(pods="live")
    started = time.monotonic()
    done = place.run("sync", "--resources", "pods")
    assert (done.returncode, done.stdout) == (1, "")
    assert str(first.pid) in done.stderr
    assert "Traceback" not in done.stderr
    assert time.monotonic() - started < 10
    assert place.states() == {"pods": "live"}


def test_changes_of_state_are_lines_in_a_log_and_few(place: Place, sim: Simulator) -> None:
    resources = ("pods", "services", "configmaps", "nodes", "events")
    log = place.folder / "log"
    with log.open("w") as output:
        process = place.start("--resources", ",".join(resources), stderr=output)
    # Line by line: what comes and goes within a second is not worth one.
    eventually(lambda: "vai: synced: " in log.read_text(), log.read_text)
    sim.cut()
    eventually(lambda: ": offline: " in log.read_text(), log.read_text)
    place.wait_states(**dict.fromkeys(resources, "offline"))
    done = place.run("get", "nodes", "-o", "name")
    assert done.returncode == 0
    assert re.match(
        r"vai: nodes: offline since \S+, proven \S+ ago: .*(refused|reset by peer)\n$", done.stderr
    )
    sim.restore()
    eventually(lambda: "live again" in log.read_text(), log.read_text)
    place.wait_states(**dict.fromkeys(resources, "live"))
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    lines = log.read_text().splitlines()
    assert lines[0] == f"vai: syncing into {place.file} (pid {process.pid})"
    assert lines[1].startswith("vai: synced: ")
    assert re.search(r"offline: .*(refused|reset by peer)", lines[2])
    assert len(lines) <= 2 + 2 * len(resources)
    assert "\x1b" not in log.read_text()


def test_a_terminal_shows_a_bar_when_it_takes_longer(place: Place, sim: Simulator) -> None:
    sim.cut("hang")
    reader, terminal = pty.openpty()
    process = subprocess.Popen(
        place.arguments("sync", "--resources", "pods", "--once"),
        env={**place.environ, "TERM": "xterm-256color", "COLUMNS": "100"},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=terminal, cwd=place.folder,
    )  # fmt: skip
    os.close(terminal)
    shown = ""
    while "━" not in shown:
        assert select.select([reader], [], [], 60)[0], shown
        shown += os.read(reader, 65536).decode(errors="replace")
    sim.restore()
    shown += read_all(reader)
    assert process.wait(30) == 0
    assert "vai: synced: " in shown


def read_all(descriptor: int) -> str:
    content = b""
    while select.select([descriptor], [], [], 30)[0]:
        try:
            piece = os.read(descriptor, 65536)
        except OSError:  # Linux says so when the other side is closed.
            break
        if not piece:
            break
        content += piece
    os.close(descriptor)
    return content.decode()


def test_secrets_have_no_values_unless_they_are_asked_for(place: Place, sim: Simulator) -> None:
    canary = "Y2FuYXJ5LTdmM2E5"
    sim.add(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "s"},
            "type": "Opaque",
            "data": {"k": canary},
        }
    )
    assert place.run("sync", "--resources", "secrets", "--once").returncode == 0
    refused = place.run("get", "secret", "s", "-o", "json")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "--secret-values" in refused.stderr
    row = place.run("get", "secret", "s", "--no-headers")
    assert row.stdout.split()[:3] == ["s", "Opaque", "1"]
    assert not any(canary.encode() in path.read_bytes() for path in place.folder.glob("c.db*"))

    done = place.run("sync", "--resources", "secrets", "--secret-values", "--once")
    assert done.returncode == 0
    kept = json.loads(place.run("get", "secret", "s", "-o", "json").stdout)
    assert kept["data"] == {"k": canary}


def test_a_file_of_another_cluster_is_refused(place: Place, sim: Simulator) -> None:
    assert place.run("sync", "--resources", "pods", "--once").returncode == 0
    with Simulator(seed=8) as other:
        place.config = other.kubeconfig(place.folder / "other")
        done = place.run("sync", "--resources", "pods", "--once")
    assert (done.returncode, done.stdout) == (1, "")
    assert "cluster" in done.stderr
    assert "Traceback" not in done.stderr
    names = place.run("get", "pods", "-A", "-o", "name").stdout.split()
    assert len(names) == sim.count("pods")


@pytest.mark.parametrize(
    ("content", "word"),
    [(None, "no such file"), ("{", "kubeconfig"), ('{"contexts": []}', "context")],
)
def test_a_bad_kubeconfig_is_one_message(place: Place, content: str | None, word: str) -> None:
    place.config = place.folder / "bad"
    if content is not None:
        place.config.write_text(content)
    done = place.run("sync", "--resources", "pods")
    assert (done.returncode, done.stdout) == (1, "")
    assert word in done.stderr.lower()
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2


def test_a_server_out_of_reach_at_first_start_leaves_a_file_that_was_never_synced(
    place: Place, sim: Simulator
) -> None:
    sim.cut()
    done = place.run("sync", "--resources", "pods", "--once", "--timeout", "2s")
    assert (done.returncode, done.stdout) == (1, "")
    assert "not synced within 2.0s" in done.stderr
    assert "refused" in done.stderr
    asked = place.run("get", "pods", "-A")
    assert (asked.returncode, asked.stdout) == (1, "")
    assert "never synced" in asked.stderr
    assert "refused" in asked.stderr


def test_started_again_it_goes_on_without_a_list(place: Place, sim: Simulator) -> None:
    first = place.start("--resources", "pods")
    place.wait_states(pods="live")
    first.kill()
    first.wait()
    place.wait_states(pods="stale")
    assert place.run("get", "pods", "-A", "-o", "name").stderr.endswith(
        "no longer writes this file\n"
    )
    seen = len(sim.request_log)
    sim.delete("pods", **first_pod(sim))
    place.start("--resources", "pods")
    place.wait_states(pods="live")
    names = place.run("get", "pods", "-A", "-o", "name").stdout.split()
    assert len(names) == sim.count("pods")
    later = sim.request_log.entries()[seen:]
    assert [one for one in later if one.kind in {"list", "watchlist"}] == []
    assert [one for one in later if one.kind == "watch" and one.resource == "pods"]


def first_pod(sim: Simulator) -> dict[str, str]:
    metadata = sim.list("pods")[0]["metadata"]
    return {"name": metadata["name"], "namespace": metadata["namespace"]}
