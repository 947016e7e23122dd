"""What a file keeps: scopes, each with its own copy, and which of them answer a question.

By docs/queries.md ("Overlapping scopes"): one scope that covers the question answers alone; else,
where no namespace is named, all together, of whose copies of an object the newest counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from tests.unit.cache.oracle.places import PLACES, Json
from tests.unit.cache.oracle.selectors import Requirement, Term

#: All objects of a moment, by resource and key.
Objects = Mapping[str, Mapping[str, Json]]

SPACES: Final = ("dev", "shop", "team", "team-a")
#: How pods are kept: as one scope, as one for each namespace, or as several that overlap and are
#: behind one another, without or with one that has all.
Layout = Literal["whole", "apart", "parts", "besides"]


@dataclass(frozen=True)
class Kept:
    """What a scope keeps of a resource."""

    namespace: str | None = None
    labels: tuple[Requirement, ...] = ()
    fields: tuple[Term, ...] = ()

    def selects(self, name: str, one: Json) -> bool:
        """Whether an object is of the scope."""
        return (
            self.namespace in {None, one["metadata"].get("namespace")}
            and all(requirement.selects(one) for requirement in self.labels)
            and all(term.selects(selectable(name, term.field, one)) for term in self.fields)
        )

    def covers(
        self,
        namespace: str | None,
        labels: Sequence[Requirement],
        fields: Sequence[Term],
    ) -> bool:
        """Whether it has all that a question could be about: what it asks for is asked for too."""
        asked = {Term(term.field, term.operator.replace("==", "="), term.value) for term in fields}
        return (
            self.namespace in {None, namespace}
            and set(self.labels) <= set(labels)
            and set(self.fields) <= asked
        )


_PARTS: Final = (
    Kept(labels=(Requirement("app", "exists"),)),
    Kept("team"),
    Kept(fields=(Term("status.phase", "=", "Running"),)),
    Kept("shop"),
    Kept(labels=(Requirement("shard", "notin", ("a", "1")),)),
)
LAYOUTS: Final[Mapping[Layout, tuple[Kept, ...]]] = {
    "whole": (Kept(),),
    "apart": tuple(map(Kept, SPACES)),
    "parts": _PARTS,
    "besides": (*_PARTS, Kept()),
}


@dataclass
class Copy:
    """A scope and what it has.

    Attributes:
        kept: what of the resource.
        number: of the scope in the file.
        version: up to which it has heard of the server.
        heard: so many events.
        objects: by key.
    """

    kept: Kept
    number: int
    version: int = 0
    heard: int = 0
    objects: dict[str, Json] = field(default_factory=dict)


def merged(copies: Iterable[Mapping[str, Json]]) -> dict[str, Json]:
    """Of several copies of an object the one with the newest resourceVersion."""
    found: dict[str, Json] = {}
    for objects in copies:
        for key, one in objects.items():
            if key not in found or _version(found[key]) < _version(one):
                found[key] = one
    return found


def _version(one: Json) -> int:
    return int(one["metadata"]["resourceVersion"])


def choose(
    copies: Sequence[Copy],
    namespaces: Sequence[str] | None,
    labels: Sequence[Requirement],
    fields: Sequence[Term],
) -> list[tuple[int, str | None]] | None:
    """Which copies are read, each whole or narrowed to a namespace; None if that is not kept."""

    def best(namespace: str | None) -> int | None:
        covering = [
            at for at, copy in enumerate(copies) if copy.kept.covers(namespace, labels, fields)
        ]
        return min(covering, key=lambda at: _preferred(copies[at]), default=None)

    if namespaces is None:
        whole = best(None)
        return [(at, None) for at in (range(len(copies)) if whole is None else (whole,))]
    chosen = [(best(namespace), namespace) for namespace in namespaces]
    found: list[tuple[int, str | None]] = [(at, space) for at, space in chosen if at is not None]
    return found if len(found) == len(chosen) else None


def _preferred(copy: Copy) -> tuple[int, bool, bool, int]:
    """The one that is further on; then the larger, then the older."""
    kept = copy.kept
    return (
        -copy.version,
        kept.namespace is not None,
        bool(kept.labels or kept.fields),
        copy.number,
    )


def selectable(name: str, field: str, one: Json) -> str:
    """What a field selector compares."""
    if field == "metadata.name":
        return str(one["metadata"]["name"])
    place = next(place for place in PLACES[name] if place.name == field)
    found = place.values(one)
    if not found:
        return ""
    return str(found[0]).lower() if place.type == "bool" else str(found[0])
