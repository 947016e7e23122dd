"""Exports, read back by the tools that they are for."""

from __future__ import annotations

import io
import json
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import vai
from tests.timing import wait_until
from tests.unit.cache.feed import DEPLOYMENTS, NODES, SECRETS, Feed, pod
from vai.cache.export import replacing
from vai.types import Redaction, Resource, State


def secret(name: str) -> dict[str, Any]:
    meta = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "resourceVersion": "5"}
    return {
        "kind": "Secret",
        "apiVersion": "v1",
        "metadata": meta,
        "data": {"password": "aHVudGVy"},
    }


def node(name: str) -> dict[str, Any]:
    meta = {"name": name, "uid": f"uid-{name}", "resourceVersion": "6"}
    return {"kind": "Node", "apiVersion": "v1", "metadata": meta}


PODS_IN_ORDER = [
    pod("z", 1, "team-a", labels={"app": "z", "quote": "it's"}),
    pod("a", 2, "team", labels={"app": "a"}),
    pod("b", 3, "team"),
]


@pytest.fixture
def kept(feed: Feed) -> Feed:
    feed.load(PODS_IN_ORDER)
    feed.load([node("n1")], NODES)
    feed.load([secret("s")], SECRETS, redaction=Redaction.METADATA)
    return feed


def lines(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]


def query(path: Path, sql: str) -> list[tuple[Any, ...]]:
    database = sqlite3.connect(path)
    try:
        return database.execute(sql).fetchall()
    finally:
        database.close()


# --- NDJSON


@pytest.mark.usefixtures("kept")
def test_ndjson_has_whole_bodies_in_key_order(cache: vai.Cache, tmp_path: Path) -> None:
    target = tmp_path / "pods.ndjson"
    (done,) = cache.export(target, "po")
    assert lines(target.read_bytes()) == PODS_IN_ORDER  # '-' sorts before '/', as in etcd
    assert (done.resource, done.objects, done.redacted) == ("pods", 3, 0)
    assert done.freshness.state is State.LIVE
    assert done.freshness.resource_version == "100"
    assert target.stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("kept")
def test_a_stream_gets_what_is_chosen(cache: vai.Cache) -> None:
    stream = io.BytesIO()
    cache.export(stream, "pods", namespace="team", label_selector="app=a")
    assert [found["metadata"]["name"] for found in lines(stream.getvalue())] == ["a"]


@pytest.mark.usefixtures("kept")
def test_everything_is_every_resource_of_the_file(cache: vai.Cache) -> None:
    stream = io.BytesIO()
    done = cache.export(stream)
    assert {part.resource: part.objects for part in done} == {"pods": 3, "nodes": 1, "secrets": 1}
    kinds = [found["kind"] for found in lines(stream.getvalue())]
    assert kinds == ["Pod"] * 3 + ["Node", "PartialObjectMetadata"]
    assert done[2].redacted == 1
    assert b"aHVudGVy" not in stream.getvalue()


def test_a_body_with_line_breaks_is_one_line(feed: Feed, cache: vai.Cache) -> None:
    scope = feed.load([])
    feed.watching[scope] = feed.store.begin_watch(scope)
    body = json.dumps(pod("a", 101), indent=1).encode()
    feed.watching[scope].push(b'{"type":"ADDED","object":' + body + b"}\n")
    feed.store.flush()
    stream = io.BytesIO()
    cache.export(stream, "pods")
    assert stream.getvalue().count(b"\n") == 1
    assert lines(stream.getvalue()) == [pod("a", 101)]


def test_progress_reaches_the_total(feed: Feed, cache: vai.Cache) -> None:
    pods = [pod(f"p{at:04}", at + 1, labels={"filler": "x" * 60}) for at in range(6000)]
    feed.load(pods)
    stream, seen = io.BytesIO(), list[tuple[int, int]]()
    cache.export(stream, "pods", progress=lambda done, total: seen.append((done, total)))
    assert len(seen) > 1
    assert seen == sorted(seen)
    assert seen[-1] == (6000, 6000)
    assert len(lines(stream.getvalue())) == 6000


# --- one moment


class Slow(io.BytesIO):
    """A reader that takes its time over the first piece, and lets the cluster move on."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        super().__init__()
        self.meanwhile: Callable[[], None] | None = meanwhile

    def write(self, data: Any, /) -> int:
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return super().write(data)


def test_a_slow_reader_gets_the_moment_of_the_beginning(feed: Feed, cache: vai.Cache) -> None:
    fat = {"filler": "x" * 60}
    pods = [pod(f"p{at:05}", at + 1, labels=fat) for at in range(8000)]
    scope = feed.load(pods)

    def meanwhile() -> None:
        for at in (10, 7999):
            feed.event(scope, "MODIFIED", pod(f"p{at:05}", 30_000 + at, labels={"new": "yes"}))
        feed.event(scope, "DELETED", pod("p07998", 60_000))
        time.sleep(1.5)  # longer than the transaction waits: it goes on by version numbers

    stream = Slow(meanwhile)
    cache.export(stream, "pods")
    assert lines(stream.getvalue()) == pods


def test_what_the_history_lost_meanwhile_is_an_error(tmp_path: Path) -> None:
    feed = Feed(tmp_path / "c.db", history_s=0.0, history_bytes=0)
    scope = feed.load([pod(f"p{at:05}", at + 1) for at in range(8000)])

    def meanwhile() -> None:
        time.sleep(3)
        feed.event(scope, "MODIFIED", pod("p07999", 30_000))
        wait_until(lambda: feed.store.stats()["history_bytes"] == 0)

    with vai.open(feed.path) as cache, pytest.raises(vai.ExpiredError, match="export to a file"):
        cache.export(Slow(meanwhile), "pods")
    feed.close()


# --- SQLite


@pytest.mark.usefixtures("kept")
def test_sqlite_has_a_readable_table_per_resource(cache: vai.Cache, tmp_path: Path) -> None:
    target = tmp_path / "all.sqlite"
    cache.export(target)
    assert query(target, "SELECT namespace, name, uid, resource_version, created FROM pods") == [
        ("team-a", "z", "uid-team-a-z", "1", "2026-01-02T03:04:05Z"),
        ("team", "a", "uid-team-a", "2", "2026-01-02T03:04:05Z"),
        ("team", "b", "uid-team-b", "3", "2026-01-02T03:04:05Z"),
    ]
    assert query(target, "SELECT labels ->> 'quote' FROM pods WHERE name = 'z'") == [("it's",)]
    (body,) = query(target, "SELECT body FROM pods WHERE namespace = 'team' AND name = 'a'")[0]
    assert json.loads(body) == PODS_IN_ORDER[1]
    assert query(target, "SELECT namespace, name FROM nodes") == [(None, "n1")]
    about = query(target, 'SELECT "table", resource, objects, metadata_only, state FROM _export')
    assert about == [
        ("pods", "pods", 3, 0, "live"),
        ("nodes", "nodes", 1, 0, "live"),
        ("secrets", "secrets", 1, 1, "live"),
    ]
    assert query(target, "SELECT server, cluster_uid, resource_version FROM _export LIMIT 1") == [
        ("https://api:6443", "uid-1", "100")
    ]
    assert query(target, "PRAGMA integrity_check") == [("ok",)]
    assert sorted(path.name for path in tmp_path.iterdir() if "sqlite" in path.name) == [
        "all.sqlite"
    ]


def test_fields_are_columns_with_their_types(feed: Feed, cache: vai.Cache, tmp_path: Path) -> None:
    one = pod("a", 1)
    one["spec"]["containers"] = [
        {"name": "c", "image": "i", "resources": {"requests": {"memory": "1Ki", "cpu": "500m"}}},
        {"name": "d", "image": "j"},
    ]
    one["status"] |= {"phase": "Running", "startTime": "2026-01-02T03:04:06Z"}
    feed.load([one, pod("b", 2)])
    cache.export(tmp_path / "x.db", "pods")
    wanted = (
        "SELECT node, phase, pod_ip, requests_cpu, requests_memory, restarts, start_time, images "
        "FROM pods"
    )
    assert query(tmp_path / "x.db", wanted)[0] == (
        "node-1", "Running", "10.0.0.7", 0.5, 1024.0, 0, "2026-01-02T03:04:06Z", '["i","j"]',
    )  # fmt: skip
    cache.export(tmp_path / "x.parquet", "pods")
    (first, second) = pq.read_table(tmp_path / "x.parquet").to_pylist()
    assert (first["node"], first["requests_cpu"], first["restarts"]) == ("node-1", 0.5, 0)
    assert first["images"] == ["i", "j"]
    assert first["start_time"].isoformat() == "2026-01-02T03:04:06+00:00"
    assert (second["phase"], second["requests_cpu"], second["images"]) == (None, None, None)


def test_two_resources_of_one_plural_have_two_tables(tmp_path: Path) -> None:
    knative = Resource(group="serving.knative.dev", version="v1", plural="services", kind="Service")
    core = Resource(group="", version="v1", plural="services", kind="Service")
    feed = Feed(tmp_path / "c.db", [core, knative, DEPLOYMENTS])
    for resource in (core, knative, DEPLOYMENTS):
        feed.load([], resource)
    with vai.open(feed.path) as cache:
        done = cache.export(tmp_path / "out.db")
    assert {part.resource: part.table for part in done} == {
        "services": "services",
        "services.serving.knative.dev": "services_serving_knative_dev",
        "deployments.apps": "deployments",
    }
    feed.close()


# --- Parquet


@pytest.mark.usefixtures("kept")
def test_parquet_has_the_same_columns(cache: vai.Cache, tmp_path: Path) -> None:
    target = tmp_path / "pods.parquet"
    cache.export(target, "pods")
    table = pq.read_table(target)
    assert table.column("name").to_pylist() == ["z", "a", "b"]
    assert table.column("created").to_pylist()[0].isoformat() == "2026-01-02T03:04:05+00:00"
    assert json.loads(table.column("labels")[1].as_py()) == {"app": "a"}
    assert [json.loads(body) for body in table.column("body").to_pylist()] == PODS_IN_ORDER


def test_parquet_of_nothing_is_an_empty_table(feed: Feed, cache: vai.Cache, tmp_path: Path) -> None:
    feed.load([])
    cache.export(tmp_path / "none.parquet", "pods")
    table = pq.read_table(tmp_path / "none.parquet")
    assert (table.num_rows, table.column_names[-1]) == (0, "body")


@pytest.mark.usefixtures("kept")
def test_parquet_holds_one_resource(cache: vai.Cache, tmp_path: Path) -> None:
    with pytest.raises(vai.InvalidRequestError, match="one resource per file"):
        cache.export(tmp_path / "x.parquet", ["pods", "nodes"])


@pytest.mark.usefixtures("kept")
def test_without_pyarrow_the_remedy_is_named(
    cache: vai.Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(vai.InvalidRequestError, match=r"pip install 'vai-cache\[parquet\]'"):
        cache.export(tmp_path / "x.parquet", "pods")
    assert not list(tmp_path.glob("x.parquet*"))


# --- what is refused


@pytest.mark.usefixtures("kept")
def test_what_exists_is_replaced_only_when_told(cache: vai.Cache, tmp_path: Path) -> None:
    for name in ("x.ndjson", "x.db", "x.parquet"):
        target = tmp_path / name
        target.write_text("mine")
        with pytest.raises(vai.InvalidRequestError, match="exists already"):
            cache.export(target, "pods")
        assert target.read_text() == "mine"
        cache.export(target, "pods", overwrite=True)
        assert target.stat().st_size > 100


def test_a_cluster_file_is_never_replaced(kept: Feed, cache: vai.Cache, tmp_path: Path) -> None:
    other = Feed(tmp_path / "other.db")
    other.close()
    for target in (kept.path, Path(f"{kept.path}-wal"), Path(f"{kept.path}.lock"), other.path):
        with pytest.raises(vai.InvalidRequestError, match="may not replace"):
            cache.export(target, "pods", format="ndjson", overwrite=True)
    assert len(cache.snapshot("pods")) == 3


@pytest.mark.parametrize("name", ["pods.csv", "pods"])
@pytest.mark.usefixtures("kept")
def test_a_name_without_a_known_suffix_needs_a_format(
    cache: vai.Cache, tmp_path: Path, name: str
) -> None:
    with pytest.raises(vai.InvalidRequestError, match=r"\.ndjson.*\.parquet"):
        cache.export(tmp_path / name, "pods")
    cache.export(tmp_path / name, "pods", format="ndjson")
    assert len((tmp_path / name).read_bytes().splitlines()) == 3


@pytest.mark.usefixtures("kept")
def test_what_is_too_old_leaves_no_file(cache: vai.Cache, tmp_path: Path) -> None:
    for name in ("x.ndjson", "x.db"):
        with pytest.raises(vai.StaleError, match="pods"):
            cache.export(tmp_path / name, "pods", max_age=0.0)
    assert not list(tmp_path.glob("x.*"))


@pytest.mark.usefixtures("kept")
def test_unknown_and_unkept_are_told_apart(cache: vai.Cache, tmp_path: Path) -> None:
    with pytest.raises(vai.UnknownResourceError):
        cache.export(tmp_path / "x.ndjson", "pots")
    with pytest.raises(vai.NotKeptError):
        cache.export(tmp_path / "x.ndjson", "deployments")
    with pytest.raises(vai.InvalidSelectorError):
        cache.export(tmp_path / "x.ndjson", "pods", label_selector="a in (")
    assert not list(tmp_path.glob("x.*"))


@pytest.mark.usefixtures("kept")
def test_an_error_in_the_middle_leaves_nothing_behind(cache: vai.Cache, tmp_path: Path) -> None:
    def stop(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    for name in ("x.ndjson", "x.db", "x.parquet"):
        with pytest.raises(KeyboardInterrupt):
            cache.export(tmp_path / name, "pods", progress=stop)
    assert not list(tmp_path.glob("x.*"))
    with pytest.raises(OSError, match="gone"), replacing(tmp_path / "y"):
        raise OSError("gone")
    assert not list(tmp_path.glob("y*"))


@pytest.mark.usefixtures("kept")
def test_a_folder_that_is_not_there_is_named(cache: vai.Cache, tmp_path: Path) -> None:
    for name in ("x.ndjson", "x.db"):
        with pytest.raises(vai.VaiError, match="missing"):
            cache.export(tmp_path / "missing" / name, "pods")


def test_a_closed_cache_exports_nothing(kept: Feed, tmp_path: Path) -> None:
    cache = vai.open(kept.path)
    cache.close()
    with pytest.raises(vai.ClosedError):
        cache.export(tmp_path / "x.ndjson", "pods")


@pytest.mark.usefixtures("kept")
def test_streams_take_no_database(cache: vai.Cache) -> None:
    with pytest.raises(vai.InvalidRequestError, match="needs a path"):
        cache.export(io.BytesIO(), "pods", format="sqlite")
