"""What client-go's own tests hold for its reflector and its watch-list, held for vai's.

Each test names the test of kubernetes/client-go that it stands for (`tools/cache/reflector_test.go`
and `reflector_watchlist_test.go`); what is asked for and what is in the store afterwards is that
test's. The table of those that were left out, and of those where vai does otherwise, is in
README.md beside this file. The machine is vai's with a real file; only the server is a fake.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import pytest

from tests.unit.reflector.fakes import (
    FakeHooks,
    FakeLink,
    FakeResponse,
    FakeServer,
    Json,
    World,
    bookmark,
    event,
    initial_end,
    page,
)
from tests.unit.reflector.steps import refused, too_large
from vai.config import Settings
from vai.errors import NotSyncedError, OfflineError
from vai.reflector import Io, Reflector
from vai.reflector.machine import release, step
from vai.reflector.states import Open, Phase, Probe, Publish, Relist, Start, Stream, Wait
from vai.store import Store, boottime_s, compare_resource_versions
from vai.types import Redaction, Resource

PODS: Final = Resource(group="", version="v1", plural="pods", kind="Pod", verbs=("list", "watch"))


def pod(name: str, version: int, **more: Any) -> Json:
    meta = {"namespace": "ns", "name": name, "uid": f"u-{name}", "resourceVersion": str(version)}
    return {"metadata": meta, **more}


class Desk:
    """A reflector's surroundings with a real file, and a server that answers as prepared."""

    def __init__(self, folder: Path, *, streams: bool = False, page_size: int = 500) -> None:
        self.server = FakeServer()
        self.store = Store(folder / "c.db", "writer")
        self.store.put_resources([PODS])
        self.scope = self.store.ensure_scope(PODS, None, "", "", Redaction.NONE)
        self.hooks = FakeHooks()
        self.hooks.reconnects = [None] * 50
        self.now_s = 1000.0
        self.io = Io(
            source=cast("Any", self.server),
            store=self.store,
            scope=self.scope,
            settings=Settings(
                streaming_lists="always" if streams else "never", page_size=page_size
            ),
            compare=compare_resource_versions,
            boottime_s=boottime_s,
            hooks=self.hooks,
            link=FakeLink(cast("World", self)),
            clock=lambda: self.now_s,
            draw=lambda: 0.0,
        )

    def names(self) -> dict[str, str]:
        """What the store answers: resourceVersions by name."""
        self.store.flush()
        try:
            rows = self.store.rows(PODS)
        except NotSyncedError:
            return {}
        found = [rows[i] for i in range(len(rows))]
        return {row.key.partition("/")[2]: row.resource_version for row in found}

    def position(self) -> str | None:
        self.store.flush()
        return self.store.checkpoint(self.scope)[0]

    def run(self, phase: Phase | None = None, most: int = 200) -> Phase:
        """Steps until the server has nothing prepared for the next request."""
        phase = phase or Start()
        for _ in range(most):
            try:
                phase = step(phase, self.io)
            except IndexError:
                return phase
        raise AssertionError(f"it goes on and on: {phase}")

    def passing(self, seconds: float) -> Any:
        def pass_time() -> None:
            self.now_s += seconds

        return pass_time


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def streaming(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path, streams=True)
    yield made
    made.store.close()


# --- the end of a watch


def test_close_watch_channel_on_error(desk: Desk) -> None:
    """TestCloseWatchChannelOnError: an error event ends the stream from this side too."""
    desk.server.lists = [page([], 1)]
    desk.server.watches = [[event("ERROR", {"code": 500, "message": "no"}), bookmark(5)]]
    phase = desk.run()
    assert desk.position() == "1"
    assert isinstance(phase, Probe)
    assert desk.server.names() == ["list", "watch", "probe"]


class Blocking(FakeResponse):
    """A quiet watch: its chunks end when somebody closes it."""

    def __init__(self) -> None:
        super().__init__([])
        self.read = threading.Event()
        self.ended = threading.Event()

    def chunks(self) -> Iterator[bytes]:
        self.read.set()
        assert self.ended.wait(30)
        yield from ()

    def close(self) -> None:
        self.closed = True
        self.ended.set()


def test_run_until(desk: Desk) -> None:
    """TestRunUntil, TestReflectorWatchStoppedAfter, TestReflectorHandleWatchStoppedAfter."""
    quiet = Blocking()
    desk.server.lists = [page([], 1)]
    desk.server.watch = lambda *_asked: quiet  # type: ignore[method-assign]
    reflector = Reflector("pods", desk.io)
    reflector.start()
    assert quiet.read.wait(30)
    reflector.stop()
    assert reflector.join(30)
    assert quiet.closed


def test_watch_stopped_before(desk: Desk) -> None:
    """TestReflectorWatchStoppedBefore, …HandleWatchStoppedBefore, TestReflectorStopWatch."""
    reflector = Reflector("pods", desk.io)
    reflector.stop()
    reflector.start()
    assert reflector.join(30)
    assert desk.server.asked == []


@pytest.mark.parametrize("lasted_s", [0, 0.01], ids=["Before", "After"])
def test_handle_watch_result_chan_closed(desk: Desk, lasted_s: float) -> None:
    """TestReflectorHandleWatchResultChanClosed{Before,After}: a very short watch is a failure."""
    desk.server.watches = [[desk.passing(lasted_s)]]
    phase = step(step(Open("1"), desk.io), desk.io)
    assert phase == Wait(Probe("1"), 0.8)


def test_watch_handler(desk: Desk) -> None:
    """TestReflectorWatchHandler: what each event does; the last one's version is remembered.

    client-go skips an object of another kind. vai takes the stream for broken: it lists again,
    since what else that server changed would be lost.
    """
    desk.server.lists = [page([pod("foo", 1), pod("bar", 2)], 2)]
    desk.server.watches = [
        [
            event("DELETED", pod("foo", 3)),
            event("MODIFIED", pod("bar", 55)),
            event("ADDED", pod("baz", 60)),
        ]
    ]
    desk.run()
    assert desk.names() == {"bar": "55", "baz": "60"}
    assert desk.position() == "60"
    desk.server.watches = [[event("ADDED", pod("rejected", 61, kind="Service"))]]
    desk.server.lists = [page([pod("bar", 55), pod("baz", 60)], 62)]
    desk.run(Open("60"))
    assert desk.names() == {"bar": "55", "baz": "60"}
    assert desk.position() == "62"


# --- list and watch


MODIFIED: Final = [
    event("MODIFIED", pod("foo", 2)),
    *(event("ADDED", pod(name, n)) for n, name in enumerate(("bar", "baz", "qux", "zoo"), 3)),
]
FIVE: Final = {"foo": "2", "bar": "3", "baz": "4", "qux": "5", "zoo": "6"}


def test_list_and_watch_with_watch_list(streaming: Desk) -> None:
    """TestReflectorListAndWatch, "UseWatchList enabled"."""
    streaming.server.streams = [[event("ADDED", pod("foo", 1)), initial_end(1), *MODIFIED]]
    streaming.run()
    assert streaming.names() == FIVE
    assert streaming.server.names()[:1] == ["stream"]
    assert "list" not in streaming.server.names()


def test_list_and_watch(desk: Desk) -> None:
    """TestReflectorListAndWatch, "UseWatchList disabled"."""
    desk.server.lists = [page([pod("foo", 1)], 1)]
    desk.server.watches = [MODIFIED]
    desk.run()
    assert desk.names() == FIVE
    assert desk.server.asked[0] == ("list", 500, "")
    assert desk.server.asked[1][:2] == ("watch", "1")


def test_list_and_watch_with_errors(desk: Desk) -> None:
    """TestReflectorListAndWatchWithErrors: whatever fails, the next list finds the store right.

    Where client-go's test begins a new reflector, and lists, vai goes on from its position; each
    line here ends with a 410 so that it lists as well, and each list must change nothing.
    """
    table: list[tuple[list[Json], int, list[bytes]]] = [
        ([], 1, [event("ADDED", pod("foo", 2)), event("ADDED", pod("bar", 3))]),
        (
            [pod("foo", 2), pod("bar", 3)],
            3,
            [event("DELETED", pod("foo", 4)), event("ADDED", pod("qux", 5))],
        ),
        ([pod("bar", 3), pod("qux", 5)], 5, []),
        ([pod("bar", 3), pod("qux", 5)], 5, [event("ADDED", pod("baz", 6))]),
        ([pod("bar", 3), pod("qux", 5), pod("baz", 6)], 6, []),
    ]
    for line, (items, version, events) in enumerate(table):
        there = {one["metadata"]["name"]: one["metadata"]["resourceVersion"] for one in items}
        assert desk.names() == there, line
        before = desk.store.position()
        desk.server.lists = [refused(500), page(items, version)]
        desk.server.watches = [refused(500), events]
        desk.server.probes = ["99"] * 9
        desk.run(Relist("410"))
        changed = desk.store.position().seq - before.seq
        assert changed == len(events), line


@pytest.mark.parametrize(("failures", "least_s", "most_s"), [(5, 20, 50), (40, 360, 800)])
def test_init_conn_backoff(desk: Desk, failures: int, least_s: float, most_s: float) -> None:
    """TestReflectorListAndWatchInitConnBackoff: waits double up to a cap, and nothing is listed.

    vai's cap for a connection that is refused is 10 s (`offline_cap_s`), client-go's 30.
    """
    desk.server.lists = [page([], 1)]
    desk.server.watches = [OfflineError("connection refused")] * failures
    # Ahead of the watch, so that nothing is proven, and no wait is reset, before it is open.
    desk.server.probes = ["2"] * failures
    desk.run(most=10 * failures)
    assert least_s <= desk.now_s - 1000 <= most_s
    assert desk.server.names().count("list") == 1


def test_backoff_on_too_many_requests(desk: Desk) -> None:
    """TestBackoffOnTooManyRequests: as an answer and as an event."""
    desk.server.lists = [page([], 1)]
    status = event("ERROR", {"code": 429, "reason": "TooManyRequests"})
    desk.server.watches = [refused(429, 1.0), [status]]
    desk.server.probes = ["1"] * 2
    desk.run()
    assert desk.now_s - 1000 == pytest.approx(1.0 + 0.8)
    assert desk.server.names().count("watch") == 3


def test_no_relist_on_too_many_requests(desk: Desk) -> None:
    """TestNoRelistOnTooManyRequests."""
    desk.server.lists = [page([], 1)]
    desk.server.watches = [refused(429, 1.0)] * 4 + [[]]
    desk.server.probes = ["1"] * 9
    desk.run()
    assert desk.server.names().count("list") == 1
    assert desk.server.names().count("watch") == 6


def test_retry_internal_error(desk: Desk) -> None:
    """TestRetryInternalError: an error event of the server's own is tried again before a list.

    client-go does so for a configured time. vai does once at each position, and then lists: a
    server may never get past it (see the next test).
    """
    desk.server.lists = [page([], 1), page([pod("a", 2)], 2)]
    broken = event("ERROR", {"code": 500, "reason": "InternalError", "message": "no leader"})
    desk.server.watches = [[broken], [event("ADDED", pod("a", 2)), broken], [broken]]
    desk.server.probes = ["1", "2"]
    desk.run()
    assert desk.server.names()[:6] == ["list", "watch", "probe", "watch", "probe", "watch"]
    assert desk.server.names().count("list") == 2


def test_replaces_store_on_unsafe_delete(desk: Desk) -> None:
    """TestReflectorReplacesStoreOnUnsafeDelete: a corrupt object that was deleted by force."""
    kept = [pod("foo-1", 1), pod("foo-2", 2), pod("foo-3", 3)]
    said = "failed to prepare current and previous objects: corrupt object has been deleted"
    corrupt = event("ERROR", {"code": 500, "reason": "StorageReadError", "message": said})
    desk.server.lists = [page(kept, 3), page(kept, 5)]
    desk.server.watches = [[event("ADDED", pod("foo", 4)), corrupt], [corrupt]]
    desk.server.probes = ["5"]
    seen = []
    phase: Phase = Start()
    while desk.server.lists or not isinstance(phase, Open):
        phase = step(phase, desk.io)
        if isinstance(phase, Publish):
            seen.append(set(desk.names()))
    assert seen[-1] == {"foo", "foo-1", "foo-2", "foo-3"}, "all is there until the list counts"
    assert desk.names() == {"foo-1": "1", "foo-2": "2", "foo-3": "3"}
    assert desk.position() == "5"


# --- pages and versions


def test_watch_list_page_size(tmp_path: Path) -> None:
    """TestReflectorWatchListPageSize, and TestReflectorListExtract's pages."""
    desk = Desk(tmp_path, page_size=4)
    pods = [pod(f"pod-{i}", i + 1) for i in range(10)]
    desk.server.lists = [page(pods[:4], 10, "C1"), page(pods[4:8], 10, "C2"), page(pods[8:], 10)]
    desk.server.probes = ["10"]
    desk.run()
    assert desk.server.asked[:3] == [("list", 4, ""), ("list", 4, "C1"), ("list", 4, "C2")]
    assert len(desk.names()) == 10
    desk.store.close()


def test_full_list_if_expired(tmp_path: Path) -> None:
    """TestReflectorFullListIfExpired: a token that expired leads to one list without pages."""
    desk = Desk(tmp_path, page_size=4)
    pods = [pod(f"pod-{i}", i + 1) for i in range(8)]
    desk.server.lists = [page(pods[:4], 11, "C1"), refused(410), page(pods, 11)]
    desk.run()
    assert desk.server.asked[:3] == [("list", 4, ""), ("list", 4, "C1"), ("list", 0, "")]
    assert len(desk.names()) == 8
    desk.store.close()


def test_expired_exact_resource_version(desk: Desk) -> None:
    """TestReflectorExpiredExactResourceVersion: vai's lists name no version; one more will do."""
    desk.server.lists = [
        page([pod("a", 4)], 10),
        refused(410),
        page([pod("a", 4), pod("b", 11)], 11),
    ]
    desk.server.watches = [refused(410)]
    desk.run()
    assert desk.names() == {"a": "4", "b": "11"}


def test_resync_with_resource_version(desk: Desk) -> None:
    """TestReflectorResyncWithResourceVersion: a list never leads back in time.

    client-go asks for a list that is not older. vai asks for the newest, and does not believe one
    that is older.
    """
    desk.server.lists = [page([pod("a", 10)], 10), page([pod("a", 4), pod("gone", 5)], 7)]
    desk.server.watches = [refused(410), refused(410)]
    desk.server.probes = ["11"]
    desk.run()
    assert desk.names() == {"a": "10"}
    desk.server.lists = [page([pod("a", 10), pod("b", 11)], 11)]
    desk.run(Relist("410"))
    assert desk.names() == {"a": "10", "b": "11"}


@pytest.mark.parametrize(
    "said",
    [
        {"details": {"causes": [{"reason": "ResourceVersionTooLarge"}]}},
        {"details": {"causes": [{"message": "Too large resource version"}]}},
        {"message": "Too large resource version"},
    ],
    ids=["1.18.6", "1.17", "1.16"],
)
def test_full_list_if_too_large(desk: Desk, said: Json) -> None:
    """TestReflectorFullListIfTooLarge: the three forms in which servers say it.

    Only a watch of vai's names a version, and for that it waits: the server will get there.
    """
    desk.server.lists = [page([], 20)]
    status = event("ERROR", {"code": 504, "reason": "Timeout", **said})
    desk.server.watches = [too_large(), [status], [status], [status], []]
    desk.server.probes = ["20"] * 9
    desk.run()
    assert desk.server.names().count("list") == 1


@pytest.mark.parametrize(("live_within_s", "longest"), [(30, 20), (300, 200)])
def test_watch_timeout(tmp_path: Path, live_within_s: float, longest: int) -> None:
    """TestWatchTimeout: every watch names a deadline, of no more than its jitter less than wanted.

    client-go's are five to ten minutes. vai's are as long as a proof may be away.
    """
    desk = Desk(tmp_path)
    desk.io.settings = Settings(live_within_s=live_within_s)
    for draw in (0.0, 0.999):
        desk.io.draw = lambda draw=draw: draw  # type: ignore[misc]
        desk.server.watches.append([])
        step(Open("1"), desk.io)
    asked = [timeout_s for _, _, timeout_s in desk.server.asked]
    assert asked[0] == longest
    assert longest * 0.89 <= asked[1] <= longest
    desk.store.close()


def test_resource_version_update(desk: Desk) -> None:
    """TestReflectorResourceVersionUpdate: each event and bookmark moves the position."""
    desk.server.watches = [
        [
            event("ADDED", pod("a", 10)),
            event("MODIFIED", pod("a", 20)),
            bookmark(30),
            event("DELETED", pod("a", 40)),
        ]
    ]
    desk.server.lists = [page([], 5)]
    phase: Phase = Start()
    while not isinstance(phase, Stream):
        phase = step(phase, desk.io)
    seen = []
    for _ in range(4):
        phase = step(phase, desk.io)
        assert isinstance(phase, Stream)
        seen.append(phase.position)
    assert seen == ["10", "20", "30", "40"]


# --- reflector_watchlist_test.go


def test_initial_events_end_bookmark_ticker(streaming: Desk) -> None:
    """TestInitialEventsEndBookmarkTicker: the bookmark that does not come is no wait for ever.

    client-go warns each ten seconds. vai asks for pages after ten seconds of silence.
    """
    silence = [streaming.passing(10), OfflineError("no answer in time")]
    streaming.server.streams = [[event("ADDED", pod("p1", 1)), *silence]]
    streaming.server.lists = [page([pod("p1", 1)], 1)]
    streaming.run()
    assert streaming.server.names()[:2] == ["stream", "list"]
    assert streaming.names() == {"p1": "1"}


@dataclass
class Scenario:
    """One of TestWatchList's: what the server does, what is asked for, what is there then."""

    streams: list[Any]
    asked: list[str]
    there: dict[str, str]
    lists: list[Any] = field(default_factory=list)
    watches: list[Any] = field(default_factory=list)
    probes: list[Any] = field(default_factory=list)
    position: str | None = None
    disabled: bool = False


P1: Final = event("ADDED", pod("p1", 1))
P2: Final = event("ADDED", pod("p2", 2))
NOT_THE_END: Final = event(
    "BOOKMARK",
    {"metadata": {"resourceVersion": "2", "annotations": {"k8s.io/initial-events-end": "false"}}},
)
LISTED: Final = page([pod("p1", 1)], 1)

WATCH_LIST: Final[dict[str, Scenario]] = {
    "the reflector won't be synced if the bookmark event has been received": Scenario(
        streams=[[P1]], asked=["stream", "stream"], there={}
    ),
    "the reflector uses the old LIST/WATCH semantics if the UseWatchList is turned off": Scenario(
        *([], ["list", "watch"], {"p1": "1"}), lists=[LISTED], position="1", disabled=True
    ),
    "returning any other error than apierrors.NewInvalid forces fallback": Scenario(
        streams=[refused(500), refused(500)],
        lists=[LISTED],
        watches=[[P2]],
        asked=["stream", "stream", "list", "watch", "probe"],
        there={"p1": "1", "p2": "2"},
        position="2",
    ),
    "the reflector can fall back to old LIST/WATCH semantics when a server doesn't support "
    "streaming": Scenario(
        streams=[refused(422, reason="Invalid")],
        lists=[LISTED],
        watches=[[P2]],
        asked=["stream", "list", "watch", "probe"],
        there={"p1": "1", "p2": "2"},
        position="2",
    ),
    "prove that the reflector is synced after receiving a bookmark event": Scenario(
        streams=[[P1, P2, initial_end(2)]],
        asked=["stream", "probe"],
        there={"p1": "1", "p2": "2"},
        position="2",
    ),
    "check if Updates and Deletes events are propagated during streaming (until the bookmark is "
    "received)": Scenario(
        streams=[
            [
                *(P1, P2, event("MODIFIED", pod("p1", 3, spec={"activeDeadlineSeconds": 12}))),
                *(event("ADDED", pod("p3", 4)), event("DELETED", pod("p3", 5)), initial_end(5)),
            ]
        ],
        asked=["stream", "probe"],
        there={"p1": "3", "p2": "2"},
        position="5",
    ),
    "checks if the reflector retries 429": Scenario(
        streams=[refused(429, 1.0), refused(429, 1.0), [P1, initial_end(2)]],
        asked=["stream", "stream", "stream", "probe"],
        there={"p1": "1"},
        position="2",
    ),
    "check if stopping a watcher before sync results in creating a new watch-list request": (
        Scenario(
            streams=[[P1], [P1, initial_end(1)]],
            asked=["stream", "stream", "probe"],
            there={"p1": "1"},
            position="1",
        )
    ),
    "stopping a watcher after synchronization results in creating a new watch request": Scenario(
        streams=[[P1, P2, initial_end(2), event("ADDED", pod("p3", 3))]],
        probes=["4"],
        watches=[[event("ADDED", pod("p4", 4))]],
        asked=["stream", "probe", "watch", "watch"],
        there={"p1": "1", "p2": "2", "p3": "3", "p4": "4"},
        position="4",
    ),
    "expiring an established watcher results in returning an error from the reflector": Scenario(
        streams=[[P1, initial_end(2), event("ADDED", pod("p3", 3))]],
        probes=["4"],
        watches=[refused(410, reason="Expired")],
        asked=["stream", "probe", "watch", "stream"],
        there={"p1": "1", "p3": "3"},
        position="3",
    ),
    "prove that the reflector is checking the value of the initialEventsEnd annotation": Scenario(
        streams=[[P1, P2, NOT_THE_END]],
        asked=["stream", "stream"],
        there={},
    ),
}


@pytest.mark.parametrize("name", WATCH_LIST)
def test_watch_list(tmp_path: Path, name: str) -> None:
    """TestWatchList, scenario by scenario under client-go's names.

    Of more objects than these, what comes before the bookmark of a first list is in vai's store at
    once, as `listing` and not complete: `position` tells what is synced.
    """
    scenario = WATCH_LIST[name]
    desk = Desk(tmp_path, streams=not scenario.disabled)
    for kind in ("streams", "lists", "watches", "probes"):
        setattr(desk.server, kind, list(getattr(scenario, kind)))
    release(desk.run())
    assert desk.server.names() == scenario.asked
    assert desk.names() == scenario.there
    assert desk.position() == scenario.position
    (status,) = desk.store.scopes()
    assert status.complete == (scenario.position is not None)
    desk.store.close()
