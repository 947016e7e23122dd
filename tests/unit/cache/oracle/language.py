"""Conditions as trees: each is written as an expression, and asked of an object in plain Python.

By docs/expressions.md. A condition that bodies alone can tell is unknown to the indexes; the same
trees in Kleene's logic say which objects' bodies have to be read.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tests.unit.cache.oracle.places import Json, Place, walk
from tests.unit.cache.oracle.values import INT64, parse, read


@dataclass(frozen=True)
class Everything:
    """True."""

    def written(self) -> str:
        return "true"


@dataclass(frozen=True)
class All:
    """and"""

    parts: tuple[Condition, ...]

    def written(self) -> str:
        return " and ".join(f"({part.written()})" for part in self.parts)


@dataclass(frozen=True)
class Any_:  # noqa: N801 - `Any` is taken
    """or"""

    parts: tuple[Condition, ...]

    def written(self) -> str:
        return " || ".join(f"({part.written()})" for part in self.parts)


@dataclass(frozen=True)
class No:
    """not"""

    part: Condition

    def written(self) -> str:
        return f"not ({self.part.written()})"


@dataclass(frozen=True)
class Test:
    """One comparison.

    Attributes:
        place: whose values.
        operator: as it is written.
        literals: what stands behind it, in quotes or not.
        quantifier: "", "all" or "any".
        age: whether the time since is meant.
    """

    place: Place
    operator: str
    literals: tuple[Literal, ...] = ()
    quantifier: str = ""
    age: bool = False

    def written(self) -> str:
        name = f"age({self.place.name})" if self.age else self.place.name
        target = f"{self.quantifier}({name})" if self.quantifier else name
        if self.operator == "exists":
            return f"{target} exists"
        texts = ", ".join(literal.written() for literal in self.literals)
        several = self.operator in {"in", "notin", "within"}
        return f"{target} {self.operator} {f'({texts})' if several else texts}"


@dataclass(frozen=True)
class Literal:
    """A value as it is written."""

    text: str
    quotes: str = ""

    def written(self) -> str:
        if self.quotes == "'":
            return "'" + self.text.replace("'", "''") + "'"
        if self.quotes == '"':
            text = self.text.replace("\\", "\\\\").replace('"', '\\"')
            return '"' + text.replace("\n", "\\n").replace("\t", "\\t") + '"'
        return self.text


Condition = Everything | All | Any_ | No | Test

#: Operators that mean "exists, and does not": what they deny.
DENIED = {"!=": "=", "notin": "in", "!contains": "contains", "not startswith": "startswith"}


def holds(condition: Condition, one: Json, now_us: int) -> bool:
    """Whether an object meets it."""
    answer = _kleene(condition, one, lambda test, one: _test(test, one, now_us))
    assert answer is not None
    return answer


def known(condition: Condition, one: Json, now_us: int) -> bool | None:
    """The same as far as indexes tell; None where the body has to be read."""

    def indexed(test: Test, one: Json) -> bool | None:
        if not test.place.indexed or (test.operator != "exists" and test.place.is_cut(one)):
            return None
        return _test(test, one, now_us)

    return _kleene(condition, one, indexed)


def tests(condition: Condition) -> Iterable[Test]:
    """All comparisons."""
    match condition:
        case Test():
            yield condition
        case No(part=part):
            yield from tests(part)
        case All(parts=parts) | Any_(parts=parts):
            for part in parts:
                yield from tests(part)
        case Everything():
            pass


def _kleene(
    condition: Condition, one: Json, decide: Callable[[Test, Json], bool | None]
) -> bool | None:
    match condition:
        case Everything():
            return True
        case No(part=part):
            inner = _kleene(part, one, decide)
            return None if inner is None else not inner
        case All(parts=parts):
            found = [_kleene(part, one, decide) for part in parts]
            return False if False in found else None if None in found else True
        case Any_(parts=parts):
            found = [_kleene(part, one, decide) for part in parts]
            return True if True in found else None if None in found else False
        case Test():
            return decide(condition, one)


def _test(test: Test, one: Json, now_us: int) -> bool:
    values, others = test.place.values(one), _is_there(test.place, one)
    there = bool(values) or others
    if not there or test.operator == "exists":
        return there
    passes = _passes(test, DENIED.get(test.operator, test.operator), now_us)
    results = [passes(value) for value in values]
    # What is there and no text passes nothing.
    every, some = all(results) and not others, any(results)
    if test.operator in DENIED:
        return not every if test.quantifier == "any" else not some
    return every if test.quantifier == "all" else some


def _is_there(place: Place, one: Json) -> bool:
    """An object or a list where texts are is no text, but there."""
    for value in walk(one, place.steps) if place.steps and place.type == "text" else ():
        if isinstance(value, (dict, list)):
            return True
        if not place.many and read("text", value) is not None:
            return False  # Nothing behind the one value is looked at.
    return False


def _passes(test: Test, operator: str, now_us: int) -> Callable[[Any], bool]:  # noqa: C901
    place, texts = test.place, [literal.text for literal in test.literals]
    first = texts[0]
    match operator:
        case "contains":
            return lambda value: first in value
        case "startswith":
            return lambda value: bool(value.startswith(first))
        case "icontains":
            return lambda value: first.casefold() in value.casefold()
        case "iequals":
            return lambda value: bool(value.casefold() == first.casefold())
        case "matches":
            # What `$` means before a last line break differs between the languages.
            pattern = re.compile(first.replace("$", r"\Z"))
            return lambda value: pattern.search(value) is not None
        case "within":
            return lambda value: any(_within(value, text) for text in texts)
        case "<" | "<=" | ">" | ">=" if place.name.startswith("labels["):
            if not test.literals[0].quotes:
                return lambda value: _as_integer(operator, value, Fraction(first))
        case _:
            pass
    wanted: list[Any]
    if test.age:
        nanos = parse("duration", first)
        assert isinstance(nanos, int)
        # The time since is below 5 m.
        return lambda value: _compare(operator, (now_us - value) * 1000, nanos)
    # An integer is compared with any number.
    wanted = [parse("number" if place.type == "int" else place.type, text) for text in texts]
    assert None not in wanted, (place, texts)
    if operator == "in":
        return lambda value: value in wanted
    return lambda value: _compare(operator, value, wanted[0])


def _as_integer(operator: str, value: str, wanted: Fraction) -> bool:
    """A label beside a number: the integer that it is."""
    if not re.fullmatch(r"[+-]?\d+", value, re.ASCII) or int(value) not in INT64:
        return False
    return _compare(operator, int(value), wanted)


def _compare(operator: str, value: Any, wanted: Any) -> bool:
    return bool({
        "=": value == wanted,
        "<": value < wanted,
        "<=": value <= wanted,
        ">": value > wanted,
        ">=": value >= wanted,
    }[operator])  # fmt: skip


def _within(value: tuple[int, int], text: str) -> bool:
    network = ipaddress.ip_network(text, strict=False)
    family, address = value
    first, last = int(network.network_address), int(network.broadcast_address)
    return network.version == family and first <= address <= last
