"""What client-go's tests hold of shared informers and controllers, held of vai's handlers.

Sources: `tools/cache/shared_informer_test.go` and `controller_test.go` of client-go v0.37. The name
of each test is its source's; the table in README.md says which are left out, and why.
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import vai
from tests.conformance.source import Source, key, opened
from tests.timing import wait_until
from tests.unit.cache.feed import cache_of
from tests.unit.cache.told import Told
from vai.types import State

Pair = tuple[Source, vai.Cache]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with opened(tmp_path) as made:
        yield made


@pytest.mark.parametrize("at_start", [True, False])
def test_listener_resync_periods(pair: Pair, at_start: bool) -> None:
    """TestListenerResyncPeriods, TestListenerResyncPeriodsDelayed: each has a period of its own."""
    source, cache = pair
    source.objects = {}
    source.add("pod1")
    source.add("pod2")
    if at_start:
        source.relist()
    never, often, seldom = Told(), Told(), Told()
    cache.add_handler("pods", **never.callbacks)
    cache.add_handler("pods", resync=0.3, **often.callbacks)
    cache.add_handler("pods", resync=3600, **seldom.callbacks)
    source.relist()
    often.wait(8)
    assert Counter(call[0] for call in often.calls)["update"] >= 6
    assert {call[0] for call in never.calls} == {"add"}
    assert {call[0] for call in seldom.calls} == {"add"}
    assert {call[1] for call in often.calls} == {key("pod1"), key("pod2")}


def test_resync_check_period(pair: Pair) -> None:
    """TestResyncCheckPeriod: the period of one changes nobody else's."""
    source, cache = pair
    source.relist()
    periods = [None, 60.0, 55.0, 5.0]
    registrations = [cache.add_handler("pods", resync=period) for period in periods]
    for registration in registrations:
        registration.wait_synced(30)
    for period, registration in zip(periods, registrations, strict=True):
        due_s = registration.delivery.due_s
        assert (due_s is None) == (period is None)
        assert period is None or due_s is None or period - 5 < due_s <= period


def test_shared_informer_initialization_race(tmp_path: Path) -> None:
    """TestSharedInformerInitializationRace: added while the cache is being opened and listed."""
    source = Source(tmp_path)
    with cache_of(source.feed.path, ["pods"])[0] as cache:
        told = Told()
        adding = threading.Thread(target=lambda: cache.add_handler("pods", **told.callbacks))
        source.add("pod1")
        adding.start()
        source.relist()
        adding.join(30)
        told.wait_equal(source.versions)
    source.feed.close()


def test_shared_informer_watch_disruption(pair: Pair) -> None:
    """TestSharedInformerWatchDisruption: what a lost watch missed comes with the next list."""
    source, cache = pair
    source.add("pod1")
    source.add("pod2")
    source.relist()
    plain, resyncing = Told(), Told()
    cache.add_handler("pods", **plain.callbacks).wait_synced(30)
    cache.add_handler("pods", resync=0.2, **resyncing.callbacks).wait_synced(30)
    before = len(plain.calls)
    source.drop("pod3")
    source.drop("pod2")
    assert len(plain.calls) == before
    source.relist()
    plain.wait_equal(source.versions)
    assert Counter(plain.calls[before:]) == Counter(
        [
            ("add", key("pod3"), source.versions[key("pod3")]),
            ("update", key("pod2"), source.versions[key("pod2")]),
        ]
    )
    resyncing.wait_equal(source.versions)
    seen = len(resyncing.calls)
    wait_until(
        lambda: {call[1] for call in resyncing.calls[seen:]} == set(source.versions),
        what=lambda: resyncing.calls,
    )


def test_shared_informer_error_handling(pair: Pair) -> None:
    """TestSharedInformerErrorHandling: why nothing can be listed is told."""
    source, cache = pair
    told = Told()
    cache.add_handler("pods", **told.callbacks)
    source.feed.store.set_state(source.scope, State.FORBIDDEN, "Access Denied")
    wait_until(lambda: told.errors)
    assert isinstance(told.errors[0], vai.ForbiddenError)
    assert "Access Denied" in str(told.errors[0])


def test_shared_informer_start_race(tmp_path: Path) -> None:
    """TestSharedInformerStartRace: handlers come and go while the cache opens and closes."""
    source = Source(tmp_path)
    source.add("pod1")
    source.relist()
    for _ in range(5):
        stop = threading.Event()
        with vai.open(source.feed.path) as cache:

            def churn(cache: vai.Cache = cache, stop: threading.Event = stop) -> None:
                with contextlib.suppress(vai.ClosedError):
                    while not stop.is_set():
                        cache.add_handler("pods", transform=lambda found: found).remove()

            thread = threading.Thread(target=churn)
            thread.start()
            told = Told()
            cache.add_handler("pods", **told.callbacks).wait_synced(30)
        stop.set()
        thread.join(30)
        assert not thread.is_alive()
    source.feed.close()


def test_shared_informer_transformer(pair: Pair) -> None:
    """TestSharedInformerTransformer: callbacks get what the transform returned."""
    source, cache = pair
    source.add("pod1")
    source.add("pod2")
    source.relist()
    names: list[str] = []
    registration = cache.add_handler(
        "pods",
        on_add=lambda name, _initial: names.append(name),
        transform=lambda found: found.name.upper(),
    )
    registration.wait_synced(30)
    assert names == ["POD1", "POD2"]


def test_shared_informer_remove_handler(pair: Pair) -> None:
    """TestSharedInformerRemoveHandler, TestRemovingRemovedSharedInformer."""
    source, cache = pair
    source.relist()
    first, second = cache.add_handler("pods"), cache.add_handler("pods")
    assert list(cache.handlers) == [first, second]
    second.remove()
    assert list(cache.handlers) == [first]
    first.remove()
    assert list(cache.handlers) == []
    assert first.remove()
    assert first.removed


def test_shared_informer_multiple_registration(pair: Pair) -> None:
    """TestSharedInformerMultipleRegistration: the same functions twice are two handlers."""
    source, cache = pair
    source.relist()
    calls: list[str] = []

    def add(found: vai.Object, _initial: bool) -> None:
        calls.append(found.key)

    first = cache.add_handler("pods", on_add=add)
    second = cache.add_handler("pods", on_add=add)
    source.add("pod1")
    wait_until(lambda: len(calls) == 2)
    first.remove(timeout=30)
    assert cache.handlers == (second,)
    source.add("pod2")
    wait_until(lambda: len(calls) == 3)


def test_shared_informer_handler_abuse(pair: Pair) -> None:
    """TestSharedInformerHandlerAbuse: many threads add and remove handlers while events come."""
    source, cache = pair
    source.relist()
    failures: list[BaseException] = []
    done = threading.Event()

    def worker(seed: int) -> None:
        try:
            _add_and_remove(cache, random.Random(seed), done)
        except vai.ClosedError:
            pass
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)

    threads = [threading.Thread(target=worker, args=(seed,)) for seed in range(10)]
    for thread in threads:
        thread.start()
    chosen, told = random.Random(0), Told()
    cache.add_handler("pods", **told.callbacks)
    for index in range(300):
        names = sorted(source.objects)
        match chosen.randrange(3) if names else 0:
            case 0:
                source.add(f"pod{index}")
            case 1:
                source.modify(chosen.choice(names))
            case _:
                source.delete(chosen.choice(names))
    told.wait_equal(source.versions)
    cache.close()
    done.set()
    for thread in threads:
        thread.join(30)
    assert not failures


def _add_and_remove(cache: vai.Cache, chosen: random.Random, done: threading.Event) -> None:
    mine: list[vai.Registration] = []
    while not done.is_set():
        if len(mine) > 4 or (mine and chosen.random() < 0.5):
            mine.pop(chosen.randrange(len(mine))).remove()
        else:
            mine.append(cache.add_handler("pods", on_add=lambda *_: None, resync=1))
        time.sleep(0.01)


def test_state_shared_informer(pair: Pair) -> None:
    """TestStateSharedInformer: removed is what ended, and stays so."""
    source, cache = pair
    source.add("pod1")
    source.relist()
    told = Told()
    registration = cache.add_handler("pods", **told.callbacks)
    told.wait(1)
    assert not registration.removed
    cache.close()
    assert [registration.removed, cache.closed] == [True, True]


def test_add_on_stopped_shared_informer(pair: Pair) -> None:
    """TestAddOnStoppedSharedInformer."""
    source, cache = pair
    source.relist()
    cache.close()
    with pytest.raises(vai.ClosedError):
        cache.add_handler("pods")


def test_remove_on_stopped_shared_informer(pair: Pair) -> None:
    """TestRemoveOnStoppedSharedInformer."""
    source, cache = pair
    source.relist()
    registration = cache.add_handler("pods")
    cache.close()
    assert registration.remove(timeout=30)


def test_remove_while_active(pair: Pair) -> None:
    """TestRemoveWhileActive: nothing comes after the removal."""
    source, cache = pair
    source.relist()
    told, other = Told(), Told()
    registration = cache.add_handler("pods", **told.callbacks)
    cache.add_handler("pods", **other.callbacks)
    source.add("pod1")
    told.wait(1)
    registration.remove()
    source.add("pod2")
    other.wait(2)
    assert [call[1] for call in told.calls] == [key("pod1")]


def test_add_while_active(pair: Pair) -> None:
    """TestAddWhileActive: a late handler has synced when it was told all, not before."""
    source, cache = pair
    first = Told()
    early = cache.add_handler("pods", **first.callbacks)
    assert not early.has_synced()
    source.add("pod1")
    source.relist()
    early.wait_synced(30)
    go = threading.Event()
    second = Told(lambda: go.wait(60))
    late = cache.add_handler("pods", **second.callbacks)
    assert not late.has_synced()
    go.set()
    source.add("pod2")
    second.wait(2)
    late.wait_synced(30)
    assert late.has_synced()
    assert second.initial == [key("pod1")]
    first.wait_equal(second.folded)


@pytest.mark.parametrize("when", ["before", "after", "never"])
def test_shutdown(tmp_path: Path, when: str) -> None:
    """TestShutdown: no thread is left, whether the handler came before or after the list."""
    before = set(threading.enumerate())
    with opened(tmp_path) as (source, cache):
        if when != "before":
            source.relist()
        if when != "never":
            registration = cache.add_handler("pods", on_add=lambda *_: None)
            source.relist()
            registration.wait_synced(30)
            registration.remove()
    names = {"vai-handlers", "vai-handler"}
    wait_until(
        lambda: not [one for one in set(threading.enumerate()) - before if one.name in names]
    )


@pytest.mark.parametrize("count", [1, 5])
def test_event_panics(pair: Pair, count: int, caplog: pytest.LogCaptureFixture) -> None:
    """TestEventPanics: an event that fails is counted for its handler, and the next one comes.

    client-go logs each and waits a second; here a kind is logged once, with a stack.
    """
    source, cache = pair
    for index in range(count):
        source.add(f"pod{index}")
    source.relist()

    def fail(*_: Any) -> None:
        raise RuntimeError("fake panic")

    with caplog.at_level(logging.ERROR, "vai"):
        registrations = [cache.add_handler("pods", on_add=fail) for _ in range(2)]
        for registration in registrations:
            registration.wait_synced(30)
            assert registration.errors == count
    logged = [record for record in caplog.records if record.exc_info]
    assert len(logged) == 2
    assert "fake panic" in caplog.text


@pytest.mark.parametrize("waits", [False, True])
def test_remove_event_handler(pair: Pair, waits: bool) -> None:
    """TestRemoveEventHandler_AsynchronousPanic, _SynchronousShutdown: one may wait, or not."""
    source, cache = pair
    source.relist()
    began, go, ended = threading.Event(), threading.Event(), threading.Event()

    def add(*_: Any) -> None:
        began.set()
        go.wait(60)
        ended.set()

    registration = cache.add_handler("pods", on_add=add)
    source.add("pod1")
    assert began.wait(30)
    if waits:
        source.feed.later(0.2, go.set)
        assert registration.remove(timeout=60)
        assert ended.is_set()
    else:
        assert not registration.remove()
        assert not ended.is_set()
        go.set()
    assert ended.wait(30)


@pytest.mark.parametrize("when", ["never listed", "listed before", "listed after"])
def test_shut_down_event_handler_lifecycles(pair: Pair, when: str) -> None:
    """TestShutDownEventHandler_Lifecycles: waiting for the end returns in each stage of life."""
    source, cache = pair
    if when == "listed before":
        source.relist()
    registration = cache.add_handler("pods", on_add=lambda *_: None)
    if when == "listed after":
        source.relist()
        registration.wait_synced(30)
    assert registration.remove(timeout=60)
