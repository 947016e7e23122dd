"""The demo's other processes: the simulated API server and `vai sync`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_STARTED_WITHIN_S: Final = 60.0
_ENDED_WITHIN_S: Final = 5.0


class ChildError(Exception):
    """A process ended, or never started; the message has the end of what it said."""


class Child:
    """One process, its output in a file; killed when it is closed."""

    def __init__(self, name: str, arguments: Sequence[str], folder: Path) -> None:
        self.name = name
        self._out = folder / f"{name}.out"
        self._log = folder / f"{name}.log"
        with self._out.open("wb") as out, self._log.open("ab") as log:
            # A session of its own: Ctrl-C reaches the demo, which then ends its children.
            self._process = subprocess.Popen(  # noqa: S603 - our own modules
                [sys.executable, "-m", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                env=_environment(),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def check(self) -> None:
        """Raise ChildError if it ended."""
        code = self._process.poll()
        if code is not None:
            raise ChildError(f"{self.name} ended with {code}: {self.said() or 'it said nothing'}")

    def said(self, lines: int = 5) -> str:
        """The end of what it wrote to stderr."""
        text = self._log.read_text(errors="replace").strip()
        return "\n".join(text.splitlines()[-lines:])

    def first_line(self) -> str:
        """The first line of its stdout, once it is there."""
        deadline = time.monotonic() + _STARTED_WITHIN_S
        while time.monotonic() < deadline:
            text = self._out.read_text()
            if "\n" in text:
                return text.partition("\n")[0]
            self.check()
            time.sleep(0.02)
        raise ChildError(f"{self.name} did not start within {_STARTED_WITHIN_S:.0f}s")

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> tuple[int, float]:
        """SIGTERM. Returns the exit code and how long it took."""
        started = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(_ENDED_WITHIN_S)
        except subprocess.TimeoutExpired:
            raise ChildError(f"{self.name} did not stop within {_ENDED_WITHIN_S:.0f}s") from None
        return code, time.monotonic() - started

    def close(self) -> None:
        """End it in any case."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()


def start_simulator(folder: Path, pods: int, rate_per_s: int, kubeconfig: Path) -> Child:
    """The simulated API server. It says its addresses in its first line."""
    options = ["--pods", str(pods), "--churn", str(rate_per_s)]
    where = ["--kubeconfig-out", str(kubeconfig), "--json"]
    return Child("simulator", ["vai.testing", *options, *where], folder)


def addresses(simulator: Child) -> dict[str, str]:
    """`url` and `control` of a started simulator."""
    found: dict[str, str] = json.loads(simulator.first_line())
    return found


def start_sync(folder: Path, file: Path, kubeconfig: Path, resources: Sequence[str]) -> Child:
    """`vai sync`."""
    where = ["--file", str(file), "--kubeconfig", str(kubeconfig)]
    return Child("sync", ["vai", "sync", *where, "--resources", ",".join(resources)], folder)


def vai(*arguments: str) -> tuple[list[str], list[str], int, float]:
    """Run a vai command. Returns its stdout, its stderr, its exit code and how long it took."""
    started = time.monotonic()
    done = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", "vai", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=_environment(),
        stdin=subprocess.DEVNULL,
    )
    took_s = time.monotonic() - started
    return done.stdout.splitlines(), done.stderr.splitlines(), done.returncode, took_s


def _environment() -> dict[str, str]:
    """Without what a person set for clusters of theirs, and without proxies to loopback."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("VAI_") and name not in {"KUBECONFIG", "KUBERNETES_SERVICE_HOST"}
    }
    return {**kept, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
