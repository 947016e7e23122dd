"""File systems that are small or can't be written, mounted for a test; needs root on Linux."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted(where: Path, size_bytes: int) -> Iterator[Path]:
    """A tmpfs; skips, with the reason, where mounting is not allowed."""
    if sys.platform != "linux":
        pytest.skip("mounts a tmpfs, as only Linux does")
    if os.geteuid() != 0:
        pytest.skip("mounts a tmpfs, which takes root")
    where.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(where)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"mounts a tmpfs, which is not allowed here: {done.stderr.strip()}")
    try:
        yield where
    finally:
        # Lazily: a process that is just ending may still stand in it.
        subprocess.run(["umount", "--lazy", where], check=True)


def set_read_only(where: Path, *, read_only: bool) -> None:
    option = "remount,ro" if read_only else "remount,rw"
    subprocess.run(["mount", "-o", option, where], check=True)


def fill(where: Path, leave_bytes: int = 0) -> Path:
    """A file that takes the space that is left."""
    ballast = where / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        # Up to the last byte, though others write meanwhile.
        while file.write(b"\1" * 4096):
            pass
    os.truncate(ballast, max(0, ballast.stat().st_size - leave_bytes))
    return ballast
