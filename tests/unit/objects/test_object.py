from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest

from vai.errors import NotKeptError
from vai.objects import Object

POD: dict[str, Any] = {
    "kind": "Pod",
    "apiVersion": "v1",
    "metadata": {
        "name": "web-0",
        "namespace": "shop",
        "uid": "u1",
        "resourceVersion": "7",
        "labels": {"app": "web"},
        "annotations": {"note": "x"},
    },
    "spec": {"nodeName": "n1"},
    "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Odd", "status": "?"}]},
}
RAW = json.dumps(POD).encode()
PARTIAL = {
    "kind": "PartialObjectMetadata",
    "apiVersion": "meta.k8s.io/v1",
    "metadata": POD["metadata"],
}


class Spec(msgspec.Struct, rename="camel"):
    node_name: str


class Pod(msgspec.Struct):
    spec: Spec


class Counting:
    """A stored row that counts how often its bytes are fetched."""

    key, uid, resource_version, redacted = "shop/web-0", "u1", "7", False

    def __init__(self) -> None:
        self.fetched = 0

    @property
    def raw(self) -> bytes:
        self.fetched += 1
        return RAW


def redacted() -> Object:
    return Object(json.dumps(PARTIAL).encode())


def changed(**metadata: str) -> Object:
    return Object(json.dumps(POD | {"metadata": POD["metadata"] | metadata}).encode())


def test_identity_is_read_without_fetching_the_bytes() -> None:
    row = Counting()
    found = Object.of(row)
    assert (found.key, found.namespace, found.name) == ("shop/web-0", "shop", "web-0")
    assert (found.uid, found.resource_version, found.redacted) == ("u1", "7", False)
    assert bool(found)
    assert hash(found) == hash(Object.of(Counting()))
    assert "shop/web-0" in repr(found)
    assert row.fetched == 0


def test_a_cluster_scoped_object_has_an_empty_namespace() -> None:
    node = Object(b'{"kind":"Node","metadata":{"name":"n1"}}')
    assert (node.key, node.namespace, node.name) == ("n1", "", "n1")


def test_labels_and_conditions_do_not_decode_the_whole_object() -> None:
    found = Object(RAW)
    assert found.labels == {"app": "web"}
    assert found.annotations == {"note": "x"}
    assert found.condition("Ready")
    assert found._value is None
    assert found["status"]["conditions"][0]["type"] == "Ready"
    assert found.condition("Ready")


def test_missing_labels_are_an_empty_mapping() -> None:
    assert Object(b'{"metadata":{"name":"a","labels":null}}').labels == {}


@pytest.mark.parametrize(
    "status",
    [None, [], {}, {"conditions": None}, {"conditions": {"Ready": 1}}, {"conditions": ["Ready"]}],
)
def test_a_condition_that_is_not_there_is_false(status: Any) -> None:
    assert not Object(json.dumps(POD | {"status": status}).encode()).condition("Ready")


def test_a_condition_that_is_not_true_is_false() -> None:
    assert not Object(RAW).condition("Odd")
    assert not Object(RAW).condition("Missing")


def test_it_is_a_mapping_that_decodes_once() -> None:
    row = Counting()
    found = Object.of(row)
    assert isinstance(found, Mapping)
    assert found["spec"] is found["spec"]
    assert set(found) == set(POD)
    assert len(found) == len(POD)
    assert found.get("nothing") is None
    assert "spec" in found
    assert row.fetched == 1


def test_to_dict_is_a_copy_of_ones_own() -> None:
    found = Object(RAW)
    mine = found.to_dict()
    mine["spec"]["nodeName"] = "n2"
    assert found["spec"]["nodeName"] == "n1"
    assert mine is not found.to_dict()


def test_decode_reads_the_fields_that_a_struct_names() -> None:
    assert Object(RAW).decode(Pod) == Pod(Spec("n1"))
    with pytest.raises(msgspec.ValidationError):
        Object(b'{"metadata":{"name":"a"},"spec":{"nodeName":5}}').decode(Pod)


def test_it_is_frozen() -> None:
    found = Object(RAW)
    with pytest.raises(AttributeError, match="frozen"):
        found.name = "other"  # type: ignore[misc]
    with pytest.raises(AttributeError, match="frozen"):
        del found._body


def test_equality_is_that_of_the_content() -> None:
    assert Object(RAW) == Object(json.dumps(POD, indent=1).encode())
    assert Object(RAW) != changed(resourceVersion="8")
    assert Object(RAW) != Object(json.dumps(POD | {"spec": {}}).encode())
    assert Object(RAW) == POD
    assert Object(RAW) != redacted()
    assert redacted() == redacted()
    assert redacted() != PARTIAL
    assert len({Object(RAW), Object(RAW), changed(uid="u2")}) == 2


@pytest.mark.parametrize(
    "found", [Object(RAW), Object.of(Counting()), redacted()], ids=["bytes", "row", "redacted"]
)
def test_it_pickles_and_copies(found: Object) -> None:
    for twin in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):  # noqa: S301 - our own bytes
        assert twin == found
        assert hash(twin) == hash(found)
        assert twin.redacted == found.redacted


def test_a_lone_surrogate_is_read_as_python_reads_it() -> None:
    found = Object(b'{"kind":"ConfigMap","metadata":{"name":"a"},"data":{"x":"\\ud800"}}')
    assert found.name == "a"
    assert found["data"]["x"] == "\ud800"
    assert found.to_dict()["data"] == {"x": "\ud800"}


def test_a_redacted_object_still_has_its_metadata() -> None:
    found = redacted()
    assert found.redacted
    assert found.labels == {"app": "web"}
    assert found["metadata"]["name"] == "web-0"
    assert found.metadata["uid"] == "u1"
    assert json.loads(found.partial()) == PARTIAL
    assert "metadata only" in repr(found)


BEYOND: dict[str, Callable[[Object], object]] = {
    "a key": lambda found: found["data"],
    "get": lambda found: found.get("data"),
    "in": lambda found: "data" in found,
    "raw": lambda found: found.raw,
    "to_dict": Object.to_dict,
    "decode": lambda found: found.decode(dict),
    "dict": dict,
    "list": list,
    "len": len,
    "condition": lambda found: found.condition("Ready"),
}


@pytest.mark.parametrize("read", BEYOND.values(), ids=BEYOND)
def test_a_redacted_object_refuses_to_be_read_beyond_it(read: Callable[[Object], object]) -> None:
    with pytest.raises(NotKeptError, match="--secret-values"):
        read(redacted())
