"""YAML as sigs.k8s.io/yaml writes it, which kubectl uses.

Keys in natural order, lists not indented below their key, text quoted where a YAML 1.1 reader
would take it for something else. Plain words, most of any object, are written here; whatever
needs quoting, folding or a block is left to PyYAML's emitter, which is a port of the same libyaml
as Go's, told to choose the styles that go-yaml chooses. (PyYAML alone takes 15 ms for a pod.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cmp_to_key, lru_cache
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final

from vai.cli.printers.cells import go_print

if TYPE_CHECKING:
    import yaml

# What a YAML 1.1 reader would not take for text, as go-yaml v2 resolves plain scalars.
_NOT_TEXT: Final = re.compile(
    r"""(?: | ~ | null|Null|NULL | true|True|TRUE | false|False|FALSE
      | y|Y|yes|Yes|YES | n|N|no|No|NO | on|On|ON | off|Off|OFF
      | [-+]?\.(?:inf|Inf|INF) | \.(?:nan|NaN|NAN)
      | [-+]?0b[01_]+ | [-+]?0o?[0-7_]+ | [-+]?0x[0-9a-fA-F_]+
      | [-+]?[0-9][0-9_]*
      | [-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?
      | [-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?
      | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt\ ][0-9:.]+(?:[Zz]|[-+][0-9:]+)?)?
    )\Z""",
    re.VERBOSE,
)
# Text that is written as it is wherever it stands: no space to fold at, no indicator.
_PLAIN: Final = re.compile(r"[A-Za-z0-9/_](?:[A-Za-z0-9/_.@+=,-]|:(?=[A-Za-z0-9/_.@+=,-]))*\Z")
_EXPONENT: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?e[-+][0-9]+\Z")
# Both emitters fold plain and quoted text beyond 80 columns (libyaml's best_width).
_WIDTH: Final = 80
# What YAML 1.1 takes for the end of a line too.
_BREAKS: Final = frozenset("\x85\u2028\u2029")
# From here on libyaml writes a key in its long form (emitter.c, check_simple_key).
_LONGEST_KEY: Final = 120
# Text that is not worth remembering.
_LONG: Final = 200


def yaml_text(value: Any) -> bytes:
    """A JSON value as a YAML document."""
    if isinstance(value, dict | list) and value:
        return "".join(f"{line}\n" for line in _block(value, 0)).encode()
    return _emit(value).encode()


def _block(value: Any, indent: int) -> Iterator[str]:
    """The lines of a mapping or list that is not empty."""
    space = " " * indent
    if isinstance(value, list):
        for item in value:
            yield from _item(item, indent)
        return
    for key in _ordered(tuple(value)):
        child, name = value[key], _key(key)
        if name is None:
            yield from _emitted({key: child}, indent)
        elif isinstance(child, dict | list) and child:
            yield f"{space}{name}:"
            yield from _block(child, indent if isinstance(child, list) else indent + 2)
        else:
            text = _word(child, indent + len(name) + 2)
            if text is None:
                yield from _emitted({key: child}, indent)
            else:
                yield f"{space}{name}: {text}"


def _item(item: Any, indent: int) -> Iterator[str]:
    space = " " * indent
    if isinstance(item, dict | list) and item:
        for at, line in enumerate(_block(item, indent + 2)):
            yield f"{space}- {line[indent + 2 :]}" if at == 0 else line
        return
    text = _word(item, indent + 2)
    if text is None:
        yield from _emitted([item], indent)
    else:
        yield f"{space}- {text}"


def _word(value: Any, column: int) -> str | None:
    """A scalar on the line where it begins; None for what takes several."""
    if isinstance(value, str):
        text = _line(value)
        # The emitter folds at a space beyond its width, and nowhere else.
        fits = text is not None and (" " not in value or column + len(text) <= _WIDTH)
        return text if fits else None
    if isinstance(value, dict | list):
        return "{}" if isinstance(value, dict) else "[]"
    return "null" if value is None else go_print(value)


@lru_cache(maxsize=8192)
def _line(value: str) -> str | None:
    """Text as one line, quoted as it needs to be; None if it takes several."""
    if _PLAIN.match(value):
        return f'"{value}"' if _NOT_TEXT.match(value) else value
    if "\n" in value or len(value) > _LONG:
        return None
    lines = _emit({"x": value}).split("\n")
    return lines[0].removeprefix("x: ") if len(lines) == len(["x", ""]) else None


@lru_cache(maxsize=4096)
def _key(key: str) -> str | None:
    """A key as it stands before its colon; None for one that is written in the long form."""
    if _PLAIN.match(key) and len(key) < _LONGEST_KEY:
        return _line(key)
    text, null, rest = _emit({key: None}).partition(": null\n")
    return text if null and not rest and "\n" not in text else None


def _emitted(value: Any, indent: int) -> list[str]:
    """What takes several lines, written by the emitter at the column where it will stand."""
    # A list stands at the column of the key above it.
    depth = indent // 2 + isinstance(value, list)
    for _ in range(depth):
        value = {"x": value}
    return _emit(value).split("\n")[depth:-1]


# --- The order of keys ----------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _ordered(keys: tuple[str, ...]) -> tuple[str, ...]:
    """go-yaml's order (sorter.go): letters after anything else, digits as numbers."""
    return tuple(sorted(keys, key=cmp_to_key(_compare)))


def _compare(a: str, b: str) -> int:
    at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), -1)
    if at < 0:
        return len(a) - len(b)
    left, right = a[at], b[at]
    if left.isalpha() or right.isalpha():
        if left.isalpha() and right.isalpha():
            return -1 if left < right else 1
        return -1 if right.isalpha() else 1
    start = 0
    if "0" in {left, right}:
        before = takewhile(_is_digit, reversed(a[:at]))
        start = 1 if any(char != "0" for char in before) else 0
    (x, x_end), (y, y_end) = _number(a, at, start), _number(b, at, start)
    for ours, theirs in ((x, y), (x_end, y_end)):
        if ours != theirs:
            return -1 if ours < theirs else 1
    return -1 if left < right else 1


def _is_digit(char: str) -> bool:
    return "0" <= char <= "9"


def _number(text: str, at: int, start: int) -> tuple[int, int]:
    """The number that the digits from `at` on continue, and where they end."""
    digits = "".join(takewhile(_is_digit, text[at:]))
    return int(f"{start}{digits}"), at + len(digits)


# --- PyYAML, in go-yaml's style -------------------------------------------------------------------


def _emit(value: Any) -> str:
    import yaml

    made = yaml.dump(
        value,
        Dumper=_dumper(),
        default_flow_style=False,
        sort_keys=False,
        allow_unicode=True,
    )
    # PyYAML ends a document that could go on; go-yaml does not.
    return str(made).removesuffix("...\n")


@lru_cache(maxsize=1)
def _dumper() -> type[yaml.SafeDumper]:
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
            return True

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
        style = None
        if "\n" in value and _literal_can_hold(value):
            style = "|"
        elif _NOT_TEXT.match(value) or any(char > "\uffff" or char == "\x85" for char in value):
            # Beyond the basic plane go-yaml escapes, which only double quotes can; and a next-line
            # character it writes so that no reader gets it back.
            style = '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    def number(dumper: yaml.SafeDumper, value: float) -> yaml.Node:
        return dumper.represent_scalar("tag:yaml.org,2002:float", go_print(value))

    def mapping(dumper: yaml.SafeDumper, value: dict[str, Any]) -> yaml.Node:
        ordered = {key: value[key] for key in _ordered(tuple(value))}
        return dumper.represent_mapping("tag:yaml.org,2002:map", ordered.items())

    Dumper.add_representer(str, text)
    Dumper.add_representer(float, number)
    Dumper.add_representer(dict, mapping)
    # go-yaml takes `<<` and `=` for plain text where it writes values.
    Dumper.yaml_implicit_resolvers = {
        first: kept
        for first, resolvers in yaml.SafeDumper.yaml_implicit_resolvers.items()
        if (kept := [one for one in resolvers if not one[0].endswith((":merge", ":value"))])
    }
    # PyYAML wants a point in every float; go-yaml writes `1e+21`.
    Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-0123456789"))
    return Dumper


def _literal_can_hold(value: str) -> bool:
    return all(char in "\n\t" or (char >= " " and char not in _BREAKS) for char in value)
