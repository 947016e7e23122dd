"""Waiting: deadlines cut into slices for threads, one waker thread for every event loop.

A thread waits inside the core, which releases the GIL, in slices of at most `SLICE_S`: between
two slices Python runs signal handlers, so Ctrl-C ends any wait within that time. Coroutines share
one daemon thread per cache, which waits in the same way and wakes them through
`loop.call_soon_threadsafe`; none of them holds a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from vai.errors import ClosedError, ForkedError, VaiError
from vai.store import Store
from vai.types import seconds

#: Ctrl-C must end a wait within 0.2 s; half of it leaves room for a busy machine.
SLICE_S: Final = 0.1
#: How often a coroutine looks again although nothing was committed: progress that moves no row
#: (a bookmark) is seen by then.
_TICK_S: Final = 1.0


class Deadline:
    """A timeout that has started to run; None never ends."""

    def __init__(self, timeout: float | timedelta | None) -> None:
        limit_s = seconds(timeout)
        #: What was given; infinity for None.
        self.limit_s = math.inf if limit_s is None else limit_s
        self._end = None if limit_s is None else time.monotonic() + limit_s

    def left_s(self) -> float | None:
        """Seconds to go, at least 0; None for ever."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def passed(self) -> bool:
        """Whether it is over."""
        return self.left_s() == 0.0

    def slice_s(self, most: float = SLICE_S) -> float:
        """How long to wait before looking again."""
        left = self.left_s()
        return most if left is None else min(most, left)


class Waiter:
    """One coroutine's place in the waker. Belongs to the loop that made it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def clear(self) -> None:
        """Call before looking; what happens after it is not missed."""
        self._event.clear()

    async def wait(self, timeout_s: float) -> None:
        """Until woken or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._event.wait()

    def wake(self) -> None:
        """From any thread. A loop that was closed has nobody left to wake."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._event.set)


class Waker:
    """The one thread that waits for commits on behalf of all coroutines of a cache."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiters: set[Waiter] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    @contextlib.contextmanager
    def waiter(self) -> Iterator[Waiter]:
        """A place for the running coroutine. The thread starts with the first one."""
        # A forked child may find the lock held for ever: it must not get that far.
        self._store.check()
        waiter = Waiter()
        with self._changed:
            self._waiters.add(waiter)
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="vai-waker", daemon=True)
                self._thread.start()
            self._changed.notify()
        try:
            yield waiter
        finally:
            with self._changed:
                self._waiters.discard(waiter)

    def close(self) -> None:
        """Wake everybody once more and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            thread = self._thread
        self._wake()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=1.0)

    def _run(self) -> None:
        seq = generation = 0
        looked = time.monotonic()
        while self._wanted():
            try:
                new_seq = self._store.wait_seq(seq, SLICE_S)
                new_generation = self._store.wait_status(generation, 0.0)
            except (ClosedError, ForkedError):
                break
            except VaiError:
                # Each waiter meets the same error in a call of its own and raises it there.
                self._wake()
                time.sleep(SLICE_S)
                continue
            now = time.monotonic()
            if (new_seq, new_generation) != (seq, generation) or now - looked >= _TICK_S:
                seq, generation, looked = new_seq, new_generation, now
                self._wake()
        self._wake()

    def _wanted(self) -> bool:
        with self._changed:
            while not self._waiters and not self._closed:
                self._changed.wait()
            return not self._closed

    def _wake(self) -> None:
        with self._changed:
            waiters = list(self._waiters)
        for waiter in waiters:
            waiter.wake()
