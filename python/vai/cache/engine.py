"""What a cache owns and must let go again: handles, threads, a temporary folder.

`Engine` decides by its role who syncs. The first holder of the file's lock does; in role "auto"
the others answer from the file and look every second whether the lock fell free.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal, Protocol

from vai.cache.measures import Called, Measures, measure
from vai.cache.waits import Waker
from vai.errors import NotFoundError, VaiError, WriterRunningError
from vai.store import Store

Role = Literal["auto", "writer", "reader"]

#: How often a follower looks whether the lock fell free. Our choice: a file is stale only after
#: 30 s without its writer.
_RETRY_S: Final = 1.0
#: How long a follower waits for the writer that holds the lock to have made the file.
_CREATED_WITHIN_S: Final = 5.0

_log = logging.getLogger("vai")


class Syncing(Protocol):
    """What keeps the file current: `vai.informer.Informer`."""

    def start(self) -> None:
        """Start to list and watch; returns at once."""

    def stop(self) -> object:
        """Stop, in under two seconds."""

    def wait_planned(self, timeout_s: float | None = None) -> bool:
        """Whether discovery answered, so that the scopes asked for are in the file."""

    def problems(self) -> Mapping[str, VaiError]:
        """Why, per scope asked for (as text) that is not being synced."""

    @property
    def fatal(self) -> VaiError | None:
        """Why nothing will ever be synced."""


#: Makes the informer for a handle that was opened as writer.
Connector = Callable[[Store], Syncing]
#: Opens the file in a mode.
Opener = Callable[[Literal["writer", "reader"]], Store]


class Engine:
    """The moving parts behind one `Cache`. Closed once, from anywhere, also by the collector."""

    def __init__(
        self,
        opener: Opener,
        connector: Connector | None,
        role: Role,
        folder: Path | None = None,
    ) -> None:
        """Open the file in the role; `folder` is removed when everything is closed.

        Raises:
            WriterRunningError: role "writer", and another process writes the file.
            NotFoundError: role "reader", and there is no file.
        """
        self._pid = os.getpid()
        self._opener = opener
        self._connector = connector
        self._folder = folder
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._writer: Store | None = None
        self._follower: threading.Thread | None = None
        self.syncing: Syncing | None = None
        try:
            self.store = self._open(role)
        except BaseException:
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        self.waker = Waker(self.store)
        if not self.writes and role == "auto" and connector is not None:
            self._follower = threading.Thread(target=self._follow, name="vai-follower", daemon=True)
            self._follower.start()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._stopped.is_set()

    @property
    def writes(self) -> bool:
        """Whether this process syncs the file right now."""
        return self._writer is not None

    def measures(self, handlers: Mapping[str, tuple[int, Called]]) -> Measures:
        """All that is counted, of the file and of what this process does."""
        return measure(self.store, self.syncing, self._writer, handlers)

    def pause(self) -> None:
        """Stop syncing, if this process does; reads go on, and get older."""
        with self._lock:
            syncing, self.syncing = self.syncing, None
        if syncing is not None:
            syncing.stop()

    def resume(self) -> None:
        """Sync again after `pause`."""
        with self._lock:
            if self._writer is not None and self.syncing is None and not self._stopped.is_set():
                self._sync(self._writer)

    def close(self) -> None:
        """Stop the threads, close the handles. Idempotent; a no-op in a forked child."""
        if os.getpid() != self._pid:
            return
        self._stopped.set()
        with self._lock:
            syncing, self.syncing = self.syncing, None
            writer, self._writer = self._writer, None
            folder, self._folder = self._folder, None
        with contextlib.ExitStack() as parts:
            # Run in the opposite order, each although another failed.
            if folder is not None:
                parts.callback(shutil.rmtree, folder, ignore_errors=True)
            if writer is not None:
                parts.callback(writer.close)
            # After the store: a coroutine that is woken looks once more, and must find it closed.
            parts.callback(self.waker.close)
            parts.callback(self.store.close)
            if self._follower is not None and self._follower is not threading.current_thread():
                parts.callback(self._follower.join, 1.0)
            if syncing is not None:
                parts.callback(syncing.stop)

    def _open(self, role: Role) -> Store:
        if role == "reader":
            return self._opener("reader")
        try:
            store = self._opener("writer")
        except WriterRunningError:
            if role == "writer":
                raise
            return self._open_made()
        try:
            self._sync(store)
        except BaseException:
            store.close()
            raise
        return store

    def _open_made(self) -> Store:
        """A reader of the file that the holder of the lock may just be making."""
        deadline = time.monotonic() + _CREATED_WITHIN_S
        while True:
            try:
                return self._opener("reader")
            except NotFoundError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.05)

    def _sync(self, store: Store) -> None:
        if self._connector is not None:
            syncing = self._connector(store)
            syncing.start()
            self.syncing = syncing
        self._writer = store

    def _follow(self) -> None:
        while not self._stopped.wait(_RETRY_S):
            try:
                store = self._opener("writer")
            except WriterRunningError:
                continue
            except VaiError as error:
                _log.warning("can't take over %s: %s", self.store.path, error)
                continue
            if self._take_over(store):
                return

    def _take_over(self, store: Store) -> bool:
        """The lock fell free: sync through this handle; reads go on through the old one."""
        with self._lock:
            if self._stopped.is_set():
                store.close()
                return True
            try:
                self._sync(store)
            except VaiError as error:
                store.close()
                _log.warning("can't take over %s: %s", self.store.path, error)
                return False
        _log.info("took over %s", self.store.path)
        return True
