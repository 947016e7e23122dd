"""A durable, queryable local copy of Kubernetes resources that says how fresh it is.

```python
import vai

cache = vai.connect("hub.db", scopes=[vai.Scope("pods", namespace="jhub")])
cache.wait_synced(timeout=30)
pods = cache.snapshot("pods")

with vai.open("hub.db") as reader:
    pod = reader.get("pods", "web-0", namespace="jhub")
```

Importing it loads neither the `kubernetes` package nor a CLI library; `connect` loads the first
when there is something to sync. It prints nothing, installs no signal handler and configures no
logging: what it has to say goes to the logger `vai`.
"""

from __future__ import annotations

import logging
from importlib.metadata import version

from vai.cache import (
    TEMPORARY,
    AsyncCache,
    AsyncChanges,
    AsyncEvents,
    Cache,
    Change,
    Changes,
    DeletedFinalStateUnknown,
    Event,
    Explain,
    Exported,
    Page,
    Registration,
    Related,
    Snapshot,
    Tree,
    connect,
    open,  # noqa: A004 - vai.open
)
from vai.config import Settings
from vai.errors import (
    ClosedError,
    ConsumerBusyError,
    CorruptError,
    DiskFullError,
    ExpiredError,
    FileError,
    ForbiddenError,
    ForkedError,
    InvalidCursorError,
    InvalidExpressionError,
    InvalidRequestError,
    InvalidSelectorError,
    NotAVaiFileError,
    NotFoundError,
    NotKeptError,
    NotSyncedError,
    OfflineError,
    OtherClusterError,
    QueryTimeoutError,
    ReadOnlyError,
    SchemaTooNewError,
    StaleError,
    SyncTimeoutError,
    UnknownFieldError,
    UnknownResourceError,
    VaiError,
    VaiTimeoutError,
    WriterRunningError,
)
from vai.objects import JsonValue, Object
from vai.store import Distincts, Facet, Group, Partition, Summary
from vai.types import (
    EVERYTHING,
    Cluster,
    ConsumerStatus,
    Field,
    Freshness,
    Position,
    Redaction,
    Resource,
    Scope,
    ScopeStatus,
    State,
)

logging.getLogger("vai").addHandler(logging.NullHandler())

__version__ = version("vai-cache")

__all__ = [
    "EVERYTHING",
    "TEMPORARY",
    "AsyncCache",
    "AsyncChanges",
    "AsyncEvents",
    "Cache",
    "Change",
    "Changes",
    "ClosedError",
    "Cluster",
    "ConsumerBusyError",
    "ConsumerStatus",
    "CorruptError",
    "DeletedFinalStateUnknown",
    "DiskFullError",
    "Distincts",
    "Event",
    "ExpiredError",
    "Explain",
    "Exported",
    "Facet",
    "Field",
    "FileError",
    "ForbiddenError",
    "ForkedError",
    "Freshness",
    "Group",
    "InvalidCursorError",
    "InvalidExpressionError",
    "InvalidRequestError",
    "InvalidSelectorError",
    "JsonValue",
    "NotAVaiFileError",
    "NotFoundError",
    "NotKeptError",
    "NotSyncedError",
    "Object",
    "OfflineError",
    "OtherClusterError",
    "Page",
    "Partition",
    "Position",
    "QueryTimeoutError",
    "ReadOnlyError",
    "Redaction",
    "Registration",
    "Related",
    "Resource",
    "SchemaTooNewError",
    "Scope",
    "ScopeStatus",
    "Settings",
    "Snapshot",
    "StaleError",
    "State",
    "Summary",
    "SyncTimeoutError",
    "Tree",
    "UnknownFieldError",
    "UnknownResourceError",
    "VaiError",
    "VaiTimeoutError",
    "WriterRunningError",
    "connect",
    "open",
]
