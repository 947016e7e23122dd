from __future__ import annotations

from tests.unit.reflector.fakes import World
from vai.reflector.reflector import Reflector
from vai.reflector.states import Page, Probe, Start


def test_a_list_that_is_asked_for_while_it_starts_is_not_forgotten() -> None:
    world = World("50", {"a": "50"})
    reflector = Reflector("pods", world.io)
    reflector.relist("somebody doubts it")
    started = reflector._step(Start())
    assert started == Probe("50")
    listing = reflector._step(started)
    assert isinstance(listing, Page)
    assert listing.why.reason == "somebody doubts it"
