"""`vai get`: answers from the file, never from the network."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click
import msgspec

from vai.cli import notes
from vai.cli.command import Command
from vai.cli.failures import EXIT_ERROR, EXIT_STALE, Failure, message_of, selector_failure, warn
from vai.cli.files import context_option, file_of, file_option, kubeconfig_option, open_reader
from vai.errors import (
    InvalidRequestError,
    InvalidSelectorError,
    NotKeptError,
    NotSyncedError,
    VaiError,
)
from vai.types import Freshness, Resource, ScopeStatus

if TYPE_CHECKING:
    from vai.cli.printers.tables import Answer, Row
    from vai.cli.request import Request, Wanted
    from vai.store import Store

_FORMATS = ("table", "wide", "json", "yaml", "name")


@dataclass(frozen=True, slots=True)
class Query:
    """The options that choose objects.

    Attributes:
        namespaces: None for all that is kept.
    """

    namespaces: tuple[str, ...] | None
    labels: str = ""
    fields: str = ""


@dataclass(slots=True)
class Part:
    """The answer about one resource."""

    resource: Resource
    rows: Sequence[Row]
    freshness: Freshness
    resource_version: str = ""


@dataclass(slots=True)
class Answers:
    """All that was found, and what was not."""

    parts: list[Part] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def _complete_resource(
    ctx: click.Context,
    _param: click.Parameter,
    incomplete: str,
) -> list[str]:
    """Names of resources for the shell; silent where the file cannot be read."""
    try:
        path = file_of(ctx.params.get("file"), ctx.params.get("context"))
        with open_reader(path) as store:
            kept = sorted({status.resource for status in store.scopes()})
    except (VaiError, Failure, OSError):
        return []
    return [name for name in kept if name.startswith(incomplete)]


@click.command(cls=Command, short_help="Print objects from a cluster file, as kubectl get does.")
@click.argument(
    "arguments", metavar="RESOURCE [NAME]...", nargs=-1, shell_complete=_complete_resource
)
@file_option
@click.option(
    "-n",
    "--namespace",
    help="Namespace, or several by comma.  [default: that of the context that synced the file]",
)
@click.option("-A", "--all-namespaces", is_flag=True, help="All namespaces that the file keeps.")
@click.option("-l", "--selector", default="", help="Label selector: =, ==, !=, in, notin, key.")
@click.option("--field-selector", default="", help="Field selector: =, ==, !=.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(_FORMATS),
    default="table",
    show_default=True,
    help="Format; json and yaml print a Kubernetes List, or one object for one NAME.",
)
@click.option(
    "--max-age", metavar="DURATION", help="Exit with 3 if the answer is older, as 30s or 5m."
)
@click.option("--no-headers", is_flag=True, help="Leave the table's header out.")
@click.option("--show-labels", is_flag=True, help="Add a column with all labels.")
@kubeconfig_option
@context_option
@click.pass_context
def get(
    ctx: click.Context,
    arguments: tuple[str, ...],
    file: str | None,
    namespace: str | None,
    all_namespaces: bool,
    selector: str,
    field_selector: str,
    output: str,
    max_age: str | None,
    no_headers: bool,
    show_labels: bool,
    kubeconfig: str | None,
    context: str | None,
) -> None:
    """Print objects from the cluster file, whether or not `vai sync` runs or the server is up.

    Never asks the network. RESOURCE is what kubectl takes: plural, singular, short name or kind,
    with .GROUP where needed, several by comma, TYPE/NAME, or a category: `all` is kubectl's own
    (Pods, Services, Deployments, …), not everything; everything that the file holds is '*'.

    Unless the answer is live, a line on stderr says how old it is and why.

    Examples:
      vai get pods -A --file prod.db
      vai get deploy,svc -n shop
      vai get pod web-0 -n shop -o yaml
      vai get pods -l app=web,tier!=cache --field-selector status.phase=Running -o wide
      vai get pods -A -o json | jq '.items | length'
      vai get nodes --max-age 30s || echo "older than 30s, or an error"

    Exit codes:
      0  served
      1  error: unknown, not found, never synced, not kept in the file
      2  wrong usage
      3  served, but older than --max-age
    """
    limit_s = _duration(max_age)
    if not arguments:
        raise click.UsageError("name a RESOURCE, such as pods; `vai status` shows what is kept")
    if (all_namespaces and len(arguments) > 1) or (all_namespaces and "/" in arguments[0]):
        raise click.UsageError("a resource cannot be retrieved by name across all namespaces")
    with open_reader(file_of(file, context, kubeconfig)) as store:
        from vai.cli.request import parse

        statuses = store.scopes()
        request = parse(store, arguments, statuses)
        query = _query(store, namespace, all_namespaces, selector, field_selector)
        answers = answer(store, request, query, statuses)
        _print(store, request, answers, query, _Look(output, no_headers, show_labels))
        code = _notes(request, answers, query, statuses, limit_s)
    ctx.exit(code)


@dataclass(frozen=True, slots=True)
class _Look:
    format: str
    no_headers: bool
    show_labels: bool


def _duration(text: str | None) -> float | None:
    from vai.config import parse_duration

    try:
        return None if text is None else parse_duration(text)
    except InvalidRequestError as error:
        raise click.BadParameter(str(error), param_hint="'--max-age'") from None


def _query(
    store: Store,
    namespace: str | None,
    every: bool,
    labels: str,
    fields: str,
) -> Query:
    from vai.store import parse_field_selector, parse_label_selector

    for what, text, check in (
        ("label selector", labels, parse_label_selector),
        ("field selector", fields, parse_field_selector),
    ):
        try:
            check(text)
        except InvalidSelectorError as error:
            raise selector_failure(what, text, error) from None
    if every:
        return Query(None, labels, fields)
    if namespace is None:
        cluster = store.cluster()
        namespace = "default" if cluster is None else cluster.namespace
    chosen = tuple(dict.fromkeys(part.strip() for part in namespace.split(",")))
    if not all(chosen):
        raise click.BadParameter(f"an empty namespace in {namespace!r}", param_hint="'-n'")
    return Query(chosen, labels, fields)


# --- Reading --------------------------------------------------------------------------------------


def answer(
    store: Store, request: Request, query: Query, statuses: Sequence[ScopeStatus]
) -> Answers:
    """Ask the file for everything; one resource that cannot be answered spoils no other.

    `statuses` were taken before the rows are read, so that no answer looks fresher than it is.
    """
    answers = Answers()
    for wanted in request.wanted:
        try:
            if wanted.names:
                _named(store, wanted, query, statuses, answers)
            else:
                answers.parts.append(_listed(store, wanted.resource, query, statuses))
        except InvalidSelectorError as error:
            raise selector_failure("field selector", query.fields, error) from None
        except (NotSyncedError, NotKeptError) as error:
            answers.errors.append(_unanswered(wanted.resource, error, statuses))
    return answers


def _listed(
    store: Store, resource: Resource, query: Query, statuses: Sequence[ScopeStatus]
) -> Part:
    spaces = query.namespaces if resource.namespaced else None
    rows = store.rows(resource, spaces, label_selector=query.labels, field_selector=query.fields)
    used = frozenset(rows.scopes)
    parts = [status.freshness for status in statuses if status.id in used]
    freshness = Freshness.worst(parts) if len(parts) == len(used) else store.freshness(rows.scopes)
    # A row is a handle: its body stays compressed until it is printed.
    found = [rows[at] for at in range(len(rows))]
    return Part(resource, found, freshness, rows.resource_version)


def _named(
    store: Store,
    wanted: Wanted,
    query: Query,
    statuses: Sequence[ScopeStatus],
    answers: Answers,
) -> None:
    if query.labels or query.fields:
        raise click.UsageError("selectors may not be used when objects are named")
    from vai.cache.query import answering

    resource, rows = wanted.resource, list[Any]()
    spaces = query.namespaces if resource.namespaced else None
    for space in (None,) if spaces is None else spaces:
        for name in wanted.names:
            row = store.get(resource, space, name)
            if row is None:
                where = f" in namespace {space}" if space else ""
                answers.errors.append(f'NotFound: {resource.name} "{name}" not found{where}')
            else:
                rows.append(row)
    used = answering(statuses, resource, spaces)
    freshness = Freshness.worst(status.freshness for status in used)
    answers.parts.append(Part(resource, rows, freshness))


def _unanswered(
    resource: Resource, error: NotSyncedError | NotKeptError, statuses: Iterable[ScopeStatus]
) -> str:
    """The message, with why nothing was synced yet as far as the file knows."""
    text = message_of(error)
    reasons = {
        f"{status.state.value}: {status.reason}"
        for status in statuses
        if status.resource == resource.name and status.reason and not status.complete
    }
    missing = [reason for reason in sorted(reasons) if reason.partition(": ")[2] not in text]
    if isinstance(error, NotSyncedError) and missing:
        text += f" ({'; '.join(missing)})"
    return text if resource.plural in text else f"{resource.name}: {text}"


# --- Printing -------------------------------------------------------------------------------------


def _print(store: Store, request: Request, answers: Answers, query: Query, look: _Look) -> None:
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
    versions = {part.resource_version for part in answers.parts}
    version = versions.pop() if len(versions) == 1 else ""
    listed = documents.json_list if form == "json" else documents.yaml_list
    _write(listed(bodies, version))


def _refuse_redacted(parts: Iterable[Part]) -> None:
    for part in parts:
        hidden = next((row for row in part.rows if row.redacted), None)
        if hidden is not None:
            name = part.resource.name
            raise Failure(
                f"{name} {hidden.key!r} is kept without its values: `vai sync --resources"
                f" {name} --secret-values` keeps them; -o name and tables work without"
            )


def _print_names(answers: Answers) -> None:
    from vai.cli.printers.documents import name_of

    _write(
        f"{name_of(part.resource.kind, part.resource.group, row.key.rpartition('/')[2])}\n".encode()
        for part in answers.parts
        for row in part.rows
    )


def _print_tables(
    store: Store, request: Request, answers: Answers, query: Query, look: _Look
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


# --- What goes to stderr --------------------------------------------------------------------------


def _notes(
    request: Request,
    answers: Answers,
    query: Query,
    statuses: Sequence[ScopeStatus],
    max_age_s: float | None,
) -> int:
    """Say what is to be known beside the answer. Returns the exit code."""
    for line in _lines(request, answers, query, statuses):
        warn(line)
    for error in answers.errors:
        warn(error)
    if request.left_out and not request.wanted:
        warn("the file keeps none of them")
        return EXIT_ERROR
    if answers.errors:
        return EXIT_ERROR
    old = [part for part in answers.parts if notes.older(part.freshness, max_age_s)]
    for part in old:
        warn(notes.too_old(part.resource.name, part.freshness, max_age_s or 0.0))
    return EXIT_STALE if old else 0


def _lines(
    request: Request, answers: Answers, query: Query, statuses: Sequence[ScopeStatus]
) -> Iterator[str]:
    if request.left_out:
        yield f"not kept in the file: {', '.join(one.name for one in request.left_out)}"
    yield from notes.states((part.resource.name, part.freshness) for part in answers.parts)
    if query.namespaces is None:
        for part in answers.parts:
            yield from notes.partial(part.resource, statuses)
