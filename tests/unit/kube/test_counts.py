"""Requests and bytes are counted as they are: beside a relay that counts the bytes on the wire."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.proxy import Proxy
from tests.timing import wait_until
from vai.config import Settings
from vai.errors import OfflineError
from vai.kube import Source, Transport, connect, discover, identify
from vai.kube.kubeconfig import Access
from vai.kube.meter import Meter
from vai.reflector import RefusedError
from vai.reflector.protocol import drain
from vai.testing import Simulator
from vai.types import RequestCount, Resource

PODS = Resource(group="", version="v1", plural="pods", kind="Pod", verbs=("list", "watch"))


class Counts:
    """A sink."""

    def __init__(self) -> None:
        self.by: dict[tuple[int, str], RequestCount] = {}
        self._lock = threading.Lock()

    def __call__(self, scope: int, verb: str, more: RequestCount) -> None:
        with self._lock:
            self.by[scope, verb] = self.by.get((scope, verb), RequestCount()) + more

    @property
    def received_bytes(self) -> int:
        with self._lock:
            return sum(count.received_bytes for count in self.by.values())

    def requests(self) -> dict[str, int]:
        found: Counter[str] = Counter()
        with self._lock:
            for (_, verb), count in self.by.items():
                found[verb] += count.requests
        return dict(found)


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(seed=3) as made:
        made.populate(pods=200)
        yield made


def settled(proxy: Proxy) -> int:
    """The bytes that came back over it, once nothing comes any more."""
    before = -1
    while before != proxy.received:
        before = proxy.received
        time.sleep(0.3)
    return before


def through(proxy: Proxy, **settings: object) -> tuple[Transport, Counts]:
    access = Access(origin="kc", context="c", server=f"http://127.0.0.1:{proxy.port}")
    transport = Transport(access, Settings(**settings))  # type: ignore[arg-type]
    counts = Counts()
    transport.meter.begin(counts)
    return transport, counts


@pytest.mark.parametrize("compress", [False, True])
def test_every_byte_of_every_answer_is_counted_once(sim: Simulator, compress: bool) -> None:
    with Proxy(sim.port) as proxy:
        transport, counts = through(proxy, compress=compress)
        discover(transport)
        identify(transport)
        source = Source(transport, PODS, scope=7)
        token = ""
        with source.list_page(150, token) as response:
            assert response.gzip is compress
            drain(response.chunks(), 1 << 30)
        assert source.probe() == str(sim.resource_version)
        with source.watch(str(sim.resource_version), 1) as response:
            sim.populate(pods=20)
            drain(response.chunks(), 1 << 30)
        # The end of the probe's answer is taken once it has surely come, by a later request.
        time.sleep(1.6)
        with pytest.raises(RefusedError):
            transport.get_bytes("/nowhere")
        transport.close()
        wait_until(lambda: counts.received_bytes == settled(proxy), what=lambda: (counts.by,))
        assert counts.by[7, "list"].received_bytes > (10_000 if compress else 500_000)
    assert counts.requests() == {"discovery": 2, "other": 2, "list": 1, "probe": 1, "watch": 1}
    kinds = Counter(entry.kind for entry in sim.request_log)
    assert (kinds["list"], kinds["watch"], kinds["probe"]) == (1, 1, 1)
    assert kinds.total() == sum(counts.requests().values())


def test_what_repeats_a_failure_and_what_is_refused_for_too_much_is_counted(
    sim: Simulator, tmp_path: Path
) -> None:
    transport = connect(Settings(kubeconfig=str(sim.kubeconfig(tmp_path / "kc"))))
    counts = Counts()
    transport.meter.begin(counts)
    source = Source(transport, PODS, scope=7)
    sim.fail_next(429, match="list")
    with pytest.raises(RefusedError, match="429"):
        source.list_page(1)
    for _ in range(2):
        source.list_page(1).close()
    source.probe()
    count = counts.by[7, "list"]
    assert (count.requests, count.retries, count.throttled) == (3, 1, 1)
    assert counts.by[7, "probe"].retries == 0
    transport.close()


def test_what_is_counted_before_anybody_takes_it_is_kept() -> None:
    meter, counts = Meter(), Counts()
    meter.of(0, "other").sent()
    meter.of(0, "other").received(5)
    meter.begin(counts)
    meter.of(0, "other").sent()
    assert counts.by == {(0, "other"): RequestCount(requests=2, received_bytes=5)}


def test_discovery_that_stands_is_not_sent_again(sim: Simulator, tmp_path: Path) -> None:
    transport = connect(Settings(kubeconfig=str(sim.kubeconfig(tmp_path / "kc"))))
    first = discover(transport)
    asked = len(sim.request_log)
    assert discover(transport) == first
    again = sim.request_log.entries()[asked:]
    assert [entry.status for entry in again] == [304, 304]
    sim.install_crd(kind="Widget")
    assert "widgets.example.com" in [found.name for found in discover(transport).resources]
    transport.close()


# --- the budget


def test_a_429_makes_every_scope_stand_back(sim: Simulator, tmp_path: Path) -> None:
    transport = connect(Settings(kubeconfig=str(sim.kubeconfig(tmp_path / "kc"))))
    sim.fail_next(429, retry_after=2, match="list")
    with pytest.raises(RefusedError):
        Source(transport, PODS, scope=1).list_page(1)
    refused = sim.request_log[-1].time
    Source(transport, PODS, scope=2).probe()
    assert sim.request_log[-1].time - refused > 1.8
    transport.close()


def test_closing_wakes_who_waits_for_the_budget(sim: Simulator, tmp_path: Path) -> None:
    transport = connect(Settings(kubeconfig=str(sim.kubeconfig(tmp_path / "kc"))))
    transport.budget.stand_back(30)
    raised: list[BaseException] = []

    def ask() -> None:
        try:
            transport.get_bytes("/version")
        except OfflineError as error:
            raised.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(0.3)
    asked = len(sim.request_log)
    transport.close()
    thread.join(5)
    assert "closed" in str(raised[0])
    assert len(sim.request_log) == asked


def test_a_list_is_read_at_its_pace_and_a_watch_beside_it_at_once(
    sim: Simulator, tmp_path: Path
) -> None:
    config = str(sim.kubeconfig(tmp_path / "kc"))
    transport = connect(Settings(kubeconfig=config, bytes_per_second=400_000))
    done = threading.Event()

    def load() -> None:
        with Source(transport, PODS, scope=1).list_page(0) as response:
            drain(response.chunks(), 1 << 30)
        done.set()

    with Source(transport, PODS, scope=2).watch(str(sim.resource_version), 30) as watched:
        events = watched.chunks()
        thread = threading.Thread(target=load, daemon=True)
        thread.start()
        # 200 pods of 5 KB: a second's worth at once, the rest takes its time.
        assert not done.wait(0.5)
        sim.populate(pods=1)
        assert b"ADDED" in next(events)
        assert not done.is_set()
        assert done.wait(30)
    transport.close()
