"""`vai sync` is killed with -9 in the middle of writes, again and again."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final

import pytest

import vai
from tests.apiserver.server import VAI, ApiServer
from tests.faults.history import Follower, Recorder, kept, lists
from tests.faults.processes import StartSync, run, wait_states, wait_until
from tests.faults.writes import Writers, collection, namespace
from tests.integration.real import key_of, listed
from vai.testing import Request, Simulator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]
HERE = "crashes"
TIMES: Final = 50
#: Every fifth one within this time of its start, when it may not have come to the server yet.
EARLY_S: Final = (0.05, 1.5)
#: The others so long after their first row, with more on the way.
LATE_S: Final = (0.0, 0.5)

# By another SQLite than ours, in another process, on a copy: what a user's own tools would see.
CHECK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
print(*(row[0] for row in connection.execute("PRAGMA integrity_check")))
print(*connection.execute("PRAGMA foreign_key_check").fetchall())
"""


def check_integrity(file: Path, copy: Path) -> None:
    copy.mkdir()
    for name in (file.name, f"{file.name}-wal"):
        if file.with_name(name).exists():
            shutil.copy(file.with_name(name), copy / name)
    done = subprocess.run(
        [sys.executable, "-c", CHECK, copy / file.name], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["ok"], done.stdout
    shutil.rmtree(copy)


def check_equal(file: Path, recorders: dict[str, Recorder]) -> dict[str, int]:
    """Every scope is what the server had at the scope's checkpoint, and its labels lead there."""
    with vai.open(file) as cache:
        versions = {}
        for scope in cache.status():
            assert scope.state is vai.State.STALE
            assert scope.complete
            version = int(scope.resource_version or "")
            here = kept(cache, scope.resource)
            assert here == recorders[scope.resource].at(version), f"{scope} at {version}"
            assert scope.objects == len(here)
            for color in ("red", "green", "blue"):
                red = {k for k, v in here.items() if v["metadata"]["labels"].get("color") == color}
                found = cache.snapshot(scope.resource, label_selector=f"color={color}")
                assert set(found) == red
            versions[scope.resource] = version
        return versions


def test_a_writer_killed_fifty_times_loses_nothing_and_lists_nothing(
    victim: ApiServer, sync: StartSync, tmp_path: Path
) -> None:
    file, config = tmp_path / "c.db", victim.write_kubeconfig()
    victim.create_many([namespace(HERE)])
    numbers = random.Random(5)
    paths = {"configmaps": collection(HERE), "serviceaccounts": collection(HERE, "serviceaccounts")}
    recorders = {name: Recorder(victim, path) for name, path in paths.items()}
    arguments = (file, config, ",".join(paths), "-n", HERE)
    process = sync(*arguments)
    wait_states(file, **dict.fromkeys(paths, "live"))
    before = victim.audit_position()
    started = time.monotonic()
    moved = 0
    with vai.open(file) as reader, Writers(victim, HERE) as writers:
        follower = Follower(reader, "configmaps")
        seen = reader.position()
        for turn in range(TIMES):
            if turn % 5:
                wait_until(lambda: reader.position().seq > seen.seq, str, 20)  # noqa: B023
            time.sleep(numbers.uniform(*(LATE_S if turn % 5 else EARLY_S)))
            process.kill()
            assert {scope.state for scope in reader.status()} == {vai.State.STALE}
            check_integrity(file, tmp_path / "copy")
            check_equal(file, recorders)
            now = reader.position()
            moved += now.seq > seen.seq
            seen = now
            process = sync(*arguments)
        writers.stop()
        wait_states(file, **dict.fromkeys(paths, "live"))
        for resource, path in paths.items():
            assert kept(reader, resource) == listed(victim, path)[1]
        # A reader that was there all the time was told all of it, in order.
        wait_until(lambda: follower.replayed() == kept(reader, "configmaps"))
    asked = victim.audit(VAI, since=before)
    watches = sum(entry["verb"] == "watch" for entry in asked)
    print(
        f"{TIMES} kills in {time.monotonic() - started:.0f} s, {moved} after commits; "
        f"{writers.done} writes, {len(follower.seen)} changes; lists {dict(lists(asked))}, "
        f"{watches} watches and probes, epoch {seen.epoch}"
    )
    assert lists(asked) == {}
    assert watches > TIMES
    assert moved >= TIMES * 4 / 5


class Pages:
    """Lets some pages of a list pass, and no more."""

    def __init__(self, count: int) -> None:
        self._left = count
        self.passed = threading.Event()

    def refuses(self, request: Request) -> bool:
        if request.kind != "list":
            return False
        self._left -= 1
        if self._left == 0:
            self.passed.set()
        return self._left < 0


@pytest.mark.parametrize("which", ["first", "another"])
def test_a_list_that_was_killed_is_no_answer(
    sim: Simulator, sync: StartSync, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    """The first one leaves nothing that counts, a later one the last good state."""
    monkeypatch.setenv("VAI_PAGE_SIZE", "20")
    file, config = tmp_path / "c.db", sim.kubeconfig(tmp_path / "kubeconfig")
    sim.populate(pods=1500)
    good: dict[str, object] = {}
    if which == "another":
        arguments = ("--once", f"--file={file}", f"--kubeconfig={config}", "--resources=pods")
        assert run("sync", *arguments).returncode == 0
        with vai.open(file) as cache:
            good = dict(kept(cache, "pods"))
        for item in sim.list("pods")[::2]:
            sim.delete("pods", item["metadata"]["name"], namespace=item["metadata"]["namespace"])
        sim.compact()
    numbers = random.Random(6)
    for _ in range(3):
        pages = Pages(numbers.randrange(3, 25))
        sim.fail_next(500, match=pages.refuses, times=1000)
        process = sync(file, config, "pods")
        assert pages.passed.wait(60)
        process.kill()
        sim.faults.clear()
        check_integrity(file, tmp_path / "copy")
        with vai.open(file) as cache:
            (scope,) = cache.status()
            assert scope.complete == bool(good)
            assert scope.state is (vai.State.STALE if good else vai.State.NEVER)
            if good:
                assert kept(cache, "pods") == good
            else:
                with pytest.raises(vai.NotSyncedError):
                    cache.snapshot("pods")
    sync(file, config, "pods")
    wait_states(file, pods="live")
    with vai.open(file) as cache:
        there = {key_of(item): item["metadata"]["uid"] for item in sim.list("pods")}
        assert {key: found.uid for key, found in cache.snapshot("pods").items()} == there
