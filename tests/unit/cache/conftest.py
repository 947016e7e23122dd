"""A fed file and a cache that reads it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import vai
from tests.unit.cache.feed import Feed


@pytest.fixture
def feed(tmp_path: Path) -> Iterator[Feed]:
    made = Feed(tmp_path / "cluster.db")
    yield made
    made.close()


@pytest.fixture
def cache(feed: Feed) -> Iterator[vai.Cache]:
    with vai.open(feed.path) as opened:
        yield opened
