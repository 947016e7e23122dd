"""The log has changes of state, and nothing of the tries between them."""

from __future__ import annotations

import logging

import pytest

from tests.unit.reflector.fakes import World, bookmark, event, item
from vai.errors import ForbiddenError, OfflineError
from vai.reflector import Reflector
from vai.reflector.journal import Journal
from vai.reflector.states import Phase, Start
from vai.types import State


def run(world: World, until_s: float) -> None:
    """A reflector's loop without its thread, until the world's clock says so."""
    reflector = Reflector("pods", world.io)
    world.io.link.wait = lambda seconds, *_: bool(world.passing(seconds)())  # type: ignore[method-assign]
    phase: Phase = Start()
    while world.now_s < until_s:
        before = world.now_s
        phase = reflector._step(phase)
        if world.now_s == before:
            world.now_s += 0.1


class Answers(list[object]):
    """Prepared answers that never run out."""

    def __init__(self, give: object) -> None:
        super().__init__()
        self._give = give

    def pop(self, _index: object = 0) -> object:
        return self._give() if callable(self._give) else self._give


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "vai"]


def test_an_hour_of_reconnects_is_a_line_per_change_of_state(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Four outages of ten minutes in 80 minutes; links that break after their first bytes."""
    caplog.set_level(logging.DEBUG, logger="vai")
    world = World("50", {"a": "50"})
    start = world.now_s
    tried = [0]

    def is_down() -> bool:
        return int((world.now_s - start) / 600) % 2 == 1

    def probe() -> object:
        tried[0] += 1
        # Each second answer comes all the same: the scope is catching up, and offline again.
        return OfflineError("refused") if is_down() and tried[0] % 2 else "50"

    def watch() -> object:
        if is_down():
            return [OfflineError("reset")]
        return [world.passing(13), bookmark(50), event("MODIFIED", item("a", 50))]

    world.hooks.reconnects = Answers(None)  # type: ignore[assignment]
    world.server.probes = Answers(probe)
    world.server.watches = Answers(watch)
    run(world, start + 8 * 600)
    found = lines(caplog)
    assert tried[0] > 200
    # Which of the two failures came first, or a moment of luck, makes no other line.
    assert [line.split(", it was")[0].split(": re")[0] for line in found] == [
        "pods: live",
        *["pods: offline", "pods: live again"] * 3,
        "pods: offline",
    ], found
    assert "it was offline for 9m" in found[2] or "it was offline for 10m" in found[2]


def test_a_right_that_is_missing_for_long_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="vai")
    world = World()
    asked = [0]

    def refuse() -> object:
        asked[0] += 1
        return ForbiddenError(f"403 Forbidden: no ({asked[0]})")

    world.server.lists = Answers(refuse)
    run(world, world.now_s + 3600)
    assert asked[0] > 100
    assert lines(caplog) == ["pods: forbidden: 403 Forbidden: no (1)"]


def test_states_on_the_way_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="vai")
    now_s = [0.0]
    journal = Journal("pods", lambda: now_s[0])
    told = [
        None,
        (State.LISTING, ""),
        (State.CATCHING_UP, ""),
        (State.LIVE, ""),
        (State.CATCHING_UP, "listing again: 410"),
        (State.LIVE, ""),
        (State.GONE, "the server serves the resource no longer"),
    ]
    for one in told:
        journal.see(one)
        now_s[0] += 1
    assert lines(caplog) == [
        "pods: live",
        "pods: gone: the server serves the resource no longer",
    ]


def test_one_outage_has_each_of_its_states_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="vai")
    now_s = [0.0]
    journal = Journal("pods", lambda: now_s[0])
    for _ in range(100):
        for state in (State.OFFLINE, State.STALE, State.CATCHING_UP, State.LIVE):
            journal.see((state, "why"))
            now_s[0] += 1
    for _ in range(10):
        journal.see((State.LIVE, ""))
        now_s[0] += 1
    assert lines(caplog) == [
        "pods: offline: why",
        "pods: stale: why",
        "pods: live again, it was offline and stale for 6m39s",
    ]
