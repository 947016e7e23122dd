"""The part of client-go's JSONPath that a CRD's columns may use: fields, indices, filters.

Source: apiextensions ``ValidateCustomResourceColumnDefinition`` (simple paths) and client-go
``util/jsonpath``. A path that asks for more raises ValueError instead of being guessed at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

_Step = Callable[[Any], Iterable[Any]]

_TOKEN = re.compile(
    r"""\.(?P<field>(?:\\.|[^.\[\]\\])+)
      | \[(?P<index>-?\d+)\]
      | \[(?P<all>\*)\]
      | \[(?P<quote>['"])(?P<key>.*?)(?P=quote)\]
      | \[\?\(\s*@(?P<fpath>[^=!<>\s]+)\s*(?P<op>==|!=)\s*(?P<fvalue>.+?)\s*\)\]
    """,
    re.VERBOSE,
)


def _field(name: str) -> _Step:
    def step(value: Any) -> Iterable[Any]:
        if name == "*":
            if isinstance(value, dict):
                return list(value.values())
            return value if isinstance(value, list) else ()
        return (value[name],) if isinstance(value, dict) and name in value else ()

    return step


def _index(position: int) -> _Step:
    def step(value: Any) -> Iterable[Any]:
        if not isinstance(value, list):
            return ()
        return value[position : position + 1] if position != -1 else value[-1:]

    return step


def _every(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else ()


def _filter(path: str, operator: str, literal: str) -> _Step:
    inner = JsonPath(path)
    wanted: Any = literal[1:-1] if literal[0] in "'\"" else json.loads(literal)

    def step(value: Any) -> Iterable[Any]:
        if not isinstance(value, list):
            return ()
        return [v for v in value if (inner.first(v) == wanted) == (operator == "==")]

    return step


class JsonPath:
    """A compiled path such as ``.status.conditions[?(@.type=="Ready")].status``."""

    def __init__(self, path: str) -> None:
        self._steps: list[_Step] = []
        position = 0
        text = path if path.startswith((".", "[")) else "." + path
        while position < len(text):
            found = _TOKEN.match(text, position)
            if found is None:
                raise ValueError(f"unrecognized column definition {path!r}")
            self._steps.append(self._step(found))
            position = found.end()

    @staticmethod
    def _step(found: re.Match[str]) -> _Step:
        if found["field"] is not None:
            return _field(re.sub(r"\\(.)", r"\1", found["field"]))
        if found["index"] is not None:
            return _index(int(found["index"]))
        if found["all"] is not None:
            return _every
        if found["key"] is not None:
            return _field(found["key"])
        return _filter(found["fpath"], found["op"], found["fvalue"])

    def first(self, value: Any) -> Any:
        """The first value the path finds; None when it finds none."""
        values: list[Any] = [value]
        for step in self._steps:
            values = [out for one in values for out in step(one)]
        return values[0] if values else None
