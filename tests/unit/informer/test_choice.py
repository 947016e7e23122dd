"""Everything or a choice, while what the server serves changes: against a simulated server."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest

import vai
from tests.timing import wait_until
from tests.unit.informer.test_informer import Sync, touch
from tests.unit.informer.test_informer import sync as sync  # noqa: PLC0414 - its fixture
from vai.cache.query import wanted_scopes
from vai.config import Settings
from vai.store import Store
from vai.types import UNKNOWN_SCOPES, Redaction, Scope, State


def kept(sync: Sync) -> set[str]:
    return {scope.resource for scope in sync.file().scopes()}


def rediscover(sync: Sync) -> None:
    assert sync.informer is not None
    sync.informer.rediscover()


# --- what is kept


def test_everything_but_what_is_excluded(sync: Sync) -> None:
    sync.start(Scope("*", exclude=("events", "*.k8s.io", "*.apps")))
    sync.wait(sync.live)
    assert {"pods", "nodes", "jobs.batch"} <= kept(sync)
    assert not [name for name in kept(sync) if name == "events" or "k8s.io" in name]
    assert "deployments.apps" not in kept(sync)


def test_lists_come_in_the_order_of_their_priorities(sync: Sync) -> None:
    sync.settings = msgspec.structs.replace(sync.settings, first_lists=1)
    sync.sim.populate(pods=100, events=100)
    sync.start(Scope("events"), Scope("*", exclude=("*.*",)), Scope("services", priority=50))
    sync.wait(sync.live)
    order = list(dict.fromkeys(entry.resource for entry in sync.sim.request_log.lists()))
    assert set(order[:2]) == {"namespaces", "nodes"}
    assert order[2] == "services"
    assert order[-1] == "events"


def test_a_crd_joins_everything_when_it_appears_and_is_gone_when_it_disappears(
    sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vai.reflector.failures._GONE_AGAIN_S", 0.5)
    sync.start(Scope("*", exclude=("*.k8s.io",)))
    sync.wait(sync.live)
    served = sync.sim.install_crd(kind="Widget")
    name = f"{served.name}.{served.group}"
    sync.sim.add({"apiVersion": f"{served.group}/v1", "kind": "Widget", "metadata": {"name": "w"}})
    rediscover(sync)
    sync.wait(lambda: name in kept(sync) and sync.live())
    assert sync.scope(name).objects == 1
    sync.sim.delete("customresourcedefinitions.apiextensions.k8s.io", name)
    sync.wait(lambda: sync.scope(name).state is State.GONE)
    assert sync.scope("pods").state is State.LIVE


def test_another_preferred_version_is_used_without_a_list_while_the_old_one_is_served(
    sync: Sync,
) -> None:
    served = sync.sim.install_crd(kind="Widget")
    name = f"{served.name}.{served.group}"
    sync.sim.add({"apiVersion": f"{served.group}/v1", "kind": "Widget", "metadata": {"name": "w"}})
    sync.start(Scope("widgets"))
    sync.wait(sync.live)
    crd = sync.sim.get("customresourcedefinitions.apiextensions.k8s.io", name)
    assert crd is not None
    (old,) = crd["spec"]["versions"]
    crd["spec"]["versions"] = [{**old, "name": "v2", "storage": False}, old]
    sync.sim.update(crd)
    rediscover(sync)
    sync.wait(lambda: sync.file().resolve("widgets").version == "v2")
    watches = sync.sim.request_log.select
    sync.wait(lambda: "/v2/" in watches("watch", resource=name)[-1].path)
    sync.wait(sync.live)
    assert sync.lists(name) == 1


def test_crds_that_are_kept_are_not_asked_for_one_by_one(sync: Sync) -> None:
    size = {"name": "Size", "type": "integer", "jsonPath": ".spec.size"}
    served = sync.sim.install_crd(kind="Widget", columns=[size])
    name = f"{served.name}.{served.group}"
    sync.start(Scope("crd"), Scope("widgets"))
    sync.wait(sync.live)
    asked = len(sync.sim.request_log)
    crd = sync.sim.get("customresourcedefinitions.apiextensions.k8s.io", name)
    assert crd is not None
    crd["spec"]["versions"][0]["additionalPrinterColumns"] = [{**size, "type": "string"}]
    sync.sim.update(crd)
    resource = sync.file().resolve("crd")
    sync.wait(
        lambda: (
            (row := sync.file().get(resource, None, name)) is not None and b'"string"' in row.raw
        )
    )

    def types() -> list[str]:
        found = sync.file().fields(sync.file().resolve(name))
        return [one.type for one in found if one.source == "crd"]

    rediscover(sync)
    sync.wait(lambda: types() == ["text"])
    later = sync.sim.request_log.entries()[asked:]
    assert not [entry for entry in later if entry.path.endswith(f"/{name}")]


def test_an_api_whose_server_is_away_goes_stale_and_nothing_of_it_is_deleted(sync: Sync) -> None:
    served = sync.sim.install_crd(kind="Widget")
    name = f"{served.name}.{served.group}"
    sync.sim.add({"apiVersion": f"{served.group}/v1", "kind": "Widget", "metadata": {"name": "w"}})
    sync.start(Scope("widgets"), Scope("pods"))
    sync.wait(sync.live)
    sync.sim.fail_next(503, match=lambda request: request.group == served.group, times=10_000)
    sync.sim.drop_connections()
    sync.wait(lambda: sync.scope(name).state is State.STALE)
    assert "503" in sync.scope(name).reason
    assert sync.scope(name).objects == 1
    sync.wait(lambda: sync.scope("pods").state is State.LIVE)


# --- what is wrong is named, and stops nothing else


def test_what_does_not_exist_is_named_in_the_file_for_other_processes(sync: Sync) -> None:
    sync.start(Scope("podz"), Scope("nodes"))
    sync.wait(sync.live)
    with Store(sync.file().path, "reader") as other:
        told = msgspec.json.decode(other.document(UNKNOWN_SCOPES) or b"", type=dict[str, str])
    assert list(told) == ["podz"]
    assert "no resource 'podz'; did you mean pods" in told["podz"]
    sync.stop()
    sync.start(Scope("nodes"))
    sync.wait(sync.live)
    assert sync.file().document(UNKNOWN_SCOPES) == b""


def test_a_selector_that_the_server_does_not_take_is_named_and_stops_nothing_else(
    sync: Sync,
) -> None:
    sync.start(Scope("pods", field_selector="spec.nobody=1"), Scope("nodes"))
    sync.wait(lambda: sync.scope("nodes").state is State.LIVE)
    sync.wait(lambda: "field label not supported: spec.nobody" in sync.scope("pods").reason)
    assert not sync.scope("pods").complete


def test_a_namespace_that_is_forbidden_names_the_rule_and_stops_no_other(sync: Sync) -> None:
    sync.sim.forbid("pods", namespace="shop")
    other = sync.sim.list("pods")[0]["metadata"]["namespace"]
    sync.start(Scope("pods", ["shop", other]))

    def state(namespace: str) -> tuple[State, str] | None:
        found = [one for one in sync.file().scopes() if one.namespace == namespace]
        return (found[0].state, found[0].reason) if found else None

    sync.wait(lambda: (state(other) or [None])[0] is State.LIVE)
    sync.wait(lambda: (state("shop") or [None])[0] is State.FORBIDDEN)
    assert 'a Role in shop with {apiGroups: [""], resources: ["pods"]' in (state("shop") or "")[1]


# --- polled


def test_what_can_not_be_watched_is_listed_again_and_again_and_says_so(sync: Sync) -> None:
    sync.start(Scope("componentstatuses"), Scope("nodes"))
    sync.wait(sync.live)
    assert sync.scope("componentstatuses").reason == "polled every 6.4s"
    first = sync.lists("componentstatuses")
    assert sync.sim.request_log.select("watch", "probe", resource="componentstatuses") == []
    oldest = 0.0
    while sync.lists("componentstatuses") < first + 1:
        found = sync.scope("componentstatuses")
        oldest = max(oldest, found.age_s or 0.0)
        assert found.complete
        time.sleep(0.1)
    assert oldest > 4, "its age is that of the last list"
    sync.wait(sync.live)


# --- gentle


def test_one_scope_has_one_watch_however_many_follow_it(sync: Sync, tmp_path: Path) -> None:
    config, file = str(sync.settings.kubeconfig), tmp_path / "shared.db"
    code = (
        "import sys, vai\n"
        "cache = vai.connect(sys.argv[1], ['pods'], kubeconfig=sys.argv[2])\n"
        "cache.wait_synced(timeout=30)\n"
        "print(len(cache.snapshot('pods')), flush=True)\n"
        "print(next(iter(cache.changes('pods', since=cache.snapshot('pods').position))).op)\n"
    )
    with (
        vai.connect(file, ["pods"], kubeconfig=config) as first,
        vai.connect(file, ["pods"], kubeconfig=config) as second,
    ):
        first.wait_synced(timeout=30)
        second.wait_synced(timeout=30)
        command = [sys.executable, "-c", code, str(file), config]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "100\n"
            since = first.snapshot("pods").position
            seen = [cache.changes("pods", since=since) for cache in (first, second)]
            # Again and again: the other process may not have begun to follow yet.
            while other.poll() is None:
                touch(sync)
                time.sleep(0.2)
            assert other.stdout.readline() == "update\n"
        assert len({next(iter(changes)).key for changes in seen}) == 1
        running = [e for e in sync.sim.request_log.select("watch") if e.finished is None]
        assert len(running) <= 1
        assert sync.lists() == 1


def test_counts_are_those_of_the_server_and_another_process_can_read_them(sync: Sync) -> None:
    sync.start(Scope("pods"), Scope("nodes"))
    sync.wait(sync.live)
    touch(sync)
    sync.wait(sync.same)
    names = {"list": "list", "watch": "watch", "probe": "probe", "discovery": "discovery"}

    def counted() -> Counter[str]:
        with Store(sync.file().path, "reader") as other:
            traffic = other.traffic()
        assert traffic is not None
        assert traffic.pid == os.getpid()
        return Counter({verb: count.requests for verb, count in traffic.verbs.items()})

    def served() -> Counter[str]:
        return Counter(names.get(entry.kind, "other") for entry in sync.sim.request_log)

    # A request may be on its way between two looks, and FILE.live is a second behind.
    wait_until(lambda: served() == counted() == served(), what=lambda: (served(), counted()))
    scopes = {scope.resource: scope.id for scope in sync.file().scopes()}
    traffic = sync.file().traffic()
    assert traffic is not None
    assert traffic.scopes[scopes["pods"]]["list"].requests == len(
        sync.sim.request_log.lists("pods")
    )
    assert traffic.of(scopes["pods"]).received_bytes > 100_000
    sync.stop()
    sync.start(Scope("pods"))
    anew = sync.file().traffic()
    assert anew is not None
    assert anew.total.requests < traffic.total.requests, "since the start of this writer"


def test_nothing_is_written_but_what_is_known_right_now_while_nothing_changes(
    sync: Sync,
) -> None:
    sync.start(Scope("*"), Scope("podz"))
    sync.wait(sync.live)
    path = Path(sync.file().path)
    written = [path, path.with_name(path.name + "-wal")]

    def stamps() -> list[tuple[int, int]]:
        return [(one.stat().st_mtime_ns, one.stat().st_size) for one in written if one.exists()]

    sync.file().flush()
    before: list[tuple[int, int]] = []
    while before != stamps():
        before = stamps()
        time.sleep(1.5)
    asked = len(sync.sim.request_log)
    rediscover(sync)
    sync.wait(
        lambda: (
            [e for e in sync.sim.request_log.entries()[asked:] if e.path == "/apis"]
            and sync.sim.request_log.select("probe", since=time.time() - 3)
        )
    )
    time.sleep(1)
    assert stamps() == before


# --- metered links


@pytest.fixture
def edge(sync: Sync) -> Sync:
    config = sync.settings.kubeconfig
    sync.settings = Settings(kubeconfig=config, profile="edge")
    return sync


def test_the_edge_profile_asks_for_plain_objects_and_metadata_alone(edge: Sync) -> None:
    edge.sim.populate(configmaps=20)
    edge.start(Scope("pods"), Scope("configmaps", redaction=Redaction.METADATA))
    edge.wait(edge.live)
    assert edge.same("configmaps")
    lists = {entry.resource: entry for entry in edge.sim.request_log.lists()}
    assert "includeObject" not in lists["pods"].query
    scope = edge.scope("configmaps")
    assert scope.redaction is Redaction.METADATA
    assert edge.file().rows(edge.file().resolve("configmaps"))[0].redacted
    # Ten times as seldom: readers with the usual limit call it live all the same.
    with Store(edge.file().path, "reader") as other:
        assert {one.state for one in other.scopes()} == {State.LIVE}


def test_a_full_read_of_what_is_kept_as_metadata_names_the_switch(edge: Sync) -> None:
    edge.sim.populate(configmaps=20)
    edge.start(Scope("configmaps", redaction=Redaction.METADATA))
    edge.wait(edge.live)
    with vai.open(edge.file().path) as cache:
        found = next(iter(cache.snapshot("configmaps").values()))
        assert found.name
        with pytest.raises(vai.NotKeptError, match="--metadata-only"):
            found["data"]
        with pytest.raises(vai.NotKeptError, match="--metadata-only"):
            _ = cache.list("configmaps").raw


def test_paths_that_are_dropped_are_nowhere_in_the_file(sync: Sync) -> None:
    drop = ("metadata.managedFields", "spec.containers")
    sync.start(Scope("pods", drop=drop))
    sync.wait(sync.live)
    touch(sync)
    sync.wait(sync.same)
    with vai.open(sync.file().path) as cache:
        for pod in cache.snapshot("pods").values():
            assert "containers" not in pod["spec"]
            assert "managedFields" not in pod["metadata"]
            assert pod["spec"]["nodeName"]
    assert sync.scope().drop == drop
    sync.stop()
    sync.start(Scope("pods"))
    sync.wait(lambda: len([s for s in sync.file().scopes() if s.state is State.LIVE]) == 1)
    with vai.open(sync.file().path) as cache:
        # The whole copy answers, though the other one is still there.
        assert all("containers" in pod["spec"] for pod in cache.snapshot("pods").values())


def test_what_every_scope_excludes_is_checked_before_anything_begins() -> None:
    (found,) = wanted_scopes("*", exclude=["events", "events"])
    assert found.exclude == ("events",)
    for wrong in ("events", [""]):
        with pytest.raises(vai.InvalidRequestError, match="exclude="):
            wanted_scopes("*", exclude=wrong)
    (found,) = wanted_scopes(Scope("pods", drop=[".status", "metadata.managedFields"]))
    assert found.drop == ("metadata.managedFields", "status")
    with pytest.raises(vai.InvalidRequestError, match=r"drop \"metadata.uid\""):
        wanted_scopes(Scope("pods", drop=["metadata.uid"]))
