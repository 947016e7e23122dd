"""With few rights, with none, with a wrong token, and without a server."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import pytest

import vai
from tests.apiserver import objects
from tests.apiserver.processes import free_ports
from tests.apiserver.server import NOBODY, ROLE_ONLY, VAI, ApiServer
from tests.integration.real import eventually, exact, listed, vai_sync

MINE: Final = "only-mine"
OTHER: Final = "not-mine"
RULES: Final = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]


@pytest.fixture(scope="module")
def server(apiserver: ApiServer) -> ApiServer:
    for name in (MINE, OTHER):
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        apiserver.create_many([space])
        for index, pod in enumerate(objects.pods(3, seed=len(name))):
            pod["metadata"] |= {"name": f"pod-{index}", "namespace": name}
            apiserver.create_many([pod], with_status=True)
    apiserver.grant(ROLE_ONLY, RULES, namespace=MINE)
    return apiserver


def run_vai(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vai", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def scopes_of(file: Path) -> dict[str, Any]:
    done = run_vai("status", f"--file={file}", "-o", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return {f"{s['resource']} {s['namespace']}": s for s in found["scopes"]}


def test_a_role_in_one_namespace_is_enough_for_it(server: ApiServer, tmp_path: Path) -> None:
    file = tmp_path / "c.db"
    config = server.write_kubeconfig(ROLE_ONLY, namespace=MINE)
    before = server.audit_position()
    scopes = [vai.Scope("pods", namespace=MINE)]
    with vai.connect(file, scopes, kubeconfig=config) as cache:
        cache.wait_synced(timeout=20)
        _, there = listed(server, f"/api/v1/namespaces/{MINE}/pods")
        assert {k: exact(o.raw) for k, o in cache.snapshot("pods", MINE).items()} == there
        server.patch(f"/api/v1/namespaces/{MINE}/pods/pod-0", {"metadata": {"labels": {"x": "y"}}})
        seen = cache.wait_for(
            "pods", "pod-0", namespace=MINE, until=lambda o: o and o.labels.get("x"), timeout=10
        )
        assert seen
        assert cache.freshness("pods", MINE).state is vai.State.LIVE
        # kube-system may not be read, so the cluster's identity is that of server and CA.
        cluster = cache.cluster()
        assert cluster is not None
        assert not cluster.verified
        assert cluster.uid.startswith("sha256:")
        assert cluster.namespace == MINE
        # What no scope keeps is not said to be absent.
        with pytest.raises(vai.NotKeptError):
            cache.get("pods", "pod-0", namespace=OTHER)
    # Nothing was tried that the Role does not allow, but the identity.
    refused = [
        entry["requestURI"]
        for entry in server.audit(ROLE_ONLY, since=before)
        if entry["responseStatus"]["code"] == 403
    ]
    assert refused == ["/api/v1/namespaces/kube-system"]
    # Started again: the same file, without a list.
    before = server.audit_position()
    with vai.connect(file, scopes, kubeconfig=config) as cache:
        cache.wait_synced(timeout=1)
        assert eventually(lambda: cache.freshness("pods", MINE).state is vai.State.LIVE)
    assert not [e for e in server.audit(ROLE_ONLY, since=before) if e["verb"] == "list"]


def test_scopes_elsewhere_are_forbidden_with_the_missing_rule(
    server: ApiServer, tmp_path: Path
) -> None:
    config = server.write_kubeconfig(ROLE_ONLY)
    scopes = [vai.Scope("pods", namespace=[MINE, OTHER]), vai.Scope("nodes")]
    with vai.connect(tmp_path / "c.db", scopes, kubeconfig=config) as cache:
        with pytest.raises(vai.SyncTimeoutError) as caught:
            cache.wait_synced(timeout=3)
        assert set(caught.value.scopes) == {f"pods in {OTHER}", "nodes"}
        for why in caught.value.scopes.values():
            assert "forbidden" in why
        assert cache.freshness("pods", MINE).state is vai.State.LIVE
        other = cache.freshness("pods", OTHER)
        assert other.state is vai.State.FORBIDDEN
        for words in ("pods", "list", "watch", OTHER):
            assert words in other.reason
        assert "nodes" in cache.freshness("nodes").reason
        with pytest.raises(vai.NotSyncedError):
            cache.snapshot("pods", OTHER)
        assert len(cache.snapshot("pods", MINE)) == 3


def test_a_right_that_is_given_later_is_found(server: ApiServer, tmp_path: Path) -> None:
    config = server.write_kubeconfig(NOBODY)
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "given-later"}}
    server.create_many([space])
    scopes = [vai.Scope("pods", namespace="given-later")]
    with vai.connect(tmp_path / "c.db", scopes, kubeconfig=config) as cache:

        def state() -> vai.State | None:
            return cache.freshness("pods", "given-later").state if cache.status() else None

        assert eventually(lambda: state() is vai.State.FORBIDDEN)
        server.grant(NOBODY, RULES, namespace="given-later")
        # It is tried again every 15 s.
        cache.wait_synced(timeout=25)
        assert state() in {vai.State.CATCHING_UP, vai.State.LIVE}
        assert eventually(lambda: state() is vai.State.LIVE)
        assert len(cache.snapshot("pods", "given-later")) == 0


def test_the_command_line_says_what_is_missing(server: ApiServer, tmp_path: Path) -> None:
    file = tmp_path / "c.db"
    arguments = ("--resources=pods", f"--namespace={MINE},{OTHER}")
    done = vai_sync(server, file, *arguments, user=ROLE_ONLY)
    assert done.returncode == 1
    assert OTHER in done.stderr
    assert "list" in done.stderr
    # No process tries any more; why it came to nothing stays.
    found = scopes_of(file)[f"pods {OTHER}"]
    assert (found["state"], found["complete"]) == ("never", False)
    assert f"missing: a Role in {OTHER}" in found["reason"]
    table = run_vai("get", "pods", "-n", MINE, f"--file={file}")
    assert (table.returncode, len(table.stdout.splitlines())) == (0, 4)
    refused = run_vai("get", "pods", "-n", OTHER, f"--file={file}")
    assert refused.returncode == 1
    assert "forbidden" in refused.stderr


def test_a_wrong_token_is_told_and_the_file_goes_on_answering(
    server: ApiServer, tmp_path: Path
) -> None:
    file = tmp_path / "c.db"
    assert vai_sync(server, file, "--resources=pods", f"--namespace={MINE}").returncode == 0
    config = server.write_kubeconfig(VAI, tmp_path / "kubeconfig")
    config.write_text(config.read_text().replace(f"{VAI}-token", "no-token-of-anybody"))
    scopes = [vai.Scope("pods", namespace=MINE)]
    with vai.connect(file, scopes, kubeconfig=config) as cache:
        assert eventually(lambda: cache.freshness("pods", MINE).state is vai.State.FORBIDDEN)
        found = cache.freshness("pods", MINE)
        assert "401" in found.reason
        assert found.complete
        assert len(cache.snapshot("pods", MINE)) == 3
    empty = tmp_path / "empty.db"
    with vai.connect(empty, scopes, kubeconfig=config) as cache:
        with pytest.raises(vai.SyncTimeoutError) as caught:
            cache.wait_synced(timeout=3)
        assert "401" in str(caught.value)
        with pytest.raises(vai.NotSyncedError, match="401"):
            cache.snapshot("pods", MINE)


def test_a_server_that_is_not_there_at_the_first_start(server: ApiServer, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    nowhere = f"https://127.0.0.1:{port}"
    config = server.write_kubeconfig(VAI, tmp_path / "kubeconfig", server=nowhere)
    file = tmp_path / "c.db"
    started = time.monotonic()
    with vai.connect(file, ["pods"], kubeconfig=config) as cache:
        connected_s = time.monotonic() - started
        with pytest.raises(vai.SyncTimeoutError) as caught:
            cache.wait_synced(timeout=2)
        assert "refused" in str(caught.value)
        with pytest.raises(vai.NotSyncedError, match="never synced"):
            cache.get("pods", "x", namespace="default")
    assert connected_s < 5
    answer = run_vai("get", "pods", f"--file={file}")
    assert answer.returncode == 1
    assert "never synced" in answer.stderr
    # A file that was synced before goes on answering.
    assert (
        vai_sync(server, tmp_path / "warm.db", "--resources=pods", f"--namespace={MINE}").returncode
        == 0
    )
    mine = [vai.Scope("pods", namespace=MINE)]
    with vai.connect(tmp_path / "warm.db", mine, kubeconfig=config) as cache:
        cache.wait_synced(timeout=1)
        assert len(cache.snapshot("pods", MINE)) == 3
        assert eventually(lambda: cache.freshness("pods", MINE).state is vai.State.OFFLINE)
