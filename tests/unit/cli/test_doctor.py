"""Each thing is looked at, named, and has its remedy; nothing is changed."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.timing import wait_until
from tests.unit.cli.support import PODS, Builder, Run, meta
from vai.cli.health import machine, server
from vai.cli.health.verdict import Line, Verdict
from vai.config import Settings
from vai.informer import Informer
from vai.kube import connect
from vai.store import Store
from vai.testing import Simulator
from vai.types import Scope, State


def lines(output: str) -> dict[str, Line]:
    found = json.loads(output)
    return {
        one["name"]: Line(**{**one, "verdict": Verdict(one["verdict"])}) for one in found["lines"]
    }


@pytest.fixture
def file(build: Builder) -> Builder:
    build.plain(PODS, [{"metadata": meta("a", "shop")}])
    return build


def doctor(run: Run, *arguments: str) -> tuple[int, dict[str, Line]]:
    done = run("doctor", *arguments, "-o", "json")
    assert "Traceback" not in done.stderr
    found = lines(done.stdout)
    assert json.loads(done.stdout)["ok"] is (done.exit_code == 0)
    return done.exit_code, found


def test_a_sound_file_is_all_right(run: Run, file: Builder) -> None:
    code, found = doctor(run, str(file.path), "--offline")
    assert code == 0, found
    for name in ("kubernetes", "space", "file", "permissions", "log", "writer", "scopes",
                 "integrity", "rows", "bodies"):  # fmt: skip
        assert found[name].verdict is Verdict.OK, found[name]
    assert found["consumers"].verdict is Verdict.SKIPPED
    assert "server" not in found


def test_people_get_a_line_for_each_with_its_remedy(run: Run, file: Builder) -> None:
    file.path.chmod(0o644)
    done = run("doctor", str(file.path), "--offline", "--quick")
    assert done.exit_code == 1
    assert f"fail     permissions: others can read the cluster's objects: {file.path.name}" in (
        done.stdout
    )
    assert f"         → chmod 600 {file.path}*" in done.stdout
    assert "integrity" not in done.stdout


def test_a_file_that_nobody_writes_is_a_warning(run: Run, file: Builder) -> None:
    file.store.close()
    code, found = doctor(run, str(file.path), "--offline")
    assert code == 0
    assert found["writer"].verdict is Verdict.WARN
    assert found["scopes"].verdict is Verdict.WARN
    assert "no longer writes this file" in found["scopes"].text
    assert found["bodies"].verdict is Verdict.OK


def test_damage_is_found_and_nothing_is_asked_of_what_lies_behind_it(
    run: Run, tmp_path: Path
) -> None:
    build = Builder(tmp_path / "c.db").bind()
    pods = [{"metadata": meta(f"pod-{i:04}", "shop")} for i in range(3000)]
    build.plain(PODS, pods)
    build.store.close()
    with build.path.open("r+b") as raw:
        size = raw.seek(0, os.SEEK_END)
        for place in range(size // 3, size - 4096, 40960):
            raw.seek(place)
            raw.write(os.urandom(512))
    before = build.path.read_bytes()
    code, found = doctor(run, str(build.path), "--offline")
    assert code == 1
    failed = [one for one in found.values() if one.verdict is Verdict.FAIL]
    assert failed
    assert "bodies" not in found or found["bodies"].verdict is Verdict.FAIL
    assert all(one.remedy for one in failed)
    assert build.path.read_bytes() == before


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("DELETE FROM posting WHERE id = (SELECT max(id) FROM posting)", "lacks Posting"),
        ("INSERT INTO owner (uid_hash, object) VALUES (7, 1)", "a row of no body: Owner"),
        ("INSERT INTO posting SELECT id + 999, rows FROM posting LIMIT 1", "postings of no field"),
        ("UPDATE scope SET objects = objects + 1", "running sums"),
        ("UPDATE object SET uid = 'another' WHERE id = 2", "its body says"),
    ],
)
def test_rows_that_bodies_do_not_explain_are_found(
    run: Run, tmp_path: Path, statement: str, words: str
) -> None:
    build = Builder(tmp_path / "c.db").bind()
    pods = [{"metadata": {**meta(f"pod-{i}", "shop"), "labels": {"a": "x"}}} for i in range(20)]
    build.plain(PODS, pods)
    build.store.close()
    # No other process or handle has the file open.
    with closing(sqlite3.connect(build.path)) as db:
        assert db.execute(statement).rowcount > 0
        db.commit()
    code, found = doctor(run, str(build.path), "--offline")
    assert code == 1
    told = [one for one in found.values() if one.verdict is Verdict.FAIL]
    assert [words in one.text for one in told] == [True], told


@pytest.mark.parametrize(
    ("content", "remedy"), [(None, "makes one"), (b"something else" * 500, "another file")]
)
def test_what_is_no_cluster_file_is_one_line(
    run: Run, tmp_path: Path, content: bytes | None, remedy: str
) -> None:
    path = tmp_path / "c.db"
    if content is not None:
        path.write_bytes(content)
    code, found = doctor(run, str(path), "--offline")
    assert code == 1
    assert found["file"].verdict is Verdict.FAIL
    assert remedy in found["file"].remedy


def test_a_consumer_whose_history_is_gone_is_told(run: Run, file: Builder) -> None:
    consumer = file.store.consumer("billing")
    consumer.follow(["pods"], *file.store._core.position())
    consumer.release()
    _, found = doctor(run, str(file.path), "--offline", "--quick")
    assert found["consumers"].verdict is Verdict.OK
    assert "billing" in found["consumers"].text
    late = file.store.consumer("late")
    late.follow(["pods"], 0, 0)
    late.release()
    _, found = doctor(run, str(file.path), "--offline", "--quick")
    assert found["consumers"].verdict is Verdict.WARN
    assert "late" in found["consumers"].text


def test_a_full_disk_is_told_before_it_is_full(
    monkeypatch: pytest.MonkeyPatch, file: Builder
) -> None:
    disk = SimpleNamespace(free=10**12)
    monkeypatch.setattr("shutil.disk_usage", lambda _: disk)
    for disk.free, verdict in ((10**6, Verdict.FAIL), (10**12, Verdict.OK)):
        (line,) = machine.space(file.path)
        assert line.verdict is verdict


@pytest.mark.parametrize(
    ("version", "verdict"),
    [("36.0.0", Verdict.FAIL), ("28.1.0", Verdict.FAIL), ("29.0.0", Verdict.OK)],
)
def test_versions_of_kubernetes_that_do_not_work_are_named(
    monkeypatch: pytest.MonkeyPatch, version: str, verdict: Verdict
) -> None:
    monkeypatch.setattr(machine, "version", lambda _: version)
    assert machine.kubernetes().verdict is verdict


# --- with a server


class Live:
    """A file that is synced from a simulated server, in this process."""

    def __init__(self, folder: Path) -> None:
        self.sim = Simulator(seed=5)
        self.sim.populate(pods=20)
        self.config = self.sim.kubeconfig(folder / "kc")
        self.path = folder / "c.db"
        settings = Settings(kubeconfig=str(self.config), live_within_s=8, self_check_s=0)
        self.store = Store(self.path, "writer", live_within=8)
        self.informer = Informer(self.store, connect(settings), [Scope("pods")], settings)
        self.informer.start()
        wait_until(self._live)

    def _live(self) -> bool:
        scopes = self.store.scopes()
        return bool(scopes) and all(one.state is State.LIVE for one in scopes)

    def close(self) -> None:
        self.informer.stop()
        self.store.close()
        self.sim.close()


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    made = Live(tmp_path)
    yield made
    made.close()


def outside(path: Path, config: Path, *arguments: str) -> tuple[int, dict[str, Line]]:
    """In a process of its own, as a user would."""
    done = subprocess.run(
        [sys.executable, "-m", "vai", "doctor", str(path), f"--kubeconfig={config}",
         "-o", "json", *arguments],
        capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "VAI_LIVE_WITHIN": "8s"},
    )  # fmt: skip
    assert done.stderr == ""
    return done.returncode, lines(done.stdout)


def test_a_synced_file_is_compared_with_its_server(live: Live) -> None:
    code, found = outside(live.path, live.config)
    assert code == 0, found
    for name in ("server", "clock", "cluster", "self-check"):
        assert found[name].verdict is Verdict.OK, found[name]
    assert "20 objects are the server's" in found["self-check"].text


def test_drift_of_a_file_at_rest_is_found(live: Live) -> None:
    scope = live.store.scopes()[0]
    live.informer.stop()
    watching = live.store.begin_watch(scope.id)
    version = str(int(scope.resource_version or 0) + 1)
    fake: dict[str, Any] = {
        "metadata": {"namespace": "x", "name": "ghost", "uid": "g", "resourceVersion": version}
    }
    watching.push(json.dumps({"type": "ADDED", "object": fake}).encode() + b"\n")
    live.store.flush()
    meta = live.sim.list("pods")[0]["metadata"]
    while live.sim.resource_version < int(version):
        live.sim.patch(
            "pods", meta["name"], {"metadata": {"labels": {"a": str(live.sim.resource_version)}}},
            namespace=meta["namespace"],
        )  # fmt: skip
    live.store.close()
    code, found = outside(live.path, live.config)
    assert code == 1
    assert found["self-check"].verdict is Verdict.FAIL
    assert "extra x/ghost" in found["self-check"].text


def test_a_server_that_is_away_is_one_failure(live: Live) -> None:
    live.sim.cut()
    code, found = outside(live.path, live.config, "--quick")
    assert code == 1
    assert found["server"].verdict is Verdict.FAIL
    assert "connection" in found["server"].text
    assert "self-check" not in found


def test_a_file_of_another_cluster_is_not_compared(live: Live, tmp_path: Path) -> None:
    with Simulator(seed=6) as other:
        code, found = outside(live.path, other.kubeconfig(tmp_path / "other"))
    assert code == 1
    assert found["cluster"].verdict is Verdict.FAIL
    assert "self-check" not in found


@pytest.mark.parametrize(
    ("ahead_s", "verdict"), [(0.0, Verdict.OK), (20.0, Verdict.WARN), (-500.0, Verdict.FAIL)]
)
def test_clocks_that_disagree_are_told(ahead_s: float, verdict: Verdict) -> None:
    line = server._clock("Tue, 05 May 2026 10:00:00 GMT", 1777975200.5 + ahead_s)
    assert line.verdict is verdict, line
    assert server._clock("no date", 0).verdict is Verdict.SKIPPED
