"""The cache that users hold: reads of one moment, waits and the history, over a cluster file.

What it is: `Cache`, made by `connect` (which also syncs) or `open` (which only reads). What it may
know: the store that answers; the informer and the transport only inside `connect`, imported when
there is something to sync. Why it is apart: a process that only reads must never load what talks
to the network.
"""

from __future__ import annotations

from vai.cache.aio import AsyncCache
from vai.cache.cache import Cache
from vai.cache.changes import AsyncChanges, Changes
from vai.cache.connect import TEMPORARY, connect, open  # noqa: A004 - vai.open
from vai.cache.events import DeletedFinalStateUnknown, Event
from vai.cache.explain import Explain
from vai.cache.export import Exported
from vai.cache.indexers import Indexer
from vai.cache.listers import Lister, NamespaceLister
from vai.cache.registrations import Registration
from vai.cache.relations import Related, Tree
from vai.cache.stream import AsyncEvents
from vai.cache.views import Change, Page, Snapshot

__all__ = [
    "TEMPORARY",
    "AsyncCache",
    "AsyncChanges",
    "AsyncEvents",
    "Cache",
    "Change",
    "Changes",
    "DeletedFinalStateUnknown",
    "Event",
    "Explain",
    "Exported",
    "Indexer",
    "Lister",
    "NamespaceLister",
    "Page",
    "Registration",
    "Related",
    "Snapshot",
    "Tree",
    "connect",
    "open",
]
