"""A list in pages, between which the server is restored: two histories, of which one is gone."""

from __future__ import annotations

from tests.unit.reflector.fakes import World, item, page
from tests.unit.reflector.steps import go, refused
from vai.errors import ForbiddenError, OfflineError
from vai.reflector.states import Open, Page, Phase, Probe, Relist, Wait
from vai.types import State


def test_pages_of_a_server_that_is_behind_their_first_one_are_dropped() -> None:
    """The phantom: an object of the first page that the backup has never seen."""
    world = World()
    world.server.lists = [
        page([item("phantom", 95)], 100, "next"),
        page([item("b", 4)], 100),
        page([item("b", 4)], 60),
    ]
    world.server.probes = ["60"]
    waiting = go(world, Relist(), Wait)
    reason = "the server went back from resourceVersion 100 to 60 between two pages"
    assert waiting.then == Relist(reason)
    assert world.store.last() == (State.LISTING, reason)
    assert go(world, waiting.then, Open) == Open("60")
    assert world.store.rows == {"b": "4"}
    assert [listing.done for listing in world.store.listings] == ["aborted", "published"]


def test_a_page_of_an_earlier_moment_than_the_first_is_enough() -> None:
    """By the time of the probe, writes may have made up for it."""
    world = World()
    world.server.lists = [page([item("phantom", 95)], 100, "next"), page([item("b", 4)], 60)]
    assert isinstance(go(world, Relist(), Wait).then, Relist)
    assert world.store.listings[0].done == "aborted"
    assert "probe" not in world.server.names()


def test_a_list_begins_again_behind_an_outage() -> None:
    """What writes to the restored server have made up for, no resourceVersion would tell."""
    world = World()
    world.server.lists = [
        page([item("phantom", 95)], 100, "next"),
        OfflineError("refused"),
        page([item("b", 110)], 120),
    ]
    world.hooks.reconnects = [None]
    waiting = go(world, Relist(), Wait)
    assert waiting.then == Relist()
    assert waiting.offline
    assert go(world, waiting.then, Open) == Open("120")
    assert world.store.rows == {"b": "110"}


def test_who_refuses_a_page_is_asked_how_far_he_is_before_the_list_goes_on() -> None:
    """A restored server refuses the token until it has come so far, and then takes it."""
    world = World()
    world.server.lists = [page([item("phantom", 95)], 100, "next"), refused(504)]
    world.server.probes = ["60"]
    waiting = go(world, Relist(), Wait)
    assert isinstance(waiting.then, Page)
    assert isinstance(go(world, waiting.then, Wait).then, Relist)
    assert world.server.names() == ["list", "list", "probe"]
    assert world.store.listings[0].done == "aborted"


def test_a_list_goes_on_with_a_server_that_did_not_go_back() -> None:
    world = World()
    world.server.lists = [
        page([item("a", 95)], 100, "next"),
        refused(500),
        refused(503),
        page([item("b", 4)], 100),
    ]
    # Once for each refusal, and once for the whole.
    world.server.probes = [refused(500), "110", "110", "120"]
    phase: Phase = Relist()
    for _ in range(3):
        phase = go(world, phase, Wait).then
    assert go(world, phase, Open) == Open("100")
    assert len(world.store.listings) == 1


def test_a_restored_server_is_found_out_as_such_by_the_next_list() -> None:
    world = World("90", {"a": "80", "late": "90"})
    world.server.lists = [
        page([item("a", 80)], 100, "next"),
        page([item("late", 90)], 100),
        page([item("a", 30)], 60),
        page([item("a", 30)], 60),
    ]
    world.server.probes = ["60", "60", "60"]
    again = go(world, Relist("410"), Wait).then
    asked = go(world, again, Wait).then
    assert asked == Probe("90")
    assert go(world, asked, Open) == Open("60")
    assert world.hooks.back == ["the server went back from resourceVersion 90 to 60"]
    assert world.store.rows == {"a": "30"}


def test_a_list_counts_from_its_first_page_where_later_ones_are_of_later_moments() -> None:
    """The watch from there brings again what happened between them, as behind client-go's pager."""
    world = World()
    world.server.lists = [page([item("a", 3)], 9, "next"), page([item("b", 12)], 12)]
    world.server.probes = ["12"]
    assert go(world, Relist(), Open) == Open("9")


def test_who_may_list_but_not_watch_is_told_by_a_list() -> None:
    world = World()
    world.server.lists = [page([item("a", 3)], 9, "next"), page([item("b", 4)], 9), page([], 11)]
    world.server.probes = [ForbiddenError("watch")]
    assert go(world, Relist(), Open) == Open("9")
    assert world.server.asked[-1] == ("list", 1, "")


def test_one_page_is_one_moment_and_is_not_asked_after() -> None:
    world = World()
    world.server.lists = [page([item("a", 3)], 9)]
    assert go(world, Relist(), Open) == Open("9")
    assert world.server.names() == ["list"]
