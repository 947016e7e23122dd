"""Everything that is counted of a file and of those who sync it, at one moment."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import msgspec

from vai.store import Store
from vai.types import ConsumerStatus, Resource, ScopeStatus, Traffic

if TYPE_CHECKING:
    from vai.reflector.counts import Counts
    from vai.reflector.selfcheck import Tally


@runtime_checkable
class Counting(Protocol):
    """What syncs in this process, as far as it counts: `vai.informer.Informer`."""

    def counts(self) -> Mapping[int, Counts]:
        """What each reflector did, by the id of its scope."""

    def tallies(self) -> Mapping[int, Tally]:
        """What the self-checks came to, by the id of the scope."""


@dataclass(slots=True)
class Called:
    """What is counted of the handlers of a resource, since the cache was opened.

    Attributes:
        calls: events that callbacks were called for.
        errors: exceptions that they raised, and their transforms.
    """

    calls: int = 0
    errors: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, *, calls: int = 0, errors: int = 0) -> None:
        """Count; handlers of one resource are called by several threads."""
        with self._lock:
            self.calls += calls
            self.errors += errors


class Measures(msgspec.Struct, frozen=True, kw_only=True):
    """See `measure`.

    Attributes:
        scopes: all scopes of the file.
        resources: theirs, by name.
        stats: sizes and positions.
        consumers: the named consumers.
        events: what came in watches, by scope and type; of this process alone.
        counts: what reflectors did; of this process alone.
        tallies: what self-checks came to; of this process alone.
        traffic: what the process that syncs asked its server for; None where nobody knows.
        handlers: how many there are, by resource, and what is counted of them; of this cache alone.
    """

    scopes: tuple[ScopeStatus, ...]
    resources: Mapping[str, Resource]
    stats: Mapping[str, Any]
    consumers: tuple[ConsumerStatus, ...]
    events: Mapping[int, Mapping[str, int]]
    counts: Mapping[int, Any]
    tallies: Mapping[int, Any]
    traffic: Traffic | None
    handlers: Mapping[str, tuple[int, Any]]


def measure(
    reader: Store,
    syncing: object = None,
    writer: Store | None = None,
    handlers: Mapping[str, tuple[int, Called]] | None = None,
) -> Measures:
    """Read it all: some small reads of the file, no object.

    Args:
        reader: a handle of the file.
        syncing: what syncs it in this process, if anything does.
        writer: the handle that it syncs through.
        handlers: those of the cache.
    """
    known = {resource.name: resource for resource in reader.resources()}
    scopes = tuple(reader.scopes())
    counting = syncing if isinstance(syncing, Counting) else None
    return Measures(
        scopes=scopes,
        resources={one.resource: known[one.resource] for one in scopes if one.resource in known},
        stats=reader.stats(),
        consumers=tuple(reader.consumers()),
        events={} if writer is None else writer.events(),
        counts={} if counting is None else counting.counts(),
        tallies={} if counting is None else counting.tallies(),
        traffic=reader.traffic(),
        handlers=handlers or {},
    )
