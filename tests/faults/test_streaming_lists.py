"""Streaming lists that are cut, refused, or never end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import vai
from tests.faults.history import Follower, kept
from tests.faults.processes import wait_until
from tests.faults.relay import Relay
from tests.faults.test_bad_answers import pod, same, wait_live
from vai.config import Settings
from vai.testing import Simulator

PODS = 40


@pytest.fixture
def relay(sim: Simulator) -> Iterator[Relay]:
    """Before a server that has some pods."""
    sim.apply(*(pod(f"p-{i:02d}") for i in range(PODS)))
    with Relay(sim.port) as made:
        yield made


def connect(relay: Relay, folder: Path, **settings: Any) -> vai.Cache:
    config = relay.kubeconfig(folder / "kubeconfig")
    known: dict[str, Any] = {
        "streaming_lists": "always",
        "stream_silence_s": 1.0,
        "live_within_s": 9.0,
    }
    chosen = Settings(kubeconfig=str(config), **(known | settings))
    return vai.connect(folder / "c.db", ["pods"], settings=chosen)


def is_stream(path: str) -> bool:
    """A streaming list, not the probe that is one of no object."""
    of_pods = path.startswith("/api/v1/pods?")
    return of_pods and "sendInitialEvents" in path and "vai_probe" not in path


def streams(relay: Relay) -> list[str]:
    return [path for path in relay.asked if is_stream(path)]


def pages(relay: Relay) -> list[str]:
    asked = [path for path in relay.asked if path.startswith("/api/v1/pods?")]
    return [path for path in asked if "limit=500" in path]


def test_a_first_sync_is_one_request_that_goes_on_as_the_watch(
    relay: Relay, sim: Simulator, tmp_path: Path
) -> None:
    with connect(relay, tmp_path) as cache:
        wait_live(cache)
        assert same(cache, sim)
        follower = Follower(cache, "pods")
        before = [path for path in relay.asked if "watch=true" in path]
        sim.apply(pod("p-00", "Failed"))
        wait_until(lambda: same(cache, sim))
        wait_until(lambda: follower.ops() == {("update", "shop/p-00"): 1})
        # By the stream that brought the list, unless this took longer than it lasts.
        after = [path for path in relay.asked if "watch=true" in path]
        assert len(streams(relay)) == 1
        assert len(after) <= len(before) + 3
        assert pages(relay) == []


@pytest.mark.parametrize("cut_after", [150, 3000, 20_000, 33_333])
def test_a_stream_that_is_cut_loses_nothing_and_leaves_nothing(
    relay: Relay, sim: Simulator, tmp_path: Path, cut_after: int
) -> None:
    """The first list of a file, and one that a 410 makes necessary."""
    cuts = [cut_after]
    relay.cut_after = lambda path: cuts.pop() if cuts and is_stream(path) else None
    with connect(relay, tmp_path) as cache:
        # What it wrote before it was cut is gone meanwhile.
        wait_until(lambda: not cuts)
        sim.delete("pods", "p-00", namespace="shop")
        wait_live(cache)
        wait_until(lambda: same(cache, sim))
        follower = Follower(cache, "pods")
        sim.cut()
        sim.delete("pods", "p-01", namespace="shop")
        sim.apply(pod("p-02", "Failed"), pod("new"))
        sim.compact()
        cuts.append(cut_after)
        sim.restore()

        def settled() -> bool:
            # Whole at every moment, as of before or after.
            assert len(cache.snapshot("pods")) == PODS - 1
            return not cuts and same(cache, sim)

        wait_until(settled, lambda: str(cache.status()))
        wait_live(cache)
        expected = {("delete", "shop/p-01"): 1, ("update", "shop/p-02"): 1, ("add", "shop/new"): 1}
        wait_until(lambda: follower.replayed() == kept(cache, "pods"))
        assert follower.ops() == expected


def test_a_stream_that_is_always_cut_gives_way_to_pages(
    relay: Relay, sim: Simulator, tmp_path: Path
) -> None:
    relay.cut_after = lambda path: 3000 if is_stream(path) else None
    with connect(relay, tmp_path) as cache:
        wait_live(cache)
        assert same(cache, sim)
    assert len(streams(relay)) == 2
    assert len(pages(relay)) == 1


def test_a_server_that_takes_no_notice_of_the_option_is_read_by_pages(
    relay: Relay, sim: Simulator, tmp_path: Path
) -> None:
    """As those before 1.27: the watch begins, and no bookmark ever says where the list ends."""
    options = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
    known = f"resourceVersion={sim.resource_version}"
    relay.rewrite = lambda path: path.replace(options, known)
    with connect(relay, tmp_path) as cache:
        wait_live(cache)
        assert same(cache, sim)
        assert (len(streams(relay)), len(pages(relay))) == (1, 1)


def test_a_compressed_stream_is_read_as_it_comes(
    relay: Relay, sim: Simulator, tmp_path: Path
) -> None:
    with connect(relay, tmp_path, compress=True) as cache:
        wait_live(cache)
        sim.apply(pod("p-00", "Failed"))
        wait_until(lambda: same(cache, sim))
    assert len(streams(relay)) == 1
