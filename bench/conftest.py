"""Prepared bytes, and a second table for what pytest-benchmark's own has no column for."""

from __future__ import annotations

import pytest

import vai._core
from bench.prepared import Prepared, prepare

# The real kube-apiserver, as the tests have it.
from tests.conftest import (  # noqa: F401
    apiserver_binaries,
    fresh_apiserver,
    pytest_collection_finish,
    pytest_collection_modifyitems,
    pytest_runtest_makereport,
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--pods", type=int, default=10_000, help="pods to benchmark with (default 10,000)"
    )


def pytest_report_header() -> str:
    core = vai._core
    return f"vai: {core.__version__}, {core.build_profile} build, SQLite {core.sqlite_version}"


@pytest.fixture(scope="session")
def prepared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(tmp_path_factory.mktemp("prepared"), request.config.getoption("--pods"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What `extra_info` holds, by group."""
    session = getattr(terminalreporter.config, "_benchmarksession", None)
    measured = [bench for bench in session.benchmarks if bench.extra_info] if session else []
    groups: dict[str, list[tuple[str, dict[str, object]]]] = {}
    for bench in measured:
        contender = str((bench.params or {}).get("contender", bench.name))
        groups.setdefault(str(bench.group), []).append((contender, bench.extra_info))
    for group, rows in groups.items():
        terminalreporter.section(f"more of: {group}", sep="-")
        names = list(dict.fromkeys(name for _, info in rows for name in info))
        first = max(len(contender) for contender, _ in rows)
        widths = [max(len(name), 9) for name in names]
        line = "  ".join(f"{name:>{width}}" for name, width in zip(names, widths, strict=True))
        terminalreporter.write_line(f"{'':{first}}  {line}")
        for contender, info in rows:
            cells = (_cell(info.get(name)) for name in names)
            line = "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
            terminalreporter.write_line(f"{contender:{first}}  {line}")


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 1000 else f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
