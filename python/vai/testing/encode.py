"""Objects as bytes in the form that the client accepts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from vai.testing.durations import Since
from vai.testing.negotiate import Accepted, Form
from vai.testing.objects import Json, Stored, dumps, head_of, ordered_metadata
from vai.testing.resources import Resource
from vai.testing.status import ApiError, bad_request
from vai.testing.tables import Printer, printer_for

Convert = Callable[[Stored], Stored]
_INITIAL_END = {"k8s.io/initial-events-end": "true"}


def partial_metadata(stored: Stored, resource: Resource, version: str) -> bytes:
    """A PartialObjectMetadata."""
    head = head_of("PartialObjectMetadata", f"meta.k8s.io/{version}")
    meta = stored.metadata_json
    if resource.custom:
        # A custom resource keeps its metadata sorted; the typed struct has its own order.
        meta = dumps(ordered_metadata(json.loads(meta)))
    return head + b'"metadata":' + meta + b"}"


@dataclass(frozen=True, slots=True)
class Encoder:
    """Writes one resource's objects, lists and events in one form.

    Attributes:
        version: The served version; a custom resource may be stored under another one.
        include: For Tables: ``None``, ``Metadata`` or ``Object``.
        convert: Turns a stored object into another view of it (events.k8s.io).
    """

    resource: Resource
    version: str
    accepted: Accepted
    include: str = "Metadata"
    convert: Convert | None = None

    @property
    def api_version(self) -> str:
        """The apiVersion that is served."""
        group = self.resource.group
        return f"{group}/{self.version}" if group else self.version

    @property
    def cache_key(self) -> tuple[object, ...] | None:
        """Equal for encoders that write equal event frames; None when frames differ by time."""
        if self.accepted.form is Form.TABLE:
            return None
        return (self.resource.group, self.version, self.accepted.form, self.accepted.version)

    def view(self, stored: Stored) -> Stored:
        """The object as the served version has it."""
        return self.convert(stored) if self.convert is not None else stored

    def _served(self, raw: bytes) -> bytes:
        if self.resource.custom and self.version != self.resource.version:
            stored = b'{"apiVersion":%b' % dumps(self.resource.api_version)
            if raw.startswith(stored):
                return b'{"apiVersion":%b' % dumps(self.api_version) + raw[len(stored) :]
            return dumps({**json.loads(raw), "apiVersion": self.api_version})
        return raw

    def item(self, stored: Stored) -> bytes:
        """As an element of a list."""
        if self.accepted.form is Form.METADATA_LIST:
            return partial_metadata(stored, self.resource, self.accepted.version)
        return self._served(self.view(stored).item)

    def single(self, stored: Stored) -> bytes:
        """As the answer to a GET, or as the object of a watch event."""
        form = self.accepted.form
        if form is Form.METADATA:
            return partial_metadata(stored, self.resource, self.accepted.version)
        if form is Form.TABLE:
            return self.table(stored, columns=True)
        return self._served(self.view(stored).full)

    def check_single(self) -> None:
        """Raise 406 when the form is one of lists only."""
        if self.accepted.form is Form.METADATA_LIST and self.resource.custom:
            raise ApiError(500, "", "content is not a list")
        if self.accepted.form is Form.METADATA_LIST:
            raise ApiError(
                406,
                "NotAcceptable",
                "you requested PartialObjectMetadataList, but the requested object is not a list "
                f"({self._go_type('')})",
            )

    def check_list(self) -> None:
        """Raise 406 when the form is one of single objects only."""
        if self.accepted.form is Form.METADATA:
            raise ApiError(
                406,
                "NotAcceptable",
                "you requested PartialObjectMetadata, but the requested object is a list "
                f"({self._go_type('List')})",
            )

    def _go_type(self, suffix: str) -> str:
        if self.resource.custom:
            return f"*unstructured.Unstructured{suffix}"
        package = self.resource.group.partition(".")[0] or "core"
        return f"*{package}.{self.resource.kind}{suffix}"

    # Lists ------------------------------------------------------------------------------------

    def list_parts(
        self, rv: int, continue_token: str, remaining: int | None, *, empty: bool
    ) -> tuple[bytes, bytes]:
        """What comes before and after a list's items."""
        meta: Json = {"resourceVersion": str(rv)}
        if continue_token:
            meta["continue"] = continue_token
        if remaining is not None:
            meta["remainingItemCount"] = remaining
        form = self.accepted.form
        if form is Form.TABLE:
            head = head_of("Table", f"meta.k8s.io/{self.accepted.version}")
            columns = dumps(self.printer.columns)
            opening = b'"metadata":%b,"columnDefinitions":%b,"rows":' % (dumps(meta), columns)
            if empty and self.printer.null_when_empty:
                return head + opening, b"null}\n"
            return head + opening + b"[", b"]}\n"
        if form is Form.METADATA_LIST:
            head = head_of("PartialObjectMetadataList", f"meta.k8s.io/{self.accepted.version}")
            opening = head + b'"metadata":%b,"items":' % dumps(meta)
            # asPartialObjectMetadataList appends to a nil slice: no items are "null".
            return (opening, b"null}\n") if empty else (opening + b"[", b"]}\n")
        if self.resource.custom:
            return self._custom_list(meta)
        head = head_of(self.resource.list_kind, self.api_version)
        return head + b'"metadata":%b,"items":[' % dumps(meta), b"]}\n"

    def _custom_list(self, meta: Json) -> tuple[bytes, bytes]:
        # An UnstructuredList is a map: keys sorted, and "continue" always there.
        full = {"continue": "", **meta}
        head = b'{"apiVersion":%b,"items":[' % dumps(self.api_version)
        tail = b'],"kind":%b,"metadata":%b}\n' % (
            dumps(self.resource.list_kind),
            dumps(dict(sorted(full.items()))),
        )
        return head, tail

    # Tables -----------------------------------------------------------------------------------

    @property
    def printer(self) -> Printer:
        """Columns and cells of this resource."""
        return printer_for(self.resource, self.version)

    def row(self, stored: Stored, *, include: str = "") -> bytes:
        """One row of a Table; ``include`` overrides what the client asked for."""
        printer = self.printer
        found = stored.cells
        if found is None:
            found = printer.cells(stored.load())
            # Another version of a custom resource may have other columns.
            if self.version == self.resource.version:
                stored.cells = found
        elif self.version != self.resource.version:
            found = printer.cells(stored.load())
        moment = time.time()
        cells = dumps([c.at(moment) if isinstance(c, Since) else c for c in found])
        conditions = printer.conditions(stored)
        out = b'{"cells":' + cells
        if conditions:
            out += b',"conditions":' + dumps(conditions)
        return out + b',"object":' + self._row_object(stored, include) + b"}"

    def _row_object(self, stored: Stored, include: str) -> bytes:
        wanted = include or self.include
        if wanted == "Object":
            return self._served(self.view(stored).full)
        if wanted == "None":
            return b"null"
        return partial_metadata(stored, self.resource, self.accepted.version)

    def table(self, stored: Stored, *, columns: bool, include: str = "") -> bytes:
        """A Table of one row; in a watch only the first one has its columns."""
        definitions = dumps(self.printer.columns) if columns else b"null"
        head = head_of("Table", f"meta.k8s.io/{self.accepted.version}")
        return (
            head
            + b'"metadata":{"resourceVersion":"%d"},"columnDefinitions":' % stored.rv
            + definitions
            + b',"rows":['
            + self.row(stored, include=include)
            + b"]}"
        )

    # Watch ------------------------------------------------------------------------------------

    def event(
        self, kind: str, stored: Stored, *, columns: bool = False, include: str = ""
    ) -> bytes:
        """A watch event with its newline."""
        if self.accepted.form is Form.TABLE:
            obj = self.table(stored, columns=columns, include=include)
        elif self.accepted.form is Form.METADATA_LIST:
            raise ApiError(406, "NotAcceptable", "a watch event is not a list")
        else:
            obj = self.single(stored)
        return b'{"type":"%b","object":%b}\n' % (kind.encode(), obj)

    def bookmark(self, rv: int, *, initial_end: bool = False, columns: bool = False) -> bytes:
        """A BOOKMARK event: an empty object with a resourceVersion."""
        stored = self.printer.empty(rv, _INITIAL_END if initial_end else None)
        # handlers/response.go asTable: the annotation is shown even to those who want no object.
        hidden = initial_end and self.include == "None"
        return self.event("BOOKMARK", stored, columns=columns, include="Metadata" if hidden else "")


def error_event(error: ApiError) -> bytes:
    """An ERROR event with its Status."""
    return b'{"type":"ERROR","object":%b}\n' % dumps(error.status())


def include_object(query: dict[str, str]) -> str:
    """The includeObject parameter of a Table request."""
    value = query.get("includeObject", "") or "Metadata"
    if value not in ("None", "Metadata", "Object"):
        raise bad_request(
            f'Unable to convert to Table as requested: includeObject: Invalid value: "{value}": '
            "must be 'Metadata', 'Object', 'None', or empty"
        )
    return value
