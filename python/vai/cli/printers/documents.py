"""`-o json`, `-o yaml` and `-o name`: whole objects, or only what they are called.

JSON is indented by four spaces as kubectl does it, straight from the stored bytes: an object's
keys keep the order in which the server sent them. YAML has sorted keys and the quoting of
sigs.k8s.io/yaml, which kubectl uses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from vai.cli.printers.cells import go_print

if TYPE_CHECKING:
    import yaml


class Body(Protocol):
    """What is printed of a stored object."""

    @property
    def raw(self) -> bytes:
        """The object's JSON."""
        ...


_INDENT: Final = 4


def json_object(body: Body) -> bytes:
    """One object."""
    return msgspec.json.format(body.raw, indent=_INDENT) + b"\n"


def json_list(bodies: Iterable[Body], resource_version: str) -> Iterator[bytes]:
    """A Kubernetes List, piece by piece: one object is in memory at a time."""
    yield b'{\n    "apiVersion": "v1",\n    "items": ['
    separator = b"\n        "
    for body in bodies:
        # A newline inside a JSON text is escaped: every raw one belongs to the layout.
        text = msgspec.json.format(body.raw, indent=_INDENT).replace(b"\n", b"\n        ")
        yield separator + text
        separator = b",\n        "
    yield b"]" if separator == b"\n        " else b"\n    ]"
    version = msgspec.json.encode(resource_version)
    yield b',\n    "kind": "List",\n    "metadata": {\n        "resourceVersion": '
    yield version + b"\n    }\n}\n"


def yaml_object(body: Body) -> bytes:
    """One object."""
    return _dump(msgspec.json.decode(body.raw))


def yaml_list(bodies: Iterable[Body], resource_version: str) -> Iterator[bytes]:
    """A Kubernetes List, piece by piece."""
    empty = True
    yield b"apiVersion: v1\n"
    for body in bodies:
        if empty:
            yield b"items:\n"
            empty = False
        # One list of one item, so that the emitter does the indenting.
        yield _dump([msgspec.json.decode(body.raw)])
    if empty:
        yield b"items: []\n"
    yield b"kind: List\n"
    yield _dump({"metadata": {"resourceVersion": resource_version}})


def name_of(kind: str, group: str, name: str) -> str:
    """`pod/web-0`, `deployment.apps/web`."""
    lower = kind.lower()
    return f"{lower}.{group}/{name}" if group else f"{lower}/{name}"


# --- YAML as sigs.k8s.io/yaml writes it -----------------------------------------------------------

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


_EXPONENT: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?e[-+][0-9]+\Z")


def _dumper() -> type[yaml.SafeDumper]:
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
            return True

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
        style = None
        if "\n" in value and _literal_can_hold(value):
            style = "|"
        elif _NOT_TEXT.match(value) or any(char > "\uffff" for char in value):
            # Beyond the basic plane go-yaml escapes, which only double quotes can.
            style = '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    def number(dumper: yaml.SafeDumper, value: float) -> yaml.Node:
        return dumper.represent_scalar("tag:yaml.org,2002:float", go_print(value))

    Dumper.add_representer(str, text)
    Dumper.add_representer(float, number)
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
    return all(char in "\n\t" or char >= " " for char in value)


_DUMPERS: Final[list[type[Any]]] = []


def _dump(value: Any) -> bytes:
    import yaml

    if not _DUMPERS:
        _DUMPERS.append(_dumper())
    # A list in a mapping is not indented; both emitters fold plain text beyond 80 columns.
    text = yaml.dump(
        value,
        Dumper=_DUMPERS[0],
        default_flow_style=False,
        sort_keys=True,
        allow_unicode=True,
    )
    return str(text).encode()
