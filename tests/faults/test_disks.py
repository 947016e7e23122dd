"""Full and read-only disks: clear errors, an intact file, and it goes on by itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import vai
from tests.faults.disks import fill, mounted, set_read_only
from tests.faults.history import kept
from tests.faults.processes import StartSync, run, wait_states, wait_until
from tests.faults.test_bad_answers import pod
from tests.integration.real import exact, key_of
from vai.testing import Simulator

MB = 1 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk", 4 * MB) as where:
        yield where


def same(cache: vai.Cache, sim: Simulator) -> bool:
    return set(kept(cache, "configmaps")) == {key_of(item) for item in sim.list("configmaps")}


def noise(name: str) -> dict[str, object]:
    """A ConfigMap that compression makes no smaller than 50 KB."""
    metadata = {"name": name, "namespace": "default"}
    data = {"noise": os.urandom(50_000).hex()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def test_a_disk_that_fills_up_is_told_and_when_there_is_space_it_goes_on(
    sim: Simulator, disk: Path, sync: StartSync, tmp_path: Path
) -> None:
    sim.apply(*(noise(f"n-{i:02d}") for i in range(5)))
    file, config = disk / "c.db", sim.kubeconfig(tmp_path / "kubeconfig")
    process = sync(file, config, "configmaps")
    wait_states(file, configmaps="live")
    with vai.open(file) as reader:
        before = kept(reader, "configmaps")
        ballast = fill(disk, leave_bytes=128 << 10)
        sim.apply(*(noise(f"more-{i:02d}") for i in range(10)))
        wait_until(
            lambda: reader.freshness("configmaps").state is vai.State.STALE,
            lambda: str(reader.status()),
        )
        freshness = reader.freshness("configmaps")
        assert "space" in freshness.reason, freshness
        # What was committed is there, and nothing of what was not.
        assert before.items() <= kept(reader, "configmaps").items()
        assert set(kept(reader, "configmaps")) <= {key_of(item) for item in sim.list("configmaps")}
        assert process.alive
        ballast.unlink()
        back_s = wait_until(lambda: same(reader, sim), lambda: str(reader.status()), 60)
        wait_states(file, configmaps="live")
        assert {k: exact(v.raw) for k, v in reader.snapshot("configmaps").items()}
    print(f"{back_s:.1f} s after there was space; it said: {freshness.reason}")
    said = process.kill()
    assert "Traceback" not in said
    check_integrity(file)


def check_integrity(file: Path) -> None:
    script = (
        "import sqlite3, sys\n"
        "print(*sqlite3.connect(sys.argv[1]).execute('PRAGMA integrity_check').fetchone())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, file], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("ok\n", "")


def test_a_first_sync_into_a_full_disk_is_a_clear_error(
    sim: Simulator, disk: Path, tmp_path: Path
) -> None:
    sim.apply(*(noise(f"n-{i:02d}") for i in range(120)))
    config = sim.kubeconfig(tmp_path / "kubeconfig")
    arguments = ("--resources=configmaps", f"--kubeconfig={config}", "--once", "--timeout=20s")
    done = run("sync", f"--file={disk / 'c.db'}", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert "space" in done.stderr
    assert "Traceback" not in done.stderr
    asked = run("get", "configmaps", "-A", f"--file={disk / 'c.db'}")
    assert (asked.returncode, asked.stdout) == (1, "")
    assert "never synced" in asked.stderr
    fill(disk)
    done = run("sync", f"--file={disk / 'other.db'}", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert "space" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_disk_that_is_full_when_the_server_is_first_heard_ends_nothing(
    sim: Simulator, disk: Path, tmp_path: Path
) -> None:
    sim.apply(pod("p-00"))
    config = sim.kubeconfig(tmp_path / "kubeconfig")
    sim.cut()
    with vai.connect(disk / "c.db", ["pods"], kubeconfig=config) as cache:
        ballast = fill(disk)
        sim.restore()
        with pytest.raises(vai.SyncTimeoutError) as caught:
            cache.wait_synced(timeout=3)
        assert "space" in caught.value.scopes["pods"]
        ballast.unlink()
        cache.wait_synced(timeout=30)
        assert list(cache.snapshot("pods")) == ["shop/p-00"]


def test_a_read_only_mount_is_read_but_not_written(
    sim: Simulator, disk: Path, tmp_path: Path
) -> None:
    sim.apply(pod("p-00"))
    file, config = disk / "c.db", sim.kubeconfig(tmp_path / "kubeconfig")
    arguments = (f"--file={file}", f"--kubeconfig={config}", "--resources=pods")
    # By another process: a writer's lock file stays open, and would keep the mount busy.
    assert run("sync", "--once", *arguments).returncode == 0
    set_read_only(disk, read_only=True)
    try:
        with vai.open(file) as reader:
            assert list(reader.snapshot("pods")) == ["shop/p-00"]
            assert reader.freshness("pods").state is vai.State.STALE
        assert run("get", "pods", "-A", "-o", "name", f"--file={file}").stdout == "pod/p-00\n"
        with pytest.raises(vai.ReadOnlyError, match=str(file)):
            vai.connect(file, ["pods"], kubeconfig=config)
        with pytest.raises(vai.ReadOnlyError, match=str(disk)):
            vai.connect(disk / "new.db", ["pods"], kubeconfig=config)
        done = run("sync", *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert "read-only" in done.stderr.lower()
        assert "Traceback" not in done.stderr
    finally:
        set_read_only(disk, read_only=False)
    assert run("sync", "--once", *arguments).returncode == 0


def test_a_read_only_mount_with_a_log_that_was_not_moved_is_refused(
    sim: Simulator, disk: Path, sync: StartSync, tmp_path: Path
) -> None:
    """Without it part of the data would be missing."""
    sim.apply(pod("p-00"))
    file = disk / "c.db"
    process = sync(file, sim.kubeconfig(tmp_path / "kubeconfig"), "pods")
    wait_states(file, pods="live")
    process.kill()
    set_read_only(disk, read_only=True)
    try:
        with pytest.raises(vai.ReadOnlyError, match="write-ahead log"):
            vai.open(file).snapshot("pods")
    finally:
        set_read_only(disk, read_only=False)
    with vai.open(file) as reader:
        assert list(reader.snapshot("pods")) == ["shop/p-00"]
