"""Whole clients on the same stream: first sync and events over HTTP on loopback."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bench import race
from bench.canned import Canned, serving
from bench.informers import CLIENTS
from bench.prepared import Prepared

pytestmark = [
    pytest.mark.benchmark(timer=race.clock),
    # SharedInformer takes half a minute for one list of 10,000 pods.
    pytest.mark.timeout(1200),
]

ROUNDS = 3
#: The `kubernetes` package takes about 2 ms for each.
EVENTS = 2_000

Runs = dict[str, list[dict[str, float]]]


def client(name: str, canned: Canned, folder: Path, pods: int) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.informers", name, canned.url, str(folder)]
    done = subprocess.run(
        [*command, str(pods), str(EVENTS)],
        cwd=Path(__file__).parent.parent,
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def runs(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    found: Runs = {name: [] for name in ("download only", *CLIENTS)}

    def a_round(name: str) -> float:
        # A server of its own: events move it on.
        with serving(prepared) as canned:
            canned.download()
            if name == "download only":
                started = time.perf_counter()
                canned.download()
                found[name].append({"synced_s": time.perf_counter() - started})
            else:
                folder = tmp_path_factory.mktemp("client")
                found[name].append(client(name, canned, folder, prepared.count))
        return found[name][-1]["synced_s"]

    race.run({name: partial(a_round, name) for name in found}, ROUNDS)
    return found


@pytest.mark.parametrize("contender", ["download only", *CLIENTS])
def test_first_sync(benchmark: Any, prepared: Prepared, runs: Runs, contender: str) -> None:
    seconds = [run["synced_s"] for run in runs[contender]]
    memory = {
        name: statistics.median(run[name] for run in runs[contender])
        for name in ("peak_mb", "grown_mb")
        if name in runs[contender][0]
    }
    speed = round(prepared.count / statistics.median(seconds))
    group = f"first sync of {prepared.count} pods over HTTP"
    race.show(benchmark, group, seconds, **{"objects/s": speed}, **memory)


@pytest.mark.parametrize("contender", list(CLIENTS))
def test_events(benchmark: Any, runs: Runs, contender: str) -> None:
    seconds = [run["followed_s"] for run in runs[contender]]
    speed = round(EVENTS / statistics.median(seconds))
    race.show(benchmark, f"{EVENTS} events over HTTP", seconds, **{"events/s": speed})
