"""Child processes that die with this process, and the ports they listen on.

A watchdog holds the reading end of a pipe and the list of children. When this process ends in
whatever way, SIGKILL included, the pipe closes and the watchdog kills what is left. Linux's
PR_SET_PDEATHSIG would not do: it fires when the *thread* that started the child ends, so a test
that restarts a server from a helper thread would lose it, and macOS has none.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

# Below the ephemeral ports of Linux (32768-60999) and macOS (49152-65535): a client that keeps
# connecting to a killed server's ephemeral port is sooner or later given that very port as its
# own and connects to itself.
_FIRST_PORT = 20000
_LAST_PORT = 32000

# Reads "+PID" and "-PID" lines. The parent's pid is watched too: a forked child of a test may
# hold the writing end longer than the test process lives.
_WATCHDOG = """
import os, select, signal, sys
parent, pids, rest = int(sys.argv[1]), set(), b""
while True:
    ready, _, _ = select.select([0], [], [], 1)
    data = os.read(0, 4096) if ready else b""
    *lines, rest = (rest + data).split(b"\\n")
    for line in lines:
        (pids.add if line[:1] == b"+" else pids.discard)(int(line[1:]))
    if not data and (ready or os.getppid() != parent):
        break
for pid in pids:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
"""


class ProcessError(Exception):
    """A server ended, or was never there; the message has the tail of its log."""


class _Watchdog:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner_pid = 0

    def tell(self, line: str) -> None:
        with self._lock:
            if self._process is None or self._owner_pid != os.getpid():
                # Its own session: Ctrl-C reaches the tests and their teardown, not the watchdog.
                self._process = subprocess.Popen(
                    [sys.executable, "-S", "-E", "-c", _WATCHDOG, str(os.getpid())],
                    stdin=subprocess.PIPE,
                    start_new_session=True,
                )
                self._owner_pid = os.getpid()
                atexit.register(self._end)
            stdin = self._process.stdin
            if stdin is None:
                msg = "the watchdog has no pipe"
                raise ProcessError(msg)
            stdin.write(f"{line}\n".encode())
            stdin.flush()

    def _end(self) -> None:
        if self._process and self._process.stdin and self._owner_pid == os.getpid():
            self._process.stdin.close()
            self._process.wait()


_watchdog = _Watchdog()


class ServerProcess:
    """One server: a program, its arguments and its log."""

    def __init__(self, name: str, command: Sequence[str | Path], log: Path) -> None:
        """Starts the program; its output is appended to `log`."""
        self.name = name
        self.log = log
        # Ended by the watchdog, or by `kill` at exit, never by the terminal's Ctrl-C, so that
        # tests can still talk to it while they are torn down.
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._owner_pid = os.getpid()
        _watchdog.tell(f"+{self.pid}")
        atexit.register(self.kill)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs (a stopped one does)."""
        return self._process.poll() is None

    def check(self) -> None:
        """Raises ProcessError with the end of the log if it no longer runs."""
        code = self._process.poll()
        if code is not None:
            msg = f"{self.name} ended with {code}; the end of {self.log}:\n{self.log_tail()}"
            raise ProcessError(msg)

    def log_tail(self, lines: int = 15) -> str:
        """The last lines of its output."""
        with contextlib.suppress(FileNotFoundError):
            text = self.log.read_text(encoding="utf-8", errors="replace")
            return "\n".join(text.splitlines()[-lines:])
        return ""

    def kill(self) -> None:
        """SIGKILL, and waits for the end. With an open watch a SIGTERM would take a minute."""
        if self._owner_pid != os.getpid():
            return  # a forked child: not its server
        if self.alive:
            self._process.kill()
        self._process.wait()
        _watchdog.tell(f"-{self.pid}")
        atexit.unregister(self.kill)

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers, as with a dead link."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on now.

    Another process may still take one first: the servers then fail to bind and the caller tries
    again with others.
    """
    found: list[int] = []
    numbers = random.SystemRandom()
    while len(found) < count:
        port = numbers.randint(_FIRST_PORT, _LAST_PORT)
        if port in found:
            continue
        with socket.socket() as candidate, contextlib.suppress(OSError):
            candidate.bind(("127.0.0.1", port))
            found.append(port)
    return found
