"""Handlers: from an event's bytes to a callback, and what fifty of them take.

Latency beside `kubernetes`' SharedInformer and beside the iterator of `Cache.changes`, each a
client of its own of one simulated server, at 50 writes a second. From the moment before the write
in the server's process, which is this one.
"""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

import vai
from vai.testing import Simulator

PODS: Final = 2_000
WRITES: Final = 300
PER_SECOND: Final = 50
HANDLERS: Final = 50


class Seen:
    """When each write was first heard of, by its label."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}

    def note(self, label: str | None) -> None:
        if label is not None:
            self.at.setdefault(label, time.perf_counter())


def handler(sim: Simulator, folder: Path, seen: Seen, closing: ExitStack) -> None:
    """`add_handler`."""
    cache = closing.enter_context(_connected(sim, folder / "handler"))
    cache.add_handler(
        "pods", on_update=lambda _old, new: seen.note(new.labels.get("bench"))
    ).wait_synced(120)


def iterator(sim: Simulator, folder: Path, seen: Seen, closing: ExitStack) -> None:
    """`changes`."""
    cache = closing.enter_context(_connected(sim, folder / "iterator"))
    changes = cache.changes("pods")

    def follow() -> None:
        for change in changes:
            if change.object is not None:
                seen.note(change.object.labels.get("bench"))

    threading.Thread(target=follow, daemon=True).start()


def shared_informer(sim: Simulator, _folder: Path, seen: Seen, closing: ExitStack) -> None:
    """`kubernetes.informer.SharedInformer`."""
    from kubernetes.client import ApiClient, Configuration, CoreV1Api
    from kubernetes.informer import ADDED, MODIFIED, SharedInformer

    make: Any = SharedInformer
    api = CoreV1Api(ApiClient(Configuration(host=sim.url)))
    informer = make(api.list_pod_for_all_namespaces)
    listed = threading.Semaphore(0)
    informer.add_event_handler(ADDED, lambda _pod: listed.release())
    informer.add_event_handler(
        MODIFIED, lambda pod: seen.note((pod.metadata.labels or {}).get("bench"))
    )
    informer.start()
    for _ in range(sim.count("pods")):
        assert listed.acquire(timeout=300)
    # Its thread waits in recv, which only the end of its connection ends.
    closing.callback(sim.drop_connections)
    closing.callback(informer._stop_event.set)


CONTENDERS: Final[dict[str, Callable[[Simulator, Path, Seen, ExitStack], None]]] = {
    "vai, add_handler": handler,
    "vai, changes": iterator,
    "SharedInformer": shared_informer,
}


def _connected(sim: Simulator, folder: Path) -> vai.Cache:
    folder.mkdir()
    cache = vai.connect(folder / "c.db", ["pods"], kubeconfig=sim.kubeconfig(folder / "kubeconfig"))
    cache.wait_synced(timeout=120)
    return cache


@pytest.fixture(scope="module")
def latencies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[float]]]:
    """All of them at once, so that each has the same server and machine."""
    folder = tmp_path_factory.mktemp("handlers")
    with Simulator(seed=1) as sim, ExitStack() as closing:
        sim.populate(pods=PODS)
        names = [item["metadata"] for item in sim.list("pods")]
        every = {name: Seen() for name in CONTENDERS}
        for name, start in CONTENDERS.items():
            start(sim, folder, every[name], closing)
        sent: dict[str, float] = {}
        for number in range(WRITES):
            chosen, label = names[number % len(names)], f"n{number}"
            sent[label] = time.perf_counter()
            sim.patch(
                "pods",
                chosen["name"],
                {"metadata": {"labels": {"bench": label}}},
                namespace=chosen["namespace"],
            )
            time.sleep(max(0.0, 1 / PER_SECOND - (time.perf_counter() - sent[label])))
        end = time.monotonic() + 60
        while any(len(seen.at) < WRITES for seen in every.values()) and time.monotonic() < end:
            time.sleep(0.05)
        yield {
            name: [seen.at[label] - at for label, at in sent.items() if label in seen.at]
            for name, seen in every.items()
        }


@pytest.mark.parametrize("contender", CONTENDERS)
def test_latency(benchmark: Any, latencies: dict[str, list[float]], contender: str) -> None:
    taken = sorted(latencies[contender])
    benchmark.group = f"event to callback, {PER_SECOND} writes/s, {PODS} pods"
    benchmark.extra_info |= {
        "p50 ms": taken[len(taken) // 2] * 1e3,
        "p99 ms": taken[int(len(taken) * 0.99)] * 1e3,
        "heard of": len(taken),
    }
    benchmark.pedantic(lambda: None, rounds=1)


def test_fifty_handlers(benchmark: Any, tmp_path: Path) -> None:
    """Their initial list of 10,000 pods each, and then one event for all."""
    with Simulator(seed=1) as sim, ExitStack() as closing:
        sim.populate(pods=10_000)
        first = sim.list("pods")[0]["metadata"]
        cache = closing.enter_context(_connected(sim, tmp_path / "fifty"))
        counts = [[0, 0] for _ in range(HANDLERS)]

        def counter(index: int) -> tuple[Any, Any]:
            def add(*_: Any) -> None:
                counts[index][0] += 1

            def update(*_: Any) -> None:
                counts[index][1] += 1

            return add, update

        resident, threads = _resident_bytes(), threading.active_count()
        cpu, started = _cpu_s(), time.perf_counter()
        for index in range(HANDLERS):
            add, update = counter(index)
            cache.add_handler("pods", on_add=add, on_update=update)
        for registration in cache.handlers:
            registration.wait_synced(120)
        listed_s, cpu_s = time.perf_counter() - started, _cpu_s() - cpu
        grown = _resident_bytes() - resident
        more = threading.active_count() - threads
        taken = []
        for number in range(20):
            started = time.perf_counter()
            sim.patch(
                "pods",
                first["name"],
                {"metadata": {"labels": {"bench": f"n{number}"}}},
                namespace=first["namespace"],
            )
            while min(count for _, count in counts) <= number:
                time.sleep(0.0005)
            taken.append(time.perf_counter() - started)
        assert {count for count, _ in counts} == {sim.count("pods")}
        benchmark.group = f"{HANDLERS} handlers of 10,000 pods"
        benchmark.extra_info |= {
            "initial s": listed_s,
            "CPU s": cpu_s,
            "grown MB": grown / 1e6,
            "threads": more,
            "all told, p50 ms": sorted(taken)[10] * 1e3,
        }
        benchmark.pedantic(lambda: None, rounds=1)


def _resident_bytes() -> int:
    """Now, and not at its peak: the simulated server is in this process too. Linux only."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except FileNotFoundError:
        return 0


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
