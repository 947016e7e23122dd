"""A handler that was added: its callbacks, and the turns in which they are called."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from vai.cache.deliveries import Delivery
from vai.cache.events import DeletedFinalStateUnknown, Event
from vai.cache.trouble import trouble
from vai.cache.waits import Deadline
from vai.errors import ClosedError, ForkedError, InvalidRequestError, SyncTimeoutError, VaiError
from vai.objects import Object
from vai.types import duration

if TYPE_CHECKING:
    from vai.cache.handlers import Handlers

#: What `on_add` is called with is what `transform` made of it, an Object where there is none.
OnAdd = Callable[[Any, bool], object]
OnUpdate = Callable[[Any, Any], object]
OnDelete = Callable[[Any], object]
OnError = Callable[[Exception], object]
Transform = Callable[[Object], Any]

#: Events taken at once.
_SLICE: Final = 32
#: How long one handler may go on while others wait for a thread.
_TURN_S: Final = 0.02
#: Kinds of errors of one handler that are logged; beyond that they are only counted.
_KINDS: Final = 32

_log = logging.getLogger("vai")


class Callbacks:
    """What a user gave to `add_handler`."""

    __slots__ = ("on_add", "on_delete", "on_error", "on_update", "transform")

    def __init__(
        self,
        on_add: OnAdd | None,
        on_update: OnUpdate | None,
        on_delete: OnDelete | None,
        on_error: OnError | None,
        transform: Transform | None,
    ) -> None:
        self.on_add = on_add
        self.on_update = on_update
        self.on_delete = on_delete
        self.on_error = on_error
        self.transform = transform

    def call(self, event: Event) -> None:
        """Call the one that is meant, if there is one."""
        match event.op:
            case "add":
                if self.on_add is not None:
                    self.on_add(self._transformed(event.object), event.is_in_initial_list)
            case "update":
                if self.on_update is not None:
                    new = self._transformed(event.object)
                    old = new if event.resync else self._transformed(event.old)
                    self.on_update(old, new)
            case "delete":
                if self.on_delete is not None:
                    self.on_delete(self._transformed(event.object))

    def _transformed(self, found: Object | DeletedFinalStateUnknown | None) -> Any:
        if self.transform is None or not isinstance(found, Object):
            return found
        return self.transform(found)


class Registration:
    """A handler that was added: `Cache.add_handler` returns it.

    Its callbacks are called one after the other, in the order of the history, by some thread of the
    cache. Thread-safe; its methods may be called from inside its callbacks too.
    """

    def __init__(self, handlers: Handlers, delivery: Delivery, callbacks: Callbacks) -> None:
        """Use `Cache.add_handler`."""
        self._handlers = handlers
        self._delivery = delivery
        self._callbacks = callbacks
        self._events: deque[Event] = deque()
        self._troubles: deque[VaiError] = deque(maxlen=1)
        self._synced = threading.Event()
        #: Held while it is decided whether one more callback begins; `_calling`: one is running.
        self._gate = threading.Condition()
        self._calling = False
        self._runner: int | None = None
        self._paused = False
        self._removed = False
        self._delivered = 0
        self._errors = 0
        self._called = handlers.called(delivery.feed.asked.resource)
        self._kinds: set[tuple[str, type[BaseException], int]] = set()

    @property
    def resource(self) -> str:
        """What it was added for, as it was named."""
        return self._delivery.feed.asked.resource

    @property
    def delivered(self) -> int:
        """How many events its callbacks were called for."""
        return self._delivered

    @property
    def errors(self) -> int:
        """How many exceptions its callbacks and its transform raised."""
        return self._errors

    @property
    def relists(self) -> int:
        """How often it was so late that the history no longer had what it missed."""
        return self._delivery.relists

    @property
    def removed(self) -> bool:
        """Whether it was removed, or its cache closed."""
        return self._removed or self._handlers.ended

    def has_synced(self) -> bool:
        """Whether the resource was listed, and `on_add` has returned for all of that list."""
        return self._synced.is_set()

    def wait_synced(self, timeout: float | timedelta | None = None) -> None:
        """Return when `has_synced`.

        Raises:
            SyncTimeoutError: it took longer; `.scopes` says why.
            ClosedError: it was removed, or its cache closed.
            InvalidRequestError: called by one of its own callbacks, for which it would wait.
        """
        self._handlers.reads.store.check()
        if self._runner == threading.get_ident():
            raise InvalidRequestError("a callback can't wait for its own handler")
        deadline = Deadline(timeout)
        while not self._synced.wait(deadline.slice_s()):
            if self.removed:
                raise ClosedError(f"the handler of {self.resource} was removed")
            self._handlers.reads.refuse_never()
            if deadline.passed():
                raise self._late(deadline)

    def remove(self, timeout: float | timedelta | None = 0.0) -> bool:
        """No callback is begun after this. Idempotent.

        Args:
            timeout: how long to wait for one that is running; None for as long as it takes.

        Returns:
            Whether none is running any more; in one of its own callbacks always False.
        """
        self._handlers.reads.store.check()
        with self._gate:
            self._removed = True
        self._handlers.forget(self._delivery, self)
        return self._wait_quiet(timeout)

    def pause(self, timeout: float | timedelta | None = 0.0) -> bool:
        """No callback is begun until `resume`, which goes on where this stopped.

        What happens meanwhile waits in the file's history, not in memory. Arguments and result are
        those of `remove`.
        """
        self._handlers.reads.store.check()
        with self._gate:
            self._paused = True
        return self._wait_quiet(timeout)

    def resume(self) -> None:
        """Go on after `pause`."""
        self._handlers.reads.store.check()
        self._paused = False
        self._handlers.submit(self)

    def _wait_quiet(self, timeout: float | timedelta | None) -> bool:
        if self._runner == threading.get_ident():
            return False
        deadline = Deadline(timeout)
        with self._gate:
            while self._calling and not deadline.passed():
                self._gate.wait(deadline.slice_s())
            return not self._calling

    def __repr__(self) -> str:
        state = "removed" if self.removed else "synced" if self.has_synced() else "not synced"
        return f"<vai.Registration of {self.resource} ({state}, {self._delivered} delivered)>"

    # what the cache's threads do

    @property
    def delivery(self) -> Delivery:
        """Its way through the history."""
        return self._delivery

    def run(self) -> bool:
        """Call what there is to call, for a while; whether there is more."""
        self._runner = threading.get_ident()
        try:
            return self._turn()
        except (ClosedError, ForkedError):
            return False
        except VaiError as error:
            # The file can't be read right now. The next tick tries again.
            self._report(error, "reading")
            return False
        finally:
            self._runner = None

    def _turn(self) -> bool:
        end = time.monotonic() + _TURN_S
        while self._troubles or self._events or self._fetch():
            with self._gate:
                if self._paused or self.removed:
                    return False
                self._calling = True
            try:
                self._call()
            finally:
                with self._gate:
                    self._calling = False
                    self._gate.notify_all()
            if time.monotonic() >= end:
                return True
        return False

    def _call(self) -> None:
        if self._troubles:
            self._tell(self._troubles.popleft())
        else:
            self._deliver(self._events.popleft())

    def _fetch(self) -> bool:
        self._events.extend(self._delivery.take(_SLICE))
        if self._delivery.begun:
            self._synced.set()
        return bool(self._events)

    def _deliver(self, event: Event) -> None:
        self._delivered += 1
        self._called.add(calls=1)
        try:
            self._callbacks.call(event)
        # Whatever it raises, SystemExit too: the thread is not only its own.
        except BaseException as error:  # noqa: BLE001
            error.add_note(f"in the handler of {self.resource}: {event.op} of {event.key}")
            self._raised()
            self._report(error, f"on_{event.op}")

    def trouble(self, error: VaiError) -> None:
        """The scopes can't be synced: to be told in its turn."""
        self._troubles.append(error)

    def _report(self, error: BaseException, where: str) -> None:
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        kind = (where, type(error), trace.tb_lineno if trace is not None else 0)
        if kind not in self._kinds and len(self._kinds) < _KINDS:
            self._kinds.add(kind)
            _log.error(
                "the handler of %s raised in %s; it goes on, and errors of this kind are counted "
                "from now on",
                self.resource,
                where,
                exc_info=error,
            )
        if isinstance(error, Exception) and where != "on_error":
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        if self._callbacks.on_error is None:
            return
        try:
            self._callbacks.on_error(error)
        except BaseException as other:  # noqa: BLE001 - as above
            self._raised()
            self._report(other, "on_error")

    def _raised(self) -> None:
        self._errors += 1
        self._called.add(errors=1)

    def _late(self, deadline: Deadline) -> SyncTimeoutError:
        reads = self._handlers.reads
        why = trouble(reads, self._delivery.feed.asked, reads.store.scopes())
        if self._delivery.begun or self._delivered:
            scopes = {self.resource: f"{self._delivered} delivered so far"}
        else:
            scopes = {self.resource: str(why) if why is not None else "not listed yet"}
        return SyncTimeoutError(
            f"handler of {self.resource}: not synced within {duration(deadline.limit_s)}: "
            f"{scopes[self.resource]}",
            scopes=scopes,
        )
