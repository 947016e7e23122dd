"""Label and field selectors, parsed and matched as apimachinery does, messages included.

Sources: apimachinery ``pkg/labels/selector.go`` and ``pkg/fields/selector.go``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass


class SelectorError(ValueError):
    """The selector cannot be parsed; the text is the server's."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on a label. ``operator`` is one of ``in notin exists ! gt lt``."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """True when the labels fulfil it; a missing key fulfils ``notin`` and ``!``."""
        value = labels.get(self.key)
        match self.operator:
            case "in":
                return value is not None and value in self.values
            case "notin":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case "!":
                return value is None
            case _:
                pass
        if value is None or not _is_int64(value):
            return False
        limit = int(next(iter(self.values)))
        return int(value) > limit if self.operator == "gt" else int(value) < limit


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """Requirements that must all hold."""

    requirements: tuple[Requirement, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.requirements)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """True when every requirement holds."""
        return all(requirement.matches(labels) for requirement in self.requirements)


_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_DNS = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAME_MESSAGE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_PREFIX_MESSAGE = (
    "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric "
    "characters, '-' or '.', and must start and end with an alphanumeric character (e.g. "
    "'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_VALUE_MESSAGE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value', "
    " or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_QUALIFIED_MESSAGE = (
    "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex "
    "used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS "
    "subdomain prefix and '/' (e.g. 'example.com/MyName')"
)
_MAX_NAME = 63
_MAX_PREFIX = 253


def _key_errors(key: str) -> list[str]:
    errors: list[str] = []
    prefix, slash, name = key.rpartition("/")
    if prefix.count("/") > 0:
        return [_QUALIFIED_MESSAGE]
    if slash:
        if not prefix:
            errors.append("prefix part must be non-empty")
        elif len(prefix) > _MAX_PREFIX:
            errors.append(f"prefix part must be no more than {_MAX_PREFIX} bytes")
        elif not _DNS.fullmatch(prefix):
            errors.append(_PREFIX_MESSAGE)
    if not name:
        errors.append("name part must be non-empty")
    elif len(name) > _MAX_NAME:
        errors.append(f"name part must be no more than {_MAX_NAME} bytes")
    if not _NAME.fullmatch(name):
        errors.append(_NAME_MESSAGE)
    return errors


def _check_key(key: str) -> None:
    errors = _key_errors(key)
    if errors:
        raise SelectorError(f'<nil>: Invalid value: "{key}": {"; ".join(errors)}')


def _check_value(key: str, value: str) -> None:
    errors: list[str] = []
    if len(value) > _MAX_NAME:
        errors.append(f"must be no more than {_MAX_NAME} bytes")
    if value and not _NAME.fullmatch(value):
        errors.append(_VALUE_MESSAGE)
    if errors:
        raise SelectorError(f'values[0][{key}]: Invalid value: "{value}": {"; ".join(errors)}')


def _is_int64(text: str) -> bool:
    return bool(re.fullmatch(r"[+-]?[0-9]+", text)) and -(2**63) <= int(text) < 2**63


_SYMBOLS = {")", ",", "!", "==", "=", ">", "<", "!=", "("}
_SPECIAL = "=!(),><"
_END = ""
_Token = tuple[str, str]  # (kind, literal); kind "id", "in", "notin", "end", "error" or a symbol


def _tokens(text: str) -> list[_Token]:
    out: list[_Token] = []
    position = 0
    while position < len(text):
        char = text[position]
        if char in " \t\r\n":
            position += 1
        elif char in _SPECIAL:
            end = position + 1
            # The longest known symbol: "==" and "!=" before "=" and "!".
            if text[position : position + 2] in _SYMBOLS:
                end = position + 2
            symbol = text[position:end]
            out.append((symbol, symbol))
            position = end
        else:
            end = position
            while end < len(text) and text[end] not in _SPECIAL and text[end] not in " \t\r\n":
                end += 1
            word = text[position:end]
            out.append((word if word in ("in", "notin") else "id", word))
            position = end
    out.append(("end", _END))
    return out


class _LabelParser:
    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)
        self.position = 0

    def peek(self) -> _Token:
        kind, literal = self.tokens[min(self.position, len(self.tokens) - 1)]
        return ("id" if kind in ("in", "notin") else kind), literal

    def take(self) -> _Token:
        token = self.peek()
        self.position += 1
        return token

    def parse(self) -> list[Requirement]:
        found: list[Requirement] = []
        while True:
            kind, literal = self.peek()
            if kind == "end":
                return found
            if kind not in ("id", "!"):
                raise SelectorError(
                    f"found '{literal}', expected: !, identifier, or 'end of string'"
                )
            try:
                found.append(self.requirement())
            except SelectorError as error:
                raise SelectorError(f"unable to parse requirement: {error}") from None
            kind, literal = self.take()
            if kind == "end":
                return found
            if kind != ",":
                raise SelectorError(f"found '{literal}', expected: ',' or 'end of string'")
            kind, literal = self.peek()
            if kind not in ("id", "!"):
                raise SelectorError(f"found '{literal}', expected: identifier after ','")

    def requirement(self) -> Requirement:
        kind, key = self.take()
        negated = kind == "!"
        if negated:
            kind, key = self.take()
        if kind != "id":
            raise SelectorError(f"found '{key}', expected: identifier")
        _check_key(key)
        if negated:
            return Requirement(key, "!")
        if self.peek()[0] in ("end", ","):
            return Requirement(key, "exists")
        return self.comparison(key)

    def comparison(self, key: str) -> Requirement:
        kind, literal = self.tokens[self.position]
        self.position += 1
        if kind in ("in", "notin"):
            values = self.value_set()
            for value in sorted(values):
                _check_value(key, value)
            return Requirement(key, kind, frozenset(values))
        operator = {"=": "in", "==": "in", "!=": "notin", ">": "gt", "<": "lt"}.get(kind)
        if operator is None:
            raise SelectorError(f"found '{literal}', expected: in, notin, =, ==, !=, gt, lt")
        value = self.exact_value()
        if operator in ("gt", "lt") and not _is_int64(value):
            raise SelectorError(
                f"values[0]: Invalid value: \"{value}\": for 'Gt', 'Lt' operators, the value "
                "must be an integer"
            )
        _check_value(key, value)
        return Requirement(key, operator, frozenset((value,)))

    def exact_value(self) -> str:
        if self.peek()[0] in ("end", ","):
            return ""
        kind, literal = self.take()
        if kind != "id":
            raise SelectorError(f"found '{literal}', expected: identifier")
        return literal

    def value_set(self) -> set[str]:
        kind, literal = self.take()
        if kind != "(":
            raise SelectorError(f"found '{literal}' expected: '('")
        kind, literal = self.peek()
        if kind == ")":
            self.take()
            return {""}
        if kind not in ("id", ","):
            raise SelectorError(f"found '{literal}', expected: ',', ')' or identifier")
        first = literal
        values = self.identifiers()
        if self.take()[0] != ")":
            raise SelectorError(f"found '{first}', expected: ')'")
        return values

    def identifiers(self) -> set[str]:
        values: set[str] = set()
        while True:
            kind, literal = self.take()
            if kind == "id":
                values.add(literal)
                following, text = self.peek()
                if following == ")":
                    return values
                if following != ",":
                    raise SelectorError(f"found '{text}', expected: ',' or ')'")
            elif kind == ",":
                if not values:
                    values.add("")
                following = self.peek()[0]
                if following in (")", ","):
                    values.add("")
                if following == ")":
                    return values
            else:
                raise SelectorError(f"found '{literal}', expected: ',', or identifier")


def parse_labels(text: str) -> LabelSelector:
    """A label selector from its text.

    Raises:
        SelectorError: With the server's message.
    """
    found = _LabelParser(text).parse()
    return LabelSelector(tuple(sorted(found, key=lambda requirement: requirement.key)))


@dataclass(frozen=True, slots=True)
class FieldTerm:
    """``field=value`` or, negated, ``field!=value``."""

    field: str
    value: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """Terms that must all hold. A field that an object lacks counts as empty."""

    terms: tuple[FieldTerm, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.terms)

    def matches(self, fields: Mapping[str, str]) -> bool:
        """True when every term holds."""
        return all(
            (fields.get(term.field, "") == term.value) != term.negated for term in self.terms
        )

    def exact(self, field: str) -> str | None:
        """The value that ``field`` must have, if the selector names one."""
        for term in self.terms:
            if term.field == field and not term.negated:
                return term.value
        return None


def _split_terms(text: str) -> list[str]:
    terms: list[str] = []
    start = 0
    escaped = False
    for position, char in enumerate(text):
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == ",":
            terms.append(text[start:position])
            start = position + 1
    terms.append(text[start:])
    return terms


def _unescape(text: str) -> str:
    out: list[str] = []
    escaped = False
    for char in text:
        if escaped:
            if char not in "\\,=":
                raise SelectorError(f"invalid field selector: invalid escape sequence: \\{char}")
            out.append(char)
            escaped = False
        elif char == "\\":
            escaped = True
        elif char in ",=":
            raise SelectorError(
                f"invalid field selector: unescaped character in value: {ord(char)}"
            )
        else:
            out.append(char)
    if escaped:
        raise SelectorError("invalid field selector: invalid escape sequence: \\")
    return "".join(out)


def parse_fields(text: str, check: Callable[[str], str] = str) -> FieldSelector:
    r"""A field selector from its text.

    Args:
        text: ``a=b,c!=d``; backslash escapes ``\``, ``,`` and ``=`` in values.
        check: Given a field's name, returns the canonical one or raises SelectorError.

    Raises:
        SelectorError: With the server's message.
    """
    terms: list[FieldTerm] = []
    for part in sorted(_split_terms(text)):
        if not part:
            continue
        found = re.search(r"!=|==|=", part)
        if found is None:
            raise SelectorError(f"invalid selector: '{text}'; can't understand '{part}'")
        value = _unescape(part[found.end() :])
        terms.append(FieldTerm(part[: found.start()], value, found.group() == "!="))
    return FieldSelector(
        tuple(
            FieldTerm(check(term.field), term.value, term.negated)
            for term in terms
            # fields.hasTerm.Transform drops a term whose field and value are both empty.
            if term.field or term.value
        )
    )
