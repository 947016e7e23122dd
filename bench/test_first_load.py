"""A first list of all pods, from pages in memory to what can be asked."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bench import memory, race, warm
from bench.contenders import CONTENDERS
from bench.prepared import Prepared

pytestmark = pytest.mark.benchmark(timer=race.clock)

ROUNDS = 5


@pytest.fixture(scope="module")
def seconds(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[float]]:
    pages = list(prepared.pages())

    def a_round(name: str) -> float:
        with tempfile.TemporaryDirectory(dir=tmp_path_factory.getbasetemp()) as folder:
            chosen = CONTENDERS[name](Path(folder))
            started = time.perf_counter()
            chosen.load(pages)
            chosen.settle()
            taken = time.perf_counter() - started
            chosen.close()
        return taken

    rounds = {name: partial(a_round, name) for name in CONTENDERS}
    return race.run(rounds, ROUNDS)


@pytest.mark.parametrize("contender", CONTENDERS)
def test_first_load(
    benchmark: Any,
    prepared: Prepared,
    seconds: dict[str, list[float]],
    tmp_path: Path,
    contender: str,
) -> None:
    speed = prepared.count / statistics.median(seconds[contender])
    race.show(
        benchmark,
        f"first load of {prepared.count} pods ({prepared.json_bytes / 1e6:.0f} MB of JSON)",
        seconds[contender],
        **{"objects/s": round(speed)},
        **memory.measure(contender, prepared.folder, tmp_path),
    )


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what is resident")
def test_memory_of_a_load_and_a_warm_query_mix(
    benchmark: Any, prepared: Prepared, tmp_path: Path
) -> None:
    started = time.perf_counter()
    sizes = warm.measure(prepared.folder, tmp_path)
    group = f"memory of one process: {prepared.count} pods loaded, then a warm query mix"
    race.show(benchmark, group, [time.perf_counter() - started], **sizes)
