"""Both servers, with the same objects, for the whole folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.apiserver.build import Binaries
from tests.apiserver.server import ApiServer
from tests.conformance.pair import Pair, copy_all, fill
from vai.testing import Simulator


@pytest.fixture(scope="module")
def pair(apiserver_binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A real server and the simulator that has all its objects."""
    folder = tmp_path_factory.mktemp("conformance")
    with ApiServer(folder, binaries=apiserver_binaries) as real, Simulator(seed=1) as simulator:
        fill(real)
        copy_all(real, simulator)
        with contextlib.closing(Pair(real, simulator)) as both:
            yield both
