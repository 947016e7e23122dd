"""`Informers`: the part of a cache that users of client-go's informers know."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from vai.cache.feeds import Asked
from vai.cache.handlers import Handlers
from vai.cache.registrations import Callbacks, Registration
from vai.types import seconds

if TYPE_CHECKING:
    from vai.cache.indexers import Indexer
    from vai.cache.listers import Lister
    from vai.cache.query import Namespaces
    from vai.cache.reads import Reads
    from vai.cache.registrations import OnAdd, OnDelete, OnError, OnUpdate, Transform


class Informers:
    """Handlers, listers and indexers; a base of `Cache`."""

    _reads: Reads
    _handlers: Handlers

    def add_handler(
        self,
        resource: str,
        *,
        on_add: OnAdd | None = None,
        on_update: OnUpdate | None = None,
        on_delete: OnDelete | None = None,
        on_error: OnError | None = None,
        namespace: Namespaces = None,
        label_selector: str = "",
        field_selector: str = "",
        where: str = "",
        resync: float | timedelta | None = None,
        transform: Transform | None = None,
    ) -> Registration:
        """Call functions for what is there and for what changes, as client-go's informers do.

        First `on_add` for all objects there are at this call, then whatever happens to them, one
        call after the other, in the order of the history, without a gap and nothing twice, until
        the handler is removed or the cache closed. It may be called before the first list, which
        it then waits for. Any file will do: handlers work beside the process that syncs it, and
        through its restart. What they did is not remembered beyond this process: for that there is
        `changes(consumer=)`.

        The callbacks of one handler run on one thread at a time, those of others beside them: one
        that blocks or raises holds up nobody else. Reads inside them are at least as new as the
        event. With a filter, an object that comes to pass it is an add, and one that no longer
        does a delete, as in a server's watch.

        A handler that is so late that the history lost what it missed is told the difference
        between what it was told last and what there is: adds, updates without an old object,
        deletes as tombstones.

        Args:
            resource: as kubectl takes it.
            on_add: called with (object, is_in_initial_list).
            on_update: called with (old, new). `old` is None where it is no longer known.
            on_delete: called with the object's last state, or with a `DeletedFinalStateUnknown`
                where a list found it gone. Both have `key`.
            on_error: called with what a callback raised (which is also logged, once per kind), and
                with why the scopes can't be synced, when that changes: OfflineError,
                ForbiddenError, NotFoundError where the server no longer has the resource.
            namespace: one namespace, several, or None for all that is kept.
            label_selector: as in `kubectl get -l`.
            field_selector: as in `kubectl get --field-selector`.
            where: a condition, as in `list`; ages are counted from the moment of this call.
            resync: seconds after which everything is told again, as updates from an object to
                itself; nothing is asked of the server for it.
            transform: called with each object before the callbacks, which get what it returns. Not
                with tombstones.

        Raises:
            NotKeptError: no scope of the file covers what is asked for.
            InvalidRequestError: a filter or `resync` is wrong.
            ClosedError: the cache was closed.
        """
        asked = Asked.of(resource, namespace, label_selector, field_selector, where)
        callbacks = Callbacks(on_add, on_update, on_delete, on_error, transform)
        return self._handlers.add(asked, callbacks, seconds(resync))

    @property
    def handlers(self) -> tuple[Registration, ...]:
        """The handlers that were added and not removed."""
        return self._handlers.registrations()

    def lister(self, resource: str) -> Lister:
        """Reads of one resource as client-go's listers have them.

        Args:
            resource: as kubectl takes it.
        """
        from vai.cache.listers import Lister

        return Lister(self._reads, resource)

    def indexer(self, resource: str) -> Indexer:
        """Reads of one resource by what Python functions say of each object.

        Only for what no field, label or path has: those `list(where=…)` finds faster, in one
        moment, and without a function that is called for every change.

        Args:
            resource: as kubectl takes it.
        """
        from vai.cache.indexers import Indexer

        return Indexer(self._reads, resource)
