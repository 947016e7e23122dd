"""Workers that are forked after the file was opened, spawned ones, and a parent that dies."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

import vai
from tests.faults.processes import wait_until
from tests.faults.test_bad_answers import pod
from vai.testing import Simulator

# As `gunicorn --preload`: the application is made once, then the workers are forked.
PRELOAD = textwrap.dedent(
    """
    import json, os, sys, time
    import vai

    file, config = sys.argv[1:]

    def say(**words):
        os.write(1, json.dumps(words).encode() + b"\\n")

    def work(number):
        try:
            cache.snapshot("pods")
        except vai.ForkedError as error:
            forked = str(error)
        cache.close()  # As an application's teardown would: the parent's goes on.
        with vai.connect(file, ["pods"], kubeconfig=config) as mine:
            mine.wait_synced(timeout=30)
            pods = sorted(mine.snapshot("pods"))
            say(worker=os.getpid(), forked=forked, role=mine.role, pods=pods)
            mine.wait_for("pods", "shop/later", timeout=60)
            say(worker=os.getpid(), later=True, role=mine.role)
            while mine.role != "writer" or mine.freshness("pods").state != "live":
                time.sleep(0.05)
            say(worker=os.getpid(), role=mine.role)
            time.sleep(60)

    cache = vai.connect(file, ["pods"], kubeconfig=config)
    cache.wait_synced(timeout=30)
    list(cache.snapshot("pods"))
    for number in range(3):
        if os.fork() == 0:
            work(number)
            os._exit(0)
    say(parent=os.getpid(), role=cache.role)
    time.sleep(120)
    """
)


class Preloaded:
    """The parent, and what it and its workers say."""

    def __init__(self, file: Path, config: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PRELOAD, file, config],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def heard(self) -> dict[str, object]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.stderr and self.process.stderr.read()
        found: dict[str, object] = json.loads(line)
        return found

    def end(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


@pytest.fixture
def preloaded(sim: Simulator, tmp_path: Path) -> Iterator[Preloaded]:
    sim.apply(pod("p-00"))
    made = Preloaded(tmp_path / "c.db", sim.kubeconfig(tmp_path / "kubeconfig"))
    yield made
    made.end()


def test_forked_workers_open_it_themselves_and_one_goes_on_when_the_parent_dies(
    preloaded: Preloaded, sim: Simulator
) -> None:
    first = [preloaded.heard() for _ in range(4)]
    (parent,) = [said for said in first if "parent" in said]
    workers = [said for said in first if "worker" in said]
    assert parent["role"] == "writer"
    for said in workers:
        assert said["role"] == "reader"
        assert said["pods"] == ["shop/p-00"]
        assert f"forked child {said['worker']}" in str(said["forked"])
        assert "--preload" in str(said["forked"])
    # The parent goes on syncing for all, though its children came and one closed its cache.
    assert len(sim.request_log.lists("pods")) == 1
    sim.apply(pod("later"))
    later = [preloaded.heard() for _ in range(3)]
    assert {said["worker"] for said in later} == {said["worker"] for said in workers}
    assert {said["role"] for said in later} == {"reader"}
    # Its lock is not held by the children that were forked from it.
    preloaded.process.kill()
    taken = preloaded.heard()
    assert taken["role"] == "writer"
    assert taken["worker"] in {said["worker"] for said in workers}
    assert len(sim.request_log.lists("pods")) == 1


def names(file: str) -> tuple[list[str], vai.Object, vai.VaiError]:
    """In a spawned process."""
    with vai.open(file) as cache:
        with pytest.raises(vai.NotKeptError) as caught:
            cache.snapshot("nodes")
        return list(cache.snapshot("pods")), cache.snapshot("pods")["shop/p-00"], caught.value


def test_spawned_workers_read_while_the_parent_writes(sim: Simulator, tmp_path: Path) -> None:
    sim.apply(*(pod(f"p-{i:02d}") for i in range(5)))
    file, config = tmp_path / "c.db", sim.kubeconfig(tmp_path / "kubeconfig")
    with vai.connect(file, ["pods"], kubeconfig=config) as cache:
        cache.wait_synced(timeout=30)
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            answers = pool.map(names, [str(file)] * 4)
        for keys, item, error in answers:
            assert keys == list(cache.snapshot("pods"))
            assert item == cache.get("pods", "p-00", namespace="shop")
            assert isinstance(error, vai.NotKeptError)
            assert "nodes" in str(error)
        # The cache itself belongs to its process.
        with pytest.raises(TypeError, match="hand on its path"):
            pickle.dumps(cache)
        wait_until(lambda: cache.freshness("pods").state is vai.State.LIVE)
