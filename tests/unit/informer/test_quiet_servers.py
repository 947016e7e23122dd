"""Servers on which nothing happens, so that no bookmark can come."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.informer.test_informer import Sync
from vai.types import Scope


@pytest.fixture
def sync(tmp_path: Path) -> Iterator[Sync]:
    made = Sync(tmp_path)
    made.sim.populate(pods=10)
    yield made
    made.stop()
    made.sim.close()


@pytest.mark.slow
def test_a_selection_is_proven_though_the_last_change_was_not_of_it(sync: Sync) -> None:
    """The watch has no event, and no bookmark either, which would have to be past that change."""
    chosen = Scope("pods", label_selector="touched")
    sync.start(chosen)
    sync.wait(sync.live)
    sync.stop()
    meta = sync.sim.list("pods")[0]["metadata"]
    sync.sim.patch(
        "pods", meta["name"], {"metadata": {"labels": {"a": "b"}}}, namespace=meta["namespace"]
    )
    before = sync.lists()
    sync.start(chosen)
    sync.wait(sync.live, 60)
    assert sync.lists() == before + 1
    assert sync.scope().objects == 0
