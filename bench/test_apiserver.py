"""First sync from a real kube-apiserver, beside a bare download of the same pages."""

from __future__ import annotations

import re
import statistics
import time
from pathlib import Path
from typing import Any

import pytest

import vai
from bench import race
from bench.prepared import PAGE_OBJECTS
from tests.apiserver import objects
from tests.conftest import FreshApiServer
from vai.config import load_settings
from vai.kube import Transport, connect

pytestmark = [
    pytest.mark.benchmark(timer=race.clock),
    pytest.mark.slow,
    # Filling etcd and starting the server again are no part of any test's own time.
    pytest.mark.timeout(900),
]

ROUNDS = 7
#: The most that a first sync may take, in times of the download.
MOST = 1.5
#: What `vai.kube` asks for: printer cells with whole objects.
TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1,application/json"

Runs = dict[str, list[float]]


def download(transport: Transport, path: str, accept: str = TABLE) -> tuple[int, int]:
    """Read every page over vai's own connections, keeping nothing; (pages, bytes)."""
    token, pages, size = "", 0, 0
    while True:
        query = {"limit": str(PAGE_OBJECTS)}
        if accept == TABLE:
            query["includeObject"] = "Object"
        if token:
            query["continue"] = token
        head = b""
        with transport.request(
            path, query, accept=accept, read_timeout_s=65, compress=True
        ) as page:
            for chunk in page.chunks():
                size += len(chunk)
                # The list's own metadata stands before its rows.
                head = head or chunk[:4096]
        pages += 1
        found = re.search(rb'"continue":"([^"]*)"', head)
        if not found:
            return pages, size
        token = found[1].decode()


@pytest.fixture(scope="module")
def count(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--pods"))


@pytest.fixture
def kubeconfig(fresh_apiserver: FreshApiServer, count: int) -> Path:
    server = fresh_apiserver()
    server.populate_etcd(objects.namespaces(10))
    server.populate_etcd(objects.pods(count))
    return server.write_kubeconfig("vai")


def test_first_sync(benchmark: Any, kubeconfig: Path, count: int) -> None:
    transport = connect(load_settings(kubeconfig=str(kubeconfig)))
    sizes: set[int] = set()

    def a_download() -> float:
        started = time.perf_counter()
        pages, size = download(transport, "/api/v1/pods")
        taken = time.perf_counter() - started
        assert pages == -(-count // PAGE_OBJECTS)
        sizes.add(size)
        return taken

    def a_sync() -> float:
        started = time.perf_counter()
        with vai.connect(vai.TEMPORARY, ["pods"], kubeconfig=kubeconfig) as cache:
            cache.wait_synced(timeout=120)
            taken = time.perf_counter() - started
            assert len(cache.snapshot("pods")) == count
        return taken

    # The server's caches and both connections are warm.
    a_download()
    a_sync()
    seconds = race.run({"download": a_download, "vai": a_sync}, ROUNDS)
    transport.close()
    middle = {name: statistics.median(found) for name, found in seconds.items()}
    ratio = middle["vai"] / middle["download"]
    race.show(
        benchmark,
        f"first sync of {count} pods from kube-apiserver (Table)",
        seconds["vai"],
        download_s=round(middle["download"], 3),
        vai_s=round(middle["vai"], 3),
        ratio=round(ratio, 2),
        mb=round(max(sizes) / 1e6, 1),
    )
    assert ratio <= MOST, f"{middle} s: {ratio:.2f} times the download: {seconds}"
