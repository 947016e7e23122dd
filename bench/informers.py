"""Whole clients over HTTP: `vai.connect` and `kubernetes`' own SharedInformer.

    python -m bench.informers NAME URL FOLDER PODS EVENTS

Runs one of them in a process of its own and prints what it took: seconds until all pods are known,
seconds from the sending of the events until the last one is seen, and the peak of its memory.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench.canned import Canned
from bench.memory import peak_bytes


def vai_connect(canned: Canned, folder: Path, pods: int, events: int) -> Iterator[None]:
    """Waits until the list is published and durable; then for the last event, durable too."""
    import vai

    kubeconfig = canned.kubeconfig(folder / "kubeconfig")
    with vai.connect(folder / "vai.db", ["pods"], kubeconfig=kubeconfig) as cache:
        cache.wait_synced(timeout=600)
        assert len(cache.snapshot("pods")) == pods
        since = cache.position()
        yield
        for seen, _ in enumerate(cache.changes("pods", since=since), start=1):
            if seen == events:
                break
        yield


def shared_informer(canned: Canned, _folder: Path, pods: int, events: int) -> Iterator[None]:
    """Waits until the handlers have had every pod; then every event."""
    from kubernetes.client import ApiClient, Configuration, CoreV1Api
    from kubernetes.informer import ADDED, MODIFIED, SharedInformer

    # It has no annotations.
    make: Any = SharedInformer
    informer = make(
        CoreV1Api(ApiClient(Configuration(host=canned.url))).list_pod_for_all_namespaces
    )
    listed, followed = _Count(pods), _Count(events)
    informer.add_event_handler(ADDED, listed)
    informer.add_event_handler(MODIFIED, followed)
    informer.start()
    assert listed.done.wait(600)
    yield
    assert followed.done.wait(600)
    yield
    # Its thread is a daemon that waits in recv; `stop` would wait for it.


CLIENTS: Final = {"vai.connect": vai_connect, "SharedInformer": shared_informer}


class _Count:
    """A handler that says when it was called so often."""

    def __init__(self, goal: int) -> None:
        self._left = goal
        self.done = threading.Event()

    def __call__(self, _object: Any) -> None:
        self._left -= 1
        if self._left == 0:
            self.done.set()


def _main(name: str, url: str, folder: Path, pods: int, events: int) -> None:
    canned = Canned(int(url.rsplit(":", 1)[1]))
    # Imports are no part of it.
    import kubernetes.client
    import kubernetes.informer  # noqa: F401

    import vai.informer  # noqa: F401

    before = peak_bytes()
    started = time.perf_counter()
    steps = CLIENTS[name](canned, folder, pods, events)
    next(steps)
    synced_s = time.perf_counter() - started
    # The watch opens right after the list.
    while not canned.push(1):
        time.sleep(0.05)
    started = time.perf_counter()
    canned.push(events - 1)
    next(steps)
    followed_s = time.perf_counter() - started
    peak = peak_bytes()
    found = {
        "synced_s": synced_s,
        "followed_s": followed_s,
        "peak_mb": round(peak / 1e6, 1),
        "grown_mb": round((peak - before) / 1e6, 1),
    }
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
