"""The least rights that syncing some scopes takes, as RBAC objects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from vai.informer.plan import Target
from vai.kube.discovery import is_built_in

_API: Final = "rbac.authorization.k8s.io"
_SYNC_VERBS: Final = ("list", "watch")

Json = dict[str, Any]


class Subject(msgspec.Struct, frozen=True):
    """A service account that is to have the rights."""

    namespace: str
    name: str


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One RBAC object.

    Attributes:
        body: as kubectl applies it.
        note: what it is for.
        optional: whether syncing does without it, and what is lost then.
    """

    body: Json
    note: str
    optional: str = ""


def rights(targets: Iterable[Target], name: str, subject: Subject | None) -> list[Document]:
    """Roles for these scopes, bound to the subject if there is one.

    What is kept of one namespace only takes a Role there; the rest a ClusterRole. Discovery is not
    among them: ClusterRole system:discovery is bound to every authenticated user.
    """
    wanted = list(targets)
    spaces = sorted({one.namespace for one in wanted if one.namespace is not None})
    found: list[Document] = []
    everywhere = [one for one in wanted if one.namespace is None]
    if everywhere:
        found += _role(name, None, _rules(everywhere), subject, note="what is synced, everywhere")
    for space in spaces:
        rules = _rules(one for one in wanted if one.namespace == space)
        found += _role(name, space, rules, subject, note=f"what is synced of namespace {space}")
    return [*found, *_definitions(wanted, name, subject), *_identity(name, subject)]


def _rules(targets: Iterable[Target]) -> list[Json]:
    """A rule per API group and set of verbs."""
    gathered: dict[tuple[str, tuple[str, ...]], set[str]] = {}
    for one in targets:
        resource = one.resource
        # Discovery of old servers may say nothing of verbs.
        verbs = tuple(v for v in _SYNC_VERBS if v in resource.verbs) or _SYNC_VERBS
        gathered.setdefault((resource.group, verbs), set()).add(resource.plural)
    return [
        {"apiGroups": [group], "resources": sorted(plurals), "verbs": list(verbs)}
        for (group, verbs), plurals in sorted(gathered.items())
    ]


def _definitions(targets: list[Target], name: str, subject: Subject | None) -> list[Document]:
    custom = sorted({one.resource.name for one in targets if not is_built_in(one.resource)})
    if not custom:
        return []
    rule = {
        "apiGroups": ["apiextensions.k8s.io"],
        "resources": ["customresourcedefinitions"],
        "resourceNames": custom,
        "verbs": ["get"],
    }
    return _role(
        f"{name}-definitions", None, [rule], subject,
        note="the definitions of custom resources",
        optional="without it their columns and selectable fields are not known",
    )  # fmt: skip


def _identity(name: str, subject: Subject | None) -> list[Document]:
    # A request for a namespace is one inside of it (apiserver request/requestinfo.go), so that a
    # Role there is enough.
    rule = {
        "apiGroups": [""],
        "resources": ["namespaces"],
        "resourceNames": ["kube-system"],
        "verbs": ["get"],
    }
    return _role(
        f"{name}-identity", "kube-system", [rule], subject,
        note="the identity of the cluster, which is the uid of this namespace",
        optional="without it a file knows its cluster by the server's address and CA only",
    )  # fmt: skip


def _role(
    name: str,
    namespace: str | None,
    rules: list[Json],
    subject: Subject | None,
    *,
    note: str,
    optional: str = "",
) -> list[Document]:
    """A Role or ClusterRole, and its binding."""
    kind = "ClusterRole" if namespace is None else "Role"
    metadata = {"name": name} | ({} if namespace is None else {"namespace": namespace})
    common = {"apiVersion": f"{_API}/v1", "metadata": metadata}
    found = [Document(body=common | {"kind": kind, "rules": rules}, note=note, optional=optional)]
    if subject is not None:
        account = {"kind": "ServiceAccount", "name": subject.name, "namespace": subject.namespace}
        body = common | {
            "kind": f"{kind}Binding",
            "roleRef": {"apiGroup": _API, "kind": kind, "name": name},
            "subjects": [account],
        }
        found.append(Document(body=body, note="", optional=optional))
    return found
