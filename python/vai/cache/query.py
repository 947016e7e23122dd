"""Arguments of reads, checked once: what is asked for, of which scopes the answer comes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from vai.errors import InvalidRequestError, NotKeptError
from vai.store import parse_drop, parse_field_selector, parse_label_selector
from vai.types import EVERYTHING, Redaction, Resource, Scope, ScopeStatus, State

if TYPE_CHECKING:
    from vai.informer.plan import Target

Namespaces = str | Sequence[str] | None

#: RFC 1123 label, as kube-apiserver takes them (apimachinery validation.IsDNS1123Label). Of any
#: other name a server says that there is nothing in it, which looks like an empty namespace.
_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def namespaces_of(resource: Resource, namespace: Namespaces) -> list[str] | None:
    """The namespaces asked for; None for all.

    Raises:
        InvalidRequestError: a namespace for a resource that has none.
    """
    if namespace is None:
        return None
    if not resource.namespaced:
        raise InvalidRequestError(
            f"{resource.name} are not namespaced: leave namespace= out", resource=resource.name
        )
    return [namespace] if isinstance(namespace, str) else list(namespace)


def identity_of(resource: Resource, name: str, namespace: str | None) -> tuple[str | None, str]:
    """(namespace, name) of one object; `name` may be a key, `namespace/name`.

    Raises:
        InvalidRequestError: a namespace is missing, or there is one too many.
    """
    before, slash, last = name.rpartition("/")
    if slash and namespace is not None and before != namespace:
        raise InvalidRequestError(f"{name!r} is not in namespace {namespace!r}")
    found = before if slash else namespace
    if resource.namespaced and not found:
        raise InvalidRequestError(
            f"{resource.name} are namespaced: give namespace= or a key namespace/name",
            resource=resource.name,
        )
    if found is not None:
        namespaces_of(resource, found)
    if not last:
        raise InvalidRequestError(f"{name!r} has no name")
    return found, last


def wanted_scopes(
    scopes: Iterable[Scope | str] | Scope | str,
    *,
    secret_values: bool = False,
    exclude: Sequence[str] = (),
) -> tuple[Scope, ...]:
    """Scopes as Scope objects, one per namespace, with selectors in canonical form.

    Raises:
        InvalidSelectorError: with the position in the selector.
        InvalidRequestError: an empty resource.
    """
    if isinstance(scopes, (str, Scope)):
        scopes = [scopes]
    found: dict[Scope, None] = {}
    everywhere = words_of(exclude, "exclude")
    for entry in scopes:
        scope = Scope(entry) if isinstance(entry, str) else entry
        if not scope.resource:
            raise InvalidRequestError("a scope needs a resource, such as 'pods'")
        for namespace in scope.namespaces:
            if namespace is not None and not _NAMESPACE.fullmatch(namespace):
                raise InvalidRequestError(
                    f"{namespace!r} can't be a namespace: lower-case letters, digits and '-'"
                )
            one = Scope(
                EVERYTHING if scope.resource == "all" else scope.resource,
                namespace,
                parse_label_selector(scope.label_selector),
                parse_field_selector(scope.field_selector),
                scope.redaction or (Redaction.NONE if secret_values else None),
                tuple(dict.fromkeys((*words_of(scope.exclude, "exclude"), *everywhere))),
                scope.priority,
                tuple(parse_drop(words_of(scope.drop, "drop"))),
            )
            found[one] = None
    return tuple(found)


def words_of(words: Sequence[str], what: str) -> tuple[str, ...]:
    """Words, each once.

    Raises:
        InvalidRequestError: one is empty, or it is one text where several are to be given.
    """
    if isinstance(words, str) or not all(words):
        raise InvalidRequestError(f"{what}={words!r}: give a list of words, none of them empty")
    return tuple(dict.fromkeys(words))


def covers(status: ScopeStatus, target: Target) -> bool:
    """Whether all that is asked for lies in this scope of the file."""
    return (
        status.resource == target.resource.name
        and status.namespace in (None, target.namespace)
        and status.label_selector in ("", target.label_selector)
        and status.field_selector in ("", target.field_selector)
        # Metadata is a part of the whole object, not the other way round.
        and status.redaction in (Redaction.NONE, target.redaction)
        and set(status.drop) <= set(target.drop)
    )


def answering(
    statuses: Iterable[ScopeStatus], resource: Resource, namespaces: Sequence[str] | None
) -> list[ScopeStatus]:
    """The scopes that an answer about these namespaces comes from.

    A scope of the whole resource answers alone, the same that the rows come from: one that is
    complete, with whole bodies; else the whole namespaces, with what overlaps.

    Raises:
        NotKeptError: none; `.scopes` says what is kept instead.
    """
    every = list(statuses)
    mine = [status for status in every if status.resource == resource.name]
    chosen = [
        s for s in mine if s.namespace is None or namespaces is None or s.namespace in namespaces
    ]
    whole = [s for s in chosen if not s.label_selector and not s.field_selector]
    largest = [s for s in whole if s.namespace is None]
    if not chosen:
        kept = [str(status) for status in every]
        where = f" in {', '.join(namespaces)}" if namespaces else ""
        raise NotKeptError(
            f"the file keeps no {resource.name}{where}; it keeps {', '.join(kept) or 'nothing'}",
            scopes=kept,
        )
    if largest:
        return [
            min(largest, key=lambda s: (not s.complete, s.redaction is not Redaction.NONE, s.id))
        ]
    if namespaces is not None and {s.namespace for s in whole} >= set(namespaces):
        return whole
    return chosen


def settled(status: ScopeStatus, *, everything: bool) -> bool:
    """Whether a scope has an answer; of "everything", what may not be read is left out."""
    if everything and status.state in {State.FORBIDDEN, State.GONE}:
        return True
    # Between the end of the first list and its proof lies a moment without an age; a read with
    # `max_age` right after a wait must not fall into it.
    fresh = status.age_s is not None or status.state is not State.CATCHING_UP
    return status.complete and fresh
