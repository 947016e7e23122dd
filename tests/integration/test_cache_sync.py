"""`vai.connect` over real HTTP, against the simulated API."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import vai
from tests.timing import one_in_three, wait_until
from vai.testing import Simulator


def pod(name: str, namespace: str = "default", **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"containers": [{"name": "main", "image": "x"}]},
        "status": {"phase": "Running", "podIP": "10.0.0.7"},
    }


def secret(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "default"},
        "data": {"password": "Y2FuYXJ5"},
    }


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(seed=1) as made:
        yield made


@pytest.fixture
def kubeconfig(sim: Simulator, tmp_path: Path) -> Path:
    return sim.kubeconfig(tmp_path / "kubeconfig")


def test_the_copy_equals_the_cluster(sim: Simulator, kubeconfig: Path, tmp_path: Path) -> None:
    sim.populate(pods=200)
    scopes: list[str | vai.Scope] = [
        "pods",
        "deployments.apps",
        "nodes",
        vai.Scope("cm", namespace=["default"]),
    ]
    with vai.connect(tmp_path / "c.db", scopes, kubeconfig=kubeconfig) as cache:
        cache.wait_synced(timeout=60)
        for name in ("pods", "deployments", "nodes"):
            copy = {found.uid: found.to_dict() for found in cache.snapshot(name).values()}
            assert copy == {item["metadata"]["uid"]: item for item in sim.list(name)}
        assert len(cache.snapshot("cm")) == len(sim.list("configmaps", namespace="default"))


def test_a_write_is_seen_with_its_resource_version(
    sim: Simulator, kubeconfig: Path, tmp_path: Path
) -> None:
    with vai.connect(tmp_path / "c.db", "pods", kubeconfig=kubeconfig) as cache:
        cache.wait_synced(timeout=30)
        made = sim.add(pod("web-0"))
        version = made["metadata"]["resourceVersion"]
        found = cache.wait_for("pods", "default/web-0", min_resource_version=version, timeout=10)
        assert found.resource_version == version
        sim.delete("pods", "web-0")
        gone = cache.wait_for("pods", "default/web-0", until=lambda o: o is None, timeout=10)
        assert gone is None


def test_connect_returns_at_once_without_a_server(
    sim: Simulator, kubeconfig: Path, tmp_path: Path
) -> None:
    sim.cut()
    subprocess.run([sys.executable, "-c", "import kubernetes"], check=True)

    def reason(cache: vai.Cache) -> str:
        with pytest.raises(vai.SyncTimeoutError) as caught:
            cache.wait_synced(timeout=0.5)
        assert list(caught.value.scopes) == ["pods"]
        return caught.value.scopes["pods"]

    def connecting() -> float:
        started = time.monotonic()
        with vai.connect(tmp_path / "c.db", ["pods"], kubeconfig=kubeconfig) as cache:
            connected_s = time.monotonic() - started
            wait_until(lambda: "refused" in reason(cache))
            with pytest.raises(vai.NotSyncedError):
                cache.snapshot("pods")
            started = time.monotonic()
        closed_s.append(time.monotonic() - started)
        return connected_s

    closed_s: list[float] = []
    one_in_three(connecting, 4)

    def closing() -> float:
        connecting()
        return closed_s[-1]

    one_in_three(closing, 2)


def test_a_warm_file_answers_without_a_server(
    sim: Simulator, kubeconfig: Path, tmp_path: Path
) -> None:
    sim.add(pod("web-0"))
    with vai.connect(tmp_path / "c.db", ["pods"], kubeconfig=kubeconfig) as cache:
        cache.wait_synced(timeout=30)
    sim.cut()
    with vai.connect(tmp_path / "c.db", ["pods"], kubeconfig=kubeconfig) as cache:
        cache.wait_synced(timeout=10)
        pods = cache.snapshot("pods")
        assert list(pods) == ["default/web-0"]
        assert pods.freshness.complete
        assert pods.freshness.state is not vai.State.LIVE
        wait_until(lambda: cache.freshness("pods").state is vai.State.OFFLINE)
        with pytest.raises(vai.StaleError):
            cache.get("pods", "default/web-0", max_age=0)
        before = len(sim.request_log.lists("pods"))
        sim.restore()
        sim.add(pod("web-1"))
        assert cache.wait_for("pods", "default/web-1", timeout=30)
        assert len(sim.request_log.lists("pods")) == before


def test_secrets_are_kept_without_their_values_unless_asked_for(
    sim: Simulator, kubeconfig: Path, tmp_path: Path
) -> None:
    sim.add(secret("token"))
    with vai.connect(tmp_path / "a.db", ["secrets"], kubeconfig=kubeconfig) as cache:
        cache.wait_synced(timeout=30)
        found = cache.snapshot("secrets")["default/token"]
        assert found.redacted
        assert found.metadata["name"] == "token"
        with pytest.raises(vai.NotKeptError, match="secret_values=True"):
            found["data"]
    assert not any(b"Y2FuYXJ5" in path.read_bytes() for path in tmp_path.glob("a.db*"))
    scopes = ["secrets"]
    with vai.connect(tmp_path / "b.db", scopes, kubeconfig=kubeconfig, secret_values=True) as cache:
        cache.wait_synced(timeout=30)
        assert cache.snapshot("secrets")["default/token"]["data"] == {"password": "Y2FuYXJ5"}


def test_a_temporary_file_is_removed(sim: Simulator, kubeconfig: Path) -> None:
    sim.add(pod("web-0"))
    with vai.connect(vai.TEMPORARY, ["pods"], kubeconfig=kubeconfig) as cache:
        cache.wait_synced(timeout=30)
        folder = Path(cache.path).parent
        assert folder.stat().st_mode & 0o777 == 0o700
        assert len(cache.snapshot("pods")) == 1
    assert not folder.exists()


def test_many_watches_close_within_two_seconds(sim: Simulator, kubeconfig: Path) -> None:
    for number in range(30):
        name = f"ns-{number}"
        sim.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    scopes = [vai.Scope("pods", namespace=[f"ns-{number}" for number in range(30)])]

    def attempt() -> float:
        sim.request_log.clear()
        cache = vai.connect(vai.TEMPORARY, scopes, kubeconfig=kubeconfig)
        cache.wait_synced(timeout=60)
        wait_until(lambda: len(sim.request_log.watches("pods")) >= 30)
        started = time.monotonic()
        cache.close()
        return time.monotonic() - started

    one_in_three(attempt, 2)


def test_a_script_with_open_watches_ends_by_itself(
    sim: Simulator, kubeconfig: Path, tmp_path: Path
) -> None:
    sim.add(pod("web-0"))
    code = """
        import sys, time, vai
        cache = vai.connect(sys.argv[1], ["pods", "nodes", "configmaps"], kubeconfig=sys.argv[2])
        cache.wait_synced(timeout=30)
        time.sleep(1)
        print(time.time())
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code)]

    def attempt() -> float:
        done = subprocess.run(
            [*command, str(tmp_path / "c.db"), str(kubeconfig)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return time.time() - float(done.stdout)

    one_in_three(attempt, 3)


def test_of_two_processes_one_syncs_and_the_other_follows(
    sim: Simulator, kubeconfig: Path, tmp_path: Path
) -> None:
    sim.add(pod("web-0"))
    code = """
        import sys, vai
        cache = vai.connect(sys.argv[1], ["pods"], kubeconfig=sys.argv[2])
        cache.wait_synced(timeout=30)
        print(cache.role, flush=True)
        sys.stdin.read()
    """
    arguments = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "c.db")]
    with subprocess.Popen(
        [*arguments, str(kubeconfig)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "writer\n"
        with vai.connect(tmp_path / "c.db", ["pods"], kubeconfig=kubeconfig) as cache:
            assert cache.role == "reader"
            cache.wait_synced(timeout=30)
            sim.add(pod("web-1"))
            assert cache.wait_for("pods", "default/web-1", timeout=10)
            with pytest.raises(vai.WriterRunningError) as caught:
                vai.connect(tmp_path / "c.db", ["pods"], kubeconfig=kubeconfig, role="writer")
            assert caught.value.pid == other.pid
            other.kill()
            other.wait()
            wait_until(lambda: cache.role == "writer")
            sim.add(pod("web-2"))
            assert cache.wait_for("pods", "default/web-2", timeout=30)


def test_changes_go_on_while_the_server_comes_and_goes(
    sim: Simulator, kubeconfig: Path, tmp_path: Path
) -> None:
    with vai.connect(tmp_path / "c.db", ["pods"], kubeconfig=kubeconfig) as cache:
        cache.wait_synced(timeout=30)
        seen: list[str] = []
        changes = cache.changes("pods", since=cache.snapshot("pods").position)
        loop = threading.Thread(target=lambda: seen.extend(f"{ch.op} {ch.key}" for ch in changes))
        loop.start()
        sim.add(pod("a"))
        wait_until(lambda: len(seen) == 1)
        sim.drop_connections()
        sim.add(pod("b"))
        sim.delete("pods", "a")
        wait_until(lambda: len(seen) == 3)
    loop.join(30)
    assert seen == ["add default/a", "add default/b", "delete default/a"]


def test_the_asynchronous_face(sim: Simulator, kubeconfig: Path, tmp_path: Path) -> None:
    sim.add(pod("web-0"))

    async def main() -> list[str]:
        async with vai.connect(tmp_path / "c.db", ["pods"], kubeconfig=kubeconfig) as cache:
            await cache.aio.wait_synced(timeout=30)
            changes = cache.aio.changes("pods", since=cache.snapshot("pods").position)
            sim.add(pod("web-1"))
            found = await anext(changes)
            return [found.key, *[item.key for item in (await cache.aio.list("pods")).items]]

    assert asyncio.run(main()) == ["default/web-1", "default/web-0", "default/web-1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scopes": []}, "say what to keep"),
        ({"scopes": [""]}, "needs a resource"),
        ({"scopes": [vai.Scope("pods", label_selector="=a")]}, "expected"),
        ({"scopes": ["pods"], "live_within": 1}, "live_within"),
        ({"scopes": ["pods"], "settings": vai.Settings()}, "either settings"),
        ({"scopes": ["pods"], "context": "other"}, "other"),
    ],
)
def test_wrong_arguments_are_refused_at_once(
    kubeconfig: Path, tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(vai.InvalidRequestError, match=message):
        vai.connect(tmp_path / "c.db", kubeconfig=kubeconfig, **arguments)
    # Nothing was left behind that keeps a lock.
    with vai.connect(tmp_path / "c.db", ["pods"], kubeconfig=kubeconfig) as cache:
        assert cache.role == "writer"


def test_a_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    with pytest.raises(vai.InvalidRequestError, match=r"nowhere\.yaml"):
        vai.connect(tmp_path / "c.db", ["pods"], kubeconfig=tmp_path / "nowhere.yaml")


def test_a_file_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAI_FILE", raising=False)
    with pytest.raises(vai.InvalidRequestError, match="VAI_FILE"):
        vai.connect(scopes=["pods"])
