"""Reads of the command line: no network, no `kubernetes`, no rich."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from vai.testing import Simulator

# Any socket, name or process ends the command; what was imported is told on stderr at the end.
_GUARD = """
import socket, sys

def refuse(*arguments, **more):
    raise AssertionError(f"a read went to the network: {arguments}")

socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = refuse
socket.create_connection = socket.getaddrinfo = refuse
sys.addaudithook(
    lambda event, _: refuse(event)
    if event in {"socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen"}
    else None
)
from vai.cli import main
try:
    main(sys.argv[1:])
finally:
    loaded = {name.partition(".")[0] for name in sys.modules}
    print("LOADED", *sorted(loaded), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of a server that is gone."""
    folder = tmp_path_factory.mktemp("offline")
    with Simulator(seed=3) as sim:
        sim.populate(pods=60)
        sim.install_crd(columns=[{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}])
        sim.add(
            {
                "apiVersion": "example.com/v1",
                "kind": "Widget",
                "metadata": {"name": "w", "namespace": "default"},
                "spec": {"size": 3},
            }
        )
        config = sim.kubeconfig(folder / "kubeconfig")
        resources = "pods,deployments.apps,services,secrets,widgets.example.com"
        subprocess.run(
            [sys.executable, "-m", "vai", "sync", "--once", "--file", str(folder / "c.db"),
             "--kubeconfig", str(config), "--resources", resources],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
    return folder / "c.db"


def guarded(file: Path, *arguments: str) -> tuple[int, str, str, set[str]]:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_GUARD), *arguments, "--file", str(file)],
        capture_output=True, text=True, check=False, timeout=60,
        env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    said, _, loaded = done.stderr.rpartition("LOADED")
    return done.returncode, done.stdout, said, set(loaded.split())


READS = [
    ("get", "pods", "-A"),
    ("get", "pods,deploy,svc", "-A", "-o", "wide"),
    ("get", "pods", "-A", "-o", "json"),
    ("get", "pods", "-A", "-o", "yaml"),
    ("get", "secrets", "-A", "-o", "name"),
    ("get", "widgets", "-A"),
    ("get", "all", "-A"),
    ("status",),
    ("status", "-o", "json"),
]


@pytest.mark.parametrize("arguments", READS, ids=" ".join)
def test_a_read_needs_no_network_and_loads_neither_kubernetes_nor_rich(
    synced: Path, arguments: tuple[str, ...]
) -> None:
    code, output, said, loaded = guarded(synced, *arguments)
    assert code == 0, said
    assert output
    assert loaded.isdisjoint({"kubernetes", "rich", "urllib3", "requests"})
    if "yaml" not in arguments:
        assert "yaml" not in loaded


def test_a_read_says_that_nobody_writes_the_file(synced: Path) -> None:
    _, _, said, _ = guarded(synced, "get", "pods", "-A")
    assert said.startswith("vai: pods: stale since ")
    assert "no longer writes this file" in said


def test_the_columns_of_a_custom_resource_are_there_offline(synced: Path) -> None:
    _, output, _, _ = guarded(synced, "get", "widgets")
    assert output == "NAME   SIZE\nw      3\n"


def test_an_answer_older_than_asked_for_is_served_with_exit_code_3(synced: Path) -> None:
    code, output, said, _ = guarded(synced, "get", "widgets", "--max-age", "0.001s")
    assert (code, output) == (3, "NAME   SIZE\nw      3\n")
    assert "older than --max-age" in said


def test_json_of_a_read_is_what_the_server_had(synced: Path) -> None:
    _, output, _, _ = guarded(synced, "get", "widget", "w", "-o", "json")
    assert json.loads(output)["spec"] == {"size": 3}
