"""Reading for `vai get`: what the file answers, and how fresh each part of it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import click

from vai import store
from vai.cli.asking import Ask, pointed_out
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
        ask: what is asked beyond selectors.
    """

    namespaces: tuple[str, ...] | None
    labels: str = ""
    fields: str = ""
    cells: bool = False
    ask: Ask = field(default_factory=Ask)

    def of(self, resources: Sequence[Resource], fields: str | None = None) -> store.Request:
        """The core's request for these resources."""
        spaces = self.namespaces if any(one.namespaced for one in resources) else None
        return store.Request(
            resources=tuple(one.name for one in resources),
            namespaces=spaces,
            label_selector=self.labels,
            field_selector=self.fields if fields is None else fields,
            condition=self.ask.where,
            sort=self.ask.sort,
            limit=self.ask.limit,
            offset=self.ask.offset,
            cursor=self.ask.cursor,
            at=self.ask.at,
            cells=self.cells,
        )


@dataclass(slots=True)
class Part:
    """The answer about one resource."""

    resource: Resource
    rows: Sequence[Row]
    freshness: Freshness
    resource_version: str = ""
    total: int = 0
    cursor: str | None = None
    remaining: int = 0
    known_since_s: float | None = None


@dataclass(slots=True)
class Answers:
    """All that was found, and what was not."""

    parts: list[Part] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def answer(file: Store, request: Request, query: Query, statuses: Sequence[ScopeStatus]) -> Answers:
    """Ask the file for everything; one resource that cannot be answered spoils no other.

    `statuses` were taken before the rows are read, so that no answer looks fresher than it is.
    """
    answers = Answers()
    for wanted in request.wanted:
        try:
            if wanted.names:
                _named(file, wanted, query, statuses, answers)
            else:
                answers.parts.append(_listed(file, wanted.resource, query, statuses))
        except InvalidSelectorError as error:
            raise selector_failure("field selector", query.fields, error) from None
        except (NotSyncedError, NotKeptError) as error:
            answers.errors.append(_unanswered(file, wanted.resource, error, statuses))
    return answers


def _listed(file: Store, resource: Resource, query: Query, statuses: Sequence[ScopeStatus]) -> Part:
    with pointed_out(query.ask):
        rows = file.query(query.of([resource]))
    # A row is a handle: its body stays compressed until it is printed.
    found = [rows[at] for at in range(len(rows))]
    return Part(
        resource,
        found,
        freshness_of(file, rows, statuses),
        rows.resource_version,
        rows.total,
        rows.cursor,
        _remaining(query.ask, rows),
        rows.known_since_s,
    )


def _remaining(ask: Ask, rows: store.Rows) -> int:
    """Objects behind this page, as far as that is known: after a cursor it is not."""
    return 0 if ask.cursor else max(0, rows.total - ask.offset - len(rows))


def freshness_of(file: Store, rows: store.Rows, statuses: Sequence[ScopeStatus]) -> Freshness:
    """How fresh rows are, by what was known before they were read."""
    used = frozenset(rows.scopes)
    parts = [status.freshness for status in statuses if status.id in used]
    return Freshness.worst(parts) if len(parts) == len(used) else file.freshness(rows.scopes)


def _named(
    file: Store,
    wanted: Wanted,
    query: Query,
    statuses: Sequence[ScopeStatus],
    answers: Answers,
) -> None:
    ask = query.ask
    if query.labels or query.fields or ask.where or ask.sort or ask.pages:
        raise click.UsageError("selectors may not be used when objects are named")
    from vai.cache.query import answering

    resource, rows = wanted.resource, list[Any]()
    spaces = query.namespaces if resource.namespaced else None
    for space in (None,) if spaces is None else spaces:
        for name in wanted.names:
            row = _one(file, resource, query, (space, name))
            if row is None:
                where = f" in namespace {space}" if space else ""
                answers.errors.append(f'NotFound: {resource.name} "{name}" not found{where}')
            else:
                rows.append(row)
    used = answering(statuses, resource, spaces)
    freshness = Freshness.worst(status.freshness for status in used)
    answers.parts.append(Part(resource, rows, freshness, total=len(rows)))


def _one(
    file: Store, resource: Resource, query: Query, place: tuple[str | None, str]
) -> store.Row | None:
    space, name = place
    if query.ask.at is None:
        return file.get(resource, space, name)
    spaces = None if space is None else (space,)
    selector = f"metadata.name={name}"
    rows = file.query(replace(query, namespaces=spaces).of([resource], selector))
    return rows[0] if len(rows) else None


def _unanswered(
    file: Store,
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
            text += problem_of(file)
    return text if resource.plural in text else f"{resource.name}: {text}"


#: What vai.informer calls PROBLEM; a read must not import it.
PROBLEM: Final = "sync/problem"


def problem_of(file: Store) -> str:
    """` (reason)`: why the last sync of the file could not even begin; empty if it could."""
    found = file.document(PROBLEM)
    return f" ({found.decode()})" if found else ""
