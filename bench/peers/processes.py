"""The peers as the driver knows them: a command to build, a process to talk to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_HERE: Final = Path(__file__).parent
_ROOT: Final = _HERE.parent.parent
#: Built once, outside the sources.
BUILT: Final = _ROOT / "target" / "peers"
#: A command that takes longer is given up with its process.
TOO_LONG_S: Final = 3600.0


@dataclass(frozen=True)
class Kind:
    """One peer."""

    name: str
    #: What it is, for the legend.
    about: str
    command: tuple[str, ...]
    #: (working directory, command) that makes it; nothing for Python.
    build: tuple[Path, tuple[str, ...]] | None = None


def python(module: str, *arguments: str) -> tuple[str, ...]:
    """A module as a command."""
    return (sys.executable, "-m", module, *arguments)


def go(folder: str, package: str = ".") -> tuple[Path, tuple[str, ...]]:
    """How a Go program is built; its name is the package's last part."""
    built = BUILT / (folder if package == "." else Path(package).name)
    # `-mod=readonly`: what go.sum does not have is an error and not a download.
    command = ("go", "build", "-mod=readonly", "-trimpath", "-o", str(built), package)
    return _HERE / folder, command


#: How all Rust programs are built.
CARGO: Final = (
    _HERE / "kubers",
    (
        *("cargo", "build", "--release", "--locked", "--quiet"),
        *("--target-dir", str(BUILT / "cargo")),
    ),
)

KINDS: Final = {
    "vai": Kind(
        "vai",
        "the cluster file through vai.Cache, synchronous=NORMAL, with history",
        python("bench.peers.vai_peer"),
    ),
    "steve": Kind(
        "Steve",
        "github.com/rancher/steve v0.10.2 pkg/sqlcache: SQLite with synchronous=OFF, wiped when it "
        "starts; objects as MessagePack",
        (str(BUILT / "steve"),),
        go("steve"),
    ),
    "clientgo": Kind(
        "client-go",
        "k8s.io/client-go v0.37.2 tools/cache.Indexer of *v1.Pod, indexed by namespace and node; "
        "the rest is a loop in Go",
        (str(BUILT / "clientgo"),),
        go("clientgo"),
    ),
    "kubers": Kind(
        "kube-rs",
        "kube-runtime 5.0 reflector::Store of k8s-openapi Pods; the rest is a loop in Rust",
        (str(BUILT / "cargo" / "release" / "kubers-peer"),),
        CARGO,
    ),
    "dict": Kind(
        "dict",
        "Python dict of objects parsed by msgspec; the rest is a loop in Python",
        python("bench.peers.baselines", "dict"),
    ),
    "sqlite": Kind(
        "sqlite3",
        "Python's sqlite3, one table of JSON bodies, its JSON functions, synchronous=NORMAL",
        python("bench.peers.baselines", "sqlite"),
    ),
}


def build(kinds: Iterable[Kind]) -> None:
    """Compile those that are compiled; without a change it takes a second."""
    BUILT.mkdir(parents=True, exist_ok=True)
    for kind in kinds:
        if made := kind.build:
            folder, command = made
            print(f"building {kind.name}", file=sys.stderr, flush=True)
            subprocess.run(command, cwd=folder, check=True)


class FailedError(Exception):
    """A peer ended or spoke nonsense; its last words are on stderr."""


class Process:
    """One running peer."""

    def __init__(self, kind: Kind, data: Path, work: Path) -> None:
        self.kind = kind
        self.work = work
        work.mkdir(parents=True, exist_ok=True)
        path = os.pathsep.join([str(_ROOT / "python"), str(_ROOT)])
        self._popen = subprocess.Popen(
            [*kind.command, str(data), str(work)],
            cwd=work,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def do(self, what: str, **more: Any) -> dict[str, Any]:
        """Send a command and wait for its answer.

        Raises:
            FailedError: there was none.
        """
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        watch = threading.Timer(TOO_LONG_S, self._popen.kill)
        watch.start()
        try:
            self._popen.stdin.write(json.dumps({"do": what, **more}).encode() + b"\n")
            self._popen.stdin.flush()
            line = self._popen.stdout.readline()
            answer: dict[str, Any] = json.loads(line)
        except (OSError, ValueError) as why:
            raise FailedError(f"{self.kind.name} failed to {what}") from why
        finally:
            watch.cancel()
        return answer

    def end(self) -> None:
        """Let it close, or end it."""
        assert self._popen.stdin is not None
        self._popen.stdin.close()
        try:
            self._popen.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        if self._popen.stdout is not None:
            self._popen.stdout.close()
