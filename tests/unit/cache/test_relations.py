from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import vai
from tests.unit.cache.feed import DEPLOYMENTS, NODES, PODS, Feed, pod
from vai.types import Resource

REPLICASETS = Resource(
    group="apps", version="v1", plural="replicasets", kind="ReplicaSet", short_names=("rs",)
)
SERVICES = Resource(group="", version="v1", plural="services", kind="Service")
CONFIGMAPS = Resource(group="", version="v1", plural="configmaps", kind="ConfigMap")
SECRETS = Resource(group="", version="v1", plural="secrets", kind="Secret")
CLAIMS = Resource(
    group="", version="v1", plural="persistentvolumeclaims", kind="PersistentVolumeClaim"
)
RESOURCES = (PODS, NODES, DEPLOYMENTS, REPLICASETS, SERVICES, CONFIGMAPS)


def made(resource: Resource, name: str, **parts: Any) -> dict[str, Any]:
    found = pod(name, 10) | {"kind": resource.kind, "apiVersion": resource.api_version}
    del found["status"]
    found["spec"] = {}
    found["metadata"]["uid"] = f"uid-{resource.plural}-{name}"
    if not resource.namespaced:
        del found["metadata"]["namespace"]
    return found | parts


def owned(item: dict[str, Any], *owners: tuple[Resource, str, bool]) -> dict[str, Any]:
    item["metadata"]["ownerReferences"] = [
        {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "name": name,
            "uid": f"uid-{resource.plural}-{name}",
            "controller": controller,
        }
        for resource, name, controller in owners
    ]
    return item


@pytest.fixture
def shop(tmp_path: Path) -> vai.Cache:
    feed = Feed(tmp_path / "cluster.db", RESOURCES)
    selector = {"selector": {"matchLabels": {"app": "web"}}}
    feed.load([made(NODES, "node-1")], NODES)
    feed.load([made(DEPLOYMENTS, "web", spec=selector)], DEPLOYMENTS)
    sets = [
        owned(made(REPLICASETS, f"web-{n}", spec=selector), (DEPLOYMENTS, "web", True))
        for n in (1, 2)
    ]
    feed.load(sets, REPLICASETS)
    feed.load(
        [
            made(SERVICES, "web", spec={"selector": {"app": "web"}}),
            made(SERVICES, "other", spec={"selector": {"app": "other"}}),
            made(SERVICES, "bare"),
        ],
        SERVICES,
    )
    feed.load([made(CONFIGMAPS, "settings")], CONFIGMAPS)
    pods = []
    for name in ("web-2-a", "web-2-b"):
        item = owned(
            pod(name, 10, labels={"app": "web"}),
            (SERVICES, "gone", False),
            (REPLICASETS, "web-2", True),
        )
        item["metadata"]["uid"] = f"uid-pods-{name}"
        item["spec"]["volumes"] = [
            {"name": "a", "configMap": {"name": "settings"}},
            {"name": "b", "configMap": {"name": "missing"}},
            {"name": "c", "secret": {"secretName": "tls"}},
        ]
        pods.append(item)
    feed.load([*pods, pod("alone", 10, labels={"app": "web"}, namespace="elsewhere")], PODS)
    feed.close()
    return vai.open(feed.path)


def told(found: Sequence[vai.Related]) -> list[str]:
    return [f"{each.depth} {each.resource}/{each.key} {each.missing}".rstrip() for each in found]


def by_how(found: Sequence[vai.Related]) -> dict[str, list[str]]:
    ways: dict[str, list[str]] = {}
    for each in found:
        ways.setdefault(each.how, []).append(f"{each.resource}/{each.key} {each.missing}".rstrip())
    return ways


def test_owners_go_up_controllers_first(shop: vai.Cache) -> None:
    with shop:
        found = shop.owners("pods", "web-2-a", namespace="shop")
        assert told(found) == [
            "1 replicasets.apps/shop/web-2",
            "2 deployments.apps/shop/web",
            "1 services/shop/gone absent",
        ]
        assert [each.controller for each in found] == [True, True, False]
        assert found[0].object is not None
        assert found[0].object.name == "web-2"
        assert found[2].object is None
        assert shop.owners("nodes", "node-1") == []


def test_dependents_go_down_to_a_depth(shop: vai.Cache) -> None:
    with shop:
        every = shop.dependents("deploy", "shop/web")
        assert told(every) == [
            "1 replicasets.apps/shop/web-1",
            "1 replicasets.apps/shop/web-2",
            "2 pods/shop/web-2-a",
            "2 pods/shop/web-2-b",
        ]
        assert told(shop.dependents("deploy", "shop/web", depth=1)) == told(every)[:2]
        with pytest.raises(vai.InvalidRequestError):
            shop.dependents("deploy", "shop/web", depth=0)


def test_what_a_pod_has_to_do_with(shop: vai.Cache) -> None:
    with shop:
        assert by_how(shop.related("pods", "web-2-a", namespace="shop")) == {
            "owner": ["replicasets.apps/shop/web-2", "services/shop/gone absent"],
            "selected-by": ["services/shop/web"],
            "uses": [
                "configmaps/shop/missing absent",
                "configmaps/shop/settings",
                "nodes/node-1",
                "Secret/tls unknown",
            ],
        }


def test_what_selects_and_names_pods(shop: vai.Cache) -> None:
    pods = ["pods/shop/web-2-a", "pods/shop/web-2-b"]
    with shop:
        assert by_how(shop.related("services", "web", namespace="shop")) == {"selects": pods}
        assert by_how(shop.related("services", "bare", namespace="shop")) == {}
        assert by_how(shop.related("configmaps", "settings", namespace="shop")) == {"used-by": pods}
        on_node = ["pods/elsewhere/alone", *pods]
        assert by_how(shop.related("nodes", "node-1")) == {"used-by": on_node}
        assert by_how(shop.related("rs", "web-2", namespace="shop")) == {
            "owner": ["deployments.apps/shop/web"],
            "dependent": pods,
            "selects": pods,
        }


def test_a_tree_has_the_same_of_one_moment(shop: vai.Cache) -> None:
    with shop:
        whole = shop.tree("rs", "web-2", namespace="shop", related=True)
        assert whole.object.key == "shop/web-2"
        assert told(whole.owners) == told(shop.owners("rs", "shop/web-2"))
        assert told(whole.dependents) == told(shop.dependents("rs", "shop/web-2"))
        assert by_how(whole.related) == by_how(shop.related("rs", "shop/web-2"))
        bare = shop.tree("deploy", "shop/web", depth=1)
        assert told(bare.dependents) == told(shop.dependents("deploy", "shop/web", depth=1))
        assert bare.related == ()
        with pytest.raises(vai.InvalidRequestError):
            shop.tree("deploy", "shop/web", depth=0)


def test_whoever_names_an_object_in_any_place_uses_it(tmp_path: Path) -> None:
    feed = Feed(tmp_path / "cluster.db", (PODS, CONFIGMAPS, SECRETS, CLAIMS))
    for resource, name in ((CONFIGMAPS, "it's"), (SECRETS, "it's"), (CLAIMS, "it's")):
        feed.load([made(resource, name)], resource)
    env = [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "it's", "key": "k"}}}]
    projected = {"sources": [{"secret": {"name": "it's"}}, {"configMap": {"name": "other"}}]}
    specs: dict[str, Any] = {
        "env": {"initContainers": [{"env": env}]},
        "env-from": {"containers": [{"envFrom": [{"secretRef": {"name": "it's"}}]}]},
        "projected": {"volumes": [{"name": "a", "projected": projected}]},
        "pull": {"imagePullSecrets": [{"name": "it's"}]},
        "claim": {"volumes": [{"name": "a", "persistentVolumeClaim": {"claimName": "it's"}}]},
        "none": {"containers": [{"env": [{"name": "A", "value": "it's"}]}]},
    }
    pods = [pod(name, 10) | {"spec": spec} for name, spec in specs.items()]
    feed.load([*pods, pod("far", 10, namespace="elsewhere") | {"spec": specs["pull"]}], PODS)
    feed.close()
    with vai.open(feed.path) as cache:
        used = {
            resource.plural: by_how(cache.related(resource.plural, "it's", namespace="shop"))
            for resource in (CONFIGMAPS, SECRETS, CLAIMS)
        }
    assert used == {
        "configmaps": {"used-by": ["pods/shop/env"]},
        "secrets": {"used-by": ["pods/shop/env-from", "pods/shop/projected", "pods/shop/pull"]},
        "persistentvolumeclaims": {"used-by": ["pods/shop/claim"]},
    }


def test_what_is_not_there_has_no_relations(shop: vai.Cache) -> None:
    with shop:
        for ask in (shop.owners, shop.dependents, shop.related):
            with pytest.raises(
                vai.NotFoundError, match=r"\"nobody\": there is none in namespace shop"
            ):
                ask("pods", "nobody", namespace="shop")
        with pytest.raises(vai.UnknownResourceError):
            shop.related("secrets", "tls", namespace="shop")
