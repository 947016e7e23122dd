from __future__ import annotations

from typing import Any

import pytest

from tests.unit.testing.conftest import MERGE, TABLE, Client, config_map, pod
from vai.testing import Simulator
from vai.testing.patches import json_patch, merge, strategic
from vai.testing.status import ApiError

MAPS = "/api/v1/namespaces/default/configmaps"
STRATEGIC = {"Content-Type": "application/strategic-merge-patch+json"}


def test_the_server_sets_what_the_client_cannot(api: Client, sim: Simulator) -> None:
    sent = {"metadata": {"name": "a", "uid": "mine", "resourceVersion": "7"}, "data": {"k": "v"}}
    created = api.request("POST", MAPS, sent)
    assert created.status == 201
    metadata = created.json["metadata"]
    assert metadata["uid"] != "mine"
    assert metadata["resourceVersion"] == str(sim.resource_version)
    assert metadata["namespace"] == "default"
    assert metadata["creationTimestamp"].endswith("Z")
    again = api.request("POST", MAPS, sent)
    assert (again.status, again.json["reason"]) == (409, "AlreadyExists")


def test_generated_names_and_missing_namespaces(api: Client) -> None:
    named = api.request("POST", MAPS, {"metadata": {"generateName": "job-"}}).json
    assert len(named["metadata"]["name"]) == len("job-") + 5
    lost = api.request("POST", "/api/v1/namespaces/nope/configmaps", {"metadata": {"name": "a"}})
    assert lost.json["message"] == 'namespaces "nope" not found'
    nameless = api.request("POST", MAPS, {"metadata": {}})
    assert (nameless.status, nameless.json["reason"]) == (422, "Invalid")


def test_an_update_from_an_old_version_conflicts(api: Client, sim: Simulator) -> None:
    old = sim.add(config_map("a"))
    sim.patch("configmaps", "a", {"data": {"key": "new"}})
    refused = api.request("PUT", f"{MAPS}/a", old)
    assert (refused.status, refused.json["reason"]) == (409, "Conflict")
    current = sim.get("configmaps", "a")
    assert current is not None
    assert api.request("PUT", f"{MAPS}/a", {**current, "data": {}}).status == 200


def test_writing_the_same_again_changes_nothing(api: Client, sim: Simulator) -> None:
    sim.add(config_map("a"))
    before = sim.resource_version
    assert api.request("PATCH", f"{MAPS}/a", {"data": {"key": "value"}}, MERGE).status == 200
    assert sim.resource_version == before


def test_status_is_written_apart(api: Client, sim: Simulator) -> None:
    sim.add(pod("a"))
    path = "/api/v1/namespaces/default/pods/a"
    change = {"status": {"phase": "Failed"}, "metadata": {"labels": {"x": "y"}}}
    main = api.request("PATCH", path, change, MERGE).json
    assert (main["status"]["phase"], main["metadata"]["labels"]) == ("Running", {"x": "y"})
    change["metadata"]["labels"] = {"x": "z"}  # type: ignore[index]
    sub = api.request("PATCH", f"{path}/status", change, MERGE).json
    assert (sub["status"]["phase"], sub["metadata"]["labels"]) == ("Failed", {"x": "y"})


def test_delete_answers_as_the_kind_does(api: Client, sim: Simulator) -> None:
    sim.add(pod("a"))
    stored = sim.add(config_map("a"))
    done = api.request("DELETE", f"{MAPS}/a").json
    assert done["status"] == "Success"
    assert done["details"] == {
        "name": "a",
        "kind": "configmaps",
        "uid": stored["metadata"]["uid"],
    }
    assert api.request("DELETE", "/api/v1/namespaces/default/pods/a").json["kind"] == "Pod"
    assert api.request("DELETE", f"{MAPS}/a").status == 404


def test_finalizers_delay_a_delete(api: Client, sim: Simulator) -> None:
    held = config_map("a")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    sim.add(held)
    marked = api.request("DELETE", f"{MAPS}/a").json
    assert marked["metadata"]["deletionTimestamp"]
    assert api.get(f"{MAPS}/a").status == 200
    api.request("PATCH", f"{MAPS}/a", {"metadata": {"finalizers": None}}, MERGE)
    assert api.get(f"{MAPS}/a").status == 404


def test_a_deleted_namespace_takes_its_objects(api: Client, sim: Simulator) -> None:
    sim.add(config_map("a", "team"))
    api.request("DELETE", "/api/v1/namespaces/team")
    assert sim.count("configmaps") == 0


def test_a_collection_is_deleted_by_selector(api: Client, sim: Simulator) -> None:
    sim.apply(config_map("a", x="1"), config_map("b", x="2"), config_map("c", x="1"))
    assert api.request("DELETE", f"{MAPS}?labelSelector=x%3D1").status == 200
    assert api.get(MAPS).names == ["b"]


def test_wrong_paths_and_methods(api: Client) -> None:
    assert api.request("PUT", MAPS, {}).status == 405
    assert api.request("POST", f"{MAPS}/a", {}).status == 405
    assert api.get("/api/v1/configmaps/a").status == 404
    assert api.request("POST", MAPS, {}, {"Content-Type": "application/x"}).status == 415
    assert api.request("POST", MAPS, {"kind": "Pod", "apiVersion": "v1"}).status == 400


def test_merge_and_strategic_patches() -> None:
    old: dict[str, Any] = {"a": {"b": 1, "c": 2}, "containers": [{"name": "x", "image": "1"}]}
    assert merge(old, {"a": {"b": None}}) == {"a": {"c": 2}, "containers": old["containers"]}
    new = strategic(old, {"containers": [{"name": "y"}, {"name": "x", "image": "2"}]})
    assert new["containers"] == [{"name": "x", "image": "2"}, {"name": "y"}]
    gone = strategic(old, {"containers": [{"name": "x", "$patch": "delete"}]})
    assert gone["containers"] == []
    assert strategic({"args": ["1"]}, {"args": ["2"]}) == {"args": ["2"]}
    assert old["containers"] == [{"name": "x", "image": "1"}]


def test_json_patches() -> None:
    old = {"a": {"b/c": 1}, "l": [1, 2]}
    operations: list[dict[str, Any]] = [
        {"op": "test", "path": "/a/b~1c", "value": 1},
        {"op": "move", "from": "/a/b~1c", "path": "/m"},
        {"op": "add", "path": "/l/-", "value": 3},
        {"op": "add", "path": "/l/0", "value": 0},
        {"op": "remove", "path": "/l/1"},
    ]
    assert json_patch(old, operations) == {"a": {}, "m": 1, "l": [0, 2, 3]}
    refused: list[dict[str, Any]] = [
        {"op": "test", "path": "/m", "value": 2},
        {"op": "replace", "path": "/none", "value": 1},
    ]
    for bad in refused:
        with pytest.raises(ApiError) as caught:
            json_patch(old, [bad])
        assert caught.value.code == 422


def test_strategic_patches_over_http(api: Client, sim: Simulator) -> None:
    sim.add(pod("a"))
    path = "/api/v1/namespaces/default/pods/a"
    patch = {"spec": {"containers": [{"name": "main", "image": "app:2"}]}}
    changed = api.request("PATCH", path, patch, STRATEGIC).json
    assert changed["spec"]["containers"] == [{"name": "main", "image": "app:2"}]


def test_a_custom_resource_is_served_once_its_crd_is_there(api: Client, sim: Simulator) -> None:
    widgets = "/apis/example.com/v1/namespaces/default/widgets"
    assert api.get(widgets).status == 404
    size = {"name": "Size", "type": "integer", "jsonPath": ".spec.size"}
    sim.install_crd(columns=[size])
    api.request(
        "POST",
        widgets,
        {
            "apiVersion": "example.com/v1",
            "kind": "Widget",
            "metadata": {"name": "w"},
            "spec": {"size": 3},
        },
    )
    listed = api.get(widgets).json
    # A list of custom resources is a map with sorted keys, and its items carry their kind.
    assert list(listed) == ["apiVersion", "items", "kind", "metadata"]
    assert listed["metadata"]["continue"] == ""
    assert listed["items"][0]["kind"] == "Widget"
    table = api.get(widgets, accept=TABLE).json
    assert [c["name"] for c in table["columnDefinitions"]] == ["Name", "Size"]
    assert table["rows"][0]["cells"] == ["w", 3]
    groups = [group["name"] for group in api.get("/apis").json["groups"]]
    assert "example.com" in groups
    sim.delete("customresourcedefinitions", "widgets.example.com")
    assert api.get(widgets).status == 404
