from __future__ import annotations

from tests.unit.reflector.fakes import World, item, page
from tests.unit.reflector.steps import go, refused
from vai.errors import OfflineError
from vai.reflector.states import Open, Relist, Wait


def test_a_page_that_was_begun_is_not_read_twice_into_one_list() -> None:
    """What fails in it may be another request: which server is this?"""
    world = World("50", {"a": "3", "gone": "4"})
    world.server.lists = [
        OfflineError("refused"),
        page([item("a", 3), item("gone", 4)], 60),
        page([item("a", 3)], 61),
    ]
    world.hooks.reconnects = [refused(504), None]
    silent = go(world, Relist("a test"), Wait)
    begun = go(world, silent.then, Wait)
    assert go(world, begun.then, Open) == Open("61")
    assert [listing.done for listing in world.store.listings] == ["aborted", "published"]
    assert world.store.rows == {"a": "3"}
