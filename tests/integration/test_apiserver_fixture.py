"""The fixture itself: what the other integration tests lean on when they kill, filter and count."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver import objects
from tests.apiserver.build import EXIT_NO_GO, TOOLS, Binaries, binaries
from tests.apiserver.client import RequestError
from tests.apiserver.server import NOBODY, ROLE_ONLY, VAI, ApiServer

PODS = "/api/v1/pods"


@pytest.fixture(scope="module")
def filled(apiserver: ApiServer) -> ApiServer:
    apiserver.create_many(objects.namespaces(4))
    apiserver.create_many(objects.pods(40, namespace_count=4), with_status=True)
    return apiserver


@pytest.fixture(scope="module")
def victim(
    apiserver_binaries: Binaries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiServer]:
    """One server for all faults of this module: it must stand them one after the other, too."""
    with ApiServer(tmp_path_factory.mktemp("victim"), binaries=apiserver_binaries) as server:
        yield server


def namespaced(kind: str, namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/{kind}"


def names(answer: dict[str, Any]) -> set[str]:
    return {item["metadata"]["name"] for item in answer["items"]}


def config_map(name: str, namespace: str = "default") -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"k": "v"}}


def test_the_server_says_its_true_version(apiserver: ApiServer) -> None:
    assert apiserver.get("/version")["gitVersion"] == "v1.36.3"


def test_created_pods_come_back_whole_with_their_status(filled: ApiServer) -> None:
    wanted = {pod["metadata"]["name"]: pod for pod in objects.pods(40, namespace_count=4)}
    listed = {pod["metadata"]["name"]: pod for pod in filled.get(PODS)["items"]}
    assert listed.keys() == wanted.keys()
    for name, pod in wanted.items():
        assert listed[name]["status"]["phase"] == pod["status"]["phase"]
        assert listed[name]["metadata"]["labels"] == pod["metadata"]["labels"]


def test_generated_objects_are_the_same_for_the_same_seed() -> None:
    assert list(objects.pods(20, seed=3)) == list(objects.pods(20, seed=3))
    assert list(objects.pods(20, seed=3)) == list(objects.pods(40, seed=3))[:20]
    assert next(objects.pods(1, seed=3)) != next(objects.pods(1, seed=4))


def test_pods_replica_sets_and_deployments_own_one_another() -> None:
    sets = {s["metadata"]["uid"]: s for s in objects.replica_sets(20)}
    owners = {d["metadata"]["uid"] for d in objects.deployments(20)}
    assert all(pod["metadata"]["ownerReferences"][0]["uid"] in sets for pod in objects.pods(20))
    assert {s["metadata"]["ownerReferences"][0]["uid"] for s in sets.values()} == owners


def test_every_secret_holds_the_canary_in_both_forms() -> None:
    for secret in objects.secrets(10):
        text = json.dumps(secret).encode()
        assert all(form in text for form in objects.CANARY_FORMS)


def test_a_watch_tells_what_happens_after_its_resource_version(apiserver: ApiServer) -> None:
    apiserver.create_many([config_map("watched")])
    start = apiserver.get(namespaced("configmaps", "default"))["metadata"]["resourceVersion"]
    path = f"{namespaced('configmaps', 'default')}/watched"
    apiserver.patch(path, {"data": {"k": "new"}})
    apiserver.delete(path)
    query = "&fieldSelector=metadata.name%3Dwatched"
    events = apiserver.watch(
        f"{namespaced('configmaps', 'default')}?resourceVersion={start}{query}"
    )
    assert [next(events)["type"] for _ in range(2)] == ["MODIFIED", "DELETED"]
    events.close()


def test_a_custom_resource_has_its_columns_and_selectable_fields(filled: ApiServer) -> None:
    filled.install_crd(objects.widget_crd())
    made = list(objects.widgets(20, namespace_count=4))
    filled.create_many(made, with_status=True)
    red = {w["metadata"]["name"] for w in made if w["spec"]["color"] == "red"}
    assert red
    selected = filled.get(f"{objects.WIDGETS_PATH}?fieldSelector=spec.color%3Dred")
    assert names(selected) == red
    header, *rows = filled.kubectl("get", "widgets", "-A").splitlines()
    assert header.split() == ["NAMESPACE", "NAME", "COLOR", "SIZE", "READY", "AGE"]
    assert len(rows) == 20


def test_every_generated_kind_is_accepted_by_the_server(filled: ApiServer) -> None:
    everything = [
        *objects.config_maps(8, namespace_count=4),
        *objects.secrets(8, namespace_count=4),
        *objects.rbac_objects(8, namespace_count=4),
        *objects.replica_sets(16, namespace_count=4),
        *objects.deployments(16, namespace_count=4),
        *objects.nodes(3),
    ]
    created = filled.create_many(everything, with_status=True)
    assert [c["metadata"]["name"] for c in created] == [e["metadata"]["name"] for e in everything]


def test_a_namespace_can_be_deleted_for_good(apiserver: ApiServer) -> None:
    apiserver.create_many(
        [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "short-lived"}}]
    )
    apiserver.delete_namespace("short-lived")
    assert apiserver.request("GET", "/api/v1/namespaces/short-lived").status == 404


def test_the_audit_log_tells_users_apart(filled: ApiServer) -> None:
    before = filled.audit_position()
    filled.get(f"{PODS}?limit=7", user=VAI)
    filled.get(f"{PODS}?limit=8")
    (entry,) = filled.audit(VAI, since=before)
    assert entry["requestURI"] == f"{PODS}?limit=7"
    assert (entry["verb"], entry["user"]["username"]) == ("list", VAI)
    assert entry["responseStatus"]["code"] == 200


def test_a_watch_is_one_audit_entry_before_and_after_its_end(filled: ApiServer) -> None:
    before = filled.audit_position()
    events = filled.watch(f"{PODS}?resourceVersion=0", user=VAI)
    next(events)
    (running,) = filled.audit(VAI, since=before)
    assert (running["verb"], running["stage"]) == ("watch", "ResponseStarted")
    events.close()
    wait_until(lambda: filled.audit(VAI, since=before)[0]["stage"] == "ResponseComplete")
    assert len(filled.audit(VAI, since=before)) == 1


def test_the_user_under_test_reads_everything_and_writes_nothing(filled: ApiServer) -> None:
    for path in (PODS, "/api/v1/secrets", "/apis/apps/v1/deployments"):
        assert filled.request("GET", path, user=VAI).status == 200
    refused = filled.request(
        "POST", namespaced("configmaps", "default"), config_map("refused"), user=VAI
    )
    assert refused.status == 403


def test_a_user_without_rights_gets_discovery_and_403(filled: ApiServer) -> None:
    assert filled.request("GET", "/api/v1", user=NOBODY).status == 200
    assert filled.request("GET", PODS, user=NOBODY).status == 403
    with pytest.raises(RequestError, match='cannot list resource "pods"'):
        filled.kubectl("get", "pods", user=NOBODY)


def test_a_role_opens_one_namespace_only(filled: ApiServer) -> None:
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]
    filled.grant(ROLE_ONLY, rules, namespace="team-01")
    assert filled.request("GET", namespaced("pods", "team-01"), user=ROLE_ONLY).status == 200
    assert filled.request("GET", namespaced("pods", "team-02"), user=ROLE_ONLY).status == 403
    assert filled.request("GET", PODS, user=ROLE_ONLY).status == 403


def test_an_unknown_token_is_401(apiserver: ApiServer) -> None:
    headers = {"Authorization": "Bearer wrong"}
    assert apiserver.request("GET", "/api", headers=headers).status == 401


def test_the_shared_server_refuses_to_be_killed(apiserver: ApiServer) -> None:
    for fault in (apiserver.kill, apiserver.restart, apiserver.kill_etcd, apiserver.compact):
        with pytest.raises(RuntimeError, match="fresh_apiserver"):
            fault()
    assert apiserver.alive


@pytest.mark.slow
def test_a_killed_server_comes_back_at_its_port_with_its_data(victim: ApiServer) -> None:
    victim.create_many([config_map("kept")])
    url = victim.url
    before = victim.get(namespaced("configmaps", "default") + "/kept")
    victim.kill()
    assert not victim.alive
    with pytest.raises(ConnectionRefusedError):
        victim.request("GET", "/readyz")
    victim.restart()
    assert victim.url == url
    assert victim.get(namespaced("configmaps", "default") + "/kept") == before


@pytest.mark.slow
def test_flags_and_tokens_of_a_restart_count(victim: ApiServer) -> None:
    victim.tokens[VAI] = "another-token"
    victim.restart(["--goaway-chance=0.01"])
    old = {"Authorization": "Bearer vai-token"}
    assert victim.request("GET", "/api", headers=old).status == 401
    assert victim.request("GET", PODS, user=VAI).status == 200
    command = subprocess.run(
        ["ps", "-ww", "-o", "args=", "-p", str(victim.pid)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--goaway-chance=0.01" in command.stdout


@pytest.mark.slow
def test_etcd_killed_and_started_again_has_its_data(victim: ApiServer) -> None:
    victim.create_many([config_map("kept-by-etcd")])
    victim.kill_etcd()
    assert victim.alive
    victim.restart_etcd()
    wait_until(lambda: victim.request("GET", "/readyz").status == 200)
    assert "kept-by-etcd" in names(victim.get(namespaced("configmaps", "default")))


@pytest.mark.slow
def test_a_paused_server_takes_connections_and_says_nothing(victim: ApiServer) -> None:
    victim.pause()
    with pytest.raises(TimeoutError):
        next(victim.watch(f"{PODS}?resourceVersion=0", timeout_s=1))
    victim.resume()
    assert victim.request("GET", "/readyz").status == 200


@pytest.mark.slow
def test_compaction_and_a_restart_make_old_versions_410(victim: ApiServer) -> None:
    path = namespaced("configmaps", "default")
    victim.create_many(config_map(f"c{i}") for i in range(6))
    first = victim.get(f"{path}?limit=2")
    old = first["metadata"]["resourceVersion"]
    token = urllib.parse.quote(first["metadata"]["continue"])
    victim.create_many(config_map(f"d{i}") for i in range(3))
    victim.compact()
    # The watch cache, in memory, still has it.
    events = victim.watch(f"{path}?resourceVersion={old}")
    assert next(events)["type"] == "ADDED"
    events.close()
    victim.restart()
    (event,) = victim.watch(f"{path}?resourceVersion={old}")
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)
    expired = victim.request("GET", f"{path}?limit=2&continue={token}")
    assert (expired.status, expired.json()["reason"]) == (410, "Expired")
    assert expired.json()["metadata"]["continue"]


@pytest.mark.slow
def test_without_a_watch_cache_compaction_alone_gives_410(
    fresh_apiserver: Callable[..., ApiServer],
) -> None:
    server = fresh_apiserver(extra_flags=("--watch-cache=false",))
    old = server.get(namespaced("configmaps", "default"))["metadata"]["resourceVersion"]
    server.create_many(config_map(f"c{i}") for i in range(3))
    server.compact()
    (event,) = server.watch(f"{namespaced('configmaps', 'default')}?resourceVersion={old}")
    assert event["object"]["code"] == 410


@pytest.mark.slow
def test_objects_written_into_etcd_are_served_as_if_created(victim: ApiServer) -> None:
    crd = objects.widget_crd()
    victim.install_crd(crd)
    everything = [
        *objects.namespaces(4),
        *objects.pods(500, namespace_count=4),
        *objects.replica_sets(500, namespace_count=4),
        *objects.widgets(50, namespace_count=4),
        *objects.nodes(5),
    ]
    assert victim.populate_etcd(everything) == len(everything)
    answer = victim.request("GET", PODS).ok()
    assert 4800 < len(answer.body) / 500 < 5800
    served = {pod["metadata"]["uid"]: pod for pod in answer.json()["items"]}
    for pod in objects.pods(500, namespace_count=4):
        found = served.pop(pod["metadata"]["uid"])
        assert found["status"]["phase"] == pod["status"]["phase"]
        assert found["metadata"]["creationTimestamp"] == pod["metadata"]["creationTimestamp"]
    assert not served
    assert len(victim.get(objects.WIDGETS_PATH)["items"]) == 50
    assert len(victim.get("/apis/apps/v1/replicasets")["items"]) == 63
    # They are ordinary objects: they can be changed and deleted.
    name = next(objects.pods(1, namespace_count=4))["metadata"]["name"]
    path = f"{namespaced('pods', 'team-00')}/{name}"
    victim.patch(path, {"metadata": {"labels": {"touched": "yes"}}})
    victim.delete(path)
    assert victim.request("GET", path).status == 404


@pytest.mark.slow
def test_restored_data_goes_back_in_resource_versions(victim: ApiServer, tmp_path: Path) -> None:
    victim.create_many([config_map("in-the-backup")])
    victim.save_data(tmp_path / "backup")
    uid = victim.get("/api/v1/namespaces/kube-system")["metadata"]["uid"]
    victim.create_many(config_map(f"later-{i}") for i in range(100))
    newest = victim.revision()
    victim.load_data(tmp_path / "backup")
    assert victim.revision() < newest
    assert victim.get("/api/v1/namespaces/kube-system")["metadata"]["uid"] == uid
    kept = names(victim.get(namespaced("configmaps", "default")))
    assert "in-the-backup" in kept
    assert not any(name.startswith("later-") for name in kept)
    shutil.rmtree(tmp_path / "backup")  # pytest keeps folders of three runs; this one is large


@pytest.mark.slow
@pytest.mark.usefixtures("apiserver_binaries")
def test_both_servers_die_with_a_test_process_that_was_killed(tmp_path: Path) -> None:
    script = (
        "import pathlib, sys, time\n"
        "from tests.apiserver.server import ApiServer\n"
        "server = ApiServer(pathlib.Path(sys.argv[1])).start()\n"
        "print(server.pid, server.etcd_pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "own")],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        assert len(pids) == 2
        assert all(runs(pid) for pid in pids)
        process.send_signal(signal.SIGKILL)
        process.wait()
        wait_until(lambda: not any(runs(pid) for pid in pids), limit_s=10)
    shutil.rmtree(tmp_path / "own")


BUILD = Path(__file__).parents[1] / "apiserver" / "build.py"


def build(cache: Path, path: str) -> subprocess.CompletedProcess[str]:
    """Runs the build script with this cache folder and this PATH."""
    return subprocess.run(
        [sys.executable, BUILD],
        env={"VAI_TEST_CACHE": str(cache), "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_go_the_build_says_so_in_one_line(tmp_path: Path) -> None:
    result = build(tmp_path / "cache", path=str(tmp_path))
    assert result.returncode == EXIT_NO_GO
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert "install Go 1.26" in line
    assert not (tmp_path / "cache").exists()


def test_a_go_that_is_too_old_is_named_with_its_version(tmp_path: Path) -> None:
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho go1.25.9\n")
    go.chmod(0o755)
    result = build(tmp_path / "cache", path=f"{tmp_path}:/usr/bin:/bin")
    assert result.returncode == EXIT_NO_GO
    (line,) = result.stderr.splitlines()
    assert f"{go} is go1.25.9" in line


def test_what_is_built_needs_no_go_and_is_not_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAI_TEST_CACHE", str(tmp_path))
    folder = binaries().folder
    folder.mkdir()
    for tool in TOOLS:
        (folder / tool.name).touch()
    result = build(tmp_path, path="")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1].endswith(str(folder))
    assert [len(list(folder.iterdir())), result.stderr] == [len(TOOLS), ""]


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie whose new parent has not looked yet runs no more.
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return not state.stdout.startswith("Z")


def wait_until(done: Callable[[], bool], limit_s: float = 30) -> None:
    deadline = time.monotonic() + limit_s
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)
