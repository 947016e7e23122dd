from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice
from pathlib import Path

import pytest

import vai
from tests.unit.cache.feed import Feed, pod


def names(changes: Iterator[vai.Change], count: int) -> list[str]:
    return [change.key for change in islice(changes, count)]


def write(feed: Feed, scope: int, first: int, count: int) -> list[str]:
    for number in range(first, first + count):
        feed.event(scope, "ADDED", pod(f"web-{number}", 200 + number))
    return [f"shop/web-{number}" for number in range(first, first + count)]


def test_a_consumer_goes_on_with_the_change_that_was_not_finished(
    feed: Feed, cache: vai.Cache
) -> None:
    scope = feed.load([pod("old", 7)])
    cache.changes("pods", consumer="billing").close()
    wanted = write(feed, scope, 0, 4)
    for change in cache.changes("pods", consumer="billing"):
        if change.key == wanted[2]:
            break  # as a handler that raises
    handled = cache.consumers()[0].position
    assert handled == vai.Position(change.epoch, change.seq - 1)
    assert names(cache.changes("pods", consumer="billing"), 2) == wanted[2:]


def test_since_counts_only_where_a_consumer_has_no_position(feed: Feed, cache: vai.Cache) -> None:
    scope = feed.load([pod("old", 7)])
    start = cache.position()
    wanted = write(feed, scope, 0, 3)
    changes = cache.changes("pods", start, consumer="billing")
    assert names(changes, 3) == wanted
    changes.close()
    assert names(cache.changes("pods", "beginning", consumer="billing"), 1) == wanted[2:]
    assert names(cache.changes("pods", "beginning"), 4) == ["shop/old", *wanted]
    assert names(cache.changes("pods", timedelta(hours=1)), 4) == ["shop/old", *wanted]
    assert names(cache.changes("pods", timedelta(0), consumer="late"), 0) == []
    assert {found.name for found in cache.consumers()} == {"billing", "late"}
    with pytest.raises(vai.InvalidRequestError):
        cache.changes("pods", 5)  # type: ignore[arg-type]
    with pytest.raises(vai.InvalidRequestError):
        cache.changes([])


def test_a_name_has_one_consumer_and_is_free_when_its_loop_or_cache_ends(
    feed: Feed, cache: vai.Cache
) -> None:
    feed.load()
    first = cache.changes("pods", consumer="billing")
    with pytest.raises(vai.ConsumerBusyError) as caught, vai.open(feed.path) as second:
        second.changes("pods", consumer="billing")
    assert caught.value.pid == os.getpid()
    with pytest.raises(vai.ConsumerBusyError):
        cache.forget_consumer("billing")
    first.close()
    with vai.open(feed.path) as second:
        held = second.changes("pods", consumer="billing")
    again = cache.changes("pods", consumer="billing")
    assert list(held) == []
    again.close()
    assert cache.forget_consumer("billing")
    assert not cache.forget_consumer("billing")
    assert cache.consumers() == ()


def test_what_a_handler_finished_counts_though_it_closed_the_cache(feed: Feed) -> None:
    scope = feed.load()
    with vai.open(feed.path) as cache:
        cache.changes("pods", consumer="billing").close()
        wanted = write(feed, scope, 0, 2)
        for _ in cache.changes("pods", consumer="billing"):
            cache.close()
    with vai.open(feed.path) as cache:
        assert names(cache.changes("pods", consumer="billing"), 1) == wanted[1:]


def test_coroutines_have_the_same_consumers(feed: Feed, cache: vai.Cache) -> None:
    scope = feed.load()

    async def main() -> None:
        changes = cache.aio.changes("pods", consumer="billing")
        wanted = write(feed, scope, 0, 3)
        assert [(await anext(changes)).key for _ in range(2)] == wanted[:2]
        with pytest.raises(vai.ConsumerBusyError):
            cache.aio.changes("pods", consumer="billing")
        changes.close()
        async with cache.aio.changes("pods", consumer="billing") as again:
            assert (await anext(again)).key == wanted[1]

    asyncio.run(main())


def test_a_position_that_expired_is_told_with_what_to_do(tmp_path: Path) -> None:
    feed = Feed(tmp_path / "cluster.db", history_bytes=2_000)
    scope = feed.load([pod("web-0", 7)])
    with vai.open(feed.path) as cache:
        cache.changes("pods", consumer="billing").close()
        for version in range(200, 400):
            feed.event(scope, "MODIFIED", pod("web-0", version, labels={"n": str(version)}))
        deadline = time.monotonic() + 20
        caught = None
        while caught is None and time.monotonic() < deadline:
            try:
                cache.changes("pods", consumer="billing").close()
                time.sleep(0.1)
            except vai.ExpiredError as error:
                caught = error
        assert caught is not None
        assert "forget_consumer('billing')" in str(caught)
        assert caught.oldest_seq > cache.consumers()[0].seq
        position = cache.snapshot("pods").position
        assert cache.forget_consumer("billing")
        cache.changes("pods", position, consumer="billing").close()
    feed.close()


def test_a_forked_child_moves_nothing(feed: Feed, cache: vai.Cache) -> None:
    scope = feed.load()
    changes = cache.changes("pods", consumer="billing")
    wanted = write(feed, scope, 0, 3)
    assert next(changes).key == wanted[0]
    before = cache.consumers()
    child = os.fork()
    if child == 0:
        try:
            next(changes)
        except vai.ForkedError:
            changes.close()
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert cache.consumers() == before
    assert names(changes, 2) == wanted[1:]


#: Prints each change before and after it is handled; a kill may fall anywhere.
_WORKER = """
import sys, time, vai
with vai.open(sys.argv[1]) as cache:
    for change in cache.changes("pods", consumer="billing"):
        print("begin", change.key, flush=True)
        time.sleep(0.002)
        print("end", change.key, flush=True)
"""


@contextmanager
def worker(path: Path, out: Path) -> Iterator[subprocess.Popen[bytes]]:
    with out.open("ab") as file:
        process = subprocess.Popen([sys.executable, "-c", _WORKER, str(path)], stdout=file)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def _wait_for_lines(out: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while out.read_bytes().count(b"\n") < count:
        assert process.poll() is None, "the worker ended"
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_nothing_is_lost_however_often_its_process_is_killed(feed: Feed, tmp_path: Path) -> None:
    """Each change is handled at least once, in order; only the one in hand comes twice."""
    scope = feed.load()
    with vai.open(feed.path) as cache:
        cache.changes("pods", consumer="billing").close()
    wanted = [f"shop/web-{number}" for number in range(300)]
    writing = threading.Thread(target=write, args=(feed, scope, 0, 300))
    writing.start()
    out = tmp_path / "out"
    out.touch()
    dice = random.Random(7)
    runs: list[list[str]] = []
    for _ in range(6):
        start = len(out.read_text().splitlines())
        with worker(feed.path, out) as process:
            _wait_for_lines(out, start + dice.randint(1, 90), process)
            with vai.open(feed.path) as cache:
                assert cache.consumers()[0].running
                with pytest.raises(vai.ConsumerBusyError) as caught:
                    cache.changes("pods", consumer="billing")
            assert caught.value.pid == process.pid
            process.send_signal(signal.SIGKILL)
            process.wait()
        runs.append(out.read_text().splitlines()[start:])
    writing.join()
    with vai.open(feed.path) as cache:
        rest = iter(cache.changes("pods", consumer="billing"))
        left = [next(rest).key]
        left += names(rest, 299 - wanted.index(left[0]))
    runs.append([line for key in left for line in (f"begin {key}", f"end {key}")])
    handled = 0
    for run in runs:
        begun = [line.split()[1] for line in run if line.startswith("begin")]
        ended = [line.split()[1] for line in run if line.startswith("end")]
        first = wanted.index(begun[0])
        # The last one that ended may come again: it was killed before it asked for the next.
        assert handled - 1 <= first <= handled
        assert begun == wanted[first : first + len(begun)]
        handled = first + len(ended)
    assert handled == len(wanted)
