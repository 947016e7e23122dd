"""The JSONPath of a CRD's `additionalPrinterColumns`, evaluated as kube-apiserver does.

A port of the part of k8s.io/client-go/util/jsonpath that apiextensions lets through
(apiextensions-apiserver, pkg/apis/apiextensions/validation: "simple" paths): fields, quoted
fields, indices, slices, wildcards, unions, recursive descent and filters. Templates (`range`,
text) are not paths. The tests compare it with client-go's own answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

Values = list[Any]


class JSONPathError(ValueError):
    """The path does not parse, or cannot be applied to this object."""


@dataclass(frozen=True, slots=True)
class Field:
    """`.name` or `['name']`."""

    name: str


@dataclass(frozen=True, slots=True)
class Slice:
    """`[n]`, `[from:to:step]`, `[*]`; `single` for the first of them."""

    start: int | None
    stop: int | None
    step: int | None
    single: bool = False


@dataclass(frozen=True, slots=True)
class Wildcard:
    """`.*`."""


@dataclass(frozen=True, slots=True)
class Recursive:
    """`..`."""


@dataclass(frozen=True, slots=True)
class Union:
    """`[0,2]`, `['a','b']`."""

    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant on one side of a filter."""

    value: Any


@dataclass(frozen=True, slots=True)
class Identifier:
    """A bare word: it parses, and leads nowhere (only templates have `range` and `end`)."""

    word: str


@dataclass(frozen=True, slots=True)
class Filter:
    """`[?(@.type=="Ready")]`; without an operator: elements for which `left` finds something."""

    left: Path
    operator: str = ""
    right: Path = ()


Node = Field | Slice | Wildcard | Recursive | Union | Literal | Identifier | Filter
Path = tuple[Node, ...]

_QUOTED_KEY = re.compile(r"'([^']*)'\Z")
_SLICE = re.compile(r"(-?\d*)(:-?\d*)?(:-?\d*)?\Z", re.ASCII)
_COMPARISON = re.compile(r"([^!<>=]+)([!<>=]+)(.+)\Z", re.DOTALL)
_NUMBER = re.compile(r"[+-]?[\d.]+", re.ASCII)
_WORD = re.compile(r"\w+")
_FIELD_ENDS: Final = frozenset(" \t\r\n.,[]$@{}")
_EQUALITIES: Final = ("==", "!=")


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._nodes: list[Node] = []

    def parse(self) -> Path:
        while self._at < len(self._text):
            self._step()
        return tuple(self._nodes)

    def _step(self) -> None:
        char = self._text[self._at]
        if self._text.startswith("[?(", self._at):
            self._filter()
        elif self._text.startswith("..", self._at):
            self._recursive()
        elif char in " @$":
            self._at += 1
        elif char == "[":
            self._bracket()
        elif char in "\"'":
            self._quoted(char)
        elif char == ".":
            self._at += 1
            self._field()
        elif char in "+-" or char.isdigit():
            self._number()
        else:
            self._word()

    def _fail(self, what: str) -> JSONPathError:
        return JSONPathError(f"{what} at position {self._at} of {self._text!r}")

    def _recursive(self) -> None:
        if self._nodes and isinstance(self._nodes[-1], Recursive):
            raise self._fail("a second recursive descent")
        self._at += 2
        self._nodes.append(Recursive())
        if self._at < len(self._text) and _WORD.match(self._text, self._at):
            self._field()

    def _field(self) -> None:
        name = ""
        while self._at < len(self._text) and self._text[self._at] not in _FIELD_ENDS:
            if self._text[self._at] == "\\":
                self._at += 1
            name += self._text[self._at : self._at + 1]
            self._at += 1
        self._nodes.append(Wildcard() if name == "*" else Field(name))

    def _number(self) -> None:
        match = _NUMBER.match(self._text, self._at)
        if match is None:
            raise self._fail("no number")
        text = match.group()
        try:
            value = float(text) if "." in text else int(text)
        except ValueError:
            raise self._fail("no number") from None
        self._nodes.append(Literal(value))
        self._at = match.end()

    def _word(self) -> None:
        match = _WORD.match(self._text, self._at)
        if match is None:
            raise self._fail("an unexpected character")
        end = self._at
        while end < len(self._text) and self._text[end] not in _FIELD_ENDS:
            end += 1
        word = self._text[self._at : end]
        boolean = word in ("true", "false")
        self._nodes.append(Literal(word == "true") if boolean else Identifier(word))
        self._at = end

    def _quoted(self, quote: str) -> None:
        end = self._at + 1
        while end < len(self._text) and self._text[end] != quote:
            end += 2 if self._text[end] == "\\" else 1
        if end >= len(self._text):
            raise self._fail("an open quote")
        inside = self._text[self._at + 1 : end]
        self._nodes.append(Literal(re.sub(r"\\(.)", r"\1", inside)))
        self._at = end + 1

    def _bracket(self) -> None:
        end = self._text.find("]", self._at)
        if end < 0:
            raise self._fail("an open bracket")
        inside = self._text[self._at + 1 : end]
        self._at = end + 1
        parts = inside.split(",")
        if len(parts) > 1:
            self._nodes.append(Union(tuple(parse(f"[{part.strip(' ')}]") for part in parts)))
            return
        quoted = _QUOTED_KEY.match(inside)
        if quoted is not None:
            # As in client-go: the quoted text is read like the text after a dot.
            self._nodes.extend(parse(f".{quoted.group(1)}"))
            return
        self._nodes.append(self._slice("::" if inside == "*" else inside))

    def _slice(self, inside: str) -> Slice:
        match = _SLICE.match(inside)
        if match is None or inside in ("", "-"):
            raise self._fail(f"no array index: {inside!r}")
        start, stop, step = ((part or "").lstrip(":") for part in match.groups())
        return Slice(
            start=int(start) if start else None,
            stop=int(stop) if stop else None,
            step=int(step) if step else None,
            single=match.group(2) is None,
        )

    def _filter(self) -> None:
        begin = self._at + len("[?(")
        end = _filter_end(self._text, begin)
        if end < 0 or not self._text.startswith(")]", end):
            raise self._fail("an open filter")
        inside = self._text[begin:end]
        match = _COMPARISON.match(inside)
        if match is None:
            self._nodes.append(Filter(parse(inside)))
        else:
            left, operator, right = match.groups()
            self._nodes.append(Filter(parse(left), operator, parse(right)))
        self._at = end + len(")]")


def _filter_end(text: str, begin: int) -> int:
    """Where the filter's closing parenthesis is, one quoted string apart; -1 if nowhere."""
    quote = ""
    for at in range(begin, len(text)):
        char = text[at]
        if quote:
            if char == quote and text[at - 1] != "\\":
                quote = ""
        elif char in "\"'":
            quote = char
        elif char == ")":
            return at
    return -1


def parse(text: str) -> Path:
    """The steps of a path such as `.status.conditions[?(@.type=="Ready")].status`.

    Raises:
        JSONPathError: it does not parse; the message has the position.
    """
    return _Parser(text).parse()


def find(document: Any, path: Path) -> Values:
    """All values that the path leads to.

    Raises:
        JSONPathError: a step cannot be applied, such as an index out of bounds.
    """
    return _walk([document], path)


def _walk(values: Values, path: Path) -> Values:
    for node in path:
        values = _STEPS[type(node)](values, node)
    return values


def _field(values: Values, node: Field) -> Values:
    return [value[node.name] for value in values if isinstance(value, dict) and node.name in value]


def _wildcard(values: Values, _node: Wildcard) -> Values:
    return [child for value in values for child in _children(value)]


def _children(value: Any) -> Values:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list) else []


def _recursive(values: Values, node: Recursive) -> Values:
    found: Values = []
    for value in values:
        children = _children(value)
        if children:
            found.append(value)
            found.extend(_recursive(children, node))
    return found


def _union(values: Values, node: Union) -> Values:
    return [found for path in node.paths for found in _walk(values, path)]


def _literal(values: Values, node: Literal) -> Values:
    return [node.value for _ in values]


def _identifier(_values: Values, node: Identifier) -> Values:
    msg = f"unrecognized identifier {node.word}"
    raise JSONPathError(msg)


def _slice(values: Values, node: Slice) -> Values:
    found: Values = []
    for value in values:
        if value is None:
            continue
        if not isinstance(value, list):
            msg = f"{type(value).__name__} is not an array"
            raise JSONPathError(msg)
        found.extend(_cut(value, node))
    return found


def _cut(value: Values, node: Slice) -> Values:
    """`evalArray` of client-go: negative bounds count from the end, others must be in range."""
    length = len(value)
    start = node.start or 0
    stop = length if node.stop is None else node.stop
    if node.single:
        stop = start + 1
    if start < 0:
        start += length
    if stop < 0 or (stop == 0 and node.single):
        stop += length
    if start == stop:
        return []
    if not 0 <= start < length or not 0 <= stop <= length or start > stop:
        msg = f"array index out of bounds: [{start}:{stop}] of {length}"
        raise JSONPathError(msg)
    if node.step is not None and node.step <= 0:
        msg = "a step must be greater than 0"
        raise JSONPathError(msg)
    return value[start : stop : node.step or 1]


def _filter(values: Values, node: Filter) -> Values:
    found: Values = []
    for value in values:
        if not isinstance(value, list):
            msg = f"{type(value).__name__} is not an array and cannot be filtered"
            raise JSONPathError(msg)
        found.extend(element for element in value if _passes(element, node))
    return found


def _passes(element: Any, node: Filter) -> bool:
    if not node.operator:
        try:
            return bool(_walk([element], node.left))
        except JSONPathError:
            return False
    lefts, rights = _walk([element], node.left), _walk([element], node.right)
    if len(lefts) > 1 or len(rights) > 1:
        msg = "a filter can only compare one element at a time"
        raise JSONPathError(msg)
    return bool(lefts and rights) and _compare(lefts[0], node.operator, rights[0])


def _compare(left: Any, operator: str, right: Any) -> bool:
    """Only values of one type compare; booleans know equality alone (as Go's templates do)."""
    basic = (bool, int, float, str)
    if type(left) is not type(right) or not isinstance(left, basic):
        msg = "incompatible types for comparison"
        raise JSONPathError(msg)
    if operator not in _COMPARISONS or (isinstance(left, bool) and operator not in _EQUALITIES):
        msg = f"{operator} does not compare {type(left).__name__}"
        raise JSONPathError(msg)
    return _COMPARISONS[operator](left, right)


_COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": lambda a, b: bool(a == b),
    "!=": lambda a, b: bool(a != b),
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
}

_STEPS: Final[dict[type, Callable[[Values, Any], Values]]] = {
    Field: _field,
    Slice: _slice,
    Wildcard: _wildcard,
    Recursive: _recursive,
    Union: _union,
    Literal: _literal,
    Identifier: _identifier,
    Filter: _filter,
}
