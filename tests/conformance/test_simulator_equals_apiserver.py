"""The simulator answers what the real kube-apiserver answers, to the same requests.

Compared are status, content type and the whole body, without what is each server's own: uids,
resourceVersions, creation times, managedFields, continue tokens and ages.
"""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from tests.apiserver import objects
from tests.apiserver.client import Client
from tests.conformance.pair import (
    JSON,
    METADATA,
    METADATA_LIST,
    TABLE,
    Answer,
    Pair,
    check_equal,
    differences,
    normal,
    plain,
)
from vai.testing.listing import encode_continue

pytestmark = pytest.mark.slow

PODS = "/api/v1/pods"
TEAM = "/api/v1/namespaces/team-00"
WIDGETS = objects.WIDGETS_PATH
MAPS = f"{TEAM}/configmaps"

COLLECTIONS = [
    PODS,
    f"{TEAM}/pods",
    "/api/v1/nodes",
    "/api/v1/namespaces",
    "/api/v1/services",
    "/api/v1/configmaps",
    "/api/v1/secrets",
    "/api/v1/serviceaccounts",
    "/api/v1/persistentvolumes",
    "/api/v1/persistentvolumeclaims",
    "/api/v1/events",
    "/api/v1/resourcequotas",
    "/api/v1/limitranges",
    "/api/v1/replicationcontrollers",
    "/apis/apps/v1/deployments",
    "/apis/apps/v1/replicasets",
    "/apis/apps/v1/statefulsets",
    "/apis/apps/v1/daemonsets",
    "/apis/batch/v1/jobs",
    "/apis/batch/v1/cronjobs",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/apis/rbac.authorization.k8s.io/v1/rolebindings",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "/apis/storage.k8s.io/v1/storageclasses",
    "/apis/networking.k8s.io/v1/ingresses",
    "/apis/networking.k8s.io/v1/networkpolicies",
    "/apis/policy/v1/poddisruptionbudgets",
    "/apis/autoscaling/v2/horizontalpodautoscalers",
    "/apis/scheduling.k8s.io/v1/priorityclasses",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "/apis/discovery.k8s.io/v1/endpointslices",
    "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas",
    WIDGETS,
    WIDGETS.replace("v1", "v1beta1"),
]
FORMS = {
    "plain": ("", JSON),
    "table": ("?includeObject=Object", TABLE),
    "table-metadata": ("?includeObject=Metadata", TABLE),
    "table-none": ("?includeObject=None", TABLE),
    "table-default": ("", f"{TABLE},{JSON}"),
    "metadata": ("", METADATA_LIST),
}


def check(pair: Pair, path: str, accept: str = JSON) -> None:
    check_equal(*pair.ask(path, accept))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("path", COLLECTIONS)
def test_lists(pair: Pair, path: str, form: str) -> None:
    query, accept = FORMS[form]
    check(pair, path + query, accept)


NAMED = [
    f"{TEAM}/pods/POD",
    "/api/v1/nodes/node-000",
    "/api/v1/namespaces/team-00",
    f"{TEAM}/services/web",
    "/apis/apps/v1/namespaces/team-00/statefulsets/db",
    f"{TEAM}/secrets/credentials-00000",
    f"{WIDGETS.replace('widgets', 'namespaces/team-00/widgets')}/widget-00000",
    f"{WIDGETS.replace('v1/widgets', 'v1beta1/namespaces/team-00/widgets')}/widget-00000",
    f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.{objects.WIDGET_GROUP}",
    # Not there:
    f"{TEAM}/pods/nobody",
    "/api/v1/namespaces/nobody/pods/nobody",
    "/api/v1/nodes/nobody",
    f"{WIDGETS.replace('widgets', 'namespaces/team-00/widgets')}/nobody",
    f"{TEAM}/pods/UPPER_case",
]


@pytest.mark.parametrize("accept", [JSON, TABLE, METADATA, METADATA_LIST], ids=str)
@pytest.mark.parametrize("path", NAMED)
def test_single_objects(pair: Pair, path: str, accept: str) -> None:
    check(pair, path.replace("POD", first_pod(pair)), accept)


def first_pod(pair: Pair) -> str:
    name: str = pair.real.get(f"{TEAM}/pods?limit=1")["items"][0]["metadata"]["name"]
    return name


def test_discovery_of_every_group_version(pair: Pair) -> None:
    check_equal(*pair.ask("/api"))
    real, simulated = pair.ask("/apis")
    check_equal(without_autoscaling(real), without_autoscaling(simulated))
    for group in pair.real.get("/apis")["groups"]:
        if group["name"] != "autoscaling":
            check(pair, f"/apis/{group['name']}")
            for version in group["versions"]:
                check(pair, f"/apis/{version['groupVersion']}")
    check(pair, "/apis/autoscaling/v2")
    check(pair, "/api/v1")


def without_autoscaling(answer: Answer) -> Answer:
    """The simulator serves autoscaling/v2 and not its older view, v1."""
    body = dict(answer.body)
    for name in ("groups", "items"):
        if name in body:
            body[name] = [
                found
                for found in body[name]
                if "autoscaling" not in (found.get("name"), found.get("metadata", {}).get("name"))
            ]
    return replace(answer, body=body)


@pytest.mark.parametrize("root", ["/api", "/apis"])
@pytest.mark.parametrize("version", ["v2", "v2beta1"])
def test_aggregated_discovery(pair: Pair, root: str, version: str) -> None:
    accept = f"{JSON};g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
    real, simulated = pair.ask(root, accept)
    check_equal(without_autoscaling(real), without_autoscaling(simulated))
    # v2beta1 is served no longer.
    assert real.status == (200 if version == "v2" else 406)
    # kubectl's own header, and one that no server understands.
    check_equal(*(without_autoscaling(found) for found in pair.ask(root, f"{accept},{JSON}")))
    unknown = f"{JSON};g=apidiscovery.k8s.io;v=v9;as=APIGroupDiscoveryList,{JSON}"
    check_equal(*(without_autoscaling(found) for found in pair.ask(root, unknown)))


@pytest.mark.parametrize(
    "path",
    [
        "/healthz", "/readyz", "/livez", "/nope", "/api/v2", "/api/v1/nope", "/apis/apps/v9",
        "/apis/nope.example.com", "/apis/nope.example.com/v1", "/apis/nope.example.com/v1/things",
        "/apis/apps/v9/deployments", "/api/v2/pods", "/apis/apps/v1/nope", f"{TEAM}/nope",
        f"{TEAM}/nodes", "/api/v1/pods/name", f"{TEAM}/pods/POD/nope",
        "/apis/shop.example.com/v1/nope", "/apis/shop.example.com/v9/widgets",
        "/apis/shop.example.com", "/apis/shop.example.com/v1",
    ],
)  # fmt: skip
def test_paths_that_are_no_lists(pair: Pair, path: str) -> None:
    check(pair, path.replace("POD", first_pod(pair)))


def test_version_has_the_same_fields(pair: Pair) -> None:
    real, simulated = pair.ask("/version")
    assert simulated.body.keys() == real.body.keys()
    for name in ("major", "minor", "gitVersion"):
        assert simulated.body[name] == real.body[name]


@pytest.mark.parametrize("path", [PODS, f"{TEAM}/pods", WIDGETS, MAPS, "/api/v1/nodes"])
@pytest.mark.parametrize("limit", [1, 2, 3, 5, 500])
@pytest.mark.parametrize("accept", [JSON, TABLE], ids=["plain", "table"])
def test_pages(pair: Pair, path: str, limit: int, accept: str) -> None:
    """With remainingItemCount on every page but the last."""
    check_equal(*pair.pages(f"{path}?limit={limit}", accept))


def test_pages_with_selectors(pair: Pair) -> None:
    for selector in ("labelSelector=tier%3Dfrontend", "fieldSelector=status.phase%3DRunning"):
        check_equal(*pair.pages(f"{PODS}?limit=2&{selector}"))


@pytest.mark.parametrize(
    "query",
    [
        "labelSelector=tier%3Dfrontend",
        "labelSelector=tier!%3Dfrontend",
        "labelSelector=tier in (frontend,x),!nobody",
        "labelSelector=tier notin (frontend)",
        "labelSelector=app.kubernetes.io/name",
        "labelSelector=tier>1",
        "labelSelector=tier>x",
        "labelSelector=tier in frontend",
        "labelSelector=tier in (a",
        "labelSelector=,",
        "labelSelector=a b",
        "labelSelector=tier===x",
        "labelSelector=-x",
        "labelSelector=x=a b",
        "labelSelector=" + "x" * 64,
        "labelSelector=a/b/c",
        "fieldSelector=status.phase=Running",
        "fieldSelector=status.phase!=Running",
        "fieldSelector=spec.nodeName=",
        "fieldSelector=metadata.name=nobody",
        "fieldSelector=metadata.namespace=team-01,status.phase=Running",
        "fieldSelector=status.phase",
        "fieldSelector=nope=x",
        "fieldSelector=spec.containers=x",
        "fieldSelector=status.phase=a=b",
        "fieldSelector=status.phase=a\\",
        "limit=x",
        "limit=-1",
        "limit=0",
        "timeoutSeconds=x",
        "resourceVersion=x",
        "resourceVersion=0",
        "resourceVersion=1",
        "resourceVersion=-1",
        "resourceVersion=1&resourceVersionMatch=NotOlderThan",
        "resourceVersion=0&resourceVersionMatch=NotOlderThan",
        "resourceVersion=0&resourceVersionMatch=Exact",
        "resourceVersionMatch=Exact",
        "resourceVersion=1&resourceVersionMatch=Nope",
        "resourceVersion=0&limit=2",
        "sendInitialEvents=true",
        "continue=nonsense",
        "continue=bm9uc2Vuc2U",
        "continue=e30",
        "continue=eyJ2IjoieCIsInJ2IjoxLCJzdGFydCI6ImEifQ",
        "continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MCwic3RhcnQiOiJhIn0",
        "pretty=true",
        "watch=false",
        "unknown=parameter",
        "includeObject=Nope",
    ],
)
@pytest.mark.parametrize("path", [PODS, WIDGETS])
def test_options_of_a_list(pair: Pair, path: str, query: str) -> None:
    check(pair, f"{path}?{quote(query, safe='=&%')}")


@pytest.mark.parametrize(
    "accept",
    [
        "*/*", "", "application/*", "text/html",
        f"{JSON};as=Table;g=meta.k8s.io;v=v9", f"{JSON};as=Table;g=meta.k8s.io;v=v1beta1",
        f"{JSON};as=Nope;g=meta.k8s.io;v=v1", f"{JSON};as=Table;g=nope;v=v1", "text/html,*/*",
        f"{METADATA},{JSON}", f"{METADATA_LIST},{JSON}", f"text/html,{TABLE}", METADATA,
        f"{JSON};stream=watch",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", [MAPS, WIDGETS])
def test_negotiation(pair: Pair, path: str, accept: str) -> None:
    check(pair, path, accept)
    check(pair, f"{path}?includeObject=Object", accept)


def test_a_list_from_the_future_times_out(pair: Pair) -> None:
    check(pair, f"{MAPS}?resourceVersion=999999999")


def test_an_unknown_token_is_401(pair: Pair) -> None:
    headers = {"Authorization": "Bearer wrong"}
    pair.simulator.token = pair.real.admin_token
    try:
        real, simulated = pair.ask(MAPS, **headers)
    finally:
        pair.simulator.token = None
    assert real.status == 401
    check_equal(real, simulated)


WATCH = "allowWatchBookmarks=true&timeoutSeconds=4"
WATCHED = {
    "plain": ("", JSON),
    "table": ("&includeObject=Object", TABLE),
    "table-metadata": ("&includeObject=Metadata", TABLE),
    "table-none": ("&includeObject=None", TABLE),
    "metadata": ("", METADATA),
}


def write_some(client: Client) -> None:
    """Each kind of event; a label comes and goes, for watches that select by it."""
    merge = {"Content-Type": "application/merge-patch+json"}

    def send(method: str, path: str, body: object, headers: dict[str, str] | None = None) -> None:
        assert client.request(method, path, body, headers=headers).status < 300

    for name in ("one", "two"):
        made = {
            "metadata": {"name": f"watched-{name}", "labels": {"on": "yes"}},
            "data": {"a": "b"},
        }
        send("POST", MAPS, made)
    one = f"{MAPS}/watched-one"
    send("PATCH", one, {"data": {"a": "c"}}, merge)
    send("PATCH", one, {"metadata": {"labels": {"on": None}}}, merge)
    send("PATCH", one, {"metadata": {"labels": {"on": "yes"}}}, merge)
    send("PATCH", one, {"metadata": {"finalizers": ["example.com/hold"]}}, merge)
    send("DELETE", one, None)
    send("PATCH", one, {"metadata": {"finalizers": None}}, merge)
    send("DELETE", f"{MAPS}/watched-two", None)


def test_watch_events(pair: Pair) -> None:
    requests = {
        (form, selector): (f"{MAPS}?{WATCH}{query}{selector}", accept)
        for form, (query, accept) in WATCHED.items()
        for selector in ("", "&labelSelector=on%3Dyes", "&fieldSelector=metadata.name!%3Dx")
    }
    answers = pair.watch(requests, since=pair.versions(MAPS), meanwhile=write_some)
    for (_, selector), (real, simulated) in answers.items():
        kinds = [event["type"] for event in real]
        assert kinds[-1] == "BOOKMARK"
        assert kinds[:-1].count("DELETED") == (3 if "label" in selector else 2)
        check_equal(deletion_times(real), deletion_times(simulated))


def deletion_times(events: list[Any]) -> list[Any]:
    """The events with the times of deletion, which are each server's own, left out."""
    text = re.sub(
        r'"deletionTimestamp": "[^"]*"', '"deletionTimestamp": "TIME"', json.dumps(events)
    )
    decoded: list[Any] = json.loads(text)
    return decoded


def test_initial_events(pair: Pair) -> None:
    streamed = f"sendInitialEvents=true&resourceVersionMatch=NotOlderThan&{WATCH}"
    requests = {
        (path, form): (f"{path}?{streamed}{query}", accept)
        for path in (MAPS, f"{TEAM}/pods", WIDGETS)
        for form, (query, accept) in WATCHED.items()
    }
    for real, simulated in pair.watch(requests).values():
        assert len(real) > 3
        check_equal(real, simulated)


def test_the_probe_is_answered_with_one_bookmark(pair: Pair) -> None:
    """What vai asks to learn the newest resourceVersion."""
    query = (
        "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
        "&fieldSelector=metadata.name=vai_probe&timeoutSeconds=1"
    )
    requests = {path: (f"{path}?{query}", METADATA) for path in (MAPS, PODS, WIDGETS)}
    for real, simulated in pair.watch(requests).values():
        assert [event["type"] for event in real] == ["BOOKMARK"]
        check_equal(real, simulated)


WATCH_OPTIONS = [
    "",
    "resourceVersion=0",
    "resourceVersion=0&allowWatchBookmarks=true",
    "resourceVersion=x",
    "resourceVersion=-1",
    "resourceVersion=999999999",
    "resourceVersionMatch=NotOlderThan",
    "resourceVersion=1&resourceVersionMatch=Exact",
    "sendInitialEvents=true",
    "sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
    "sendInitialEvents=false&resourceVersionMatch=NotOlderThan&resourceVersion=0",
    "sendInitialEvents=true&resourceVersionMatch=Exact&resourceVersion=1",
    "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&continue=x",
    "continue=x",
    "limit=1",
    "labelSelector=a b",
    "fieldSelector=nope=x",
    "fieldSelector=metadata.name=web-config-00001",
    "timeoutSeconds=x",
]


@pytest.mark.parametrize("path", [MAPS, "/api/v1/nodes", WIDGETS])
def test_options_of_a_watch(pair: Pair, path: str) -> None:
    def ask(query: str) -> tuple[Answer, Answer]:
        ends = "" if "timeoutSeconds" in query else "&timeoutSeconds=1"
        return pair.ask(f"{path}?watch=1&{quote(query, safe='=&')}{ends}")

    with ThreadPoolExecutor(len(WATCH_OPTIONS)) as pool:
        for query, answers in zip(WATCH_OPTIONS, pool.map(ask, WATCH_OPTIONS), strict=True):
            found = list(differences(*map(plain, answers)))
            assert not found, (query, found)


def test_a_token_of_a_moment_that_is_still_to_come(pair: Pair) -> None:
    """As it is behind a restore of etcd."""
    tokens = {
        name: encode_continue(int(version) + 100_000, "/a")
        for name, version in pair.versions(MAPS).items()
    }
    answers = [
        client.request("GET", f"{MAPS}?limit=2&continue={tokens[name]}")
        for name, client in pair.clients.items()
    ]
    said = [(found.status, *_cause(found.json())) for found in answers]
    assert said[0] == said[1] == (504, "Timeout", "ResourceVersionTooLarge")


def _cause(status: dict[str, Any]) -> tuple[str, str]:
    return status["reason"], status["details"]["causes"][0]["reason"]


def test_history_that_is_compacted_is_410(pair: Pair) -> None:
    """The last test here: the real server has to be restarted for it."""
    before = pair.versions(MAPS)
    tokens = {
        name: client.request("GET", f"{MAPS}?limit=2").json()["metadata"]["continue"]
        for name, client in pair.clients.items()
    }
    for client in pair.clients.values():
        write_some(client)
    pair.real.compact()
    pair.real.restart()
    pair.simulator.compact()
    old = {accept: (f"{MAPS}?{WATCH}", accept) for accept in (JSON, TABLE, METADATA)}
    for real, simulated in pair.watch(old, since=before).values():
        assert [event["type"] for event in real] == ["ERROR"]
        check_equal(real, simulated)
    answers = []
    for name, client in pair.clients.items():
        answer = client.request("GET", f"{MAPS}?limit=2&continue={tokens[name]}")
        again = answer.json()["metadata"]["continue"]
        rest = client.request("GET", f"{MAPS}?limit=2&continue={again}")
        answers.append((answer.status, normal(answer.json()), rest.status, normal(rest.json())))
    assert answers[0][0] == 410
    check_equal(*answers)
    exact = [
        (found.status, normal(found.json()))
        for name, client in pair.clients.items()
        for found in [
            client.request(
                "GET", f"{MAPS}?resourceVersion={before[name]}&resourceVersionMatch=Exact"
            )
        ]
    ]
    check_equal(*exact)
