"""The clients of `bench.peers.sync` that are written in Python.

    python -m bench.peers.sync_clients NAME KUBECONFIG COUNT

Prints one line when it is in step with the server, and ends with its stdin.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Generator
from importlib import import_module
from pathlib import Path
from typing import Any, Final


def _import_kubernetes() -> None:
    """What vai imports with its first request: it is no part of a sync, as with the others."""
    for name in ("config", "client.rest"):
        import_module(f"kubernetes.{name}")


def vai_connect(kubeconfig: Path, count: int) -> Generator[None]:
    """Until all rows are published, durable and live."""
    import vai
    import vai.informer
    import vai.kube

    _import_kubernetes()
    yield
    with vai.connect(vai.TEMPORARY, ["pods"], kubeconfig=kubeconfig) as cache:
        cache.wait_synced(timeout=600)
        assert cache.list("pods", limit=1).total == count
        yield


def shared_informer(kubeconfig: Path, count: int) -> Generator[None]:
    """`kubernetes.informer`'s, until its handlers have had every pod."""
    from kubernetes.client import CoreV1Api
    from kubernetes.config import new_client_from_config
    from kubernetes.informer import ADDED, SharedInformer

    yield
    # They have no annotations.
    make: Any = SharedInformer
    configured: Any = new_client_from_config
    known = threading.Semaphore(0)
    client = CoreV1Api(configured(str(kubeconfig)))
    informer = make(client.list_pod_for_all_namespaces)
    informer.add_event_handler(ADDED, lambda _pod: known.release())
    informer.start()
    for _ in range(count):
        assert known.acquire(timeout=600)
    yield


def download(kubeconfig: Path, _count: int) -> Generator[None]:
    """The same pages over vai's connections, kept nowhere."""
    from bench.test_apiserver import download as all_pages
    from vai.config import load_settings
    from vai.kube import connect

    _import_kubernetes()
    yield
    all_pages(connect(load_settings(kubeconfig=str(kubeconfig))), "/api/v1/pods")
    yield


CLIENTS: Final = {"vai": vai_connect, "SharedInformer": shared_informer, "download": download}


def _main(name: str, kubeconfig: Path, count: int) -> None:
    steps = CLIENTS[name](kubeconfig, count)
    next(steps)
    started = time.perf_counter()
    next(steps)
    print(json.dumps({"seconds": time.perf_counter() - started, "objects": count}), flush=True)
    sys.stdin.read()
    # Threads of a client that can't be stopped are daemons.
    steps.close()


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
