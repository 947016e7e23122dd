"""What must not become a storm of lists, and what must not bring back the past."""

from __future__ import annotations

import itertools

import pytest

from tests.unit.reflector.fakes import Json, World, error, event, item, page
from tests.unit.reflector.steps import ROWS, go, refused, stream, too_large
from vai.reflector.machine import step
from vai.reflector.states import Open, Phase, Probe, Proof, Publish, Relist, Start, Wait


def test_one_of_several_servers_may_be_behind_another() -> None:
    """Asked again a moment later, and the watch is opened from the future of those that lag."""
    world = World("50", dict(ROWS))
    world.server.probes = ["9", "51"]
    assert go(world, Start(), Open) == Open("50", (Proof("51", 2.0),), quick=True)
    assert world.now_s == 1001
    assert world.hooks.back == []
    assert world.store.rows == ROWS
    assert "list" not in world.server.names()


def test_servers_that_go_on_to_disagree_are_listed_ever_more_seldom() -> None:
    world = World("50", dict(ROWS))
    phase: Phase = Probe("50")
    began, lists = world.now_s, []
    for _ in range(6):
        world.server.probes = ["9", "9"]
        world.server.lists = [page([item("a", 1), item("b", 2), item("c", 3)], 50)]
        go(world, phase, Publish, most=6)
        lists.append(world.now_s - began)
        phase = Probe("50")
    gaps = [later - before for before, later in itertools.pairwise(lists)]
    assert gaps == pytest.approx([1.8, 2.6, 4.2, 7.4, 13.8])


def test_a_list_of_a_server_that_lags_brings_nothing_back() -> None:
    world = World("50", {"a": "50"})
    world.server.lists = [page([item("a", 40), item("deleted", 30)], 45), page([item("a", 50)], 51)]
    waiting = go(world, Relist("410"), Wait)
    assert waiting.then == Probe("50")
    assert world.store.rows == {"a": "50"}
    assert world.store.listings[0].done == "aborted"
    assert "servers behind one address disagree" in world.store.last()[1]
    # If all of them went back it is the probe that says so, and then the list has the last word.
    world.server.probes = ["45", "45"]
    world.server.lists = [page([item("a", 40), item("deleted", 30)], 45)]
    assert go(world, waiting.then, Open) == Open("45")
    assert world.store.rows == {"a": "40", "deleted": "30"}


def test_a_server_that_answers_every_watch_with_410_is_listed_ever_more_seldom() -> None:
    world = World("50")
    phase: Phase = Open("50")
    waits = []
    for version in range(60, 66):
        world.server.watches = [refused(410)]
        world.server.lists = [page([], version)]
        phase = go(world, phase, Open)
        waits.append(world.now_s - 1000)
    gaps = [later - before for before, later in itertools.pairwise([0.0, *waits])]
    assert gaps == pytest.approx([0, 0.8, 1.6, 3.2, 6.4, 12.8])
    # Two quiet minutes later it is no loop any more.
    world.now_s += 121
    world.server.watches = [refused(410)]
    assert isinstance(step(Open("70"), world.io), Relist)


def test_a_list_that_always_expires_is_tried_with_ever_longer_waits() -> None:
    world = World()
    world.server.lists = [page([], 9, "next"), refused(410), refused(410), refused(410)]
    first = go(world, Start(), Wait)
    assert world.server.asked == [("list", 500, ""), ("list", 500, "next"), ("list", 0, "")]
    second = go(world, first.then, Wait)
    assert (first.seconds, second.seconds) == (0.8, 1.6)
    assert world.store.last()[1] == "410: said no"


def test_a_first_page_that_expired_is_asked_for_unpaged() -> None:
    """A server that lists from its cache may say so before there is any token."""
    world = World()
    world.server.lists = [refused(410), page([item("a", 5)], 12)]
    assert go(world, Start(), Open) == Open("12")
    assert world.server.asked == [("list", 500, ""), ("list", 0, "")]


def test_a_version_that_the_server_has_not_got_to_is_waited_for_and_never_listed() -> None:
    world = World("60")
    world.server.watches = [too_large()] * 5
    waits = []
    for _ in range(5):
        waiting = go(world, Open("60"), Wait)
        assert waiting.then == Probe("60")
        waits.append(waiting.seconds)
    assert waits == [1.0, 1.6, 3.2, 6.4, 12.8]
    assert "Too large resource version" in world.store.last()[1]


@pytest.mark.parametrize(
    "said",
    [
        {"details": {"causes": [{"reason": "ResourceVersionTooLarge"}]}},
        {"details": {"causes": [{"message": "Too large resource version"}]}},
        {"message": "Too large resource version: 60, current: 50"},
    ],
    ids=["cause", "message-of-a-cause", "message"],
)
def test_an_error_event_that_says_so_is_waited_out_as_well(said: Json) -> None:
    world = World("60")
    for _ in range(5):
        status = event("ERROR", {"code": 500, **said})
        assert go(world, stream(world, [status], Open("60")), Wait).then == Probe("60")


def test_those_whom_a_server_told_the_same_do_not_come_back_together() -> None:
    world = World("50")
    world.io.draw = lambda: 0.5
    world.server.probes = [refused(429, 8.0)]
    assert go(world, Start(), Wait).seconds == 9.0


def test_a_position_that_the_server_can_not_go_past_leads_to_a_list() -> None:
    world = World("50")
    waiting = go(world, stream(world, [error(500)]), Wait)
    assert waiting.then == Probe("50")
    assert isinstance(step(stream(world, [error(500)]), world.io), Relist)


@pytest.mark.parametrize("code", [429, 503, 504])
def test_a_busy_server_that_ends_watches_never_leads_to_a_list(code: int) -> None:
    world = World("50")
    for _ in range(5):
        assert go(world, stream(world, [error(code)]), Wait).then == Probe("50")


def test_a_server_that_went_back_was_restored_and_voids_the_checkpoint() -> None:
    world = World("50")
    world.server.probes = ["9", "9"]
    asked_again = go(world, Start(), Wait)
    assert world.hooks.back == []
    phase = go(world, asked_again, Relist)
    assert world.hooks.back == ["the server went back from resourceVersion 50 to 9"]
    assert phase == Relist(world.hooks.back[0], restored=True)


def test_a_server_whose_every_watch_is_malformed_is_listed_ever_more_seldom() -> None:
    """Each list is a proof, which resets all other waits."""
    world = World("50")
    phase: Phase = Open("50")
    waits = []
    for version in range(60, 66):
        world.server.lists = [page([], version)]
        phase = go(world, stream(world, [b"{{{\n"], Open("50")), Open)
        waits.append(world.now_s - 1000)
    gaps = [later - before for before, later in itertools.pairwise([0.0, *waits])]
    assert gaps == pytest.approx([0.8, 0.8, 1.6, 3.2, 6.4, 12.8])
    assert isinstance(phase, Open)
