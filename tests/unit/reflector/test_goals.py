"""Goals: a probe for all scopes of a resource, asked shortly before it is needed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.unit.reflector.fakes import World, bookmark
from tests.unit.reflector.steps import go, stream
from vai.errors import OfflineError
from vai.reflector.goals import Goals, Prober
from vai.reflector.machine import step
from vai.reflector.states import Bookmarks, Open, Probe, Proof, Stream, Wait
from vai.types import State


def of_another_scope(world: World, version: str) -> Proof:
    """What another scope of the resource was told just now."""
    if world.io.goals is None:
        world.io.goals = Goals(world.io.boottime_s)
    return world.io.goals.ask(lambda: version)


def live(world: World) -> None:
    """As it is in the middle of its life."""
    world.io.bookmarks_seen = True
    world.io.proven(0.0)
    world.server.asked.clear()


# --- what a scope makes of them


def test_a_bookmark_proves_the_scope_as_of_the_newest_goal_that_it_reaches() -> None:
    world = World("50")
    phase = stream(world, [bookmark(60)])
    of_another_scope(world, "55")
    reached, beyond = of_another_scope(world, "60"), of_another_scope(world, "61")
    go(world, phase, Stream, most=1)
    assert world.store.proofs() == [reached.asked_s]
    assert beyond.asked_s > reached.asked_s
    assert world.server.names() == ["watch"]


def test_the_next_watch_needs_no_probe_where_another_scope_has_just_asked() -> None:
    world = World("50")
    live(world)
    goal = of_another_scope(world, "60")
    assert step(Probe("50", reached_s=0.0), world.io) == Open("50", (goal,))
    assert world.server.names() == []


def test_a_goal_of_long_ago_is_asked_for_again() -> None:
    world = World("50")
    live(world)
    of_another_scope(world, "60")
    boot = [100.0]
    world.io.boottime_s = world.io.goals.boottime_s = lambda: boot[0]  # type: ignore[union-attr]
    world.server.probes = ["61"]
    assert step(Probe("50", reached_s=0.0), world.io) == Open("50", (Proof("61", 100.0),))


def test_after_a_failure_a_scope_asks_for_itself() -> None:
    world = World("50")
    live(world)
    of_another_scope(world, "60")
    # The server was restored meanwhile.
    world.server.probes = ["40"]
    assert step(Probe("50"), world.io) == Wait(Probe("50", lower=True), 1.0)


def test_a_goal_that_the_stream_has_passed_says_nothing_about_going_back() -> None:
    world = World("50")
    live(world)
    of_another_scope(world, "40")
    assert step(Probe("50", reached_s=100.0), world.io) == Open("50")
    assert world.server.names() == []


def test_a_server_that_went_back_is_noticed_by_anothers_probe() -> None:
    world = World("50")
    live(world)
    of_another_scope(world, "40")
    world.server.probes = ["41"]
    assert step(Probe("50", reached_s=0.0), world.io) == Wait(Probe("50", lower=True), 1.0)


def test_only_a_watch_that_lasted_leaves_the_next_probe_to_others() -> None:
    world = World("50")
    cut = go(world, stream(world, [bookmark(60), world.passing(19)]), Probe)
    assert cut == Probe("60")
    whole = go(world, stream(world, [bookmark(60), world.passing(20)]), Probe)
    assert whole.reached_s is not None


def test_a_bookmark_that_did_not_come_in_time_is_waited_for_once_more_and_longer() -> None:
    world = World("50")
    world.io.bookmarks_seen = True
    asked: list[Any] = []
    phase: Any = Open("50", (Proof("60", 4.0),), quick=True)
    for _ in range(3):
        phase = go(world, stream(world, [world.passing(3)], phase), Open)
        asked.append((phase.quick, world.server.asked[-1][2]))
    # A server that never gets there must not be asked every three seconds.
    assert asked == [(True, 3), (True, 5), (False, 7)]


# --- silence


def silent(world: World, *, goal_s: float = 0.5) -> Any:
    """A watch of events: a probe before and one within it, and nothing until the server ends it."""
    world.server.probes = ["90"]
    opened = step(Probe("50"), world.io)
    assert isinstance(opened, Open)
    lasts_s = world.io.watch_timeout_s(quick=opened.quick)

    def ask() -> None:
        of_another_scope(world, "91")

    chunks = [world.passing(goal_s), ask, world.passing(lasts_s - goal_s)]
    return stream(world, chunks, opened)


def watching_events() -> World:
    world = World("50")
    world.io.bookmarks = Bookmarks.NONE
    # The clocks of the fakes are two; here they are one.
    world.io.boottime_s = lambda: world.now_s
    world.io.goals = Goals(world.io.boottime_s)
    return world


def test_a_watch_without_bookmarks_that_was_quiet_to_its_end_proves_what_was_before_it() -> None:
    world = watching_events()
    asked_s = world.now_s + 0.5
    phase = step(silent(world), world.io)
    # Not yet: that the server is still there has to be seen.
    assert world.store.proofs() == []
    world.server.probes = ["92"]
    following = step(phase, world.io)
    assert world.store.proofs() == [asked_s]
    assert world.store.last() == (
        State.LIVE,
        "quiet, and proven by that: the server sends no bookmarks for it",
    )
    # The checkpoint stands: what is late after all will come.
    assert following == Open("50", (Proof("92", world.now_s),))
    assert "list" not in world.server.names()


def test_a_watch_that_was_cut_short_proves_nothing() -> None:
    world = watching_events()
    phase = silent(world)
    phase = step(stream(world, [world.passing(2)], Open("50", phase.proofs, quick=True)), world.io)
    world.server.probes = ["91"]
    step(phase, world.io)
    assert world.store.proofs() == []


def test_a_quiet_watch_proves_nothing_when_the_server_is_gone_behind_it() -> None:
    world = watching_events()
    phase = step(silent(world), world.io)
    world.server.probes = [OfflineError("gone")]
    step(phase, world.io)
    assert world.store.proofs() == []
    assert world.store.last()[0] is State.OFFLINE


def test_a_goal_asked_just_before_the_end_of_a_quiet_watch_is_not_proven_by_it() -> None:
    world = watching_events()
    goals = world.io.goals = Goals(world.io.boottime_s)

    def early() -> None:
        goals.ask(lambda: "95")

    def late() -> None:
        goals.ask(lambda: "96")

    chunks = [world.passing(15), early, world.passing(4), late, world.passing(1)]
    phase = step(stream(world, chunks, Open("50")), world.io)
    assert isinstance(phase, Probe)
    assert phase.silence == Proof("95", world.now_s - 5)


def test_events_that_get_bookmarks_after_all_are_proven_by_them() -> None:
    world = watching_events()
    world.server.probes = ["90"]
    opened = step(Probe("50"), world.io)
    phase = go(world, stream(world, [bookmark(90), world.passing(3)], opened), Stream)  # type: ignore[arg-type]
    assert world.store.last() == (State.LIVE, "")
    world.server.probes = ["95"]
    assert go(world, phase, Open) == Open("90")


def test_a_quiet_watch_proves_nothing_of_before_it_began_or_of_just_before_its_end() -> None:
    # etcd may have been frozen all the time: only what it answered meanwhile shows that it was not.
    world = watching_events()
    of_another_scope(world, "89")
    world.now_s += 0.1
    phase = step(silent(world, goal_s=1.5), world.io)
    assert isinstance(phase, Probe)
    assert phase.silence is None


def test_of_what_is_cached_silence_proves_nothing() -> None:
    world = watching_events()
    world.io.bookmarks = Bookmarks.SENT
    phase: Any = silent(world)
    for _ in range(3):
        phase = step(phase, world.io)
        assert isinstance(phase, Open)
        lasts_s = world.io.watch_timeout_s(quick=phase.quick)
        phase = stream(world, [world.passing(lasts_s)], phase)
    assert world.store.proofs() == []


# --- the prober


@pytest.fixture
def prober() -> Iterator[Prober]:
    made = Prober(0.8, time.monotonic)
    yield made
    made.stop()
    assert made.join(2.0)


def counted(answer: Callable[[], str] = lambda: "5") -> tuple[list[float], Callable[[], str]]:
    asked: list[float] = []

    def probe() -> str:
        asked.append(time.monotonic())
        return answer()

    return asked, probe


def until(holds: Callable[[], object], within_s: float = 5.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_streams_that_end_together_share_one_probe_made_before_their_bookmarks(
    prober: Prober,
) -> None:
    asked, probe = counted()
    goals = prober.of("pods")
    began = time.monotonic()
    for due_s in (1.05, 0.9, 1.0, 2.5):
        goals.want(began + due_s, probe)
    until(lambda: len(asked) == 2)
    assert asked[0] - began < 0.9
    # The last one would have had too old a goal by then.
    assert 1.9 < asked[1] - began < 2.5
    assert [goal.resource_version for goal in goals.known()] == ["5", "5"]


def test_goals_of_one_resource_are_not_those_of_another(prober: Prober) -> None:
    _, probe = counted()
    prober.of("pods").want(time.monotonic(), probe)
    until(lambda: prober.of("pods").known())
    assert prober.of("widgets.example.com").known() == []


def test_a_probe_that_failed_leaves_it_to_the_scopes_until_one_is_answered(
    prober: Prober,
) -> None:
    def away() -> str:
        raise OfflineError("gone")

    asked, probe = counted(away)
    goals = prober.of("pods")
    goals.want(time.monotonic(), probe)
    until(lambda: asked)
    goals.want(time.monotonic(), probe)
    time.sleep(0.2)
    assert len(asked) == 1
    goals.ask(lambda: "7")
    goals.want(time.monotonic(), probe)
    until(lambda: len(asked) == 2)


def test_without_anybody_who_wants_something_there_is_no_thread(prober: Prober) -> None:
    prober.of("pods")
    assert "vai-prober" not in {thread.name for thread in threading.enumerate()}
