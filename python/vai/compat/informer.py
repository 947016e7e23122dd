"""`SharedInformer` with the constructor, methods and events of `kubernetes.informer`'s.

`docs/informers.md` says what differs.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, Final

import msgspec

from vai.cache import TEMPORARY, Cache, Registration
from vai.cache.connect import Temporary, cache_over
from vai.cache.events import DeletedFinalStateUnknown
from vai.compat.objects import KeyFunc, ObjectCache
from vai.config import Settings, load_settings
from vai.errors import InvalidRequestError
from vai.objects import Object
from vai.types import Redaction, Scope

ADDED: Final = "ADDED"
MODIFIED: Final = "MODIFIED"
DELETED: Final = "DELETED"
BOOKMARK: Final = "BOOKMARK"
ERROR: Final = "ERROR"

Handler = Callable[[Any], object]

_log = logging.getLogger("vai")
#: Those that run stay alive though nobody holds them, as the original's do; the others do not.
_running: Final[set[SharedInformer]] = set()


class SharedInformer:
    """Keep a local copy of a resource current and call handlers for what changes.

    Args:
        list_func: a bound list method of a generated API class of the `kubernetes` package, such as
            `CoreV1Api().list_namespaced_pod`. Its client says which server, and as whom.
        namespace: for a method that takes one.
        resync_period: seconds after which MODIFIED is called again for everything; 0 for never.
        label_selector: as in `kubectl get -l`.
        field_selector: as in `kubectl get --field-selector`.
        key_func: what the cache is keyed by; by default `namespace/name`.
        file: where the copy is kept; by default in a folder that goes with the informer. With a
            path a restart resumes its watch instead of listing.
        settings: of vai; by default from `VAI_*`.

    Raises:
        InvalidRequestError: `list_func` is no such method, or does not take a namespace, or needs
            one.
    """

    def __init__(  # noqa: PLR0917 - the original's order
        self,
        list_func: Callable[..., Any],
        namespace: str | None = None,
        resync_period: float = 0,
        label_selector: str | None = None,
        field_selector: str | None = None,
        key_func: KeyFunc | None = None,
        *,
        file: str | os.PathLike[str] | Temporary = TEMPORARY,
        settings: Settings | None = None,
    ) -> None:
        # Not at the top: it costs what importing `kubernetes` does.
        from vai.kube import adopt

        arguments = {} if namespace is None else {"namespace": namespace}
        self._adopted = adopt(list_func, **arguments)
        self._scope = Scope(
            self._adopted.name,
            self._adopted.namespace,
            label_selector or "",
            field_selector or "",
            Redaction.NONE,
        )
        self._resync_s = float(resync_period) or None
        self._file = file
        self._settings = settings or load_settings()
        self._objects = ObjectCache(key_func)
        self._handlers: dict[str, list[Handler]] = {
            name: [] for name in (ADDED, MODIFIED, DELETED, BOOKMARK, ERROR)
        }
        self._lock = threading.Lock()
        self._cache: Cache | None = None
        self._registration: Registration | None = None
        self._running = False
        self._checked = False

    @property
    def cache(self) -> ObjectCache:
        """What is known, as models."""
        return self._objects

    def add_event_handler(self, event_type: str, handler: Handler) -> None:
        """Call a function for events of one type; those that happened already are not repeated.

        Args:
            event_type: ADDED, MODIFIED, DELETED, BOOKMARK or ERROR.
            handler: called with the object, for ERROR with the exception.

        Raises:
            ValueError: there is no such type.
        """
        if event_type not in self._handlers:
            known = ", ".join(sorted(self._handlers))
            raise ValueError(f"Unknown event_type {event_type!r}. Use one of: {known}")
        with self._lock:
            self._handlers[event_type].append(handler)

    def remove_event_handler(self, event_type: str, handler: Handler) -> None:
        """Call it no longer; nothing happens if it was not added."""
        with self._lock:
            handlers = self._handlers.get(event_type, [])
            if handler in handlers:
                handlers.remove(handler)

    def start(self) -> None:
        """Begin, or go on after `stop`; returns at once. Nothing happens if it is running."""
        with self._lock:
            if self._running:
                return
            self._running = True
        _running.add(self)
        if self._cache is not None and self._registration is not None:
            self._cache._engine.resume()  # noqa: SLF001 - what `stop` of the cache's own kind undoes
            self._registration.resume()
            return
        self._cache = self._connect()
        self._objects.attach(self._cache, self._adopted.name, self._adopted.decode)
        # Threads of the cache hold what they call.
        weakly = weakref.WeakMethod
        self._registration = self._cache.add_handler(
            self._adopted.name,
            on_add=_Weakly(weakly(self._on_add)),
            on_update=_Weakly(weakly(self._on_update)),
            on_delete=_Weakly(weakly(self._on_delete)),
            on_error=_Weakly(weakly(self._on_error)),
            resync=self._resync_s,
        )
        weakref.finalize(self, self._cache.close)

    def stop(self) -> None:
        """End its requests, and wait for a handler that is running; the cache stays readable."""
        with self._lock:
            running, self._running = self._running, False
        _running.discard(self)
        if not running or self._cache is None or self._registration is None:
            return
        self._cache._engine.pause()  # noqa: SLF001 - its file stays open, for reads and `start`
        self._registration.pause(timeout=None)

    # inside

    def _connect(self) -> Cache:
        from vai.informer import Informer
        from vai.store import Store

        # Not self: the cache holds on to it.
        adopted, settings, scopes = self._adopted, self._settings, (self._scope,)

        def connector(store: Store) -> Informer:
            return Informer(store, adopted.transport(settings), scopes, settings)

        return cache_over(self._file, connector, "auto", settings, scopes)

    def _on_add(self, found: Object, _is_in_initial_list: bool) -> None:  # noqa: FBT001
        # A model takes 0.1 to 1 ms: none is made for nobody.
        if self._handlers[ADDED]:
            self._fire(ADDED, self._model(found))

    def _on_update(self, _old: Object | None, found: Object) -> None:
        if self._handlers[MODIFIED]:
            self._fire(MODIFIED, self._model(found))

    def _on_delete(self, last: Object | DeletedFinalStateUnknown) -> None:
        known = self._objects.forget(last.key)
        if not self._handlers[DELETED]:
            return
        body = last if isinstance(last, Object) else last.object
        if body is not None:
            known = self._adopted.decode(body.raw)
        elif known is None:
            namespace, _, name = last.key.rpartition("/")
            metadata = {"name": name, "uid": last.uid} | (
                {"namespace": namespace} if namespace else {}
            )
            known = self._adopted.decode(msgspec.json.encode({"metadata": metadata}))
        self._fire(DELETED, known)

    def _on_error(self, error: Exception) -> None:
        self._fire(ERROR, error)

    def _model(self, found: Object) -> Any:
        if not self._checked and self._cache is not None:
            kept = self._cache.resolve(self._adopted.name)
            if kept.version != self._adopted.version:
                raise InvalidRequestError(
                    f"{kept.name} are kept as {kept.api_version}, which the server prefers: "
                    f"use the list function of that version, not of {self._adopted.version}"
                )
            self._checked = True
        return self._objects.model(found)

    def _fire(self, event_type: str, told: Any) -> None:
        with self._lock:
            handlers = list(self._handlers[event_type])
        for handler in handlers:
            try:
                handler(told)
            except Exception:  # noqa: BLE001 - as the original: whatever it is, the others go on
                _log.exception("a handler of %s raised for %s", event_type, self._scope)


class _Weakly:
    """A method of an informer that may be gone."""

    def __init__(self, method: weakref.WeakMethod[Callable[..., None]]) -> None:
        self._method = method

    def __call__(self, *told: Any) -> None:
        method = self._method()
        if method is not None:
            method(*told)
