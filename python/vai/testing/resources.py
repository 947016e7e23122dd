"""Which resources the server has: the built-in ones of Kubernetes 1.36 and CRDs.

The built-in table is data/discovery.json, taken from kubernetes' own ``api/discovery/*.json``
(v1.36.3), stable versions only, since that is what a kube-apiserver serves by default.
autoscaling/v1 is left out: it is a second view of autoscaling/v2's objects.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import resources as package_files
from typing import Any

from vai.testing.objects import Json

ALL_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """One resource as its objects are stored.

    Attributes:
        versions: Served versions, the preferred one first; objects are stored as ``version``.
        columns: A CRD's additionalPrinterColumns by version.
        selectable: A CRD's selectableFields as JSON paths without the leading dot.
        subresources: ``status``, ``scale`` and so on as discovery names them.
    """

    group: str
    version: str
    name: str
    kind: str
    singular: str
    namespaced: bool
    verbs: tuple[str, ...]
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    custom: bool = False
    list_kind: str = ""
    versions: tuple[str, ...] = ()
    columns: dict[str, list[Json]] = field(default_factory=dict)
    selectable: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    storage_hash: str = ""

    @property
    def api_version(self) -> str:
        """``v1`` or ``group/version``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def full_name(self) -> str:
        """``deployments.apps``; the bare name for the core group."""
        return f"{self.name}.{self.group}" if self.group else self.name

    @property
    def listable(self) -> bool:
        """True when objects of it are stored."""
        return "list" in self.verbs and "get" in self.verbs


@dataclass(slots=True)
class GroupVersion:
    """One served group version with the raw rows of its APIResourceList."""

    group: str
    version: str
    rows: list[Json]

    @property
    def name(self) -> str:
        """``v1`` or ``group/version``."""
        return f"{self.group}/{self.version}" if self.group else self.version


def builtin_group_versions() -> list[GroupVersion]:
    """The built-in group versions in the order of ``/apis``."""
    text = package_files.files("vai.testing").joinpath("data/discovery.json").read_text("utf-8")
    groups: list[Json] = json.loads(text)
    return [
        GroupVersion(group["name"], version["version"], version["resources"])
        for group in groups
        for version in group["versions"]
    ]


def _builtin_resources(group_version: GroupVersion) -> Iterator[Resource]:
    subresources: dict[str, list[str]] = {}
    for row in group_version.rows:
        parent, _, sub = row["name"].partition("/")
        if sub:
            subresources.setdefault(parent, []).append(sub)
    for row in group_version.rows:
        if "/" in row["name"]:
            continue
        yield Resource(
            group=group_version.group,
            version=group_version.version,
            name=row["name"],
            kind=row["kind"],
            singular=row["singularName"],
            namespaced=row["namespaced"],
            verbs=tuple(row["verbs"]),
            short_names=tuple(row.get("shortNames", ())),
            categories=tuple(row.get("categories", ())),
            list_kind=row["kind"] + "List",
            versions=(group_version.version,),
            subresources=tuple(subresources.get(row["name"], ())),
            storage_hash=row.get("storageVersionHash", ""),
        )


def from_crd(crd: Json) -> Resource:
    """The resource that a CustomResourceDefinition declares.

    Raises:
        ValueError: The definition lacks what is needed, or serves no version.
    """
    try:
        spec = crd["spec"]
        names = spec["names"]
        versions = [v for v in spec["versions"] if v.get("served", True)]
        storage = next(v for v in spec["versions"] if v.get("storage"))
    except (KeyError, StopIteration) as error:
        raise ValueError(f"not a usable CustomResourceDefinition: {error!r}") from error
    if not versions:
        raise ValueError("the CustomResourceDefinition serves no version")
    selectable = [f["jsonPath"].lstrip(".") for f in storage.get("selectableFields", [])]
    return Resource(
        group=spec["group"],
        version=storage["name"],
        name=names["plural"],
        kind=names["kind"],
        singular=names.get("singular", names["kind"].lower()),
        namespaced=spec.get("scope", "Namespaced") == "Namespaced",
        verbs=ALL_VERBS,
        short_names=tuple(names.get("shortNames", ())),
        categories=tuple(names.get("categories", ())),
        custom=True,
        list_kind=names.get("listKind", names["kind"] + "List"),
        versions=tuple(v["name"] for v in versions),
        columns={v["name"]: v.get("additionalPrinterColumns", []) for v in versions},
        selectable=tuple(selectable),
        subresources=tuple(storage.get("subresources", {})),
        storage_hash=_storage_hash(spec["group"], storage["name"], names["kind"]),
    )


def _storage_hash(group: str, version: str, kind: str) -> str:
    # discovery.StorageVersionHash: the first 8 bytes of sha256("group/version/Kind").
    digest = hashlib.sha256(f"{group}/{version}/{kind}".encode()).digest()
    return base64.b64encode(digest[:8]).decode()


class Registry:
    """The resources served now, by group, version and name."""

    def __init__(self) -> None:
        self.group_versions = builtin_group_versions()
        self._resources: dict[tuple[str, str], Resource] = {}
        for group_version in self.group_versions:
            for resource in _builtin_resources(group_version):
                # events.k8s.io/v1 is a second view of the core events, see discovery.
                self._resources[resource.group, resource.name] = resource

    def __iter__(self) -> Iterator[Resource]:
        return iter(list(self._resources.values()))

    def install(self, resource: Resource) -> None:
        """Serve a custom resource, or replace its definition."""
        self._resources[resource.group, resource.name] = resource

    def remove(self, group: str, name: str) -> None:
        """Serve a custom resource no longer."""
        resource = self._resources.get((group, name))
        if resource is not None and resource.custom:
            del self._resources[group, name]

    def find(self, group: str, version: str, name: str) -> Resource | None:
        """The resource at a path, or None."""
        resource = self._resources.get((group, name))
        if resource is None or version not in resource.versions:
            return None
        return resource

    def has_routes(self, group: str) -> bool:
        """Whether go-restful answers for a group version: it has routes for whole groups."""
        return any(found.group == group for found in self.group_versions)

    def custom_resources(self) -> list[Resource]:
        """The resources that come from CRDs."""
        return [resource for resource in self if resource.custom]

    def lookup(self, what: str) -> Resource:
        """A resource by ``pods``, ``deployments.apps``, ``Pod`` or ``po``.

        Raises:
            KeyError: Nothing is called that.
        """
        name, _, group = what.partition(".")
        for resource in self:
            if resource.full_name == what or (resource.name == name and resource.group == group):
                return resource
        found = [
            r
            for r in self
            if what in (r.name, r.kind, r.singular, *r.short_names) and r.group != "events.k8s.io"
        ]
        if not found:
            raise KeyError(what)
        return found[0]

    def for_object(self, obj: Json) -> Resource:
        """The resource that an object's apiVersion and kind name.

        Raises:
            KeyError: No such kind is served.
        """
        api_version: Any = obj.get("apiVersion", "v1")
        group, _, version = api_version.rpartition("/")
        for resource in self:
            same = resource.kind == obj.get("kind") and resource.group == group
            if same and version in resource.versions:
                return resource
        raise KeyError(f"{api_version} {obj.get('kind')}")
