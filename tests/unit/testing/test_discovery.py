from __future__ import annotations

import pytest

from tests.unit.testing.conftest import Client, pod
from vai.testing import Simulator

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


def test_version_and_health(api: Client) -> None:
    assert api.get("/version").json["gitVersion"] == "v1.36.3"
    assert api.get("/readyz").body == b"ok"


def test_every_listed_resource_answers_a_list(api: Client) -> None:
    paths = ["/api/v1"] + [
        f"/apis/{version['groupVersion']}"
        for group in api.get("/apis").json["groups"]
        for version in group["versions"]
    ]
    answered = 0
    for path in paths:
        for resource in api.get(path).json["resources"]:
            if "list" in resource["verbs"] and "get" in resource["verbs"]:
                answer = api.get(f"{path}/{resource['name']}")
                assert (answer.status, answer.json["kind"]) == (200, resource["kind"] + "List")
                answered += 1
    assert answered > 50


def test_the_aggregated_form_says_the_same_and_knows_its_etag(api: Client) -> None:
    answer = api.get("/apis", accept=AGGREGATED)
    assert answer.headers["Content-Type"] == (
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    )
    apps = next(i for i in answer.json["items"] if i["metadata"]["name"] == "apps")
    found = {r["resource"]: r for r in apps["versions"][0]["resources"]}
    assert found["deployments"]["responseKind"]["kind"] == "Deployment"
    assert found["deployments"]["shortNames"] == ["deploy"]
    subresources = {s["subresource"] for s in found["deployments"]["subresources"]}
    assert subresources == {"scale", "status"}
    again = api.get("/apis", accept=AGGREGATED, If_None_Match=answer.headers["ETag"])
    assert (again.status, again.body) == (304, b"")
    assert "versions" in api.get("/api", accept=AGGREGATED).json["items"][0]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/apis/nope/v1", "404 page not found\n"),
        ("/nowhere", "404 page not found\n"),
        ("/api/v1/foos", "the server could not find the requested resource"),
        ("/apis/apps/v9", "the server could not find the requested resource"),
        ("/api/v1/namespaces/default/pods/none", 'pods \\"none\\" not found'),
    ],
)
def test_what_is_not_there_is_a_404(api: Client, path: str, text: str) -> None:
    answer = api.get(path)
    assert answer.status == 404
    assert text in answer.body.decode()


def test_events_have_two_views(api: Client, sim: Simulator) -> None:
    sim.add(pod("a"))
    sim.add(
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": "e"},
            "involvedObject": {"kind": "Pod", "name": "a"},
            "message": "hello",
            "source": {"component": "kubelet"},
        }
    )
    core = api.get("/api/v1/events").json["items"][0]
    new = api.get("/apis/events.k8s.io/v1/events").json["items"][0]
    assert (core["message"], new["note"]) == ("hello", "hello")
    assert new["regarding"] == core["involvedObject"]
    assert new["metadata"] == core["metadata"]


def test_pretty_for_people(api: Client) -> None:
    assert b'\n  "kind": "APIGroupList"' in api.get("/apis", User_Agent="curl/8").body
    assert b"\n  " not in api.get("/apis?pretty=false", User_Agent="curl/8").body[:-1]
