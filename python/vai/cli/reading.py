"""Reading for `vai get`: what the file answers, and how fresh each part of it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import click

from vai.cli.failures import message_of, selector_failure
from vai.errors import InvalidSelectorError, NotKeptError, NotSyncedError
from vai.types import Freshness, Resource, ScopeStatus

if TYPE_CHECKING:
    from vai.cli.printers.tables import Row
    from vai.cli.request import Request, Wanted
    from vai.store import Store


@dataclass(frozen=True, slots=True)
class Query:
    """The options that choose objects.

    Attributes:
        namespaces: None for all that is kept.
        cells: whether a table is to be printed.
    """

    namespaces: tuple[str, ...] | None
    labels: str = ""
    fields: str = ""
    cells: bool = False


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
            answers.errors.append(_unanswered(store, wanted.resource, error, statuses))
    return answers


def _listed(
    store: Store, resource: Resource, query: Query, statuses: Sequence[ScopeStatus]
) -> Part:
    spaces = query.namespaces if resource.namespaced else None
    rows = store.rows(
        resource,
        spaces,
        label_selector=query.labels,
        field_selector=query.fields,
        cells=query.cells,
    )
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
    store: Store,
    resource: Resource,
    error: NotSyncedError | NotKeptError,
    statuses: Iterable[ScopeStatus],
) -> str:
    """The message, with why nothing was synced yet as far as the file knows."""
    text = message_of(error)
    if isinstance(error, NotSyncedError):
        reasons = {
            f"{one.state.value}: {one.reason}": one.reason
            for one in statuses
            if one.resource == resource.name and one.reason and not one.complete
        }
        missing = [shown for shown, reason in reasons.items() if reason not in text]
        text += f" ({'; '.join(missing)})" if missing else ""
        if not reasons:
            text += problem_of(store)
    return text if resource.plural in text else f"{resource.name}: {text}"


#: What vai.informer calls PROBLEM; a read must not import it.
PROBLEM: Final = "sync/problem"


def problem_of(store: Store) -> str:
    """` (reason)`: why the last sync of the file could not even begin; empty if it could."""
    found = store.document(PROBLEM)
    return f" ({found.decode()})" if found else ""
