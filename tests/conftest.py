"""The real kube-apiserver for the integration tests.

A test takes `apiserver`, which all share, or `fresh_apiserver`, which starts servers of its own
that it may kill, restart, compact or start with other flags. A module that starts one for several
tests takes `apiserver_binaries`. Each of them gives a test the mark `kube`.

Without Go, or with VAI_KUBE=0, these tests are skipped, and the summary says so in one line. With
CI=true that is a failure: a CI run that left them out must not look like one that passed them.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.apiserver.build import Binaries, BuildError, GoUnavailableError, ensure_built
from tests.apiserver.server import ApiServer

_found = pytest.StashKey[Binaries]()
_unavailable = pytest.StashKey[str]()
_build_failed = pytest.StashKey[str]()


class FreshApiServer(Protocol):
    """Starts a server that belongs to the test alone; it ends with the test."""

    def __call__(
        self, *, extra_flags: tuple[str, ...] = (), etcd_flags: tuple[str, ...] = ()
    ) -> ApiServer: ...


def pytest_configure() -> None:
    """Ctrl-C works in what the tests start, even where a shell runs them in the background.

    Such a shell lets its jobs ignore SIGINT, and every child inherits that
    (https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html, 2.11).
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what needs the server, before `-m` selects by marks."""
    for item in items:
        if "apiserver_binaries" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.kube)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Builds the server if a selected test needs it: here, outside any test's time limit."""
    config = session.config
    wanted = any(item.get_closest_marker("kube") for item in session.items)
    if not wanted or config.option.collectonly:
        return
    if os.environ.get("VAI_KUBE") == "0":
        config.stash[_unavailable] = "VAI_KUBE=0"
        return
    try:
        config.stash[_found] = ensure_built(lambda line: print(line, flush=True))
    except GoUnavailableError as error:
        config.stash[_unavailable] = str(error)
    except BuildError as error:
        config.stash[_build_failed] = str(error)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Lets all tests skipped for want of the server share one place, and so one summary line."""
    report = yield
    if report.skipped and _unavailable in item.config.stash and item.get_closest_marker("kube"):
        report.longrepr = (
            __file__,
            1,
            f"no real kube-apiserver: {item.config.stash[_unavailable]}",
        )
    return report


@pytest.fixture(scope="session")
def apiserver_binaries(request: pytest.FixtureRequest) -> Binaries:
    """The built programs; skips, or with CI=true fails, where there are none."""
    stash = request.config.stash
    if _unavailable in stash:
        reason = f"no real kube-apiserver: {stash[_unavailable]}"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{reason} (with CI=true this is a failure)", pytrace=False)
        pytest.skip(reason)
    if _build_failed in stash:
        pytest.fail(stash[_build_failed], pytrace=False)
    return stash[_found]


@pytest.fixture(scope="session")
def apiserver(
    apiserver_binaries: Binaries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiServer]:
    """One server for the whole session: put what you make into namespaces of your own."""
    with ApiServer(tmp_path_factory.mktemp("apiserver"), binaries=apiserver_binaries) as server:
        server.shared = True
        yield server


@pytest.fixture
def fresh_apiserver(apiserver_binaries: Binaries, tmp_path: Path) -> Iterator[FreshApiServer]:
    """Starts a server of the test's own, which takes 3 to 5 s; callable several times."""
    with contextlib.ExitStack() as running:
        count = 0

        def start(
            *, extra_flags: tuple[str, ...] = (), etcd_flags: tuple[str, ...] = ()
        ) -> ApiServer:
            nonlocal count
            count += 1
            server = ApiServer(
                tmp_path / f"apiserver-{count}",
                extra_flags=extra_flags,
                etcd_flags=etcd_flags,
                binaries=apiserver_binaries,
            )
            return running.enter_context(server)

        yield start
