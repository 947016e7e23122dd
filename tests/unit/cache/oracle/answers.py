"""Questions, and their answers by looking at every object."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cmp_to_key, partial
from typing import Any, Final

import vai
from tests.unit.cache.oracle.language import (
    Condition,
    Everything,
    Literal,
    Test,
    holds,
    known,
    tests,
)
from tests.unit.cache.oracle.places import PLACES, Json, Place, key_of
from tests.unit.cache.oracle.scopes import Objects, selectable
from tests.unit.cache.oracle.selectors import Requirement, Term, written
from tests.unit.cache.oracle.values import Value, exact, literal, parse, told
from vai.cache.question import Asked
from vai.store import Facet
from vai.types import Position

EVERYTHING: Final = Everything()
ADDED_UP: Final = ("int", "number", "quantity", "duration")
#: An object, and the resource it is of.
Row = tuple[str, Json]


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of `Cache.list` and its like."""

    resources: tuple[str, ...]
    namespaces: tuple[str, ...] | None = None
    where: Condition = EVERYTHING
    labels: tuple[Requirement, ...] = ()
    fields: tuple[Term, ...] = ()
    access: tuple[vai.Partition, ...] | None = None
    sort: tuple[tuple[Place, bool], ...] = ()
    limit: int | None = None
    offset: int = 0
    facets: tuple[Place, ...] = ()
    facet_limit: int | None = None
    by: tuple[Place, ...] = ()
    measures: tuple[Place, ...] = ()
    distinct: Place | None = None
    prefix: str = ""
    #: How many commits ago; None for now.
    ago: int | None = None

    def asked(self, at: Position | None) -> Asked:
        """The arguments that all questions share."""
        return {
            "where": "" if self.where == EVERYTHING else self.where.written(),
            "label_selector": written(self.labels),
            "field_selector": written(self.fields),
            "access": self.access,
            "at": at,
        }

    @property
    def sort_keys(self) -> list[str]:
        return [f"-{place.name}" if down else place.name for place, down in self.sort]


def matching(question: Question, objects: Objects, now_us: int) -> list[Row]:
    """All rows that match, in order."""
    rows: list[Row] = [
        (name, one)
        for name in question.resources
        for one in objects[name].values()
        if _concerned(question, name, one) and holds(question.where, one, now_us)
    ]
    return sorted(rows, key=cmp_to_key(partial(_compare, question)))


def _concerned(question: Question, name: str, one: Json) -> bool:
    """Whether an object is asked about at all: namespaces, access, selectors."""
    space = one["metadata"].get("namespace")
    # Of several resources those without namespaces are not narrowed by one.
    if question.namespaces is not None and space is not None and space not in question.namespaces:
        return False
    return (
        _seen(question, one)
        and all(requirement.selects(one) for requirement in question.labels)
        and all(term.selects(selectable(name, term.field, one)) for term in question.fields)
    )


def _seen(question: Question, one: Json) -> bool:
    if question.access is None:
        return True
    return any(
        part.namespace in {None, one["metadata"].get("namespace")}
        and (part.names is None or one["metadata"]["name"] in part.names)
        for part in question.access
    )


def _compare(question: Question, a: Row, b: Row) -> int:
    """By the sort keys, what has no value last either way; then by key; then as asked."""
    for place, down in question.sort:
        mine, theirs = _first(place, down, a[1]), _first(place, down, b[1])
        if mine is None or theirs is None:
            if (mine is None) != (theirs is None):
                return 1 if mine is None else -1
        elif mine != theirs:
            return -1 if (mine < theirs) != down else 1  # type: ignore[operator]
    mine_at, theirs_at = (
        (key_of(one).encode(), question.resources.index(name)) for name, one in (a, b)
    )
    return -1 if mine_at < theirs_at else 1


def _first(place: Place, down: bool, one: Json) -> Value | None:
    """Of several values the one that the direction puts first."""
    found = place.shown(one)
    return None if not found else max(found) if down else min(found)


def check(cache: vai.Cache, question: Question, objects: Objects, at: Position | None) -> None:
    """Ask everything that the question has, and compare with every object looked at."""
    asked = question.asked(at)
    names, spaces = list(question.resources), question.namespaces
    before_us = time.time_ns() // 1000
    page = cache.list(
        names,
        spaces,
        sort=question.sort_keys,
        limit=question.limit,
        offset=question.offset,
        facets=[place.name for place in question.facets],
        facet_limit=question.facet_limit,
        explain=True,
        **asked,
    )
    after_us = time.time_ns() // 1000
    rows = matching(question, objects, before_us)
    if rows != matching(question, objects, after_us):
        return  # An age that ran out between the two.
    end = None if question.limit is None else question.offset + question.limit
    wanted = rows[question.offset : end]
    assert page.keys == [key_of(one) for _, one in wanted]
    assert [exact(found.raw) for found in page.items] == [one for _, one in wanted]
    assert page.total == len(rows)
    assert (page.cursor is None) == (question.offset + len(wanted) >= len(rows))
    for place in question.facets:
        check_facet(place, page.facets[place.name], rows, question.facet_limit)
    assert cache.count(names, spaces, **asked) == len(rows)
    if at is None:
        check_explained(page, question, objects, before_us)
    if question.by:
        check_groups(cache, question, rows, asked)
    if question.distinct is not None:
        check_distinct(cache, question, question.distinct, rows, asked)


def values_with_counts(place: Place, rows: Iterable[Row]) -> Counter[Value]:
    """How many objects have each value."""
    return Counter(value for _, one in rows for value in set(place.shown(one)))


def check_facet(place: Place, facet: Facet, rows: Sequence[Row], limit: int | None) -> None:
    """The most frequent values first, equally frequent ones in their order."""
    counts = values_with_counts(place, rows)
    ordered: list[Any] = sorted(list[Any](counts))
    ordered.sort(key=lambda value: -counts[value])
    found = [(told(place.type, one.value), one.count) for one in facet.values]
    assert found == [(value, counts[value]) for value in ordered[: limit or 100]]
    assert facet.distinct == len(counts)
    assert facet.missing == sum(not place.shown(one) for _, one in rows)


def check_distinct(
    cache: vai.Cache, question: Question, place: Place, rows: Sequence[Row], asked: Asked
) -> None:
    """The values in their order, of texts those that begin so."""
    found = cache.distinct(
        list(question.resources),
        place.name,
        question.namespaces,
        prefix=question.prefix,
        limit=question.limit,
        **asked,
    )
    counts = values_with_counts(place, rows)
    ordered: list[Any] = sorted(list[Any](counts))
    if question.prefix:
        ordered = [value for value in ordered if str(value).startswith(question.prefix)]
    limit = question.limit or 100
    assert [(told(place.type, one.value), one.count) for one in found.values] == [
        (value, counts[value]) for value in ordered[:limit]
    ]
    assert found.more == (len(ordered) > limit)


def check_groups(cache: vai.Cache, question: Question, rows: Sequence[Row], asked: Asked) -> None:
    """A group for each combination of values; numbers add up exactly."""
    measures = [place.name for place in question.measures]
    sums = [place for place in question.measures if place.type in ADDED_UP]
    found = cache.group_by(
        list(question.resources),
        [place.name for place in question.by],
        question.namespaces,
        sum=[place.name for place in sums],
        min=measures,
        max=measures,
        **asked,
    )
    groups: dict[tuple[Value | None, ...], list[Json]] = {}
    for _, one in rows:
        key = tuple(next(iter(place.shown(one)), None) for place in question.by)
        groups.setdefault(key, []).append(one)
    keys = [tuple(told(p.type, group.key[p.name]) for p in question.by) for group in found]
    # Values in their order, objects without one first.
    ordered: list[Any] = sorted(groups, key=lambda key: [(v is not None, v) for v in key])
    assert keys == ordered
    for key, group in zip(keys, found, strict=True):
        mine = groups[key]
        assert group.count == len(mine)
        for place in question.measures:
            values: list[Any] = [value for one in mine for value in place.shown(one)]
            assert told(place.type, group.min[place.name]) == min(values, default=None)
            assert told(place.type, group.max[place.name]) == max(values, default=None)
        for place in sums:
            values = [value for one in mine for value in place.shown(one)]
            total = _sum_told(place, group.sum[place.name])
            assert total == (sum(map(Fraction, values)) if values else None)


def _sum_told(place: Place, answer: Any) -> Fraction | None:
    """A sum of integers may be larger than what it is a sum of."""
    found = told("number" if place.type == "int" else place.type, answer)
    return None if found is None else Fraction(found)  # type: ignore[arg-type]


def check_explained(page: vai.Page, question: Question, objects: Objects, now_us: int) -> None:
    """What explain claims: which paths are not indexed, and that no other bodies were read."""
    explained = page.explain
    assert explained is not None
    assert explained.total == page.total
    steps: dict[str, int] = {}
    for step in explained.steps:
        steps[step.step] = steps.get(step.step, 0) + step.rows
    told_by_indexes = [
        known(question.where, one, now_us)
        for name in question.resources
        for one in objects[name].values()
        if _concerned(question, name, one)
    ]
    if "read in the order of keys" in steps:
        # Nothing is asked but all there is, so no index was needed.
        assert told_by_indexes.count(True) == len(told_by_indexes) == page.total
        assert steps["read in the order of keys"] == len(page)
        assert not explained.advice
        return
    scanned = steps.get("bodies scanned for what is not indexed", 0)
    if not _cut_in_selectors(question, objects):
        assert steps["matched in indexes"] == told_by_indexes.count(True)
        assert scanned == told_by_indexes.count(None)
    assert steps["bodies read"] == len(page)
    not_indexed = {name for one in explained.resources for name in one.not_indexed}
    if all(test.place.indexed for test in tests(question.where)):
        assert not not_indexed
        assert not any("cache.index(" in text for text in explained.advice)
    elif scanned:
        assert not_indexed


def _cut_in_selectors(question: Question, objects: Objects) -> bool:
    """Whether a selector is about texts that their indexes cut."""
    named = {f"labels[{part.key}]" for part in question.labels}
    named |= {term.field for term in question.fields}
    return any(
        place.is_cut(one)
        for name in question.resources
        for place in PLACES[name]
        if place.name in named
        for one in objects[name].values()
    )


def check_bounds(cache: vai.Cache, place: Place, pods: Collection[Json]) -> None:
    """Every comparison with a value that some pod has: what lies on the bound counts."""
    for value in {value for one in pods for value in place.values(one)}:
        text = Literal(literal(place.type, value), "'" if place.type == "text" else "")
        if not text.text or parse(place.type, text.text) != value:
            continue
        for operator in ("=", "!=") if place.type == "bool" else ("=", "!=", "<", "<=", ">", ">="):
            test = Test(place, operator, (text,))
            expected = sum(holds(test, one, 0) for one in pods)
            assert cache.count("pods", where=test.written()) == expected, test.written()
