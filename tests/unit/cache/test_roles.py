from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import vai
from tests.timing import wait_until
from tests.unit.cache.feed import Feed, Idle, cache_of
from vai.cache.engine import Engine
from vai.store import Store


def test_the_first_syncs_and_the_others_follow(tmp_path: Path) -> None:
    path = tmp_path / "cluster.db"
    first, made = cache_of(path)
    second, others = cache_of(path)
    with first, second:
        assert (first.role, second.role) == ("writer", "reader")
        assert [idle.started for idle in made] == [1]
        assert others == []
        assert first.scopes == (vai.Scope("pods"),)


def test_a_follower_takes_over_when_the_lock_falls_free(feed: Feed) -> None:
    feed.load()
    cache, made = cache_of(feed.path)
    with cache:
        assert cache.role == "reader"
        before = cache.snapshot("pods")
        feed.close()
        wait_until(lambda: cache.role == "writer")
        assert [idle.started for idle in made] == [1]
        assert made[0].store.mode == "writer"
        assert cache.snapshot("pods").position >= before.position
    assert made[0].stopped == 1
    # The lock is free again.
    Store(feed.path, "writer").close()


def test_a_reader_never_takes_over(feed: Feed) -> None:
    cache, made = cache_of(feed.path, role="reader")
    with cache:
        feed.close()
        time.sleep(1.3)
        assert cache.role == "reader"
        assert made == []


def test_a_second_writer_is_refused_and_told_which_process(tmp_path: Path) -> None:
    path = tmp_path / "cluster.db"
    with cache_of(path)[0]:
        code = (
            "import sys, vai\n"
            "from vai.store import Store\n"
            "try: Store(sys.argv[1], 'writer')\n"
            "except vai.WriterRunningError as error: print(error.pid)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == str(os.getpid())
        with pytest.raises(vai.WriterRunningError):
            cache_of(path, role="writer")


def test_a_file_that_cant_be_synced_lets_its_lock_go(tmp_path: Path) -> None:
    path = tmp_path / "cluster.db"

    def broken(_: Store) -> Idle:
        raise vai.InvalidRequestError("no such context")

    with pytest.raises(vai.InvalidRequestError, match="no such context"):
        Engine(lambda mode: Store(path, mode), broken, "auto")
    with cache_of(path)[0] as cache:
        assert cache.role == "writer"


def test_a_failed_takeover_is_tried_again(feed: Feed, caplog: pytest.LogCaptureFixture) -> None:
    made: list[Idle] = []

    def connector(store: Store) -> Idle:
        made.append(Idle(store))
        if len(made) == 1:
            raise vai.OfflineError("not yet")
        return made[-1]

    with vai.Cache(Engine(lambda mode: Store(feed.path, mode), connector, "auto")) as cache:
        feed.close()
        wait_until(lambda: cache.role == "writer")
    assert len(made) == 2
    assert "not yet" in caplog.text
