from __future__ import annotations

import gzip
import json
from urllib.parse import quote

import pytest

from tests.unit.testing.conftest import METADATA_LIST, Client, config_map, pod
from vai.testing import Simulator

PODS = "/api/v1/pods"


@pytest.fixture(autouse=True)
def objects(sim: Simulator) -> None:
    for name in ("a", "b", "c", "d", "e"):
        sim.add(pod(name, app="odd" if name in "ace" else "even"))
    sim.add(pod("x", "team-a"))
    sim.add(pod("x", "team"))


def test_a_list_has_items_without_kind_in_etcds_key_order(api: Client) -> None:
    answer = api.get(PODS)
    keys = [(i["metadata"]["namespace"], i["metadata"]["name"]) for i in answer.json["items"]]
    # "team-a/" sorts before "team/", as "-" is less than "/".
    assert keys[-2:] == [("team-a", "x"), ("team", "x")]
    assert answer.json["kind"] == "PodList"
    assert all("kind" not in item and "apiVersion" not in item for item in answer.json["items"])
    assert answer.body.endswith(b"]}\n")


def test_a_namespace_shows_its_own_objects_only(api: Client) -> None:
    assert api.get("/api/v1/namespaces/team/pods").names == ["x"]
    assert api.get("/api/v1/namespaces/te/pods").names == []


def test_pages_join_to_the_whole_list_of_the_first_pages_moment(
    api: Client, sim: Simulator
) -> None:
    first = api.get("/api/v1/namespaces/default/pods?limit=2")
    assert first.json["metadata"]["remainingItemCount"] == 3
    sim.delete("pods", "c")
    sim.add(pod("bb"))
    names, token, versions = first.names, first.json["metadata"]["continue"], {first.rv}
    while token:
        page = api.get(f"/api/v1/namespaces/default/pods?limit=2&continue={quote(token)}")
        names += page.names
        versions.add(page.rv)
        token = page.json["metadata"].get("continue", "")
    assert names == ["a", "b", "c", "d", "e"]
    assert versions == {first.rv}


def test_a_page_of_a_selector_does_not_count_the_rest(api: Client) -> None:
    page = api.get(f"{PODS}?limit=1&labelSelector=app%3Deven").json["metadata"]
    assert page["continue"]
    assert "remainingItemCount" not in page


@pytest.mark.parametrize("expire", ["compact", "expire_continue_tokens"])
def test_an_expired_token_offers_an_inconsistent_one(
    api: Client, sim: Simulator, expire: str
) -> None:
    token = api.get(f"{PODS}?limit=2").json["metadata"]["continue"]
    sim.add(pod("bb"))
    getattr(sim, expire)()
    gone = api.get(f"{PODS}?limit=2&continue={quote(token)}")
    assert (gone.status, gone.json["reason"]) == (410, "Expired")
    again = gone.json["metadata"]["continue"]
    rest = api.get(f"{PODS}?continue={quote(again)}")
    assert rest.names[0] == "bb"
    assert rest.rv == str(sim.resource_version)


def test_a_token_of_before_a_restore_is_refused_until_the_server_has_come_so_far(
    api: Client, sim: Simulator
) -> None:
    """As kube-apiserver 1.36 does: the page is then of another history than the one before it."""
    sim.backup()
    sim.add(pod("phantom"))
    first = api.get(f"{PODS}?limit=1").json["metadata"]
    sim.restore_backup()
    sim.wait_s = 0.1
    refused = api.get(f"{PODS}?limit=1&continue={quote(first['continue'])}")
    assert (refused.status, refused.json["reason"]) == (504, "Timeout")
    sim.add(pod("other"))
    taken = api.get(f"{PODS}?continue={quote(first['continue'])}")
    assert taken.rv == first["resourceVersion"]
    assert "phantom" not in taken.names


def test_an_exact_version_shows_the_past(api: Client, sim: Simulator) -> None:
    before = api.get(PODS)
    sim.delete("pods", "a")
    sim.patch("pods", "b", {"metadata": {"labels": {"new": "yes"}}})
    past = api.get(f"{PODS}?resourceVersion={before.rv}&resourceVersionMatch=Exact")
    assert past.body == before.body
    assert api.get(f"{PODS}?resourceVersion={before.rv}&limit=100").body == before.body
    newer = api.get(f"{PODS}?resourceVersion={before.rv}")
    assert newer.names[0] == "b"


def test_a_compacted_exact_version_is_gone(api: Client, sim: Simulator) -> None:
    old = api.get(PODS).rv
    sim.delete("pods", "a")
    sim.compact()
    gone = api.get(f"{PODS}?resourceVersion={old}&resourceVersionMatch=Exact")
    assert (gone.status, gone.json["reason"]) == (410, "Expired")


def test_a_future_version_times_out(api: Client, sim: Simulator) -> None:
    answer = api.get(f"{PODS}?resourceVersion=99999")
    assert answer.status == 504
    assert answer.headers["Retry-After"] == "1"
    current = sim.resource_version
    assert answer.json["message"] == (
        f"Timeout: Too large resource version: 99999, current: {current}"
    )
    assert answer.json["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


def test_version_zero_ignores_the_limit(api: Client) -> None:
    assert len(api.get(f"{PODS}?resourceVersion=0&limit=2").names) == 7


def test_selectors_choose(api: Client) -> None:
    assert api.get(f"{PODS}?labelSelector=app%3Deven").names == ["b", "d"]
    assert api.get(f"{PODS}?fieldSelector=metadata.name%3Dx").names == ["x", "x"]
    assert len(api.get(f"{PODS}?fieldSelector=spec.nodeName%3Dn1,status.phase%21%3DFailed").names)
    assert api.get(f"{PODS}?fieldSelector=status.phase%3DPending").names == []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("fieldSelector=spec.foo%3D1", "field label not supported: spec.foo"),
        ("fieldSelector=foo", "invalid selector: 'foo'; can't understand 'foo'"),
        ("labelSelector=a%20in", "unable to parse requirement: found '' expected: '('"),
        ("limit=x", 'strconv.ParseInt: parsing "x": invalid syntax'),
        (
            "resourceVersion=x",
            (
                'invalid resource version: resourceVersion: Invalid value: "x": '
                'strconv.ParseUint: parsing "x": invalid syntax'
            ),
        ),
    ],
)
def test_bad_requests_are_told_in_the_servers_words(api: Client, query: str, message: str) -> None:
    answer = api.get(f"{PODS}?{query}")
    assert (answer.status, answer.json["reason"]) == (400, "BadRequest")
    assert answer.json["message"] == message


def test_a_kind_without_special_fields_names_those_it_has(api: Client) -> None:
    answer = api.get("/api/v1/configmaps?fieldSelector=a%3Db")
    assert answer.json["message"] == (
        '"a" is not a known field selector: only "metadata.name", "metadata.namespace"'
    )


def test_invalid_options_are_a_422_with_causes(api: Client) -> None:
    answer = api.get(f"{PODS}?resourceVersionMatch=Exact")
    assert (answer.status, answer.json["reason"]) == (422, "Invalid")
    assert answer.json["details"]["causes"][0]["field"] == "resourceVersionMatch"


def test_metadata_only(api: Client) -> None:
    answer = api.get(PODS, accept=METADATA_LIST)
    first = answer.json["items"][0]
    assert first["kind"] == "PartialObjectMetadata"
    assert set(first) == {"kind", "apiVersion", "metadata"}
    assert api.get("/api/v1/secrets", accept=METADATA_LIST).json["items"] is None


def test_the_first_acceptable_form_counts(api: Client) -> None:
    both = api.get(PODS, accept="application/vnd.kubernetes.protobuf,application/json")
    assert both.json["kind"] == "PodList"
    better = api.get(PODS, accept=f"application/json;q=0.1,{METADATA_LIST};q=0.9")
    assert better.json["kind"] == "PartialObjectMetadataList"
    assert api.get(PODS, accept="text/plain").status == 406


def test_large_answers_are_compressed_for_those_who_ask(api: Client, sim: Simulator) -> None:
    small = api.get(PODS, Accept_Encoding="gzip")
    assert "Content-Encoding" not in small.headers
    for i in range(40):
        sim.add({**config_map(f"big-{i}"), "data": {"text": "x" * 4096}})
    plain = api.get("/api/v1/configmaps")
    packed = api.get("/api/v1/configmaps", Accept_Encoding="gzip")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body)


def test_html_is_escaped_as_go_does(api: Client, sim: Simulator) -> None:
    sim.add({**config_map("html"), "data": {"a": "<b>&"}})
    body = api.get("/api/v1/namespaces/default/configmaps/html").body
    assert b"\\u003cb\\u003e\\u0026" in body
    assert json.loads(body)["data"]["a"] == "<b>&"
