"""Tables as `kubectl get` prints them, from the cells that the server made.

Follows k8s.io/cli-runtime/pkg/printers/tableprinter.go and the loop around it in
k8s.io/kubectl/pkg/cmd/get/get.go (v1.36): header in capitals, no header without rows, a NAMESPACE
column with `-A`, names with their kind where several kinds are printed, an empty line in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import msgspec

from vai.cli.printers import cells as make
from vai.cli.printers import durations, tabwriter
from vai.cli.printers.cells import Cell, Column, CustomColumns
from vai.types import Resource


class Row(Protocol):
    """What a printer reads of a stored object."""

    @property
    def key(self) -> str:
        """`namespace/name`, or `name`."""
        ...

    @property
    def redacted(self) -> bool:
        """Whether only its metadata is kept."""
        ...

    @property
    def raw(self) -> bytes:
        """The object's JSON."""
        ...

    @property
    def cells(self) -> bytes | None:
        """The server's cells as a JSON array."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """The objects of one resource, and where their columns come from.

    Attributes:
        resource: whose objects they are.
        rows: the objects.
        columns: the server's column definitions; empty if it never sent any.
        definition: the recorded CustomResourceDefinition, if it is a custom resource.
    """

    resource: Resource
    rows: Sequence[Row]
    columns: Sequence[Column] = ()
    definition: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Style:
    """How tables are decorated."""

    wide: bool = False
    with_namespace: bool = False
    with_kind: bool = False
    show_labels: bool = False
    headers: bool = True


RowCells = Callable[[Row], list[Cell]]

# kubectl's own columns for objects that come without any (tableprinter.go, printObjectMeta).
_PLAIN = (Column(name="Name", format="name"), Column(name="Age"))


def print_tables(answers: Iterable[Answer], style: Style, now_s: float) -> Iterator[str]:
    """The lines of all tables; an empty line between two that are printed."""
    printed = namespaced = False
    for answer in answers:
        # kubectl shares one set of flags: after a namespaced resource, the column stays, empty.
        namespaced = namespaced or answer.resource.namespaced
        kept = replace(style, with_namespace=style.with_namespace and namespaced)
        lines = table_lines(answer, kept, now_s)
        if printed and lines and style.headers:
            yield ""
        printed = printed or bool(lines)
        yield from lines


def table_lines(answer: Answer, style: Style, now_s: float) -> list[str]:
    """One aligned table; nothing at all without rows."""
    if not answer.rows:
        return []
    columns, cells_of = _source(answer, now_s)
    shown = [at for at, one in enumerate(columns) if style.wide or one.priority == 0]
    prefix = _kind_prefix(answer.resource) if style.with_kind else ""
    name_at = next((at for at, one in enumerate(columns) if one.is_name), -1) if prefix else -1
    table = [_header([columns[at].name for at in shown], style)]
    table = table if style.headers else []
    for row in answer.rows:
        cells = cells_of(row)
        if 0 <= name_at < len(cells):
            cells[name_at] = f"{prefix}/{make.text_of(cells[name_at])}"
        # kubectl pads only what is there: a row may have fewer cells than there are columns.
        line = [make.text_of(cells[at]) for at in shown if at < len(cells)]
        if style.with_namespace:
            line.insert(0, row.key.rpartition("/")[0])
        if style.show_labels:
            line.append(_labels(row))
        table.append(line)
    return tabwriter.lines_of(table)


def _header(names: list[str], style: Style) -> list[str]:
    before = ["NAMESPACE"] if style.with_namespace else []
    after = ["LABELS"] if style.show_labels else []
    return [*before, *(name.upper() for name in names), *after]


def _kind_prefix(resource: Resource) -> str:
    """`pod`, `deployment.apps`: GroupKind in small letters."""
    kind = resource.kind.lower()
    return f"{kind}.{resource.group}" if resource.group else kind


def _labels(row: Row) -> str:
    """`labels.FormatLabels`: sorted, `<none>` without any."""
    labels = make.head_of(row.raw).metadata.labels or {}
    return ",".join(f"{key}={labels[key]}" for key in sorted(labels)) or "<none>"


def _source(answer: Answer, now_s: float) -> tuple[Sequence[Column], RowCells]:
    """Columns, and how a row's cells are had: from the server, from the CRD, or plainly."""
    if answer.columns:
        return answer.columns, _served(answer, now_s)
    if answer.definition is not None:
        custom = CustomColumns.of_definition(answer.definition, answer.resource.version)
        return custom.columns, lambda row: custom.cells(msgspec.json.decode(row.raw), now_s)
    return _PLAIN, lambda row: _plain(row, now_s)


def _plain(row: Row, now_s: float) -> list[Cell]:
    metadata = make.head_of(row.raw).metadata
    return [metadata.name, durations.since(metadata.creationTimestamp, now_s)]


def _served(answer: Answer, now_s: float) -> RowCells:
    refreshes = make.relative(answer.resource.name, answer.columns)
    names = [at for at, column in enumerate(answer.columns) if column.is_name]

    def cells_of(row: Row) -> list[Cell]:
        if row.cells is None:
            # Columns are known but this row came without cells: what is certain is its name.
            cells: list[Cell] = [None] * len(answer.columns)
            for at in names:
                cells[at] = row.key.rpartition("/")[2]
        else:
            cells = msgspec.json.decode(row.cells)
        raw = row.raw if refreshes else b""
        for at, refresh in refreshes:
            if at < len(cells):
                cells[at] = refresh(cells[at], raw, now_s)
        return cells

    return cells_of
