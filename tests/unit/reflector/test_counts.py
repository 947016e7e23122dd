"""What a reflector did is counted as client-go counts it."""

from __future__ import annotations

import pytest

from tests.unit.reflector.fakes import World, bookmark, error, event, item, page
from vai.errors import OfflineError
from vai.reflector import Reflector, Refusal, RefusedError
from vai.reflector.counts import Counts, kind_of
from vai.reflector.states import Phase, Relist, Start, Stream


def steps(world: World, most: int) -> tuple[Counts, Phase]:
    reflector = Reflector("pods", world.io)
    phase: Phase = Start()
    for _ in range(most):
        phase = reflector._step(phase)
    return reflector.counts, phase


def test_a_first_list_and_its_watch() -> None:
    world = World()
    world.server.lists = [page([item("a", 3)], 9, "next"), page([item("b", 4)], 9)]
    world.server.probes = ["9"]
    world.server.watches = [
        [event("ADDED", item("c", 10)), world.passing(14), event("DELETED", item("a", 11))]
    ]
    counts, phase = steps(world, 6)
    assert isinstance(phase, Stream)
    assert dict(counts.lists) == {"first": 1}
    assert (counts.list_items.count, counts.list_items.sum) == (1, 2)
    assert counts.list_duration_s.count == 1
    counts, phase = steps_on(world, counts, phase, 3)
    assert (counts.watches, counts.events) == (1, 2)
    assert (counts.watch_items.count, counts.watch_items.sum) == (1, 2)
    assert counts.watch_duration_s.sum == 14
    assert counts.short_watches == 0


def steps_on(world: World, counts: Counts, phase: Phase, most: int) -> tuple[Counts, Phase]:
    reflector = Reflector("pods", world.io)
    reflector.counts = counts
    for _ in range(most):
        phase = reflector._step(phase)
    return counts, phase


def test_a_410_is_counted_wherever_it_comes_from_and_so_is_its_list() -> None:
    for answer in ([error(410)], RefusedError(Refusal(code=410, message="too old"))):
        world = World("50", {"a": "50"})
        world.server.probes = ["51", "51"]
        world.server.watches = [answer]
        world.server.lists = [page([], 60), page([], 60)]
        counts, _ = steps(world, 5)
        assert counts.expired == 1, answer
        assert counts.lists["expired"] == 1, answer


def test_a_watch_without_events_that_ends_at_once_is_short() -> None:
    world = World("50", {"a": "50"})
    world.server.probes = ["50", "50"]
    world.server.watches = [[]]
    counts, _ = steps(world, 4)
    assert (counts.watches, counts.short_watches) == (1, 1)
    world = World("50", {"a": "50"})
    world.server.probes = ["50", "50"]
    world.server.watches = [[bookmark(50)]]
    counts, _ = steps(world, 5)
    assert (counts.watches, counts.short_watches) == (1, 0)


def test_a_watch_that_breaks_counts_as_ended() -> None:
    world = World("50", {"a": "50"})
    world.server.probes = ["50"]
    world.server.watches = [[event("ADDED", item("b", 51)), OfflineError("reset")]]
    counts, _ = steps(world, 5)
    assert (counts.watches, counts.watch_duration_s.count, counts.events) == (1, 1, 1)


@pytest.mark.parametrize(
    ("relist", "kind"),
    [
        (Relist(), "first"),
        (Relist("410 Expired: too old resource version"), "expired"),
        (Relist("the self-check found 1 missing: missing ns/a"), "self-check"),
        (Relist("the server went back from resourceVersion 9 to 3"), "restored"),
        (Relist("malformed watch frame: not JSON"), "malformed"),
        (Relist("x", proves=True), "proof"),
        (Relist("x", confirming=True), "confirming"),
        (Relist("something new"), "other"),
    ],
)
def test_reasons_of_lists_are_few(relist: Relist, kind: str) -> None:
    assert kind_of(relist) == kind
