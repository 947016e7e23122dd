"""The rights that are printed are the least, and marked where they are not needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.cli.support import Builder, Run
from vai.testing import Simulator

Json = dict[str, Any]


@pytest.fixture
def known(build: Builder) -> Builder:
    build.pods()
    return build


def documents(text: str) -> list[Json]:
    return list(yaml.safe_load_all(text))


def names(found: list[Json]) -> list[str]:
    return [
        f"{one['kind']} {one['metadata'].get('namespace', '')}/{one['metadata']['name']}"
        for one in found
    ]


def test_of_all_namespaces_it_is_a_cluster_role_with_its_binding(run: Run, known: Builder) -> None:
    done = run(
        "rbac", "--file", str(known.path), "--resources", "po,deploy,nodes",
        "--service-account", "shop:vai", "--required-only",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    role, binding = documents(done.stdout)
    assert role == {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "vai"},
        "rules": [
            {"apiGroups": [""], "resources": ["nodes", "pods"], "verbs": ["list", "watch"]},
            {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["list", "watch"]},
        ],
    }
    assert binding["kind"] == "ClusterRoleBinding"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "vai", "namespace": "shop"}]
    assert binding["roleRef"]["name"] == "vai"
    assert done.stderr == ""


def test_of_namespaces_it_is_a_role_in_each_and_nothing_beyond(run: Run, known: Builder) -> None:
    done = run(
        "rbac", "--file", str(known.path), "-r", "pods", "-n", "shop,billing",
        "--service-account", "shop:vai",
    )  # fmt: skip
    assert names(documents(done.stdout)) == [
        "Role billing/vai",
        "RoleBinding billing/vai",
        "Role shop/vai",
        "RoleBinding shop/vai",
        "Role kube-system/vai-identity",
        "RoleBinding kube-system/vai-identity",
    ]
    assert done.stdout.count("# optional") == 2
    assert "known its cluster" not in done.stdout


def test_what_has_no_namespace_takes_a_cluster_role_all_the_same(run: Run, known: Builder) -> None:
    done = run(
        "rbac", "--file", str(known.path), "-r", "pods,nodes", "-n", "shop", "--required-only"
    )
    roles = documents(done.stdout)
    assert names(roles) == ["ClusterRole /vai", "Role shop/vai"]
    assert roles[0]["rules"][0]["resources"] == ["nodes"]
    assert "bound to nobody" in done.stderr


def test_definitions_of_custom_resources_are_asked_for_by_name(run: Run, known: Builder) -> None:
    done = run("rbac", "--file", str(known.path), "-r", "widgets")
    found = documents(done.stdout)
    assert names(found) == [
        "ClusterRole /vai",
        "ClusterRole /vai-definitions",
        "Role kube-system/vai-identity",
    ]
    (rule,) = found[1]["rules"]
    assert rule["resourceNames"] == [
        found[0]["rules"][0]["resources"][0] + "." + found[0]["rules"][0]["apiGroups"][0]
    ]
    assert rule["verbs"] == ["get"]


def test_everything_leaves_secrets_out_and_a_name_lets_them_in(run: Run, known: Builder) -> None:
    everything = run("rbac", "--file", str(known.path), "-r", "all", "--required-only").stdout
    assert "secrets" not in everything
    assert "- pods" in everything
    named = run("rbac", "--file", str(known.path), "-r", "secrets", "--required-only").stdout
    assert documents(named)[0]["rules"][0]["resources"] == ["secrets"]


def test_the_server_is_asked_where_no_file_is_named(run: Run, tmp_path: Path) -> None:
    with Simulator(seed=1) as sim:
        config = sim.kubeconfig(tmp_path / "kc")
        done = run("rbac", "--kubeconfig", str(config), "-r", "deploy,cj", "--required-only")
        assert done.exit_code == 0, done.stderr
        (role,) = documents(done.stdout)
        assert [rule["apiGroups"] for rule in role["rules"]] == [["apps"], ["batch"]]
        assert sim.request_log.lists() == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["-r", "podz"], 1, "did you mean"),
        (["-r", "pods", "--service-account", "vai"], 2, "NAMESPACE:NAME"),
        (["-r", "pods", "-n", "Shop"], 2, "no name of an object"),
        (["-r", "pods,"], 2, "empty resource"),
    ],
)
def test_mistakes_are_named(
    run: Run, known: Builder, arguments: list[str], code: int, words: str
) -> None:
    done = run("rbac", "--file", str(known.path), *arguments)
    assert (done.exit_code, done.stdout) == (code, "")
    assert words in done.stderr


def test_a_file_that_was_never_synced_knows_no_resources(run: Run, tmp_path: Path) -> None:
    Builder(tmp_path / "empty.db").store.close()
    done = run("rbac", "--file", str(tmp_path / "empty.db"), "-r", "pods")
    assert done.exit_code == 1
    assert "leave --file out to ask the server" in done.stderr
