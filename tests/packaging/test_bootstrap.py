"""`make setup` on a machine that lacks something says what, in one line, and how to get it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT

TOOLS = ("sh", "sed", "cut", "mktemp", "rm", "dirname", "cat")


class Machine:
    """A checkout and a PATH of its own, with working stand-ins for every prerequisite."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "checkout"
        self.bin = folder / "bin"
        (self.checkout / "scripts").mkdir(parents=True)
        self.bin.mkdir()
        for name in ("scripts/setup.sh", "Cargo.toml"):
            shutil.copy(ROOT / name, self.checkout / name)
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found is not None, tool
            (self.bin / tool).symlink_to(found)
        self.command("python3", f'exec {sys.executable} "$@"')
        self.command("cargo", "echo cargo 9.0.0")
        self.command("rustc", "echo 'rustc 9.0.0 (0000000 2030-01-01)'")
        self.command("cc", "exit 0")
        self.command("git", "exit 0")

    def command(self, name: str, script: str) -> None:
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!{shutil.which('sh')}\n{script}\n")
        path.chmod(0o755)

    def without(self, name: str) -> None:
        (self.bin / name).unlink()

    def setup(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.checkout / "scripts" / "setup.sh"],
            env={"PATH": str(self.bin)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


CASES: dict[str, tuple[Callable[[Machine], None], str, str]] = {
    "no python": (
        lambda m: m.without("python3"),
        "no CPython 3.11 or newer found",
        "PYTHON=",
    ),
    "a pyenv shim without its version": (
        lambda m: m.command("python3", "echo 'pyenv: python3: command not found' >&2; exit 127"),
        "no CPython 3.11 or newer found",
        "PYTHON=",
    ),
    "an old python": (
        lambda m: m.command("python3", "echo cpython 3 10"),
        "python3 is cpython 3.10",
        "PYTHON=",
    ),
    "another python": (
        lambda m: m.command("python3", "echo pypy 3 11"),
        "python3 is pypy 3.11",
        "PYTHON=",
    ),
    "python without ensurepip": (
        lambda m: m.command("python3", 'case "$2" in *venv*) exit 1;; esac; echo cpython 3 12'),
        "no venv or ensurepip",
        "apt install python3-venv",
    ),
    "no rust": (lambda m: m.without("rustc"), "no Rust toolchain", "rustup"),
    "an old rust": (
        lambda m: m.command("rustc", "echo 'rustc 1.70.0 (90c541806 2023-05-31)'"),
        "Rust is too old: rustc 1.70.0",
        "rustup update",
    ),
    "no compiler": (lambda m: m.without("cc"), "no working C compiler", "build-essential"),
    "a compiler without headers": (
        lambda m: m.command("cc", "exit 1"),
        "no working C compiler",
        "build-essential",
    ),
    "no git": (lambda m: m.without("git"), "git not found", "apt install git"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_missing_is_named_with_the_remedy(machine: Machine, case: str) -> None:
    breaks, message, remedy = CASES[case]
    breaks(machine)
    done = machine.setup()
    assert done.returncode == 1
    what, how = done.stderr.splitlines()
    assert what.startswith("vai: ")
    assert message in what
    assert remedy in how
    assert not (machine.checkout / ".venv").exists()


def test_everything_missing_is_named_at_once(machine: Machine) -> None:
    for name in ("python3", "cargo", "cc", "git"):
        machine.without(name)
    done = machine.setup()
    assert done.returncode == 1
    assert len([line for line in done.stderr.splitlines() if line.startswith("vai: ")]) == 4


def test_a_newer_python_that_does_not_run_is_passed_over(machine: Machine) -> None:
    machine.command("python3.14", "exit 127")
    machine.command("python3", 'case "$2" in *venv*) exit 0;; *) echo cpython 3 13;; esac')
    machine.without("git")  # so that it stops before making anything
    assert machine.setup().stderr.startswith("vai: git not found")
