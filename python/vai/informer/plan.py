"""From what was asked for to scopes of real resources, in the order in which they list."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Final

import msgspec

from vai.errors import UnknownResourceError
from vai.store import Catalogue
from vai.types import EVERYTHING, Redaction, Resource, Scope

#: Secrets and their like: kept without values unless asked for, and only when named.
SECRETS: Final = frozenset({"secrets", "tokens.management.cattle.io"})
#: Not part of "everything": each node writes its lease every ten seconds (kubelet
#: nodeLeaseRenewInterval), and nobody looks at them.
LEASES: Final = frozenset({"leases.coordination.k8s.io"})
#: Another word for `*`; kubectl's category of that name is meant for `get`, not here.
_ALL: Final = "all"
#: What makes a word a pattern (fnmatch); no name of a resource has one of them.
_PATTERN: Final = re.compile(r"[*?\[]")
#: What others are read by comes first; events come last, for they are many and nothing needs them.
_FIRST: Final = 100
_PRIORITIES: Final = {
    "namespaces": _FIRST,
    "nodes": _FIRST,
    "customresourcedefinitions.apiextensions.k8s.io": _FIRST,
    "events": -_FIRST,
}


class Target(msgspec.Struct, frozen=True):
    """One scope of the file to be.

    Attributes:
        resource: what.
        namespace: of one namespace, or of all.
        label_selector: Kubernetes label selector.
        field_selector: Kubernetes field selector.
        redaction: what of each object is kept.
        drop: paths that are left out of it.
    """

    resource: Resource
    namespace: str | None = None
    label_selector: str = ""
    field_selector: str = ""
    redaction: Redaction = Redaction.NONE
    drop: tuple[str, ...] = ()

    @property
    def polled(self) -> bool:
        """Whether it can only be listed."""
        return bool(self.resource.verbs) and "watch" not in self.resource.verbs

    def __str__(self) -> str:
        return str(
            Scope(
                self.resource.name,
                self.namespace,
                self.label_selector,
                self.field_selector,
                drop=self.drop,
            )
        )


def plan(
    scopes: Iterable[Scope], catalogue: Catalogue
) -> tuple[list[Target], dict[str, UnknownResourceError]]:
    """The targets, each once, in the order in which they list; and why per scope that has none."""
    targets: dict[Target, int] = {}
    unknown: dict[str, UnknownResourceError] = {}
    for scope in scopes:
        try:
            resources = _resources(scope, catalogue)
        except UnknownResourceError as error:
            unknown[str(scope)] = error
            continue
        left_out = _matcher(scope.exclude, catalogue)
        for resource in resources:
            if left_out(resource):
                continue
            for namespace in scope.namespaces if resource.namespaced else (None,):
                target = _target(scope, resource, namespace)
                priority = _priority(scope, resource)
                targets[target] = max(priority, targets.get(target, priority))
    # The sort is stable: among equals the order of asking, then that of discovery, stands.
    return sorted(targets, key=lambda target: -targets[target]), unknown


def is_pattern(word: str) -> bool:
    """Whether it names what matches it, not one resource."""
    return _PATTERN.search(word) is not None


def unmatched(scope: Scope, catalogue: Catalogue) -> list[str]:
    """What a scope excludes though there is no such thing: written wrong, or not yet served."""
    return [
        word
        for word in scope.exclude
        if not any(map(_matcher([word], catalogue), catalogue)) and word not in SECRETS | LEASES
    ]


def _resources(scope: Scope, catalogue: Catalogue) -> list[Resource]:
    word = scope.resource
    in_namespaces = scope.namespace is not None
    if word in {EVERYTHING, _ALL}:
        return [
            resource
            for resource in catalogue
            if resource.name not in SECRETS | LEASES
            and not Target(resource).polled
            and (resource.namespaced or not in_namespaces)
        ]
    if is_pattern(word):
        found = [r for r in catalogue if _matches(r, word) and r.name not in SECRETS | LEASES]
        if not found:
            raise UnknownResourceError(
                f"the cluster has no resource that matches {word!r}", resource=word, nearest=[]
            )
        return [r for r in found if r.namespaced or not in_namespaces]
    # As kubectl's resource builder: a category goes before a resource of that name.
    return list(catalogue.category(word)) or [catalogue.resolve(word)]


def _matcher(words: Sequence[str], catalogue: Catalogue) -> Callable[[Resource], bool]:
    """Whether a resource is one of these: patterns against `plural.group`, or names."""
    patterns = [word for word in words if is_pattern(word)]
    names = set()
    for word in words:
        if not is_pattern(word):
            try:
                names.add(catalogue.resolve(word).name)
            except UnknownResourceError:
                names.add(word)
    return lambda resource: (
        resource.name in names or any(_matches(resource, pattern) for pattern in patterns)
    )


def _matches(resource: Resource, pattern: str) -> bool:
    if fnmatchcase(resource.name, pattern):
        return True
    # `events.*` is meant for events of whatever group, those of the core group too; `*.*` is not.
    plural = pattern.removesuffix(".*")
    return (
        not resource.group and plural not in {pattern, "*"} and fnmatchcase(resource.name, plural)
    )


def _priority(scope: Scope, resource: Resource) -> int:
    if scope.priority is not None:
        return scope.priority
    return _PRIORITIES.get(resource.name, 0)


def _target(scope: Scope, resource: Resource, namespace: str | None) -> Target:
    default = Redaction.METADATA if resource.name in SECRETS else Redaction.NONE
    return Target(
        resource,
        namespace,
        scope.label_selector,
        scope.field_selector,
        scope.redaction if scope.redaction is not None else default,
        tuple(scope.drop),
    )
