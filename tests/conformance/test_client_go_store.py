"""What client-go's tests hold of stores and queues, held of vai's file, history and handlers.

Sources: `tools/cache/store_test.go`, `thread_safe_store_test.go`, `fifo_test.go`,
`delta_fifo_test.go`, `the_real_fifo_test.go` and `undelta_store_test.go` of client-go v0.37. The
store is the file; the queue between reflector and handlers is the history; `Replace` is a relist
and `Pop` the next change. So what those tests hold of them are properties of writer and history.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest

import vai
from tests.conformance.source import NAMESPACE, Source, key, opened
from tests.timing import wait_until
from tests.unit.cache.told import Told

Pair = tuple[Source, vai.Cache]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with opened(tmp_path) as made:
        yield made


def drained(cache: vai.Cache, since: vai.Position) -> list[tuple[str, str, str]]:
    """The changes since then: what, of whom, to which version."""
    with cache.changes("pods", since=since) as changes:
        found: list[tuple[str, str, str]] = []
        while (change := changes.poll()) is not None:
            found.append((change.op, change.key.rpartition("/")[2], change.resource_version))
        return found


def test_cache(pair: Pair) -> None:
    """TestCache, TestCacheWithTransformer, TestFIFOCache, TestUndeltaStore (doTestStore).

    Add, update, delete, list, replace.
    """
    source, cache = pair
    source.relist()
    source.add("foo", {"val": "bar"})
    found = cache.get("pods", key("foo"))
    assert found is not None
    assert found.labels == {"val": "bar"}
    source.modify("foo", {"val": "baz"})
    found = cache.get("pods", key("foo"))
    assert found is not None
    assert found.labels == {"val": "baz"}
    source.delete("foo")
    assert cache.get("pods", key("foo")) is None
    for name in ("a", "c", "e"):
        source.add(name)
    assert list(cache.snapshot("pods")) == [key("a"), key("c"), key("e")]
    for name in ("a", "c", "e"):
        source.drop(name, gone=True)
    for name in ("foo", "bar"):
        source.drop(name)
    source.relist()
    assert list(cache.snapshot("pods")) == [key("bar"), key("foo")]


def test_thread_safe_store_rv(pair: Pair) -> None:
    """TestThreadSafeStoreRV, TestStoreResourceVersion: the newest version is the store's."""
    source, cache = pair
    assert cache.status()[0].resource_version is None
    source.relist()
    acts = ((source.add, "key1"), (source.add, "key2"), (source.modify, "key1"))
    for act, name in (*acts, (source.delete, "key2")):
        version = act(name)
        assert cache.status()[0].resource_version == version
    source.relist()
    assert cache.status()[0].resource_version == str(source.version)


def test_basic(pair: Pair) -> None:
    """TestFIFO_basic, TestDeltaFIFO_basic, TestRealFIFO_basic: each object's changes in order."""
    source, cache = pair
    source.relist()
    since = cache.position()
    expected = []
    for index in range(20):
        for name in ("foo", "bar"):
            act = source.modify if index else source.add
            expected.append(("update" if index else "add", name, act(name)))
    assert drained(cache, since) == expected


def test_add_update(pair: Pair) -> None:
    """TestFIFO_addUpdate, TestDeltaFIFO_addUpdate, TestRealFIFO_addUpdate: nothing is merged."""
    source, cache = pair
    source.relist()
    since = cache.position()
    versions = [source.add("foo"), source.modify("foo"), source.delete("foo")]
    assert drained(cache, since) == [
        (what, "foo", version)
        for what, version in zip(("add", "update", "delete"), versions, strict=True)
    ]


def test_add_replace(pair: Pair) -> None:
    """TestFIFO_addReplace, …DeltaFIFO_addReplace, …RealFIFO_addReplace, …enqueueingNoLister."""
    source, cache = pair
    source.relist()
    since = cache.position()
    first = source.add("foo")
    second = source.drop("foo")
    source.relist()
    assert drained(cache, since) == [("add", "foo", first), ("update", "foo", second)]
    assert cache.get("pods", key("foo")) is not None


def test_replace_with_delete_delta_in(pair: Pair) -> None:
    """Test{Delta,Real}FIFO_replaceWithDeleteDeltaIn: deleted, and there again in the list."""
    source, cache = pair
    source.add("foo")
    source.relist()
    since = cache.position()
    gone = source.delete("foo")
    again = source.drop("foo")
    source.relist()
    assert drained(cache, since) == [("delete", "foo", gone), ("add", "foo", again)]


DELETIONS: dict[str, tuple[Callable[[Source], None], list[str]]] = {
    "Added object should be deleted on Replace": (
        lambda s: _then(s, "add", "empty"),
        ["add", "delete, unknown"],
    ),
    "Deleted object should have only a single Delete": (
        lambda s: _then(s, "add", "delete", "empty"),
        ["add", "delete"],
    ),
    "Synced objects should have a single delete": (
        lambda s: _then(s, "add", "list", "list", "empty"),
        ["add", "delete, unknown"],
    ),
    "Added objects should have a single delete on multiple Replaces": (
        lambda s: _then(s, "add", "empty", "empty"),
        ["add", "delete, unknown"],
    ),
    "Added and deleted and added object should be deleted": (
        lambda s: _then(s, "add", "delete", "add", "empty"),
        ["add", "delete", "add", "delete, unknown"],
    ),
}


def _then(source: Source, *steps: str) -> None:
    for step in steps:
        match step:
            case "add":
                source.add("foo")
            case "delete":
                source.delete("foo")
            case "list":
                source.relist()
            case _:
                source.objects.clear()
                source.relist()


@pytest.mark.parametrize("case", DELETIONS)
@pytest.mark.parametrize("late", [False, True])
def test_replace_makes_deletions_for_objects_only_in_queue(
    pair: Pair, case: str, late: bool
) -> None:
    """Test{Delta,Real}FIFOW_ReplaceMakesDeletionsForObjectsOnlyInQueue.

    Also when nothing of it was taken yet (`late`).
    """
    source, cache = pair
    operations, expected = DELETIONS[case]
    source.relist()
    told = Told()
    registration = cache.add_handler("pods", **told.callbacks)
    registration.wait_synced(30)
    if late:
        assert registration.pause(timeout=30)
    operations(source)
    registration.resume()
    told.wait(len(expected))
    unknown = iter(told.tombstones)
    seen = []
    for what, _, version in told.calls:
        tombstone = what == "delete" and not version_is_of_a_delete(source, version, told)
        seen.append("delete, unknown" if tombstone and next(unknown, None) else what)
    assert seen == expected


def version_is_of_a_delete(source: Source, version: str, told: Told) -> bool:
    """A tombstone has the version last told; a delete that was seen has one of its own."""
    assert source.version
    return version not in {v for what, _, v in told.calls if what != "delete"}


def test_replace_makes_deletions(pair: Pair) -> None:
    """Test{Delta,Real}FIFO_ReplaceMakesDeletions, …Replaced: the last state is in the tombstone."""
    source, cache = pair
    for name in ("foo", "bar", "baz"):
        source.add(name, {"is": name})
    source.relist()
    told = Told()
    cache.add_handler("pods", **told.callbacks).wait_synced(30)
    source.delete("baz")
    bar = source.objects["bar"]["metadata"]["resourceVersion"]
    source.drop("bar", gone=True)
    source.drop("foo")
    source.relist()
    told.wait_equal(source.versions)
    (gone,) = told.tombstones
    assert (gone.key, gone.resource_version) == (key("bar"), bar)
    assert gone.object is not None
    assert gone.object.labels == {"is": "bar"}


def test_delete_existing_non_propagated(pair: Pair) -> None:
    """Test{Delta,Real}FIFO_DeleteExistingNonPropagated: what nobody has is deleted for nobody."""
    source, cache = pair
    source.relist()
    since = cache.position()
    source.add("foo")
    ghost = dict(source.objects["foo"]) | {}
    ghost["metadata"] = source.objects["foo"]["metadata"] | {"name": "ghost", "uid": "u-ghost"}
    source.feed.event(source.scope, "DELETED", ghost)
    assert [found[:2] for found in drained(cache, since)] == [("add", "foo")]


@pytest.mark.parametrize("there", [False, True])
def test_resync(pair: Pair, there: bool) -> None:
    """Test{Delta,Real}FIFO_Resync, …ResyncNonExisting, TestRealFIFO_ResyncAtomic."""
    source, cache = pair
    if there:
        source.add("foo")
    source.relist()
    told = Told()
    registration = cache.add_handler("pods", resync=0.05, **told.callbacks)
    registration.wait_synced(30)
    if there:
        told.wait(3)
    else:
        wait_until(lambda: registration.delivery.due_s is not None)
    assert {call[1] for call in told.calls[1:]} == ({key("foo")} if there else set())


def test_update_resync_race(pair: Pair) -> None:
    """Test{Delta,Real}FIFO_UpdateResyncRace: what has a change coming is not told as it was."""
    source, cache = pair
    source.add("foo")
    source.relist()
    told = Told()
    cache.add_handler("pods", resync=0.02, **told.callbacks).wait_synced(30)
    for _ in range(50):
        source.modify("foo")
    told.wait_equal(source.versions)
    versions = [int(call[2]) for call in told.calls]
    assert versions == sorted(versions), "never back to an older state"


def test_has_synced_correct_on_deletion(pair: Pair) -> None:
    """Test{Delta,Real}FIFO_HasSyncedCorrectOnDeletion: a relist while the first one is told."""
    source, cache = pair
    for name in ("foo", "bar", "baz"):
        source.add(name)
    source.relist()
    go = threading.Event()
    told = Told(lambda: go.wait(60))
    registration = cache.add_handler("pods", **told.callbacks)
    assert not registration.has_synced()
    source.drop("bar", gone=True)
    source.drop("baz", gone=True)
    source.relist()
    assert not registration.has_synced()
    go.set()
    registration.wait_synced(30)
    told.wait_equal(source.versions)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_has_synced(pair: Pair, count: int) -> None:
    """TestFIFO_HasSynced, TestDeltaFIFO_HasSynced, TestRealFIFO_HasSynced."""
    source, cache = pair
    for index in range(count):
        source.add(f"pod-{index}")
    permits = threading.Semaphore(0)
    told = Told(permits.acquire)
    registration = cache.add_handler("pods", **told.callbacks)
    assert not registration.has_synced()
    source.relist()
    for _ in range(count):
        assert not registration.has_synced()
        permits.release()
    registration.wait_synced(30)
    assert len(told.initial) == count


def test_detect_line_jumpers(pair: Pair) -> None:
    """TestFIFO_detectLineJumpers, …DeltaFIFO…, …RealFIFO…: all are told in the order of events."""
    source, cache = pair
    source.relist()
    since = cache.position()
    order = [source.add("foo"), source.add("bar"), source.modify("foo"), source.add("zab")]
    with cache.changes("pods", since=since) as changes:
        first = [change.resource_version for change in islice(changes, 1)]
        order.append(source.modify("foo"))
        assert first + [found.resource_version for found in islice(changes, 4)] == order


def test_key_of(pair: Pair) -> None:
    """Test{Delta,Real}FIFO_KeyOf: a change, its objects and its tombstone have one key."""
    source, cache = pair
    source.add("A")
    source.relist()
    since = cache.position()
    told = Told()
    cache.add_handler("pods", **told.callbacks).wait_synced(30)
    source.drop("A", gone=True)
    source.relist()
    told.wait_equal({})
    with cache.changes("pods", since=since) as changes:
        change = next(changes)
    assert change.old is not None
    assert {change.key, change.old.key, told.tombstones[0].key} == {key("A")}


def test_pop_should_unblock_when_closed(pair: Pair) -> None:
    """TestFIFO_PopShouldUnblockWhenClosed, …DeltaFIFO…, …RealFIFO…."""
    source, cache = pair
    source.relist()
    ended: list[int] = []
    loops = [cache.changes("pods") for _ in range(10)]

    def pop(index: int) -> None:
        for _ in loops[index]:
            pass
        ended.append(index)

    threads = [threading.Thread(target=pop, args=(index,)) for index in range(10)]
    for thread in threads:
        thread.start()
    cache.close()
    for thread in threads:
        thread.join(30)
    assert len(ended) == 10


def test_transformer(pair: Pair) -> None:
    """Test{Delta,Real}FIFO_transformer: tombstones are not transformed; what they hold is whole."""
    source, cache = pair
    source.add("foo")
    source.relist()
    seen: list[object] = []
    cache.add_handler(
        "pods",
        on_add=lambda found, _initial: seen.append(found),
        on_delete=seen.append,
        transform=lambda found: found.name,
    ).wait_synced(30)
    source.drop("foo", gone=True)
    source.relist()
    wait_until(lambda: len(seen) == 2)
    assert seen[0] == "foo"
    assert isinstance(seen[1], vai.DeletedFinalStateUnknown)


def test_replace_atomic(pair: Pair) -> None:
    """TestRealFIFO_ReplaceAtomic, …Pop, …PopMultipleDeltaInBatch: a relist is one moment.

    Whoever reads during the calls for it sees all of it or nothing.
    """
    source, cache = pair
    for index in range(50):
        source.add(f"pod-{index:02d}")
    source.relist()
    sizes: set[int] = set()
    told = Told(lambda: sizes.add(len(cache.snapshot("pods"))))
    cache.add_handler("pods", **told.callbacks).wait_synced(30)
    for index in range(25):
        source.drop(f"pod-{index:02d}", gone=True)
    source.relist()
    told.wait_equal(source.versions)
    assert sizes <= {50, 25}


def test_undelta_store(pair: Pair) -> None:
    """TestUpdateCallsPush, TestDeleteCallsPush, TestReplaceCallsPush, TestReadsDoNotCallPush."""
    source, cache = pair
    source.relist()
    before = cache.position()
    cache.snapshot("pods")
    cache.get("pods", f"{NAMESPACE}/a")
    assert cache.position() == before
    for act in (source.add, source.modify, source.delete):
        act("a")
        assert cache.position() > before
        before = cache.position()
    source.drop("b")
    source.relist()
    assert cache.position() > before
