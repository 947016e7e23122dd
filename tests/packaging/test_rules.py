"""The architecture's rules bite: each is broken once here, and the checker says so."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.packaging.conftest import ROOT

RUFF = [sys.executable, "-m", "ruff", "check", "--quiet", "--output-format", "concise"]


def banned(code: str, path: str) -> bool:
    """Whether ruff refuses this import in this file."""
    done = subprocess.run(
        [*RUFF, "--select", "TID251,TID252", "--stdin-filename", path, "-"],
        cwd=ROOT,
        input=code,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return "TID25" in done.stdout


@pytest.mark.parametrize(
    "code",
    [
        "import sqlite3",
        "import kubernetes",
        "from kubernetes.client import ApiClient",
        "def f() -> None:\n    from kubernetes import config",
        "import vai._core",
        "from vai._core import Store",
        "from vai import _core",
        "from . import _core",
    ],
)
def test_a_module_outside_its_layer_may_not_import_it(code: str) -> None:
    assert banned(code, "python/vai/cache/somewhere.py")


@pytest.mark.parametrize(
    ("code", "path"),
    [
        ("from kubernetes import client", "python/vai/kube/transport.py"),
        ("from vai import _core", "python/vai/store/__init__.py"),
        ("import vai.store", "python/vai/cache/somewhere.py"),
    ],
)
def test_its_own_layer_may(code: str, path: str) -> None:
    assert not banned(code, path)
