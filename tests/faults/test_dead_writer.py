"""What readers in other processes say of a writer that died or hangs."""

from __future__ import annotations

import fcntl
import signal
import time
from pathlib import Path

import pytest

import vai
from tests.faults.processes import (
    LIVE_WITHIN_S,
    StartSync,
    run,
    states,
    status,
    wait_states,
    wait_until,
)
from vai.testing import Simulator

pytestmark = pytest.mark.slow


def test_a_killed_writer_is_stale_at_once(sim: Simulator, sync: StartSync, tmp_path: Path) -> None:
    file = tmp_path / "c.db"
    sim.populate(pods=20)
    process = sync(file, sim.kubeconfig(tmp_path / "kubeconfig"), "pods,nodes")
    wait_states(file, pods="live", nodes="live")
    with vai.open(file) as reader:
        rows = dict(reader.snapshot("pods"))
        process.kill()
        # In a process that had the file open before, and in one that opens it now.
        assert {scope.state for scope in reader.status()} == {vai.State.STALE}
        assert reader.snapshot("pods").freshness.state is vai.State.STALE
        assert dict(reader.snapshot("pods")) == rows
    assert states(file) == {"pods": "stale", "nodes": "stale"}
    for scope in status(file).values():
        assert str(process.pid) in scope["reason"]
        assert scope["complete"]
    done = run("get", "pods", "-A", "-o", "name", f"--file={file}", "--max-age=1ms")
    assert done.returncode == 3
    assert f"process {process.pid} no longer writes this file" in done.stderr


def test_a_new_writer_does_not_lend_its_life_to_the_word_of_the_dead_one(
    sim: Simulator, sync: StartSync, tmp_path: Path
) -> None:
    """Between taking the lock and telling anything, `FILE.live` is the former writer's."""
    file = tmp_path / "c.db"
    process = sync(file, sim.kubeconfig(tmp_path / "kubeconfig"), "pods")
    wait_states(file, pods="live")
    process.kill()
    # A writer that stops right after it took the lock.
    with Path(f"{file}.lock").open("r+b") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        assert states(file) == {"pods": "stale"}
        assert status(file)["pods"]["reason"] == "the writer has just started"
        assert run("sync", "--resources=pods", "--once", f"--file={file}").returncode == 1
        # Once it told, its word counts; here that is what the dead one left.
        fcntl.lockf(lock, fcntl.LOCK_SH)
        assert states(file) == {"pods": "live"}


def test_the_age_of_a_file_outlives_the_machines_boot(sim: Simulator, tmp_path: Path) -> None:
    """What is known beside the file counts for one boot only; a copy of the file has none of it."""
    file = tmp_path / "c.db"
    sim.populate(pods=20)
    config = sim.kubeconfig(tmp_path / "kubeconfig")
    arguments = (f"--file={file}", f"--kubeconfig={config}", "--resources=pods")
    assert run("sync", "--once", *arguments).returncode == 0
    Path(f"{file}.live").unlink()
    with vai.open(file) as reader:
        freshness = reader.freshness("pods")
        assert freshness.state is vai.State.STALE
        assert freshness.complete
        assert 0 <= (freshness.age_s or -1) < 10
        time.sleep(0.5)
        assert (reader.freshness("pods").age_s or 0) >= (freshness.age_s or 0) + 0.4
    done = run("get", "pods", "-A", "-o", "name", f"--file={file}", "--max-age=1h")
    assert (done.returncode, len(done.stdout.split())) == (0, 20)


def test_a_hung_writer_is_stale_after_the_limit_and_live_when_it_goes_on(
    sim: Simulator, sync: StartSync, tmp_path: Path
) -> None:
    file = tmp_path / "c.db"
    sim.populate(pods=20)
    process = sync(file, sim.kubeconfig(tmp_path / "kubeconfig"), "pods,nodes")
    wait_states(file, pods="live", nodes="live")
    process.signal(signal.SIGSTOP)
    stopped = time.monotonic()
    with vai.open(file) as reader:
        # Until then its last proof is young enough, and nobody can know.
        stale_s = wait_until(
            lambda: {scope.state for scope in reader.status()} == {vai.State.STALE},
            lambda: str(reader.status()),
            LIVE_WITHIN_S + 1,
        )
        assert states(file) == {"pods": "stale", "nodes": "stale"}
        for scope in reader.status():
            assert (scope.age_s or 0.0) > LIVE_WITHIN_S
            assert scope.reason
        ages = [reader.freshness("pods").age_s or 0.0]
        assert len(reader.snapshot("pods")) == 20
        time.sleep(max(0.0, 2 * LIVE_WITHIN_S + 1 - (time.monotonic() - stopped)))
        ages.append(reader.freshness("pods").age_s or 0.0)
        assert ages[1] > ages[0] + 1
        # By now it is plain that it hangs, and that it holds the file all the same.
        assert "told nothing" in reader.freshness("pods").reason
        done = run("sync", "--once", "--resources=pods", f"--file={file}")
        assert done.returncode == 1
        assert str(process.pid) in done.stderr
        process.signal(signal.SIGCONT)
        live_s = wait_states(file, 30, pods="live", nodes="live")
        assert {scope.state for scope in reader.status()} == {vai.State.LIVE}
    print(f"stale {stale_s:.1f} s after SIGSTOP, live {live_s:.1f} s after SIGCONT")
