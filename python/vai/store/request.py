"""A query as it crosses to the core, one JSON document, and what comes back beside the rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec


class Partition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Objects that somebody may see; several are a union, and counts see nothing else.

    Attributes:
        namespace: one namespace; None for all, and for what is in none.
        names: some names; None for all.
    """

    namespace: str | None = None
    names: tuple[str, ...] | None = None


class AtPosition(msgspec.Struct, frozen=True):
    """After an entry of the history."""

    epoch: int
    seq: int


class AtTime(msgspec.Struct, frozen=True):
    """What was known at a time."""

    time_ms: int


class Distinct(msgspec.Struct, frozen=True, omit_defaults=True):
    """The values of a field that begin with a prefix."""

    field: str
    prefix: str = ""
    limit: int = 0


class GroupBy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Counts, sums and bounds for each combination of values."""

    by: tuple[str, ...]
    sum: tuple[str, ...] = ()
    min: tuple[str, ...] = ()
    max: tuple[str, ...] = ()


class Paths(msgspec.Struct, frozen=True):
    """These paths of each object, in the places where they were."""

    paths: tuple[str, ...]


class Request(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"condition": "where"}
):
    """What is asked; see `vai._core.Store.query`.

    Attributes:
        resources: recorded names, `deployments.apps`; several are merged in one order.
        namespaces: None for whatever is kept.
        condition: an expression, `status.phase = Running and restarts > 3`.
        access: what the asking user may see; None for everything.
        sort: `-age`, `metadata.name`, `labels[app]`; the last tie-break is the key.
        limit: 0 for all.
        cursor: of the page before, whose moment is this page's.
        facet_limit: values of each facet; 0 for 100.
        steve: Rancher Steve's parameters as a query string; they have an order and a page.
    """

    resources: tuple[str, ...]
    namespaces: tuple[str, ...] | None = None
    label_selector: str = ""
    field_selector: str = ""
    condition: str = ""
    access: tuple[Partition, ...] | None = None
    sort: tuple[str, ...] = ()
    limit: int = 0
    offset: int = 0
    cursor: str = ""
    at: AtPosition | AtTime | None = None
    facets: tuple[str, ...] = ()
    facet_limit: int = 0
    distinct: Distinct | None = None
    group: GroupBy | None = None
    project: Literal["body", "metadata", "keys"] | Paths = "body"
    cells: bool = False
    explain: bool = False
    steve: str = ""


class Count(msgspec.Struct, frozen=True):
    """A value, and how many objects have it.

    Attributes:
        value: text, number or bool; a quantity, time, duration or address as text.
        count: objects that match and have it.
    """

    value: Any
    count: int


class Facet(msgspec.Struct, frozen=True):
    """The values of one field over all that matches.

    Attributes:
        values: the most frequent first; equally frequent ones in their order.
        distinct: how many values there are, shown or not.
        missing: objects without a value.
    """

    values: tuple[Count, ...]
    distinct: int
    missing: int

    def as_dict(self) -> dict[Any, int]:
        """`{value: count}`, in the same order."""
        return {found.value: found.count for found in self.values}


class Distincts(msgspec.Struct, frozen=True):
    """The distinct values of a field.

    Attributes:
        values: in their order, each with the objects that have it, counted.
        more: whether there are more than were asked for.
    """

    values: tuple[Count, ...]
    more: bool

    def __iter__(self) -> Iterator[Any]:
        return (found.value for found in self.values)

    def __len__(self) -> int:
        return len(self.values)


class Group(msgspec.Struct, frozen=True):
    """One combination of values, and what is known of the objects that have it.

    Attributes:
        key: the value of each field that was grouped by; None where an object has none.
        count: the objects, counted.
        sum: of each field asked for; None where no object has a value. Quantities and durations
            as text.
        min: the least value of each field asked for.
        max: the greatest.
    """

    key: dict[str, Any]
    count: int
    sum: dict[str, Any]
    min: dict[str, Any]
    max: dict[str, Any]


class Summed(msgspec.Struct, frozen=True):
    """How many objects have one value.

    Attributes:
        total: in all namespaces.
        namespace: in each of them, if that was asked for.
    """

    total: int
    namespace: dict[str, int] = {}


class Summary(msgspec.Struct, frozen=True):
    """Steve's summary of one field over all that matches.

    Attributes:
        property: the field as it was named.
        counts: of each value, as text.
    """

    property: str
    counts: dict[str, Summed]


class Counted(msgspec.Struct, frozen=True):
    """What was counted beside the rows."""

    facets: dict[str, Facet] = {}
    summary: tuple[Summary, ...] = ()
    distinct: Distincts | None = None
    groups: tuple[Group, ...] = ()
