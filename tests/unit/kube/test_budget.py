from __future__ import annotations

import threading
from functools import partial

import pytest

from tests.timing import wait_until
from vai.kube.budget import Budget


class Watched(Budget):
    """Notes who went when, while nobody else can go."""

    def __init__(self, *arguments: float | None, **named: object) -> None:
        self.order: list[str] = []
        super().__init__(*arguments, **named)  # type: ignore[arg-type]

    def _take(self, *, urgent: bool) -> None:
        self.order.append(threading.current_thread().name)
        super()._take(urgent=urgent)

    def waiting(self) -> int:
        return len(self._urgent) + len(self._lists)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def never() -> bool:
    return False


def waits(budget: Watched, count: int) -> bool:
    return budget.waiting() == count


def went(budget: Watched, count: int) -> bool:
    return len(budget.order) >= count


def queue_up(budget: Watched, names: list[str]) -> list[threading.Thread]:
    """Threads that wait for the budget, one after the other; names with `l` are lists."""
    threads = []
    for number, name in enumerate(names):
        urgent = not name.startswith("l")
        thread = threading.Thread(
            target=partial(budget.enter, urgent=urgent, ended=never),
            name=name,
            daemon=True,
        )
        thread.start()
        wait_until(partial(waits, budget, number + 1))
        threads.append(thread)
    return threads


def test_so_many_go_at_once_and_the_others_one_by_one() -> None:
    clock = Clock()
    budget = Watched(10.0, 3, None, clock=clock)
    threads = queue_up_freely(budget, 6)
    wait_until(lambda: len(budget.order) == 3)
    clock.now += 0.11
    wait_until(lambda: len(budget.order) == 4)
    clock.now += 60
    wait_until(lambda: len(budget.order) == 6)
    for thread in threads:
        thread.join(10)
    assert budget.waiting() == 0


def queue_up_freely(budget: Watched, count: int) -> list[threading.Thread]:
    threads = [
        threading.Thread(target=lambda: budget.enter(urgent=True, ended=never), daemon=True)
        for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    return threads


def test_what_proves_goes_before_lists_which_still_get_their_share() -> None:
    clock = Clock()
    budget = Watched(None, 1, None, clock=clock)
    budget.stand_back(10)
    threads = queue_up(budget, ["l1", "l2", "l3", *(f"p{number}" for number in range(7))])
    clock.now += 11
    for thread in threads:
        thread.join(10)
    assert budget.order == ["p0", "p1", "p2", "l1", "p3", "p4", "p5", "l2", "p6", "l3"]


def test_scopes_come_in_the_order_in_which_they_ask_whoever_asks_again_goes_to_the_end() -> None:
    clock = Clock()
    budget = Watched(10.0, 1, None, clock=clock)

    def scope() -> None:
        while budget.enter(urgent=False, ended=lambda: len(budget.order) >= 40):
            pass

    threads = [threading.Thread(target=scope, name=str(name), daemon=True) for name in range(4)]
    for thread in threads:
        thread.start()
    while len(budget.order) < 40:
        done = len(budget.order)
        # As after a while: whoever wanted to ask again stands in the queue.
        wait_until(lambda: budget.waiting() == 4 or len(budget.order) >= 40)
        clock.now += 0.11
        wait_until(partial(went, budget, done + 1))
    for thread in threads:
        thread.join(10)
    # The very first one met no queue.
    rounds = budget.order[1:37]
    assert len(set(rounds[:4])) == 4
    assert rounds == rounds[:4] * 9


def test_nothing_goes_out_while_the_server_wants_to_be_left_alone() -> None:
    clock = Clock()
    budget = Watched(1000.0, 100, None, clock=clock)
    budget.stand_back(5)
    (thread, *_) = threads = queue_up(budget, ["p0", "p1", "p2"])
    clock.now += 4.9
    thread.join(0.5)
    assert budget.order == []
    clock.now += 0.2
    for thread in threads:
        thread.join(10)
    assert budget.order == ["p0", "p1", "p2"]


def test_after_that_they_do_not_all_come_at_once() -> None:
    clock = Clock()
    budget = Watched(10.0, 100, None, clock=clock)
    budget.stand_back(5)
    threads = queue_up(budget, ["p0", "p1", "p2"])
    clock.now += 5.01
    wait_until(lambda: budget.order == ["p0"])
    threads[1].join(0.5)
    assert budget.order == ["p0"]
    clock.now += 1
    for thread in threads:
        thread.join(10)


def test_a_server_can_not_ask_for_silence_for_longer_than_half_a_minute() -> None:
    clock = Clock()
    budget = Watched(None, 1, None, clock=clock)
    budget.stand_back(3600)
    clock.now += 31
    assert budget.enter(urgent=True, ended=never)


def test_whoever_ends_leaves_the_queue() -> None:
    clock = Clock()
    budget = Watched(None, 1, None, clock=clock)
    budget.stand_back(10)
    assert not budget.enter(urgent=True, ended=lambda: True)
    assert budget.waiting() == 0
    clock.now += 11
    assert budget.enter(urgent=False, ended=never)


def test_bytes_of_watches_are_charged_to_lists() -> None:
    clock = Clock()
    budget = Watched(None, 1, 100_000.0, clock=clock)
    budget.pace(never)
    budget.received(250_000)
    ended = threading.Event()

    def read() -> None:
        budget.pace(never)
        ended.set()

    threading.Thread(target=read, daemon=True).start()
    clock.now += 1.0
    assert not ended.wait(0.5)
    clock.now += 0.6
    assert ended.wait(10)
    # Nothing that is no list waits for bytes.
    budget.received(10_000_000)
    assert budget.enter(urgent=True, ended=never)


@pytest.mark.parametrize("rate", [None, 50.0])
def test_a_budget_that_is_not_used_up_makes_nobody_wait(rate: float | None) -> None:
    clock = Clock()
    budget = Watched(rate, 300, None, clock=clock)
    for _ in range(300):
        assert budget.enter(urgent=False, ended=never)
    assert len(budget.order) == 300
