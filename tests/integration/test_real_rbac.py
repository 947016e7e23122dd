"""What `vai rbac` prints is enough, and each rule of it is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.apiserver import objects
from tests.apiserver.server import ADMIN, ApiServer
from tests.integration.real import eventually, vai_sync
from vai.store import Store

Json = dict[str, Any]

SPACE: Final = "rbac-here"
ACCOUNT: Final = "system:serviceaccount:rbac-here:vai"
RESOURCES: Final = "pods,configmaps,deployments.apps,widgets.shop.example.com"
CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
API: Final = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture(scope="module")
def server(apiserver: ApiServer) -> ApiServer:
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}
    apiserver.create_many([space])
    crd = objects.widget_crd()
    # Another module may have needed it on the shared server.
    if apiserver.request("GET", f"{CRDS}/{crd['metadata']['name']}").status == 404:
        apiserver.install_crd(crd)
    return apiserver


def printed(server: ApiServer, *arguments: str) -> list[Json]:
    config = server.write_kubeconfig(ADMIN)
    done = subprocess.run(
        [sys.executable, "-m", "vai", "rbac", f"--kubeconfig={config}", *arguments],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return list(yaml.safe_load_all(done.stdout))


def path_of(document: Json) -> str:
    namespace = document["metadata"].get("namespace")
    inside = f"/namespaces/{namespace}" if namespace else ""
    return f"{API}{inside}/{document['kind'].lower()}s"


@pytest.fixture
def applied(server: ApiServer) -> Iterator[list[Json]]:
    """What was printed, as it is in the cluster for this test."""
    documents: list[Json] = []
    yield documents
    for one in documents:
        server.request("DELETE", f"{path_of(one)}/{one['metadata']['name']}").ok()


def apply(server: ApiServer, documents: list[Json], applied: list[Json]) -> None:
    for one in documents:
        server.request("POST", path_of(one), one).ok()
        applied.append(one)


def as_account(server: ApiServer, folder: Path) -> Path:
    """A kubeconfig that is the service account, as a token of it would be."""
    path = server.write_kubeconfig(ADMIN, folder / "as-account")
    config = json.loads(path.read_text())
    config["users"][0]["user"]["as"] = ACCOUNT
    path.write_text(json.dumps(config))
    return path


def may(server: ApiServer, path: str) -> bool:
    return server.request("GET", path, headers={"Impersonate-User": ACCOUNT}).status == 200


def list_path(rule: Json, namespace: str | None) -> str:
    (group,), plural = rule["apiGroups"], rule["resources"][0]
    version = "/api/v1" if not group else f"/apis/{group}/v1"
    inside = f"/namespaces/{namespace}" if namespace else ""
    if rule.get("resourceNames"):
        return f"{version}/{plural}/{rule['resourceNames'][0]}"
    return f"{version}{inside}/{plural}"


def sync(config: Path, file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vai", "sync", "--once", "--timeout=15s", f"--file={file}",
         f"--kubeconfig={config}", f"--resources={RESOURCES}", *arguments],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("spaces", [(), ("-n", SPACE)])
def test_exactly_these_rights_sync_and_none_of_them_can_be_missing(
    server: ApiServer, applied: list[Json], tmp_path: Path, spaces: tuple[str, ...]
) -> None:
    documents = printed(
        server, "-r", RESOURCES, *spaces, "--name", "least", "--service-account", f"{SPACE}:vai"
    )
    apply(server, documents, applied)
    config = as_account(server, tmp_path)
    roles = [one for one in documents if "rules" in one]
    every = [
        (role, rule, list_path(rule, role["metadata"].get("namespace") if spaces else None))
        for role in roles
        for rule in role["rules"]
    ]
    for _, _, path in every:
        assert eventually(lambda path=path: may(server, path)), path  # type: ignore[misc]
    done = sync(config, tmp_path / "all.db", *spaces)
    assert done.returncode == 0, done.stderr
    assert is_verified(tmp_path / "all.db")

    # Each takes a process and some seconds; with namespaces, one rule shows how the Role is named.
    for number, (role, rule, path) in enumerate(every[:1] if spaces else every):
        without = {**role, "rules": [one for one in role["rules"] if one is not rule]}
        where = f"{path_of(role)}/{role['metadata']['name']}"
        server.request("PUT", where, without).ok()
        assert eventually(lambda path=path: not may(server, path)), path  # type: ignore[misc]
        file = tmp_path / f"{number}.db"
        done = sync(config, file, *spaces)
        if rule.get("resourceNames"):
            # Optional: all is synced, and what is lost is what was said.
            assert done.returncode == 0, done.stderr
            assert is_verified(file) is (rule["resources"] != ["namespaces"])
        else:
            assert done.returncode == 1, path
            for plural in rule["resources"]:
                assert (
                    f'{{apiGroups: ["{rule["apiGroups"][0]}"], resources: ["{plural}"], '
                    'verbs: ["list", "watch"]}' in done.stderr
                )
            assert (f"a Role in {SPACE}" if spaces else "a ClusterRole") in done.stderr
        server.request("PUT", where, role).ok()
        assert eventually(lambda path=path: may(server, path)), path  # type: ignore[misc]


def is_verified(file: Path) -> bool:
    with Store(file, "reader") as store:
        cluster = store.cluster()
        assert cluster is not None
        return cluster.verified


def test_the_self_check_needs_no_other_right(
    server: ApiServer, applied: list[Json], tmp_path: Path
) -> None:
    """Metadata is listed by the same `list`."""
    documents = printed(
        server, "-r", "configmaps", "-n", SPACE, "--name", "check",
        "--service-account", f"{SPACE}:vai", "--required-only",
    )  # fmt: skip
    apply(server, documents, applied)
    config = as_account(server, tmp_path)
    assert eventually(lambda: may(server, f"/api/v1/namespaces/{SPACE}/configmaps"))
    import vai

    settings = vai.Settings(kubeconfig=str(config), self_check_s=0.5, live_within_s=8)
    scope = vai.Scope("configmaps", namespace=SPACE)
    with vai.connect(tmp_path / "c.db", scope, settings=settings) as cache:
        assert eventually(
            lambda: [one.checked_age_s is not None for one in cache.status()] == [True]
        )
        (status,) = cache.status()
        assert status.check_note == ""


def test_a_full_cluster_is_equal_to_itself_for_the_doctor(
    server: ApiServer, tmp_path: Path
) -> None:
    file = tmp_path / "c.db"
    assert vai_sync(server, file, "--resources=all").returncode == 0
    config = tmp_path / "kubeconfig-vai"
    done = subprocess.run(
        [sys.executable, "-m", "vai", "doctor", str(file), f"--kubeconfig={config}", "-o", "json"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found["ok"], found
    told = {one["name"]: one for one in found["lines"]}
    for name in ("bodies", "server", "clock", "credentials", "cluster", "self-check"):
        assert told[name]["verdict"] == "ok", told[name]
