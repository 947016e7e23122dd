"""What `vai get` was asked for: resources, names and categories, resolved as kubectl does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import click

from vai.store import Catalogue, Store
from vai.types import EVERYTHING, Resource, ScopeStatus


@dataclass(slots=True)
class Wanted:
    """One resource, and its objects by name; without names, all of them."""

    resource: Resource
    names: tuple[str, ...] = ()


@dataclass(slots=True)
class Request:
    """The arguments of one `vai get`.

    Attributes:
        wanted: in the order of printing.
        single: whether the answer is one object, not a list (`TYPE NAME`, `TYPE/NAME`).
        left_out: of a category: what belongs to it and is not in the file.
    """

    wanted: list[Wanted] = field(default_factory=list)
    single: bool = False
    left_out: list[Resource] = field(default_factory=list)


def parse(store: Store, arguments: Sequence[str], statuses: Sequence[ScopeStatus]) -> Request:
    """Read `pods`, `pods,svc`, `all`, `pod a b`, `pod/a svc/b`.

    Raises:
        click.UsageError: the forms are mixed (kubectl refuses that as well).
        UnknownResourceError: `.nearest` has the closest names.
        NotSyncedError: the file knows no resources yet.
    """
    slashed = ["/" in argument for argument in arguments]
    if all(slashed):
        return _by_pairs(store, arguments)
    if any(slashed):
        raise click.UsageError(
            "there is no need to name a resource type beside TYPE/NAME;"
            " write `vai get pod/a svc/b` or `vai get pod a b`"
        )
    words, names = _words(arguments[0]), tuple(dict.fromkeys(arguments[1:]))
    if names:
        resources = [store.resolve(word) for word in words]
        return Request([Wanted(one, names) for one in resources], len(resources) * len(names) == 1)
    return _lists(store, words, statuses)


def _words(argument: str) -> list[str]:
    words = [word.strip() for word in argument.split(",")]
    if not all(words):
        raise click.UsageError(f"an empty resource in {argument!r}")
    return words


def _by_pairs(store: Store, arguments: Sequence[str]) -> Request:
    request = Request(single=len(arguments) == 1)
    for argument in arguments:
        word, _, name = argument.partition("/")
        if not word or not name or "/" in name:
            raise click.UsageError(f"{argument!r} is not TYPE/NAME")
        found = store.resolve(word)
        last = request.wanted[-1] if request.wanted else None
        if last is not None and last.resource.name == found.name:
            last.names = (*last.names, name)
        else:
            request.wanted.append(Wanted(found, (name,)))
    return request


def _lists(store: Store, words: Sequence[str], statuses: Sequence[ScopeStatus]) -> Request:
    request = Request()
    kept = {status.resource for status in statuses}
    catalogue = store.resources()
    chosen: dict[str, Resource] = {}
    for word in words:
        group = _category(catalogue, word)
        for resource in group or (store.resolve(word),):
            if not group or resource.name in kept:
                chosen.setdefault(resource.name, resource)
            elif word != EVERYTHING:
                request.left_out.append(resource)
    request.wanted = [Wanted(resource) for resource in chosen.values()]
    return request


def _category(catalogue: Catalogue, word: str) -> tuple[Resource, ...]:
    """A category's resources; `*` is every resource. A resource's own name comes first."""
    if word == EVERYTHING:
        return tuple(catalogue)
    return () if catalogue.get(word) else catalogue.category(word)
