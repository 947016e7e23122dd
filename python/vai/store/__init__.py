"""The cluster file, with typed values: the only package that imports `vai._core`.

What it is: `Store`, a thin wrapper that turns the core's JSON bytes into the Structs of
`vai.types`, and `Catalogue`, which resolves names of resources as kubectl does. What it may know:
`errors`, `types`, `objects`. Why it is apart: everything above it can be read and tested without
knowing that Rust is underneath.
"""

from __future__ import annotations

import os

from vai._core import (
    ChangeRow,
    Changes,
    Comparison,
    Consumer,
    Export,
    ExportPiece,
    HttpAnswer,
    Listing,
    ListPage,
    RelatedRow,
    Relations,
    Row,
    Rows,
    Watching,
    WatchProgress,
    after_fork_in_child,
    after_fork_in_parent,
    before_fork,
    boottime_s,
    build_profile,
    field_name,
    nearest,
    parse_drop,
    sqlite_version,
)
from vai._core import compare_resource_versions as _compare
from vai._core import parse_field_selector as _parse_field
from vai._core import parse_label_selector as _parse_label
from vai.store.catalogue import Catalogue
from vai.store.crossing import crossing
from vai.store.request import (
    AtPosition,
    AtTime,
    Count,
    Counted,
    Distinct,
    Distincts,
    Facet,
    Group,
    GroupBy,
    Partition,
    Paths,
    Request,
    Summary,
    Summed,
)
from vai.store.store import Column, Compared, Difference, ExportAsk, ExportColumn, ExportPart, Store

compare_resource_versions = crossing(_compare)
parse_field_selector = crossing(_parse_field)
parse_label_selector = crossing(_parse_label)

os.register_at_fork(
    before=before_fork,
    after_in_parent=after_fork_in_parent,
    after_in_child=after_fork_in_child,
)

__all__ = [
    "AtPosition",
    "AtTime",
    "Catalogue",
    "ChangeRow",
    "Changes",
    "Column",
    "Compared",
    "Comparison",
    "Consumer",
    "Count",
    "Counted",
    "Difference",
    "Distinct",
    "Distincts",
    "Export",
    "ExportAsk",
    "ExportColumn",
    "ExportPart",
    "ExportPiece",
    "Facet",
    "Group",
    "GroupBy",
    "HttpAnswer",
    "ListPage",
    "Listing",
    "Partition",
    "Paths",
    "RelatedRow",
    "Relations",
    "Request",
    "Row",
    "Rows",
    "Store",
    "Summary",
    "Summed",
    "WatchProgress",
    "Watching",
    "boottime_s",
    "build_profile",
    "compare_resource_versions",
    "field_name",
    "nearest",
    "parse_drop",
    "parse_field_selector",
    "parse_label_selector",
    "sqlite_version",
]
