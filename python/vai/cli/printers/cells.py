"""Cells: what a CRD's columns say of an object, what passes with time, how a value is printed.

The server's cells come with the rows, as it computed them when the object was written. A few of
them are relative to now; they are computed anew from the fields that
kubernetes/pkg/printers/internalversion/printers.go (v1.36) takes them from. The cells of custom
resources follow apiextensions-apiserver, pkg/registry/customresource/tableconvertor.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from vai.cli.printers import durations, jsonpath

Cell = Any
"""A JSON value: text, number, boolean or None."""


class Column(msgspec.Struct, frozen=True):
    """A Table's column definition, as the server sends it."""

    name: str
    type: str = "string"
    format: str = ""
    priority: int = 0

    @property
    def is_name(self) -> bool:
        """Whether it is the column that kubectl prefixes with the kind."""
        return self.format == "name" and self.type == "string"


class _State(msgspec.Struct):
    finishedAt: str | None = None  # noqa: N815 - the API's own name


class _LastState(msgspec.Struct):
    terminated: _State | None = None


class _Container(msgspec.Struct):
    name: str = ""
    lastState: _LastState | None = None  # noqa: N815
    restartPolicy: str | None = None  # noqa: N815


class _Condition(msgspec.Struct):
    type: str = ""
    status: str = ""


class _Spec(msgspec.Struct):
    initContainers: list[_Container] | None = None  # noqa: N815


class _Status(msgspec.Struct):
    conditions: list[_Condition] | None = None
    containerStatuses: list[_Container] | None = None  # noqa: N815
    initContainerStatuses: list[_Container] | None = None  # noqa: N815


class _Pod(msgspec.Struct):
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


class Metadata(msgspec.Struct):
    """The part of an object's metadata that a table needs."""

    name: str = ""
    namespace: str = ""
    creationTimestamp: str | None = None  # noqa: N815
    labels: dict[str, str] | None = None


class Head(msgspec.Struct):
    """An object's metadata; decoding it skips the rest."""

    metadata: Metadata = msgspec.field(default_factory=Metadata)


head_of: Final = msgspec.json.Decoder(Head).decode
_pod_of: Final = msgspec.json.Decoder(_Pod).decode


# --- Cells relative to now -----------------------------------------------------------------------

Refresh = Callable[[Cell, bytes, float], Cell]
"""(the recorded cell, the object's JSON, now in seconds) → the cell as of now."""

_RESTARTS: Final = re.compile(r"(\d+) \(.* ago\)\Z")


def _age(_cell: Cell, raw: bytes, now_s: float) -> Cell:
    return durations.since(head_of(raw).metadata.creationTimestamp, now_s)


def _restarts(cell: Cell, raw: bytes, now_s: float) -> Cell:
    """`3 (30s ago)`: the count stays, the time is that of the last termination printPod saw."""
    match = _RESTARTS.match(cell) if isinstance(cell, str) else None
    if match is None:
        return cell
    finished = _last_finished(_pod_of(raw))
    return cell if finished is None else f"{match[1]} ({durations.human(now_s - finished)} ago)"


def _last_finished(pod: _Pod) -> float | None:
    status = pod.status
    restartable = {
        container.name
        for container in pod.spec.initContainers or ()
        if container.restartPolicy == "Always"
    }
    init = status.initContainerStatuses or []
    sidecars = [one for one in init if one.name in restartable]
    times = _finish_times([*sidecars, *(status.containerStatuses or ())])
    initialized = any(
        one.type == "Initialized" and one.status == "True" for one in status.conditions or ()
    )
    if not initialized:
        # While init containers run, printPod counts them instead of the others.
        times = _finish_times(init) or times
    return max(times, default=None)


def _finish_times(containers: Sequence[_Container]) -> list[float]:
    found: list[float] = []
    for container in containers:
        terminated = container.lastState.terminated if container.lastState else None
        moment = durations.timestamp(terminated.finishedAt) if terminated else None
        if moment is not None:
            found.append(moment)
    return found


def _document(raw: bytes) -> Any:
    return msgspec.json.decode(raw)


def _job_duration(_cell: Cell, raw: bytes, now_s: float) -> Cell:
    status = _document(raw).get("status") or {}
    start = durations.timestamp(status.get("startTime"))
    if start is None:
        return ""
    end = durations.timestamp(status.get("completionTime"))
    return durations.human((now_s if end is None else end) - start)


def _last_schedule(_cell: Cell, raw: bytes, now_s: float) -> Cell:
    last = (_document(raw).get("status") or {}).get("lastScheduleTime")
    return "<none>" if last is None else durations.since(last, now_s)


def _first_seen(_cell: Cell, raw: bytes, now_s: float) -> Cell:
    event = _document(raw)
    return durations.since(event.get("firstTimestamp") or event.get("eventTime"), now_s)


def _last_seen(cell: Cell, raw: bytes, now_s: float) -> Cell:
    event = _document(raw)
    series = event.get("series")
    if series is not None:
        return durations.since(series.get("lastObservedTime"), now_s)
    last = event.get("lastTimestamp")
    return durations.since(last, now_s) if last else _first_seen(cell, raw, now_s)


_RELATIVE: Final[dict[tuple[str, str], Refresh]] = {
    ("pods", "Restarts"): _restarts,
    ("jobs.batch", "Duration"): _job_duration,
    ("cronjobs.batch", "Last Schedule"): _last_schedule,
    ("events", "Last Seen"): _last_seen,
    ("events", "First Seen"): _first_seen,
    ("events.events.k8s.io", "Last Seen"): _last_seen,
    ("events.events.k8s.io", "First Seen"): _first_seen,
}


def relative(resource: str, columns: Sequence[Column]) -> list[tuple[int, Refresh]]:
    """(index, how to refresh) of the columns of a resource whose cells pass with time."""
    found: list[tuple[int, Refresh]] = []
    for index, column in enumerate(columns):
        refresh = _RELATIVE.get((resource, column.name))
        if refresh is None and column.name == "Age" and column.type == "string":
            refresh = _age
        if refresh is not None:
            found.append((index, refresh))
    return found


# --- Custom resources ----------------------------------------------------------------------------

_NAME: Final = Column(name="Name", format="name")
# apiextensions-apiserver, pkg/apiserver/helpers.go, serveDefaultColumnsIfEmpty.
_DEFAULT_AGE: Final = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}


class CustomColumns:
    """The columns of one version of a CustomResourceDefinition."""

    def __init__(self, definitions: Sequence[dict[str, Any]]) -> None:
        """Takes `additionalPrinterColumns`; an unusable path ends the columns, as on the server."""
        self.columns = [_NAME]
        self._paths: list[jsonpath.Path] = []
        for definition in definitions or [_DEFAULT_AGE]:
            try:
                path = jsonpath.parse(definition.get("jsonPath", ""))
            except jsonpath.JSONPathError:
                break
            self._paths.append(path)
            self.columns.append(
                Column(
                    name=definition["name"],
                    type=definition.get("type", "string"),
                    format=definition.get("format", ""),
                    priority=definition.get("priority", 0),
                )
            )

    @classmethod
    def of_definition(cls, definition: dict[str, Any], version: str) -> CustomColumns:
        """Those of one version of a CRD object."""
        versions = definition.get("spec", {}).get("versions", [])
        found: dict[str, Any] = next((one for one in versions if one.get("name") == version), {})
        return cls(found.get("additionalPrinterColumns", []))

    def cells(self, document: dict[str, Any], now_s: float) -> list[Cell]:
        """One row: the name, then what the paths lead to."""
        cells: list[Cell] = [document.get("metadata", {}).get("name", "")]
        for column, path in zip(self.columns[1:], self._paths, strict=True):
            try:
                found = jsonpath.find(document, path)
            except jsonpath.JSONPathError:
                found = []
            cells.append(_typed(column.type, found[0], now_s) if found else None)
        return cells


def _typed(kind: str, value: Any, now_s: float) -> Cell:
    """`cellForJSONValue`, and `PrintResults` for text."""
    if kind == "string":
        return _go_text(value)
    if kind == "date":
        return durations.since(value, now_s) if isinstance(value, str) else None
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if kind == "integer" or (kind == "number" and float(value).is_integer()):
        # A whole number travels as an integer, whatever it was, and kubectl decodes it as one.
        return int(value)
    return float(value) if kind == "number" else None


def _go_text(value: Any) -> str:
    if value is None:
        return "<no value>"
    if isinstance(value, dict | list):
        return go_json(value)
    return go_print(value)


# --- Values as Go prints them ---------------------------------------------------------------------

_HTML: Final = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)


def go_json(value: Any) -> str:
    """Compact JSON with sorted keys and `<>&` escaped, as encoding/json writes it."""
    if isinstance(value, dict):
        members = (f"{_json_text(key)}:{go_json(value[key])}" for key in sorted(value))
        return f"{{{','.join(members)}}}"
    if isinstance(value, list):
        return f"[{','.join(map(go_json, value))}]"
    if isinstance(value, float):
        return _json_float(value)
    return _json_text(value)


def _json_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).translate(_HTML)


def _json_float(value: float) -> str:
    """Plain digits from 1e-6 up to 1e21, else an exponent (encoding/json, floatEncoder)."""
    if value == 0 or 1e-6 <= abs(value) < 1e21:
        return format(Decimal(repr(value)).normalize(), "f")
    return _go_float(value).replace("e-0", "e-")


def go_print(value: Cell) -> str:
    """`fmt.Sprint` of a decoded JSON value."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _go_float(value)
    if isinstance(value, list):
        return f"[{' '.join(go_print(one) for one in value)}]"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{go_print(value[key])}' for key in sorted(value))}]"
    return str(value)


def _go_float(value: float) -> str:
    """`%v`: the shortest digits that round-trip, with an exponent below 1e-4 and from 1e6 on."""
    if not math.isfinite(value):
        return {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "NaN")
    if value == 0:
        return "0"
    sign, digits, power = Decimal(repr(value)).normalize().as_tuple()
    exponent = len(digits) - 1 + int(power)
    if -5 < exponent < 6:
        return format(Decimal(repr(value)).normalize(), "f")
    shown = "".join(map(str, digits))
    mantissa = f"{shown[0]}.{shown[1:]}" if len(shown) > 1 else shown
    return f"{'-' if sign else ''}{mantissa}e{exponent:+03d}"


def text_of(cell: Cell) -> str:
    """A cell as kubectl prints it: the first line only, terminal controls escaped."""
    if cell is None:
        return ""
    text = cell if isinstance(cell, str) else go_print(cell)
    cut = next((at for at, char in enumerate(text) if char in "\f\n\r"), -1)
    shown = text if cut < 0 else f"{text[:cut]}..."
    return shown.replace("\x1b", "^[").replace("\r", "\\r")
