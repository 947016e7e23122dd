"""What client-go's tests hold of indexes, held of `cache.indexer`.

Sources: `tools/cache/index_test.go`, `thread_safe_store_test.go` (the indexes), `store_test.go`
(TestIndex) and `shared_informer_test.go` (TestIndexer) of client-go v0.37.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import vai
from tests.conformance.source import Source, key, opened

Pair = tuple[Source, vai.Cache]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with opened(tmp_path) as made:
        yield made


def labels(found: vai.Object) -> list[str]:
    return list(found.labels)


def users(found: vai.Object) -> list[str]:
    return found.annotations.get("users", "").split(",")


def names(found: list[vai.Object]) -> list[str]:
    return [one.name for one in found]


def test_indexer(pair: Pair) -> None:
    """TestIndexer: indexes may be added at any time, and are there at once."""
    source, cache = pair
    source.add("pod1", {"a": "a-val", "b": "b-val1"})
    source.add("pod2", {"b": "b-val2"})
    source.relist()
    indexer = cache.indexer("pods")
    indexer.add_indexers({"labels": labels})
    assert names(indexer.by_index("labels", "a")) == ["pod1"]
    source.add("pod3", {"a": "a-val2"})
    assert names(indexer.by_index("labels", "a")) == ["pod1", "pod3"]
    indexer.add_indexers({"labels-again": labels})
    assert names(indexer.by_index("labels-again", "a")) == ["pod1", "pod3"]
    for name in ("labels", "labels-again"):
        assert indexer.list_index_func_values(name) == ["a", "b"]
    assert set(indexer.indexers) == {"labels", "labels-again"}


def test_get_index_func_values(pair: Pair) -> None:
    """TestGetIndexFuncValues."""
    source, cache = pair
    for name, foo in (("one", "bar"), ("two", "bar"), ("tre", "biz")):
        source.add(name, {"foo": foo})
    source.relist()
    indexer = cache.indexer("pods")
    indexer.add_indexers({"testmodes": lambda found: [found.labels["foo"]]})
    assert indexer.list_index_func_values("testmodes") == ["bar", "biz"]


def test_multi_index_keys(pair: Pair) -> None:
    """TestMultiIndexKeys: an object has several values, and is moved when they change."""
    source, cache = pair
    for name, who in (("one", "ernie,bert"), ("two", "bert,oscar"), ("tre", "ernie,elmo")):
        source.add(name, annotations={"users": who})
    source.relist()
    indexer = cache.indexer("pods")
    indexer.add_indexers({"byUser": users})
    expected = {"ernie": ["one", "tre"], "bert": ["one", "two"], "elmo": ["tre"], "elmo1": []}
    for value, found in expected.items():
        assert names(indexer.by_index("byUser", value)) == found
    source.delete("tre")
    assert names(indexer.by_index("byUser", "ernie")) == ["one"]
    assert indexer.by_index("byUser", "elmo") == []
    source.modify("two", annotations={"users": "oscar"})
    assert names(indexer.by_index("byUser", "bert")) == ["one"]


def test_index(pair: Pair) -> None:
    """TestIndex: what shares a value with an object that need not be kept."""
    source, cache = pair
    for name, value in (("a", "b"), ("c", "b"), ("e", "f"), ("g", "h")):
        source.add(name, {"val": value})
    source.relist()
    indexer = cache.indexer("pods")
    indexer.add_indexers({"by_val": lambda found: [found.labels["val"]]})
    like = vai.Object(b'{"metadata": {"name": "x", "labels": {"val": "b"}}}')
    assert names(indexer.index("by_val", like)) == ["a", "c"]


def test_thread_safe_store_delete_removes_empty_sets_from_index(pair: Pair) -> None:
    """TestThreadSafeStoreDeleteRemovesEmptySetsFromIndex, …KeepsNonEmptySetPostDelete…."""
    source, cache = pair
    source.add("retain", {"is": "kept"})
    source.add("delete", {"is": "gone"})
    source.relist()
    indexer = cache.indexer("pods")
    indexer.add_indexers({"is": lambda found: [found.labels["is"], "both"]})
    assert indexer.list_index_func_values("is") == ["both", "gone", "kept"]
    source.delete("delete")
    assert indexer.list_index_func_values("is") == ["both", "kept"]
    assert indexer.index_keys("is", "both") == [key("retain")]


def test_thread_safe_store_indexing_functions_with_multiple_values(pair: Pair) -> None:
    """TestThreadSafeStoreIndexingFunctionsWithMultipleValues: the same steps, the same answers."""
    source, cache = pair
    source.relist()
    indexer = cache.indexer("pods")
    indexer.add_indexers({"test": users})
    put = {True: source.modify, False: source.add}

    steps: list[tuple[str, str | None, dict[str, list[str]]]] = [
        ("key1", "foo", {"foo": ["key1"]}),
        ("key2", "bar", {"foo": ["key1"], "bar": ["key2"]}),
        ("key2", "foo,bar", {"foo": ["key1", "key2"], "bar": ["key2"]}),
        ("key1", "foo,bar", {"foo": ["key1", "key2"], "bar": ["key1", "key2"]}),
        (
            "key3",
            "foo,bar,baz",
            {"foo": ["key1", "key2", "key3"], "bar": ["key1", "key2", "key3"], "baz": ["key3"]},
        ),
        (
            "key1",
            "foo",
            {"foo": ["key1", "key2", "key3"], "bar": ["key2", "key3"], "baz": ["key3"]},
        ),
        ("key2", "bar", {"foo": ["key1", "key3"], "bar": ["key2", "key3"], "baz": ["key3"]}),
        ("key1", None, {"foo": ["key3"], "bar": ["key2", "key3"], "baz": ["key3"]}),
        ("key3", None, {"foo": [], "bar": ["key2"], "baz": []}),
    ]
    for name, values, expected in steps:
        if values is None:
            source.delete(name)
        else:
            put[name in source.objects](name, annotations={"users": values})
        for value, found in expected.items():
            assert indexer.index_keys("test", value) == [key(one) for one in found]


def test_an_index_of_a_name_is_made_once(pair: Pair) -> None:
    """`AddIndexers` of index.go: a conflict is an error."""
    source, cache = pair
    source.relist()
    indexer = cache.indexer("pods")
    indexer.add_indexers({"labels": labels})
    for taken in ("labels", "namespace"):
        with pytest.raises(vai.InvalidRequestError, match="already"):
            indexer.add_indexers({taken: labels})
    with pytest.raises(vai.InvalidRequestError, match="there are: labels, namespace"):
        indexer.by_index("nothing", "x")


def test_the_namespace_index_is_always_there(pair: Pair) -> None:
    """`NamespaceIndex` of index.go."""
    source, cache = pair
    source.add("pod1")
    source.relist()
    indexer = cache.indexer("pods")
    assert indexer.list_index_func_values("namespace") == ["default"]
    assert indexer.index_keys("namespace", "default") == [key("pod1")]
    found = indexer.by_index("namespace", "default")
    assert names(indexer.index("namespace", found[0])) == ["pod1"]


def test_a_function_that_raises_is_told_with_its_object(pair: Pair) -> None:
    """client-go panics; an index that left the object out would lie."""
    source, cache = pair
    source.add("pod1", {"foo": "bar"})
    source.relist()
    indexer = cache.indexer("pods")
    indexer.add_indexers({"foo": lambda found: [found.labels["foo"]]})
    source.add("pod2")
    for _ in range(2):
        with pytest.raises(KeyError) as caught:
            indexer.by_index("foo", "bar")
        assert caught.value.__notes__ == [f"in the index function 'foo', called with {key('pod2')}"]
    source.modify("pod2", {"foo": "bar"})
    assert names(indexer.by_index("foo", "bar")) == ["pod1", "pod2"]
    with pytest.raises(vai.InvalidRequestError, match="not a list"):
        indexer.add_indexers({"text": lambda found: found.name})
    assert set(indexer.indexers) == {"foo"}


def test_an_index_is_never_behind_the_file_it_is_asked_about(pair: Pair) -> None:
    """Also while many change it, and after the history was pruned."""
    source, cache = pair
    source.relist()
    indexer = cache.indexer("pods")
    indexer.add_indexers({"labels": labels})
    failures: list[str] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            found = indexer.by_index("labels", "a")
            failures.extend(one.key for one in found if "a" not in one.labels)

    thread = threading.Thread(target=ask)
    thread.start()
    for index in range(200):
        name = f"pod{index % 10}"
        act = source.modify if name in source.objects else source.add
        act(name, {"ab"[index % 2]: "x"})
        wanted = [
            one
            for one, found in sorted(source.objects.items())
            if "a" in found["metadata"]["labels"]
        ]
        assert names(indexer.by_index("labels", "a")) == wanted
    done.set()
    thread.join(30)
    assert not failures
