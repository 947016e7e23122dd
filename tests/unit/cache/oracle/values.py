"""What a JSON value means as the type of a field, by docs/fields.md and nothing else.

Text is a str, int, time (microseconds) and duration (nanoseconds) an int, number and quantity a
Fraction, ip a pair of family and address, bool a bool. Within a type Python's order is that of the
documentation: code points order as their UTF-8 bytes do.
"""

from __future__ import annotations

import ipaddress
import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

Value = str | int | Fraction | tuple[int, int] | bool

#: Longer texts are cut where they are indexed (docs/architecture.md, Queries).
INDEXED_BYTES: Final = 1024
INT64: Final = range(-(2**63), 2**63)

_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_QUANTITY: Final = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))([A-Za-z]*|[eE][+-]?\d+)", re.ASCII)
_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(Z|[+-]\d\d:\d\d))?", re.ASCII
)
_DURATION: Final = re.compile(r"(\d+\.?\d*|\.\d+)([a-zµ]+)", re.ASCII)
_TENS: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_TWOS: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_UNITS: Final = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86_400 * 10**9,
    "w": 604_800 * 10**9,
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Number(str):
    """A number as it was written: 1.0, 1e0 and 1 are three texts."""

    __slots__ = ()


def exact(data: bytes | str) -> Any:
    """JSON with its numbers as they were written."""
    return json.loads(data, parse_int=Number, parse_float=Number)


def whole(text: str) -> str:
    """A text as an index and an answer have it: lone surrogates are U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def cut(value: Value) -> Value:
    """A value as it is indexed."""
    if not isinstance(value, str) or len(value.encode()) <= INDEXED_BYTES:
        return value
    return value.encode()[:INDEXED_BYTES].decode(errors="ignore")


def read(kind: str, found: Any) -> Value | None:
    """The value at a place of an object; None where none is there, or none of this type."""
    if found is None or found == "":
        return None
    if isinstance(found, bool):
        if kind == "bool":
            return found
        return str(found).lower() if kind == "text" else None
    if isinstance(found, Number):
        if kind == "text":
            return _digits(found)
        return parse(kind, found) if kind in {"int", "number", "quantity"} else None
    if not isinstance(found, str):
        return None
    if kind == "text":
        return whole(found)
    return parse(kind, found.strip() if kind == "quantity" else found)


def _digits(written: Number) -> str:
    """A number as text: an integer of 64 bits as one, all others as they are written."""
    if re.fullmatch(r"[+-]?\d+", written, re.ASCII) and int(written) in INT64:
        return str(int(written))
    return str(written)


def parse(kind: str, text: str) -> Value | None:
    """A literal, or a string of an object, as a type."""
    match kind:
        case "text":
            return text
        case "bool":
            return {"true": True, "false": False}.get(text)
        case "int":
            number = _number(text)
            fits = number is not None and number.denominator == 1 and int(number) in INT64
            return int(number) if fits and number is not None else None
        case "number":
            return _number(text)
        case "quantity":
            return _quantity(text)
        case "time":
            return _time(text)
        case "duration":
            return _duration(text)
        case "ip":
            return _address(text)
        case _:
            raise AssertionError(kind)


def _number(text: str) -> Fraction | None:
    return Fraction(Decimal(text)) if _NUMBER.fullmatch(text) else None


def _quantity(text: str) -> Fraction | None:
    found = _QUANTITY.fullmatch(text)
    if found is None:
        return None
    number, suffix = Fraction(Decimal(found[1])), found[2]
    if suffix in _TENS:
        number *= Fraction(10) ** _TENS[suffix]
    elif suffix in _TWOS:
        number *= 2 ** _TWOS[suffix]
    elif re.fullmatch(r"[eE][+-]?\d+", suffix, re.ASCII):
        number *= Fraction(10) ** int(suffix[1:])
    else:
        return None
    # Kubernetes keeps billionths, and rounds away from zero.
    nanos = abs(number) * 10**9
    up = -(-nanos.numerator // nanos.denominator)
    return Fraction(up if number >= 0 else -up, 10**9)


def _time(text: str) -> int | None:
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        moment = datetime(
            *(int(year), int(month), int(day)),
            *(int(hour or 0), int(minute or 0), int(second or 0)),
            tzinfo=UTC,
        )
    except ValueError:
        return None
    if zone not in {None, "Z"}:
        ahead = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
        moment -= ahead if zone[0] == "+" else -ahead
    return (moment - _EPOCH) // timedelta(microseconds=1) + int((fraction or "").ljust(6, "0"))


def _duration(text: str) -> int | None:
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    total = Fraction(0)
    for found in _DURATION.finditer(rest):
        if found[2] not in _UNITS:
            return None
        total += Fraction(Decimal(found[1])) * _UNITS[found[2]]
    if not rest or _DURATION.sub("", rest) or total.denominator != 1:
        return None
    return sign * int(total) if sign * int(total) in INT64 else None


def _address(text: str) -> tuple[int, int] | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address):
        if found.scope_id is not None:
            return None
        found = found.ipv4_mapped or found
    return (found.version, int(found))


def literal(kind: str, value: Value) -> str:
    """A text that is read as this value."""
    match value:
        case bool():
            return str(value).lower()
        case Fraction():
            # Rounded to 28 digits: whoever needs all of them has to look.
            return f"{Decimal(value.numerator) / Decimal(value.denominator):f}"
        case (4, address):
            return str(ipaddress.IPv4Address(address))
        case (_, address):
            return str(ipaddress.IPv6Address(address))
        case int() if kind == "time":
            return (_EPOCH + timedelta(microseconds=value)).isoformat().replace("+00:00", "Z")
        case int() if kind == "duration":
            return f"{value}ns"
        case _:
            return str(value)


def told(kind: str, answer: Any) -> Value | None:
    """A value of an answer, back as what it is: as text where JSON has no such type."""
    if answer is None or kind in {"text", "bool", "int"}:
        found: Value | None = answer
        assert kind != "int" or found is None or type(found) is int
        return found
    if kind == "number":
        return Fraction(Decimal(repr(answer) if isinstance(answer, float) else str(answer)))
    assert isinstance(answer, str), answer
    found = parse(kind, answer)
    assert found is not None, (kind, answer)
    return found
