"""What the cluster serves, and which cluster it is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from vai.errors import ForbiddenError, OfflineError
from vai.kube.failures import Rule
from vai.kube.transport import JSON, Transport
from vai.reflector import RefusedError
from vai.types import Cluster, PrinterColumn, Resource

# KEP-3352, aggregated discovery: beta from 1.27, v2 from 1.30. Two requests for everything.
_AGGREGATED: Final = ",".join(
    f"{JSON};g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
    for version in ("v2", "v2beta1")
)
#: What can be listed but not watched is polled, if it is asked for.
_NEEDED_VERBS: Final = frozenset({"list"})
#: Served twice under one uid; the core group's name is the one that kubectl prints.
_TWICE: Final = frozenset({"events.events.k8s.io"})
_CRD_PATH: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_NOT_FOUND: Final = 404
#: Groups of kube-apiserver itself without `.k8s.io` (k8s.io/api); the others end with it, as do
#: those of some CRDs (gateway.networking.k8s.io).
_BUILT_IN: Final = frozenset({
    "", "apps", "autoscaling", "batch", "extensions", "policy",
    "admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io",
    "authentication.k8s.io", "authorization.k8s.io", "certificates.k8s.io",
    "coordination.k8s.io", "discovery.k8s.io", "events.k8s.io", "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io", "networking.k8s.io", "node.k8s.io", "rbac.authorization.k8s.io",
    "resource.k8s.io", "scheduling.k8s.io", "storage.k8s.io", "storagemigration.k8s.io",
})  # fmt: skip


class Discovery(msgspec.Struct, frozen=True, kw_only=True):
    """What discovery found.

    Attributes:
        resources: that can be listed, in their preferred version, most preferred first.
        failures: why, per group version that could not be read; empty if discovery is complete.
    """

    resources: tuple[Resource, ...]
    failures: dict[str, str] = msgspec.field(default_factory=dict)


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the CustomResourceDefinition behind a resource.

    Attributes:
        body: its JSON; None if there is none, or it may not be read.
        known: whether that is certain.
        selectable_fields: its JSON paths, of the resource's version.
        printer_columns: of the same version.
    """

    body: bytes | None = None
    known: bool = True
    selectable_fields: tuple[str, ...] = ()
    printer_columns: tuple[PrinterColumn, ...] = ()


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Which cluster answers.

    Attributes:
        uid: of the namespace kube-system, or a hash of server and CA.
        verified: False for the hash.
    """

    uid: str
    verified: bool


def discover(transport: Transport) -> Discovery:
    """Everything that can be listed.

    Raises:
        OfflineError, ForbiddenError, RefusedError: not even the root could be read.
    """
    found: list[_Group] = []
    failures: dict[str, str] = {}
    for root in ("/api", "/apis"):
        body, content_type = transport.get_bytes(
            root, accept=f"{_AGGREGATED},{JSON}", verb="discovery"
        )
        if "as=APIGroupDiscoveryList" in content_type:
            found += msgspec.json.decode(body, type=_GroupList).items
        else:
            found += _walk(transport, root, body, failures)
    for group in found:
        for version in group.versions:
            if version.freshness == "Stale":
                failures[_joined(group.metadata.name, version.version)] = "its server is away"
    return Discovery(resources=tuple(_preferred(found)), failures=failures)


def definition(transport: Transport, resource: Resource) -> Definition:
    """The CRD behind a resource: asked for by name, so that no right to list is needed.

    Raises:
        OfflineError, RefusedError: that is not known right now.
    """
    if is_built_in(resource):
        return Definition()
    rule = Rule(
        api_group="apiextensions.k8s.io",
        resource="customresourcedefinitions",
        verbs=("get",),
        name=resource.name,
    )
    try:
        body, _ = transport.get_bytes(f"{_CRD_PATH}/{resource.name}", rule=rule, verb="discovery")
    except ForbiddenError:
        return Definition(known=False)
    except RefusedError as error:
        if error.refusal.code == _NOT_FOUND:
            return Definition()
        raise
    return defined(body, resource)


def defined(body: bytes, resource: Resource) -> Definition:
    """What a CRD, as JSON, says of its resource."""
    crd = msgspec.json.decode(body, type=_Crd)
    found = Definition(body=body)
    for version in crd.spec.versions:
        if version.name == resource.version:
            found = Definition(
                body=body,
                selectable_fields=tuple(field.json_path for field in version.selectable_fields),
                printer_columns=tuple(
                    PrinterColumn(name=column.name, type=column.type, json_path=column.json_path)
                    for column in version.additional_printer_columns
                ),
            )
    return found


def is_built_in(resource: Resource) -> bool:
    """Whether the resource is surely kube-apiserver's own, not a CRD."""
    return resource.group in _BUILT_IN


def identify(transport: Transport, known: Cluster | None = None) -> Identity:
    """Which cluster answers.

    Args:
        transport: to it.
        known: what the file says; where kube-system may no longer be read, the same server counts
            as the same cluster.

    Raises:
        OfflineError, RefusedError: that is not known right now.
    """
    rule = Rule(api_group="", resource="namespaces", verbs=("get",), name="kube-system")
    try:
        found = transport.get("/api/v1/namespaces/kube-system", _Meta, rule=rule)
        return Identity(uid=found.metadata.uid, verified=True)
    except ForbiddenError as error:
        if not error.rule:
            raise
    except RefusedError as error:
        if error.refusal.code != _NOT_FOUND:
            raise
    if known is not None and known.server == transport.server:
        return Identity(uid=known.uid, verified=known.verified)
    digest = hashlib.sha256(transport.server.encode())
    digest.update(transport.access.authority or b"")
    return Identity(uid=f"sha256:{digest.hexdigest()[:32]}", verified=False)


# --- the wire


class _Metadata(msgspec.Struct):
    name: str = ""
    uid: str = ""


class _Meta(msgspec.Struct):
    metadata: _Metadata


class _Kind(msgspec.Struct):
    kind: str = ""


class _Entry(msgspec.Struct, rename="camel"):
    """A resource of aggregated discovery (apidiscovery.k8s.io APIResourceDiscovery)."""

    resource: str
    response_kind: _Kind | None = None
    scope: str = "Namespaced"
    singular_resource: str = ""
    verbs: tuple[str, ...] = ()
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()


class _Version(msgspec.Struct):
    version: str
    resources: list[_Entry] = []
    freshness: str = "Current"


class _Group(msgspec.Struct):
    metadata: _Metadata
    versions: list[_Version] = []


class _GroupList(msgspec.Struct):
    items: list[_Group] = []


class _OldVersion(msgspec.Struct):
    version: str


class _OldGroup(msgspec.Struct, rename="camel"):
    name: str
    versions: list[_OldVersion] = []
    preferred_version: _OldVersion | None = None


class _OldRoot(msgspec.Struct):
    """An APIVersions (of /api) or an APIGroupList (of /apis)."""

    versions: list[str] = []
    groups: list[_OldGroup] = []


class _OldEntry(msgspec.Struct, rename="camel"):
    """A meta.k8s.io APIResource."""

    name: str
    kind: str = ""
    namespaced: bool = True
    singular_name: str = ""
    verbs: tuple[str, ...] = ()
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()


class _OldList(msgspec.Struct):
    resources: list[_OldEntry] = []


class _Field(msgspec.Struct, rename={"json_path": "jsonPath"}):
    json_path: str


class _Column(msgspec.Struct, rename={"json_path": "jsonPath"}):
    name: str
    type: str
    json_path: str


class _CrdVersion(msgspec.Struct, rename="camel"):
    name: str
    selectable_fields: list[_Field] = []
    additional_printer_columns: list[_Column] = []


class _CrdSpec(msgspec.Struct):
    versions: list[_CrdVersion] = []


class _Crd(msgspec.Struct):
    spec: _CrdSpec


#: Their types are known before any thread decodes one, see `vai.reflector.protocol`.
_KNOWN: Final = [
    msgspec.json.Decoder(kind) for kind in (_Meta, _GroupList, _OldRoot, _OldList, _Crd)
]


def _walk(
    transport: Transport, root: str, body: bytes, failures: dict[str, str]
) -> Iterator[_Group]:
    """Before 1.27, and behind servers that know no other: one request per group version."""
    old = msgspec.json.decode(body, type=_OldRoot)
    if root == "/api":
        groups: Iterable[_OldGroup] = [
            _OldGroup(name="", versions=[_OldVersion(version=name) for name in old.versions])
        ]
    else:
        groups = old.groups
    for group in groups:
        first = group.preferred_version.version if group.preferred_version else ""
        names = sorted((found.version for found in group.versions), key=lambda name: name != first)
        versions = []
        for name in names:
            try:
                versions.append(_old_version(transport, group.name, name))
            except (ForbiddenError, OfflineError, RefusedError) as error:
                failures[_joined(group.name, name)] = str(error)
        yield _Group(metadata=_Metadata(name=group.name), versions=versions)


def _old_version(transport: Transport, group: str, name: str) -> _Version:
    path = f"/apis/{group}/{name}" if group else f"/api/{name}"
    found = transport.get(path, _OldList, verb="discovery")
    entries = [
        _Entry(
            resource=entry.name,
            response_kind=_Kind(kind=entry.kind),
            scope="Namespaced" if entry.namespaced else "Cluster",
            singular_resource=entry.singular_name,
            verbs=entry.verbs,
            short_names=entry.short_names,
            categories=entry.categories,
        )
        for entry in found.resources
        if "/" not in entry.name  # a subresource
    ]
    return _Version(version=name, resources=entries)


def _preferred(groups: Iterable[_Group]) -> Iterator[Resource]:
    """Each resource once, in the first version that has it (client-go ServerPreferredResources)."""
    for group in groups:
        seen: set[str] = set()
        for version in group.versions:
            for entry in version.resources:
                resource = _resource(group.metadata.name, version.version, entry)
                if entry.resource in seen or resource.name in _TWICE:
                    continue
                if set(entry.verbs) >= _NEEDED_VERBS:
                    seen.add(entry.resource)
                    yield resource


def _resource(group: str, version: str, entry: _Entry) -> Resource:
    return Resource(
        group=group,
        version=version,
        plural=entry.resource,
        kind=entry.response_kind.kind if entry.response_kind else "",
        singular=entry.singular_resource,
        namespaced=entry.scope == "Namespaced",
        short_names=entry.short_names,
        categories=entry.categories,
        verbs=entry.verbs,
    )


def _joined(group: str, version: str) -> str:
    return f"{group}/{version}" if group else version
