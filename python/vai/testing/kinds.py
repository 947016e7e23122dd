"""The kinds of faults, which of them a correct server may show, and a fault with its place."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, fields
from typing import Final

from vai.testing.requests import Request

Match = str | Callable[[Request], bool] | None


class Kind(enum.StrEnum):
    """What goes wrong.

    Attributes:
        EXPIRED: 410: the resourceVersion, or the page's continue token, is no longer kept.
        THROTTLED: 429 with Retry-After; several `times` are a storm.
        UNAVAILABLE: 5xx.
        UNAUTHORIZED: 401, though the credentials are right.
        ROTATED: The token expires: 401 until the client comes with the new one.
        HANG: The request is taken and not answered, as when etcd is dead.
        RESET: The connection is reset: before the answer, or in it.
        CUT: The connection ends in the middle of the answer, as when a proxy ends.
        END: A watch ends early, and properly.
        STALL: The answer falls silent half-way, no FIN: a half-open socket.
        SLOW: The answer's bytes come slowly.
        SKEW: From here on the server's clock is wrong (Date, creationTimestamps).
        DUPLICATE: An event comes twice.
        SHUFFLED: A page's objects come in another order.
        MALFORMED: An object is not valid JSON.
        TRUNCATED: The body is well framed, and its JSON ends early.
        DROP: An event does not come.
        REORDER: An event comes after its successor.
        BOOKMARK: A bookmark comes in place of an event, and claims that nothing was left out.
        EMPTY: A list shows nothing.
    """

    EXPIRED = "expired"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    UNAUTHORIZED = "unauthorized"
    ROTATED = "rotated"
    HANG = "hang"
    RESET = "reset"
    CUT = "cut"
    END = "end"
    STALL = "stall"
    SLOW = "slow"
    SKEW = "skew"
    DUPLICATE = "duplicate"
    SHUFFLED = "shuffled"
    MALFORMED = "malformed"
    TRUNCATED = "truncated"
    DROP = "drop"
    REORDER = "reorder"
    BOOKMARK = "bookmark"
    EMPTY = "empty"

    @property
    def legal(self) -> bool:
        """Whether a correct server behind a correct network may do it."""
        return self not in DAMAGE | LIES


class Damage(enum.Enum):
    """How `Simulator.corrupt_next` damages the next answer.

    Attributes:
        MALFORMED: The first object (in a watch: the next event) is not valid JSON.
        TRUNCATED: The body ends early and the connection is closed, as by `Kind.CUT`.
    """

    MALFORMED = Kind.MALFORMED
    TRUNCATED = Kind.CUT

    @classmethod
    def _missing_(cls, value: object) -> Damage | None:
        return {"malformed": cls.MALFORMED, "truncated": cls.TRUNCATED}.get(str(value))


#: Breaks the protocol, and every client can see that it does.
DAMAGE: Final = frozenset({Kind.MALFORMED, Kind.TRUNCATED})
#: Breaks the protocol, and no client can see it from the answer.
LIES: Final = frozenset({Kind.DROP, Kind.REORDER, Kind.BOOKMARK, Kind.EMPTY})
#: What a client must get over without a wrong copy.
LEGAL: Final = tuple(kind for kind in Kind if kind.legal)

#: Without `after`, these wait for the next event of a watch that may run already.
AT_EVENTS: Final = DAMAGE | {Kind.CUT, Kind.DUPLICATE, Kind.DROP, Kind.REORDER, Kind.BOOKMARK}
#: Answered instead of what was asked for.
STATUSES: Final = {
    Kind.EXPIRED: 410,
    Kind.THROTTLED: 429,
    Kind.UNAVAILABLE: 503,
    Kind.UNAUTHORIZED: 401,
}


@dataclass(frozen=True, slots=True, repr=False)
class Fault:
    """One fault: of which kind, where, and how. What a kind has no use for is ignored.

    ```python
    Fault("expired", at="watch pods")                       # the next watch of pods: 410
    Fault("throttled", at="list", nth=2, times=5, retry_after=1)
    Fault("drop", at="event pods", nth=3)                   # the third event from now on
    Fault("stall", at="watch pods", after=10)               # a half-open socket after ten events
    ```

    Attributes:
        kind: What goes wrong.
        at: Which requests: words as in `vai.testing.faults.matches`, a function, or None for all
            that are for a resource. The word ``event`` counts events of running watches instead.
        nth: Which of the matching requests (or events), from 1, as of when it was planned.
        times: For how many of them from there on; 0 for all.
        after: In a watch: how many of its events go out before. None: with the answer's begin,
            or, for what happens to an event, with the next event of any matching watch.
        part: How much of the body goes out before, from 0 to 1; None: half, and RESET comes before
            the answer.
        status: UNAVAILABLE: the code.
        retry_after: THROTTLED, UNAVAILABLE: the Retry-After header, in seconds.
        message: Of the Status that is sent.
        seconds: HANG, STALL, SLOW: how long; None: until the client gives up. SKEW: how far the
            clock is ahead.
        bytes_per_s: SLOW.
        token: ROTATED: the new token; None for a generated one.
    """

    kind: Kind | str
    _: KW_ONLY
    at: Match = None
    nth: int = 1
    times: int = 1
    after: int | None = None
    part: float | None = None
    status: int = 503
    retry_after: int | None = None
    message: str | None = None
    seconds: float | None = None
    bytes_per_s: int = 1000
    token: str | None = None

    def __post_init__(self) -> None:
        """A kind may be given as its word."""
        object.__setattr__(self, "kind", Kind(self.kind))
        if self.nth < 1 or self.times < 0:
            raise ValueError("nth counts from 1, times from 0 (all)")
        if self.part is not None and not 0 <= self.part <= 1:
            raise ValueError(f"part={self.part}: from 0 to 1")

    def __repr__(self) -> str:
        """As it can be written into a list of faults."""
        words = [repr(str(self.kind))]
        for one in fields(self)[1:]:
            value = getattr(self, one.name)
            if value != one.default:
                words.append(f"{one.name}={value!r}")
        return f"Fault({', '.join(words)})"
