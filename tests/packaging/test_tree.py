from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import vai
import vai._core
from tests.packaging.conftest import ROOT, run


def test_one_version_is_everywhere() -> None:
    cargo = tomllib.loads((ROOT / "Cargo.toml").read_text())
    version = cargo["workspace"]["package"]["version"]
    assert vai.__version__ == version
    assert vai._core.__version__ == version
    assert metadata.version("vai-cache") == version


def test_make_without_a_target_lists_them() -> None:
    shown = run("make")
    for target in ("setup", "build", "wheel", "fmt", "lint", "test", "bench", "demo", "help"):
        assert f"  make {target} " in shown


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("see https://" + "crates" + ".io/crates/x", True),
        ("index = 'https://files." + "pythonhosted" + ".org/x'", True),
        ("open('/" + "work/main/x')", True),
        ("open('src/work/x')", False),
        ("pypi has it", False),
    ],
)
def test_addresses_of_registries_and_this_machines_paths_are_not_committed(
    tmp_path: Path, line: str, refused: bool
) -> None:
    (tmp_path / "file.txt").write_text(line)
    run("git", "init", "--quiet", cwd=tmp_path)
    run("git", "add", "file.txt", cwd=tmp_path)
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "check_tree.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == int(refused), done.stdout
    assert done.stdout.startswith("file.txt:1: ") == refused
