"""What client-go's tests hold of controllers, held of vai's handlers.

Source: `tools/cache/controller_test.go` of client-go v0.37. The name of each test is its source's;
the table in README.md says which are left out, and why.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import vai
from tests.conformance.source import Source, key, opened
from tests.timing import wait_until
from tests.unit.cache.told import Told

Pair = tuple[Source, vai.Cache]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with opened(tmp_path) as made:
        yield made


def test_transforming_informer(pair: Pair) -> None:
    """TestTransformingInformer: add, update (old and new) and delete, all transformed."""
    source, cache = pair
    source.add("pod1", {"generation": "1"})
    source.modify("pod1", {"generation": "2"})
    source.relist()
    calls: list[tuple[str, Any, Any]] = []
    cache.add_handler(
        "pods",
        on_add=lambda new, _initial: calls.append(("add", None, new)),
        on_update=lambda old, new: calls.append(("update", old, new)),
        on_delete=lambda old: calls.append(("delete", old, None)),
        transform=lambda found: (found.name, found.labels["generation"]),
    )
    source.add("pod2", {"generation": "1"})
    source.add("pod3", {"generation": "1"})
    source.modify("pod2", {"generation": "2"})
    source.delete("pod1")
    wait_until(lambda: len(calls) == 5, what=lambda: calls)
    assert calls == [
        ("add", None, ("pod1", "2")),
        ("add", None, ("pod2", "1")),
        ("add", None, ("pod3", "1")),
        ("update", ("pod2", "1"), ("pod2", "2")),
        ("delete", ("pod1", "2"), None),
    ]


def test_transforming_informer_race(pair: Pair) -> None:
    """TestTransformingInformerRace: a transform always gets what the server sent."""
    source, cache = pair
    for index in range(5):
        source.add(f"pod-{index}", {"to-be-transformed": "true"})
    source.relist()
    wrong: list[str] = []
    count = 0

    def transform(found: vai.Object) -> dict[str, Any]:
        nonlocal count
        made = found.to_dict()
        labels = made["metadata"]["labels"]
        if labels["to-be-transformed"] != "true":
            wrong.append(found.key)
        labels["to-be-transformed"] = "false"
        count += 1
        return made

    cache.add_handler(
        "pods", on_add=lambda *_: None, on_update=lambda *_: None, resync=0.05, transform=transform
    ).wait_synced(30)
    while count < 60:
        found = cache.get("pods", key("pod-3"))
        assert found is not None
        assert found.labels["to-be-transformed"] == "true"
    assert not wrong


def test_panic_propagated(pair: Pair) -> None:
    """TestPanicPropagated: who asks is told the very exception."""
    source, cache = pair
    source.add("test")
    source.relist()
    raised = RuntimeError("Just panic.")
    errors: list[Exception] = []

    def fail(*_: Any) -> None:
        raise raised

    cache.add_handler("pods", on_add=fail, on_error=errors.append).wait_synced(30)
    assert errors == [raised]


def test_hammer_controller(pair: Pair) -> None:
    """TestHammerController: many writers; each object's events are in order and add up."""
    source, cache = pair
    source.relist()
    told = Told()
    cache.add_handler("pods", resync=0.1, **told.callbacks)
    lock = threading.Lock()

    def hammer(seed: int) -> None:
        chosen, mine = random.Random(seed), set[str]()
        for index in range(60):
            with lock:
                if not mine or chosen.randrange(3) == 1:
                    name = f"pod-{seed}-{index}"
                    mine.add(name)
                    source.add(name)
                elif chosen.randrange(2):
                    source.modify(chosen.choice(sorted(mine)))
                else:
                    name = chosen.choice(sorted(mine))
                    mine.discard(name)
                    source.delete(name)

    threads = [threading.Thread(target=hammer, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    told.wait_equal(source.versions)


def test_update(pair: Pair) -> None:
    """TestUpdate: of old and new only transitions that happened; a handler may write meanwhile."""
    source, cache = pair
    source.relist()
    seen: list[tuple[str, str]] = []
    lock = threading.Lock()
    deleted: list[str] = []

    def update(old: vai.Object, new: vai.Object) -> None:
        seen.append((old.labels["check"], new.labels["check"]))
        with lock:
            source.delete(new.name)

    cache.add_handler("pods", on_update=update, on_delete=lambda last: deleted.append(last.key))

    def write(name: str) -> None:
        with lock:
            source.add(name, {"check": "from"})
            source.modify(name, {"check": "to"})

    threads = [threading.Thread(target=write, args=(f"a-{index}",)) for index in range(3)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(deleted) == 3)
    assert set(seen) == {("from", "to")}


def test_example_new_informer(pair: Pair) -> None:
    """Example, ExampleNewInformer: a controller that deletes what comes, and hears of it."""
    source, cache = pair
    source.relist()
    deleted: list[str] = []
    cache.add_handler(
        "pods",
        on_add=lambda found, _initial: source.delete(found.name),
        on_delete=lambda last: deleted.append(last.key),
    )
    names = ["a-hello", "b-controller", "c-framework"]
    for count, name in enumerate(names, start=1):
        source.add(name)
        wait_until(lambda: len(deleted) == count)  # noqa: B023 - waited for here
    assert deleted == [key(name) for name in names]


def test_deletion_handling_object_to_name(pair: Pair) -> None:
    """TestDeletionHandlingObjectToName, TestDeletedObjectGetObjectName, TestDeletedObjectGetKey.

    An object and a tombstone, with an object or without, all have `key`.
    """
    source, cache = pair
    source.add("testname")
    source.relist()
    found = cache.get("pods", key("testname"))
    assert found is not None
    for known in (found, None):
        gone = vai.DeletedFinalStateUnknown(
            key=key("testname"), uid="u", resource_version="1", object=known
        )
        assert gone.key == found.key


REPLACE_EVENTS: dict[str, tuple[list[str], Callable[[Source], None], list[tuple[str, str]]]] = {
    "Create with no initial objects": (
        [],
        lambda source: _drops(source, ["pod-1"]),
        [("add", "pod-1")],
    ),
    "Delete all objects": (
        ["pod-1", "pod-3"],
        lambda source: _drops(source, [], gone=["pod-1", "pod-3"]),
        [("delete", "pod-1"), ("delete", "pod-3")],
    ),
    "Create, update, delete": (
        ["pod-1", "pod-2", "pod-3"],
        lambda source: _drops(source, ["pod-1", "pod-2", "pod-4"], gone=["pod-3"]),
        [("add", "pod-4"), ("delete", "pod-3"), ("update", "pod-1"), ("update", "pod-2")],
    ),
}


def _drops(source: Source, names: list[str], gone: list[str] | None = None) -> None:
    for name in gone or []:
        source.drop(name, gone=True)
    for name in names:
        source.drop(name)


@pytest.mark.parametrize("case", REPLACE_EVENTS)
def test_replace_events(pair: Pair, case: str) -> None:
    """TestReplaceEvents: a relist is told as a difference, and the cache has it by then."""
    source, cache = pair
    names, change, expected = REPLACE_EVENTS[case]
    source.relist()
    for name in names:
        source.add(name)
    told = Told()
    cache.add_handler("pods", **told.callbacks).wait_synced(30)
    told.wait_equal(source.versions)
    before = len(told.calls)
    change(source)
    source.relist()
    told.wait_equal(source.versions)
    happened = told.calls[before:]
    assert sorted((what, found) for what, found, _ in happened) == [
        (what, key(name)) for what, name in expected
    ]
    assert {found.key for found in told.tombstones} == {
        key(name) for what, name in expected if what == "delete"
    }
    assert dict(cache.snapshot("pods").items()).keys() == source.versions.keys()


def test_reset_watch(pair: Pair) -> None:
    """TestResetWatch: what a list after a lost watch brings is not the initial list."""
    source, cache = pair
    source.add("pod-1")
    source.relist()
    told = Told()
    cache.add_handler("pods", **told.callbacks).wait_synced(30)
    assert told.initial == [key("pod-1")]
    source.drop("pod-1")
    source.drop("pod-2")
    source.relist()
    told.wait_equal(source.versions)
    assert sorted(call[:2] for call in told.calls[1:]) == [
        ("add", key("pod-2")),
        ("update", key("pod-1")),
    ]
    assert told.initial == [key("pod-1")]


def test_process_deltas_in_batch(pair: Pair) -> None:
    """TestProcessDeltasInBatch: what the file refused is told to nobody, the rest to everybody."""
    source, cache = pair
    source.relist()
    told = Told()
    cache.add_handler("pods", **told.callbacks).wait_synced(30)
    source.add("testname1")
    broken = {"kind": "Pod", "apiVersion": "v1", "metadata": {"namespace": "default"}}
    with contextlib.suppress(vai.VaiError):
        source.feed.event(source.scope, "ADDED", broken)
    source.feed.watching.pop(source.scope, None)
    source.add("testname3")
    told.wait_equal(source.versions)
    assert [call[1] for call in told.calls] == [key("testname1"), key("testname3")]
