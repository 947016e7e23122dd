"""`-o json`, `-o yaml` and `-o name`: whole objects, or only what they are called.

JSON is indented by four spaces as kubectl does it, straight from the stored bytes: an object's
keys keep the order in which the server sent them. YAML has sorted keys and the quoting of
sigs.k8s.io/yaml, which kubectl uses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, Protocol

import msgspec

from vai.cli.printers.yamltext import yaml_text


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


def json_list(bodies: Iterable[Body], meta: dict[str, Any]) -> Iterator[bytes]:
    """A Kubernetes List, piece by piece: one object is in memory at a time."""
    yield b'{\n    "apiVersion": "v1",\n    "items": ['
    separator = b"\n        "
    for body in bodies:
        # A newline inside a JSON text is escaped: every raw one belongs to the layout.
        text = msgspec.json.format(body.raw, indent=_INDENT).replace(b"\n", b"\n        ")
        yield separator + text
        separator = b",\n        "
    yield b"]" if separator == b"\n        " else b"\n    ]"
    text = msgspec.json.format(msgspec.json.encode(meta), indent=_INDENT)
    yield b',\n    "kind": "List",\n    "metadata": ' + text.replace(b"\n", b"\n    ") + b"\n}\n"


def yaml_object(body: Body) -> bytes:
    """One object."""
    return yaml_text(msgspec.json.decode(body.raw))


def yaml_list(bodies: Iterable[Body], meta: dict[str, Any]) -> Iterator[bytes]:
    """A Kubernetes List, piece by piece."""
    empty = True
    yield b"apiVersion: v1\n"
    for body in bodies:
        if empty:
            yield b"items:\n"
            empty = False
        # One list of one item, so that the emitter does the indenting.
        yield yaml_text([msgspec.json.decode(body.raw)])
    if empty:
        yield b"items: []\n"
    yield b"kind: List\n"
    yield yaml_text({"metadata": meta})


def name_of(kind: str, group: str, name: str) -> str:
    """`pod/web-0`, `deployment.apps/web`."""
    lower = kind.lower()
    return f"{lower}.{group}/{name}" if group else f"{lower}/{name}"
