"""`vai` in processes of its own, and what it looks like from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

VAI: Final = (sys.executable, "-m", "vai")
#: A third of the default, so that a test of the limit takes seconds.
LIVE_WITHIN_S: Final = 9
Json = dict[str, Any]


class StartSync(Protocol):
    """Starts a `vai sync` that ends with the test."""

    def __call__(self, file: Path, kubeconfig: Path, resources: str, *arguments: str) -> Sync: ...


class Sync:
    """A running `vai sync`."""

    def __init__(self, file: Path, kubeconfig: Path, resources: str, *arguments: str) -> None:
        self.file = file
        self._said: list[str] = []
        self._process = subprocess.Popen(
            [
                *(*VAI, "sync", f"--file={file}", f"--kubeconfig={kubeconfig}"),
                *(f"--resources={resources}", *arguments),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ended(self, within_s: float) -> int:
        """The exit code; raises if it does not come in time."""
        return self._process.wait(within_s)

    def kill(self) -> str:
        """SIGKILL; what it had said on stderr."""
        if not self._said:
            self._process.kill()
            self._said.append(self._process.communicate()[1])
        return self._said[0]

    @property
    def alive(self) -> bool:
        return self._process.poll() is None


def run(*arguments: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    """Runs a command of vai to its end."""
    return subprocess.run(
        [*VAI, *arguments], capture_output=True, text=True, check=False, timeout=timeout_s
    )


def status(file: Path) -> dict[str, Json]:
    """What `vai status` says, a process of its own: by resource."""
    done = run("status", "-o", "json", "--file", os.fspath(file))
    if done.returncode != 0:
        # Before the first sync has made it.
        assert "no cluster file" in done.stderr, done.stderr
        return {}
    return {scope["resource"]: scope for scope in json.loads(done.stdout)["scopes"]}


def states(file: Path) -> dict[str, str]:
    return {name: scope["state"] for name, scope in status(file).items()}


def wait_states(file: Path, within_s: float = 40, /, **wanted: str) -> float:
    """Waits until `vai status` says so; how long that took."""
    started = time.monotonic()
    wait_until(lambda: states(file) == wanted, lambda: str(status(file)), within_s)
    return time.monotonic() - started


def wait_until(
    done: Callable[[], object], what: Callable[[], str] = lambda: "", within_s: float = 30
) -> float:
    """Fails with `what()` if it does not come true in time; how long that took."""
    started = time.monotonic()
    while not done():
        assert time.monotonic() - started < within_s, f"not within {within_s} s: {what()}"
        time.sleep(0.05)
    return time.monotonic() - started
