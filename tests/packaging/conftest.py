from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None) -> str:
    """The command's stdout; a failure shows all that it printed."""
    done = subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, (
        f"{command} exited with {done.returncode}\n{done.stdout}{done.stderr}"
    )
    return done.stdout


def clean_environment() -> dict[str, str]:
    """The environment as a user has it: nothing of an outer make, pytest or Python."""
    inherited = ("MAKE", "MFLAGS", "PYTEST", "PYTHON", "COV", "VAI_")
    return {name: value for name, value in os.environ.items() if not name.startswith(inherited)}


@dataclass(frozen=True)
class Dist:
    wheel: Path
    sdist: Path


@pytest.fixture(scope="session")
def dist() -> Dist:
    """What `make wheel` builds, or has built before."""
    run("make", "wheel", env=clean_environment())
    (wheel,) = (ROOT / "dist").glob("*.whl")
    (sdist,) = (ROOT / "dist").glob("*.tar.gz")
    return Dist(wheel, sdist)
