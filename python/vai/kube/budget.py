"""What a cluster may be asked for in a second: requests, and bytes of lists.

One `Budget` per transport. A reflector has one request under way at a time, so a queue in order of
arrival is fair between scopes. What keeps scopes proven (probes, watches, discovery) goes before
lists, which still get their share.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

#: Where both wait, one token in this many is a list's: nobody starves.
_SHARE: Final = 4
#: How long a wait lasts before it is looked whether it still makes sense.
_LOOK_S: Final = 0.2
#: A server may ask for silence as long as it likes; for more than client-go's longest wait
#: (tools/cache/reflector.go, 30 s) only whom it refused stays away, or everything would be stale.
_LONGEST_S: Final = 30.0


class Budget:
    """Token buckets for requests and for bytes, and the wish of a server to be left alone.

    Args:
        requests_per_s: requests that may go out in a second, on average; None for any number.
        burst: requests that may go out at once after a pause.
        bytes_per_s: bytes of lists that are read in a second, on average; None for any number.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        requests_per_s: float | None,
        burst: int,
        bytes_per_s: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._requests = None if requests_per_s is None else _Bucket(requests_per_s, burst, clock())
        # A second's worth may come at once: a socket's buffer has been filled meanwhile anyway.
        self._bytes = None if bytes_per_s is None else _Bucket(bytes_per_s, bytes_per_s, clock())
        self._clock = clock
        self._changed = threading.Condition()
        self._urgent: deque[object] = deque()
        self._lists: deque[object] = deque()
        self._since_list = 0
        self._quiet_until = float("-inf")

    def enter(self, *, urgent: bool, ended: Callable[[], bool]) -> bool:
        """Wait until one more request may go out.

        Args:
            urgent: it keeps a scope proven; else it is a list.
            ended: whether waiting has lost its sense.

        Returns:
            False if it ended before that.
        """
        me = object()
        queue = self._urgent if urgent else self._lists
        with self._changed:
            queue.append(me)
            try:
                while not ended():
                    wait_s = self._wait_s(me)
                    if wait_s <= 0:
                        self._take(urgent=urgent)
                        return True
                    self._changed.wait(min(wait_s, _LOOK_S))
                return False
            finally:
                queue.remove(me)
                self._changed.notify_all()

    def received(self, count_bytes: int) -> None:
        """Bytes came, of whatever: those of watches make lists wait, and never wait themselves."""
        if self._bytes is not None:
            with self._changed:
                self._bytes.take(count_bytes, self._clock())

    def pace(self, ended: Callable[[], bool]) -> None:
        """Wait until more of a list may be read; meanwhile the socket's window slows the server."""
        bucket = self._bytes
        if bucket is None:
            return
        with self._changed:
            while (wait_s := bucket.wait_s(self._clock(), 0)) > 0 and not ended():
                self._changed.wait(min(wait_s, _LOOK_S))

    def stand_back(self, seconds: float) -> None:
        """The server wants to be left alone for so long: nothing goes out meanwhile."""
        with self._changed:
            until = self._clock() + min(seconds, _LONGEST_S)
            self._quiet_until = max(self._quiet_until, until)
            if self._requests is not None:
                # Or all would go out at once in the moment that it ends.
                self._requests.empty(until)
            self._changed.notify_all()

    def wake(self) -> None:
        """Let every waiter look again whether it has to go on."""
        with self._changed:
            self._changed.notify_all()

    def _wait_s(self, me: object) -> float:
        now = self._clock()
        if now < self._quiet_until:
            return self._quiet_until - now
        if self._next() is not me:
            return _LOOK_S
        return 0.0 if self._requests is None else self._requests.wait_s(now, 1)

    def _next(self) -> object | None:
        lists_turn = self._lists and (not self._urgent or self._since_list >= _SHARE - 1)
        queue = self._lists if lists_turn else self._urgent
        return queue[0] if queue else None

    def _take(self, *, urgent: bool) -> None:
        self._since_list = self._since_list + 1 if urgent else 0
        if self._requests is not None:
            self._requests.take(1, self._clock())


class _Bucket:
    """A token bucket that may go into debt: what was read can't be put back."""

    def __init__(self, per_s: float, most: float, now: float) -> None:
        self._per_s = per_s
        self._most = most
        self._tokens = float(most)
        self._at = now

    def _fill(self, now: float) -> None:
        self._tokens = min(self._most, self._tokens + max(0.0, now - self._at) * self._per_s)
        self._at = max(self._at, now)

    def take(self, count: float, now: float) -> None:
        self._fill(now)
        self._tokens -= count

    def empty(self, until: float) -> None:
        """Begin again at that moment, with nothing saved up."""
        self._tokens = min(self._tokens, 1.0)
        self._at = max(self._at, until)

    def wait_s(self, now: float, count: float) -> float:
        """Until there are so many."""
        self._fill(now)
        return max(0.0, (count - self._tokens) / self._per_s)
