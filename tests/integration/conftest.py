"""A real cluster that is full: for tests that compare all of a copy with all of a server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.apiserver.build import Binaries
from tests.apiserver.server import ApiServer
from tests.integration.real import fill


@pytest.fixture(scope="module")
def full_apiserver(
    apiserver_binaries: Binaries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiServer]:
    """A server of the module's own with 5,000 pods and 4,000 objects of other kinds (10 s)."""
    with ApiServer(tmp_path_factory.mktemp("full"), binaries=apiserver_binaries) as server:
        fill(server)
        yield server
