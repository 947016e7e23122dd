"""Lists that come as the beginning of a watch, and what is done where they don't work."""

from __future__ import annotations

import logging

import pytest

from tests.unit.reflector.fakes import (
    World,
    bookmark,
    error,
    event,
    initial_end,
    item,
    page,
)
from tests.unit.reflector.steps import ROWS, go, refused, too_large
from vai.errors import ForbiddenError, OfflineError
from vai.reflector.machine import release, step
from vai.reflector.states import (
    Initial,
    Open,
    Page,
    Phase,
    Probe,
    Publish,
    Relist,
    Start,
    Stream,
    Wait,
)
from vai.types import State


def added(*names: str) -> bytes:
    return b"".join(event("ADDED", item(name, n)) for n, name in enumerate(names, 1))


def test_the_bookmark_publishes_and_the_same_stream_is_the_watch() -> None:
    world = World(streams=True)
    world.server.streams = [[added("a", "b"), initial_end(9), event("MODIFIED", item("a", 11))]]
    phase = go(world, Start(), Initial)
    assert world.store.states() == [State.LISTING]
    phase_after = go(world, phase, Stream)
    assert world.store.rows == {"a": "1", "b": "2"}
    assert phase_after.position == "9"
    assert world.store.proofs() == [1.0]
    assert world.store.last() == (State.LIVE, "")
    read = go(world, phase_after, Stream, most=1)
    assert read.position == "11"
    assert world.store.rows == {"a": "11", "b": "2"}
    assert world.server.names() == ["stream"]


def test_what_came_behind_the_bookmark_in_one_chunk_is_not_lost() -> None:
    world = World(streams=True)
    chunk = added("a", "b") + initial_end(9) + event("DELETED", item("b", 10)) + bookmark(12)
    world.server.streams = [[chunk]]
    phase = go(world, Start(), Stream)
    assert (phase.position, world.store.rows) == ("12", {"a": "1"})


def test_objects_may_change_and_go_before_the_bookmark() -> None:
    world = World(streams=True)
    chunks = [added("a", "b"), event("MODIFIED", item("a", 3)), event("DELETED", item("b", 4))]
    world.server.streams = [[*chunks, initial_end(5)]]
    assert go(world, Start(), Stream).position == "5"
    assert world.store.rows == {"a": "3"}


def test_another_bookmark_ends_nothing() -> None:
    world = World(streams=True)
    world.server.streams = [[added("a"), bookmark(7), initial_end(9)]]
    phase: Phase = go(world, Start(), Initial)
    for _ in range(2):
        phase = go(world, phase, Initial, most=1)
    assert world.store.listings[0].done == ""
    assert go(world, phase, Stream).position == "9"


def test_the_stream_is_ended_from_here_when_the_next_proof_is_due() -> None:
    world = World(streams=True)
    quiet = OfflineError("no answer in time")
    world.server.streams = [[initial_end(9), bookmark(10), world.passing(20.5), quiet]]
    phase = go(world, Start(), Stream)
    read = go(world, phase, Stream, most=1)
    assert read.response.limits == [10.0, 20]  # type: ignore[attr-defined]
    assert step(read, world.io) == Probe("10")
    assert read.response.closed  # type: ignore[attr-defined]
    assert State.OFFLINE not in world.store.states()


def test_a_stream_that_breaks_before_that_is_resumed_like_any_watch() -> None:
    world = World(streams=True)
    broke = OfflineError("reset")
    world.server.streams = [[initial_end(9), event("ADDED", item("c", 12)), broke]]
    phase = go(world, go(world, Start(), Stream), Stream, most=1)
    assert step(phase, world.io) == Probe("12")


def test_a_stream_that_was_cut_publishes_nothing_and_is_asked_for_again() -> None:
    world = World("5", dict(ROWS), streams=True)
    world.server.streams = [[added("a", "x"), OfflineError("reset")], [added("a"), initial_end(9)]]
    waiting = go(world, Relist("410"), Wait)
    assert waiting == Wait(Relist("410"), 0.8, offline=True)
    assert world.store.rows == ROWS
    assert world.store.last() == (State.OFFLINE, "reset")
    world.hooks.reconnects = [None]
    # It has less than half of what there was, so pages confirm it.
    world.server.lists = [page([item("a", 1)], 9)]
    assert go(world, waiting.then, Open) == Open("9")
    assert world.store.rows == {"a": "1"}
    assert [one.done for one in world.store.listings] == ["aborted", "aborted", "published"]


@pytest.mark.parametrize("cut", [OfflineError("reset"), None], ids=["reset", "ended"])
def test_twice_cut_it_is_read_by_pages_and_later_as_a_stream_again(
    cut: OfflineError | None,
) -> None:
    world = World(streams=True)
    world.hooks.reconnects = [None] * 3
    broken = [added("a"), *([cut] if cut else [])]
    world.server.streams = [list(broken), list(broken), [added("a"), initial_end(12)]]
    world.server.lists = [page([item("a", 1)], 9)]
    phase: Phase = Start()
    for _ in range(2):
        phase = go(world, phase, Wait).then
    assert go(world, phase, Open) == Open("9")
    assert world.server.names() == ["stream", "stream", "list"]
    assert go(world, Relist("410"), Stream).position == "12"


@pytest.mark.parametrize("code", [400, 422])
def test_a_server_that_refuses_is_asked_for_pages_from_then_on(
    code: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vai")
    world = World(streams=True)
    world.server.streams = [refused(code)]
    world.server.lists = [page([], 9), page([], 12)]
    assert go(world, Start(), Open) == Open("9")
    assert go(world, Relist("410"), Open) == Open("12")
    assert world.server.names() == ["stream", "list", "list"]
    assert len(caplog.messages) == 1
    # The server may come back as another release.
    world.io.link.back()
    world.server.streams = [[initial_end(20)]]
    assert go(world, Relist("410"), Stream).position == "20"


def test_another_group_is_another_server() -> None:
    world = World(streams=True)
    world.io.link.take_pages("metrics.k8s.io", "400")
    world.server.streams = [[initial_end(9)]]
    go(world, Start(), Stream)
    assert world.server.names() == ["stream"]


def test_a_server_that_never_sends_the_bookmark_is_asked_for_pages_from_then_on() -> None:
    """Releases before 1.27 take no notice of `sendInitialEvents`."""
    world = World(streams=True)
    silence = [world.passing(10), OfflineError("no answer in time")]
    world.server.streams = [[added("a", "b"), *silence]]
    world.server.lists = [page([item("a", 1), item("b", 2)], 9), page([item("a", 1)], 12)]
    assert go(world, Start(), Open) == Open("9")
    assert world.store.rows == {"a": "1", "b": "2"}
    assert State.OFFLINE not in world.store.states()
    assert go(world, Relist("410"), Open) == Open("12")
    assert world.server.names() == ["stream", "list", "list"]


def test_objects_that_come_slowly_are_no_silence() -> None:
    world = World(streams=True)
    slow = [part for name in "abcd" for part in (world.passing(9), event("ADDED", item(name, 1)))]
    world.server.streams = [[*slow, initial_end(9)]]
    assert go(world, Start(), Stream).position == "9"


def test_a_busy_server_is_asked_for_the_stream_again_when_it_says() -> None:
    world = World(streams=True)
    world.server.streams = [refused(429, 7.0), [initial_end(9)]]
    waiting = go(world, Start(), Wait)
    assert waiting == Wait(Relist(""), 7.0)
    assert go(world, waiting.then, Stream).position == "9"
    assert world.server.names() == ["stream", "stream"]


def test_a_cache_that_does_not_get_as_far_as_etcd_is_gone_round_by_pages() -> None:
    world = World(streams=True)
    world.server.streams = [too_large(), too_large()]
    world.server.lists = [page([], 9)]
    phase: Phase = Start()
    for _ in range(2):
        phase = go(world, phase, Wait).then
    assert go(world, phase, Open) == Open("9")
    assert world.server.names() == ["stream", "stream", "list"]


@pytest.mark.parametrize("refusal", [refused(405), ForbiddenError("missing: watch")])
def test_where_only_watches_are_refused_pages_are_read(refusal: Exception) -> None:
    world = World(streams=True)
    world.server.streams = [refusal]
    world.server.lists = [page([], 9)]
    assert go(world, Start(), Open) == Open("9")
    assert State.FORBIDDEN not in world.store.states()
    assert not world.io.link.takes_pages("")


def test_an_error_inside_the_stream_begins_the_list_again() -> None:
    world = World("5", dict(ROWS), streams=True)
    world.server.streams = [[added("a"), error(500, "etcd is away")]]
    waiting = go(world, Relist("410"), Wait)
    assert waiting.then == Relist("410")
    assert "etcd is away" in world.store.last()[1]
    assert world.store.rows == ROWS


def test_a_malformed_stream_is_told_and_read_by_pages() -> None:
    world = World("5", dict(ROWS), streams=True)
    world.server.streams = [[added("a") + b"<html>\n"]]
    waiting = go(world, Relist("410"), Wait)
    assert waiting.then == Relist("410", paged=True)
    assert world.store.last()[1].startswith("malformed list: not JSON; ")
    assert world.store.rows == ROWS


def test_a_stream_that_removes_most_is_confirmed_by_pages() -> None:
    world = World("5", dict(ROWS), streams=True)
    world.server.streams = [[added("a"), initial_end(9)]]
    world.server.lists = [page([item("a", 1)], 10)]
    assert go(world, Relist("410"), Open) == Open("10")
    assert world.server.names() == ["stream", "list"]


def test_a_stream_from_a_server_that_lags_brings_nothing_back() -> None:
    world = World("50", {"a": "50"}, streams=True)
    world.server.streams = [[added("deleted"), initial_end(45)]]
    assert go(world, Relist("410"), Wait).then == Probe("50")
    assert world.store.rows == {"a": "50"}


def test_what_a_streaming_list_holds_open_is_let_go_of() -> None:
    world = World(streams=True)
    world.server.streams = [[added("a"), initial_end(9)]]
    listing = go(world, Start(), Initial)
    assert release(listing) == Relist("")
    assert listing.response.closed  # type: ignore[attr-defined]
    assert world.store.listings[0].done == "aborted"
    world.server.streams = [[initial_end(9)]]
    judged = go(world, Start(), Publish)
    assert release(judged) == Relist("")
    assert judged.stream is not None
    assert judged.stream.response.closed  # type: ignore[attr-defined]


def test_its_place_among_first_lists_is_given_back_when_it_is_published() -> None:
    world = World(streams=True)
    world.server.streams = [[added("a"), initial_end(9)]]
    phase = go(world, Start(), Initial)
    assert not world.io.first_lists.acquire(blocking=False)
    go(world, phase, Stream)
    assert world.io.first_lists.acquire(blocking=False)


def test_stopping_ends_it_without_a_word_about_the_server() -> None:
    world = World(streams=True)
    world.server.streams = [[added("a"), initial_end(9)]]
    phase = go(world, Start(), Initial)
    world.io.interrupted.set()
    assert step(phase, world.io) == Relist("")
    assert world.store.states() == [State.LISTING]


def test_never_means_pages() -> None:
    world = World()
    world.server.lists = [page([], 9)]
    go(world, Start(), Page)
    go(world, Start(), Open)
    assert set(world.server.names()) == {"list"}
