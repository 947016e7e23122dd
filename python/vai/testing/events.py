"""events.k8s.io/v1: the same events as the core ones, in their newer shape.

Source: kubernetes ``pkg/apis/events/v1/conversion.go``.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache

from vai.testing.objects import Json, Stored, head_of, render

_RENAMED = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
_ORDER = (
    "metadata",
    "eventTime",
    "series",
    "reportingController",
    "reportingInstance",
    "action",
    "reason",
    "regarding",
    "related",
    "note",
    "type",
    "deprecatedSource",
    "deprecatedFirstTimestamp",
    "deprecatedLastTimestamp",
    "deprecatedCount",
)


@lru_cache(maxsize=4096)
def events_v1(stored: Stored) -> Stored:
    """A core event as events.k8s.io/v1 shows it."""
    old = stored.load()
    renamed: Json = {_RENAMED.get(k, k): v for k, v in old.items()}
    # Fields without omitempty in the newer type.
    for name in ("eventTime", "deprecatedFirstTimestamp", "deprecatedLastTimestamp"):
        renamed.setdefault(name, None)
    for name in ("regarding", "deprecatedSource"):
        renamed.setdefault(name, {})
    obj = {name: renamed[name] for name in _ORDER if name in renamed}
    api_version = "events.k8s.io/v1"
    item, start, end = render(obj, custom=False, kind="Event", api_version=api_version)
    head = head_of("Event", api_version)
    return dataclasses.replace(stored, item=item, head=head, meta_start=start, meta_end=end)
