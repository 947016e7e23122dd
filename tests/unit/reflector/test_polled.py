"""What can be listed and not watched: list, wait, list again, never a watch nor a probe."""

from __future__ import annotations

from tests.unit.reflector.fakes import World, item, page
from vai.errors import OfflineError
from vai.reflector.machine import step
from vai.reflector.states import Page, Phase, Relist, Start, Wait
from vai.types import State


def polling(*arguments: object) -> World:
    world = World(*arguments)  # type: ignore[arg-type]
    world.io.polls = True
    return world


def until_it_waits(world: World, phase: Phase) -> Wait:
    for _ in range(10):
        phase = step(phase, world.io)
        if isinstance(phase, Wait):
            return phase
    raise AssertionError(phase)


def test_a_list_proves_the_scope_and_the_next_one_comes_in_time() -> None:
    world = polling()
    world.server.lists = [page([item("a", 5)], 9)]
    wait = until_it_waits(world, Start())
    assert world.store.last() == (State.LIVE, "polled every 24s")
    assert wait == Wait(Relist("it can't be watched", proves=True), 24.0)
    assert world.server.names() == ["list"]
    assert ("polled", True) in world.store.log


def test_the_next_list_leaves_it_live_while_it_runs() -> None:
    world = polling()
    world.server.lists = [page([item("a", 5)], 9), page([item("a", 6)], 12)]
    wait = until_it_waits(world, Start())
    told = len(world.store.states())
    assert isinstance(step(wait.then, world.io), Page)
    assert set(world.store.states()[told:]) == {State.LIVE}
    assert isinstance(until_it_waits(world, wait.then).then, Relist)
    assert world.server.names() == ["list", "list"]


def test_a_file_of_before_is_listed_again_and_not_resumed() -> None:
    world = polling("50", {"a": "50"})
    assert step(Start(), world.io) == Relist("it can't be watched", proves=True)


def test_a_list_without_a_resource_version_counts() -> None:
    world = polling()
    world.server.lists = [b'{"metadata":{"resourceVersion":""},"items":[]}']
    until_it_waits(world, Start())
    assert world.store.last()[0] is State.LIVE


def test_a_server_that_is_away_is_told_and_the_list_tried_again() -> None:
    world = polling()
    world.server.lists = [OfflineError("refused"), page([item("a", 5)], 9)]
    wait = until_it_waits(world, Start())
    assert world.store.last() == (State.OFFLINE, "refused")
    world.hooks.reconnects = [None]
    until_it_waits(world, wait.then)
    assert world.store.last()[0] is State.LIVE


def test_after_a_restart_the_next_list_waits_until_it_is_due() -> None:
    world = polling("50", {"a": "50"})
    world.store.age_s = 10.0
    assert step(Start(), world.io) == Wait(Relist("it can't be watched", proves=True), 14.0)
    # Not live: nothing was proven by this process.
    assert world.store.last() == (State.CATCHING_UP, "polled every 24s")
    world.store.age_s = 24.5
    assert isinstance(step(Start(), world.io), Relist)
