"""The log of requests, for tests that prove what a client asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from vai.testing.requests import Request


@dataclass(slots=True)
class LoggedRequest:
    """One request; ``bytes_sent`` of a running watch grows.

    Attributes:
        time: When it arrived, seconds since the epoch.
        kind: ``list``, ``watch``, ``watchlist``, ``probe``, ``get``, ``write``, ``discovery`` or
            ``other``, see ``vai.testing.requests.Request``.
        status: The HTTP status; 0 until the answer begins.
        finished: When the answer ended; None while it runs.
    """

    time: float
    method: str
    path: str
    query: dict[str, str]
    verb: str
    kind: str
    resource: str
    namespace: str
    user_agent: str
    status: int = 0
    bytes_sent: int = 0
    finished: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def __str__(self) -> str:
        query = "&".join(f"{k}={v}" for k, v in self.query.items())
        target = f"{self.path}?{query}" if query else self.path
        return f"{self.kind:9} {self.status} {self.bytes_sent:>10} B  {self.method} {target}"


@dataclass(slots=True)
class RequestLog:
    """All requests in order of arrival. Indexing and iteration work on a copy."""

    _entries: list[LoggedRequest] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, request: Request) -> LoggedRequest:
        """Log a request as it arrives."""
        entry = LoggedRequest(
            time=time.time(),
            method=request.method,
            path=request.path,
            query=dict(request.query),
            verb=request.verb,
            kind=request.kind,
            resource=f"{request.resource}.{request.group}" if request.group else request.resource,
            namespace=request.namespace,
            user_agent=request.user_agent,
        )
        with self._lock:
            self._entries.append(entry)
        return entry

    def entries(self) -> list[LoggedRequest]:
        """A copy of the log."""
        with self._lock:
            return list(self._entries)

    def __iter__(self) -> Iterator[LoggedRequest]:
        return iter(self.entries())

    def __len__(self) -> int:
        with self._lock:
            return len(self._entries)

    def __getitem__(self, index: int) -> LoggedRequest:
        with self._lock:
            return self._entries[index]

    def clear(self) -> None:
        """Forget what was logged so far."""
        with self._lock:
            self._entries.clear()

    def select(
        self,
        *kinds: str,
        resource: str | None = None,
        user_agent: str | None = None,
        since: float = 0.0,
    ) -> list[LoggedRequest]:
        """The requests of some kinds.

        Args:
            kinds: ``list``, ``watch``, …; all when none is named.
            resource: ``pods`` or ``deployments.apps``.
            user_agent: What the User-Agent must begin with.
            since: Seconds since the epoch.
        """
        return [
            entry
            for entry in self.entries()
            if (not kinds or entry.kind in kinds)
            and (resource is None or entry.resource == resource)
            and (user_agent is None or entry.user_agent.startswith(user_agent))
            and entry.time >= since
        ]

    def lists(self, resource: str | None = None) -> list[LoggedRequest]:
        """Requests that downloaded a collection: lists, and watches that send all objects."""
        return self.select("list", "watchlist", resource=resource)

    def watches(self, resource: str | None = None) -> list[LoggedRequest]:
        """Watches that resumed from a resourceVersion."""
        return self.select("watch", resource=resource)

    def probes(self, resource: str | None = None) -> list[LoggedRequest]:
        """Watches that only asked for the current resourceVersion."""
        return self.select("probe", resource=resource)
