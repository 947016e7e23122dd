"""Where the values of an object are: the fields, labels and paths that questions name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from tests.unit.cache.oracle.values import INT64, Value, cut, read

Json = dict[str, Any]
Step = str | int | tuple[str, str]
#: `[*]`
EACH: Final = "*"


@dataclass(frozen=True, repr=False)
class Place:
    """Something that has values in an object.

    Attributes:
        name: as a question names it.
        type: of its values.
        values: of an object, each once where it is a field of many.
        many: whether there may be several.
        indexed: whether it can be sorted and counted by, and is found without bodies.
        cut: whether its index cuts texts.
        steps: where it leads, of a path and of a field that is no sum or count.
    """

    name: str
    type: str
    values: Callable[[Json], tuple[Value, ...]]
    many: bool = False
    indexed: bool = True
    cut: bool = True
    steps: tuple[Step, ...] = ()

    def __repr__(self) -> str:
        return self.name

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        """For Hypothesis, which else prints the fields of dataclasses."""
        printer.text(self.name)

    def shown(self, one: Json) -> tuple[Value, ...]:
        """The values as they are counted and sorted."""
        found = tuple(cut(value) for value in self.values(one)) if self.cut else self.values(one)
        return tuple(sorted(set(found), key=_order)) if self.many else found

    def is_cut(self, one: Json) -> bool:
        """Whether only the body tells the whole of a value."""
        return self.cut and any(cut(value) != value for value in self.values(one))


def _order(value: Value) -> Any:
    return value


def walk(found: Any, steps: Sequence[Step]) -> list[Any]:
    """Whatever a path leads to."""
    if not steps:
        return [found]
    step, rest = steps[0], steps[1:]
    nexts: list[Any]
    match step:
        case "*":
            nexts = found if isinstance(found, list) else []
        case str():
            nexts = [found[step]] if isinstance(found, dict) and step in found else []
        case int():
            nexts = found[step : step + 1] if isinstance(found, list) else []
        case _:
            key, wanted = step
            nexts = [
                one
                for one in (found if isinstance(found, list) else [])
                if isinstance(one, dict) and _written(one.get(key)) == wanted
            ]
    return [value for one in nexts for value in walk(one, rest)]


def _written(found: Any) -> str | None:
    if isinstance(found, bool):
        return str(found).lower()
    return found if isinstance(found, str) else None


def _path(text: str) -> tuple[Step, ...]:
    """`a.b[*].c`, `a[type=Ready].b`, `a[0]`"""
    steps: list[Step] = []
    for part in text.replace("[", ".[").split("."):
        if not part.startswith("["):
            steps.append(part)
        elif "=" in part:
            key, _, value = part[1:-1].partition("=")
            steps.append((key, value))
        else:
            inner = part[1:-1]
            steps.append(EACH if inner == EACH else int(inner))
    return tuple(steps)


def _reader(kind: str, path: str) -> Callable[[Json], list[Value]]:
    steps = _path(path)

    def values(one: Json) -> list[Value]:
        each = (read(kind, found) for found in walk(one, steps))
        return [value for value in each if value is not None]

    return values


def field(
    name: str, kind: str, path: str = "", *, many: bool = False, default: Value | None = None
) -> Place:
    """A field of the catalogue: its one value, or a set of them."""
    values_of = _reader(kind, path or name)

    def values(one: Json) -> tuple[Value, ...]:
        found = values_of(one)
        if many:
            return tuple(dict.fromkeys(found))
        if not found and default is not None:
            return (default,)
        return tuple(found[:1])

    return Place(name, kind, values, many, steps=_path(path or name))


def summed(name: str, kind: str, path: str, default: Value | None = None) -> Place:
    """The exact sum of what is there."""
    values_of = _reader(kind, path)

    def values(one: Json) -> tuple[Value, ...]:
        found = values_of(one)
        total = sum((Fraction(value) for value in found), Fraction(0))  # type: ignore[arg-type]
        if not found or (kind == "int" and int(total) not in INT64):
            return () if default is None else (default,)
        return (int(total),) if kind == "int" else (total,)

    return Place(name, kind, values)


def counted(name: str, path: str) -> Place:
    """How many there are."""
    steps = _path(path)

    def values(one: Json) -> tuple[Value, ...]:
        return (sum(found is not None for found in walk(one, steps)),)

    return Place(name, "int", values)


def label(key: str) -> Place:
    """A label: its empty text is a value."""

    def values(one: Json) -> tuple[Value, ...]:
        found = one["metadata"].get("labels", {}).get(key)
        return () if found is None else (found,)

    return Place(f"labels[{key}]", "text", values)


def path(kind: str, text: str) -> Place:
    """Any place of the body, read as a type."""
    values_of = _reader(kind, text)
    name = f"{kind}(.{text})"

    def values(one: Json) -> tuple[Value, ...]:
        return tuple(values_of(one))

    return Place(name, kind, values, many=True, indexed=False, cut=False, steps=_path(text))


def annotation(key: str) -> Place:
    """An annotation, as text."""

    def values(one: Json) -> tuple[Value, ...]:
        value = read("text", one["metadata"].get("annotations", {}).get(key))
        return () if value is None else (value,)

    return Place(
        f"annotations[{key}]", "text", values,
        many=True, indexed=False, cut=False, steps=("metadata", "annotations", key),
    )  # fmt: skip


def key_of(one: Json) -> str:
    """`namespace/name`, or the name of what has no namespace."""
    metadata = one["metadata"]
    space = metadata.get("namespace")
    return f"{space}/{metadata['name']}" if space else str(metadata["name"])


def _metadata(name: str) -> Callable[[Json], tuple[Value, ...]]:
    return lambda one: (one["metadata"][name],) if one["metadata"].get(name) else ()


NAME: Final = Place("name", "text", _metadata("name"))
NAMESPACE: Final = Place("metadata.namespace", "text", _metadata("namespace"))
UID: Final = Place("uid", "text", _metadata("uid"), indexed=False)
CREATED: Final = field("metadata.creationTimestamp", "time")
#: What every kind has.
COMMON: Final = (
    NAME,
    NAMESPACE,
    UID,
    CREATED,
    field("metadata.deletionTimestamp", "time"),
    label("app"),
    label("shard"),
    label("example.com/tier"),
    annotation("note"),
    path("text", "spec.extra"),
    path("int", "spec.extra"),
    path("number", "spec.extra"),
    path("quantity", "spec.extra"),
    path("duration", "spec.extra"),
    path("bool", "spec.extra"),
)

#: What tests add with `index`: path, type.
ADDED: Final = {
    "spec.weight": "number",
    "spec.timeout": "duration",
    "spec.sizes[*]": "quantity",
    "spec.peers[*]": "ip",
    "spec.flag": "bool",
    "spec.conditions[type=Ready].since": "time",
}

PODS: Final = (
    *COMMON,
    field("spec.nodeName", "text"),
    field("status.phase", "text"),
    field("spec.restartPolicy", "text"),
    field("spec.hostNetwork", "bool", default=False),
    summed("restarts", "int", "status.containerStatuses[*].restartCount", default=0),
    counted("ready", "status.containerStatuses[ready=true]"),
    field("ip", "ip", "status.podIP"),
    field("spec.priority", "int"),
    field("status.startTime", "time"),
    field("spec.containers[*].image", "text", many=True),
    summed("requests.cpu", "quantity", "spec.containers[*].resources.requests.cpu"),
    summed("requests.memory", "quantity", "spec.containers[*].resources.requests.memory"),
    field("owner.name", "text", "metadata.ownerReferences[controller=true].name"),
    field("spec.weight", "number"),
    field("spec.timeout", "duration"),
    field("spec.sizes[*]", "quantity", many=True),
    field("spec.peers[*]", "ip", many=True),
    field("spec.flag", "bool"),
    field("spec.conditions[type=Ready].since", "time", many=True),
    path("text", "spec.containers[*].name"),
    path("text", "spec.containers[0].image"),
    path("int", "status.containerStatuses[*].restartCount"),
)
DEPLOYMENTS: Final = (*COMMON, field("spec.replicas", "int", default=1))
NODES: Final = (*COMMON, field("spec.unschedulable", "bool", default=False))

PLACES: Final = {"pods": PODS, "deployments.apps": DEPLOYMENTS, "nodes": NODES}

#: What a server accepts in a field selector, and compares as text.
SELECTABLE: Final = {
    "pods": (
        "metadata.name",
        "metadata.namespace",
        "spec.nodeName",
        "status.phase",
        "spec.restartPolicy",
        "spec.hostNetwork",
    ),
    "deployments.apps": ("metadata.name", "metadata.namespace"),
    "nodes": ("metadata.name", "spec.unschedulable"),
}
