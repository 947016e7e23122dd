"""Printing for `vai get`: answers in the form that was asked for, on stdout."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
import msgspec

from vai.cli.failures import Failure
from vai.cli.reading import Answers, Part, Query

if TYPE_CHECKING:
    from vai.cli.printers.tables import Answer
    from vai.cli.request import Request
    from vai.store import Store


@dataclass(frozen=True, slots=True)
class Look:
    """The options that say how the answer looks."""

    format: str
    no_headers: bool = False
    show_labels: bool = False


def print_answers(
    store: Store, request: Request, answers: Answers, query: Query, look: Look
) -> None:
    """Print all that was found."""
    if look.format in {"json", "yaml"}:
        _print_documents(request, answers, look.format)
    elif look.format == "name":
        _print_names(answers)
    else:
        _print_tables(store, request, answers, query, look)


def _print_documents(request: Request, answers: Answers, form: str) -> None:
    from vai.cli.printers import documents

    if answers.errors and not any(part.rows for part in answers.parts):
        return
    bodies = [row for part in answers.parts for row in part.rows]
    _refuse_redacted(answers.parts)
    if request.single and len(bodies) == 1:
        made = documents.json_object if form == "json" else documents.yaml_object
        _write([made(bodies[0])])
        return
    listed = documents.json_list if form == "json" else documents.yaml_list
    _write(listed(bodies, _list_meta(answers.parts)))


def _list_meta(parts: Sequence[Part]) -> dict[str, Any]:
    """Metadata of a List (meta.k8s.io ListMeta); of a page, also how it goes on."""
    versions = {part.resource_version for part in parts}
    found: dict[str, Any] = {"resourceVersion": versions.pop() if len(versions) == 1 else ""}
    if len(parts) == 1 and parts[0].cursor is not None:
        found["continue"] = parts[0].cursor
    if len(parts) == 1 and parts[0].remaining:
        found["remainingItemCount"] = parts[0].remaining
    return dict(sorted(found.items()))


def _refuse_redacted(parts: Iterable[Part]) -> None:
    for part in parts:
        hidden = next((row for row in part.rows if row.redacted), None)
        if hidden is not None:
            name = part.resource.name
            raise Failure(
                f"{name} {hidden.key!r} is kept without its values: `vai sync --resources"
                f" {name} --secret-values` keeps them (what is no Secret: without --metadata-only);"
                " -o name and tables work without"
            )


def _print_names(answers: Answers) -> None:
    from vai.cli.printers.documents import name_of

    _write(
        f"{name_of(part.resource.kind, part.resource.group, row.key.rpartition('/')[2])}\n".encode()
        for part in answers.parts
        for row in part.rows
    )


def _print_tables(
    store: Store, request: Request, answers: Answers, query: Query, look: Look
) -> None:
    from vai.cli.printers.tables import Style, print_tables

    every = query.namespaces is None
    style = Style(
        wide=look.format == "wide",
        with_namespace=query.namespaces is None or len(query.namespaces) > 1,
        with_kind=len({part.resource.name for part in answers.parts}) > 1,
        show_labels=look.show_labels,
        headers=not look.no_headers,
    )
    tables = [_table_of(store, part) for part in answers.parts]
    _write(f"{line}\n".encode() for line in print_tables(tables, style, time.time()))
    if not answers.errors and not any(part.rows for part in answers.parts):
        spaces = ", ".join(query.namespaces or ())
        if every or not all(wanted.resource.namespaced for wanted in request.wanted):
            click.echo("No resources found", err=True)
        else:
            click.echo(f"No resources found in {spaces} namespace.", err=True)


def _table_of(store: Store, part: Part) -> Answer:
    from vai.cli.printers.cells import Column
    from vai.cli.printers.tables import Answer

    columns = [
        Column(name=one.name, type=one.type, format=one.format, priority=one.priority)
        for one in store.columns(part.resource)
    ]
    definition = None if columns else store.document(f"crd/{part.resource.name}")
    return Answer(
        resource=part.resource,
        rows=part.rows,
        columns=columns,
        definition=None if definition is None else msgspec.json.decode(definition),
    )


def _write(pieces: Iterable[bytes]) -> None:
    sys.stdout.flush()
    for piece in pieces:
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()
