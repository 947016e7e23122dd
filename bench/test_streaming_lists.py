"""Lists by pages beside lists as streams (KEP-3157), from a real kube-apiserver."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import vai
from bench import race
from bench.test_apiserver import TABLE, download
from tests.apiserver import objects
from tests.apiserver.server import ApiServer
from tests.conftest import FreshApiServer
from vai.config import load_settings
from vai.kube import Transport, connect

pytestmark = [
    pytest.mark.benchmark(timer=race.clock),
    pytest.mark.slow,
    pytest.mark.timeout(900),
]

ROUNDS = 3
JSON = "application/json"
STREAM = {
    "watch": "true",
    "sendInitialEvents": "true",
    "resourceVersionMatch": "NotOlderThan",
    "allowWatchBookmarks": "true",
    "timeoutSeconds": "300",
}
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass
class Costs:
    """Of one round; `mb` are those of the answer's body."""

    wall_s: list[float] = field(default_factory=list)
    client_cpu_s: list[float] = field(default_factory=list)
    server_cpu_s: list[float] = field(default_factory=list)
    server_grown_mb: list[float] = field(default_factory=list)
    mb: float = 0.0


def streamed(transport: Transport, accept: str) -> int:
    """Read a streaming list up to its bookmark, keeping nothing; its bytes."""
    size, tail = 0, b""
    query = STREAM | ({"includeObject": "Object"} if accept == TABLE else {})
    with transport.request(
        "/api/v1/pods", query, accept=accept, read_timeout_s=65, compress=True
    ) as response:
        for chunk in response.chunks():
            size += len(chunk)
            tail = (tail + chunk)[-2048:]
            if b"k8s.io/initial-events-end" in tail:
                return size
    raise AssertionError("the stream ended without its bookmark")


def cpu_s(pid: int) -> float:
    """What a process has used."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) * _TICK_S


def memory_mb(pid: int, name: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def measured(server: ApiServer, costs: Costs, work: Callable[[], float]) -> float:
    """One round: `work` returns its bytes, or 0."""
    Path(f"/proc/{server.pid}/clear_refs").write_text("5")
    before_mb, at_s, own_s = memory_mb(server.pid, "VmRSS"), cpu_s(server.pid), time.process_time()
    started = time.perf_counter()
    costs.mb = work() / 1e6
    costs.wall_s.append(time.perf_counter() - started)
    costs.client_cpu_s.append(time.process_time() - own_s)
    costs.server_cpu_s.append(cpu_s(server.pid) - at_s)
    costs.server_grown_mb.append(memory_mb(server.pid, "VmHWM") - before_mb)
    # The server collects its garbage, and the connections of the round before end.
    time.sleep(0.3)
    return costs.wall_s[-1]


def test_pages_and_streams(
    benchmark: Any, fresh_apiserver: FreshApiServer, request: pytest.FixtureRequest
) -> None:
    count = int(request.config.getoption("--pods"))
    server = fresh_apiserver()
    server.populate_etcd(objects.namespaces(10))
    server.populate_etcd(objects.pods(count))
    config = server.write_kubeconfig("vai")
    transport = connect(load_settings(kubeconfig=str(config)))

    def sync(mode: str) -> float:
        settings = load_settings(kubeconfig=str(config), streaming_lists=mode)
        with vai.connect(vai.TEMPORARY, ["pods"], settings=settings) as cache:
            cache.wait_synced(timeout=120)
            assert len(cache.snapshot("pods")) == count
        return 0.0

    works: dict[str, Callable[[], float]] = {
        "download, Table, pages": lambda: download(transport, "/api/v1/pods")[1],
        "download, Table, stream": lambda: streamed(transport, TABLE),
        "download, JSON, pages": lambda: download(transport, "/api/v1/pods", JSON)[1],
        "download, JSON, stream": lambda: streamed(transport, JSON),
        "vai, Table, pages": lambda: sync("never"),
        "vai, Table, stream": lambda: sync("always"),
    }
    for work in works.values():
        work()
    costs = {name: Costs() for name in works}
    rounds = {
        name: lambda name=name, work=work: measured(server, costs[name], work)
        for name, work in works.items()
    }
    seconds = race.run(rounds, ROUNDS)
    transport.close()
    print()
    for name, cost in costs.items():
        print(
            f"{name:26} {statistics.median(cost.wall_s):6.2f} s, "
            f"client {statistics.median(cost.client_cpu_s):5.2f} s CPU, "
            f"server {statistics.median(cost.server_cpu_s):5.2f} s CPU, "
            f"server grew by {statistics.median(cost.server_grown_mb):4.0f} MB, "
            f"{cost.mb:5.1f} MB"
        )
    race.show(
        benchmark,
        f"a list of {count} pods by pages and as a stream",
        seconds["vai, Table, stream"],
        pages_s=round(statistics.median(seconds["vai, Table, pages"]), 3),
        stream_s=round(statistics.median(seconds["vai, Table, stream"]), 3),
    )
