"""What apimachinery's and client-go's own tests ask of selectors and stores, asked of a file.

Cases by behaviour, each table beside the name of the test that it follows (kubernetes 1.36):
`pkg/labels/selector_test.go` and `pkg/fields/selector_test.go` of apimachinery, `tools/cache` of
client-go. The parser has tables of its own (rust/vai-core/src/selector); here a selector goes
through scopes, indexes and bodies, and a store is a cluster file that a list and a watch fill.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

import vai
from tests.timing import wait_until
from tests.unit.cache.feed import NODES, PODS, Feed, pod
from vai.types import Resource

Json = dict[str, Any]

THINGS = Resource(
    group="example.com",
    version="v1",
    plural="things",
    kind="Thing",
    selectable_fields=(".spec.foo", ".spec.baz", ".spec.complex", ".spec.x", ".spec.z"),
)


def labelled(name: str, labels: Mapping[str, str], version: int = 7) -> Json:
    return pod(name, version, labels=labels)


def found(cache: vai.Cache, selector: str) -> set[str]:
    """The names that a label selector selects, by all ways to ask."""
    names = {one.name for one in cache.list("pods", label_selector=selector).items}
    assert {one.name for one in cache.snapshot("pods", label_selector=selector).values()} == names
    assert cache.count("pods", label_selector=selector) == len(names)
    return names


# --- pkg/labels/selector_test.go

FOO_BAZ = {"foo": "bar", "baz": "blah"}


@pytest.mark.parametrize(
    ("labels", "selector", "matches"),
    [
        # TestSelectorMatches
        ({"x": "y"}, "", True),
        ({"x": "y"}, "x=y", True),
        ({"x": "y", "z": "w"}, "x=y,z=w", True),
        ({"x": "z", "z": "a"}, "x!=y,z!=w", True),
        ({"notin": "in"}, "notin=in", True),
        ({"x": "z"}, "x", True),
        ({"y": "z"}, "!x", True),
        ({"x": "2"}, "x>1", True),
        ({"x": "0"}, "x<1", True),
        ({}, "x=z", False),
        ({"x": "z"}, "x=y", False),
        ({"x": "w", "z": "w"}, "x=y,z=w", False),
        ({"x": "z", "z": "w"}, "x!=y,z!=w", False),
        ({"y": "z"}, "x", False),
        ({"x": "z"}, "!x", False),
        ({"x": "0"}, "x>1", False),
        ({"x": "2"}, "x<1", False),
        (FOO_BAZ, "foo=bar", True),
        (FOO_BAZ, "baz=blah", True),
        (FOO_BAZ, "foo=bar,baz=blah", True),
        (FOO_BAZ, "foo=blah", False),
        (FOO_BAZ, "baz=bar", False),
        (FOO_BAZ, "foo=bar,foobar=bar,baz=blah", False),
        # TestRequirementSelectorMatching
        ({"x": "foo", "y": "baz"}, "x in (foo),y notin (alpha)", True),
        ({"x": "foo", "y": "baz"}, "x in (foo),y in (alpha)", False),
        ({"y": ""}, "x notin (),y", True),
        ({"y": ""}, "!x,y", True),
        ({"y": ""}, "x notin (),!y", False),
        ({"y": "baz"}, "x in ()", False),
        ({"z": "2"}, "z>1", True),
        ({"z": "v2"}, "z>1", False),
        # TestLexerSequence, TestSetSelectorParser: what a value list may look like.
        ({"key": "value2"}, "key in ( value1, value2 )", True),
        ({"key": "value"}, "key notin ( value )", False),
        ({"x": ""}, "x in (a,,a,,)", True),
        ({"x": "", "y": "b"}, "x in (),y", True),
        ({"a": "notin"}, "a in (x,y,notin, z,in)", True),
        # TestRequiresExactMatch, where one key is asked for twice.
        ({"x": "a"}, "x=a,x=b", False),
        ({"x": "a"}, "x in (a,b),x notin (b)", True),
    ],
)
def test_labels_match_as_in_apimachinery(
    feed: Feed, cache: vai.Cache, labels: Mapping[str, str], selector: str, matches: bool
) -> None:
    scope = feed.load([labelled("first", labels), labelled("other", {"other": "x"})])
    assert ("first" in found(cache, selector)) == matches
    # The same in an index that is brought along by events, and not loaded.
    feed.event(scope, "ADDED", labelled("late", labels, 101))
    assert ("late" in found(cache, selector)) == matches
    feed.event(scope, "MODIFIED", labelled("late", {"other": "x"}, 102))
    assert ("late" in found(cache, selector)) == ("other" in found(cache, selector))


@pytest.mark.parametrize(
    "selector",
    [
        # TestSelectorParse, TestSetSelectorParser, TestParseOperator
        *("x=a||y=b", "x==a==b", "!x=a", "x<a", "x,,y", ",x,y", "x nott in (y)", "a in (xyz),"),
        *("a in (xyz)b notin ()", "a in (xyz abc)", "a notin(", "a (", "(", "a exists", "a ! b"),
        # TestRequirementConstructor
        *("x>", "x>bar", "x<bar", "x=a b", "a" * 254, "x=" + "a" * 254, "x==a,b in"),
    ],
)
def test_labels_are_refused_as_in_apimachinery(feed: Feed, cache: vai.Cache, selector: str) -> None:
    feed.load()
    for ask in (cache.list, cache.snapshot, cache.changes):
        with pytest.raises(vai.InvalidSelectorError) as caught:
            ask("pods", label_selector=selector)
        assert 0 <= caught.value.position <= len(selector)


def test_the_same_selector_in_another_order_is_the_same(feed: Feed) -> None:
    """TestDeterministicParse: one scope, however its selector is written."""
    feed.load()
    one, other = (
        feed.store.ensure_scope(PODS, None, label_selector=text) for text in ("x=a,a=x", "a=x, x=a")
    )
    assert one == other


# --- pkg/fields/selector_test.go


def thing(name: str, fields: Mapping[str, str]) -> Json:
    made = pod(name, 7)
    return made | {"kind": "Thing", "apiVersion": "example.com/v1", "spec": dict(fields)}


FIELDS = {"foo": "bar", "baz": "blah", "complex": "=value\\,\\"}


@pytest.mark.parametrize(
    ("fields", "selector", "matches"),
    [
        # TestSelectorMatches
        ({"x": "y"}, "", True),
        ({"x": "y"}, "spec.x=y", True),
        ({"x": "y", "z": "w"}, "spec.x=y,spec.z=w", True),
        ({"x": "z", "z": "a"}, "spec.x!=y,spec.z!=w", True),
        ({"x": "z"}, "spec.x=y", False),
        ({"x": "w", "z": "w"}, "spec.x=y,spec.z=w", False),
        ({"x": "z", "z": "w"}, "spec.x!=y,spec.z!=w", False),
        (FIELDS, "spec.foo=bar", True),
        (FIELDS, "spec.baz=blah", True),
        (FIELDS, "spec.foo=bar,spec.baz=blah", True),
        (FIELDS, r"spec.foo=bar,spec.baz=blah,spec.complex=\=value\\\,\\", True),
        (FIELDS, "spec.foo=blah", False),
        (FIELDS, "spec.baz=bar", False),
        (FIELDS, "spec.foo=bar,spec.x=bar,spec.baz=blah", False),
        # TestSetMatches
        (FIELDS, r"spec.foo=\=blah", False),
        (FIELDS, r"spec.foo=\=bar,spec.baz=blah", False),
        # TestSplitTerms, TestSplitTerm: empty terms, both equals signs
        (FIELDS, ",spec.foo==bar,", True),
        # TestSetIsEmpty and the fields.Set: what is missing is empty.
        ({"x": "y"}, "spec.z=", True),
        ({"x": "y"}, "spec.z!=", False),
        ({"x": "y"}, "spec.z!=w", True),
    ],
)
def test_fields_match_as_in_apimachinery(
    feed: Feed, cache: vai.Cache, fields: Mapping[str, str], selector: str, matches: bool
) -> None:
    feed.store.put_resources([THINGS, PODS])
    feed.load([thing("first", fields)], THINGS)
    assert cache.list("things", field_selector=selector).keys == ["shop/first"] * matches
    assert list(cache.snapshot("things", field_selector=selector)) == ["shop/first"] * matches


@pytest.mark.parametrize(
    "selector",
    [
        # TestSelectorParse, TestEscapeValue
        *("x=a||y=b", "x==a==b", "x=a,b", "x in (a)", "x in (a,b,c)", "x"),
        *("spec.x=\\", "spec.x=\\\\\\", "spec.x=\\a", "spec.x=\\\\\\a\\b\\=\\,\\"),
    ],
)
def test_fields_are_refused_as_in_apimachinery(feed: Feed, cache: vai.Cache, selector: str) -> None:
    feed.store.put_resources([THINGS, PODS])
    feed.load([], THINGS)
    with pytest.raises(vai.InvalidSelectorError):
        cache.list("things", field_selector=selector)


# --- client-go tools/cache


def values(cache: vai.Cache) -> dict[str, str]:
    return {one.name: one.labels.get("val", "") for one in cache.snapshot("pods").values()}


def test_a_store_adds_updates_deletes_lists_and_replaces(feed: Feed, cache: vai.Cache) -> None:
    """store_test.go, TestCache (doTestStore)."""
    scope = feed.load()

    def val(name: str) -> str | None:
        one = cache.get("pods", f"shop/{name}")
        return None if one is None else one.labels["val"]

    feed.event(scope, "ADDED", labelled("foo", {"val": "bar"}, 101))
    assert val("foo") == "bar"
    feed.event(scope, "MODIFIED", labelled("foo", {"val": "baz"}, 102))
    assert val("foo") == "baz"
    feed.event(scope, "DELETED", labelled("foo", {"val": "baz"}, 103))
    assert val("foo") is None
    for version, (name, value) in enumerate((("a", "b"), ("c", "d"), ("e", "e")), 104):
        feed.event(scope, "ADDED", labelled(name, {"val": value}, version))
    assert values(cache) == {"a": "b", "c": "d", "e": "e"}
    # Replace: what the list does not have is gone.
    feed.load(
        [labelled("bar", {"val": "bar"}, 108), labelled("foo", {"val": "foo"}, 109)], version=110
    )
    assert values(cache) == {"bar": "bar", "foo": "foo"}


def test_an_index_finds_by_value(feed: Feed, cache: vai.Cache) -> None:
    """store_test.go, TestIndex; index_test.go, TestGetIndexFuncValues."""
    scope = feed.load()
    for version, (name, value) in enumerate((("a", "b"), ("c", "b"), ("e", "f"), ("g", "h")), 101):
        feed.event(scope, "ADDED", labelled(name, {"val": value}, version))
        # An index that is in use, and follows.
        assert found(cache, "val=b")
    for value, names in {"b": {"a", "c"}, "f": {"e"}, "h": {"g"}, "x": set[str]()}.items():
        assert found(cache, f"val={value}") == names
    assert list(cache.distinct("pods", "labels[val]")) == ["b", "f", "h"]


def by_user(cache: vai.Cache, user: str) -> set[str]:
    page = cache.list("pods", where=f"any(.spec.users[*]) = '{user}'")
    indexed = cache.list("pods", where=f"spec.users[*] = '{user}'", explain=True)
    assert indexed.explain is not None
    assert not indexed.explain.resources[0].not_indexed
    assert page.keys == indexed.keys
    return {one.name for one in indexed.items}


def with_users(name: str, version: int, *users: str) -> Json:
    return pod(name, version) | {"spec": {"users": list(users)}}


@pytest.fixture
def users(feed: Feed, cache: vai.Cache) -> int:
    """A field of many values, which is ready."""
    scope = feed.load()
    feed.store.index(PODS, ".spec.users[*]", "text")

    def ready() -> bool:
        return all(one.ready for one in cache.fields("pods"))

    wait_until(ready)
    return scope


def test_an_index_of_several_values_follows_deletes_and_updates(
    feed: Feed, cache: vai.Cache, users: int
) -> None:
    """index_test.go, TestMultiIndexKeys."""
    feed.event(users, "ADDED", with_users("one", 101, "ernie", "bert"))
    feed.event(users, "ADDED", with_users("two", 102, "bert", "oscar"))
    feed.event(users, "ADDED", with_users("tre", 103, "ernie", "elmo"))
    expected = {
        "ernie": {"one", "tre"}, "bert": {"one", "two"}, "elmo": {"tre"}, "oscar": {"two"},
        "elmo1": set[str](),
    }  # fmt: skip
    assert {user: by_user(cache, user) for user in expected} == expected
    feed.event(users, "DELETED", with_users("tre", 104, "ernie", "elmo"))
    assert by_user(cache, "ernie") == {"one"}
    assert by_user(cache, "elmo") == set()
    feed.event(users, "MODIFIED", with_users("two", 105, "oscar"))
    assert by_user(cache, "bert") == {"one"}


def test_an_index_forgets_a_value_that_nobody_has(feed: Feed, cache: vai.Cache, users: int) -> None:
    """thread_safe_store_test.go: DeleteRemovesEmptySets, AddKeepsNonEmptySetPostDelete."""
    feed.event(users, "ADDED", with_users("key", 101, "key"))
    assert list(cache.distinct("pods", "spec.users[*]")) == ["key"]
    feed.event(users, "DELETED", with_users("key", 102, "key"))
    assert list(cache.distinct("pods", "spec.users[*]")) == []
    feed.event(users, "ADDED", with_users("retain", 103, "both"))
    feed.event(users, "ADDED", with_users("delete", 104, "both"))
    assert by_user(cache, "both") == {"retain", "delete"}
    feed.event(users, "DELETED", with_users("delete", 105, "both"))
    assert list(cache.distinct("pods", "spec.users[*]")) == ["both"]
    assert by_user(cache, "both") == {"retain"}


def test_values_come_and_go_one_by_one(feed: Feed, cache: vai.Cache, users: int) -> None:
    """thread_safe_store_test.go, TestThreadSafeStoreIndexingFunctionsWithMultipleValues."""
    steps: list[tuple[str, str, tuple[str, ...], dict[str, set[str]]]] = [
        ("ADDED", "key1", ("foo",), {"foo": {"key1"}}),
        ("ADDED", "key2", ("bar",), {"foo": {"key1"}, "bar": {"key2"}}),
        ("MODIFIED", "key2", ("foo", "bar"), {"foo": {"key1", "key2"}, "bar": {"key2"}}),
        ("MODIFIED", "key1", ("foo", "bar"), {"foo": {"key1", "key2"}, "bar": {"key1", "key2"}}),
        ("ADDED", "key3", ("foo", "bar", "baz"), {
            "foo": {"key1", "key2", "key3"}, "bar": {"key1", "key2", "key3"}, "baz": {"key3"},
        }),
        ("MODIFIED", "key1", ("foo",), {
            "foo": {"key1", "key2", "key3"}, "bar": {"key2", "key3"}, "baz": {"key3"},
        }),
        ("MODIFIED", "key2", ("bar",), {
            "foo": {"key1", "key3"}, "bar": {"key2", "key3"}, "baz": {"key3"},
        }),
        ("DELETED", "key1", ("foo",), {
            "foo": {"key3"}, "bar": {"key2", "key3"}, "baz": {"key3"},
        }),
        ("DELETED", "key3", ("foo", "bar", "baz"), {"bar": {"key2"}}),
    ]  # fmt: skip
    for version, (kind, name, mine, expected) in enumerate(steps, 101):
        feed.event(users, kind, with_users(name, version, *mine))
        assert {user: by_user(cache, user) for user in ("foo", "bar", "baz")} == {
            user: expected.get(user, set()) for user in ("foo", "bar", "baz")
        }, (kind, name)


def test_the_version_of_a_store_is_that_of_the_last_word(feed: Feed, cache: vai.Cache) -> None:
    """thread_safe_store_test.go, TestThreadSafeStoreRV."""
    scope = feed.scope()
    assert cache.freshness("pods").resource_version is None
    feed.load(version=5)

    def version() -> str | None:
        return cache.freshness("pods").resource_version

    steps: list[tuple[Callable[[], object], str]] = [
        (lambda: feed.event(scope, "ADDED", pod("key1", 10)), "10"),
        (lambda: feed.event(scope, "ADDED", pod("key4", 20)), "20"),
        # A delete has a version of its own.
        (lambda: feed.event(scope, "DELETED", pod("key4", 30)), "30"),
        (lambda: feed.event(scope, "ADDED", pod("key6", 40)), "40"),
        # Replace: the list's, though no object has it.
        (lambda: feed.load([pod("key1", 10), pod("key2", 15)], version=50), "50"),
        (lambda: feed.load([], version=60), "60"),
    ]
    for act, expected in steps:
        act()
        assert version() == expected
    feed.watching.clear()
    feed.event(scope, "ADDED", pod("key7", 70))
    assert version() == "70"


@pytest.mark.parametrize(
    ("matching", "selector", "count"),
    [(100, "match=true", 100), (0, "", 1000), (0, "x=y", 0)],
    ids=["subset", "all", "none"],
)
def test_a_lister_lists_what_matches_in_all_namespaces_and_in_one(
    feed: Feed, cache: vai.Cache, matching: int, selector: str, count: int
) -> None:
    """listers_test.go, TestListAll, for ListAll and ListAllByNamespace."""
    labels = [{"match": "true"} if at < matching else {"nomatch": "true"} for at in range(1000)]
    feed.load([
        pod(f"p{at:04}", at + 1, ("a", "b")[at % 2], labels=labels[at]) for at in range(1000)
    ])  # fmt: skip
    assert cache.count("pods", label_selector=selector) == count
    for namespace in ("a", "b"):
        assert len(cache.snapshot("pods", namespace, label_selector=selector)) == count // 2
    assert cache.count("pods", "nowhere", label_selector=selector) == 0


def test_a_lister_of_what_has_no_namespace(feed: Feed, cache: vai.Cache) -> None:
    """index_test.go uses keys of one part, as MetaNamespaceKeyFunc makes them."""
    node: Json = {
        "kind": "Node", "apiVersion": "v1",
        "metadata": {"name": "n1", "uid": "n1", "resourceVersion": "9", "labels": {"foo": "bar"}},
    }  # fmt: skip
    feed.load([node], NODES)
    assert list(cache.snapshot("nodes", label_selector="foo=bar")) == ["n1"]
    assert list(cache.snapshot("nodes", label_selector="foo=biz")) == []
