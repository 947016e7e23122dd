"""A real kube-apiserver that these tests kill, cut off and restore; and the simulated one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.apiserver.build import Binaries
from tests.apiserver.server import ApiServer
from tests.faults.processes import LIVE_WITHIN_S, Sync
from vai.testing import Simulator


@pytest.fixture(scope="session")
def _victim(
    apiserver_binaries: Binaries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiServer]:
    with ApiServer(tmp_path_factory.mktemp("victim"), binaries=apiserver_binaries) as server:
        yield server


@pytest.fixture
def victim(_victim: ApiServer) -> ApiServer:
    """One real server for all of these tests, whole and running at the start of each.

    They share it because a start takes 4 s: each keeps to a namespace of its own.
    """
    if not _victim.alive:
        _victim.restart_etcd()
        _victim.restart()
    return _victim


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine's own; readers in this process judge as `vai sync` is told to."""
    for name in list(os.environ):
        if name.startswith(("VAI_", "KUBE")) and name != "VAI_KUBE":
            monkeypatch.delenv(name)
    monkeypatch.setenv("VAI_LIVE_WITHIN", f"{LIVE_WITHIN_S}s")


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(seed=11) as made:
        yield made


@pytest.fixture
def sync() -> Iterator[Callable[[Path, Path, str], Sync]]:
    """Starts `vai sync` processes, which end with the test whatever becomes of it."""
    running: list[Sync] = []

    def start(file: Path, kubeconfig: Path, resources: str, *arguments: str) -> Sync:
        running.append(Sync(file, kubeconfig, resources, *arguments))
        return running[-1]

    yield start
    for process in running:
        process.kill()
