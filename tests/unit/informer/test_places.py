from __future__ import annotations

import threading

from tests.timing import wait_until
from vai.informer.places import Places, Turn


def test_the_lowest_rank_comes_first_whoever_waited_longer() -> None:
    places = Places(1)
    first = places.of(5)
    assert first.acquire(timeout=0)
    order: list[str] = []

    def wait(name: str, turn: Turn) -> None:
        while not turn.acquire(timeout=0.05):
            pass
        order.append(name)
        turn.release()

    ranks = {"events": 9, "pods": 1, "namespaces": 0}
    threads = []
    for name, rank in ranks.items():
        thread = threading.Thread(target=wait, args=(name, places.of(rank)), daemon=True)
        thread.start()
        threads.append(thread)
    wait_until(lambda: len(places._waiting) == 3)
    first.release()
    for thread in threads:
        thread.join(10)
    assert order == ["namespaces", "pods", "events"]


def test_there_are_as_many_places_as_there_are() -> None:
    places = Places(2)
    turns = [places.of(0) for _ in range(3)]
    assert [turn.acquire(timeout=0) for turn in turns] == [True, True, False]
    turns[0].release()
    assert turns[2].acquire(timeout=5)


def test_whoever_gave_up_keeps_nobody_out() -> None:
    now = 0.0
    places = Places(1, clock=lambda: now)
    held, given_up, patient = places.of(5), places.of(0), places.of(7)
    assert held.acquire(timeout=0)
    assert not given_up.acquire(timeout=0)
    held.release()
    assert not patient.acquire(timeout=0), "it may only have looked whether it was stopped"
    now = 2.0
    assert patient.acquire(timeout=0)
