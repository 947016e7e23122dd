"""From what was asked for to scopes of real resources."""

from __future__ import annotations

from collections.abc import Iterable
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


class Target(msgspec.Struct, frozen=True):
    """One scope of the file to be.

    Attributes:
        resource: what.
        namespace: of one namespace, or of all.
        label_selector: Kubernetes label selector.
        field_selector: Kubernetes field selector.
        redaction: what of each object is kept.
    """

    resource: Resource
    namespace: str | None = None
    label_selector: str = ""
    field_selector: str = ""
    redaction: Redaction = Redaction.NONE

    def __str__(self) -> str:
        return str(
            Scope(self.resource.name, self.namespace, self.label_selector, self.field_selector)
        )


def plan(
    scopes: Iterable[Scope], catalogue: Catalogue
) -> tuple[list[Target], dict[str, UnknownResourceError]]:
    """The targets, each once, and why per scope that has none."""
    targets: dict[Target, None] = {}
    unknown: dict[str, UnknownResourceError] = {}
    for scope in scopes:
        try:
            resources = _resources(scope, catalogue)
        except UnknownResourceError as error:
            unknown[str(scope)] = error
            continue
        for resource in resources:
            for namespace in scope.namespaces if resource.namespaced else (None,):
                targets[_target(scope, resource, namespace)] = None
    return list(targets), unknown


def _resources(scope: Scope, catalogue: Catalogue) -> list[Resource]:
    if scope.resource not in {EVERYTHING, _ALL}:
        return [catalogue.resolve(scope.resource)]
    named = scope.namespace is not None
    return [
        resource
        for resource in catalogue
        if resource.name not in SECRETS | LEASES and (resource.namespaced or not named)
    ]


def _target(scope: Scope, resource: Resource, namespace: str | None) -> Target:
    default = Redaction.METADATA if resource.name in SECRETS else Redaction.NONE
    return Target(
        resource,
        namespace,
        scope.label_selector,
        scope.field_selector,
        scope.redaction if scope.redaction is not None else default,
    )
