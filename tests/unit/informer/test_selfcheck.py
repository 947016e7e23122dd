"""What a proxy drops or reorders is found and repaired; what only changes fast is no drift."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from tests.unit.informer.test_informer import Sync, drop, touch
from vai.config import Settings
from vai.informer import informer as informer_module
from vai.kube import Source, connect
from vai.reflector.selfcheck import Checker, Finding, NotCheckedError, SelfCheck, finding_of
from vai.store import Store
from vai.types import Position, Scope, State

Json = dict[str, Any]
#: What becomes of an event: it is passed on, or it is not.
Passes = Callable[[str, Json], bool]


class Proxied:
    """A response whose lines a broken proxy looks at."""

    def __init__(self, response: Any, passes: Passes) -> None:
        self._response = response
        self._passes = passes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._response, name)

    def chunks(self) -> Iterator[bytes]:
        rest = b""
        for chunk in self._response.chunks():
            *lines, rest = (rest + chunk).split(b"\n")
            kept = [line for line in lines if self._keeps(line)]
            if kept:
                yield b"".join(line + b"\n" for line in kept)
        if rest:
            yield rest

    def _keeps(self, line: bytes) -> bool:
        if not line.strip():
            return True
        event = json.loads(line)
        found = event["object"]
        if found.get("kind") == "Table" and found.get("rows"):
            found = found["rows"][0]["object"]
        return event["type"] == "BOOKMARK" or self._passes(event["type"], found)


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> list[Passes]:
    """What is put into the list is what watches go through from then on."""
    through: list[Passes] = []

    class ProxiedSource(Source):
        def watch(self, resource_version: str, timeout_s: int) -> Any:
            response = super().watch(resource_version, timeout_s)
            return Proxied(response, lambda kind, found: all(one(kind, found) for one in through))

    monkeypatch.setattr(informer_module, "Source", ProxiedSource)
    return through


@pytest.fixture
def sync(tmp_path: Path) -> Iterator[Sync]:
    made = Sync(tmp_path)
    made.sim.populate(pods=100)
    yield made
    made.stop()
    made.sim.close()


def begin(sync: Sync, self_check_s: float, page_size: int = 500) -> None:
    sync.settings = Settings(
        kubeconfig=sync.settings.kubeconfig,
        live_within_s=8,
        page_size=page_size,
        self_check_s=self_check_s,
    )
    sync.start(Scope("pods"))
    sync.wait(sync.live)


def checks(sync: Sync) -> int:
    assert sync.informer is not None
    return sum(one.checks for one in sync.informer.tallies().values())


def found(sync: Sync) -> Finding | None:
    return finding_of(sync.file(), sync.scope().id)


def metadata_lists(sync: Sync) -> list[Any]:
    """Lists of the self-check: the others ask for objects."""
    lists = sync.sim.request_log.lists("pods")
    return [one for one in lists if not {"continue", "includeObject"} & one.query.keys()]


@contextmanager
def writing(sync: Sync) -> Iterator[None]:
    """Somebody changes the first pod twice a second."""
    ended = threading.Event()

    def write() -> None:
        while not ended.wait(0.5):
            touch(sync)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    yield
    ended.set()
    writer.join()


@pytest.mark.slow
def test_lost_events_are_found_named_and_repaired(
    sync: Sync, proxy: list[Passes], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="vai")
    begin(sync, 1)
    before = sync.file().position()
    # From here on nothing arrives but bookmarks, which say that all is well.
    proxy.append(lambda *_: False)
    # At once, so that no check sees only some of it.
    with sync.sim.store.lock:
        first = sync.sim.list("pods")[0]["metadata"]
        touch(sync)
        gone = sync.sim.list("pods")[1]["metadata"]
        drop(sync, 1)
        sync.sim.add(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"namespace": "unseen", "name": "new"},
                "spec": {"containers": [{"name": "a", "image": "a"}]},
            }
        )
    # The server sends a bookmark only when something happened since the watch began. Without any
    # the watch gets nowhere, and a list is made before the check has looked twice.
    with writing(sync):
        sync.wait(lambda: found(sync) is not None, 150)
    finding = found(sync)
    assert finding is not None
    assert (finding.missing, finding.extra, finding.older, finding.times) == (1, 1, 1, 1)
    assert set(finding.keys) == {
        "missing unseen/new",
        f"extra {gone['namespace']}/{gone['name']}",
        f"older {first['namespace']}/{first['name']}",
    }
    proxy.clear()
    sync.wait(sync.same, 90)
    sync.wait(lambda: (now := found(sync)) is not None and now.repaired, 90)
    sync.wait(sync.live)
    # A difference: three changes, marked as a list's, and not one more.
    seen = changes_since(sync.file(), before)
    assert {(one.op, one.relist) for one in seen} == {
        ("add", True),
        ("update", True),
        ("delete", True),
    }
    assert len(seen) == 3
    said = [record.getMessage() for record in caplog.records if "differed" in record.getMessage()]
    assert len(said) == 1
    assert "pods differed from the server: 1 missing, 1 extra, 1 older: " in said[0]
    # Now all is well, and stays so.
    done = checks(sync)
    sync.wait(lambda: checks(sync) >= done + 2, 90)
    assert (now := found(sync)) is not None
    assert now.times == 1


def changes_since(store: Store, position: Position) -> list[Any]:
    reader = store.changes([store.resolve("pods")], position)
    seen: list[Any] = []
    while batch := reader.next_batch(100, 0.1):
        seen += batch
    return seen


@pytest.mark.slow
def test_an_event_out_of_order_that_brings_a_deleted_object_back_is_found(
    sync: Sync, proxy: list[Passes]
) -> None:
    begin(sync, 1)
    victim = sync.sim.list("pods")[3]["metadata"]
    # Its delete never comes, and so is behind whatever came of it before.
    proxy.append(lambda kind, _: kind != "DELETED")
    sync.sim.patch(
        "pods", victim["name"], {"metadata": {"labels": {"a": "b"}}}, namespace=victim["namespace"]
    )
    sync.sim.delete("pods", victim["name"], namespace=victim["namespace"])
    sync.wait(lambda: found(sync) is not None, 150)
    assert (now := found(sync)) is not None
    assert now.keys == (f"extra {victim['namespace']}/{victim['name']}",)
    sync.wait(sync.same, 90)


@pytest.mark.slow
def test_churn_is_no_drift(sync: Sync) -> None:
    begin(sync, 0.2)
    sync.sim.churn(100)
    done = checks(sync)
    sync.wait(lambda: checks(sync) >= done + 6, 150)
    sync.sim.stop_churn()
    assert found(sync) is None
    assert sync.scope().check_note == ""
    assert sync.scope().checked_age_s is not None
    # Metadata alone was asked for, and nothing was listed for it.
    assert len(metadata_lists(sync)) >= 6
    assert sync.lists() - len(metadata_lists(sync)) == 1


@pytest.mark.slow
def test_large_scopes_are_counted_first_and_compared_when_counts_differ(
    sync: Sync, proxy: list[Passes]
) -> None:
    begin(sync, 0.3, page_size=40)
    sync.wait(lambda: checks(sync) >= 4, 90)
    asked = [one.query.get("limit") for one in metadata_lists(sync)]
    # A whole comparison, and then counts.
    assert asked[:4] == ["40", "1", "1", "1"]
    proxy.append(lambda kind, _: kind != "DELETED")
    drop(sync, 7)
    # A later event arrives: without one the watch has got nowhere, and a list is made anyway.
    touch(sync)
    sync.wait(lambda: found(sync) is not None, 150)
    assert (now := found(sync)) is not None
    assert (now.extra, now.missing, now.older) == (1, 0, 0)
    sync.wait(sync.same, 90)


def test_a_scope_that_can_not_be_checked_says_why(sync: Sync) -> None:
    begin(sync, 0.3)
    sync.sim.forbid("pods", verb="list")
    sync.wait(lambda: "403" in sync.scope().check_note)
    assert 'resources: ["pods"]' in sync.scope().check_note
    sync.sim.allow()
    sync.wait(lambda: sync.scope().check_note == "")
    assert sync.scope().state is State.LIVE


class States:
    """A file of which there are only the states of its scopes."""

    def __init__(self, **found: State) -> None:
        self.found = found
        self.told: list[str] = []
        self.documents: dict[str, bytes] = {}
        self.document = self.documents.get
        self.put_document = self.documents.__setitem__

    def scope(self, scope: int) -> Any:
        state = self.found.get(f"_{scope}")
        return state and SimpleNamespace(state=state, freshness=state, objects=0)

    def checked(self, _scope: int, why: str = "") -> None:
        self.told.append(why)


def test_a_scope_that_is_gone_is_left_alone_and_one_that_was_forgotten_is_dropped() -> None:
    states = States(_1=State.GONE, _2=State.STALE)
    known = Settings(self_check_s=3600)
    check = SelfCheck(cast("Store", states), known)
    try:
        for scope in (1, 2, 3):
            check.add(scope, "pods", cast("Source", None), lambda _reason: None)
        for scope in (1, 2, 3):
            check._turn(scope)
        assert states.told == ["it is not live: stale"]
        assert set(check.tallies()) == {1, 2}
    finally:
        check.stop()


def test_what_a_late_list_has_repaired_is_told_by_the_next_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    states = States(_1=State.LIVE)
    late = Finding(at_s=1.0, missing=1, keys=("missing shop/a",))
    states.documents["selfcheck/1"] = msgspec.json.encode(late)
    monkeypatch.setattr(Checker, "check", lambda *_, **__: [])
    check = SelfCheck(cast("Store", states), Settings(self_check_s=3600))
    try:
        check.add(1, "pods", cast("Source", None), lambda _reason: None)
        check._turn(1)
        found = finding_of(cast("Store", states), 1)
        assert found == msgspec.structs.replace(late, repaired=True)
    finally:
        check.stop()


def test_what_is_polled_at_last_is_checked_no_more(sync: Sync) -> None:
    begin(sync, 3600)
    assert sync.informer is not None
    assert set(sync.informer.tallies()) == {sync.scope().id}
    (target,) = sync.informer._targets.values()
    listed = msgspec.structs.replace(target.resource, verbs=("list",))
    sync.informer._sync(msgspec.structs.replace(target, resource=listed), 0)
    assert sync.informer.tallies() == {}


def test_nothing_is_checked_where_that_is_turned_off(sync: Sync) -> None:
    begin(sync, 0)
    time.sleep(0.5)
    assert metadata_lists(sync) == []
    assert sync.scope().checked_age_s is None


# --- one comparison, without a thread


def checker(sync: Sync, store: Store) -> tuple[Checker, Source]:
    transport = connect(sync.settings)
    source = Source(transport, store.resolve("pods"))
    return Checker(store, sync.settings, threading.Event().wait), source


def test_a_file_that_nobody_writes_is_compared_as_of_its_own_moment(sync: Sync) -> None:
    begin(sync, 0)
    scope = sync.scope().id
    sync.stop()
    touch(sync)
    drop(sync, 1)
    with Store(sync.folder / "cluster.db", "reader") as store:
        check, source = checker(sync, store)
        assert check.check_at_rest(scope, source) == []
        with pytest.raises(NotCheckedError, match="not live"):
            check.check(scope, source)
        sync.sim.compact()
        with pytest.raises(NotCheckedError, match="no longer has the moment"):
            check.check_at_rest(scope, source)


def test_an_older_list_than_the_file_is_not_compared(sync: Sync) -> None:
    begin(sync, 0)
    for _ in range(3):
        touch(sync)
    sync.wait(sync.same)
    assert sync.informer is not None
    scope = sync.scope()
    moment = int(scope.resource_version or 0)
    check, source = checker(sync, sync.file())

    class Behind:
        """A server that has not got as far as another one behind the same address."""

        def list_metadata(self, limit: int, continue_token: str = "", at: str = "") -> Any:
            return source.list_metadata(limit, continue_token, at or str(moment - 2))

    with pytest.raises(NotCheckedError, match="servers behind one address"):
        check.check(scope.id, Behind())


def test_a_reader_compares_while_another_process_writes(sync: Sync) -> None:
    begin(sync, 0)
    with Store(sync.folder / "cluster.db", "reader", live_within=8) as store:
        check, source = checker(sync, store)
        assert check.check(sync.scope().id, source) == []


def test_the_interval_must_make_sense() -> None:
    with pytest.raises(ValueError, match="self_check"):
        Settings(self_check_s=-1)


def test_stopping_does_not_wait_for_a_check(sync: Sync) -> None:
    begin(sync, 0.2)
    sync.sim.cut("hang")
    assert sync.stop() < 3
