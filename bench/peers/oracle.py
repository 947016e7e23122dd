"""The right answers, by a loop over the few values of each pod that the questions look at."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from bench.peers.questions import Expected, LabelTest, Question, SortKey

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_PATHS = (
    "metadata.creationTimestamp",
    "spec.nodeName",
    "status.phase",
    "status.containerStatuses[0].lastState.terminated.reason",
)


class Record(msgspec.Struct, gc=False):
    """What is left of a pod; the labels of a ReplicaSet's pods are one dict."""

    name: str
    namespace: str
    labels: dict[str, str]
    values: tuple[str | None, ...]


def key(pod: dict[str, Any]) -> str:
    """etcd's: namespace/name."""
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def lookup(value: Any, path: str) -> Any:
    """What stands at a path, None if nothing does."""
    for name, number in _STEP.findall(path):
        if number:
            has = isinstance(value, list) and int(number) < len(value)
            value = value[int(number)] if has else None
        else:
            value = value.get(name) if isinstance(value, dict) else None
    return value


def record(pod: dict[str, Any]) -> Record:
    """Of a pod."""
    meta = pod["metadata"]
    values = tuple(lookup(pod, path) for path in _PATHS)
    return Record(meta["name"], meta["namespace"], meta["labels"], values)


def passes(labels: dict[str, str], test: LabelTest) -> bool:
    """As apimachinery has it (k8s.io/apimachinery/pkg/labels/selector.go, Matches)."""
    match test.op:
        case "exists":
            return test.key in labels
        case "!":
            return test.key not in labels
        case "=" | "in":
            return labels.get(test.key) in test.values
        case "!=" | "notin":
            return labels.get(test.key) not in test.values


def answer(question: Question, records: Sequence[tuple[str, Record]]) -> Expected:
    """Over (key, record) in key order."""
    allowed = None if question.namespaces is None else set(question.namespaces)
    found = [
        (name, one)
        for name, one in records
        if (not question.gets or name == question.gets[0])
        and (allowed is None or one.namespace in allowed)
        and question.name_contains in one.name
        and all(passes(one.labels, test) for test in question.labels)
        and all(_value(one, test.path) == test.value for test in question.fields)
        and (
            question.unindexed is None
            or _value(one, question.unindexed.path) == question.unindexed.value
        )
    ]
    if question.sort is not None:
        found = _sorted(found, question.sort)
    facets = {path: _counts(path, (one for _, one in found)) for path in question.facets}
    start = question.offsets[0]
    pages = max(1, question.walk)
    end = start + question.limit * pages if question.limit else start
    return Expected(len(found), [name for name, _ in found[start:end]], facets)


def _value(one: Record, path: str) -> str | None:
    return one.values[_PATHS.index(path)]


def _counts(path: str, found: Iterable[Record]) -> dict[str, int]:
    counts = Counter(_value(one, path) for one in found)
    return {value: count for value, count in counts.items() if value is not None}


def _sorted(found: list[tuple[str, Record]], order: SortKey) -> list[tuple[str, Record]]:
    def value(entry: tuple[str, Record]) -> str | None:
        one = entry[1]
        return one.labels.get(order.label) if order.label else _value(one, order.path)

    present = [entry for entry in found if value(entry) is not None]
    # Stable in both directions: ties stay in key order.
    present.sort(key=lambda entry: str(value(entry)), reverse=order.descending)
    return present + [entry for entry in found if value(entry) is None]
