"""`vai demo` as a person runs it, without a terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.timing import one_in_three

pytestmark = pytest.mark.slow

STEPS = 8


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "vai", "demo", "--pods", "400", *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "TMPDIR": str(folder), "VAI_FILE": "/nowhere/x.db"},
    )  # fmt: skip


def children_of(folder: Path) -> list[str]:
    """Processes whose command line names the folder of the demo."""
    listed = subprocess.run(
        ["ps", "-ww", "-eo", "pid,args"], capture_output=True, text=True, check=True
    )
    return [line for line in listed.stdout.splitlines() if str(folder) in line]


def test_every_step_holds_within_a_minute_and_nothing_is_left(tmp_path: Path) -> None:
    def attempt() -> float:
        started = time.monotonic()
        process = start(tmp_path)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
        assert f"All {STEPS} steps held" in output
        assert "✗" not in output
        assert "0 lists" in output
        assert "\x1b" not in output
        took_s = time.monotonic() - started
        assert children_of(tmp_path) == []
        assert list(tmp_path.iterdir()) == []
        return took_s

    one_in_three(attempt, 60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_its_children_and_files(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = start(tmp_path)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("*/demo.db")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    assert len(children_of(tmp_path)) >= 2
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert children_of(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_keep_leaves_a_file_that_can_be_read(tmp_path: Path) -> None:
    process = start(tmp_path, "--keep")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    (file,) = tmp_path.glob("*/demo.db")
    assert f"kept: {file.parent}" in output
    done = subprocess.run(
        [sys.executable, "-m", "vai", "get", "pods", "-A", "-o", "name", "--file", str(file)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert len(done.stdout.split()) >= 400
