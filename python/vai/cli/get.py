"""`vai get`: answers from the file, never from the network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from vai.cli import notes
from vai.cli.asking import Ask, ask_of, query_options
from vai.cli.command import Command
from vai.cli.counting import count
from vai.cli.failures import EXIT_ERROR, EXIT_STALE, Failure, check_selectors, message_of, warn
from vai.cli.files import context_option, file_of, file_option, kubeconfig_option, open_reader
from vai.cli.options import complete_resource, names_of, seconds_of
from vai.cli.printing import Look, print_answers
from vai.cli.reading import Answers, Query, answer, problem_of
from vai.errors import NotSyncedError
from vai.types import ScopeStatus

if TYPE_CHECKING:
    from vai.cli.request import Request
    from vai.store import Store

_FORMATS = ("table", "wide", "json", "yaml", "name")


@click.command(cls=Command, short_help="Print objects from a cluster file, as kubectl get does.")
@click.argument(
    "arguments", metavar="RESOURCE [NAME]...", nargs=-1, shell_complete=complete_resource
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
@query_options
@click.option("--no-headers", is_flag=True, help="Leave the table's header out.")
@click.option("--show-labels", is_flag=True, help="Add a column with all labels.")
@kubeconfig_option
@context_option
@click.pass_context
def get(
    ctx: click.Context,
    /,
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
    **asked: Any,
) -> None:
    """Print objects from the cluster file, whether or not `vai sync` runs or the server is up.

    Never asks the network. RESOURCE is what kubectl takes: plural, singular, short name or kind,
    with .GROUP where needed, several by comma, TYPE/NAME, or a category: `all` is kubectl's own
    (Pods, Services, Deployments, …), not everything; everything that the file holds is '*'.

    Unless the answer is live, a line on stderr says how old it is and why.

    Fields in --where, --sort, --facet and --group-by:
      status.phase, restarts, age    the catalogue's; `vai status -o json` lists them
      labels[app]                    a label
      .spec.containers[*].image      any path; slower where it is not indexed, see --explain

    Operators of --where:
      = != < <= > >=  in (a, b)  notin (a, b)  contains  icontains  startswith  matches
      exists X  X in 10.0.0.0/8  and  or  not  ( )  any(X) = a  all(X) = a

    Examples:
      vai get pods -A --file prod.db
      vai get deploy,svc -n shop
      vai get pod web-0 -n shop -o yaml
      vai get pods -l app=web,tier!=cache --field-selector status.phase=Running -o wide
      vai get pods -A -o json | jq '.items | length'
      vai get pods -A --where 'status.phase = Running and restarts > 3' --sort -age --limit 20
      vai get pods -A --where 'requests.memory > 1.5Gi and not metadata.name contains test'
      vai get pods -A --facet status.phase,spec.nodeName
      vai get pods -A --group-by spec.nodeName --sum requests.memory
      vai get pods -A --at 10m -o name | diff - <(vai get pods -A -o name)
      vai get nodes --max-age 30s || echo "older than 30s, or an error"

    Exit codes:
      0  served
      1  error: unknown, not found, never synced, not kept in the file
      2  wrong usage
      3  served, but older than --max-age
    """
    limit_s = seconds_of(max_age, "--max-age")
    ask = ask_of(asked)
    if not arguments:
        raise click.UsageError("name a RESOURCE, such as pods; `vai status` shows what is kept")
    if (all_namespaces and len(arguments) > 1) or (all_namespaces and "/" in arguments[0]):
        raise click.UsageError("a resource cannot be retrieved by name across all namespaces")
    with open_reader(file_of(file, context, kubeconfig)) as store:
        from vai.cli.request import parse

        statuses = store.scopes()
        try:
            request = parse(store, arguments, statuses)
        except NotSyncedError as error:
            raise Failure(f"{message_of(error)}{problem_of(store)}") from None
        if ask.pages and not ask.counts and len(request.wanted) > 1:
            raise click.UsageError("--limit, --page and --cursor are about one RESOURCE")
        cells = output in {"table", "wide"}
        query = _query(
            store, namespace, all_namespaces, selector, field_selector, cells=cells, ask=ask
        )
        if ask.counts:
            part = count(store, request, query, statuses, output)
            answers = Answers([] if part is None else [part])
        else:
            answers = answer(store, request, query, statuses)
            print_answers(store, request, answers, query, Look(output, no_headers, show_labels))
        code = _notes(request, answers, query, statuses, limit_s)
    ctx.exit(code)


def _query(
    store: Store,
    namespace: str | None,
    every: bool,
    labels: str,
    fields: str,
    *,
    cells: bool,
    ask: Ask,
) -> Query:
    check_selectors(labels, fields)
    if every:
        return Query(None, labels, fields, cells, ask)
    if namespace is None:
        cluster = store.cluster()
        namespace = "default" if cluster is None else cluster.namespace
    return Query(names_of(namespace, "namespace", "-n"), labels, fields, cells, ask)


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
    for part in answers.parts:
        yield from notes.page(part.resource.name, len(part.rows), part.total, part.cursor)
        yield from notes.gap(part.resource.name, part.known_since_s)
    if query.namespaces is None:
        for part in answers.parts:
            yield from notes.partial(part.resource, statuses)
