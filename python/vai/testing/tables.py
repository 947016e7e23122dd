"""Tables: columns, cells, and the empty object that a bookmark carries.

The columns and the empty objects of the built-in kinds are in data/kinds.json: the columns printed
by kubernetes' own handlers, the objects from a kube-apiserver's bookmarks (v1.36.3). Cells are
made by vai.testing.printers.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources as package_files
from typing import Any

from vai.testing.cells import Cells
from vai.testing.durations import Since, parse_timestamp, timestamp
from vai.testing.jsonpath import JsonPath
from vai.testing.objects import Json, Stored, dumps, head_of, render
from vai.testing.printers import CELLS
from vai.testing.resources import Resource

_COMPLETED: dict[str, list[Json]] = {
    phase: [{"type": "Completed", "status": "True", "reason": phase, "message": message}]
    for phase, message in (
        ("Succeeded", "The pod has completed successfully."),
        ("Failed", "The pod failed."),
    )
}


@lru_cache(maxsize=1)
def _kinds() -> dict[tuple[str, str], Json]:
    text = package_files.files("vai.testing").joinpath("data/kinds.json").read_text("utf-8")
    data: Json = json.loads(text)
    descriptions: list[str] = data["descriptions"]
    kinds: dict[tuple[str, str], Json] = {}
    for kind in data["kinds"]:
        columns = [
            {
                "name": name,
                "type": type_,
                "format": format_,
                "description": descriptions[description],
                "priority": priority,
            }
            for name, type_, format_, description, priority in kind["columns"]
        ]
        kinds[kind["group"], kind["kind"]] = {"zero": kind["zero"], "columns": columns}
    return kinds


def _description(field: str) -> str:
    pod = _kinds()["", "Pod"]["columns"]
    return str(pod[0 if field == "name" else 4]["description"])


def _default_columns() -> list[Json]:
    # rest.NewDefaultTableConvertor
    return [
        {
            "name": "Name",
            "type": "string",
            "format": "name",
            "description": _description("name"),
            "priority": 0,
        },
        {
            "name": "Created At",
            "type": "date",
            "format": "",
            "description": _description("creationTimestamp"),
            "priority": 0,
        },
    ]


def _default_cells(obj: Json) -> list[Any]:
    metadata = obj["metadata"]
    # The zero time of Go, for the empty object of a bookmark.
    created = metadata.get("creationTimestamp", "0001-01-01T00:00:00Z")
    return [metadata.get("name", ""), created]


class Printer:
    """Columns and cells of one resource in one version."""

    def __init__(self, resource: Resource, version: str) -> None:
        self.resource = resource
        known = {} if resource.custom else _kinds().get((resource.group, resource.kind), {})
        self._zero: Json = known.get("zero") or {"metadata": {}}
        make = None if resource.custom else CELLS.get(resource.full_name)
        if resource.custom:
            self.columns, self.cells = _custom(resource, version)
        elif make is not None and known.get("columns"):
            self.columns, self.cells = known["columns"], make
        else:
            self.columns, self.cells = _default_columns(), _default_cells
        # rest.defaultTableConvertor leaves the rows of an empty list nil, the printers do not.
        self.null_when_empty = bool(self.cells is _default_cells)

    def conditions(self, stored: Stored) -> list[Json] | None:
        """A row's conditions: a pod that ended is marked Completed."""
        if self.resource.full_name != "pods":
            return None
        return _COMPLETED.get(stored.fields.get("status.phase", ""))

    def empty(self, rv: int, annotations: dict[str, str] | None) -> Stored:
        """The object of a bookmark."""
        resource = self.resource
        metadata: Json = {**self._zero["metadata"], "resourceVersion": str(rv)}
        if annotations:
            metadata["annotations"] = {**metadata.get("annotations", {}), **annotations}
        obj: Json = {"metadata": metadata}
        if not resource.custom:
            obj = {**self._zero, "metadata": metadata}
        item, start, end = render(
            obj, custom=resource.custom, kind=resource.kind, api_version=resource.api_version
        )
        return Stored(
            key="",
            namespace="",
            name="",
            uid="",
            rv=rv,
            labels={},
            fields={},
            item=item,
            head=b"" if resource.custom else head_of(resource.kind, resource.api_version),
            meta_start=start,
            meta_end=end,
        )


@lru_cache(maxsize=512)
def printer_for(resource: Resource, version: str) -> Printer:
    """The printer of a resource."""
    return Printer(resource, version)


# Custom resources ---------------------------------------------------------------------------------

_AGE = {
    "name": "Age",
    "type": "date",
    "jsonPath": ".metadata.creationTimestamp",
    # apiextensions pkg/registry/customresource: the column of a CRD that declares none.
    "description": None,
}


def _custom(resource: Resource, version: str) -> tuple[list[Json], Cells]:
    declared = resource.columns.get(version) or [_AGE]
    columns = [_default_columns()[0]]
    paths: list[tuple[str, JsonPath]] = []
    for column in declared:
        path = column["jsonPath"]
        description = column.get("description") or (
            f"Custom resource definition column (in JSONPath format): {path}"
        )
        if column is _AGE:
            description = _description("creationTimestamp")
        columns.append(
            {
                "name": column["name"],
                "type": column["type"],
                "format": column.get("format", ""),
                "description": description,
                "priority": column.get("priority", 0),
            }
        )
        paths.append((column["type"], JsonPath(path)))

    def cells(obj: Json) -> list[Any]:
        found = [_custom_cell(type_, path.first(obj)) for type_, path in paths]
        return [obj["metadata"].get("name", ""), *found]

    return columns, cells


def _custom_cell(type_: str, value: Any) -> Any:
    """A cell as tableconvertor.go makes it: of the declared type, or null."""
    if value is None:
        return None
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    match type_:
        case "string":
            return _printed(value)
        case "integer" if number:
            return int(value)
        case "number" if number:
            return value
        case "boolean" if isinstance(value, bool):
            return value
        case "date" if isinstance(value, str):
            moment = parse_timestamp(value)
            return "<invalid>" if moment is None else Since(moment)
        case _:
            return None


def _printed(value: Any) -> str:
    """client-go's jsonpath.PrintResults: text as it is, maps and lists as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return dumps(value).decode()
    return str(value)


__all__ = ["Printer", "printer_for", "timestamp"]
