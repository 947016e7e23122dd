"""What every peer is asked: plain data, so that the same list goes to Python, Go and Rust.

A question is asked of pods in etcd's order (namespace/name by bytes) unless it says another one.
Ties are broken by that order. A peer answers with the exact number of all matches and a Kubernetes
List of at most `limit` objects as JSON bytes: what a server or a dashboard hands on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

#: Operators of label selectors (k8s.io/apimachinery/pkg/selection/operator.go).
Operator = Literal["=", "!=", "in", "notin", "exists", "!"]


class LabelTest(msgspec.Struct, frozen=True):
    """One requirement; as in Kubernetes a pod without the label passes `!=` and `notin`."""

    key: str
    op: Operator
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        match self.op:
            case "in" | "notin":
                return f"{self.key} {self.op} ({','.join(self.values)})"
            case "exists":
                return self.key
            case "!":
                return f"!{self.key}"
            case _:
                return f"{self.key}{self.op}{self.values[0]}"


class PathTest(msgspec.Struct, frozen=True):
    """A path with this text. `[N]` picks an element of an array."""

    path: str
    value: str


class SortKey(msgspec.Struct, frozen=True):
    """A path, or a label where `label` is set; what lacks it comes last."""

    path: str = ""
    label: str = ""
    descending: bool = False


class Expected(msgspec.Struct):
    """The answer of a loop over plain Python values, for the first offset or key."""

    total: int
    #: Keys of the page in order.
    keys: list[str]
    #: Counts by field and value.
    facets: dict[str, dict[str, int]] = {}


class Question(msgspec.Struct, omit_defaults=True):
    """Everything that is given must hold."""

    name: str
    labels: list[LabelTest] = []
    #: Fields that every peer that has indexes may index.
    fields: list[PathTest] = []
    #: None is all; what the one who asks may see, otherwise.
    namespaces: list[str] | None = None
    #: A part of metadata.name.
    name_contains: str = ""
    #: A path that no peer may index.
    unindexed: PathTest | None = None
    sort: SortKey | None = None
    #: 0 is all.
    limit: int = 100
    #: Where the page begins; of several each call takes the next one.
    offsets: list[int] = msgspec.field(default_factory=lambda: [0])
    #: Count the values of these paths among all matches.
    facets: list[str] = []
    #: Not one page, but so many, each from where the one before ended.
    walk: int = 0
    #: Not a list, but the one object with this namespace/name; each call takes the next one.
    gets: list[str] = []
    expected: Expected | None = None


class Shapes(msgspec.Struct):
    """What the data has that the questions name."""

    #: In random order.
    some_keys: list[str]
    offsets: list[int]
    some_node: str
    #: Part of the names of one workload's pods.
    rare_part: str
    namespaces: list[str]


#: Labels of workloads, given to one in so many.
SHARES = {"bench/one-in-1000": 1000, "bench/one-in-100": 100}
#: Given to the workloads of the last tenth of the namespaces, so that a walk in key order meets
#: nine tenths of the pods before the first match.
LATE = "bench/late"
#: How many allowed namespaces the largest access list names (goals: 50 and 5,000).
MANY_NAMESPACES = 5_000


def questions(shapes: Shapes) -> Iterable[Question]:
    """All of them, in the order of the table."""
    frontend = LabelTest("tier", "=", ("frontend",))
    created = SortKey(path="metadata.creationTimestamp", descending=True)
    spaces = shapes.namespaces
    absent = [f"absent-{number:05d}" for number in range(MANY_NAMESPACES)]
    few = spaces[:: max(1, len(spaces) // 50)][:50]
    many = sorted((spaces[::2] + absent)[:MANY_NAMESPACES])

    yield Question("no filter")
    yield Question("label = (0.1 %)", labels=[LabelTest("bench/one-in-1000", "=", ("yes",))])
    yield Question("label = (1 %)", labels=[LabelTest("bench/one-in-100", "=", ("yes",))])
    yield Question("label = (33 %)", labels=[frontend])
    yield Question("label !=", labels=[LabelTest("tier", "!=", ("frontend",))])
    yield Question("label exists (all)", labels=[LabelTest("helm.sh/chart", "exists")])
    yield Question("label notin", labels=[LabelTest("tier", "notin", ("frontend", "batch"))])
    two = [LabelTest("tier", "=", ("backend",)), LabelTest("app.kubernetes.io/name", "=", ("api",))]
    yield Question("two labels", labels=two)
    yield Question("spec.nodeName", fields=[PathTest("spec.nodeName", shapes.some_node)])
    yield Question("status.phase (90 %)", fields=[PathTest("status.phase", "Running")])
    yield Question(f"{len(few)} namespaces allowed", namespaces=few)
    yield Question(f"{len(many):,} namespaces allowed", namespaces=many)
    yield Question("filter against the order", labels=[LabelTest(LATE, "=", ("yes",))])
    yield Question("sort by creation, newest first", sort=created)
    yield Question(
        "sort by node, label = (33 %)", labels=[frontend], sort=SortKey(path="spec.nodeName")
    )
    yield Question("sort by a label", sort=SortKey(label="app.kubernetes.io/version"))
    yield Question("any offset", offsets=shapes.offsets)
    yield Question("any offset, by creation", offsets=shapes.offsets, sort=created)
    yield Question("next page, from page to page", walk=10)
    yield Question("name contains, selective", name_contains=shapes.rare_part)
    yield Question("name contains, 6 %", name_contains="api-")
    yield Question(
        "two facets over label = (33 %)",
        labels=[frontend],
        facets=["status.phase", "spec.nodeName"],
    )
    yield Question(
        "un-indexed path",
        unindexed=PathTest("status.containerStatuses[0].lastState.terminated.reason", "OOMKilled"),
    )
    yield Question("one object", gets=shapes.some_keys)
    yield Question("whole list, bytes", limit=0)
