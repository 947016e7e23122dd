"""The whole sync side over real HTTP and into a real file, against the simulated API server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.timing import one_in_three
from vai.config import Settings
from vai.errors import OtherClusterError, UnknownResourceError
from vai.informer import Informer
from vai.informer.informer import PROBLEM
from vai.kube import connect
from vai.store import Store
from vai.testing import Simulator
from vai.types import FieldAsk, Scope, ScopeStatus, State


class Sync:
    """A simulated server, a file, and an informer that can be started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sim = Simulator(seed=11)
        # The shortest limit that can be kept, so that a test need not wait for a minute.
        self.settings = Settings(
            kubeconfig=str(self.sim.kubeconfig(folder / "kc")), live_within_s=8, page_size=40
        )
        self.store: Store | None = None
        self.informer: Informer | None = None

    def start(self, *scopes: Scope, fields: Sequence[FieldAsk] = ()) -> None:
        self.store = Store(self.folder / "cluster.db", "writer", live_within=8)
        self.informer = Informer(self.store, connect(self.settings), scopes, self.settings, fields)
        self.informer.start()

    def stop(self) -> float:
        began = time.monotonic()
        if self.informer is not None:
            assert self.informer.stop()
            self.informer = None
        took = time.monotonic() - began
        if self.store is not None:
            self.store.close()
            self.store = None
        return took

    def file(self) -> Store:
        assert self.store is not None
        return self.store

    def scope(self, name: str = "pods") -> ScopeStatus:
        self.wait(lambda: name in [found.resource for found in self.file().scopes()])
        return next(found for found in self.file().scopes() if found.resource == name)

    def wait(self, done: Callable[[], object], timeout_s: float = 30) -> None:
        deadline = time.monotonic() + timeout_s
        while not done():
            assert time.monotonic() < deadline, [
                (str(found), found.state, found.reason) for found in self.file().scopes()
            ]
            time.sleep(0.02)

    def live(self) -> bool:
        if self.informer is None or not self.informer.wait_planned(0):
            return False
        found = self.file().scopes()
        return bool(found) and all(scope.state is State.LIVE for scope in found)

    def same(self, name: str = "pods") -> bool:
        """Whether the file has exactly the server's objects, in exactly their versions."""
        rows = self.file().rows(self.file().resolve(name))
        have = {row.key: row.resource_version for row in (rows[i] for i in range(len(rows)))}
        want = {}
        for found in self.sim.list(name):
            meta = found["metadata"]
            key = "/".join(filter(None, (meta.get("namespace"), meta["name"])))
            want[key] = meta["resourceVersion"]
        return have == want

    def lists(self, name: str = "pods") -> int:
        """Whole lists, not pages."""
        return len([e for e in self.sim.request_log.lists(name) if "continue" not in e.query])


@pytest.fixture
def sync(tmp_path: Path) -> Iterator[Sync]:
    made = Sync(tmp_path)
    made.sim.populate(pods=100)
    yield made
    made.stop()
    made.sim.close()


def touch(sync: Sync, index: int = 0) -> None:
    meta = sync.sim.list("pods")[index]["metadata"]
    label = {"metadata": {"labels": {"touched": str(sync.sim.resource_version)}}}
    sync.sim.patch("pods", meta["name"], label, namespace=meta["namespace"])


def drop(sync: Sync, index: int = 0) -> None:
    meta = sync.sim.list("pods")[index]["metadata"]
    sync.sim.delete("pods", meta["name"], namespace=meta["namespace"])


# --- syncing


def test_a_first_sync_is_live_at_once_and_follows_changes(sync: Sync) -> None:
    sync.start(Scope("po"), Scope("deploy"))
    sync.wait(sync.live)
    assert sync.same()
    assert sync.same("deployments.apps")
    assert (sync.lists(), len(sync.sim.request_log.lists("pods"))) == (1, 3)
    touch(sync)
    drop(sync, 1)
    sync.wait(sync.same)
    assert sync.lists() == 1


@pytest.mark.slow
def test_a_quiet_scope_stays_live_while_others_change(sync: Sync) -> None:
    sync.start(Scope("nodes"))
    sync.wait(sync.live)
    sync.sim.churn(30)
    until = time.monotonic() + 17
    oldest = 0.0
    while time.monotonic() < until:
        found = sync.scope("nodes")
        assert found.state is State.LIVE, found.reason
        oldest = max(oldest, found.age_s or 0)
        time.sleep(0.1)
    sync.sim.stop_churn()
    assert 1 < oldest < 8
    assert sync.lists("nodes") == 1


def test_a_restart_answers_at_once_and_catches_up_without_a_list(sync: Sync) -> None:
    sync.start(Scope("pods"), Scope("nodes"))
    sync.wait(sync.live)
    sync.stop()
    sync.sim.request_log.clear()
    touch(sync)
    drop(sync, 1)
    sync.start(Scope("pods"), Scope("nodes"))
    assert sync.scope().complete
    assert sync.scope().objects == 100
    sync.wait(sync.live)
    assert sync.same()
    assert sync.sim.request_log.lists() == []
    assert all(e.query["resourceVersion"] != "0" for e in sync.sim.request_log.select("watch"))


def test_stopping_takes_no_time_and_leaves_no_thread(sync: Sync) -> None:
    def attempt() -> float:
        sync.start(Scope("*"))
        sync.wait(sync.live)
        names = [thread.name for thread in threading.enumerate()]
        assert "vai-reflector pods" in names
        return sync.stop()

    one_in_three(attempt, 1)
    assert not [t.name for t in threading.enumerate() if t.name.startswith(("vai-r", "vai-i"))]


def test_stopping_says_nothing_about_the_server(sync: Sync) -> None:
    sync.start(Scope("pods"))
    sync.wait(sync.live)
    assert sync.informer is not None
    sync.informer.stop()
    assert sync.scope().state is State.LIVE


# --- faults


def test_a_cut_link_is_offline_and_a_restored_one_catches_up_without_a_list(sync: Sync) -> None:
    sync.start(Scope("pods"))
    sync.wait(sync.live)
    sync.sim.cut()
    sync.wait(lambda: sync.scope().state is State.OFFLINE)
    assert sync.scope().reason.startswith(f"{sync.sim.url}: connection ")
    assert sync.scope().objects == 100
    touch(sync)
    drop(sync, 1)
    sync.sim.restore()
    sync.wait(sync.live)
    assert sync.same()
    assert sync.lists() == 1


@pytest.mark.slow
def test_a_silent_link_is_offline_within_the_limit(sync: Sync) -> None:
    sync.start(Scope("pods"))
    sync.wait(sync.live)
    sync.sim.cut("hang")
    sync.wait(lambda: sync.scope().state is State.OFFLINE, sync.settings.live_within_s + 1)
    assert sync.scope().reason == f"{sync.sim.url}: no answer in time"
    assert sync.stop() < 3


def test_expired_history_costs_one_list_written_as_a_difference(sync: Sync) -> None:
    sync.start(Scope("pods"))
    sync.wait(sync.live)
    before = sync.file().position()
    sync.sim.cut()
    sync.wait(lambda: sync.scope().state is State.OFFLINE)
    touch(sync)
    drop(sync, 1)
    sync.sim.compact()
    sync.sim.restore()
    sync.wait(sync.live)
    assert sync.same()
    assert sync.lists() == 2
    found = sync.file().changes([sync.file().resolve("pods")], before).next_batch(10, 0.1)
    assert sorted(change.op for change in found) == ["delete", "update"]


def test_a_token_that_expires_in_the_middle_makes_the_list_begin_again(sync: Sync) -> None:
    sync.sim.fail_next(410, match=lambda request: "continue" in request.query)
    sync.start(Scope("pods"))
    sync.wait(sync.live)
    assert sync.same()
    assert sync.sim.request_log.lists("pods")[-1].query.get("limit") is None


def test_a_malformed_event_is_named_and_the_scope_listed_again(sync: Sync) -> None:
    sync.start(Scope("pods"))
    sync.wait(sync.live)
    sync.sim.corrupt_next("malformed", match="watch")
    touch(sync)
    sync.wait(lambda: "malformed" in sync.scope().reason)
    assert sync.scope().objects == 100
    sync.wait(sync.live)
    assert sync.same()


def test_an_event_that_was_cut_off_costs_no_list(sync: Sync) -> None:
    sync.start(Scope("pods"))
    sync.wait(sync.live)
    sync.sim.corrupt_next("truncated", match="watch")
    touch(sync)
    sync.wait(sync.same)
    sync.wait(sync.live)
    assert sync.lists() == 1


def test_a_server_that_lost_its_sight_empties_nothing(sync: Sync) -> None:
    sync.start(Scope("pods"))
    sync.wait(sync.live)
    before = sync.file().position()
    sync.sim.cut()
    touch(sync)
    sync.sim.compact()
    sync.sim.lie_next_list(match=lambda request: request.resource == "pods")
    sync.sim.restore()
    sync.wait(lambda: sync.live() and sync.same())
    found = sync.file().changes([sync.file().resolve("pods")], before).next_batch(200, 0.1)
    assert [change.op for change in found] == ["update"]


def test_a_restored_backup_is_noticed_though_its_watch_would_stay_silent(sync: Sync) -> None:
    sync.start(Scope("pods"), Scope("nodes"))
    sync.wait(sync.live)
    backup = sync.sim.backup()
    for index in range(10):
        touch(sync, index)
    sync.wait(sync.same)
    sync.sim.restore_backup(backup)
    sync.wait(lambda: sync.lists() == 2 and sync.lists("nodes") == 2)
    sync.wait(lambda: sync.live() and sync.same())


def test_missing_rights_of_one_scope_leave_the_others_alone(sync: Sync) -> None:
    sync.sim.forbid("nodes")
    sync.start(Scope("pods"), Scope("nodes"))
    sync.wait(lambda: sync.scope("pods").state is State.LIVE)
    sync.wait(lambda: sync.scope("nodes").state is State.FORBIDDEN)
    assert 'a ClusterRole with {apiGroups: [""], resources: ["nodes"]' in sync.scope("nodes").reason
    sync.sim.allow()
    sync.wait(sync.live)


def test_rights_for_one_namespace_are_enough_for_it(sync: Sync) -> None:
    sync.sim.forbid("namespaces")
    namespace = sync.sim.list("pods")[0]["metadata"]["namespace"]
    sync.start(Scope("pods", namespace))
    sync.wait(sync.live)
    cluster = sync.file().cluster()
    assert cluster is not None
    assert not cluster.verified
    assert sync.scope().objects == len(sync.sim.list("pods", namespace=namespace))


@pytest.mark.slow
def test_a_resource_that_is_served_no_longer_is_gone_and_may_come_back(sync: Sync) -> None:
    served = sync.sim.install_crd(kind="Widget")
    name = f"{served.name}.{served.group}"
    widget = {"apiVersion": f"{served.group}/v1", "kind": "Widget", "metadata": {"name": "w"}}
    sync.sim.add(widget)
    sync.start(Scope("widgets"))
    sync.wait(sync.live)
    assert json.loads(sync.file().document(f"crd/{name}") or b"")["kind"]
    sync.sim.delete("customresourcedefinitions.apiextensions.k8s.io", name)
    sync.wait(lambda: sync.scope(name).state is State.GONE)
    assert sync.scope(name).objects == 0
    sync.sim.install_crd(kind="Widget")
    sync.sim.add(widget)
    sync.wait(lambda: sync.live() and sync.scope(name).objects == 1, 25)


# --- when it can't begin


def test_a_word_that_names_nothing_is_told_and_the_rest_is_synced(sync: Sync) -> None:
    sync.start(Scope("podz"), Scope("nodes"))
    assert sync.informer is not None
    assert sync.informer.wait_planned(5)
    (problem,) = sync.informer.problems().values()
    assert isinstance(problem, UnknownResourceError)
    assert "pods" in problem.nearest
    sync.wait(sync.live)


def test_a_server_that_is_not_there_at_first_is_tried_until_it_is(sync: Sync) -> None:
    sync.sim.cut()
    sync.start(Scope("pods"))
    assert sync.informer is not None
    informer = sync.informer
    sync.wait(informer.problems)
    assert "connection refused" in str(informer.problems()["pods"])
    assert b"connection refused" in (sync.file().document(PROBLEM) or b"")
    sync.sim.restore()
    sync.wait(sync.live)
    assert informer.problems() == {}
    assert sync.file().document(PROBLEM) == b""


def test_a_known_file_without_its_server_is_offline_and_says_why(sync: Sync) -> None:
    sync.start(Scope("pods"))
    sync.wait(sync.live)
    sync.stop()
    sync.sim.cut()
    sync.start(Scope("pods"))
    sync.wait(lambda: sync.scope().state is State.OFFLINE)
    assert sync.scope().complete
    assert "connection refused" in sync.scope().reason


def test_the_file_of_another_cluster_is_left_alone(sync: Sync, tmp_path: Path) -> None:
    sync.start(Scope("pods"))
    sync.wait(sync.live)
    sync.stop()
    with Simulator(seed=12) as other:
        config = other.kubeconfig(tmp_path / "other")
        sync.settings = Settings(kubeconfig=str(config), live_within_s=8)
        sync.start(Scope("pods"))
        assert sync.informer is not None
        assert sync.informer.wait_planned(5)
        assert isinstance(sync.informer.fatal, OtherClusterError)
        assert other.request_log.lists() == []
        assert sync.scope().objects == 100


def test_another_cluster_at_the_same_address_is_noticed_after_an_outage(sync: Sync) -> None:
    sync.start(Scope("pods"), Scope("nodes"))
    sync.wait(sync.live)
    assert sync.informer is not None
    port = sync.sim.port
    sync.sim.close()
    sync.wait(lambda: sync.scope().state is State.OFFLINE)
    with Simulator(seed=12, port=port) as other:
        # Far ahead: nothing but its identity tells it from the one before.
        other.populate(pods=300)
        other.populate(pods=300)
        sync.wait(lambda: sync.informer is not None and sync.informer.fatal is not None)
        assert isinstance(sync.informer.fatal, OtherClusterError)
        sync.wait(lambda: all(s.state is State.STALE for s in sync.file().scopes()))
        assert "cluster" in sync.scope().reason
        assert sync.scope().objects == 100
        assert other.request_log.select("list", "watchlist", "watch") == []


def test_a_resource_that_is_served_in_another_version_goes_on_without_a_list(sync: Sync) -> None:
    served = sync.sim.install_crd(kind="Widget")
    name = f"{served.name}.{served.group}"
    sync.sim.add({"apiVersion": f"{served.group}/v1", "kind": "Widget", "metadata": {"name": "w"}})
    sync.start(Scope("widgets"))
    sync.wait(sync.live)
    crd = sync.sim.get("customresourcedefinitions.apiextensions.k8s.io", name)
    assert crd is not None
    crd["spec"]["versions"][0]["name"] = "v2"
    sync.sim.update(crd)
    sync.sim.drop_connections()
    sync.wait(lambda: sync.file().resolve("widgets").version == "v2")
    sync.wait(sync.live)
    assert sync.lists(name) == 1
    paths = [entry.path for entry in sync.sim.request_log.select("watch", resource=name)]
    assert "/v2/" in paths[-1]


def test_columns_of_a_definition_are_fields_also_when_they_change(
    sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vai.informer.serving._DEFINITION_AGAIN_S", 0.0)
    size = {"name": "Size", "type": "integer", "jsonPath": ".spec.size"}
    served = sync.sim.install_crd(kind="Widget", columns=[size])
    name = f"{served.name}.{served.group}"
    for number in range(3):
        meta = {"name": f"w{number}"}
        sync.sim.add({
            "apiVersion": f"{served.group}/v1", "kind": "Widget", "metadata": meta,
            "spec": {"size": number, "color": "blue"},
        })  # fmt: skip

    def fields() -> dict[str, tuple[str, bool, bool]]:
        found = sync.file().fields(sync.file().resolve(name))
        return {
            one.name: (one.type, one.selectable, one.ready) for one in found if one.source == "crd"
        }

    sync.start(Scope("widgets"))
    sync.wait(sync.live)
    assert fields() == {"spec.size": ("int", False, True)}
    crd = sync.sim.get("customresourcedefinitions.apiextensions.k8s.io", name)
    assert crd is not None
    version = crd["spec"]["versions"][0]
    version["additionalPrinterColumns"] = [{**size, "type": "string"}]
    version["selectableFields"] = [{"jsonPath": ".spec.color"}]
    sync.sim.update(crd)
    assert sync.informer is not None
    sync.informer.rediscover()
    wanted = {"spec.color": ("text", True, True), "spec.size": ("text", False, True)}
    sync.wait(lambda: fields() == wanted)
    assert sync.lists(name) == 1
    found = sync.file().rows(sync.file().resolve(name), field_selector="spec.color=blue")
    assert len(found) == 3


def test_fields_that_are_asked_for_are_indexed_once_their_resource_is_served(
    sync: Sync, caplog: pytest.LogCaptureFixture
) -> None:
    asked = [
        FieldAsk(resource="po", path=".spec.overhead.cpu", type="quantity"),
        FieldAsk(resource="widgets", path=".spec.size", type="int", place="fields.toml: [widgets]"),
        FieldAsk(resource="pods", path=".status.phase", type="int", place="fields.toml: [pods]"),
    ]
    sync.sim.populate(pods=5)
    sync.start(Scope("pods"), fields=asked)
    sync.wait(sync.live)
    users = [one.name for one in sync.file().fields() if one.source == "user"]
    assert users == ["spec.overhead.cpu"]
    assert "fields.toml: [pods]: not indexed" in caplog.text
    sync.sim.install_crd(kind="Widget")
    assert sync.informer is not None
    sync.informer.rediscover()
    sync.wait(lambda: "spec.size" in [one.name for one in sync.file().fields()])


def test_a_bug_in_a_reflector_is_told_and_tried_again(
    sync: Sync, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from vai.kube import Source

    def broken(*_arguments: object) -> str:
        raise ZeroDivisionError("a bug")

    sync.start(Scope("pods"))
    sync.wait(sync.live)
    with monkeypatch.context() as patched:
        patched.setattr(Source, "probe", broken)
        sync.sim.drop_connections()
        sync.wait(lambda: sync.scope().state is State.STALE)
        assert sync.scope().reason == "sync failed: ZeroDivisionError: a bug"
        time.sleep(2)
    sync.wait(sync.live)
    assert [record.getMessage().split(":")[0] for record in caplog.records].count(
        "sync of pods failed, trying again"
    ) == 1
