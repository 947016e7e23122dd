"""Watch events: one alone, and ten thousand as fast as they go."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bench import race
from bench.contenders import CONTENDERS, Contender, Vai
from bench.prepared import EVENTS, Prepared

pytestmark = pytest.mark.benchmark(timer=race.clock)

BURSTS = 3
LONE = 40
#: Between two lone events: more than a commit interval (10 ms), so that each is alone.
PAUSE_S = 0.03


@pytest.fixture(scope="module")
def bursts(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[float]]:
    chunks = prepared.bursts()

    def a_round(name: str) -> float:
        with tempfile.TemporaryDirectory(dir=tmp_path_factory.getbasetemp()) as folder:
            chosen = CONTENDERS[name](Path(folder))
            chosen.load(prepared.pages())
            chosen.settle()
            started = time.perf_counter()
            for chunk in chunks:
                chosen.apply(chunk)
            chosen.settle()
            taken = time.perf_counter() - started
            assert chosen.get(*prepared.some_key)
            chosen.close()
        return taken

    return race.run({name: partial(a_round, name) for name in CONTENDERS}, BURSTS)


@pytest.mark.parametrize("contender", CONTENDERS)
def test_burst(benchmark: Any, bursts: dict[str, list[float]], contender: str) -> None:
    speed = round(EVENTS / statistics.median(bursts[contender]))
    group = f"{EVENTS} events at once, until all are kept"
    race.show(benchmark, group, bursts[contender], **{"events/s": speed})


@pytest.fixture(scope="module")
def loaded(
    prepared: Prepared, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Contender]]:
    every = {name: make(tmp_path_factory.mktemp("events")) for name, make in CONTENDERS.items()}
    for contender in every.values():
        contender.load(prepared.pages())
        contender.settle()
    yield every
    for contender in every.values():
        contender.close()


@pytest.fixture(scope="module")
def lone(prepared: Prepared, loaded: dict[str, Contender]) -> dict[str, list[float]]:
    """From the event's bytes until it is kept; and until a reader in another process sees it."""
    events = prepared.events()[:LONE]
    names = [*CONTENDERS, "vai, seen by a reader"]
    seconds: dict[str, list[float]] = {name: [] for name in names}
    vai = loaded["vai"]
    assert isinstance(vai, Vai)
    with subprocess.Popen(
        [sys.executable, "-m", "bench.follower", str(vai.path)],
        cwd=Path(__file__).parent.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as follower:
        assert follower.stdout is not None
        assert follower.stdin is not None
        follower.stdout.readline()
        for event in events:
            for name, contender in loaded.items():
                time.sleep(PAUSE_S)
                started = time.monotonic()
                contender.apply(event)
                contender.settle()
                seconds[name].append(time.monotonic() - started)
                if contender is vai:
                    seen = float(follower.stdout.readline().split()[1])
                    seconds["vai, seen by a reader"].append(seen - started)
        follower.stdin.close()
    return seconds


@pytest.mark.parametrize("contender", [*CONTENDERS, "vai, seen by a reader"])
def test_lone(benchmark: Any, lone: dict[str, list[float]], contender: str) -> None:
    race.show(benchmark, "one event alone, until it is kept", lone[contender])
