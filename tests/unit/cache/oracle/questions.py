"""Hypothesis' strategies for questions."""

from __future__ import annotations

from typing import Final, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import vai
from tests.unit.cache.oracle.answers import Question
from tests.unit.cache.oracle.language import (
    DENIED,
    All,
    Any_,
    Condition,
    Everything,
    Literal,
    No,
    Test,
)
from tests.unit.cache.oracle.objects import (
    LABEL_KEYS,
    LABEL_VALUES,
    LITERALS,
    NAMES,
    NUMBERS,
)
from tests.unit.cache.oracle.places import COMMON, NAME, PLACES, SELECTABLE, Place
from tests.unit.cache.oracle.scopes import LAYOUTS, SPACES, Kept
from tests.unit.cache.oracle.selectors import Requirement, Term
from tests.unit.cache.oracle.values import parse

T = TypeVar("T")

_TEXT_OPERATORS: Final = (
    *("=", "!=", "in", "notin", "<", ">=", "contains", "!contains", "icontains", "startswith"),
    *("not startswith", "iequals", "matches", "exists"),
)
_NUMBER_OPERATORS: Final = ("=", "!=", "in", "notin", "<", "<=", ">", ">=", "exists")
_PATTERNS: Final = (
    r"^web-\d+$", "a|b", "[^a-z]", "^$", "é", r"^l+é?\d$", r"\.", "(?i)PEND", "^.{1,2}$", "^Ä",
)  # fmt: skip
_NETWORKS: Final = ("10.0.0.0/8", "10.0.0.1", "fd00::/8", "0.0.0.0/0", "10.0.0.2/31", "::/0")
_AGES: Final = ("0", "1h", "300d", "2d", "30w", "15m", "5000d")
_WORD: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:+@"


def literal(kind: str, *, bare: bool | None = None) -> SearchStrategy[Literal]:
    """A value of a type, in quotes where it needs them or may have them."""

    def quoted(text: str) -> SearchStrategy[Literal]:
        plain = bool(text) and all(char in _WORD for char in text)
        ways = ["'", '"', *([""] if plain else [])]
        if bare is not None and plain:
            ways = [""] if bare else ["'", '"']
        return st.builds(Literal, st.just(text), st.sampled_from(ways))

    return st.sampled_from(LITERALS[kind]).flatmap(quoted)


def tests_of(place: Place) -> SearchStrategy[Test]:
    """A comparison that makes sense for the type of a place."""
    quantifiers = st.sampled_from(("", "all", "any")) if place.many else st.just("")
    operators: tuple[str, ...]
    match place.type:
        case "text":
            operators = _TEXT_OPERATORS
        case "bool":
            operators = ("=", "!=", "in", "exists")
        case "ip":
            operators = (*_NUMBER_OPERATORS, "within", "within")
        case _:
            operators = _NUMBER_OPERATORS
    return st.sampled_from(operators).flatmap(
        lambda operator: st.builds(
            Test, st.just(place), st.just(operator), _literals(place, operator), quantifiers
        )
    )


def _literals(place: Place, operator: str) -> SearchStrategy[tuple[Literal, ...]]:
    match DENIED.get(operator, operator):
        case "exists":
            return st.just(())
        case "in":
            return st.lists(_one(place), min_size=1, max_size=3).map(tuple)
        case "within":
            networks = st.builds(Literal, st.sampled_from(_NETWORKS))
            return st.lists(networks, min_size=1, max_size=2).map(tuple)
        case "matches":
            return st.tuples(st.builds(Literal, st.sampled_from(_PATTERNS), st.just("'")))
        case "<" | "<=" | ">" | ">=" if place.type == "text":
            # A number without quotes has no order among texts; beside a label it is one.
            if not place.name.startswith("labels["):
                return st.tuples(literal("text", bare=False))
            numbers = st.sampled_from([text for text in NUMBERS if parse("int", text) is not None])
            return st.one_of(
                st.tuples(literal("text", bare=False)), st.tuples(st.builds(Literal, numbers))
            )
        case _:
            return st.tuples(_one(place))


def _one(place: Place) -> SearchStrategy[Literal]:
    if place is NAME:
        return st.builds(Literal, st.sampled_from(NAMES))
    if place.name == "metadata.namespace":
        return st.builds(Literal, st.sampled_from(SPACES))
    if place.name.startswith("labels["):
        values = [value for value in LABEL_VALUES if value]
        return st.one_of(
            st.builds(Literal, st.sampled_from(values), st.just('"')),
            st.just(Literal("", "'")),
        )
    return literal(place.type)


def ages(places: tuple[Place, ...]) -> SearchStrategy[Test]:
    """How long ago a time was."""
    times = [place for place in places if place.type == "time"]
    return st.builds(
        Test,
        st.sampled_from(times),
        st.sampled_from(("<", "<=", ">", ">=")),
        st.tuples(st.builds(Literal, st.sampled_from(_AGES))),
        st.just(""),
        st.just(True),  # noqa: FBT003 - that it is an age
    )


def conditions(places: tuple[Place, ...]) -> SearchStrategy[Condition]:
    """Comparisons joined in any way."""
    one = st.sampled_from(places).flatmap(tests_of)
    leaf: SearchStrategy[Condition] = st.one_of(one, one, one, ages(places))

    def joined(inner: SearchStrategy[Condition]) -> SearchStrategy[Condition]:
        several = st.lists(inner, min_size=2, max_size=3).map(tuple)
        return st.one_of(st.builds(All, several), st.builds(Any_, several), st.builds(No, inner))

    # By hand and not with `recursive`, which prefers leaves.
    once, twice = joined(leaf), joined(st.one_of(leaf, joined(leaf)))
    return st.one_of(st.just(Everything()), leaf, once, twice)


def requirements() -> SearchStrategy[Requirement]:
    """A part of a label selector."""
    key = st.sampled_from(LABEL_KEYS)
    # A selector takes no value that begins with a sign.
    value = st.sampled_from([value for value in LABEL_VALUES if not value.startswith("-")])
    numbers = st.sampled_from(("0", "2", "5", "9223372036854775807"))
    return st.one_of(
        st.builds(Requirement, key, st.sampled_from(("exists", "!"))),
        st.builds(Requirement, key, st.sampled_from(("=", "==", "!=")), st.tuples(value)),
        st.builds(
            Requirement,
            key,
            st.sampled_from(("in", "notin")),
            st.lists(value, min_size=1, max_size=3, unique=True).map(tuple),
        ),
        st.builds(Requirement, key, st.sampled_from((">", "<")), st.tuples(numbers)),
    )


def terms(resources: tuple[str, ...]) -> SearchStrategy[Term]:
    """A part of a field selector that a server takes of all these resources."""
    names = [
        name
        for name in SELECTABLE[resources[0]]
        if all(name in SELECTABLE[other] for other in resources)
    ]
    values = st.sampled_from((*NAMES, *SPACES, *LITERALS["text"], "", "false", "true", "3", "1.50"))
    return st.builds(Term, st.sampled_from(names), st.sampled_from(("=", "==", "!=")), values)


#: Lists of users, as long as one another: they differ in one namespace, or in one name.
USERS: Final = tuple(
    (*(vai.Partition(namespace=f"nowhere-{number}") for number in range(200)), own)
    for own in (
        *(vai.Partition(namespace=space) for space in SPACES),
        *(vai.Partition(namespace=SPACES[0], names=("nobody", name)) for name in NAMES[:3]),
        *(vai.Partition(names=("nobody", name)) for name in NAMES[:3]),
    )
)


def partitions() -> SearchStrategy[tuple[vai.Partition, ...]]:
    """What somebody may see: anything, or what a user has who asks again and again."""
    spaces = st.sampled_from((None, *SPACES, "nowhere"))
    names = st.one_of(
        st.none(), st.lists(st.sampled_from((*NAMES, "nobody")), max_size=3).map(tuple)
    )
    one = st.builds(vai.Partition, namespace=spaces, names=names)
    return st.one_of(st.lists(one, max_size=3).map(tuple), st.sampled_from(USERS))


def some_or_none(several: SearchStrategy[T], none: T) -> SearchStrategy[T]:
    """Rather none."""
    return st.one_of(st.just(none), st.just(none), several)


@st.composite
def questions(draw: st.DrawFn) -> Question:
    """Any question that makes sense."""
    resources = draw(
        st.sampled_from((
            *[("pods",)] * 6,
            *(("deployments.apps",), ("nodes",), ("pods", "deployments.apps"), ("nodes", "pods")),
            ("deployments.apps", "nodes", "pods"),
        ))
    )  # fmt: skip
    places = PLACES[resources[0]] if len(resources) == 1 else COMMON
    sortable = tuple(place for place in places if place.indexed)
    # Names are not counted: there are as many as objects.
    countable = tuple(place for place in sortable if place is not NAME)
    single = tuple(place for place in countable if not place.many)
    place = st.sampled_from(countable)
    by = st.tuples(st.sampled_from(sortable), st.booleans())
    sort = st.lists(by, max_size=3, unique_by=lambda key: key[0].name)
    spaces = st.lists(st.sampled_from(SPACES), min_size=1, max_size=2, unique=True).map(tuple)
    grouped = draw(st.integers(0, 3)) == 0
    facets = st.lists(place, max_size=2, unique_by=lambda place: place.name).map(tuple)
    groups = st.lists(st.sampled_from(single), min_size=1, max_size=2, unique_by=repr).map(tuple)
    distinct = draw(some_or_none(place, None))
    is_text = distinct is not None and distinct.type == "text"
    # What a scope keeps is asked for as it keeps it, among other things.
    kept = draw(some_or_none(st.sampled_from(LAYOUTS["parts"]), Kept()))
    kept = kept if resources == ("pods",) else Kept()
    inside = st.just(None if kept.namespace is None else (kept.namespace,))
    somewhere = some_or_none(spaces, None) if kept.namespace is None else inside
    return Question(
        resources=resources,
        namespaces=None if resources == ("nodes",) else draw(somewhere),
        where=draw(conditions(places)),
        labels=kept.labels
        + draw(some_or_none(st.lists(requirements(), max_size=2).map(tuple), ())),
        fields=kept.fields
        + draw(some_or_none(st.lists(terms(resources), max_size=2).map(tuple), ())),
        access=draw(some_or_none(partitions(), None)),
        sort=tuple(draw(sort)),
        limit=draw(some_or_none(st.integers(1, 5), None)),
        offset=draw(st.sampled_from((0, 0, 1, 3, 20))),
        facets=draw(some_or_none(facets, ())),
        facet_limit=draw(some_or_none(st.integers(1, 3), None)),
        by=draw(groups) if grouped else (),
        measures=draw(facets) if grouped else (),
        distinct=distinct,
        prefix=draw(st.sampled_from(("", "a", "web-", "l", "é"))) if is_text else "",
        ago=draw(some_or_none(st.integers(0, 6), None)),
    )
