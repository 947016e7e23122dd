"""A disk that is full in the middle of each kind of write: told, nothing lost, and on it goes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

import vai
from tests.faults.disks import fill, mounted
from tests.faults.test_disks import check_integrity
from tests.timing import wait_until
from tests.unit.cache.feed import PODS, Feed, _page, pod
from vai.types import State

MB: Final = 1 << 20
Json = dict[str, Any]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    # The write-ahead log alone takes 4 MB before it is moved into the file.
    with mounted(tmp_path / "disk", 24 * MB) as where:
        yield where


@pytest.fixture
def feed(disk: Path) -> Iterator[Feed]:
    made = Feed(disk / "c.db", history_s=0.0, history_bytes=0)
    yield made
    made.close()
    check_integrity(made.path)


def fat(name: str, version: int, size_bytes: int = 20_000) -> Json:
    """A pod that compression makes no smaller."""
    made = pod(name, version)
    made["spec"]["noise"] = os.urandom(size_bytes // 2).hex()
    return made


@contextmanager
def full(disk: Path, leave_bytes: int = 0) -> Iterator[None]:
    """Nothing more fits until the block ends."""
    ballast = fill(disk, leave_bytes)
    try:
        yield
    finally:
        ballast.unlink()


def kept(cache: vai.Cache) -> dict[str, Json]:
    return {key: one.to_dict() for key, one in cache.snapshot("pods").items()}


def by_key(pods: list[Json]) -> dict[str, Json]:
    return {f"shop/{one['metadata']['name']}": one for one in pods}


def test_a_first_list_is_no_answer_and_the_next_one_is(feed: Feed, disk: Path) -> None:
    many = [fat(f"p{at:03}", at + 1) for at in range(150)]
    scope = feed.scope()
    with vai.open(feed.path) as cache:
        with full(disk, 512 << 10):
            with pytest.raises(vai.DiskFullError, match="space"):
                feed.load(many)
            with pytest.raises(vai.NotSyncedError):
                cache.snapshot("pods")
            assert not cache.freshness("pods").complete
            assert feed.store.checkpoint(scope)[0] is None
        feed.load(many)
        assert kept(cache) == by_key(many)


def test_an_event_is_refused_and_comes_again(feed: Feed, disk: Path) -> None:
    before = [fat(f"p{at}", at + 1) for at in range(10)]
    late = [fat(f"late{version}", version) for version in range(101, 200)]
    scope = feed.load(before)
    with vai.open(feed.path) as cache:
        with full(disk, 256 << 10):
            pushing = iter(late)
            with pytest.raises(vai.DiskFullError, match="space"):
                add(feed, scope, pushing)
            with pytest.raises(vai.DiskFullError, match="space"):
                feed.store.flush()
            # What was committed is there, and the checkpoint says exactly that.
            checkpoint, needs_list = feed.store.checkpoint(scope)
            assert checkpoint is not None
            assert not needs_list
            done = int(checkpoint) - 100
            assert 0 < done < len(late)
            # The flush behind it told of the first one that found no space.
            assert len(list(pushing)) == len(late) - done - 1
            assert kept(cache) == by_key(before + late[:done])
        feed.watching.clear()
        with pytest.raises(vai.DiskFullError):
            # Whoever remembers where the stream stopped is told once that it is not there.
            feed.store.begin_watch(scope)
        add(feed, scope, late[done : done + 20])
        assert kept(cache) == by_key(before + late[: done + 20])


def add(feed: Feed, scope: int, pods: Iterable[Json]) -> None:
    for one in pods:
        feed.event(scope, "ADDED", one)


@pytest.mark.parametrize("where", ["staged", "published"])
def test_a_list_leaves_the_last_good_state(feed: Feed, disk: Path, where: str) -> None:
    before = [fat(f"p{at}", at + 1, 2_000) for at in range(50)]
    scope = feed.load(before, version=100)
    after = [fat(f"p{at}", at + 200, 20_000) for at in range(25, 100)]

    def stage() -> Any:
        listing = feed.store.begin_list(scope)
        listing.begin_page()
        listing.push(_page(PODS, after, 300))
        listing.end_page()
        # Once that is known, all of it is staged.
        assert listing.plan() == (0, 75, 25)
        return listing

    with vai.open(feed.path) as cache:
        if where == "staged":
            with full(disk, 256 << 10), pytest.raises(vai.DiskFullError, match="space"):
                stage()
        else:
            listing = stage()
            with full(disk), pytest.raises(vai.DiskFullError, match="space"):
                listing.publish("300")
        assert kept(cache) == by_key(before)
        assert feed.store.checkpoint(scope)[0] == "100"
        assert cache.freshness("pods").complete
        stage().publish("300")
        assert kept(cache) == by_key(after)
        assert feed.store.checkpoint(scope) == ("300", False)


def overwrite(feed: Feed, scope: int, versions: range) -> None:
    for version in versions:
        feed.event(scope, "MODIFIED", fat("p", version))


def test_history_that_cant_be_pruned_goes_when_it_can(disk: Path) -> None:
    feed = Feed(disk / "c.db", history_s=0.5, history_bytes=64 * MB)
    scope = feed.load([fat("p", 1)])
    with vai.open(feed.path) as cache:
        overwrite(feed, scope, range(101, 121))
        last = cache.get("pods", "shop/p")
        assert feed.store.stats()["history_bytes"]
        with full(disk):
            # Longer than the history is kept.
            with pytest.raises(vai.DiskFullError):
                overwrite(feed, scope, range(201, 1000))
            now = cache.get("pods", "shop/p")
            assert now is not None
            assert last is not None
            assert int(now.resource_version) >= int(last.resource_version)
        wait_until(lambda: feed.store.stats()["history_bytes"] == 0)
        assert cache.get("pods", "shop/p") == now
    feed.close()
    check_integrity(feed.path)


def test_a_field_that_cant_be_built_is_answered_from_bodies_until_it_is(
    feed: Feed, disk: Path
) -> None:
    noise = [os.urandom(400).hex() for _ in range(1500)]
    pods = [pod(f"p{at:04}", at + 1) | {"spec": {"noise": noise[at]}} for at in range(1500)]
    feed.load(pods)

    def field(cache: vai.Cache) -> vai.Field:
        return next(one for one in cache.fields("pods") if one.name == "spec.noise")

    with vai.open(feed.path) as cache:
        with full(disk, 400 << 10):
            feed.store.index(PODS, ".spec.noise", "text")
            wait_until(lambda: field(cache).progress > 0 or disk_is_full(disk))
            assert cache.list("pods", where=f".spec.noise = '{noise[7]}'").keys == ["shop/p0007"]
            assert cache.count("pods", where="exists .spec.noise") == 1500
            assert not field(cache).ready
        wait_until(lambda: field(cache).ready)
        asked = cache.list("pods", where=f"spec.noise = '{noise[8]}'", explain=True)
        assert asked.keys == ["shop/p0008"]
        assert asked.explain is not None
        assert not asked.explain.resources[0].not_indexed


def disk_is_full(disk: Path) -> bool:
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize < 64 << 10


def test_a_position_that_cant_be_kept_is_told_and_the_change_comes_again(
    feed: Feed, disk: Path
) -> None:
    scope = feed.load()
    with vai.open(feed.path) as cache:
        changes = cache.changes("pods", consumer="billing")
        for version in range(101, 104):
            feed.event(scope, "ADDED", pod(f"p{version}", version))
        assert next(changes).key == "shop/p101"
        with full(disk):
            position = cache.consumers()[0].position
            try:
                # Its file may have room for it in pages that it has already.
                assert next(changes).key == "shop/p102"
            except vai.DiskFullError as error:
                assert "come again" in str(error)  # noqa: PT017 - either will do
                assert cache.consumers()[0].position == position
            changes.close()
        with cache.changes("pods", consumer="billing") as again:
            keys = [next(again).key for _ in range(2)]
        assert keys[-1] in {"shop/p102", "shop/p103"}
        # A new consumer on a full disk begins when there is room.
        with full(disk):
            try:
                cache.changes("pods", consumer="x" * 60).close()
            except vai.DiskFullError as error:
                assert "space" in str(error)  # noqa: PT017 - either will do
        cache.changes("pods", consumer="y" * 60).close()
        assert "y" * 60 in {one.name for one in cache.consumers()}


@pytest.mark.parametrize("name", ["all.ndjson", "all.sqlite"])
def test_an_export_is_whole_or_not_there(feed: Feed, disk: Path, tmp_path: Path, name: str) -> None:
    pods = [fat(f"p{at:02}", at + 1) for at in range(60)]
    feed.load(pods)
    with mounted(tmp_path / "small", MB // 2) as small, vai.open(feed.path) as cache:
        with pytest.raises(vai.DiskFullError, match=f"{small}.*space"):
            cache.export(small / name)
        assert list(small.iterdir()) == []
    with vai.open(feed.path) as cache:
        (done,) = [part for part in cache.export(tmp_path / name) if part.resource == "pods"]
        assert done.objects == 60
    assert disk.exists()


def test_a_backup_is_whole_or_not_there(feed: Feed, tmp_path: Path) -> None:
    pods = [fat(f"p{at:02}", at + 1) for at in range(60)]
    scope = feed.load(pods)
    with mounted(tmp_path / "small", MB // 2) as small:
        with pytest.raises(vai.DiskFullError, match=f"{small}.*space"):
            feed.store.backup(small / "b.db")
        assert list(small.iterdir()) == []
    feed.event(scope, "ADDED", fat("late", 200))
    feed.store.backup(tmp_path / "b.db")
    with vai.open(tmp_path / "b.db") as cache:
        assert len(cache.snapshot("pods")) == 61
        assert cache.freshness("pods").state is not State.LIVE
