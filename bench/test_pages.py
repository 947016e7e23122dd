"""Answers from a loaded copy: bytes of a Kubernetes List with the number of all matches."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from bench import race
from bench.contenders import CONTENDERS, Contender, Query
from bench.prepared import SHARES, Prepared

pytestmark = pytest.mark.benchmark(timer=race.clock)

ROUNDS = 7
#: A round of a quick contender repeats until this long has passed, and counts the mean.
ROUND_S = 0.01

QUERIES = [
    Query(name="first 100, no filter"),
    *(Query(name=f"first 100, label of {share}", label=(share, "yes")) for share in SHARES),
    Query(name="first 100 of one namespace", namespace="team-04"),
    Query(name="first 100, spec.nodeName", field=("spec.nodeName", "node-013")),
    Query(name="first 100, status.phase=Running", field=("status.phase", "Running")),
    Query(name="whole list", limit=0),
]


@pytest.fixture(scope="module")
def loaded(
    prepared: Prepared, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Contender]]:
    every = {name: make(tmp_path_factory.mktemp("loaded")) for name, make in CONTENDERS.items()}
    for contender in every.values():
        contender.load(prepared.pages())
        contender.settle()
    # Or every collection between two rounds would look through millions of parsed values.
    gc.freeze()
    yield every
    gc.unfreeze()
    for contender in every.values():
        contender.close()


def timed(work: Callable[[], object]) -> float:
    """Seconds of one call, the mean of as many as fit into a round."""
    started = time.perf_counter()
    calls = 0
    while (taken := time.perf_counter() - started) < ROUND_S:
        work()
        calls += 1
    return taken / calls


def raced(loaded: dict[str, Contender], work: Callable[[Contender], object]) -> Any:
    return race.run(
        {name: partial(timed, partial(work, chosen)) for name, chosen in loaded.items()},
        ROUNDS,
    )


@pytest.fixture(scope="module", params=QUERIES, ids=lambda query: query.name)
def queried(
    request: pytest.FixtureRequest, loaded: dict[str, Contender]
) -> tuple[Query, dict[str, list[float]]]:
    query = request.param
    totals = {name: chosen.page(query)[0] for name, chosen in loaded.items()}
    assert len(set(totals.values())) == 1, f"{query.name}: they do not agree: {totals}"
    return query, raced(loaded, lambda chosen: chosen.page(query))


@pytest.mark.parametrize("contender", CONTENDERS)
def test_page(
    benchmark: Any,
    loaded: dict[str, Contender],
    queried: tuple[Query, dict[str, list[float]]],
    contender: str,
) -> None:
    query, seconds = queried
    total, raw = loaded[contender].page(query)
    assert len(raw) > 1000
    race.show(benchmark, f"{query.name} ({total} match)", seconds[contender])


@pytest.fixture(scope="module")
def got(prepared: Prepared, loaded: dict[str, Contender]) -> dict[str, list[float]]:
    namespace, name = prepared.some_key
    for chosen in loaded.values():
        assert chosen.get(namespace, name)["metadata"]["name"] == name
    seconds: dict[str, list[float]] = raced(loaded, lambda chosen: chosen.get(namespace, name))
    return seconds


@pytest.mark.parametrize("contender", CONTENDERS)
def test_get(benchmark: Any, got: dict[str, list[float]], contender: str) -> None:
    race.show(benchmark, "one object by name, decoded", got[contender])


@pytest.fixture(scope="module")
def snapshots(loaded: dict[str, Contender]) -> dict[str, list[float]]:
    reader = loaded["vai"]._reader()  # type: ignore[attr-defined]  # only vai has snapshots
    objects = loaded["dict, msgspec"].objects  # type: ignore[attr-defined]
    return race.run(
        {
            "vai: snapshot": lambda: timed(lambda: len(reader.snapshot("pods"))),
            "vai: snapshot, all names": lambda: timed(
                lambda: [found.name for found in reader.snapshot("pods").values()]
            ),
            "vai: snapshot, all decoded": lambda: timed(
                lambda: [found["status"] for found in reader.snapshot("pods").values()]
            ),
            "dict: shallow copy": lambda: timed(lambda: dict(objects)),
        },
        ROUNDS,
    )


@pytest.mark.parametrize(
    "what",
    [
        "vai: snapshot",
        "vai: snapshot, all names",
        "vai: snapshot, all decoded",
        "dict: shallow copy",
    ],
)
def test_snapshot(benchmark: Any, snapshots: dict[str, list[float]], what: str) -> None:
    race.show(benchmark, "snapshot of all pods", snapshots[what])
