"""Discovery documents: ``/api``, ``/apis``, a group, a group version, and the aggregated form."""

from __future__ import annotations

import hashlib
from typing import Any

from vai.testing.objects import Json, dumps
from vai.testing.resources import GroupVersion, Registry, Resource

AGGREGATED_TYPE = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_SUB_VERBS = {"status": ["get", "patch", "update"], "scale": ["get", "patch", "update"]}


def version_document(version: str) -> Json:
    """``/version`` of a release such as ``v1.36.3``."""
    major, minor = version.lstrip("v").split(".")[:2]
    return {
        "major": major,
        "minor": minor,
        "emulationMajor": major,
        "emulationMinor": minor,
        "minCompatibilityMajor": major,
        "minCompatibilityMinor": str(int(minor) - 1),
        "gitVersion": version,
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "go1.26.0",
        "compiler": "gc",
        "platform": "linux/amd64",
    }


def api_versions(address: str) -> Json:
    """``/api``."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def _version_rank(version: str) -> tuple[int, int, int]:
    # version.CompareKubeAwareVersionStrings: v2 > v1 > v1beta2 > v1beta1 > v1alpha1.
    stage, number = 2, 0
    base = version
    for rank, word in ((1, "beta"), (0, "alpha")):
        if word in version:
            base, _, tail = version.partition(word)
            stage, number = rank, int(tail or 0)
    major = int(base[1:]) if base[1:].isdigit() else 0
    return (stage, major, number)


def groups(registry: Registry) -> list[tuple[str, list[str]]]:
    """Groups with their versions, the preferred one first; custom groups after the built-in."""
    found: dict[str, list[str]] = {}
    for group_version in registry.group_versions:
        found.setdefault(group_version.group, []).append(group_version.version)
    custom: dict[str, set[str]] = {}
    for resource in registry.custom_resources():
        custom.setdefault(resource.group, set()).update(resource.versions)
    for group in sorted(custom):
        found[group] = sorted(custom[group], key=_version_rank, reverse=True)
    return list(found.items())


def _group(name: str, versions: list[str]) -> Json:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def group_list(registry: Registry) -> Json:
    """``/apis``."""
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [_group(name, versions) for name, versions in groups(registry) if name],
    }


def group_document(registry: Registry, name: str) -> Json | None:
    """``/apis/GROUP``; None when it is not served."""
    for group, versions in groups(registry):
        if group == name and group:
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)}
    return None


def _custom_rows(resource: Resource) -> list[Json]:
    row: Json = {
        "name": resource.name,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        row["shortNames"] = list(resource.short_names)
    if resource.categories:
        row["categories"] = list(resource.categories)
    row["storageVersionHash"] = resource.storage_hash
    rows = [row]
    for sub in ("status", "scale"):
        if sub in resource.subresources:
            scale = sub == "scale"
            extra = {"group": "autoscaling", "version": "v1"} if scale else {}
            rows.append(
                {
                    "name": f"{resource.name}/{sub}",
                    "singularName": "",
                    "namespaced": resource.namespaced,
                    **extra,
                    "kind": "Scale" if scale else resource.kind,
                    "verbs": _SUB_VERBS[sub],
                }
            )
    return rows


def _rows(registry: Registry, group: str, version: str) -> list[Json] | None:
    for group_version in registry.group_versions:
        if (group_version.group, group_version.version) == (group, version):
            return group_version.rows
    rows = [
        row
        for resource in sorted(registry.custom_resources(), key=lambda r: r.name)
        if resource.group == group and version in resource.versions
        for row in _custom_rows(resource)
    ]
    return rows or None


def resource_list(registry: Registry, group: str, version: str) -> Json | None:
    """``/api/v1`` or ``/apis/GROUP/VERSION``; None when it is not served."""
    rows = _rows(registry, group, version)
    if rows is None:
        return None
    document: Json = {"kind": "APIResourceList"}
    if group:
        document["apiVersion"] = "v1"
    document["groupVersion"] = GroupVersion(group, version, []).name
    document["resources"] = rows
    return document


def _kind_of(row: Json) -> Json:
    return {
        "group": row.get("group", ""),
        "version": row.get("version", ""),
        "kind": row["kind"],
    }


def _aggregated_rows(rows: list[Json]) -> list[Json]:
    out: dict[str, Json] = {}
    for row in rows:
        name, _, sub = row["name"].partition("/")
        if not sub:
            entry: Json = {
                "resource": name,
                "responseKind": _kind_of(row),
                "scope": "Namespaced" if row["namespaced"] else "Cluster",
                "singularResource": row["singularName"],
                "verbs": row["verbs"],
            }
            for theirs, ours in (("shortNames", "shortNames"), ("categories", "categories")):
                if row.get(theirs):
                    entry[ours] = row[theirs]
            out[name] = entry
            continue
        parent = out.setdefault(name, {"resource": name})
        parent.setdefault("subresources", []).append(
            {"subresource": sub, "responseKind": _kind_of(row), "verbs": row["verbs"]}
        )
    return list(out.values())


def _custom_aggregated(row: Json, group: str, version: str) -> Json:
    # CRDs name the group and version in the response kind; built-in kinds leave them empty.
    kind = row["responseKind"]
    if not kind["version"]:
        kind.update(group=group, version=version)
    for sub in row.get("subresources", []):
        if not sub["responseKind"]["version"]:
            sub["responseKind"].update(group=group, version=version)
    return row


def aggregated(registry: Registry, *, core: bool) -> Json:
    """The aggregated form of ``/api`` (core) or ``/apis``."""
    builtin = {group_version.group for group_version in registry.group_versions}
    items: list[Json] = []
    for group, versions in groups(registry):
        if core == bool(group):
            continue
        listed: list[Any] = []
        for version in versions:
            rows = _aggregated_rows(_rows(registry, group, version) or [])
            if group not in builtin:
                rows = [_custom_aggregated(row, group, version) for row in rows]
            listed.append({"version": version, "resources": rows, "freshness": "Current"})
        items.append({"metadata": {"name": group} if group else {}, "versions": listed})
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def etag(document: Json) -> str:
    """The ETag of an aggregated document."""
    return '"' + hashlib.sha512(dumps(document)).hexdigest().upper() + '"'
