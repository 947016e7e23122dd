"""What `kubernetes.watch.Watch` makes of faults: an example of how a client is judged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from urllib3.exceptions import HTTPError

from tests.unit.testing.conftest import config_map
from vai.testing import Fault, Simulator

kubernetes = pytest.importorskip("kubernetes")


@pytest.fixture
def core(sim: Simulator, tmp_path: Path) -> Iterator[Any]:
    path = sim.kubeconfig(tmp_path / "config")
    with kubernetes.config.new_client_from_config(str(path)) as client:
        yield kubernetes.client.CoreV1Api(client)


def watched(core: Any, sim: Simulator, count: int, **options: Any) -> list[str]:
    """The names of `count` events of ConfigMaps that are made while it begins."""
    version = str(sim.resource_version)
    for i in range(6):
        sim.add(config_map(f"c{i}"))
    names = []
    watch = kubernetes.watch.Watch()
    for event in watch.stream(
        core.list_namespaced_config_map, "default", resource_version=version, **options
    ):
        names.append(event["object"].metadata.name)
        if len(names) == count:
            watch.stop()
    return names


def test_it_goes_on_after_a_watch_that_ended(sim: Simulator, core: Any) -> None:
    sim.inject(Fault("end", at="watch", after=2))
    assert watched(core, sim, 6) == [f"c{i}" for i in range(6)]


def test_it_takes_one_410_and_gives_up_at_the_second(sim: Simulator, core: Any) -> None:
    sim.inject(Fault("expired", at="watch", after=2))
    assert watched(core, sim, 6) == [f"c{i}" for i in range(6)]
    sim.inject(Fault("expired", at="watch", after=0, times=2))
    with pytest.raises(kubernetes.client.ApiException) as caught:
        watched_again(core, sim)
    assert caught.value.status == 410


def watched_again(core: Any, sim: Simulator) -> None:
    """Until it fails."""
    for _ in kubernetes.watch.Watch().stream(
        core.list_namespaced_config_map, "default", resource_version=str(sim.resource_version)
    ):
        pass


@pytest.mark.parametrize("kind", ["cut", "reset"])
def test_a_broken_connection_ends_it(sim: Simulator, core: Any, kind: str) -> None:
    sim.inject(Fault(kind, at="watch", after=2))
    with pytest.raises((HTTPError, OSError)):
        watched(core, sim, 6)


def test_429_is_waited_for_only_if_the_server_says_how_long(sim: Simulator, core: Any) -> None:
    sim.inject(Fault("throttled", at="watch", retry_after=1))
    assert watched(core, sim, 6) == [f"c{i}" for i in range(6)]
    sim.inject(Fault("throttled", at="watch"))
    with pytest.raises(kubernetes.client.ApiException) as caught:
        watched_again(core, sim)
    assert caught.value.status == 429


def test_a_dropped_event_is_not_missed(sim: Simulator, core: Any) -> None:
    sim.inject(Fault("drop", at="event configmaps", nth=3))
    assert watched(core, sim, 5) == ["c0", "c1", "c3", "c4", "c5"]
