from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.unit.cli.support import Builder, Run
from vai.cli.app import cli


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Builder]:
    """The file is open for writing while a command reads it, as under `vai sync`."""
    builder = Builder(tmp_path / "c.db").bind()
    yield builder
    builder.close()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """`run("get", "pods")` with the file of `build`."""
    monkeypatch.setenv("VAI_FILE", str(tmp_path / "c.db"))

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(cli, list(arguments), prog_name="vai")

    return invoke
