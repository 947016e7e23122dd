"""The states of the watch loop, as values.

```
                ┌──▶ Initial ──┐     ┌─────────────────┐ a stream that was listed goes on
Start ──▶ Relist ──▶ Page ──▶ Publish ──▶ Open ──▶ Stream ─┐
  │          ▲        ▲ │        │          ▲  ▲      │     │
  │          └────────┴─┴────────┘          │  └──────┘     │ ended, broken
  └──────────────────────────────▶ Probe ───┘◀──────────────┘
```
From any of them a failure leads to Wait, which remembers where to go on. 410, a malformed frame
and a resourceVersion that went back lead to Relist, 404 to Missing. A streaming list that does not
come to its end leads back to Relist, which then takes pages.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, TypeAlias

from vai.reflector.protocol import Response

if TYPE_CHECKING:
    from vai.store import Listing, Watching


class Bookmarks(Enum):
    """Whether a server sends bookmarks for a resource."""

    #: kube-apiserver caches it.
    SENT = auto()
    #: kube-apiserver does not: its watch is etcd's own.
    NONE = auto()
    #: An extension server's.
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Proof:
    """The server was at `resource_version` at `asked_s` (CLOCK_BOOTTIME) or later.

    A stream that has reached it shows the scope complete as of `asked_s`.
    """

    resource_version: str
    asked_s: float


@dataclass(frozen=True, slots=True)
class Start:
    """Nothing is known yet: ask the file where the scope stands."""


@dataclass(frozen=True, slots=True)
class Relist:
    """The scope has to be listed, for this reason (empty: its first list)."""

    reason: str = ""
    #: A page's continue token expired once: ask for everything in one answer.
    unpaged: bool = False
    #: A list that would remove most of the scope: this is the second one, asked to confirm it.
    confirming: bool = False
    #: Nothing is amiss: the list proves what stands, where the server sends no bookmarks.
    proves: bool = False
    #: By pages, though the server may stream.
    paged: bool = False
    #: Whatever resourceVersion it has counts, also one that is lower than what was seen.
    restored: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """A list is under way and wants its next page."""

    why: Relist
    listing: Listing
    asked_s: float
    token: str = ""
    #: Of the first page, which is the list's; empty before it.
    resource_version: str = ""
    #: The server refused it once: is it still the one that began the list?
    doubtful: bool = False


@dataclass(frozen=True, slots=True)
class Initial:
    """A streaming list is open: its objects are staged until the bookmark that ends them."""

    why: Relist
    listing: Listing
    asked_s: float
    response: Response
    chunks: Iterator[bytes]
    opened_s: float
    #: When something came last.
    heard_s: float


@dataclass(frozen=True, slots=True)
class Publish:
    """Everything is staged; what it would change is judged before it counts."""

    why: Relist
    listing: Listing
    asked_s: float
    resource_version: str
    #: The streaming list that goes on as the watch; None behind pages.
    stream: Initial | None = None
    #: It took more than one request.
    pieced: bool = False


@dataclass(frozen=True, slots=True)
class Probe:
    """The scope is complete up to `position`; how far is the server, and did it go back?"""

    position: str
    #: Proofs that no stream has reached yet.
    proofs: tuple[Proof, ...] = ()
    #: It was asked a moment ago, and the server seemed to be behind.
    lower: bool = False
    #: All is well, and the stream was at `position` by then (CLOCK_BOOTTIME): what another scope's
    #: probe said a moment ago will do.
    reached_s: float | None = None
    #: Nothing came on a watch that was open long after this, of a resource without bookmarks.
    silence: Proof | None = None


@dataclass(frozen=True, slots=True)
class Open:
    """The watch is to be resumed from `position`, and reaches these proofs by and by."""

    position: str
    proofs: tuple[Proof, ...] = ()
    #: Ask for a short watch, whose bookmark comes soon.
    quick: bool = False


@dataclass(frozen=True, slots=True)
class Stream:
    """The watch is open and was read up to `position`."""

    position: str
    proofs: tuple[Proof, ...]
    quick: bool
    response: Response
    chunks: Iterator[bytes]
    watching: Watching
    opened_s: float
    events: int = 0
    #: How long the server was asked to keep it open; 0 where it was not asked.
    timeout_s: int = 0
    #: When it got to `position` (CLOCK_BOOTTIME).
    reached_s: float = 0.0
    #: When it is ended from here: of a streaming list the server does not know how long its watch
    #: is to be. None leaves that to the server.
    until_s: float | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """404: is the resource gone, or only not served right now? Asked `asked` times so far."""

    resume: Phase
    asked: int = 0


@dataclass(frozen=True, slots=True)
class Wait:
    """A try failed; go on with `then` when the time has come."""

    then: Phase
    seconds: float
    #: The server was not heard: go on at once when somebody else hears it.
    offline: bool = False


@dataclass(frozen=True, slots=True)
class Stopped:
    """The end: the reflector was stopped, or its file is closed."""


Phase: TypeAlias = (
    Start | Relist | Page | Initial | Publish | Probe | Open | Stream | Missing | Wait | Stopped
)

__all__ = [
    "Initial",
    "Missing",
    "Open",
    "Page",
    "Phase",
    "Probe",
    "Proof",
    "Publish",
    "Relist",
    "Start",
    "Stopped",
    "Stream",
    "Wait",
]
