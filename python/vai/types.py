"""Plain values that every layer shares: scopes, resources, states and freshness.

Nothing here does any work beyond itself; no other module of vai is imported.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Final, Literal

import msgspec

#: Everything but leases, where a list of resources is asked for.
EVERYTHING: Final = "*"


class State(StrEnum):
    """How a scope stands towards the API server, worst last within an answer."""

    LIVE = "live"
    CATCHING_UP = "catching-up"
    STALE = "stale"
    OFFLINE = "offline"
    FORBIDDEN = "forbidden"
    GONE = "gone"
    LISTING = "listing"
    NEVER = "never"


class Redaction(StrEnum):
    """What of each object is kept; part of a scope's identity."""

    NONE = "none"
    #: Only metadata, as PartialObjectMetadata; values never leave the server.
    METADATA = "metadata"


class PrinterColumn(msgspec.Struct, frozen=True, kw_only=True):
    """What a CRD has kubectl print of its objects (`additionalPrinterColumns`)."""

    name: str
    #: string, integer, number, boolean or date.
    type: str
    #: JSONPath as kubectl takes it: `.status.conditions[?(@.type=="Ready")].status`.
    json_path: str


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """What discovery says of one resource (a GroupVersionResource)."""

    group: str
    version: str
    plural: str
    kind: str
    singular: str = ""
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()
    #: Paths of a CRD's `selectableFields`; built-in kinds have vai's own catalogue.
    selectable_fields: tuple[str, ...] = ()
    #: A CRD's columns, which become fields of its objects.
    printer_columns: tuple[PrinterColumn, ...] = ()

    @property
    def name(self) -> str:
        """`pods`, `deployments.apps`: plural and, if there is one, group."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        """`v1`, `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def path(self) -> str:
        """`/api/v1` or `/apis/apps/v1`: the prefix of every request for it."""
        return f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"


class Scope(msgspec.Struct, frozen=True):
    """What is kept of a resource: all namespaces or some, optionally by selectors.

    Attributes:
        resource: a name as kubectl takes it: plural, singular, short name or kind, with
            `.group` where it is not unique; `*` for every resource but leases.
        namespace: a namespace, several (each becomes a scope of its own), or None for all.
        label_selector: Kubernetes label selector; empty for all.
        field_selector: Kubernetes field selector; empty for all.
        redaction: None for the default (Secrets and their like: metadata only).
    """

    resource: str
    namespace: str | Sequence[str] | None = None
    label_selector: str = ""
    field_selector: str = ""
    redaction: Redaction | None = None

    @property
    def namespaces(self) -> tuple[str | None, ...]:
        """The namespaces one by one; `(None,)` for all."""
        if self.namespace is None or isinstance(self.namespace, str):
            return (self.namespace,)
        return tuple(dict.fromkeys(self.namespace))

    def each(self) -> tuple[Scope, ...]:
        """One scope per namespace."""
        return tuple(msgspec.structs.replace(self, namespace=name) for name in self.namespaces)

    def __str__(self) -> str:
        """`pods in jhub with labels component=singleuser`."""
        words = [self.resource]
        names = [name for name in self.namespaces if name is not None]
        if names:
            words.append(f"in {', '.join(names)}")
        if self.label_selector:
            words.append(f"with labels {self.label_selector}")
        if self.field_selector:
            words.append(f"with fields {self.field_selector}")
        return " ".join(words)


#: The types of a field; quantities are Kubernetes' (500m, 2Gi), durations Go's (1h30m).
FieldType = Literal["text", "int", "number", "quantity", "time", "duration", "ip", "bool"]


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """A field that the objects of a resource are indexed by.

    Attributes:
        resource: `plural[.group]`.
        name: as queries call it: `status.phase`.
        aliases: other names that queries may use: `phase`.
        paths: where in an object its value is.
        type: as what values compare.
        many: whether an object may have several values.
        selectable: whether a real API server accepts it in a field selector.
        source: whose it is: vai's catalogue, the resource's CRD, or `Cache.index`.
        ready: whether it is built; until then queries read the objects' bodies instead.
        progress: from 0 to 1 while it is being built, 1 when it is ready.
        invalid: values that do not parse as the type; they count as missing.
        invalid_example: key of an object that has such a value.
    """

    resource: str
    name: str
    aliases: tuple[str, ...]
    paths: tuple[str, ...]
    type: FieldType
    many: bool
    selectable: bool
    source: Literal["built-in", "crd", "user"]
    ready: bool
    progress: float
    invalid: int
    invalid_example: str | None


class FieldAsk(msgspec.Struct, frozen=True, kw_only=True):
    """A field to index, as a line of a file of fields has it.

    Attributes:
        resource: as kubectl takes it.
        path: JSON path: `.spec.priority`, `.spec.containers[*].image`.
        type: as what values compare.
        many: whether an object may have several values; None leaves that to the path.
        place: where it is written, for messages.
    """

    resource: str
    path: str
    type: str = "text"
    many: bool | None = None
    place: str = ""


class Freshness(msgspec.Struct, frozen=True, kw_only=True):
    """How old an answer is, and how that is known.

    Attributes:
        state: see `State`.
        complete: whether the rows are a whole answer as of `age_s` ago.
        age_s: seconds since the last proof of completeness; None if there never was one.
        contact_age_s: seconds since the API server was last heard; None if never.
        resource_version: up to which the rows are complete; None if never listed.
        since_s: seconds that this state has lasted.
        reason: why, in words; empty when live.
    """

    state: State
    complete: bool
    age_s: float | None = None
    contact_age_s: float | None = None
    resource_version: str | None = None
    since_s: float = 0.0
    reason: str = ""

    @staticmethod
    def worst(parts: Iterable[Freshness]) -> Freshness:
        """Of an answer over several scopes: the worst state, the largest ages, complete if all.

        `resource_version` is left out: resourceVersions of several scopes have no common meaning.
        """
        every = list(parts)
        if not every:
            return Freshness(state=State.NEVER, complete=False)
        if len(every) == 1:
            return every[0]
        order = list(State)
        head = max(every, key=lambda part: order.index(part.state))
        return Freshness(
            state=head.state,
            complete=all(part.complete for part in every),
            age_s=_largest(part.age_s for part in every),
            contact_age_s=_largest(part.contact_age_s for part in every),
            since_s=head.since_s,
            reason=head.reason,
        )

    def older_than(self, max_age: float | timedelta) -> bool:
        """Whether the answer was last proven longer ago than that, or never."""
        limit_s = seconds(max_age)
        return self.age_s is None or (limit_s is not None and self.age_s > limit_s)

    def headers(self) -> dict[str, str]:
        """HTTP headers that carry it (RFC 9111 `Age`, and vai's own)."""
        found = {"X-Vai-State": self.state.value}
        if self.age_s is not None:
            found["Age"] = str(int(self.age_s))
        if self.resource_version is not None:
            found["X-Vai-Resource-Version"] = self.resource_version
        return found

    def __str__(self) -> str:
        """`offline since 4m12s: connection refused`, `live, proven 0.4s ago`."""
        if self.state is State.NEVER:
            return f"never synced{': ' + self.reason if self.reason else ''}"
        age = "never proven" if self.age_s is None else f"proven {duration(self.age_s)} ago"
        if self.state is State.LIVE:
            return f"live, {age}"
        head = f"{self.state.value} since {duration(self.since_s)}, {age}"
        return f"{head}: {self.reason}" if self.reason else head


class ScopeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One scope of a file with its freshness, as `vai status -o json` prints it."""

    id: int
    resource: str
    namespace: str | None
    label_selector: str
    field_selector: str
    redaction: Redaction
    state: State
    complete: bool
    age_s: float | None
    contact_age_s: float | None
    since_s: float
    reason: str
    objects: int
    resource_version: str | None

    @property
    def freshness(self) -> Freshness:
        """The freshness part of it."""
        return Freshness(
            state=self.state,
            complete=self.complete,
            age_s=self.age_s,
            contact_age_s=self.contact_age_s,
            resource_version=self.resource_version,
            since_s=self.since_s,
            reason=self.reason,
        )

    def __str__(self) -> str:
        """`pods in jhub with labels component=singleuser`."""
        words = [self.resource]
        if self.namespace is not None:
            words.append(f"in {self.namespace}")
        if self.label_selector:
            words.append(f"with labels {self.label_selector}")
        if self.field_selector:
            words.append(f"with fields {self.field_selector}")
        if self.redaction is Redaction.METADATA:
            words.append("(metadata only)")
        return " ".join(words)


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """Whose copy the file is.

    Attributes:
        uid: uid of the namespace kube-system, or a hash of server and CA where that is forbidden.
        verified: False for such a hash.
        server: URL of the API server as last used.
        namespace: default namespace of the context that synced the file.
    """

    uid: str
    verified: bool
    server: str
    namespace: str = "default"


class ConsumerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A named consumer of the history: `changes(..., consumer=name)`.

    Attributes:
        name: what it is called.
        resources: what it followed last.
        epoch: with `seq`, up to where it has handled everything.
        seq: see `epoch`.
        acked_ms: Unix time in milliseconds at which its position last moved.
        running: whether some process is this consumer right now.
    """

    name: str
    resources: tuple[str, ...]
    epoch: int
    seq: int
    acked_ms: int
    running: bool

    @property
    def position(self) -> Position:
        """Up to where it has handled everything."""
        return Position(self.epoch, self.seq)


class Position(msgspec.Struct, frozen=True, order=True):
    """A place in the file's history: the epoch it was written in, and its sequence number."""

    epoch: int
    seq: int


def _largest(ages: Iterable[float | None]) -> float | None:
    """The largest age; None (never) is larger than any."""
    known: list[float] = []
    for age in ages:
        if age is None:
            return None
        known.append(age)
    return max(known, default=None)


def seconds(value: float | timedelta | None) -> float | None:
    """A duration argument as seconds.

    Raises:
        ValueError: NaN, which nothing is longer than: any answer would be fresh enough.
    """
    if isinstance(value, timedelta):
        return value.total_seconds()
    if value is not None and math.isnan(value):
        raise ValueError("a duration that is not a number (NaN)")
    return value


#: Below this, tenths of a second are worth a reader's eye.
_TENTHS_BELOW_S: Final = 10


def duration(value_s: float) -> str:
    """`0.4s`, `12s`, `4m12s`, `3h5m`, `2d4h`: two units at most, as kubectl's HumanDuration."""
    if value_s < _TENTHS_BELOW_S:
        return f"{value_s:.1f}s"
    whole = int(value_s)
    for size, unit, rest, rest_unit in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "m"),
        (60, "m", 1, "s"),
    ):
        if whole >= size:
            tail = whole % size // rest
            return f"{whole // size}{unit}" + (f"{tail}{rest_unit}" if tail else "")
    return f"{whole}s"
