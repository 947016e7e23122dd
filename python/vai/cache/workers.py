"""Threads that run what may block: few while it does not, one more for each that does.

A handler may sleep or call a server, and must not hold up another one. client-go gives each two
goroutines; a thread for each would cost 200 handlers 200 threads that wait. So a few threads serve
all that have something to do, and when all of them are held up, another is started; one that has
had nothing to do for a while ends.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Final, Protocol

#: Threads that are started at once. More would take turns with the interpreter's lock.
_USUAL: Final = 4
#: How long all may be busy before one more is started. Several times what an event takes that does
#: not block, far less than what anybody who waits would notice.
_HELD_UP_S: Final = 0.05
#: How long a thread waits for something to do.
_LINGER_S: Final = 10.0


class Task(Protocol):
    """Something to do in pieces. Run by one thread at a time."""

    def run(self) -> bool:
        """Do a piece of it; whether there is more. Must not raise."""


class Workers:
    """See the module."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._ready: deque[Task] = deque()
        #: Those that are in `_ready` or running; True: run once more, there is something new.
        self._again: dict[Task, bool] = {}
        self._idle = 0
        self._threads: set[threading.Thread] = set()
        self._taken_at = 0.0
        self._closed = False

    @property
    def threads(self) -> int:
        """How many there are."""
        return len(self._threads)

    def submit(self, task: Task) -> None:
        """Run it soon, once more if it is running."""
        with self._changed:
            if self._closed:
                return
            if task in self._again:
                self._again[task] = True
                return
            self._put(task)
            if not self._idle and len(self._threads) < _USUAL:
                self._start()

    def nudge(self) -> None:
        """To be called now and then: start another thread if all are held up."""
        with self._changed:
            held_up = time.monotonic() - self._taken_at > _HELD_UP_S
            if self._ready and not self._idle and held_up and not self._closed:
                # Twice as many each time: a hundred that block are served within a second.
                for _ in range(min(len(self._ready), len(self._threads) or 1)):
                    self._start()

    def close(self, timeout_s: float) -> None:
        """Nothing is begun any more; wait a little for what is running."""
        with self._changed:
            self._closed = True
            self._ready.clear()
            self._changed.notify_all()
            threads = list(self._threads)
        end = time.monotonic() + timeout_s
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, end - time.monotonic()))

    def _put(self, task: Task) -> None:
        self._again[task] = False
        self._ready.append(task)
        self._changed.notify()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="vai-handler", daemon=True)
        self._threads.add(thread)
        thread.start()

    def _run(self) -> None:
        while True:
            task = self._next()
            if task is None:
                return
            more = task.run()
            with self._changed:
                again = self._again.pop(task, False)
                if (more or again) and not self._closed:
                    self._put(task)

    def _next(self) -> Task | None:
        with self._changed:
            self._idle += 1
            end = time.monotonic() + _LINGER_S
            while not self._ready and not self._closed:
                left_s = end - time.monotonic()
                if left_s <= 0 or not self._changed.wait(left_s):
                    break
            self._idle -= 1
            if not self._ready or self._closed:
                self._threads.discard(threading.current_thread())
                return None
            self._taken_at = time.monotonic()
            return self._ready.popleft()
