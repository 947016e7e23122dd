"""Handlers: what they are told, in which order, and what becomes of slow and broken ones.

What client-go's own tests hold is in tests/conformance/test_client_go_informer.py.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

import vai
from tests.timing import wait_until
from tests.unit.cache.feed import NODES, Feed, cache_of, pod
from tests.unit.cache.told import Told, versions
from vai.cache import workers
from vai.types import Redaction, State


def test_a_handler_is_told_what_is_there_and_then_what_changes(
    feed: Feed, cache: vai.Cache
) -> None:
    scope = feed.load([pod("web-0", 7), pod("web-1", 8)])
    told = Told()
    registration = cache.add_handler("pods", **told.callbacks)
    registration.wait_synced(30)
    assert told.initial == ["shop/web-0", "shop/web-1"]
    feed.event(scope, "ADDED", pod("web-2", 101))
    feed.event(scope, "MODIFIED", pod("web-0", 102))
    feed.event(scope, "DELETED", pod("web-1", 103))
    assert told.wait(5)[2:] == [
        ("add", "shop/web-2", "101"),
        ("update", "shop/web-0", "102"),
        ("delete", "shop/web-1", "103"),
    ]
    assert told.initial == ["shop/web-0", "shop/web-1"]
    assert registration.delivered == 5
    assert "synced, 5 delivered" in repr(registration)


def test_the_initial_list_is_of_the_moment_of_the_call_however_late_it_is_told(
    feed: Feed, cache: vai.Cache
) -> None:
    scope = feed.load([pod("web-0", 7), pod("web-1", 8)])
    go = threading.Event()
    # All threads that there are at first are held up, so that the next handler has to wait for one.
    held = [Told(lambda: go.wait(30)) for _ in range(4)]
    for one in held:
        cache.add_handler("pods", **one.callbacks)
    told = Told()
    cache.add_handler("pods", **told.callbacks)
    feed.event(scope, "MODIFIED", pod("web-0", 101))
    feed.event(scope, "DELETED", pod("web-1", 102))
    go.set()
    assert told.wait(4) == [
        ("add", "shop/web-0", "7"),
        ("add", "shop/web-1", "8"),
        ("update", "shop/web-0", "101"),
        ("delete", "shop/web-1", "102"),
    ]


def test_reads_inside_a_callback_are_at_least_as_new_as_the_event(
    feed: Feed, cache: vai.Cache
) -> None:
    scope = feed.load()
    seen: list[bool] = []

    def look(found: vai.Object, _initial: bool) -> None:
        now = cache.get("pods", found.key)
        seen.append(now is not None and int(now.resource_version) >= int(found.resource_version))

    cache.add_handler("pods", on_add=look).wait_synced(30)
    for index in range(50):
        feed.event(scope, "ADDED", pod(f"web-{index}", 101 + index))
    wait_until(lambda: len(seen) == 50)
    assert all(seen)


def test_a_handler_may_be_added_before_the_first_list(feed: Feed) -> None:
    with cache_of(feed.path, ["pods"], "reader")[0] as cache:
        feed.scope()
        told = Told()
        registration = cache.add_handler("pods", **told.callbacks)
        assert not registration.has_synced()
        with pytest.raises(vai.SyncTimeoutError, match="not listed yet") as caught:
            registration.wait_synced(0.2)
        assert list(caught.value.scopes) == ["pods"]
        feed.load([pod("web-0", 7)])
        registration.wait_synced(30)
        assert told.initial == ["shop/web-0"]


def test_a_handler_may_be_added_before_discovery(tmp_path: Path) -> None:
    path = tmp_path / "cluster.db"
    Feed(path, resources=()).close()
    problems: dict[str, vai.VaiError] = {"pods": vai.OfflineError("no route to host")}
    with cache_of(path, ["pods"], problems=problems)[0] as cache:
        told = Told()
        registration = cache.add_handler("pods", **told.callbacks)
        with pytest.raises(vai.SyncTimeoutError, match="no route to host"):
            registration.wait_synced(0.1)
        wait_until(lambda: told.errors)
        assert isinstance(told.errors[0], vai.OfflineError)


def test_what_makes_no_sense_is_refused_at_once(feed: Feed, cache: vai.Cache) -> None:
    feed.load()
    feed.load(resource=NODES)
    with pytest.raises(vai.UnknownResourceError):
        cache.add_handler("podz")
    with pytest.raises(vai.NotKeptError):
        cache.add_handler("deployments")
    with pytest.raises(vai.InvalidRequestError, match="not namespaced"):
        cache.add_handler("nodes", namespace="shop")
    with pytest.raises(vai.InvalidSelectorError):
        cache.add_handler("pods", label_selector="a in (")
    with pytest.raises(vai.InvalidExpressionError):
        cache.add_handler("pods", where="status.phase =")
    with pytest.raises(vai.InvalidRequestError, match="resync"):
        cache.add_handler("pods", resync=0)
    assert cache.handlers == ()


def test_a_filter_gives_transitions(feed: Feed, cache: vai.Cache) -> None:
    scope = feed.load([pod("web-0", 7, labels={"app": "web"}), pod("db-0", 8)])
    told, other = Told(), Told()
    cache.add_handler("pods", label_selector="app=web", namespace="shop", **told.callbacks)
    cache.add_handler("pods", where="metadata.name startswith db", **other.callbacks)
    told.wait(1)
    other.wait(1)
    feed.event(scope, "MODIFIED", pod("web-0", 101))
    feed.event(scope, "MODIFIED", pod("db-0", 102, labels={"app": "web"}))
    assert told.wait(3) == [
        ("add", "shop/web-0", "7"),
        ("delete", "shop/web-0", "7"),
        ("add", "shop/db-0", "102"),
    ]
    assert other.wait(2) == [("add", "shop/db-0", "8"), ("update", "shop/db-0", "102")]


def test_a_relist_tells_the_difference_and_tombstones(feed: Feed, cache: vai.Cache) -> None:
    feed.load([pod("web-0", 7), pod("web-1", 8)])
    told = Told()
    cache.add_handler("pods", **told.callbacks).wait_synced(30)
    feed.load([pod("web-0", 120), pod("web-2", 110)], version=200)
    told.wait_equal({"shop/web-0": "120", "shop/web-2": "110"})
    (tombstone,) = told.tombstones
    assert (tombstone.key, tombstone.uid) == ("shop/web-1", "uid-shop-web-1")
    assert tombstone.resource_version == "8"
    assert tombstone.object is not None
    assert tombstone.object.name == "web-1"
    assert told.initial == ["shop/web-0", "shop/web-1"]


def test_a_name_with_another_uid_is_a_delete_and_an_add(feed: Feed, cache: vai.Cache) -> None:
    feed.load([pod("web-0", 7)])
    told = Told()
    cache.add_handler("pods", **told.callbacks).wait_synced(30)
    again = pod("web-0", 150)
    again["metadata"]["uid"] = "uid-new"
    feed.load([again], version=200)
    assert [what for what, _, _ in told.wait(3)] == ["add", "delete", "add"]


@pytest.mark.parametrize("how", ["sleeps", "raises", "exits"])
def test_a_bad_handler_stops_nothing_else(
    feed: Feed, cache: vai.Cache, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    scope = feed.load([pod("web-0", 7)])
    release = threading.Event()

    def misbehave() -> None:
        if how == "sleeps":
            release.wait(60)
        elif how == "raises":
            raise RuntimeError("no disk")
        else:
            sys.exit(3)

    bad = [Told(misbehave) for _ in range(6)]
    good = Told()
    with caplog.at_level(logging.ERROR, "vai"):
        registrations = [cache.add_handler("pods", **one.callbacks) for one in bad]
        cache.add_handler("pods", **good.callbacks).wait_synced(30)
        feed.event(scope, "ADDED", pod("web-1", 101))
        good.wait(2)
        release.set()
        if how == "sleeps":
            for one in bad:
                one.wait_equal(versions(cache))
            return
        wait_until(lambda: all(one.errors == 2 for one in registrations))
    assert all(registration.has_synced() for registration in registrations)
    logged = [record for record in caplog.records if "of this kind are counted" in record.message]
    assert len(logged) == len(bad)
    if how == "raises":
        told_of = bad[0].errors
        assert [type(error) for error in told_of] == [RuntimeError, RuntimeError]
        assert told_of[0].__notes__ == ["in the handler of pods: add of shop/web-0"]


def test_on_error_may_raise_too(feed: Feed, cache: vai.Cache) -> None:
    feed.load([pod("web-0", 7), pod("web-1", 8)])

    def fail(*_: Any) -> None:
        raise KeyError("x")

    registration = cache.add_handler("pods", on_add=fail, on_error=fail)
    registration.wait_synced(30)
    assert registration.errors == 4


def test_states_of_scopes_are_told_when_they_change(feed: Feed, cache: vai.Cache) -> None:
    scope = feed.load([pod("web-0", 7)])
    told = Told()
    cache.add_handler("pods", **told.callbacks).wait_synced(30)
    feed.store.set_state(scope, State.OFFLINE, "connection refused")
    wait_until(lambda: len(told.errors) == 1)
    assert isinstance(told.errors[0], vai.OfflineError)
    assert "connection refused" in str(told.errors[0])
    feed.store.set_state(scope, State.FORBIDDEN, "pods: list is missing")
    wait_until(lambda: len(told.errors) == 2)
    assert isinstance(told.errors[1], vai.ForbiddenError)
    feed.live(scope)
    feed.event(scope, "ADDED", pod("web-1", 101))
    told.wait(2)
    assert len(told.errors) == 2


def test_two_scopes_that_have_the_same_object_tell_of_it_once(feed: Feed, cache: vai.Cache) -> None:
    whole = feed.load([pod("web-0", 7)])
    shop = feed.load([pod("web-0", 7)], namespace="shop")
    told = Told()
    cache.add_handler("pods", **told.callbacks).wait_synced(30)
    feed.event(shop, "MODIFIED", pod("web-0", 101))
    feed.event(whole, "MODIFIED", pod("web-0", 101))
    feed.event(whole, "ADDED", pod("web-1", 102))
    feed.event(shop, "ADDED", pod("web-1", 102))
    feed.event(shop, "DELETED", pod("web-0", 103))
    feed.event(whole, "DELETED", pod("web-0", 103))
    feed.event(whole, "ADDED", pod("web-2", 104))
    told.wait_equal({"shop/web-1": "102", "shop/web-2": "104"})
    assert [what for what, key, _ in told.calls if key == "shop/web-0"] == [
        "add",
        "update",
        "delete",
    ]
    again = pod("web-1", 106)
    again["metadata"]["uid"] = "uid-new"
    for scope in (whole, shop):
        feed.event(scope, "DELETED", pod("web-1", 105))
        feed.event(scope, "ADDED", again)
    feed.event(whole, "ADDED", pod("web-3", 107))
    # Only one of them lost it, as one with a selector does.
    feed.event(shop, "ADDED", pod("web-2", 104))
    feed.event(shop, "DELETED", pod("web-2", 108))
    feed.event(whole, "MODIFIED", pod("web-3", 109))
    told.wait_equal({"shop/web-1": "106", "shop/web-2": "104", "shop/web-3": "109"})
    assert [what for what, key, _ in told.calls if key == "shop/web-1"] == ["add", "delete", "add"]


def test_what_only_metadata_is_kept_of_is_told_too(feed: Feed, cache: vai.Cache) -> None:
    scope = feed.load([pod("web-0", 7)], redaction=Redaction.METADATA)
    told = Told()
    cache.add_handler("pods", **told.callbacks).wait_synced(30)
    feed.event(scope, "MODIFIED", pod("web-0", 101))
    told.wait_equal({"shop/web-0": "101"})


def test_a_resync_tells_everything_again_from_the_file(feed: Feed, cache: vai.Cache) -> None:
    scope = feed.load([pod("web-0", 7), pod("web-1", 8)])
    told = Told()
    cache.add_handler("pods", resync=0.2, **told.callbacks).wait_synced(30)
    told.wait(6)
    feed.event(scope, "DELETED", pod("web-1", 101))
    told.wait_equal({"shop/web-0": "7"})
    count = len(told.calls)
    assert {call[1] for call in told.wait(count + 2)[count:]} == {"shop/web-0"}
    assert all(old is not None for old in told.olds)


def test_what_is_forgotten_is_not_deleted_and_compared_when_it_is_back(
    feed: Feed, cache: vai.Cache
) -> None:
    scope = feed.load([pod("web-0", 7), pod("web-1", 8)])
    told = Told()
    cache.add_handler("pods", **told.callbacks).wait_synced(30)
    feed.store.forget(scope)
    wait_until(lambda: told.errors)
    assert isinstance(told.errors[0], vai.NotKeptError)
    assert set(told.folded) == {"shop/web-0", "shop/web-1"}
    feed.watching.clear()
    feed.load([pod("web-0", 7), pod("web-2", 120)], version=200)
    told.wait_equal({"shop/web-0": "7", "shop/web-2": "120"})
    assert [found.key for found in told.tombstones] == ["shop/web-1"]


def test_removal_ends_it_also_from_inside(feed: Feed, cache: vai.Cache) -> None:
    scope = feed.load([pod("web-0", 7), pod("web-1", 8)])
    seen: list[str] = []
    removed: list[bool] = []
    gate = threading.Event()

    def once(found: vai.Object, _initial: bool) -> None:
        gate.wait(30)
        seen.append(found.key)
        removed.append(registration.remove())

    registration = cache.add_handler("pods", on_add=once)
    gate.set()
    wait_until(lambda: removed)
    assert removed == [False]
    assert registration.removed
    assert registration.remove(timeout=30)
    with pytest.raises(vai.ClosedError, match="was removed"):
        registration.wait_synced(5)
    told = Told()
    cache.add_handler("pods", **told.callbacks)
    feed.event(scope, "ADDED", pod("web-2", 101))
    told.wait(3)
    assert seen == ["shop/web-0"]
    assert len(cache.handlers) == 1


def test_a_callback_cant_wait_for_itself(feed: Feed, cache: vai.Cache) -> None:
    feed.load([pod("web-0", 7)])
    errors: list[Exception] = []
    gate = threading.Event()

    def wait(*_: Any) -> None:
        gate.wait(30)
        registration.wait_synced(30)

    registration = cache.add_handler("pods", on_add=wait, on_error=errors.append)
    gate.set()
    registration.wait_synced(30)
    assert [type(error) for error in errors] == [vai.InvalidRequestError]


def test_what_is_paused_goes_on_where_it_stopped(feed: Feed, cache: vai.Cache) -> None:
    scope = feed.load([pod("web-0", 7)])
    told = Told()
    registration = cache.add_handler("pods", **told.callbacks)
    registration.wait_synced(30)
    assert registration.pause(timeout=30)
    other = Told()
    cache.add_handler("pods", **other.callbacks)
    feed.event(scope, "MODIFIED", pod("web-0", 101))
    feed.event(scope, "MODIFIED", pod("web-0", 102))
    other.wait_equal({"shop/web-0": "102"})
    assert told.folded == {"shop/web-0": "7"}
    registration.resume()
    assert told.wait(3)[1:] == [("update", "shop/web-0", "101"), ("update", "shop/web-0", "102")]


def test_the_cache_may_be_closed_from_inside(feed: Feed) -> None:
    scope = feed.load([pod("web-0", 7)])
    before = set(threading.enumerate())
    cache = vai.open(feed.path)
    told = Told(cache.close)
    registration = cache.add_handler("pods", **told.callbacks)
    wait_until(lambda: registration.removed)
    feed.event(scope, "ADDED", pod("web-1", 101))
    with pytest.raises(vai.ClosedError):
        cache.add_handler("pods", **told.callbacks)
    assert told.wait(1) == [("add", "shop/web-0", "7")]
    wait_until(lambda: not [t for t in _new(before) if t.name == "vai-handlers"])


def test_a_takeover_goes_unnoticed(feed: Feed) -> None:
    scope = feed.load([pod("web-0", 7)])
    with cache_of(feed.path, ["pods"])[0] as cache:
        assert cache.role == "reader"
        told = Told()
        cache.add_handler("pods", **told.callbacks).wait_synced(30)
        feed.event(scope, "ADDED", pod("web-1", 101))
        told.wait(2)
        feed.store.close()
        wait_until(lambda: cache.role == "writer")
        writer = cache._engine._writer
        assert writer is not None
        feed.store, feed.watching = writer, {}
        feed.event(scope, "MODIFIED", pod("web-1", 102))
        told.wait_equal({"shop/web-0": "7", "shop/web-1": "102"})


def test_handlers_work_in_a_process_that_only_reads(feed: Feed) -> None:
    scope = feed.load([pod("web-0", 7)])
    code = f"""
    import sys, vai
    cache = vai.open({str(feed.path)!r})
    cache.add_handler(
        "pods",
        on_add=lambda o, i: print("add", o.key, i, flush=True),
        on_delete=lambda o: (print("delete", o.key, flush=True), cache.close()),
    ).wait_synced(30)
    print("synced", flush=True)
    sys.stdin.read()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdin is not None
        lines = [reader.stdout.readline() for _ in range(2)]
        assert lines == ["add shop/web-0 True\n", "synced\n"]
        feed.event(scope, "ADDED", pod("web-1", 101))
        assert reader.stdout.readline() == "add shop/web-1 False\n"
        feed.event(scope, "DELETED", pod("web-1", 102))
        assert reader.stdout.readline() == "delete shop/web-1\n"
        reader.stdin.close()
        assert reader.wait(30) == 0


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_has_no_handlers(feed: Feed, cache: vai.Cache) -> None:
    feed.load([pod("web-0", 7)])
    registration = cache.add_handler("pods")
    registration.wait_synced(30)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            for act in (lambda: cache.add_handler("pods"), registration.remove):
                try:
                    act()
                except vai.ForkedError:
                    status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not registration.removed


def test_threads_come_for_those_who_block_and_go_again(
    feed: Feed, cache: vai.Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_LINGER_S", 0.1)
    scope = feed.load([pod("web-0", 7)])
    before = set(threading.enumerate())
    go = threading.Event()
    blocked = [Told(lambda: go.wait(60)) for _ in range(30)]
    for told in blocked:
        cache.add_handler("pods", **told.callbacks)
    wait_until(lambda: _handler_threads(before) >= 30)
    go.set()
    for told in blocked:
        told.wait_equal({"shop/web-0": "7"})
    wait_until(lambda: _handler_threads(before) == 0)
    feed.event(scope, "MODIFIED", pod("web-0", 101))
    for told in blocked:
        told.wait_equal({"shop/web-0": "101"})


def _new(before: set[threading.Thread]) -> set[threading.Thread]:
    """Threads of this test; those of earlier ones may still be ending."""
    return set(threading.enumerate()) - before


def _handler_threads(before: set[threading.Thread]) -> int:
    return len([thread for thread in _new(before) if thread.name == "vai-handler"])
