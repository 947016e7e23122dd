"""Why what a handler follows is not kept current, as an error that can be told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from vai.cache.feeds import Asked
from vai.cache.query import answering, namespaces_of
from vai.cache.reads import Reads
from vai.errors import (
    ForbiddenError,
    NotFoundError,
    NotKeptError,
    NotSyncedError,
    OfflineError,
    UnknownResourceError,
    VaiError,
)
from vai.types import EVERYTHING, ScopeStatus, State

_ERRORS: Final[dict[State, type[VaiError]]] = {
    State.OFFLINE: OfflineError,
    State.FORBIDDEN: ForbiddenError,
    State.GONE: NotFoundError,
}


def trouble(reads: Reads, asked: Asked, statuses: Sequence[ScopeStatus]) -> VaiError | None:
    """Why there will be nothing new for now; None if nothing is wrong.

    Args:
        reads: of the cache.
        asked: what is followed.
        statuses: the scopes of the file, read once for all that are followed.
    """
    problem = _unplanned(reads, asked)
    if problem is not None:
        return problem
    try:
        resource = reads.resolve(asked.resource)
        spaces = namespaces_of(resource, asked.namespaces)
        scopes = answering(statuses, resource, spaces)
    except NotSyncedError:
        return None
    except UnknownResourceError as error:
        return None if reads.may_come(None) else error
    except NotKeptError as error:
        return None if reads.may_come(reads.resolve(asked.resource)) else error
    for scope in scopes:
        kind = _ERRORS.get(scope.state)
        if kind is not None:
            return kind(f"{scope}: {scope.state.value}: {scope.reason}", resource=resource.name)
    return None


def _unplanned(reads: Reads, asked: Asked) -> VaiError | None:
    """What kept the scope from being planned at all."""
    syncing = reads.engine.syncing
    if syncing is None:
        return None
    if syncing.fatal is not None:
        return syncing.fatal
    problems = syncing.problems()
    for scope in reads.wanted:
        if scope.resource in {asked.resource, EVERYTHING} and str(scope) in problems:
            return problems[str(scope)]
    return None
