from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

import vai
from tests.timing import wait_until
from tests.unit.cache.feed import PODS, Feed, cache_of, pod
from vai.cache.fieldfile import read_fields
from vai.types import Field, FieldAsk, FieldType


def named(cache: vai.Cache, name: str) -> Field | None:
    return next((one for one in cache.fields("pods") if one.name == name), None)


def priority(name: str, version: int, value: object) -> dict[str, object]:
    return {**pod(name, version), "spec": {"priority": value, "nodeName": "n"}}


# --- Cache.index


def test_a_field_is_indexed_at_run_time_and_kept_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "cluster.db"
    feed = Feed(path)
    feed.load([priority("a", 1, 7), priority("b", 2, "high")])
    feed.close()
    cache, _ = cache_of(path)
    with cache:
        assert named(cache, "spec.x") is None
        cache.index("po", ".spec.x", type="int")
        cache.index("po", ".spec.x", type="int")
        found = named(cache, "spec.x")
        assert found is not None
        assert (found.source, found.type, found.many, found.paths) == (
            "user", "int", False, (".spec.x",)
        )  # fmt: skip
        wait_until(lambda: all(one.ready and one.progress == 1 for one in cache.fields()))
    with vai.open(path) as reader:
        assert named(reader, "spec.x") is not None
        with pytest.raises(vai.ReadOnlyError):
            reader.index("pods", ".spec.y")
        with pytest.raises(vai.ReadOnlyError):
            reader.unindex("pods", ".spec.x")
    again, _ = cache_of(path)
    with again:
        again.unindex("pods", "spec.x")
        assert named(again, "spec.x") is None
        with pytest.raises(vai.UnknownFieldError):
            again.unindex("pods", "spec.x")


def test_values_that_do_not_parse_are_counted(feed: Feed, cache: vai.Cache) -> None:
    scope = feed.load([priority("a", 1, 7), priority("b", 2, "high"), priority("c", 3, None)])
    feed.store.index(PODS, ".spec.priority.value", "int")
    feed.store.index(PODS, ".metadata.annotations.level", "quantity")
    wait_until(lambda: all(one.ready for one in cache.fields("pods")))
    changed = pod("a", 10)
    changed["metadata"]["annotations"] = {"level": "1.5Qx"}
    feed.event(scope, "MODIFIED", changed)
    found = named(cache, "metadata.annotations.level")
    assert found is not None
    assert (found.invalid, found.invalid_example) == (1, "shop/a")
    feed.event(scope, "DELETED", {**changed, "metadata": {
        **changed["metadata"], "resourceVersion": "11"
    }})  # fmt: skip
    found = named(cache, "metadata.annotations.level")
    assert found is not None
    assert (found.invalid, found.invalid_example) == (0, None)


def test_what_can_not_be_indexed_is_refused_with_the_reason(feed: Feed) -> None:
    feed.load([pod("a", 1)])
    for path, kind, many, part in (
        ("spec[", "text", None, "path"),
        (".spec.x", "string", None, "string"),
        (".spec.x[*]", "text", False, "several values"),
        (".status.phase", "int", None, "already"),
    ):
        with pytest.raises(vai.InvalidRequestError, match=part):
            feed.store.index(PODS, path, kind, many=many)


# --- files of fields


def test_a_file_of_fields_has_a_table_per_resource(tmp_path: Path) -> None:
    path = tmp_path / "fields.toml"
    path.write_text("""
[pods]
".spec.priority" = "int"
".spec.containers[*].image" = "text"
".metadata.finalizers" = { many = true }
bare = "bool"

["certificates.cert-manager.io"]
".status.notAfter" = { type = "time", many = false }
""")
    asks = read_fields(path)
    pods, certificates = f"{path}: [pods]", f'{path}: ["certificates.cert-manager.io"]'
    assert asks == (
        FieldAsk(
            resource="pods", path=".spec.priority", type="int", place=f'{pods} ".spec.priority"'
        ),
        FieldAsk(
            resource="pods",
            path=".spec.containers[*].image",
            place=f'{pods} ".spec.containers[*].image"',
        ),
        FieldAsk(
            resource="pods",
            path=".metadata.finalizers",
            many=True,
            place=f'{pods} ".metadata.finalizers"',
        ),
        FieldAsk(resource="pods", path="bare", type="bool", place=f'{pods} "bare"'),
        FieldAsk(
            resource="certificates.cert-manager.io",
            path=".status.notAfter",
            type="time",
            many=False,
            place=f'{certificates} ".status.notAfter"',
        ),
    )


def test_the_file_of_the_documentation_is_one(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "fields.md").read_text()
    (block,) = re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)
    (tmp_path / "fields.toml").write_text(block)
    assert len(read_fields(tmp_path / "fields.toml")) == 5
    for name in get_args(FieldType):
        assert f"| `{name}` |" in text


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('pods = "x"', ["pods", "a table per resource"]),
        ("[pods]\n.spec = 1", ["not TOML", "line 2"]),
        ("[pods]\nspec.priority = 'int'", ['[pods] "spec"', "'priority'"]),
        ("[pods]\n'.spec.x' = 3", ['[pods] ".spec.x"', "write a type"]),
        ("[pods]\n'.spec.x' = 'integer'", ['[pods] ".spec.x"', "integer"]),
        ("[pods]\n'.spec..x' = 'int'", ['[pods] ".spec..x"', "path"]),
        ("['a.b']\n'.x' = { type = 3 }", ['["a.b"] ".x"', "type:"]),
        ("[pods]\n'.x' = { many = 'yes' }", ['".x"', "many:"]),
        ("[pods]\n'.x' = { kind = 'int' }", ['".x"', "'kind'"]),
        ("[pods]\n'.x[*]' = { many = false }", ['".x[*]"', "several values"]),
        ("[pods]\n'.x' = 'int'\nx = 'int'", ['"x"', 'the same field as ".x"']),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, text: str, parts: list[str]) -> None:
    path = tmp_path / "fields.toml"
    path.write_text(text)
    with pytest.raises(vai.InvalidRequestError) as caught:
        read_fields(path)
    for part in (str(path), *parts):
        assert part in str(caught.value)


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(vai.InvalidRequestError, match=r"nope\.toml: can't be read"):
        vai.connect(tmp_path / "c.db", "pods", fields=tmp_path / "nope.toml")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(vai.InvalidRequestError, match="binary: can't be read"):
        read_fields(tmp_path / "binary")
    assert not (tmp_path / "c.db").exists()
